"""Why a run failed, in one answer: what failed, what was sent and answered, what changed since.

Made for a model's context: the whole is at most `MOST_CHARACTERS` long.
"""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

from server.preview import shape_of
from server.run_facts import (
    brief,
    definition_of,
    ending_step,
    list_in,
    object_in,
    request_brief,
    requests_of,
    sent_differences,
    step_duration_ms,
    step_of,
)
from storage.run_record import StoredRun
from tools.abridging import abridged, abridged_text
from tools.json_diff import Difference, json_diff
from tools.json_text import Json, JsonObject, encode_json_text
from tools.run import RunStatus, rfc3339

__all__ = ["MOST_CHARACTERS", "explain_run"]

MOST_CHARACTERS = 12_000

_ERROR_CHARACTERS = 1000
_URL_CHARACTERS = 600
_BODY_CHARACTERS = 1500
_HEADER_CHARACTERS = 120
_MOST_HEADERS = 15
_SHAPE_DEPTH = 3
_SHAPE_CHARACTERS = 500
_MOST_STEPS = 12
_MOST_CHANGED_SHAPES = 4
#: The one element of a list's shape.
_FIRST_ROW = re.compile(r"(?<!')\[0\]")
_MOST_CHANGES = 8
_VALUE_CHARACTERS = 100
#: Unauthorized, and forbidden.
_REFUSED_SIGN_INS = (401, 403)
#: Parts that give way, the first ones first, when the whole is too long.
_EXPENDABLE = (
    ("exchange", "requestHeaders"),
    ("exchange", "responseHeaders"),
    ("inputs",),
    ("state",),
    ("lastGood", "changes", "data"),
    ("lastGood", "changes", "tool"),
    ("exchange", "requestBody"),
    ("lastGood", "changes", "inputs"),
    ("exchange", "responseBody"),
    ("failure", "warnings"),
    ("exchange",),
    ("lastGood",),
)


def explain_run(run: StoredRun, last_good: StoredRun | None) -> JsonObject:
    """`{summary, run, failure?, exchange?, inputs?, state?, lastGood?, likely?, …}`.

    `last_good` is the newest earlier run of the same tool that succeeded. A run that did not fail
    is told in short.
    """
    if run.status in (RunStatus.RUNNING, RunStatus.SUCCESS):
        return _bounded(_overview(run))
    detail = run.error_detail or {}
    failing = ending_step(run)
    request = _failing_request(failing, detail)
    explanation: JsonObject = {
        "summary": _summary(run, failing, detail),
        "run": brief(run),
        "failure": _failure(run, failing, detail),
    }
    if run.damage is not None:
        explanation["damage"] = abridged_text(run.damage, 300)
    if request is not None:
        explanation["exchange"] = _exchange(request)
    explanation["inputs"] = {
        abridged_text(name, 60): abridged(value, _VALUE_CHARACTERS)
        for name, value in list((run.inputs or {}).items())[:20]
    }
    explanation["state"] = _state(run, failing)
    changes = None
    if last_good is not None:
        changes = _Changes(run, last_good, failing, request)
        explanation["lastGood"] = {**brief(last_good), "changes": changes.wire()}
    explanation["likely"] = _likely(run, failing, detail, request, changes)
    return _bounded(explanation)


def _overview(run: StoredRun) -> JsonObject:
    if run.status is RunStatus.RUNNING:
        summary = (
            f"Run {run.run_id} of {run.tool_id} is still running since "
            f"{rfc3339(run.started_at)}; its steps are recorded when it ends."
        )
    else:
        summary = f"Run {run.run_id} of {run.tool_id} succeeded; there is no failure to explain."
    overview: JsonObject = {"summary": summary, "run": brief(run)}
    if run.damage is not None:
        overview["damage"] = abridged_text(run.damage, 300)
    steps = [
        {
            "stepId": step.get("stepId"),
            "status": step.get("status"),
            "requests": len(list_in(step, "requests")),
            **({"error": abridged_text(step["error"], 200)} if step.get("error") else {}),
            **_warnings(step),
        }
        for step in run.steps[:_MOST_STEPS]
    ]
    if steps:
        overview["steps"] = steps
    if run.cost is not None:
        overview["cost"] = run.cost
    return overview


