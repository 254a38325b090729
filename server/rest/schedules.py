"""`/v1/schedules`: tools that run at certain times."""

from typing import Annotated

from fastapi import APIRouter
from fastapi.params import Depends

from server.automation import Automation
from server.rest.answers import BadRequestError, JsonAnswer, list_answer
from server.rest.asking import Asked, JsonRoute, Page, needs
from server.rest.shapes import Deleted, ScheduleBody, ScheduleList, SchedulePatch, ScheduleView
from server.scheduler import ScheduleError
from server.views import schedule_view
from storage.api_keys import Scope
from storage.schedules import Schedule

__all__ = ["schedules"]

schedules = APIRouter(prefix="/v1/schedules", tags=["schedules"], route_class=JsonRoute)

# A schedule runs as the server, not as the key that made it.
_reads = needs(Scope.READ, whole=True, parameters=("page", "limit"))
_writes = needs(Scope.WRITE, whole=True, parameters=())


async def _automation(asked: Asked) -> Automation:
    return Automation(asked)


Asking = Annotated[Automation, Depends(_automation)]


@schedules.get("", dependencies=[_reads], response_model=ScheduleList)
async def list_schedules(
    automation: Asking, page: Annotated[Page, Page.of(default=100, most=1000)]
) -> JsonAnswer:
    """List the schedules, by id."""
    found = await automation.schedules()
    shown = found[page.offset : page.offset + page.limit]
    data = [schedule_view(one) for one in shown]
    return list_answer(data, page.page, page.limit, len(found))


@schedules.post("", dependencies=[_writes], response_model=ScheduleView, status_code=201)
async def add_schedule(automation: Asking, body: ScheduleBody) -> JsonAnswer:
    """Run a tool at the times of a cron expression."""
    wanted = Schedule(
        "",
        body.tool_id,
        body.cron,
        body.time_zone or "UTC",
        body.inputs or {},
        enabled=body.enabled is not False,
    )
    return await _put(automation, wanted, 201)


@schedules.get("/{schedule_id}", dependencies=[_reads], response_model=ScheduleView)
async def get_schedule(automation: Asking, schedule_id: str) -> JsonAnswer:
    """A schedule, and when it is due next."""
    return JsonAnswer(schedule_view(await automation.schedule(schedule_id)))


@schedules.patch("/{schedule_id}", dependencies=[_writes], response_model=ScheduleView)
async def change_schedule(automation: Asking, schedule_id: str, body: SchedulePatch) -> JsonAnswer:
    """Put the fields given in place of those of a schedule."""
    stored = await automation.schedule(schedule_id)
    wanted = Schedule(
        schedule_id,
        body.tool_id or stored.tool_id,
        body.cron or stored.cron,
        body.time_zone or stored.time_zone,
        stored.inputs if body.inputs is None else body.inputs,
        enabled=stored.enabled if body.enabled is None else body.enabled,
        last_at=stored.last_at,
        last_run_id=stored.last_run_id,
        created_at=stored.created_at,
    )
    return await _put(automation, wanted, 200)


@schedules.delete("/{schedule_id}", dependencies=[_writes], response_model=Deleted)
async def remove_schedule(automation: Asking, schedule_id: str) -> JsonAnswer:
    """Remove a schedule; the runs it started stay."""
    await automation.remove_schedule(schedule_id)
    return JsonAnswer({"success": True})


async def _put(automation: Automation, wanted: Schedule, status: int) -> JsonAnswer:
    try:
        stored = await automation.put_schedule(wanted)
    except ScheduleError as error:
        details = [problem.wire() for problem in error.problems]
        raise BadRequestError(str(error), details) from None
    return JsonAnswer(schedule_view(stored), status)
