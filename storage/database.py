"""The database of a home: one writer with group commit and readers beside it, or readers alone.

SQLite in WAL mode. Any number of processes may have the same home open. Functions handed to
`read` and `write` get a `sqlite3.Connection` and run on that connection's thread; brief ones of the
writer run on the event loop's, where a commit takes less than the way to another thread and back.
"""

import asyncio
import os
import sqlite3
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import aiosqlite
import anyio

from storage.errors import DamageError, HomeError, RunExistsError, StorageError
from storage.read_only import Sight, can_only_be_read, connect_to_read, read_only_error
from storage.schema import migrate, refuse_strange, require_current

__all__ = ["Database", "open_database"]

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]

_BUSY_TIMEOUT_SECONDS = 10.0
_READERS = 2
#: Of a database that others change while it is opened or read, and that has no log to show it.
_READ_TRIES = 5
_PAGE_BYTES = 2048
#: The log of changes is moved into the database when it is longer, and cut to this on the way.
_LONG_WAL_BYTES = 4 * 1024 * 1024
_CHECKPOINT_SECONDS = 0.25
#: Brief functions that are committed together on the event loop's thread: a few milliseconds.
_MOST_BRIEF = 64


class _Connection(aiosqlite.Connection):
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


@dataclass
class _Pending:
    work: Work[Any]
    done: asyncio.Future[Any]
    is_brief: bool


class Database(ABC):
    """An open database; made by `open_database`."""

    #: Whether every `write` is refused: the home can only be read.
    is_read_only = False

    def __init__(self, path: Path, readers: list[_Connection]) -> None:
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
            raise _storage_error(error, self.path) from error

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
            raise _storage_error(error, self.path) from error

    def require_writable(self) -> None:
        """For what comes before a write and cannot be undone. Raises `HomeError`."""
        if self.is_read_only:
            raise read_only_error(self.path)


