"""`callslip backup`: a copy of the database, taken while it is in use."""

import os
import sqlite3
from pathlib import Path
from typing import Annotated

import anyio
import typer

from server.commands.output import (
    HOME,
    USAGE,
    JsonFlag,
    fail,
    say_done,
)
from server.commands.runner import read_settings
from storage.errors import StorageError
from storage.objects import ObjectStore, take_in
from storage.read_only import reading

__all__ = ["backup"]


def backup(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="Where the copy goes; must not exist.")
    ],
    as_json: JsonFlag = False,
) -> None:
    """Copy the home, large results included, to FILE; servers may be running."""
    settings = read_settings()
    source = settings.database_path
    if file.exists():
        fail(f"{file} exists; a backup never overwrites: choose another name", USAGE)
    if not source.exists():
        fail(f"{source} is not there: nothing has been stored in this home yet", HOME)
    try:
        # Its owner's alone, as the home is; SQLite fills an empty file.
        os.close(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except OSError as error:
        fail(f"{source} cannot be copied to {file}: {error.strerror}", HOME)
    try:
        with reading(source) as connection:
            # One consistent copy without the space that deleted runs left.
            connection.execute("VACUUM INTO ?", (str(file),))
        objects = ObjectStore(settings.results_directory, settings.results_url)
        anyio.run(take_in, file, objects)
    except (sqlite3.Error, StorageError) as error:
        file.unlink(missing_ok=True)
        fail(f"{source} cannot be copied to {file}: {error}", HOME)
    size = file.stat().st_size
    text = f"{file}: {size:,} bytes\nto restore, stop the servers and move it to {source}"
    say_done(text, {"file": str(file), "bytes": size, "restoreTo": str(source)}, as_json)
