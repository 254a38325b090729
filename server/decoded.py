"""Records whose result can be shown at once: a large one is decoded beside the event loop."""

from storage.run_record import StoredRun
from tools.threads import run_in_thread

__all__ = ["DECODED_HERE_BYTES", "decoded"]

#: A text of up to this size takes no longer than the way to a thread and back.
DECODED_HERE_BYTES = 64 * 1024


async def decoded(run: StoredRun) -> StoredRun:
    """The same run, whose `data` costs nothing from now on. Raises `ValueError`: no JSON."""
    if run.result is not None and run.result.size > DECODED_HERE_BYTES:
        await run_in_thread(run.result.decode)
    return run
