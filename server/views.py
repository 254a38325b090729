"""The tool view of a run: the shape that REST, the command line and the resources share.

Absent fields are omitted, never null: published clients break on null.
"""

from storage.runs import StoredRun
from tools.json_text import JsonObject, decode_json
from tools.run import RunStatus, rfc3339

__all__ = ["tool_view"]


def tool_view(run: StoredRun, *, with_data: bool = True) -> JsonObject:
    """A run as JSON; lists leave the result and the step results out."""
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
        "cost": run.cost,
        "damage": run.damage,
    }
    if with_data:
        view["stepResults"] = run.steps
        view["logs"] = run.logs or None
        view["subTools"] = run.sub_tools
    view = {key: value for key, value in view.items() if value is not None}
    if with_data and run.status is RunStatus.SUCCESS and run.result is not None:
        view["data"] = decode_json(run.result)
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
