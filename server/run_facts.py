"""What is read off a stored run for comparing and explaining it; nothing here trusts the record.

Records may be damaged, still being made, or written by a run that was cut off: every fact may be
missing.
"""

from datetime import datetime
from typing import cast

from storage.run_record import StoredRun
from tools.json_text import Json, JsonObject
from tools.run import RunStatus, SourceKind, rfc3339

__all__ = [
    "brief",
    "definition_of",
    "duration_ms",
    "ending_step",
    "is_dry",
    "list_in",
    "object_in",
    "ran_whole",
    "request_brief",
    "requests_of",
    "result_of",
    "sent_differences",
    "step_duration_ms",
    "step_of",
]

#: What storing a tool writes into its definition; no change of the tool.
_BOOKKEEPING = frozenset({"createdAt", "updatedAt"})
#: Headers that tell requests apart and mean nothing to the upstream.
_HEADERS_OF_ONE_REQUEST = frozenset(
    {"content-length", "date", "traceparent", "tracestate", "user-agent", "x-amz-date"}
)
_REQUEST_FIELDS = ("method", "url", "status", "ms", "page", "iteration", "attempt", "error")


def object_in(holder: JsonObject | None, name: str) -> JsonObject:
    """The object of this name, empty where there is none."""
    value: Json = (holder or {}).get(name)
    return cast("JsonObject", value) if isinstance(value, dict) else {}


def list_in(holder: JsonObject | None, name: str) -> list[Json]:
    """The list of this name, empty where there is none."""
    value: Json = (holder or {}).get(name)
    return cast("list[Json]", value) if isinstance(value, list) else []


def brief(run: StoredRun) -> JsonObject:
    """What tells a run apart: ids, version, status, when and how long."""
    fields: JsonObject = {
        "runId": run.run_id,
        "toolId": run.tool_id,
        "toolVersionNumber": run.version_number,
        "status": run.status,
        "startedAt": rfc3339(run.started_at),
        "durationMs": duration_ms(run),
    }
    return {name: value for name, value in fields.items() if value is not None}


def duration_ms(run: StoredRun) -> int | None:
    """How long a run took; None while it runs."""
    if run.completed_at is None:
        return None
    # A clock that was set back must not make a run of negative length.
    return max(0, run.completed_at - run.started_at)


def definition_of(run: StoredRun) -> JsonObject | None:
    """The tool as executed, without what storing it adds; None when it cannot be read."""
    if run.tool is None:
        return None
    return {name: value for name, value in run.tool.items() if name not in _BOOKKEEPING}


def result_of(run: StoredRun) -> tuple[bool, Json]:
    """Whether there is a result that can be read, and the result."""
    if run.status is not RunStatus.SUCCESS or run.result is None:
        return False, None
    try:
        return True, run.data
    except ValueError:
        return False, None


def is_dry(run: StoredRun) -> bool:
    """Whether the run sent nothing: its success says little of the upstream."""
    return (run.options or {}).get("execution") == "dry"


def ran_whole(run: StoredRun) -> bool:
    """Whether the run asked its upstream for all that the tool says; else success says little."""
    is_live = (run.options or {}).get("execution", "live") == "live"
    return is_live and run.source_kind != SourceKind.REPLAY


def sent_differences(before: JsonObject, now: JsonObject) -> list[str]:
    """What differs in what two requests sent beside their url, as far as it is recorded."""
    found = ["method"] if before.get("method") != now.get("method") else []
    exchanges = [object_in(one, "exchange") for one in (before, now)]
    if not all(exchanges):
        return found
    if exchanges[0].get("requestBody") != exchanges[1].get("requestBody"):
        found.append("body")
    headers = [_headers_of(one) for one in exchanges]
    names = sorted(headers[0].keys() | headers[1].keys())
    return found + [
        f"header {name}" for name in names if headers[0].get(name) != headers[1].get(name)
    ]


def _headers_of(exchange: JsonObject) -> dict[str, Json]:
    given = {str(name).lower(): value for name, value in list_in(exchange, "requestHeaders")}
    return {name: value for name, value in given.items() if name not in _HEADERS_OF_ONE_REQUEST}


def ending_step(run: StoredRun) -> JsonObject | None:
    """The step that ended the run; None when that was before, between or after the steps."""
    named = (run.error_detail or {}).get("stepId")
    if named is not None:
        return step_of(run, named)
    if run.status is RunStatus.ABORTED:
        return next((step for step in run.steps if step.get("status") == "aborted"), None)
    if run.status is RunStatus.FAILED and run.steps:
        # What ended the run as a whole, such as its own timeout, is the error of the open step.
        last = run.steps[-1]
        if last.get("status") == "failure" and last.get("error") == run.error:
            return last
    return None


def step_of(run: StoredRun, step_id: Json) -> JsonObject | None:
    """The record of a step."""
    return next((step for step in run.steps if step.get("stepId") == step_id), None)


def step_duration_ms(step: JsonObject) -> int | None:
    """How long a step took, when it has ended."""
    try:
        started = datetime.fromisoformat(step["startedAt"])
        ended = datetime.fromisoformat(step["completedAt"])
    except (KeyError, TypeError, ValueError):
        return None
    return max(0, round((ended - started).total_seconds() * 1000))


def requests_of(step: JsonObject | None) -> list[JsonObject]:
    """The requests of a step in the order of their items, pages and attempts.

    Items of a loop run at once, so the order of the record is that of the network.
    """
    return sorted(list_in(step, "requests"), key=_request_order)


def _request_order(request: JsonObject) -> tuple[int, int, int]:
    return request.get("iteration", -1), request.get("page", 0), request.get("attempt", 1)


def request_brief(request: JsonObject) -> JsonObject:
    """A request in a line: method, url, status, and where in the loop it was."""
    return {name: request[name] for name in _REQUEST_FIELDS if name in request}
