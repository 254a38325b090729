"""What can go wrong with the home.

StorageError
  HomeError           the home cannot be opened: no directory, no permission, damaged, too new
    DamageError       a page of the database is damaged; others may be readable
    DiskFullError     nothing can be written until there is space
  RunExistsError      a run of this id is recorded already
  KeyTakenError       a run with this idempotency key is recorded already
"""

__all__ = [
    "DamageError",
    "DiskFullError",
    "HomeError",
    "KeyTakenError",
    "RunExistsError",
    "StorageError",
]


class StorageError(Exception):
    """The database could not do what was asked; nothing of it was written."""


class HomeError(StorageError):
    """The home cannot be used; the message names the path and what to do."""


class DamageError(HomeError):
    """A part of the database cannot be read; the message says what to do."""


class DiskFullError(HomeError):
    """There is no space; nothing that was acknowledged is lost."""


class RunExistsError(StorageError):
    """A run of this id is recorded already."""


class KeyTakenError(StorageError):
    """A run of the tool was started with this idempotency key: `run_id`."""

    def __init__(self, run_id: str) -> None:
        super().__init__(f"run {run_id} was started with this idempotency key")
        self.run_id = run_id
