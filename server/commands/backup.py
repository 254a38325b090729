"""`callslip backup`: a copy of the database, taken while it is in use."""

import sqlite3
from pathlib import Path
from typing import Annotated

import typer

from server.commands.output import HOME, USAGE, fail, note
from server.commands.runner import read_settings

__all__ = ["backup"]


def backup(
    file: Annotated[Path, typer.Argument(help="Where the copy goes; must not exist.")],
) -> None:
    """Copy the home's database to FILE; servers may be running."""
    source = read_settings().database_path
    if file.exists():
        fail(f"{file} exists; a backup never overwrites: choose another name", USAGE)
    if not source.exists():
        fail(f"{source} is not there: nothing has been stored in this home yet", HOME)
    try:
        with sqlite3.connect(source) as connection:
            # One consistent copy without the space that deleted runs left.
            connection.execute("VACUUM INTO ?", (str(file),))
    except sqlite3.Error as error:
        file.unlink(missing_ok=True)
        fail(f"{source} cannot be copied to {file}: {error}", HOME)
    note(f"{file}: {file.stat().st_size:,} bytes")
    note(f"to restore, stop the servers and move it to {source}")
