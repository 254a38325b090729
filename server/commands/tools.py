"""`callslip tools …`: stored tools from the terminal."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from server.commands.output import (
    USAGE,
    JsonFlag,
    fail,
    note,
    print_json,
    print_table,
    say_done,
)
from server.commands.run_reports import print_difference
from server.commands.runner import run_with_service
from server.service import Service
from storage.tools import PutOutcome, ToolRemoval, ToolVersion
from tools.check import CheckedTool
from tools.exporters.arazzo import export_arazzo
from tools.exporters.curl import export_curl
from tools.json_text import Json, JsonObject, decode_json
from tools.model import Tool
from tools.problems import Problem
from tools.run import rfc3339
from tools.system import System
from tools.touches import Touch
from tools.touches import touches as touches_of

app = typer.Typer(
    no_args_is_help=True,
    help="Stored tools: add, check, list, show, remove, versions, compare, restore, export.",
)

ToolId = Annotated[str, typer.Argument(metavar="TOOL", help="The id of a stored tool.")]
Source = Annotated[
    str, typer.Argument(metavar="FILE|DIR|-", help="A tool, a list of tools, a folder, or stdin.")
]


@dataclass(frozen=True)
class Definition:
    """A definition and where it stands; `problem` when there is none."""

    place: str
    value: Json = None
    problem: Problem | None = None


@app.command()
def add(source: Source, as_json: JsonFlag = False) -> None:
    """Store tools; what is valid is saved, what is refused gives exit code 2."""
    _check_all(source, as_json, store=True)


@app.command()
def check(source: Source, as_json: JsonFlag = False) -> None:
    """Check tools without storing them: every problem, with its path."""
    _check_all(source, as_json, store=False)


@app.command("list")
def list_(as_json: JsonFlag = False) -> None:
    """List the stored tools."""

    async def work(service: Service) -> list[JsonObject]:
        return [stored.definition for stored in await service.tools.all()]

    definitions = run_with_service(work)
    if as_json:
        print_json(definitions)
        return
    if not definitions:
        note("no tools are stored; `callslip tools add FILE` stores one")
        return
    print_table(
        ("id", "version", "folder", "what it does"),
        [
            (
                definition["id"] + (" (archived)" if definition.get("archived") else ""),
                str(definition.get("version", "")),
                definition.get("folder") or "",
                (definition.get("instruction") or definition.get("name") or "")[:100],
            )
            for definition in definitions
        ],
    )


@app.command()
def show(
    tool_id: ToolId,
    touches: Annotated[
        bool, typer.Option("--touches", help="What a run would reach: hosts, methods, writes.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Show a stored tool."""

    async def work(service: Service) -> tuple[JsonObject, list[Touch]]:
        definition = (await service.tools.get(tool_id)).definition
        load_tool = service.catalog.load_tool
        return definition, touches_of(Tool.model_validate(definition), load_tool)

    definition, touched = run_with_service(work)
    if not touches:
        print_json(definition)
    elif as_json:
        print_json([touch.wire() for touch in touched])
    else:
        _show_touches(touched)


@app.command()
def remove(tool_id: ToolId, as_json: JsonFlag = False) -> None:
    """Remove a stored tool; its runs stay."""

    async def work(service: Service) -> None:
        await service.tools.remove(tool_id)

    run_with_service(work)
    facts: JsonObject = {"id": tool_id, "outcome": "removed"}
    say_done(f"removed {tool_id}; its runs stay in the history", facts, as_json)


@app.command()
def versions(tool_id: ToolId, as_json: JsonFlag = False) -> None:
    """List the versions of a tool, the newest first, who made each, and when it was removed."""

    async def work(service: Service) -> tuple[list[ToolVersion], list[ToolRemoval]]:
        return await service.tools.versions(tool_id), await service.tools.removals(tool_id)

    found, removals = run_with_service(work)
    if as_json:
        changes = [(one.created_at, _version(one)) for one in found]
        changes += [(one.removed_at, one.wire()) for one in removals]
        print_json([view for _, view in sorted(changes, key=_moment_of, reverse=True)])
        return
    rows = [
        (
            one.created_at,
            (
                str(one.version_number),
                str((one.definition or {}).get("version", "cannot be read")),
                rfc3339(one.created_at),
                _made_by(one.changed_by, one.client_name),
                str((one.definition or {}).get("instruction") or "")[:100],
            ),
        )
        for one in found
    ]
    rows += [
        (
            one.removed_at,
            (
                "",
                "removed",
                rfc3339(one.removed_at),
                _made_by(one.changed_by, one.client_name),
                "",
            ),
        )
        for one in removals
    ]
    print_table(
        ("n", "version", "stored", "by", "what it does"),
        [row for _, row in sorted(rows, key=_moment_of, reverse=True)],
    )


