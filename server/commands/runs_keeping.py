"""`callslip runs cancel | pin | delete | prune | stats | export`: the history kept in order."""

import sys
from typing import Annotated, NoReturn

import typer

from server.commands.output import (
    FAILED,
    NOT_FOUND,
    USAGE,
    JsonFlag,
    fail,
    note,
    print_json,
    print_table,
    say_done,
)
from server.commands.runner import run_with_service
from server.service import Service
from server.views import tool_view
from storage.retention import Pruned
from storage.run_lists import RunFilter
from storage.search import SearchError
from storage.statistics import ToolStatistics
from tools.json_text import JsonObject, encode_json_text
from tools.run import RequestSource, RunStatus, milliseconds

__all__ = ["cancel", "delete", "export", "pin", "prune", "run_filter", "stats"]

_CANCEL_SECONDS = 5.0
_EXPORT_PAGE = 100
_BAR_CHARACTERS = 24

RunId = Annotated[str, typer.Argument(metavar="RUN", help="The whole id of a run.")]


def run_filter(
    tool: str | None,
    status: RunStatus | None,
    sources: list[RequestSource] | None,
    search: str | None,
    started_after: str | None,
) -> RunFilter:
    """The filter that options describe; exit 2 when one cannot be read."""
    try:
        moment = milliseconds(started_after) if started_after else None
    except ValueError as error:
        fail(f"--started-after: {error}", USAGE)
    return RunFilter(tool, status, tuple(sources or ()), search or None, moment)


def cancel(run_id: RunId, as_json: JsonFlag = False) -> None:
    """End a running run, of any process on this home."""

    async def work(service: Service) -> tuple[bool, RunStatus | None]:
        was_running = await service.cancel_run(run_id, "cancelled with callslip runs cancel")
        await service.wait_for_run(run_id, _CANCEL_SECONDS)
        return was_running, await service.run_status(run_id)

    was_running, status = run_with_service(work)
    if status is RunStatus.RUNNING:
        fail(f"run {run_id} has not ended yet; its process has been asked to end it", FAILED)
    text = f"run {run_id} is {status}" if was_running else f"run {run_id} had ended: {status}"
    say_done(text, {"runId": run_id, "status": status, "wasRunning": was_running}, as_json)


def pin(
    run_id: RunId,
    off: Annotated[bool, typer.Option("--off", help="Let retention have it again.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Keep a run whatever its age and the size of the history."""

    async def work(service: Service) -> bool:
        return await service.history.pin(run_id, pinned=not off)

    if not run_with_service(work):
        _not_found(run_id)
    text = f"run {run_id} is {'not pinned any more' if off else 'pinned'}"
    say_done(text, {"runId": run_id, "pinned": not off}, as_json)


def delete(run_id: RunId, as_json: JsonFlag = False) -> None:
    """Delete an ended run with everything only it has."""

    async def work(service: Service) -> tuple[bool, RunStatus | None]:
        return await service.history.delete(run_id), await service.run_status(run_id)

    deleted, status = run_with_service(work)
    if status is RunStatus.RUNNING:
        fail(f"run {run_id} is running; end it first with `callslip runs cancel {run_id}`", USAGE)
    if not deleted:
        _not_found(run_id)
    say_done(f"run {run_id} is deleted", {"runId": run_id, "outcome": "deleted"}, as_json)


def prune(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would go, delete nothing.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Delete the runs that are too old or too many, now; a server does it every hour."""

    async def work(service: Service) -> tuple[Pruned, str]:
        history = service.history
        pruned = await (history.would_prune() if dry_run else history.prune())
        return pruned, history.policy.in_words()

    pruned, policy = run_with_service(work)
    freed = pruned.bytes_before - pruned.bytes_after
    if as_json:
        print_json(
            {
                "dryRun": dry_run,
                "runs": pruned.runs,
                "bytesBefore": pruned.bytes_before,
                "bytesAfter": pruned.bytes_after,
            }
        )
    else:
        would = "would be deleted, about" if dry_run else "deleted,"
        typer.echo(f"{pruned.runs:,} runs {would} {_size(freed)} of {_size(pruned.bytes_before)}")
    note(f"kept: {policy}; CALLSLIP_RETENTION_DAYS and CALLSLIP_RETENTION_GIGABYTES change that")


def stats(
    tool: Annotated[str | None, typer.Option(metavar="ID", help="Only this tool.")] = None,
    as_json: JsonFlag = False,
) -> None:
    """Show how often tools ran, how often they worked, and how long they took."""

    async def work(service: Service) -> list[ToolStatistics]:
        return list(await service.history.statistics(tool))

    found = run_with_service(work)
    if as_json:
        print_json({"data": [_statistics(one) for one in found]})
        return
    if not found:
        note("no runs are recorded")
        return
    most = max(one.runs for one in found)
    print_table(
        ("tool", "runs", "", "success", "p50", "p95"),
        [
            (
                one.tool_id,
                f"{one.runs:,}",
                _bar(one.runs / most),
                "-" if one.success_rate is None else f"{one.success_rate:.1%}",
                _milliseconds(one.p50_ms),
                _milliseconds(one.p95_ms),
            )
            for one in found
        ],
    )


def export(
    tool: Annotated[str | None, typer.Option(metavar="ID", help="Only runs of this tool.")] = None,
    status: Annotated[RunStatus | None, typer.Option(help="Only runs in this state.")] = None,
    source: Annotated[
        list[RequestSource] | None, typer.Option(help="Only runs started this way; repeatable.")
    ] = None,
    search: Annotated[
        str | None, typer.Option(metavar="WORDS", help="Only runs with these words.")
    ] = None,
    started_after: Annotated[
        str | None, typer.Option(metavar="TIME", help="Only runs since then: 2026-01-31.")
    ] = None,
) -> None:
    """Write whole runs to stdout, one JSON object a line, newest first."""
    wanted = run_filter(tool, status, source, search, started_after)

    async def work(service: Service) -> int:
        written = 0
        before_seq: int | None = None
        while True:
            page = await service.list_runs(wanted, limit=_EXPORT_PAGE, before_seq=before_seq)
            for listed in page.runs:
                run = await service.get_run(listed.run_id, with_large=True)
                sys.stdout.write(encode_json_text(tool_view(run)) + "\n")
                written += 1
            if not page.has_more:
                return written
            before_seq = page.runs[-1].seq

    try:
        written = run_with_service(work)
    except SearchError as error:
        fail(f"--search: {error}", USAGE)
    note(f"{written:,} runs")


def _not_found(run_id: str) -> NoReturn:
    fail(f"run {run_id} not found", NOT_FOUND)


def _statistics(one: ToolStatistics) -> JsonObject:
    fields: JsonObject = {
        "toolId": one.tool_id,
        "runs": one.runs,
        "running": one.running,
        "success": one.success,
        "failed": one.failed,
        "aborted": one.aborted,
        "successRate": one.success_rate,
        "p50Ms": one.p50_ms,
        "p95Ms": one.p95_ms,
    }
    return {key: value for key, value in fields.items() if value is not None}


def _bar(part: float) -> str:
    block = "█" if (sys.stdout.encoding or "").lower().startswith("utf") else "#"
    return block * max(1, round(part * _BAR_CHARACTERS))


def _milliseconds(value: int | None) -> str:
    return "-" if value is None else f"{value:,} ms"


def _size(number_of_bytes: int) -> str:
    size = float(number_of_bytes)
    for unit in ("bytes", "KB", "MB"):
        if abs(size) < 1024:
            return f"{size:,.0f} {unit}"
        size /= 1024
    return f"{size:,.1f} GB"
