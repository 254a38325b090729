"""What differs between two runs: a summary in sentences, and the facts behind it.

What is the same is named in `same` and not repeated; the sides are called `a` and `b`.
"""

from collections.abc import Sequence
from typing import cast

from server.run_facts import (
    brief,
    definition_of,
    duration_ms,
    request_brief,
    requests_of,
    result_of,
    sent_differences,
    step_duration_ms,
    step_of,
)
from storage.run_record import StoredRun
from tools.abridging import abridged_text
from tools.json_diff import Difference, json_diff
from tools.json_text import Json, JsonObject, encode_json_text
from tools.run import RunStatus

__all__ = ["compare_runs", "shortened_comparison"]

_MOST_STEPS = 100
_MOST_SENTENCES = 20
_ERROR_CHARACTERS = 600
_URL_CHARACTERS = 400
#: Times differ from run to run; a smaller difference is not worth a sentence.
_NOTABLE_MS = 500
_REQUEST_IDENTITY = ("method", "url", "status")


def compare_runs(a: StoredRun, b: StoredRun) -> JsonObject:
    """`{summary, a, b, same, tool?, inputs?, options?, outcome?, result?, steps, timing, cost?}`.

    Bounded, but for a model `shortened_comparison` makes it fit. Takes time by the size of the
    results.
    """
    comparison: JsonObject = {"summary": [], "a": brief(a), "b": brief(b), "same": []}
    summary: list[str] = comparison["summary"]
    same: list[str] = comparison["same"]
    summary += _notes(a, b)
    _compare_outcomes(a, b, comparison)
    for name, before, after in (
        ("tool", definition_of(a), definition_of(b)),
        ("inputs", a.inputs, b.inputs),
        ("options", a.options, b.options),
    ):
        if before is None or after is None:
            continue
        if difference := json_diff(before, after):
            comparison[name] = difference.wire()
            summary.append(_sentence(name, difference))
        else:
            same.append(name)
    _compare_results(a, b, comparison)
    comparison["steps"] = _steps(a, b, summary)
    comparison["timing"] = _timing(a, b, summary)
    if a.cost != b.cost:
        comparison["cost"] = {"a": a.cost or {}, "b": b.cost or {}}
    else:
        same.append("cost")
    if not summary:
        summary.append("The two runs do not differ but for their times.")
    if len(summary) > _MOST_SENTENCES:
        left_out = len(summary) - _MOST_SENTENCES
        more = "1 more difference is" if left_out == 1 else f"{left_out} more differences are"
        summary[_MOST_SENTENCES:] = [f"{more} in the parts below."]
    return comparison


def shortened_comparison(comparison: JsonObject, characters: int) -> JsonObject:
    """The comparison with so few changes and steps that its JSON text is at most this long."""
    short = comparison
    for most in (20, 8, 3, 0):
        if len(encode_json_text(short)) <= characters:
            return short
        short = {**comparison, "shortened": True}
        short["summary"] = comparison["summary"][: max(most, 3)]
        for name in ("tool", "inputs", "options", "result"):
            if name in short:
                short[name] = _fewer_changes(comparison[name], most)
        short["steps"] = [step for step in comparison["steps"] if step["differs"]][:most]
        short["timing"] = {**comparison["timing"], "steps": comparison["timing"]["steps"][:most]}
    return short


def _fewer_changes(difference: JsonObject, most: int) -> JsonObject:
    kept = difference["changes"][:most]
    return {**difference, "changes": kept, "truncated": len(kept) < difference["total"]}


def _notes(a: StoredRun, b: StoredRun) -> list[str]:
    notes: list[str] = []
    if a.run_id == b.run_id:
        notes.append("These are the same run.")
    if a.tool_id != b.tool_id:
        notes.append(f"These are runs of different tools: {a.tool_id} and {b.tool_id}.")
    for side, run in (("a", a), ("b", b)):
        if run.status is RunStatus.RUNNING:
            notes.append(f"Run {side} is still running: its steps and result are not recorded yet.")
        if run.damage is not None:
            damage = abridged_text(run.damage, 200)
            notes.append(f"The record of run {side} is damaged and only in part here ({damage}).")
    return notes