@app.command()
def compare(
    tool_id: ToolId,
    a: Annotated[int, typer.Argument(metavar="A", help="The older, as `tools versions` shows it.")],
    b: Annotated[int, typer.Argument(metavar="B", help="The newer.")],
    as_json: JsonFlag = False,
) -> None:
    """Say what is different between two versions of a tool."""

    async def work(service: Service) -> JsonObject:
        return await service.tools.compare(tool_id, a, b)

    difference = run_with_service(work)
    if as_json:
        print_json(difference)
    elif difference["total"]:
        print_difference(f"{tool_id}, version {a} to {b}", difference)
    else:
        note(f"versions {a} and {b} of {tool_id} are the same")


@app.command()
def restore(
    tool_id: ToolId,
    number: Annotated[int, typer.Argument(metavar="N", help="As `tools versions` shows it.")],
    as_json: JsonFlag = False,
) -> None:
    """Make an earlier version the newest one; brings a removed tool back."""

    async def work(service: Service) -> PutOutcome:
        return await service.tools.restore(tool_id, number)

    outcome = run_with_service(work)
    text = f"{tool_id} is as in version {number} again, as {outcome.version}"
    if outcome.outcome == "unchanged":
        text = f"{tool_id} has this content already, as {outcome.version}"
    facts: JsonObject = {"id": tool_id, "version": outcome.version, "outcome": outcome.outcome}
    say_done(text, facts | {"versionNumber": outcome.version_number}, as_json)


def _moment_of(change: tuple[int, Any]) -> int:
    return change[0]


def _made_by(user: str | None, client: str | None) -> str:
    return f"{user or ''} with {client}" if client else user or ""


def _version(version: ToolVersion) -> JsonObject:
    fields: JsonObject = {
        "versionNumber": version.version_number,
        "createdAt": rfc3339(version.created_at),
    }
    if version.changed_by is not None:
        fields["changedBy"] = version.changed_by
    if version.client_name is not None:
        fields["clientName"] = version.client_name
    if version.definition is not None:
        fields |= {"version": version.definition["version"], "definition": version.definition}
    return fields


class ExportFormat(StrEnum):
    """What stored tools are printed as."""

    CALLSLIP = "callslip"
    ARAZZO = "arazzo"
    CURL = "curl"


@app.command()
def export(
    tool_ids: Annotated[
        list[str] | None,
        typer.Argument(metavar="TOOL", help="Their ids; all tools without one."),
    ] = None,
    format_: Annotated[
        ExportFormat,
        typer.Option("--format", help="callslip: `tools add` takes it back; arazzo; curl."),
    ] = ExportFormat.CALLSLIP,
) -> None:
    """Print stored tools as a JSON list, an Arazzo document, or curl commands."""

    async def work(service: Service) -> tuple[list[JsonObject], dict[str, System]]:
        if tool_ids:
            found = [(await service.tools.get(tool_id)).definition for tool_id in tool_ids]
        else:
            found = [stored.definition for stored in await service.tools.all()]
        return found, {
            one.id: System.model_validate(one.definition)
            for one in await service.connections.store.list()
            if one.environment == "prod"
        }

    definitions, systems = run_with_service(work)
    if format_ is ExportFormat.CALLSLIP:
        print_json(definitions)
        return
    tools = [Tool.model_validate(one) for one in definitions]
    if format_ is ExportFormat.CURL:
        exported = export_curl(tools, systems)
        typer.echo(exported.content)
    else:
        exported = export_arazzo(tools, systems)
        print_json(exported.content)
    for reason in exported.left_out:
        note(f"not exported: {reason}")


