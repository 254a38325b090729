"""Connections to the database, each on a thread of its own."""

import asyncio
import sqlite3
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import aiosqlite
import anyio

from storage import read_only
from storage.orphans import show_orphans_as_ended
from storage.read_only import Sight
from storage.schema import refuse_strange, require_current
from storage.sqlite_errors import BUSY_TIMEOUT_SECONDS, is_busy

__all__ = ["LONG_WAL_BYTES", "Connection", "Work", "close_all", "connect", "connect_to_read"]

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]

_PAGE_BYTES = 2048
#: The log of changes is moved into the database when it is longer, and cut to this on the way.
LONG_WAL_BYTES = 4 * 1024 * 1024


class Connection(aiosqlite.Connection):
    """A connection on its own thread, which runs whole functions: one hop for many statements."""

    _stopped: "asyncio.Future[Any] | None" = None

    async def run(self, work: Work[T]) -> T:
        return await self._execute(work, self._conn)  # pyright: ignore[reportUnknownMemberType]: aiosqlite leaves it untyped

    def run_here(self, work: Work[T]) -> T:
        """Run a function on this thread, while the connection's own has nothing to do."""
        return work(self._conn)

    def stop(self) -> "asyncio.Future[Any] | None":
        self._stopped = super().stop()  # pyright: ignore[reportUnknownMemberType]: as above
        return self._stopped

    async def open(self) -> None:
        """Connect; when that fails, the thread has ended before the error is raised."""
        try:
            await self
        except BaseException:
            # aiosqlite drops what says so, and its thread would speak to a loop that is closed.
            with anyio.CancelScope(shield=True):
                if self._stopped is not None:
                    await self._stopped
            raise


async def close_all(connections: Sequence[Connection]) -> None:
    """Close connections, the last one first; shielded."""
    with anyio.CancelScope(shield=True):
        for connection in reversed(connections):
            await connection.close()


async def connect(path: Path, durability: str) -> Connection:
    """A connection that may write, to a database that is made where there is none.

    Raises `sqlite3.Error`, and `HomeError` for a database that is strange.
    """

    def connector() -> sqlite3.Connection:
        connection = sqlite3.connect(
            path,
            timeout=BUSY_TIMEOUT_SECONDS,
            isolation_level=None,
            cached_statements=256,
            check_same_thread=False,
        )
        try:
            _set_up(connection, path, durability)
        except BaseException:
            connection.close()
            raise
        return connection

    return await _opened(connector)


async def connect_to_read(path: Path, sight: Sight) -> Connection:
    """A connection that leaves nothing behind. Raises as `connect` does."""

    def connector() -> sqlite3.Connection:
        connection = read_only.connect_to_read(path, sight)
        try:
            refuse_strange(connection, path)
            require_current(connection, path)
            show_orphans_as_ended(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    return await _opened(connector)


async def _opened(connector: Callable[[], sqlite3.Connection]) -> Connection:
    def readable() -> sqlite3.Connection:
        connection = connector()
        # A text that is no UTF-8 any more must not make its whole row unreadable.
        connection.text_factory = _text
        return connection

    connection = Connection(readable, iter_chunk_size=64)
    await connection.open()
    return connection


def _set_up(connection: sqlite3.Connection, path: Path, durability: str) -> None:
    ends = time.monotonic() + BUSY_TIMEOUT_SECONDS
    while True:
        try:
            # Before the first pragma: those below change the file.
            refuse_strange(connection, path)
            # Both take effect only while the file is empty. A run's commits change a few rows in
            # many trees, and writing each page is most of what they cost.
            connection.execute(f"PRAGMA page_size={_PAGE_BYTES}")
            connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
            connection.execute("PRAGMA journal_mode=WAL")
            break
        except sqlite3.OperationalError as error:
            # Of processes that make a home at once SQLite lets all but one fail to switch to WAL,
            # without the wait that every other lock has.
            if not is_busy(error) or time.monotonic() > ends:
                raise
            time.sleep(0.01)
    connection.execute(f"PRAGMA synchronous={durability.upper()}")
    connection.execute("PRAGMA cache_size=-16000")
    # See `checkpoint_forever`; closing the last connection does it in any case.
    connection.execute("PRAGMA wal_autocheckpoint=0")
    connection.execute(f"PRAGMA journal_size_limit={LONG_WAL_BYTES}")


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")
