"""`callslip runs rerun` and `runs freeze`: a recorded run made again, or kept as a test."""

from pathlib import Path
from typing import Annotated

import typer

from server.commands.output import USAGE, fail, note, print_json
from server.commands.run import EndedRun, read_credentials, read_object, run_to_end, show_ended
from server.commands.runner import run_with_service
from server.commands.runs import JsonFlag, RunId
from server.reruns import RerunError, RerunRequest
from server.service import Service
from tools.json_text import JsonObject
from tools.run import RequestSource

_MODES = ("live", "replay", "lenient", "dry", "limited")
_VERSIONS = ("snapshot", "latest")


def rerun(
    run_id: RunId,
    inputs: Annotated[
        str,
        typer.Option(metavar="JSON|@FILE|-", help="Put over the recorded inputs, key by key."),
    ] = "{}",
    credentials: Annotated[
        str | None,
        typer.Option(metavar="@FILE|-", help="Run-time credentials; records have none."),
    ] = None,
    from_failed_step: Annotated[
        bool,
        typer.Option("--from-failed-step", help="Take the steps that had finished as recorded."),
    ] = False,
    version: Annotated[
        str,
        typer.Option(
            metavar="VERSION",
            help="snapshot: the tool as it was executed; latest: as it is stored.",
        ),
    ] = "snapshot",
    mode: Annotated[
        str | None,
        typer.Option(
            metavar="MODE",
            help="live, replay (recorded answers, nothing is sent), lenient (what is not recorded "
            "is sent), dry or limited; as the run was when absent.",
        ),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Make a recorded run again: its result on stdout, status and run id on stderr."""
    if version not in _VERSIONS:
        fail(f"--version {version!r}; valid: {', '.join(_VERSIONS)}", USAGE)
    if mode is not None and mode not in _MODES:
        fail(f"--mode {mode!r}; valid: {', '.join(_MODES)}", USAGE)
    if inputs == "-" and credentials == "-":
        fail("inputs and credentials cannot both be read from stdin", USAGE)
    wanted = RerunRequest(
        run_id,
        RequestSource.CLI,
        read_object(inputs, "inputs"),
        from_failed_step,
        version,
        mode,
        read_credentials(credentials),
    )

    async def work(service: Service) -> EndedRun:
        made = await service.rerun(wanted)
        for line in made.plan.notes():
            note(line)
        return await run_to_end(service, made.run)

    try:
        ended = run_with_service(work)
    except RerunError as error:
        fail(str(error), USAGE)
    show_ended(ended, as_json=as_json)


def freeze(
    run_id: RunId,
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="A folder that does not exist, or is empty.")
    ],
    as_json: JsonFlag = False,
) -> None:
    """Keep a run as a test that `callslip test` runs anywhere, without the upstream."""
    from server.frozen_runs import FreezeError, freeze_run

    async def work(service: Service) -> JsonObject:
        return await freeze_run(service, run_id, directory)

    try:
        report = run_with_service(work)
    except (FreezeError, RerunError) as error:
        fail(str(error), USAGE)
    if as_json:
        print_json(report)
    else:
        note(f"run {run_id} is frozen in {directory}: callslip test {directory}")
