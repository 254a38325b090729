"""`callslip schedules …`: tools that run at certain times, while `serve --http` runs."""

from dataclasses import replace
from typing import Annotated

import typer

from server.automation import Automation, UnknownScheduleError
from server.commands.output import (
    NOT_FOUND,
    USAGE,
    JsonFlag,
    fail,
    note,
    print_json,
    print_table,
    say_done,
)
from server.commands.run import read_object
from server.commands.runner import run_with_service
from server.scheduler import ScheduleError
from server.service import Service
from server.views import schedule_view
from storage.schedules import Schedule

app = typer.Typer(no_args_is_help=True, help="Tools at certain times, for serve --http.")

ScheduleId = Annotated[str, typer.Argument(metavar="SCHEDULE", help="The id of a schedule.")]


@app.command()
def create(
    tool_id: Annotated[str, typer.Argument(metavar="TOOL", help="The id of a stored tool.")],
    cron: Annotated[
        str,
        typer.Option(
            metavar="CRON",
            help="Minute, hour, day, month, weekday: '0 8 * * 1-5' is weekdays at 8.",
        ),
    ],
    time_zone: Annotated[str, typer.Option(metavar="ZONE", help="Such as Europe/Berlin.")] = "UTC",
    inputs: Annotated[
        str, typer.Option(metavar="JSON|@FILE|-", help="The inputs: JSON, a file, or stdin.")
    ] = "{}",
    schedule_id: Annotated[
        str, typer.Option("--id", metavar="ID", help="Its id; one that has it is replaced.")
    ] = "",
    as_json: JsonFlag = False,
) -> None:
    """Run a tool at the times of a cron expression."""
    given = read_object(inputs, "inputs")

    async def work(service: Service) -> tuple[Schedule, str]:
        is_there = bool(schedule_id) and await service.schedules.get(schedule_id) is not None
        wanted = Schedule(schedule_id, tool_id, cron, time_zone, given)
        stored = await Automation(service).put_schedule(wanted)
        return stored, "replaced" if is_there else "added"

    try:
        stored, outcome = run_with_service(work)
    except ScheduleError as error:
        fail(str(error), USAGE)
    view = schedule_view(stored)
    if as_json:
        print_json({**view, "outcome": outcome})
        return
    next_at = view.get("nextAt", "never")
    typer.echo(f"{outcome}: {stored.schedule_id}, {tool_id} next at {next_at}")


@app.command("list")
def list_(as_json: JsonFlag = False) -> None:
    """List the schedules, by id."""

    async def work(service: Service) -> list[Schedule]:
        return await Automation(service).schedules()

    found = run_with_service(work)
    if as_json:
        print_json({"data": [schedule_view(one) for one in found]})
        return
    if not found:
        note("no tool is scheduled; `callslip schedules create TOOL --cron '0 8 * * *'` does it")
        return
    views = [schedule_view(one) for one in found]
    print_table(
        ("schedule", "tool", "cron", "time zone", "next at", "last run"),
        [
            (
                view["id"],
                view["toolId"],
                view["cron"],
                view["timeZone"],
                view.get("nextAt", "never") if view["enabled"] else "off",
                view.get("lastRunId", ""),
            )
            for view in views
        ],
    )


@app.command()
def enable(schedule_id: ScheduleId, as_json: JsonFlag = False) -> None:
    """Let a schedule run again."""
    _switch(schedule_id, as_json, enabled=True)


@app.command()
def disable(schedule_id: ScheduleId, as_json: JsonFlag = False) -> None:
    """Keep a schedule, and run it no more."""
    _switch(schedule_id, as_json, enabled=False)


@app.command()
def remove(schedule_id: ScheduleId, as_json: JsonFlag = False) -> None:
    """Remove a schedule; the runs it started stay."""

    async def work(service: Service) -> None:
        await Automation(service).remove_schedule(schedule_id)

    try:
        run_with_service(work)
    except UnknownScheduleError as error:
        fail(str(error), NOT_FOUND)
    facts = {"id": schedule_id, "outcome": "removed"}
    say_done(f"schedule {schedule_id} is removed", facts, as_json)


def _switch(schedule_id: str, as_json: bool, *, enabled: bool) -> None:
    async def work(service: Service) -> Schedule:
        automation = Automation(service)
        stored = await automation.schedule(schedule_id)
        return await automation.put_schedule(replace(stored, enabled=enabled))

    try:
        stored = run_with_service(work)
    except UnknownScheduleError as error:
        fail(str(error), NOT_FOUND)
    except ScheduleError as error:
        fail(str(error), USAGE)
    view = schedule_view(stored)
    text = f"schedule {schedule_id}: {view.get('nextAt', 'never') if enabled else 'off'}"
    say_done(text, view, as_json)