_ENDS = {
    RunStatus.RUNNING: "is still running",
    RunStatus.SUCCESS: "succeeded",
    RunStatus.FAILED: "failed",
    RunStatus.ABORTED: "was aborted",
}


def _compare_outcomes(a: StoredRun, b: StoredRun, comparison: JsonObject) -> None:
    outcomes = {"a": _outcome(a), "b": _outcome(b)}
    if outcomes["a"] == outcomes["b"]:
        comparison["same"].append("outcome")
        return
    comparison["outcome"] = outcomes
    if a.status is not b.status:
        sentence = f"a {_ENDS[a.status]}, b {_ENDS[b.status]}"
    else:
        sentence = f"Both are {a.status}, with different errors"
    error = b.error or a.error
    comparison["summary"].append(
        f"{sentence}: {abridged_text(error, 200)}" if error else f"{sentence}."
    )


def _outcome(run: StoredRun) -> JsonObject:
    outcome: JsonObject = {"status": run.status}
    if run.error is not None:
        outcome["error"] = abridged_text(run.error, _ERROR_CHARACTERS)
    for name in ("kind", "stepId", "iteration", "page"):
        if name in (run.error_detail or {}):
            outcome[name] = cast("JsonObject", run.error_detail)[name]
    return outcome


def _compare_results(a: StoredRun, b: StoredRun, comparison: JsonObject) -> None:
    if a.result_uri is not None and a.result_uri == b.result_uri:
        # One content, which need not be read for this.
        comparison["same"].append("result")
        return
    has_a, result_a = result_of(a)
    has_b, result_b = result_of(b)
    if has_a and has_b:
        if difference := json_diff(result_a, result_b):
            comparison["result"] = difference.wire()
            comparison["summary"].append(_sentence("result", difference))
        else:
            comparison["same"].append("result")
    elif a.status is b.status is RunStatus.SUCCESS:
        comparison["summary"].append("The results are not compared: not both can be read.")


_SUBJECTS = {
    "tool": "The definition of the tool",
    "inputs": "The inputs",
    "options": "The options",
    "result": "The result",
}


def _sentence(name: str, difference: Difference) -> str:
    if difference.total == 0:
        return f"{_SUBJECTS[name]}: too large to be compared to the end; no difference until there."
    verb = "differ" if name in ("inputs", "options") else "differs"
    places = [abridged_text(change.path, 80) for change in difference.changes[:3]]
    more = ", …" if difference.total > len(places) else ""
    where = "place" if difference.total == 1 else "places"
    return f"{_SUBJECTS[name]} {verb} in {difference.total:,} {where}: {', '.join(places)}{more}"


def _steps(a: StoredRun, b: StoredRun, summary: list[str]) -> list[JsonObject]:
    compared: list[JsonObject] = []
    for step_id in _step_ids(a, b)[:_MOST_STEPS]:
        before, after = step_of(a, step_id), step_of(b, step_id)
        entry: JsonObject = {"stepId": step_id}
        for side, step in (("a", before), ("b", after)):
            if step is not None:
                entry[side] = _step_facts(step)
        request = _first_difference(requests_of(before), requests_of(after))
        if request is not None and before is not None and after is not None:
            entry["firstRequestThatDiffers"] = request
        entry["differs"] = _differs(entry)
        compared.append(entry)
        if entry["differs"]:
            summary.append(_step_sentence(step_id, entry, a, b))
    return compared


def _step_ids(a: StoredRun, b: StoredRun) -> list[Json]:
    ids = [step.get("stepId") for run in (a, b) for step in run.steps]
    return list(dict.fromkeys(ids))


