"""`callslip import curl | har | postman | arazzo | superglue`: requests become stored tools."""

import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated

import typer

from server.commands.importing import print_report, print_system
from server.commands.output import USAGE, fail, note, print_json
from server.commands.runner import run_with_service
from server.credentials import read_source
from server.importing import ImportReport, is_url, shown_url, store_import
from server.importing_sign_ins import with_own_sign_ins
from server.importing_tools import fetch_tools, store_found_tools
from server.service import Service
from tools.importers import DocumentError, ImportResult
from tools.importers.arazzo import import_arazzo
from tools.importers.curl import MAX_COMMAND_BYTES, import_curl
from tools.importers.har import HarOptions, import_har
from tools.importers.openapi import MAX_DOCUMENT_BYTES
from tools.importers.postman import import_postman
from tools.importers.superglue import listed_tools
from tools.json_text import JsonObject
from tools.problems import Problem

__all__ = ["COMMANDS"]

System = Annotated[
    str | None,
    typer.Option("--system", metavar="ID", help="Id of the system; else the host gives one."),
]
Folder = Annotated[
    str | None, typer.Option("--folder", metavar="PATH", help="Folder of the tools.")
]
Literal = Annotated[
    bool, typer.Option("--literal", help="Keep the values that were seen; they are no inputs.")
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Say what would change, and store nothing.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]
Source = Annotated[str, typer.Argument(metavar="FILE|-", help="A file, or - for stdin.")]


def curl(
    command: Annotated[
        str | None, typer.Argument(metavar="COMMAND", help="The text; without it, stdin.")
    ] = None,
    system: System = None,
    folder: Folder = None,
    literal: Literal = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Make a tool of each request of a curl command; its secrets become credentials."""

    def read() -> ImportResult:
        text = command
        if text is None or text == "-":
            text = sys.stdin.buffer.read(MAX_COMMAND_BYTES + 1).decode("utf-8", "replace")
        return import_curl(text, system_id=system, folder=folder, literal=literal)

    _store(read, "curl", dry_run, as_json, _found_in(system))


def har(
    source: Source,
    include: Annotated[
        list[str] | None,
        typer.Option(
            "--include",
            metavar="PATTERN",
            help="Only calls of this url, path or `METHOD /path`, with * and ?; repeatable.",
        ),
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most this many tools.")] = 200,
    system: System = None,
    folder: Folder = None,
    literal: Literal = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Make tools of the API calls that a browser recorded."""
    options = HarOptions(tuple(include or ()), limit, system, folder, literal)
    name = _name(source)
    _store(lambda: import_har(_read(source), options), name, dry_run, as_json, _found_in(system))


def postman(
    source: Source,
    system: System = None,
    folder: Folder = None,
    literal: Literal = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Make a tool of each request of a Postman collection (2.0 or 2.1)."""

    def read() -> ImportResult:
        return import_postman(_read(source), system_id=system, folder=folder, literal=literal)

    _store(read, _name(source), dry_run, as_json, _found_in(system))


def arazzo(
    source: Source,
    system: System = None,
    folder: Folder = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Make a tool of each workflow, and of the operations in the OpenAPI files it names."""

    def read() -> ImportResult:
        beside = None if source == "-" else _reader_beside(Path(source))
        return import_arazzo(_read(source), read_bytes=beside, system_id=system, folder=folder)

    _store(read, _name(source), dry_run, as_json)


def superglue(
    source: Annotated[
        str, typer.Argument(metavar="FILE|URL|-", help="An export, or a server's address.")
    ],
    key_env: Annotated[
        str | None,
        typer.Option(
            "--key-env", metavar="VARIABLE", help="The variable that holds the server's key."
        ),
    ] = None,
    key_stdin: Annotated[
        bool, typer.Option("--key-stdin", help="Read the server's key from stdin.")
    ] = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Store exported tools, or those of a server that speaks the same REST."""

    async def work(service: Service) -> JsonObject:
        if not is_url(source):
            return await store_found_tools(service, listed, dry_run=dry_run)
        key = sys.stdin.readline().strip() if key_stdin else None
        if key_env is not None:
            try:
                key = await read_source({"fromEnv": key_env})
            except OSError as error:
                raise DocumentError(str(error)) from None
        return await store_found_tools(
            service, await fetch_tools(service, source, key), dry_run=dry_run
        )

    if (key_stdin or key_env is not None) and not is_url(source):
        fail("--key-env and --key-stdin belong to a URL", USAGE)
    name = shown_url(source) if is_url(source) else source
    try:
        listed = [] if is_url(source) else listed_tools(_read(source))
        report = run_with_service(work)
    except DocumentError as error:
        is_named = (error.place or "").startswith(name)
        fail(str(error) if is_named else f"{name}: {error}", USAGE)
    if as_json:
        print_json(report)
    else:
        _print_tools(report)
    if any(one["outcome"] == "refused" for one in report["tools"]):
        raise typer.Exit(USAGE)


def _print_tools(report: JsonObject) -> None:
    for one in report["tools"]:
        typer.echo(f"{one['outcome']}: {one['id']}")
        for problem in one["problems"]:
            severity = "warning: " if problem.get("severity") == "warning" else ""
            note(f"  {severity}{Problem(**problem)}")
    for system in report["systems"]:
        print_system(system)
    for one in report["notCarriedOver"]:
        note(f"not carried over: {one['place']}: {one['reason']}")
    if report["dryRun"]:
        note("a dry run: nothing was stored")


#: What is done to a result, whose source is named, before it is stored.
Prepare = Callable[[Service, ImportResult, str], Awaitable[ImportResult]]


def _found_in(wanted_id: str | None) -> Prepare:
    """Prepares requests that were found somewhere: each signs in as it did there."""

    async def prepare(service: Service, result: ImportResult, source: str) -> ImportResult:
        return await with_own_sign_ins(service, result, source, wanted_id=wanted_id)

    return prepare


def _store(
    read: Callable[[], ImportResult],
    name: str,
    dry_run: bool,
    as_json: bool,
    prepare: Prepare | None = None,
) -> None:
    """Read first: a document that cannot be imported opens no home."""

    async def work(service: Service) -> ImportReport:
        prepared = result if prepare is None else await prepare(service, result, name)
        return await store_import(service, prepared, name, dry_run=dry_run)

    try:
        result = read()
        report = run_with_service(work)
    except DocumentError as error:
        fail(f"{name}: {error}", USAGE)
    if as_json:
        print_json(report.wire())
    else:
        print_report(report.wire())


def _name(source: str) -> str:
    return "stdin" if source == "-" else str(Path(source).resolve())


def _reader_beside(path: Path) -> Callable[[str], bytes]:
    """Reads files below the folder of a document; links out of it are not followed."""
    root = path.resolve().parent

    def read_bytes(name: str) -> bytes:
        file = (root / name).resolve()
        if not file.is_relative_to(root):
            raise DocumentError("it leads out of the document's folder")
        return _read(str(file))

    return read_bytes


def _read(source: str) -> bytes:
    """At most one byte more than is allowed, so that a large file is refused, not read."""
    if source == "-":
        return sys.stdin.buffer.read(MAX_DOCUMENT_BYTES + 1)
    try:
        with Path(source).open("rb") as file:
            return file.read(MAX_DOCUMENT_BYTES + 1)
    except OSError as error:
        raise DocumentError(f"cannot be read: {error.strerror}") from None


#: The commands by their names, beside `import openapi`.
COMMANDS: dict[str, Callable[..., None]] = {
    "curl": curl,
    "har": har,
    "postman": postman,
    "arazzo": arazzo,
    "superglue": superglue,
}
