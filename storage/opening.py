"""Opens the database of a home, for writing where that is possible."""

import os
import sqlite3
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Literal

import anyio

from storage.database import READERS, Database
from storage.errors import DiskFullError, HomeError
from storage.read_only import can_only_be_read, full_disk_error, read_only_error
from storage.read_only_database import ReadOnlyDatabase
from storage.schema import migrate
from storage.sqlite_connections import Connection, close_all, connect
from storage.sqlite_errors import home_error
from storage.writable import WritableDatabase

__all__ = ["open_database"]


@asynccontextmanager
async def open_database(
    path: Path, *, durability: Literal["normal", "full"] = "normal"
) -> AsyncGenerator[Database]:
    """Open (or create) the database at `path` and bring it to this program's schema.

    `normal` survives `kill -9`, `full` a power cut too. One that is there and cannot be written, or
    whose disk is full, is opened read-only. Raises `HomeError`: the directory cannot be made, the
    file is not a database, is damaged, newer than this program, or older and cannot be written.
    """
    if can_only_be_read(path):
        opened = _open_to_read(path, read_only_error(path))
    else:
        try:
            opened = _open_to_write(path, durability, await _connect(path, durability))
        except DiskFullError as error:
            opened = _open_to_read(path, full_disk_error(path), otherwise=error)
    async with opened as database:
        yield database


@asynccontextmanager
async def _open_to_read(
    path: Path, why: HomeError, *, otherwise: HomeError | None = None
) -> AsyncGenerator[Database]:
    """`otherwise` is raised where it cannot be read either."""
    database = ReadOnlyDatabase(path, why)
    try:
        try:
            await database.open()
        except HomeError as error:
            if otherwise is None:
                raise
            raise otherwise from error
        yield database
    finally:
        await database.close()


async def _connect(path: Path, durability: Literal["normal", "full"]) -> list[Connection]:
    """A connection for the writer, and for the readers and checkpoints. Raises `HomeError`."""
    _make_home(path.parent)
    _make_private(path)
    connections: list[Connection] = []
    try:
        writer = await connect(path, durability)
        connections.append(writer)
        await writer.run(migrate)
        await writer.run(lambda connection: connection.execute("PRAGMA busy_timeout=0"))
        for _ in range(READERS + 1):
            connections.append(await connect(path, durability))
    except BaseException as error:
        await close_all(connections)
        if isinstance(error, sqlite3.Error):
            raise home_error(error, path) from error
        raise
    return connections


@asynccontextmanager
async def _open_to_write(
    path: Path, durability: Literal["normal", "full"], connections: list[Connection]
) -> AsyncGenerator[Database]:
    try:
        writer, *readers, checkpointer = connections
        database = WritableDatabase(path, writer, readers, syncs_commits=durability == "full")
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
        await close_all(connections)


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
