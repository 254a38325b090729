"""The schema of a home's database: which one it has, and how it is brought to this program's."""

import sqlite3
from importlib.resources import files
from pathlib import Path

from storage.errors import HomeError

__all__ = ["SCHEMA_VERSION", "migrate", "refuse_strange", "require_current"]

#: The newest schema this program knows.
SCHEMA_VERSION = 8
#: "CSLP" in ASCII, so that `file` and other programs can tell what this is.
_APPLICATION_ID = 0x43534C50


def migrate(connection: sqlite3.Connection) -> None:
    """Apply what is missing; each migration and its number are one transaction."""
    if _schema_version(connection) == SCHEMA_VERSION:
        return
    connection.execute("BEGIN EXCLUSIVE")
    try:
        # Another process may have migrated while this one waited.
        version = _schema_version(connection)
        for number, script in _migrations():
            if number > version:
                for statement in _statements(script):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version={number}")
        connection.execute(f"PRAGMA application_id={_APPLICATION_ID}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def refuse_strange(connection: sqlite3.Connection, path: Path) -> None:
    """Raises `HomeError` for a database of another program, or of a newer one of ours."""
    # One snapshot: another process may be making this database right now.
    connection.execute("BEGIN")
    try:
        version = _schema_version(connection)
        owner = connection.execute("PRAGMA application_id").fetchone()[0]
        tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    finally:
        # A full disk ends it.
        if connection.in_transaction:
            connection.execute("COMMIT")
    if owner != _APPLICATION_ID and (owner or version or tables):
        raise HomeError(
            f"{path} is a database of another program; set CALLSLIP_HOME to a directory of its own"
        )
    if version > SCHEMA_VERSION:
        raise HomeError(
            f"{path} has schema {version}, written by a newer callslip; this one knows "
            f"{SCHEMA_VERSION}. Upgrade callslip, or set CALLSLIP_HOME to another directory"
        )


def require_current(connection: sqlite3.Connection, path: Path) -> None:
    """Raises `HomeError` unless the database is as `migrate` leaves it."""
    version = _schema_version(connection)
    if version != SCHEMA_VERSION:
        raise HomeError(
            f"{path} cannot be written, and has schema {version} where this callslip reads "
            f"{SCHEMA_VERSION}; open it once where it can be written, which brings it there, or "
            "set CALLSLIP_HOME to a copy in a directory you can write"
        )


def _schema_version(connection: sqlite3.Connection) -> int:
    return connection.execute("PRAGMA user_version").fetchone()[0]


def _migrations() -> list[tuple[int, str]]:
    """The migrations in order, as number and SQL."""
    folder = files("storage") / "migrations"
    scripts = sorted(
        (entry for entry in folder.iterdir() if entry.name.endswith(".sql")),
        key=lambda entry: entry.name,
    )
    return [(int(entry.name[:4]), entry.read_text("utf-8")) for entry in scripts]


def _statements(script: str) -> list[str]:
    statements: list[str] = []
    text = ""
    for line in script.splitlines(keepends=True):
        text += line
        if sqlite3.complete_statement(text):
            statements.append(text)
            text = ""
    return statements
