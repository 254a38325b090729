"""The database of a home, as the stores see it; `storage.opening` opens one.

SQLite in WAL mode. Any number of processes may have the same home open. Functions handed to
`read` and `write` get a `sqlite3.Connection` and run on that connection's thread.
"""

import sqlite3
from abc import ABC, abstractmethod
from pathlib import Path
from typing import TypeVar

from storage.errors import HomeError
from storage.sqlite_connections import Connection, Work
from storage.sqlite_errors import storage_error

__all__ = ["READERS", "Database"]

T = TypeVar("T")

#: Connections that read at the same time.
READERS = 2


class Database(ABC):
    """An open database; made by `storage.opening.open_database`."""

    def __init__(self, path: Path, readers: list[Connection]) -> None:
        self.path = path
        self._readers = readers
        self._next_reader = 0

    async def read(self, work: Work[T]) -> T:
        """Run a function that reads, in one snapshot. Raises `StorageError`."""
        reader = self._readers[self._next_reader]
        self._next_reader = (self._next_reader + 1) % len(self._readers)
        try:
            return await reader.run(lambda connection: _read(connection, work))
        except (sqlite3.Error, UnicodeEncodeError) as error:
            raise storage_error(error, self.path) from error

    @abstractmethod
    async def write(self, work: Work[T], *, is_brief: bool = False) -> T:
        """Run a function that writes; returns after the commit. Raises `StorageError`.

        Functions of concurrent callers share one transaction. When one of them fails, the others
        are run again without it, so a function must not keep state between calls. A caller that is
        cancelled while it waits does not stop the write. A brief function executes a few
        statements on few rows and writes a few kilobytes.
        """

    async def data_version(self) -> int:
        """A number that changes with every commit of any process. Raises `StorageError`."""
        try:
            return await self._readers[0].run(
                lambda connection: connection.execute("PRAGMA data_version").fetchone()[0]
            )
        except sqlite3.Error as error:
            raise storage_error(error, self.path) from error

    @property
    def why_read_only(self) -> HomeError | None:
        """What every `write` is refused with, where the home can only be read."""
        return None

    @property
    def is_read_only(self) -> bool:
        return self.why_read_only is not None

    def require_writable(self) -> None:
        """For what comes before a write and cannot be undone. Raises `HomeError`."""
        if (why := self.why_read_only) is not None:
            raise why


def _read(connection: sqlite3.Connection, work: Work[T]) -> T:
    connection.execute("BEGIN")
    try:
        return work(connection)
    finally:
        if connection.in_transaction:
            # After a damaged page, which the function may have read around, a COMMIT fails.
            connection.execute("ROLLBACK")
