"""Work in a thread that leaves nothing behind when it fails."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import anyio

__all__ = ["run_in_thread"]

T = TypeVar("T")


@dataclass(frozen=True)
class _Failed:
    error: Exception


async def run_in_thread(work: Callable[[], T], *, abandon_on_cancel: bool = False) -> T:
    """What `work` gives, beside the event loop. Raises what it raises.

    An error that a thread raises, and the frames that wait for it, hold each other and all that was
    worked on until Python's collector looks, which it rarely does in a server that is warm. So it
    is handed over as a value.
    """

    def guarded() -> T | _Failed:
        try:
            return work()
        except Exception as error:
            return _Failed(error)

    outcome = await anyio.to_thread.run_sync(guarded, abandon_on_cancel=abandon_on_cancel)
    if not isinstance(outcome, _Failed):
        return outcome
    try:
        raise outcome.error
    finally:
        del outcome
