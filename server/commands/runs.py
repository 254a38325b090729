"""`callslip runs …`: the history from the terminal."""

from collections.abc import Callable
from enum import StrEnum
from typing import Annotated

import typer

from server.commands.output import (
    FAILED,
    HOME,
    USAGE,
    JsonFlag,
    fail,
    note,
    print_json,
    print_table,
)
from server.commands.run_reports import print_comparison, print_explanation, print_workflow
from server.commands.runner import run_with_service
from server.commands.runs_keeping import cancel, delete, export, pin, prune, run_filter, stats
from server.reading import ReadingError, read_part
from server.service import Service
from server.views import tool_view
from server.workflow_view import workflow_view
from storage.run_lists import RunFilter, RunPage
from storage.run_record import StoredRun
from storage.search import SearchError
from tools.json_text import Json, JsonObject
from tools.run import RequestSource, RunStatus

app = typer.Typer(
    no_args_is_help=True,
    help="The history: list, show, result, compare, explain, rerun, freeze, keep, delete.",
)

RunId = Annotated[str, typer.Argument(metavar="RUN", help="The whole id of a run.")]


@app.command("list")
def list_(
    tool: Annotated[str | None, typer.Option(metavar="ID", help="Only runs of this tool.")] = None,
    status: Annotated[RunStatus | None, typer.Option(help="Only runs in this state.")] = None,
    source: Annotated[
        list[RequestSource] | None, typer.Option(help="Only runs started this way; repeatable.")
    ] = None,
    search: Annotated[
        str | None,
        typer.Option(
            metavar="WORDS",
            help='Only runs with these words in inputs, error or result; "a phrase".',
        ),
    ] = None,
    started_after: Annotated[
        str | None, typer.Option(metavar="TIME", help="Only runs since then: 2026-01-31.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Runs on a page.")] = 20,
    page: Annotated[int, typer.Option(min=1, help="Which page.")] = 1,
    as_json: JsonFlag = False,
) -> None:
    """List runs, newest first."""
    wanted = run_filter(tool, status, source, search, started_after)

    async def work(service: Service) -> RunPage:
        return await service.list_runs(wanted, limit=limit, offset=(page - 1) * limit)

    try:
        found = run_with_service(work)
    except SearchError as error:
        fail(f"--search: {error}", USAGE)
    if as_json:
        data = [tool_view(run, with_data=False) for run in found.runs]
        print_json(
            {
                "data": data,
                "page": page,
                "limit": limit,
                "total": found.total,
                "hasMore": found.has_more,
            }
        )
        return
    if not found.runs:
        note(_nothing_found(wanted) if found.total == 0 else f"page {page} is empty")
        return
    print_table(
        ("run", "tool", "status", "source", "started", "took", "error"),
        [_row(run) for run in found.runs],
    )
    if found.has_more:
        note(f"{found.total} runs in all; --page {page + 1} shows the next ones")


def _nothing_found(wanted: RunFilter) -> str:
    return "no runs are recorded" if wanted == RunFilter() else "no runs match"


def _row(run: StoredRun) -> tuple[str, ...]:
    view = tool_view(run, with_data=False)
    duration = view["metadata"].get("durationMs")
    return (
        run.run_id,
        run.tool_id,
        f"{run.status} ({how})" if (how := (run.options or {}).get("execution")) else run.status,
        run.request_source,
        view["metadata"]["startedAt"],
        "" if duration is None else f"{duration} ms",
        (run.error or run.damage or "").partition("\n")[0][:80],
    )


class RunView(StrEnum):
    """The forms in which a run is shown."""

    TOOL = "tool"
    WORKFLOW = "workflow"


@app.command()
def show(
    run_id: RunId,
    view: Annotated[
        RunView, typer.Option(help="As a tool's steps, or as the nodes of a workflow.")
    ] = RunView.TOOL,
    as_json: JsonFlag = False,
) -> None:
    """Show a run: its inputs, steps and requests, and how it ended."""

    async def work(service: Service) -> StoredRun:
        return await service.get_run(run_id)

    run = run_with_service(work)
    if view is RunView.WORKFLOW:
        _print(workflow_view(run), print_workflow, as_json)
    else:
        _print(tool_view(run), _show, as_json)