def _step_facts(step: JsonObject) -> JsonObject:
    facts: JsonObject = {
        "status": step.get("status"),
        "durationMs": step_duration_ms(step),
        "attempts": step.get("attempts"),
        "requests": len(step.get("requests") or ()),
        "error": None
        if step.get("error") is None
        else abridged_text(step["error"], _ERROR_CHARACTERS),
    }
    return {name: value for name, value in facts.items() if value is not None}


def _first_difference(
    before: Sequence[JsonObject], after: Sequence[JsonObject]
) -> JsonObject | None:
    """The first request that sent something else, or whose status differs.

    One side may have no more of them. `sent` names what differs beside the url.
    """
    for position in range(max(len(before), len(after))):
        old = before[position] if position < len(before) else None
        new = after[position] if position < len(after) else None
        sent = sent_differences(old, new) if old is not None and new is not None else []
        if old is None or new is None or sent or _identity(old) != _identity(new):
            sides = {"a": old, "b": new}
            found: JsonObject = {
                side: _short_request(one) for side, one in sides.items() if one is not None
            }
            return {**found, "sent": sent} if sent else found
    return None


def _identity(request: JsonObject) -> list[Json]:
    return [request.get(name) for name in _REQUEST_IDENTITY]


def _short_request(request: JsonObject) -> JsonObject:
    short = request_brief(request)
    for name, characters in (("url", _URL_CHARACTERS), ("error", 200)):
        if name in short:
            short[name] = abridged_text(short[name], characters)
    return short


def _differs(entry: JsonObject) -> bool:
    """Whether a step did something else; how long it took is in `timing`."""
    if "a" not in entry or "b" not in entry or "firstRequestThatDiffers" in entry:
        return True
    compared = ("status", "attempts", "requests", "error")
    return any(entry["a"].get(name) != entry["b"].get(name) for name in compared)


def _step_sentence(step_id: Json, entry: JsonObject, a: StoredRun, b: StoredRun) -> str:
    for side, other, run in (("a", "b", a), ("b", "a", b)):
        if side not in entry:
            reason = "is still running" if run.status is RunStatus.RUNNING else "did not reach it"
            return f"Step {step_id} is recorded in {other} only: {side} {reason}."
    parts: list[str] = []
    before, after = entry["a"], entry["b"]
    for name in ("status", "requests", "attempts"):
        if before.get(name) != after.get(name):
            parts.append(f"{name} {before.get(name)} in a, {after.get(name)} in b")
    if request := entry.get("firstRequestThatDiffers"):
        shown = (
            f"{side}: {_line(request[side])}" if side in request else f"{side} has no such request"
            for side in ("a", "b")
        )
        sent = f" (another {', '.join(request['sent'][:3])})" if "sent" in request else ""
        parts.append(f"first request that differs: {'; '.join(shown)}{sent}")
    return f"Step {step_id}: {', '.join(parts) or 'another error'}."


def _line(request: JsonObject) -> str:
    url = abridged_text(request.get("url", ""), 160)
    return f"{request.get('method')} {url} -> {request.get('status', 'no answer')}"


def _timing(a: StoredRun, b: StoredRun, summary: list[str]) -> JsonObject:
    timing = _times(duration_ms(a), duration_ms(b))
    slowed = timing.get("differenceMs")
    if slowed is not None and abs(slowed) >= _NOTABLE_MS:
        word = "longer" if slowed > 0 else "less"
        summary.append(f"b took {abs(slowed):,} ms {word} than a.")
    steps: list[JsonObject] = []
    for step_id in _step_ids(a, b)[:_MOST_STEPS]:
        before, after = step_of(a, step_id), step_of(b, step_id)
        if before is not None and after is not None:
            times = _times(step_duration_ms(before), step_duration_ms(after))
            steps.append({"stepId": step_id, **times})
    timing["steps"] = steps
    return timing


def _times(a: int | None, b: int | None) -> JsonObject:
    times: JsonObject = {}
    if a is not None:
        times["aMs"] = a
    if b is not None:
        times["bMs"] = b
    if a is not None and b is not None:
        times["differenceMs"] = b - a
    return times
