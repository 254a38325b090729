"""The tool view of a run: the shape that REST, the command line and the resources share.

Absent fields are omitted, never null: published clients break on null.
"""

from storage.outbox import Delivery
from storage.run_record import StoredRun
from storage.schedules import Schedule
from tools.json_text import JsonObject
from tools.run import RunStatus, rfc3339

__all__ = ["delivery_view", "schedule_view", "tool_view"]


#: What a summary leaves out: the definitions, and everything that grows with the data.
_DETAILS = ("tool", "subTools", "stepResults", "logs", "data")


def tool_view(run: StoredRun, *, with_data: bool = True, summary: bool = False) -> JsonObject:
    """A run as JSON; lists leave the result and the step results out.

    A result that lies outside the database is not in it: `resultStorageUri` says where it is.
    `summary` leaves out `tool`, `subTools`, `stepResults`, `logs` and `data`: what remains says
    which tool ran with which inputs and options, when, how it ended, and what it cost.
    """
    view: JsonObject = {
        "runId": run.run_id,
        "toolId": run.tool_id,
        "status": run.status,
        "metadata": _metadata(run),
        "tool": run.tool,
        "toolPayload": run.inputs,
        "error": run.error,
        "errorDetail": run.error_detail,
        "options": run.options,
        "requestSource": run.request_source,
        "clientInfo": _client_info(run),
        "traceId": run.trace_id,
        "userId": run.user_id,
        "executionMode": run.execution_mode,
        "toolVersionNumber": run.version_number,
        "parentRunId": run.parent_run_id,
        "sourceRunId": run.source_run_id,
        "sourceKind": run.source_kind,
        "derivedRuns": [
            {"runId": one.run_id, "kind": one.kind, "status": one.status} for one in run.derived
        ]
        or None,
        "cost": run.cost,
        "pinned": run.pinned or None,
        "resultStorageUri": run.result_uri,
        "resultBytes": run.result_bytes if run.result_uri is not None else None,
        "damage": run.damage,
    }
    if with_data:
        view["stepResults"] = run.steps
        view["logs"] = run.logs or None
        view["subTools"] = run.sub_tools
    view = {key: value for key, value in view.items() if value is not None}
    if with_data and not summary and run.status is RunStatus.SUCCESS and run.result is not None:
        view["data"] = run.data
    if summary:
        view = {key: value for key, value in view.items() if key not in _DETAILS}
    return view


def _metadata(run: StoredRun) -> JsonObject:
    metadata: JsonObject = {"startedAt": rfc3339(run.started_at)}
    if run.completed_at is not None:
        metadata["completedAt"] = rfc3339(run.completed_at)
        # A clock that was set back must not make a run of negative length.
        metadata["durationMs"] = max(0, run.completed_at - run.started_at)
    return metadata


def _client_info(run: StoredRun) -> JsonObject | None:
    if run.client_name is None:
        return None
    return {"name": run.client_name, "version": run.client_version or ""}


def schedule_view(schedule: Schedule) -> JsonObject:
    """A schedule as JSON."""
    view: JsonObject = {
        "id": schedule.schedule_id,
        "toolId": schedule.tool_id,
        "cron": schedule.cron,
        "timeZone": schedule.time_zone,
        "inputs": schedule.inputs,
        "enabled": schedule.enabled,
        "nextAt": _moment(schedule.next_at),
        "lastAt": _moment(schedule.last_at),
        "lastRunId": schedule.last_run_id,
        "createdAt": _moment(schedule.created_at),
        "updatedAt": _moment(schedule.updated_at),
    }
    return {key: value for key, value in view.items() if value is not None}


def delivery_view(delivery: Delivery) -> JsonObject:
    """A delivery as JSON."""
    view: JsonObject = {
        "id": delivery.delivery_id,
        "runId": delivery.run_id,
        "target": delivery.target,
        "status": delivery.status,
        "attempts": delivery.attempts,
        "nextAt": _moment(delivery.next_at) if delivery.status == "pending" else None,
        "error": delivery.error,
        "createdAt": _moment(delivery.created_at),
        "endedAt": _moment(delivery.ended_at),
    }
    return {key: value for key, value in view.items() if value is not None}


def _moment(ms: int | None) -> str | None:
    return None if ms is None else rfc3339(ms)