def _show_touches(found: list[Touch]) -> None:
    print_table(
        ("step", "method", "where", "credentials", "effect"),
        [
            (
                touch.step_id,
                touch.method or "run",
                touch.problem
                or touch.origin
                or touch.system_id
                or touch.tool_id
                or "chosen when it runs",
                ", ".join(touch.credentials),
                "destructive" if touch.destructive else "writes" if touch.writes else "reads",
            )
            for touch in found
        ],
    )


def _check_all(source: str, as_json: bool, *, store: bool) -> None:
    definitions = list(_read_definitions(source))
    reports = run_with_service(lambda service: _reports(service, definitions, store))
    if as_json:
        print_json({"tools": reports})
    else:
        for definition, report in zip(definitions, reports, strict=True):
            _print_report(definition.place, report, store)
    if not reports:
        fail(f"{source} holds no tools; in a folder every *.json is read", USAGE)
    if any(report["outcome"] == "refused" for report in reports):
        raise typer.Exit(USAGE)


async def _reports(
    service: Service, definitions: list[Definition], store: bool
) -> list[JsonObject]:
    reports: list[JsonObject] = []
    new_tool_ids = frozenset(_ids(definitions))
    for definition in definitions:
        if definition.problem is not None:
            reports.append({"outcome": "refused", "problems": [definition.problem.wire()]})
        elif store:
            checked, outcome = await service.tools.put(definition.value, new_tool_ids=new_tool_ids)
            report = _report(checked)
            if outcome is not None:
                report |= {"version": outcome.version, "outcome": outcome.outcome}
            reports.append(report)
        else:
            checked = await service.tools.check(definition.value, new_tool_ids=new_tool_ids)
            reports.append(_report(checked))
    return reports


def _ids(definitions: list[Definition]) -> Iterator[str]:
    """The ids that the definitions have of their own: they may name each other."""
    for definition in definitions:
        match definition.value:
            case {"id": str() as tool_id}:
                yield tool_id
            case _:
                pass


def _report(checked: CheckedTool) -> JsonObject:
    report: JsonObject = {} if checked.id is None else {"id": checked.id}
    if checked.definition is not None and "version" in checked.definition:
        report["version"] = checked.definition["version"]
    report["outcome"] = "valid" if checked.is_valid else "refused"
    report["problems"] = [problem.wire() for problem in checked.problems]
    return report


def _print_report(place: str, report: JsonObject, store: bool) -> None:
    name = report.get("id")
    version = f" {report['version']}" if "version" in report else ""
    line = f"{report['outcome']}: {name or place}{version}"
    if report["outcome"] == "refused":
        typer.echo(f"{line} ({place})" if name else line, err=True)
    else:
        typer.echo(line)
    for problem in report["problems"]:
        severity = "warning: " if problem.get("severity") == "warning" else ""
        note(f"  {severity}{Problem(**problem)}")
    if report["outcome"] == "refused" and store:
        note("  nothing of it was stored")


def _read_definitions(source: str) -> Iterator[Definition]:
    """Definitions of a file, of every `*.json` below a folder, or of stdin."""
    if source == "-":
        yield from _parse(sys.stdin.buffer.read(), "stdin")
        return
    path = Path(source)
    if not path.exists():
        fail(f"{source} is not there; valid is a file, a folder, or - for stdin", USAGE)
    files = sorted(path.rglob("*.json")) if path.is_dir() else [path]
    for file in files:
        try:
            content = file.read_bytes()
        except OSError as error:
            yield Definition(str(file), problem=Problem("", f"cannot be read: {error.strerror}"))
            continue
        yield from _parse(content, str(file))


def _parse(content: bytes, place: str) -> Iterator[Definition]:
    try:
        value = decode_json(content.removeprefix(b"\xef\xbb\xbf"))
    except ValueError as error:
        problem = Problem("", f"this is not JSON: {error}", valid="a tool, or a list of tools")
        yield Definition(place, problem=problem)
        return
    if isinstance(value, dict) and "steps" not in value:
        # The answer of a server that lists tools.
        fields = cast("dict[str, Any]", value)
        listed = fields.get("data", fields.get("tools"))
        value = listed if isinstance(listed, list) else value  # pyright: ignore[reportUnknownVariableType]: raw JSON
    if isinstance(value, list):
        for index, element in enumerate(cast("list[Any]", value)):
            yield Definition(f"{place}[{index}]", element)
    else:
        yield Definition(place, value)
