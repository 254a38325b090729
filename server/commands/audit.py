"""`callslip audit`: whether any stored byte holds a credential."""

import sqlite3
from pathlib import Path
from typing import Annotated

import anyio
import typer

from server.commands.output import FAILED, HOME, USAGE, JsonFlag, fail, note, print_json
from server.commands.runner import read_settings, run_with_service
from server.commands.sources import read_stdin
from server.service import Service
from storage.audit import audit as audit_home
from storage.audit import named
from storage.errors import StorageError
from storage.objects import ObjectStore

__all__ = ["audit"]


def audit(
    secrets: Annotated[
        str | None, typer.Option(metavar="-", help="Search for these too: stdin, one a line.")
    ] = None,
    log_file: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="Search this log outside the home too; repeatable."),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Search everything stored for every stored credential; exit 1 when one is found."""
    if secrets not in {None, "-"}:
        fail("--secrets takes only - (stdin): arguments are seen by all", USAGE)
    known = named(filter(None, read_stdin("--secrets").splitlines())) if secrets else {}

    async def work(service: Service) -> tuple[dict[str, str], list[str]]:
        return await service.connections.all_secrets()

    stored, unread = run_with_service(work)
    known |= stored
    settings = read_settings()
    objects = ObjectStore(settings.results_directory, settings.results_url)

    try:
        report = anyio.run(
            audit_home, settings.home, settings.database_path, known, objects, log_file or ()
        )
    except (sqlite3.Error, OSError, StorageError) as error:
        fail(f"{settings.home} cannot be searched: {error}", HOME)
    if as_json:
        print_json({**report.wire(), "notScanned": [*report.not_scanned, *unread]})
    else:
        if report.secrets:
            typer.echo(
                f"hits: {report.hits}; secrets searched for: {report.secrets}; "
                f"bytes searched: {report.bytes_scanned:,}"
            )
        else:
            typer.echo("no credential can be searched for")
        for location in report.locations:
            typer.echo(f"  {location}")
        for name in report.not_scanned:
            note(f"not scanned, too short to search for: {name}")
        for name in unread:
            note(f"not scanned, its source cannot be read: {name}")
    if report.hits:
        raise typer.Exit(FAILED)
