"""`callslip import …`: descriptions of an API become stored tools."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from server.commands.output import USAGE, fail, note, print_json
from server.commands.runner import run_with_service
from server.importing import ImportReport, fetch_document, import_document, is_url, shown_url
from server.importing_identity import STDIN
from server.service import Service
from tools.importers import DocumentError
from tools.importers.openapi import (
    MAX_DOCUMENT_BYTES,
    OpenApiOptions,
    reader_of_folder,
)
from tools.json_text import Json, JsonObject

app = typer.Typer(
    no_args_is_help=True,
    help="Make tools of OpenAPI documents, curl commands, HAR, Postman, Arazzo, or exports.",
)

_MOST_SHOWN = 20


@app.callback()
def import_() -> None:
    """Make tools of a description of an API."""


@app.command("openapi")
def openapi(
    source: Annotated[
        str, typer.Argument(metavar="FILE|URL|-", help="OpenAPI 3.0 or 3.1, or Swagger 2.0.")
    ],
    system: Annotated[
        str | None,
        typer.Option("--system", metavar="ID", help="Id of the system; else the title gives one."),
    ] = None,
    include: Annotated[
        list[str] | None,
        typer.Option(
            "--include",
            metavar="PATTERN",
            help="Only this path, `METHOD /path` or operationId, with * and ?; repeatable.",
        ),
    ] = None,
    tag: Annotated[
        list[str] | None, typer.Option("--tag", metavar="TAG", help="Only this tag; repeatable.")
    ] = None,
    folder: Annotated[
        str | None,
        typer.Option("--folder", metavar="PATH", help="Folder of the tools; else their first tag."),
    ] = None,
    output_schemas: Annotated[
        bool, typer.Option("--output-schemas", help="Check results by the document's schemas.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would change, and store nothing.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")] = False,
) -> None:
    """Make a tool of each operation, and a system; again: update them."""

    async def work(service: Service) -> ImportReport:
        name = source
        base_url: str | None = None
        read_file: Callable[[str], Json] | None = None
        if is_url(source):
            fetched = await fetch_document(service, source)
            content, base_url, name = fetched.content, fetched.url, shown_url(source)
        elif source == "-":
            content, name = sys.stdin.buffer.read(MAX_DOCUMENT_BYTES + 1), STDIN
        else:
            content, name, read_file = _read(Path(source))
        options = OpenApiOptions(system, include or (), tag or (), folder, output_schemas, base_url)
        return await import_document(service, content, options, name, read_file, dry_run=dry_run)

    try:
        report = run_with_service(work)
    except DocumentError as error:
        place = shown_url(source) if is_url(source) else source
        fail(str(error) if error.place == place else f"{place}: {error}", USAGE)
    if as_json:
        print_json(report.wire())
    else:
        print_report(report.wire())


def _read(path: Path) -> tuple[bytes, str, Callable[[str], Json]]:
    """A file, its whole path, and what reads the files beside it."""
    try:
        with path.open("rb") as file:
            # One byte more than is allowed, so that a large file is refused and not read.
            content = file.read(MAX_DOCUMENT_BYTES + 1)
        return content, str(path.resolve()), reader_of_folder(path.parent)
    except OSError as error:
        raise DocumentError(f"cannot be read: {error.strerror}") from None


def print_report(report: JsonObject) -> None:
    """What an import did, for people."""
    counts, system = report["counts"], report["system"]
    typer.echo(f"{_plain(report['title'])} ({report['format']})")
    for kind in ("added", "changed", "removed", "unchanged", "edited"):
        if kind != "unchanged" and report[kind]:
            typer.echo(f"{kind} {counts[kind]}:")
            _print_some([f"{one['id']}  {one['operation']}{_changes(one)}" for one in report[kind]])
        elif counts[kind]:
            typer.echo(f"{kind} {counts[kind]}")
    if report["changed"] and not report["dryRun"]:
        one = report["changed"][0]
        command = f"callslip tools restore {one['id']} {one['versionBefore']}"
        note(f"a tool that should have stayed as it was: {command}")
    if report["edited"]:
        note("edited tools are left as they are; remove one to have it imported again")
    if report["pagination"]:
        typer.echo(f"pages recognised {len(report['pagination'])}:")
        _print_some(
            [f"{one['id']}  {one['type']}: {one['because']}" for one in report["pagination"]]
        )
    if report["renamedInputs"]:
        typer.echo(f"inputs renamed {len(report['renamedInputs'])}:")
        _print_some(
            [f"{one['id']}  {one['name']} is {one['input']}" for one in report["renamedInputs"]]
        )
    if counts["notCarriedOver"]:
        typer.echo(f"not carried over {counts['notCarriedOver']}:")
        _print_some([f"{one['place']}: {one['reason']}" for one in report["notCarriedOver"]])
    for one in (system, *report["furtherSystems"]):
        print_system(one)
    if report["dryRun"]:
        note("a dry run: nothing was stored")


def _changes(entry: JsonObject) -> str:
    """What changes in a tool, for the end of its line."""
    kinds = entry.get("inputs", {}).items()
    said = [f"inputs {kind}: {', '.join(names)}" for kind, names in kinds]
    if parts := entry.get("parts"):
        said.append(f"other: {', '.join(parts)}")
    return f" ({'; '.join(said)})" if said else ""


def print_system(system: JsonObject) -> None:
    """What became of a system and its credentials; no value is shown."""
    where = f" at {system['url']}" if "url" in system else ", which has no url yet"
    how = f", signs in with {system['auth']}" if "auth" in system else ""
    typer.echo(f"system {system['id']} {system['outcome']}{where}{how}")
    if "takenId" in system and system["outcome"] == "added":
        taken = system["takenId"]
        note(f"{taken} is the system of another API; if it is the same one, name --system {taken}")
    for key in system.get("differs", ()):
        other = f", which is {system['documentUrl']}" if "documentUrl" in system else ""
        note(
            f"the {key} of system {system['id']} is not the document's"
            f"{other if key == 'url' else ''}; the stored one is kept"
        )
    for credential in system["credentials"]:
        purpose = f", for {_plain(credential['for'])}" if "for" in credential else ""
        if "isTaken" in credential:
            typer.echo(f"  credential {credential['name']}: taken from the document, stored sealed")
        elif not credential["isSet"]:
            note(f"to be set{purpose}: {credential['command']}")


def _print_some(lines: list[str]) -> None:
    for line in lines[:_MOST_SHOWN]:
        typer.echo(f"  {_plain(line)}")
    if len(lines) > _MOST_SHOWN:
        typer.echo(f"  and {len(lines) - _MOST_SHOWN} more; --json shows all")


def _plain(text: str) -> str:
    """Text of others: no control characters reach the terminal."""
    return "".join(one if one.isprintable() else " " for one in text)
