"""`callslip run`: one tool, from the terminal; the result on stdout."""

import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, cast

import anyio
import typer
from pydantic import ValidationError

from server.active_run import ActiveRun, JoinedRun, RunRequest
from server.commands.output import FAILED, INTERRUPTED, USAGE, fail, note, print_json
from server.commands.runner import run_with_service
from server.commands.sources import read_stdin
from server.service import Service
from server.views import tool_view
from tools.context import RunEvent
from tools.errors import ErrorKind
from tools.json_text import Json, JsonObject, decode_json
from tools.run import RequestSource, RunOptions, RunOutcome, RunStatus, run_id_problem


def run(
    tool_id: Annotated[str, typer.Argument(metavar="TOOL", help="The id of a stored tool.")],
    inputs: Annotated[
        str, typer.Option(metavar="JSON|@FILE|-", help="The inputs: JSON, a file, or stdin.")
    ] = "{}",
    credentials: Annotated[
        str | None,
        typer.Option(
            metavar="@FILE|-", help="Run-time credentials as a JSON object; never stored."
        ),
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option(metavar="K=V", help="timeoutMs, retries, concurrency, …; repeatable."),
    ] = None,
    run_id: Annotated[
        str | None, typer.Option(metavar="ID", help="The id of the run to make.")
    ] = None,
    mode: Annotated[
        str, typer.Option(metavar="NAME", help="prod or dev: whose credentials.")
    ] = "prod",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show the requests, send nothing.")
    ] = False,
    limited: Annotated[
        bool, typer.Option("--limited", help="One page, one loop item, reading only.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the whole run.")] = False,
) -> None:
    """Run a stored tool: its result on stdout, status and run id on stderr."""
    if inputs == "-" and credentials == "-":
        fail("inputs and credentials cannot both be read from stdin", USAGE)
    if run_id is not None and (problem := run_id_problem(run_id)) is not None:
        fail(f"--run-id: {problem}", USAGE)
    request = RunRequest(
        tool_id,
        read_object(inputs, "inputs"),
        RequestSource.CLI,
        _read_options(option or [], mode, dry_run=dry_run, limited=limited),
        read_credentials(credentials),
        run_id=run_id,
        on_event=_show_progress,
    )

    async def work(service: Service) -> EndedRun:
        return await run_to_end(service, await service.start(request))

    show_ended(run_with_service(work), as_json=as_json)


@dataclass(frozen=True)
class EndedRun:
    """How a run ended, and its record; `is_interrupted` from the keyboard."""

    outcome: RunOutcome
    view: JsonObject
    is_interrupted: bool


def show_ended(ended: EndedRun, *, as_json: bool) -> None:
    """The result on stdout, how it ended on stderr, and the exit code that says it."""
    outcome = ended.outcome
    if as_json:
        print_json(ended.view)
    elif outcome.status is RunStatus.SUCCESS:
        print_json(outcome.data)
    _show_end(outcome, ended.view["runId"])
    if ended.is_interrupted:
        raise typer.Exit(INTERRUPTED)
    if outcome.status is not RunStatus.SUCCESS:
        raise typer.Exit(USAGE if _has_invalid_inputs(outcome) else FAILED)


async def run_to_end(service: Service, active: ActiveRun | JoinedRun) -> EndedRun:
    """Wait for a run; a signal from the keyboard ends it. Raises `StorageError`."""
    is_interrupted = False

    async def end_on_signal() -> None:
        nonlocal is_interrupted
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
            async for _ in signals:
                is_interrupted = True
                active.cancel("interrupted from the keyboard")
                return

    outcome: RunOutcome | None = None
    async with anyio.create_task_group() as group:
        if sys.platform != "win32":
            # Windows delivers Ctrl-C as KeyboardInterrupt, which ends the service the long way.
            group.start_soon(end_on_signal)
        outcome = await active.wait()
        group.cancel_scope.cancel()
    if outcome is None:
        raise AssertionError("a run that was waited for has an outcome")
    view = tool_view(await service.get_run(active.run_id))
    return EndedRun(outcome, view, is_interrupted)


def _has_invalid_inputs(outcome: RunOutcome) -> bool:
    detail = outcome.error_detail
    return detail is not None and detail.kind is ErrorKind.INVALID_INPUT and detail.step_id is None


def _show_progress(event: RunEvent) -> None:
    if sys.stderr.isatty():
        note(f"  {event.message}")


def _show_end(outcome: RunOutcome, run_id: str) -> None:
    note(f"{outcome.status}: run {run_id}")
    if outcome.error is not None:
        note(outcome.error)
    if outcome.error_detail is not None and outcome.error_detail.hint:
        note(f"what to do: {outcome.error_detail.hint}")


def _read_text(source: str, what: str) -> str:
    if source == "-":
        return read_stdin(what)
    if not source.startswith("@"):
        return source
    try:
        return Path(source[1:]).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        fail(f"{what}: {source[1:]} cannot be read: {error}", USAGE)


def read_object(source: str, what: str) -> JsonObject:
    """A JSON object given as text, as `@FILE` or on stdin; exit 2 when there is none."""
    text = _read_text(source, what)
    try:
        value: Json = decode_json(text.encode())
    except ValueError as error:
        fail(f"{what}: this is not JSON: {error}", USAGE)
    if not isinstance(value, dict):
        # Not shown: where credentials are read it may be one.
        fail(f'{what}: this is none; valid is a JSON object such as {{"query": "x"}}', USAGE)
    return cast("dict[str, Any]", value)


def read_credentials(source: str | None) -> dict[str, str]:
    """Run-time credentials from `@FILE` or stdin; exit 2 when there are none."""
    if source is None:
        return {}
    if not source.startswith(("@", "-")):
        fail(
            "credentials are read from a file (@FILE) or stdin (-): arguments are seen by all",
            USAGE,
        )
    fields = read_object(source, "credentials")
    if not all(isinstance(value, str) for value in fields.values()):
        fail("credentials: each value is a text", USAGE)
    return fields


def _read_options(pairs: list[str], mode: str, *, dry_run: bool, limited: bool) -> RunOptions:
    if dry_run and limited:
        fail("--dry-run and --limited exclude each other", USAGE)
    given: dict[str, Json] = dict(_option_pairs(pairs))
    if mode != "prod":
        given["mode"] = mode
    if dry_run or limited:
        given["execution"] = "dry" if dry_run else "limited"
    known = [field.alias or name for name, field in RunOptions.model_fields.items()]
    unknown = sorted(set(given) - set(known))
    if unknown:
        fail(f"no option named {unknown[0]}; valid: {', '.join(sorted(known))}", USAGE)
    try:
        return RunOptions.model_validate(given)
    except ValidationError as error:
        one = error.errors(include_url=False)[0]
        fail(f"option {one['loc'][0]}: {one['msg']} (seen: {one['input']!r})", USAGE)


def _option_pairs(pairs: list[str]) -> Iterator[tuple[str, Json]]:
    for pair in pairs:
        name, separator, text = pair.partition("=")
        if not separator:
            fail(f"option {pair!r}; valid is NAME=VALUE, such as timeoutMs=5000", USAGE)
        try:
            yield name, decode_json(text.encode())
        except ValueError:
            yield name, text