def _warnings(step: JsonObject) -> JsonObject:
    warnings = [abridged_text(str(one), 200) for one in list_in(step, "warnings")[:3]]
    return {"warnings": warnings} if warnings else {}


# What failed


def _failing_request(step: JsonObject | None, detail: JsonObject) -> JsonObject | None:
    """The last request of the item and page that failed; None when nothing was sent for them."""
    found = [
        request
        for request in requests_of(step)
        if all(
            name not in detail or request.get(name) == detail[name]
            for name in ("iteration", "page")
        )
    ]
    refused = [one for one in found if one.get("error") or one.get("status", 0) >= 400]
    return (refused or found or [None])[-1]


def _summary(run: StoredRun, failing: JsonObject | None, detail: JsonObject) -> str:
    where = f" at step {failing.get('stepId')}" if failing is not None else ""
    kind = f" ({detail['kind']})" if "kind" in detail else ""
    error = abridged_text(run.error or "no error is recorded", 300)
    word = "was aborted" if run.status is RunStatus.ABORTED else "failed"
    return f"Run {run.run_id} of {run.tool_id} {word}{where}{kind}: {error}"


def _failure(run: StoredRun, failing: JsonObject | None, detail: JsonObject) -> JsonObject:
    failure: JsonObject = {}
    for name in ("kind", "stepId", "iteration", "page", "path", "retryable", "hint"):
        if name in detail:
            value = detail[name]
            failure[name] = abridged_text(value, 400) if isinstance(value, str) else value
    if run.error is not None:
        failure["error"] = abridged_text(run.error, _ERROR_CHARACTERS)
    if failing is None:
        if "stepId" not in detail:
            failure["where"] = _outside_steps(run, detail)
        return failure
    failure["stepId"] = failing.get("stepId")
    failure["stepKind"] = _step_kind(run, failing.get("stepId"))
    failure["attempts"] = failing.get("attempts", 0)
    failure["requests"] = len(list_in(failing, "requests"))
    if "childRunId" in failing:
        failure["childRunId"] = failing["childRunId"]
    failure.update(_warnings(failing))
    return failure


def _outside_steps(run: StoredRun, detail: JsonObject) -> str:
    match detail.get("kind"):
        case "invalid_input":
            return "before the first step: the inputs were refused, nothing was sent"
        case "output_schema":
            return "after the last step: the result breaks the tool's outputSchema"
        case "response_filter":
            return "after the last step: a response filter refused the result"
        case "interrupted":
            return "unknown: the process that ran it stopped, its steps were not recorded"
        case _:
            return "after the last step that is recorded" if run.steps else "before the first step"


def _step_kind(run: StoredRun, step_id: Json) -> str:
    for step in list_in(run.tool, "steps"):
        if step.get("id") == step_id:
            return str(object_in(step, "config").get("type", "request"))
    return "unknown"


# What was sent and answered


def _exchange(request: JsonObject) -> JsonObject:
    """The request and its answer as recorded, redacted there and shortened here."""
    shown = request_brief(request)
    for name, characters in (("url", _URL_CHARACTERS), ("error", 300)):
        if name in shown:
            shown[name] = abridged_text(shown[name], characters)
    exchange = object_in(request, "exchange")
    if not exchange:
        shown["note"] = "headers and bodies of this request are not recorded"
        return shown
    for name in ("requestHeaders", "responseHeaders"):
        headers = list_in(exchange, name)
        if headers:
            shown[name] = {
                str(header): abridged_text(str(value), _HEADER_CHARACTERS)
                for header, value in headers[:_MOST_HEADERS]
            }
    for name in ("requestBody", "responseBody"):
        if name in exchange:
            shown[name] = abridged_text(exchange[name], _BODY_CHARACTERS)
    return shown


# What the state looked like


def _state(run: StoredRun, failing: JsonObject | None) -> JsonObject:
    """What later scripts and templates could see: the shape of each earlier step's data."""
    shapes: JsonObject = {}
    for step in _earlier_steps(run, failing)[-_MOST_STEPS:]:
        if "data" in step:
            shape = shape_of(_data_of(step), _SHAPE_DEPTH)
            shapes[str(step.get("stepId"))] = abridged(shape, _SHAPE_CHARACTERS)
    return shapes


def _earlier_steps(run: StoredRun, failing: JsonObject | None) -> list[JsonObject]:
    earlier: list[JsonObject] = []
    for step in run.steps:
        if step is failing:
            break
        earlier.append(step)
    return earlier


def _data_of(step: JsonObject) -> Json:
    """The data of a step without the envelope; of a loop a list of the data of its items."""
    data: Json = step.get("data")
    if isinstance(data, list):
        return [cast("JsonObject", one).get("data") for one in cast("list[Any]", data)]
    return cast("JsonObject", data).get("data") if isinstance(data, dict) else data


# What changed since it last worked


class _Changes:
    """What is different from the last good run, in the parts that could matter."""

    def __init__(
        self,
        run: StoredRun,
        good: StoredRun,
        failing: JsonObject | None,
        request: JsonObject | None,
    ) -> None:
        self.good = good
        self.inputs = _difference(good.inputs, run.inputs)
        self.tool = _difference(definition_of(good), definition_of(run))
        self.modes = (good.execution_mode, run.execution_mode)
        self.request_before = self.request_now = None
        #: What differs in what the two requests sent, beside their urls.
        self.sent: list[str] = []
        self.step_before = step_of(good, failing.get("stepId")) if failing is not None else None
        self.step_now = failing
        if request is not None:
            self.request_now = request_brief(request)
            before = _request_there(self.step_before, request)
            if before is not None:
                self.request_before = request_brief(before)
                self.sent = sent_differences(before, request)
        #: Shapes of earlier steps' data that are not what they were, by step.
        self.data: dict[str, Difference] = {}
        for step in _earlier_steps(run, failing):
            if len(self.data) == _MOST_CHANGED_SHAPES:
                break
            before = step_of(good, step.get("stepId"))
            if before is None or "data" not in before or "data" not in step:
                continue
            if difference := _shape_difference(before, step):
                self.data[str(step.get("stepId"))] = difference

    def wire(self) -> JsonObject:
        """`{tool?, inputs?, data?, request?, stepMs?}`; what is absent is as it was."""
        changes: JsonObject = {}
        for name, difference in (("tool", self.tool), ("inputs", self.inputs)):
            if difference:
                changes[name] = difference.wire(value_characters=_VALUE_CHARACTERS)
        if self.data:
            changes["data"] = {
                step_id: difference.wire(value_characters=_VALUE_CHARACTERS)
                for step_id, difference in self.data.items()
            }
        if self.request_before is not None and self.request_now is not None:
            changes["request"] = {
                name: _short_request(request)
                for name, request in (("before", self.request_before), ("now", self.request_now))
            }
        if self.step_before is not None and self.step_now is not None:
            times = {
                "before": step_duration_ms(self.step_before),
                "now": step_duration_ms(self.step_now),
            }
            changes["stepMs"] = {name: ms for name, ms in times.items() if ms is not None}
        return changes


def _shape_difference(before: JsonObject, now: JsonObject) -> Difference:
    """What differs in kind between the data of a step then and now; rows stand for all rows."""
    shapes = [shape_of(_data_of(step), _SHAPE_DEPTH) for step in (before, now)]
    difference = json_diff(*shapes, most_changes=_MOST_CHANGES, by_id=False)
    changes = [
        replace(change, path=_FIRST_ROW.sub("[*]", change.path)) for change in difference.changes
    ]
    return replace(difference, changes=tuple(changes))


def _difference(before: JsonObject | None, after: JsonObject | None) -> Difference | None:
    if before is None or after is None:
        return None
    return json_diff(before, after, most_changes=_MOST_CHANGES) or None


def _request_there(step: JsonObject | None, request: JsonObject) -> JsonObject | None:
    """The request of another run for the same item and page, or the first of the step."""
    candidates = requests_of(step)
    place = (request.get("iteration"), request.get("page"))
    same = [one for one in candidates if (one.get("iteration"), one.get("page")) == place]
    return (same[-1:] or candidates[:1] or [None])[0]


def _short_request(request: JsonObject) -> JsonObject:
    kept = {name: request[name] for name in ("method", "url", "status", "ms") if name in request}
    if "url" in kept:
        kept["url"] = abridged_text(kept["url"], _URL_CHARACTERS)
    return kept


# What to do


def _likely(
    run: StoredRun,
    failing: JsonObject | None,
    detail: JsonObject,
    request: JsonObject | None,
    changes: _Changes | None,
) -> list[str]:
    likely = _what_changed(changes, request) if changes is not None else [_never_worked(run)]
    likely += [
        f"Step {step.get('stepId')} failed before and was passed over: "
        f"{abridged_text(str(step.get('error')), 200)}"
        for step in _earlier_steps(run, failing)
        if step.get("status") == "failure"
    ][:3]
    likely += _what_to_do(run, failing, detail)
    if detail.get("retryable"):
        likely.append("The same call may succeed later: run it again.")
    return likely


def _never_worked(run: StoredRun) -> str:
    return (
        f"No earlier run of {run.tool_id} that succeeded is recorded: "
        "the tool itself or its system may not be set up right."
    )


def _what_changed(changes: _Changes, request: JsonObject | None) -> list[str]:
    sentences: list[str] = []
    since = f"since run {changes.good.run_id}, the last one that succeeded"
    if changes.tool:
        sentences.append(f"The tool was changed {since}: {_places(changes.tool)}.")
    if changes.inputs:
        sentences.append(
            f"The inputs are not those of run {changes.good.run_id}, which succeeded: "
            f"{_places(changes.inputs)}. Run it with those to see whether they matter."
        )
    for step_id, difference in changes.data.items():
        sentences.append(
            f"The data of step {step_id} has another shape {since}: "
            f"{_shape_places(difference)}. What reads it has to follow."
        )
    if changes.modes[0] != changes.modes[1]:
        before, now = changes.modes
        sentences.append(f"It used the systems of {now}; the last good run those of {before}.")
    if changes.request_before is not None and changes.request_now is not None:
        sentences += _what_changed_of_request(
            changes, changes.request_before, changes.request_now, is_all=not sentences
        )
    if not sentences and request is not None:
        sentences.append(
            f"Tool, inputs and request are as in run {changes.good.run_id}, which succeeded: "
            "the upstream behaves differently."
        )
    return sentences


def _what_changed_of_request(
    changes: _Changes, before: JsonObject, now: JsonObject, *, is_all: bool
) -> list[str]:
    """`is_all` when nothing else is known to have changed."""
    if before.get("url") != now.get("url"):
        return [
            f"The request went to {abridged_text(now.get('url', ''), 200)}; in the last good "
            f"run it went to {abridged_text(before.get('url', ''), 200)}."
        ]
    if changes.sent:
        parts = ", ".join(abridged_text(part, 60) for part in changes.sent[:3])
        return [f"The request to the same url is not what it was in the last good run: {parts}."]
    was, status = before.get("status"), now.get("status")
    if was == status:
        return []
    answered = f"was answered with {was or 'nothing'} then and {status or 'nothing'} now"
    if not is_all:
        return [f"A request to the same url {answered}."]
    if status in _REFUSED_SIGN_INS:
        return [
            f"The same request {answered}: its credential or its system, which no record holds, or "
            "the upstream changed."
        ]
    return [f"The same request {answered}: the upstream changed."]


def _places(difference: Difference) -> str:
    places = [abridged_text(change.path, 100) for change in difference.changes[:3]]
    return ", ".join(places) + (", …" if difference.total > len(places) else "")


def _shape_places(difference: Difference) -> str:
    """Changes of a shape, whose values are kinds: `$.total removed`."""
    words: list[str] = []
    for change in difference.changes[:4]:
        path = abridged_text(change.path, 100)
        if change.kind == "changed":
            kinds = (abridged(kind, 40) for kind in (change.before, change.after))
            words.append("{} was {} and is {}".format(path, *kinds))
        else:
            words.append(f"{path} {change.kind}")
    return ", ".join(words) + (", …" if difference.total > len(words) else "")


def _what_to_do(run: StoredRun, failing: JsonObject | None, detail: JsonObject) -> list[str]:
    status = object_in(detail, "http").get("status")
    match detail.get("kind"):
        case "http_status" if status in _REFUSED_SIGN_INS:
            system = _system_of(run, failing)
            is_missing = f"system {system} is not stored:"
            if any(is_missing in encode_json_text(line) for line in run.logs):
                return [
                    f"System {system} was not stored, so that nothing signed the request in "
                    f"({status}): store it, or set the systemId of the step to one that is."
                ]
            credential = f"the credential of system {system}" if system else "the credential"
            return [f"The upstream refused the sign-in ({status}): check {credential}."]
        case "http_status" if status in (404, 410):
            return ["Nothing is at this address: check the ids among the inputs and the url."]
        case "http_status" if isinstance(status, int) and status >= 500:
            return ["The upstream failed on its side; its answer is in exchange.responseBody."]
        case "http_status":
            return ["The upstream refused the request; exchange.responseBody says why."]
        case "rate_limited":
            return ["The upstream wants fewer requests: wait, or give its system a rateLimit."]
        case "timeout" if "stepId" not in detail:
            return ["The whole run took too long: raise runTimeoutMs, or ask for less at once."]
        case "timeout":
            return ["It took too long: raise timeoutMs, or ask for less at once."]
        case "connection":
            return ["The upstream was not reached: check its address and the network."]
        case "blocked_address":
            return ["The address is private: its system may allow it with allowPrivate."]
        case "invalid_input":
            return ["Call the tool again with inputs that fit its inputSchema; failure.error says."]
        case "unresolved_variable":
            return ["A template names what is not there: compare it with inputs and state."]
        case "script_error" | "script_limit":
            return ["The tool's JavaScript failed: compare what it reads with inputs and state."]
        case "output_schema":
            return ["Change the outputTransform or the outputSchema so that they agree."]
        case "decode" | "pagination" | "size_limit":
            return ["The answer is not what the step expects; see exchange and failure.error."]
        case "sub_tool" if failing is not None and "childRunId" in failing:
            return [f"The tool it called failed: explain run {failing['childRunId']} next."]
        case "credential":
            return ["A credential is missing or was held back; failure.error names it."]
        case "cancelled":
            return ["It was ended from outside and may be run again; what it sent stays sent."]
        case "interrupted":
            return [
                "The process that ran it stopped. It may be run again, but what it had sent by "
                "then is not known."
            ]
        case _:
            return []


def _system_of(run: StoredRun, failing: JsonObject | None) -> Json:
    if failing is None:
        return None
    for step in list_in(run.tool, "steps"):
        if step.get("id") == failing.get("stepId"):
            return object_in(step, "config").get("systemId")
    return None


# Staying within bounds


def _bounded(explanation: JsonObject) -> JsonObject:
    """The explanation without its least telling parts, as long as it is too long."""
    left_out: list[str] = []
    for path in _EXPENDABLE:
        if len(encode_json_text(explanation)) <= MOST_CHARACTERS - 300:
            break
        if _remove(explanation, path):
            left_out.append(".".join(path))
            explanation["leftOut"] = left_out
    if len(encode_json_text(explanation)) > MOST_CHARACTERS:
        # Characters that JSON escapes take six.
        explanation["summary"] = abridged_text(explanation["summary"], 300)
        failure = object_in(explanation, "failure")
        for name, value in failure.items():
            if isinstance(value, str):
                failure[name] = abridged_text(value, 100)
        explanation["likely"] = [abridged_text(one, 200) for one in list_in(explanation, "likely")]
    return explanation


def _remove(holder: JsonObject, path: Sequence[str]) -> bool:
    for name in path[:-1]:
        holder = object_in(holder, name)
    return holder.pop(path[-1], None) is not None
