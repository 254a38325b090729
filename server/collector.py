"""Python's garbage collector as a server needs it."""

import gc

__all__ = ["relax_collector"]

#: Containers made before the youngest are looked through; one call makes some hundreds.
_YOUNGEST = 10_000


def relax_collector() -> None:
    """Look at less and more seldom; what is there now is never looked at again.

    Modules, schemas and stored tools live as long as the process, and looking through them again
    and again took a tenth of a call.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNGEST, 20, 50)
