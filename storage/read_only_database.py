"""A database that can only be read, while others may be writing it."""

import sqlite3
from pathlib import Path
from typing import TypeVar

import anyio

from storage.database import READERS, Database
from storage.errors import HomeError, StorageError
from storage.locks import LOCKS_FOLDER, is_held, lock_of
from storage.orphans import with_orphans_ended
from storage.read_only import Sight
from storage.sqlite_connections import Work, close_all, connect_to_read
from storage.sqlite_errors import unreadable

__all__ = ["ReadOnlyDatabase"]

T = TypeVar("T")

#: Of a database that others change while it is opened or read, and that has no log to show it.
_READ_TRIES = 5


class ReadOnlyDatabase(Database):
    """Follows what a process that may write makes of the database."""

    def __init__(self, path: Path, why: HomeError) -> None:
        super().__init__(path, [])
        self._why = why
        #: The processes that were found to be gone, on any connection.
        self._gone: set[str] = set()
        self._sight: Sight | None = None
        self._times_opened = 0
        self._opening = anyio.Lock()

    @property
    def why_read_only(self) -> HomeError:
        # Made anew: an error that is raised keeps where it was raised.
        return HomeError(str(self._why))

    async def open(self) -> None:
        """Open what is there now, in place of what was there before. Raises `HomeError`."""
        await self.close()
        for _ in range(_READ_TRIES):
            sight = Sight.of(self.path)
            try:
                for _ in range(READERS):
                    self._readers.append(await connect_to_read(self.path, sight))
            except sqlite3.Error as error:
                # Its last process may be taking the log away.
                if sight == Sight.of(self.path):
                    raise unreadable(error, self.path) from error
            if len(self._readers) == READERS and sight.is_current(self.path):
                self._sight = sight
                self._times_opened += 1
                return
            await self.close()
        raise HomeError(f"{self.path} is being changed all the time; try again")

    async def close(self) -> None:
        """Close before anything is opened: a connection without locks takes away those of others.

        https://www.sqlite.org/howtocorrupt.html, section 2.2.
        """
        closed = self._readers.copy()
        self._readers.clear()
        self._sight = None
        await close_all(closed)

    async def read(self, work: Work[T]) -> T:
        for _ in range(_READ_TRIES):
            sight = await self._keep_up()
            try:
                found = await super().read(
                    lambda connection: with_orphans_ended(connection, self._is_alive, work)
                )
            except StorageError:
                if sight.is_current(self.path):
                    raise
                continue
            if sight.is_current(self.path):
                return found
        raise StorageError(f"{self.path} is being changed all the time; try again")

    async def write(self, work: Work[T], *, is_brief: bool = False) -> T:
        raise self.why_read_only

    async def data_version(self) -> int:
        await self.read(lambda _: None)
        # Each connection counts for itself. Of who is gone no commit tells.
        gone = len(self._gone)
        return (self._times_opened << 48) + (gone << 32) + await super().data_version()

    def _is_alive(self, owner: str) -> bool:
        is_alive = is_held(lock_of(self.path.with_name(LOCKS_FOLDER), owner))
        if not is_alive:
            self._gone.add(owner)
        return is_alive

    async def _keep_up(self) -> Sight:
        async with self._opening:
            if self._sight is None or not self._sight.is_current(self.path):
                await self.open()
            assert self._sight is not None
            return self._sight
