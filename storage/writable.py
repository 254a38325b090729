"""A database that can be written: one writer with group commit, and readers beside it.

Brief functions run on the event loop's thread, where a commit takes less than the way to another
thread and back.
"""

import asyncio
import sqlite3
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import anyio

from storage.database import Database
from storage.errors import StorageError
from storage.sqlite_connections import LONG_WAL_BYTES, Connection, Work
from storage.sqlite_errors import BUSY_TIMEOUT_SECONDS, is_busy, with_words

__all__ = ["WritableDatabase"]

T = TypeVar("T")

_CHECKPOINT_SECONDS = 0.25
#: Brief functions that are committed together on the event loop's thread: a few milliseconds.
_MOST_BRIEF = 64


@dataclass
class _Pending:
    work: Work[Any]
    done: asyncio.Future[Any]
    is_brief: bool


class WritableDatabase(Database):
    """Has one writer, whose `flush_forever` and `checkpoint_forever` the opener runs."""

    def __init__(
        self,
        path: Path,
        writer: Connection,
        readers: list[Connection],
        *,
        syncs_commits: bool,
    ) -> None:
        super().__init__(path, readers)
        self._writer = writer
        #: A commit waits for the disk, which the event loop must not.
        self._syncs_commits = syncs_commits
        self._pending: list[_Pending] = []
        self._wake = anyio.Event()
        self._committed = anyio.Event()
        self._is_closing = False
        #: Brief functions are about to be committed by `_commit_brief`.
        self._is_scheduled = False
        #: `flush_forever` has taken functions that are not committed yet.
        self._is_flushing = False

    async def write(self, work: Work[T], *, is_brief: bool = False) -> T:
        if self._is_closing:
            raise StorageError("the database is closing")
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()
        self._pending.append(_Pending(work, done, is_brief))
        if self._syncs_commits or not is_brief:
            self._wake.set()
        elif not self._is_scheduled:
            # Callers that are to run before it share the transaction.
            self._is_scheduled = True
            loop.call_soon(self._commit_brief)
        return await done

    async def flush_forever(self) -> None:
        """Commit what is pending until the database closes; shielded, so nothing is lost."""
        with anyio.CancelScope(shield=True):
            while self._pending or not self._is_closing:
                if not self._pending:
                    self._wake = anyio.Event()
                    await self._wake.wait()
                    continue
                self._is_flushing = True
                await self._commit(self._take_pending())
                self._is_flushing = False

    def _take_pending(self) -> list[_Pending]:
        # Not kept in a variable of the loop, where the last one, with a large result, would wait
        # for the next.
        pending, self._pending = self._pending, []
        return pending

    async def checkpoint_forever(self, connection: Connection) -> None:
        """Move what was committed into the database, beside the writer and not in its way.

        https://www.sqlite.org/wal.html#ckpt, PASSIVE.
        """
        log = self.path.with_name(f"{self.path.name}-wal")
        while True:
            await self._committed.wait()
            await anyio.sleep(_CHECKPOINT_SECONDS)
            self._committed = anyio.Event()
            with suppress(OSError, sqlite3.Error):
                # It can always be done later.
                if log.stat().st_size > LONG_WAL_BYTES:
                    await connection.run(_checkpoint)

    def stop(self) -> None:
        """Let `flush_forever` end once everything is written."""
        self._is_closing = True
        self._wake.set()

    def _commit_brief(self) -> None:
        """Commit what is pending, if it is brief; what cannot be is for `flush_forever`."""
        self._is_scheduled = False
        if self._is_flushing or not self._pending:
            return
        try:
            results = self._commit_here(self._pending)
        except Exception:
            # Which one failed is found out one by one.
            results = None
        if results is None:
            self._wake.set()
            return
        self._finish(self._take_pending(), results)

    async def _commit(self, batch: list[_Pending]) -> None:
        try:
            results = self._commit_here(batch) or await self._writer.run(
                lambda connection: _transact_in_turn(connection, batch)
            )
        except Exception as error:
            if len(batch) > 1 and not is_busy(error):
                for one in batch:
                    await self._commit([one])
                return
            # None of the functions is why another process was in the way all the time.
            for one in batch:
                _settle(one, with_words(error, self.path))
            return
        self._finish(batch, results)

    def _finish(self, batch: list[_Pending], results: list[Any]) -> None:
        self._committed.set()
        for one, result in zip(batch, results, strict=True):
            if not one.done.done():
                one.done.set_result(result)

    def _commit_here(self, batch: list[_Pending]) -> list[Any] | None:
        """The results of brief functions; None when they are for the writer's thread."""
        is_brief = len(batch) <= _MOST_BRIEF and all(one.is_brief for one in batch)
        if self._syncs_commits or not is_brief:
            return None
        try:
            return self._writer.run_here(lambda connection: _transact(connection, batch))
        except sqlite3.OperationalError as error:
            if not is_busy(error):
                raise
            # Another process is writing, and only a thread may wait for it.
            return None


def _settle(pending: _Pending, error: Exception) -> None:
    if not pending.done.done():
        pending.done.set_exception(error)


def _checkpoint(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()


def _transact_in_turn(connection: sqlite3.Connection, batch: list[_Pending]) -> list[Any]:
    """Wait for other processes that write. The writer itself never waits, see `_commit_here`."""
    connection.execute(f"PRAGMA busy_timeout={round(BUSY_TIMEOUT_SECONDS * 1000)}")
    try:
        return _transact(connection, batch)
    finally:
        connection.execute("PRAGMA busy_timeout=0")


def _transact(connection: sqlite3.Connection, batch: list[_Pending]) -> list[Any]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        results = [one.work(connection) for one in batch]
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return results
