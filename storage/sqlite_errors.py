"""What SQLite raises, in words: where, what was seen, what to do."""

import sqlite3
from pathlib import Path

from storage.errors import DamageError, DiskFullError, HomeError, RunExistsError, StorageError

__all__ = [
    "BUSY_TIMEOUT_SECONDS",
    "home_error",
    "is_busy",
    "storage_error",
    "unreadable",
    "with_words",
]

#: How long another program may keep the database locked.
BUSY_TIMEOUT_SECONDS = 10.0


def is_busy(error: Exception) -> bool:
    """Whether another program has the database locked."""
    return getattr(error, "sqlite_errorname", "").startswith("SQLITE_BUSY")


def with_words(error: Exception, path: Path) -> Exception:
    """The error to be raised for one that a function on a connection has raised."""
    if isinstance(error, sqlite3.Error | UnicodeEncodeError):
        wrapped = storage_error(error, path)
        wrapped.__cause__ = error
        return wrapped
    return error


def unreadable(error: sqlite3.Error, path: Path) -> HomeError:
    """Why a database that cannot be written cannot be read either."""
    if (error.sqlite_errorname or "").startswith(
        ("SQLITE_CANTOPEN", "SQLITE_READONLY", "SQLITE_PERM")
    ):
        return HomeError(
            f"{path} cannot be written, and not be read whole ({error}): what was recorded last is "
            f"in {path.name}-wal and {path.name}-shm; make all of them readable, or set "
            "CALLSLIP_HOME to a directory you can write"
        )
    return home_error(error, path)


def home_error(error: sqlite3.Error, path: Path) -> HomeError:
    """Why the database cannot be opened."""
    found = storage_error(error, path)
    return found if isinstance(found, HomeError) else HomeError(str(found))


def storage_error(error: sqlite3.Error | UnicodeEncodeError, path: Path) -> StorageError:
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
    if code.startswith(("SQLITE_FULL", "SQLITE_IOERR_SHMSIZE")):
        return DiskFullError(f"the disk of {path} is full; free some space, nothing was lost")
    if code.startswith("SQLITE_BUSY"):
        return StorageError(
            f"{path} stayed locked by another program for {BUSY_TIMEOUT_SECONDS:g} s; "
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