@app.command()
def compare(
    a: Annotated[str, typer.Argument(metavar="A", help="The run to compare with, the older.")],
    b: Annotated[str, typer.Argument(metavar="B", help="The run of interest.")],
    as_json: JsonFlag = False,
) -> None:
    """Say what differs between two runs: inputs, tool, steps, timing, result."""

    async def work(service: Service) -> JsonObject:
        return await service.compare_runs(a, b)

    _print(run_with_service(work), print_comparison, as_json)


@app.command()
def explain(run_id: RunId, as_json: JsonFlag = False) -> None:
    """Say why a run failed, and what has changed since the tool last worked."""

    async def work(service: Service) -> JsonObject:
        return await service.explain_run(run_id)

    _print(run_with_service(work), print_explanation, as_json)


def _print(value: JsonObject, for_people: Callable[[JsonObject], None], as_json: bool) -> None:
    if as_json:
        print_json(value)
    else:
        for_people(value)


@app.command()
def result(
    run_id: RunId,
    path: Annotated[
        str | None, typer.Option(metavar="PATH", help="JSONPath of the part to print.")
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Print the result of a run, or the part at a path, as JSON, with the flag or without."""

    async def work(service: Service) -> StoredRun:
        return await service.get_run(run_id, with_steps=False, with_large=True)

    run = run_with_service(work)
    if run.result is None and run.status is RunStatus.SUCCESS:
        fail(f"the result of run {run_id} cannot be read ({run.damage})", HOME)
    if run.result is None:
        reason = f": {run.error}" if run.error else ""
        fail(f"run {run_id} is {run.status} and has no result{reason}", FAILED)
    value: Json = run.data
    if path is not None:
        try:
            value = read_part(value, path=path, limit=1000)["value"]
        except ReadingError as error:
            fail(str(error), USAGE)
    print_json(value)


def _show(view: JsonObject) -> None:
    metadata = view["metadata"]
    lines = [
        ("run", view["runId"]),
        ("tool", f"{view['toolId']} {view.get('tool', {}).get('version', '')}"),
        ("status", view["status"]),
        ("source", view["requestSource"]),
        ("started", metadata["startedAt"]),
        ("took", f"{metadata['durationMs']} ms" if "durationMs" in metadata else "still running"),
    ]
    if source := view.get("sourceRunId"):
        lines.append(("made from", f"{source} ({view.get('sourceKind')})"))
    if client := view.get("clientInfo"):
        lines.insert(4, ("client", f"{client['name']} {client['version']}"))
    for name, value in lines:
        typer.echo(f"{name:9} {value}")
    if "error" in view:
        typer.echo(f"error     {view['error']}")
        if hint := view.get("errorDetail", {}).get("hint"):
            typer.echo(f"          what to do: {hint}")
    typer.echo("inputs")
    print_json(view.get("toolPayload", {}))
    for step in view.get("stepResults", ()):
        typer.echo(f"step {step['stepId']}: {step['status']} {step.get('error', '')}".rstrip())
        if "takenFrom" in step:
            typer.echo(f"  taken from run {step['takenFrom']}; nothing was sent")
        for request in step.get("requests", ()):
            status = request.get("status", "-")
            page = f" page {request['page']}" if "page" in request else ""
            typer.echo(
                f"  {request['method']} {request['url']} -> {status} "
                f"{request.get('ms', 0)} ms{page}"
            )
        for warning in step.get("warnings", ()):
            typer.echo(f"  note: {warning}")
    for line in view.get("logs", ()):
        typer.echo(f"log {line['level']}: {line['message']}")
    for made in view.get("derivedRuns", ()):
        typer.echo(f"{made['kind']} {made['runId']}: {made['status']}")
    if "data" in view or "resultStorageUri" in view:
        typer.echo(f"result   callslip runs result {view['runId']}")


for _command in (cancel, pin, delete, prune, stats, export):
    app.command()(_command)