class _WritableDatabase(Database):
    def __init__(
        self,
        path: Path,
        writer: _Connection,
        readers: list[_Connection],
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

    async def checkpoint_forever(self, connection: _Connection) -> None:
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
                if log.stat().st_size > _LONG_WAL_BYTES:
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
            if len(batch) > 1 and not _is_busy(error):
                for one in batch:
                    await self._commit([one])
                return
            # None of the functions is why another process was in the way all the time.
            for one in batch:
                _settle(one, _wrapped(error, self.path))
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
            if not _is_busy(error):
                raise
            # Another process is writing, and only a thread may wait for it.
            return None


class _ReadOnlyDatabase(Database):
    """Follows what a process that may write makes of the database."""

    is_read_only = True

    def __init__(self, path: Path) -> None:
        super().__init__(path, [])
        self._sight: Sight | None = None
        self._times_opened = 0
        self._opening = anyio.Lock()

    async def open(self) -> None:
        """Open what is there now, in place of what was there before. Raises `HomeError`."""
        await self.close()
        for _ in range(_READ_TRIES):
            sight = Sight.of(self.path)
            try:
                for _ in range(_READERS):
                    self._readers.append(await _connect_to_read(self.path, sight))
            except sqlite3.Error as error:
                # Its last process may be taking the log away.
                if sight == Sight.of(self.path):
                    raise _unreadable(error, self.path) from error
            if len(self._readers) == _READERS and sight.is_current(self.path):
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
        await _close(closed)

    async def read(self, work: Work[T]) -> T:
        for _ in range(_READ_TRIES):
            sight = await self._keep_up()
            try:
                found = await super().read(work)
            except StorageError:
                if sight.is_current(self.path):
                    raise
                continue
            if sight.is_current(self.path):
                return found
        raise StorageError(f"{self.path} is being changed all the time; try again")

    async def write(self, work: Work[T], *, is_brief: bool = False) -> T:
        raise read_only_error(self.path)

    async def data_version(self) -> int:
        await self._keep_up()
        # Each connection counts for itself.
        return (self._times_opened << 32) + await super().data_version()

    async def _keep_up(self) -> Sight:
        async with self._opening:
            if self._sight is None or not self._sight.is_current(self.path):
                await self.open()
            assert self._sight is not None
            return self._sight


def _is_busy(error: Exception) -> bool:
    return getattr(error, "sqlite_errorname", "").startswith("SQLITE_BUSY")


def _settle(pending: _Pending, error: Exception) -> None:
    if not pending.done.done():
        pending.done.set_exception(error)


def _checkpoint(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()


def _read(connection: sqlite3.Connection, work: Work[T]) -> T:
    connection.execute("BEGIN")
    try:
        return work(connection)
    finally:
        if connection.in_transaction:
            # After a damaged page, which the function may have read around, a COMMIT fails.
            connection.execute("ROLLBACK")


def _transact_in_turn(connection: sqlite3.Connection, batch: list[_Pending]) -> list[Any]:
    """Wait for other processes that write. The writer itself never waits, see `_commit_here`."""
    connection.execute(f"PRAGMA busy_timeout={round(_BUSY_TIMEOUT_SECONDS * 1000)}")
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


@asynccontextmanager
async def open_database(
    path: Path, *, durability: Literal["normal", "full"] = "normal"
) -> AsyncGenerator[Database]:
    """Open (or create) the database at `path` and bring it to this program's schema.

    `normal` survives `kill -9`, `full` a power cut too. One that is there and cannot be written is
    opened read-only. Raises `HomeError`: the directory cannot be made, the file is not a database,
    is damaged, newer than this program, or older and cannot be written.
    """
    opened = _open_to_read(path) if can_only_be_read(path) else _open_to_write(path, durability)
    async with opened as database:
        yield database


@asynccontextmanager
async def _open_to_read(path: Path) -> AsyncGenerator[Database]:
    database = _ReadOnlyDatabase(path)
    try:
        await database.open()
        yield database
    finally:
        await database.close()


@asynccontextmanager
async def _open_to_write(
    path: Path, durability: Literal["normal", "full"]
) -> AsyncGenerator[Database]:
    _make_home(path.parent)
    _make_private(path)
    connections: list[_Connection] = []
    try:
        try:
            writer = await _connect(path, durability)
            connections.append(writer)
            await writer.run(migrate)
            await writer.run(lambda connection: connection.execute("PRAGMA busy_timeout=0"))
            for _ in range(_READERS + 1):
                connections.append(await _connect(path, durability))
        except sqlite3.Error as error:
            raise _home_error(error, path) from error
        *readers, checkpointer = connections[1:]
        database = _WritableDatabase(path, writer, readers, syncs_commits=durability == "full")
        async with anyio.create_task_group() as group:
            group.start_soon(database.flush_forever)
            async with anyio.create_task_group() as beside:
                beside.start_soon(database.checkpoint_forever, checkpointer)
                try:
                    yield database
                finally:
                    beside.cancel_scope.cancel()
                    database.stop()
    finally:
        await _close(connections)


async def _close(connections: Sequence[_Connection]) -> None:
    with anyio.CancelScope(shield=True):
        for connection in reversed(connections):
            await connection.close()


def _make_home(directory: Path) -> None:
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise HomeError(
            f"the home {directory} cannot be made: {error.strerror}; "
            "set CALLSLIP_HOME to a directory you can write"
        ) from error


def _make_private(path: Path) -> None:
    """Make the file its owner's alone, before SQLite makes it; its other files get the same mode.

    Never opens a file that is there: closing it would take away the locks that other connections of
    this process hold on it (https://www.sqlite.org/howtocorrupt.html, section 2.2). What cannot be
    made SQLite will say in its own words.
    """
    with suppress(OSError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))


async def _connect(path: Path, durability: str) -> _Connection:
    def connector() -> sqlite3.Connection:
        connection = sqlite3.connect(
            path,
            timeout=_BUSY_TIMEOUT_SECONDS,
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


async def _connect_to_read(path: Path, sight: Sight) -> _Connection:
    def connector() -> sqlite3.Connection:
        connection = connect_to_read(path, sight)
        try:
            refuse_strange(connection, path)
            require_current(connection, path)
        except BaseException:
            connection.close()
            raise
        return connection

    return await _opened(connector)


async def _opened(connector: Callable[[], sqlite3.Connection]) -> _Connection:
    def readable() -> sqlite3.Connection:
        connection = connector()
        # A text that is no UTF-8 any more must not make its whole row unreadable.
        connection.text_factory = _text
        return connection

    connection = _Connection(readable, iter_chunk_size=64)
    await connection.open()
    return connection


def _set_up(connection: sqlite3.Connection, path: Path, durability: str) -> None:
    ends = time.monotonic() + _BUSY_TIMEOUT_SECONDS
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
            if not _is_busy(error) or time.monotonic() > ends:
                raise
            time.sleep(0.01)
    connection.execute(f"PRAGMA synchronous={durability.upper()}")
    connection.execute("PRAGMA cache_size=-16000")
    # See `checkpoint_forever`; closing the last connection does it in any case.
    connection.execute("PRAGMA wal_autocheckpoint=0")
    connection.execute(f"PRAGMA journal_size_limit={_LONG_WAL_BYTES}")


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


def _wrapped(error: Exception, path: Path) -> Exception:
    if isinstance(error, sqlite3.Error | UnicodeEncodeError):
        wrapped = _storage_error(error, path)
        wrapped.__cause__ = error
        return wrapped
    return error


def _unreadable(error: sqlite3.Error, path: Path) -> HomeError:
    """Why a database that cannot be written cannot be read either."""
    if (error.sqlite_errorname or "").startswith(
        ("SQLITE_CANTOPEN", "SQLITE_READONLY", "SQLITE_PERM")
    ):
        return HomeError(
            f"{path} cannot be written, and not be read whole ({error}): what was recorded last is "
            f"in {path.name}-wal and {path.name}-shm; make all of them readable, or set "
            "CALLSLIP_HOME to a directory you can write"
        )
    return _home_error(error, path)


def _home_error(error: sqlite3.Error, path: Path) -> HomeError:
    found = _storage_error(error, path)
    return found if isinstance(found, HomeError) else HomeError(str(found))


def _storage_error(error: sqlite3.Error | UnicodeEncodeError, path: Path) -> StorageError:
    """A database error in words: where, what was seen, what to do."""
    if isinstance(error, UnicodeEncodeError):
        # Not shown: it may be a credential.
        return StorageError(
            "a text holds half of a surrogate pair, so it is no Unicode text; nothing was stored"
        )
    text = str(error)
    code = getattr(error, "sqlite_errorname", "") or ""
    if isinstance(error, sqlite3.IntegrityError) and "runs.run_id" in text:
        return RunExistsError("a run of this id is recorded already")
    if code.startswith("SQLITE_FULL"):
        return StorageError(f"the disk of {path} is full; free some space, nothing was lost")
    if code.startswith("SQLITE_BUSY"):
        return StorageError(
            f"{path} stayed locked by another program for {_BUSY_TIMEOUT_SECONDS:g} s; "
            "close programs that have it open"
        )
    if code.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM")):
        return HomeError(
            f"{path} cannot be opened for writing ({text}); "
            "check its permissions, or set CALLSLIP_HOME to a directory you can write"
        )
    if code.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        return DamageError(
            f"{path} is damaged or not a database ({text}); restore a backup made by "
            "`callslip backup`, or move the file away to start anew"
        )
    return StorageError(f"{path}: {text}")
