"""Databases that can only be read: how SQLite opens one so that nothing acknowledged is missed.

What was committed last may lie in a log beside the database (`-wal`). The processes that have it
open share an index of that log (`-shm`). https://www.sqlite.org/wal.html#read_only_databases
"""

import os
import sqlite3
import sys
from collections.abc import Generator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from storage.errors import HomeError, StorageError

__all__ = [
    "Sight",
    "can_only_be_read",
    "connect_to_read",
    "full_disk_error",
    "read_only_error",
    "reading",
]

#: Without locks SQLite needs no index that is shared, and makes one in memory.
_WITHOUT_LOCKS = "win32-none" if sys.platform == "win32" else "unix-none"
#: Device, number, size and time of change of a file.
_Stamp = tuple[int, int, int, int]


def can_only_be_read(path: Path) -> bool:
    """Whether a database is there that cannot be changed: it, a file beside it, or its directory.

    The directory too, because a log is made in it and taken away.
    """
    # Unlike those of pathlib, these do not raise where nothing may be looked at.
    if not os.path.isfile(path):
        return False
    beside = [one for one in (_log_of(path), _index_of(path)) if os.path.exists(one)]
    return not all(os.access(one, os.W_OK) for one in (path, path.parent, *beside))


@dataclass(frozen=True)
class Sight:
    """The files of a database at one moment. It says how to open them, and when to do it again."""

    database: _Stamp | None
    log: _Stamp | None
    index: _Stamp | None

    @classmethod
    def of(cls, path: Path) -> "Sight":
        """What is there now. Raises `HomeError` when that cannot be seen."""
        return cls(*map(_stamp, (path, _log_of(path), _index_of(path))))

    @property
    def is_shared(self) -> bool:
        """Whether SQLite itself sees what other processes write."""
        return self.log is not None and self.index is not None

    @property
    def has_log_alone(self) -> bool:
        """Whether there is a log, and nobody can be writing it."""
        return self.log is not None and self.log[2] > 0 and self.index is None

    def is_current(self, path: Path) -> bool:
        """Whether a connection that was made at this sight reads what is there now."""
        return self.is_shared or Sight.of(path) == self

    def query(self) -> str:
        """The parameters of the address for SQLite: https://www.sqlite.org/uri.html ."""
        if self.is_shared:
            return "mode=ro&readonly_shm=1"
        if self.has_log_alone:
            return f"mode=ro&vfs={_WITHOUT_LOCKS}"
        # It does not look for a log.
        return "immutable=1"


def connect_to_read(path: Path, sight: Sight) -> sqlite3.Connection:
    """A connection that leaves nothing behind, neither beside the database nor elsewhere.

    Raises `sqlite3.Error`.
    """
    connection = _connect(path, sight.query())
    try:
        if sight.has_log_alone:
            # Closing it would move the log into the database, were that not open for reading only.
            connection.execute("PRAGMA locking_mode=EXCLUSIVE")
        connection.execute("PRAGMA temp_store=MEMORY")
        connection.execute("PRAGMA cache_size=-16000")
        # From the first read on nobody takes the log away.
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def reading(path: Path) -> Generator[sqlite3.Connection]:
    """A connection for those who look at a home without opening it; it need not be writable.

    Raises `sqlite3.Error`, `StorageError` when the database was changed in a way that it missed.
    """
    if not can_only_be_read(path):
        # It writes nothing; only one that could takes the log away when it is the last to close.
        with closing(_connect(path, "mode=rw")) as connection:
            yield connection
        return
    sight = Sight.of(path)
    with closing(connect_to_read(path, sight)) as connection:
        yield connection
    if not sight.is_current(path):
        raise StorageError(f"{path} was changed while it was read; try again")


def full_disk_error(path: Path) -> HomeError:
    """What is said to whoever wants to write where a disk had no space for opening the home."""
    return HomeError(
        f"the disk of the home {path.parent} is full, so that it can only be read: what is stored "
        "can be listed, searched, compared and exported, and nothing can be run or changed; free "
        "some space and start again, or set CALLSLIP_HOME to a directory on another disk"
    )


def read_only_error(path: Path) -> HomeError:
    """What is said to whoever wants to write."""
    return HomeError(
        f"the home {path.parent} can only be read: what is stored can be listed, searched, "
        "compared and exported, and nothing can be run or changed; make the directory and its "
        "files writable, or set CALLSLIP_HOME to a directory you can write"
    )


def _connect(path: Path, query: str) -> sqlite3.Connection:
    # Escaped: a `?`, `#` or `%` of the path is no part of the parameters.
    uri = f"{path.absolute().as_uri()}?{query}"
    return sqlite3.connect(uri, uri=True, isolation_level=None)


def _log_of(path: Path) -> Path:
    return path.with_name(f"{path.name}-wal")


def _index_of(path: Path) -> Path:
    return path.with_name(f"{path.name}-shm")


def _stamp(path: Path) -> _Stamp | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    except OSError as error:
        # A log that is there and not seen would be missed.
        raise HomeError(f"{path} cannot be looked at: {error.strerror or error}") from error
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns
