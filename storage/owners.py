"""Which processes are alive: each holds a lock file for as long as it runs.

A process that is killed loses its lock, and whoever looks next ends its runs.
"""

import time
import uuid
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from storage.errors import HomeError
from storage.locks import lock_of
from storage.runs import RunStore

__all__ = ["Owner", "end_orphans", "hold_ownership"]

_NEW_SECONDS = 3600.0


class Owner:
    """A process as the owner of its runs: this one."""

    def __init__(self, owner_id: str, directory: Path) -> None:
        self.id = owner_id
        self._directory = directory

    def is_alive(self, owner: str) -> bool:
        """Whether the process with this id still holds its lock."""
        if owner == self.id:
            return True
        path = lock_of(self._directory, owner)
        if not path.exists():
            return False
        try:
            with FileLock(path, timeout=0):
                pass
        except (Timeout, OSError):
            return True
        path.unlink(missing_ok=True)
        return False

    def forget_the_dead(self) -> None:
        """Remove lock files that killed processes without runs have left behind."""
        for path in self._directory.glob(f"{'[0-9a-f]' * 32}.lock"):
            # A new file may belong to a process that is about to lock it.
            with suppress(OSError):
                if time.time() - path.stat().st_mtime > _NEW_SECONDS:
                    self.is_alive(path.stem)


@contextmanager
def hold_ownership(directory: Path, *, owns_runs: bool = True) -> Generator[Owner]:
    """Hold a lock file of this process in `directory`. Raises `HomeError`.

    A process that cannot have runs of its own writes none.
    """
    owner = Owner(uuid.uuid4().hex, directory)
    if not owns_runs:
        yield owner
        return
    path = lock_of(directory, owner.id)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path)
        lock.acquire(timeout=5)
    except OSError as error:
        raise HomeError(
            f"{directory} cannot be written: {error.strerror or error}; "
            "check its permissions, or set CALLSLIP_HOME to a directory you can write"
        ) from error
    try:
        yield owner
    finally:
        lock.release()
        path.unlink(missing_ok=True)


async def end_orphans(runs: RunStore, owner: Owner) -> int:
    """End the runs of processes that are gone, as `aborted`; how many there were."""
    owner.forget_the_dead()
    ended = 0
    for other in await runs.owners():
        if not owner.is_alive(other):
            ended += await runs.interrupt(other)
    return ended
