"""Python's garbage collector as this program needs it."""

import gc

__all__ = ["postpone_collector", "relax_collector"]

#: Containers made before the youngest are looked through; one call makes some hundreds.
_YOUNGEST = 10_000
#: So often before those that outlived that are, and so often before all are. A large result is
#: millions of containers, and looking through it stops the server for half a second; what calls
#: leave in cycles is little, and nearly always young.
_YOUNGER = 20
_ALL = 1000


def postpone_collector() -> None:
    """Look at nothing until `relax_collector`: what is imported and read at the start stays.

    Looking through it again and again took a tenth of a start, a fifth with 10,000 tools.
    """
    gc.disable()


def relax_collector() -> None:
    """Look at less and more seldom; what is there now is never looked at again.

    Modules, schemas and stored tools live as long as the process, and looking through them again
    and again took a tenth of a call. They are not looked through once more here either: that would
    stop a server with 10,000 tools for a tenth of a second.
    """
    gc.freeze()
    gc.enable()
    gc.set_threshold(_YOUNGEST, _YOUNGER, _ALL)
