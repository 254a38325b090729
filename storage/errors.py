"""What can go wrong with the home.

StorageError
  HomeError           the home cannot be opened: no directory, no permission, damaged, too new
  RunExistsError      a run of this id is recorded already
"""

__all__ = ["HomeError", "RunExistsError", "StorageError"]


class StorageError(Exception):
    """The database could not do what was asked; nothing of it was written."""


class HomeError(StorageError):
    """The home cannot be used; the message names the path and what to do."""


class RunExistsError(StorageError):
    """A run of this id is recorded already."""
