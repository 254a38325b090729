"""How a comparison, an explanation and the workflow view look in a terminal."""

from collections.abc import Sequence

import typer

from server.commands.output import print_table
from tools.json_text import Json, JsonObject, encode_json_text

__all__ = ["print_comparison", "print_difference", "print_explanation", "print_workflow"]

_DIFFERENCES = (
    ("tool", "definition of the tool"),
    ("inputs", "inputs"),
    ("options", "options"),
    ("result", "result"),
)
_CELL_CHARACTERS = 80


def print_comparison(comparison: JsonObject) -> None:
    """The summary, then a table for each part that differs."""
    for side in ("a", "b"):
        _say(f"{side}  {_run_line(comparison[side])}")
    _say("")
    for sentence in comparison["summary"]:
        _say(f"- {sentence}")
    if comparison["same"]:
        _say(f"- the same: {', '.join(comparison['same'])}")
    for name, title in _DIFFERENCES:
        if name in comparison:
            print_difference(title, comparison[name])
    steps = comparison["steps"]
    if steps:
        _say("\nsteps")
        times = {one["stepId"]: one for one in comparison["timing"]["steps"]}
        rows = [_step_row(step, times.get(step["stepId"], {})) for step in steps]
        print_table(("step", "a", "b", "requests", "took", ""), rows)


def print_difference(title: str, difference: JsonObject) -> None:
    """The changes from a to b as a table."""
    changes = difference["changes"]
    shown = f", {len(changes)} shown" if len(changes) < difference["total"] else ""
    total = difference["total"]
    _say(f"\n{title} ({total:,} {'change' if total == 1 else 'changes'}{shown})")
    print_table(
        ("path", "change", "a", "b"),
        [
            (
                change["path"],
                change["change"],
                _cell(change, "before"),
                _cell(change, "after"),
            )
            for change in changes
        ],
    )


def _cell(fields: JsonObject, name: str) -> str:
    if name not in fields:
        return ""
    text = encode_json_text(fields[name])
    return text if len(text) <= _CELL_CHARACTERS else f"{text[: _CELL_CHARACTERS - 1]}…"


def _step_row(step: JsonObject, times: JsonObject) -> tuple[str, ...]:
    a, b = step.get("a", {}), step.get("b", {})
    return (
        str(step["stepId"]),
        a.get("status", "-"),
        b.get("status", "-"),
        _both(a.get("requests"), b.get("requests")),
        f"{_both(times.get('aMs'), times.get('bMs'))} ms" if "aMs" in times else "",
        "differs" if step["differs"] else "",
    )


def _both(a: Json, b: Json) -> str:
    return str(a) if a == b else f"{'-' if a is None else a} / {'-' if b is None else b}"


def print_explanation(explanation: JsonObject) -> None:
    """What failed, what to do, and what that rests on."""
    _say(explanation["summary"])
    if hint := explanation.get("failure", {}).get("hint"):
        _say(f"what to do: {hint}")
    for sentence in explanation.get("likely", ()):
        _say(f"- {sentence}")
    _say("")
    _say(f"run        {_run_line(explanation['run'])}")
    for name in ("where", "stepKind", "iteration", "page", "path", "childRunId"):
        if name in explanation.get("failure", {}):
            _say(f"{name:10} {explanation['failure'][name]}")
    if "exchange" in explanation:
        _print_exchange(explanation["exchange"])
    _print_fields("inputs", explanation.get("inputs", {}))
    _print_fields("data of the steps before, by its shape", explanation.get("state", {}))
    if last := explanation.get("lastGood"):
        _say(f"last good  {_run_line(last)}")
        changes = last["changes"]
        for name, title in _DIFFERENCES[:2]:
            if name in changes:
                print_difference(f"{title} since then", changes[name])
        for step_id, difference in changes.get("data", {}).items():
            print_difference(f"shape of the data of step {step_id} since then", difference)
    for step in explanation.get("steps", ()):
        count = step["requests"]
        requests = f"{count} {'request' if count == 1 else 'requests'}"
        _say(f"step {step['stepId']}: {step['status']}, {requests}")


def _print_exchange(exchange: JsonObject) -> None:
    status = exchange.get("status", "no answer")
    _say(f"request    {exchange.get('method')} {exchange.get('url')} -> {status}")
    for side in ("request", "response"):
        for header, value in exchange.get(f"{side}Headers", {}).items():
            _say(f"  {side} header  {header}: {value}")
        if body := exchange.get(f"{side}Body"):
            _say(f"  {side} body    {body}")
    if "note" in exchange:
        _say(f"  note: {exchange['note']}")


def _print_fields(title: str, fields: JsonObject) -> None:
    if fields:
        _say(title)
        for name, value in fields.items():
            _say(f"  {name}: {encode_json_text(value)}")


def print_workflow(view: JsonObject) -> None:
    """The run in a few lines, and its nodes as a table."""
    for name in ("id", "workflowId", "workflowVersion", "status", "startedAt", "finishedAt"):
        if name in view:
            _say(f"{name:15} {view[name]}")
    nodes = view["workflowDefinition"]["nodes"]
    print_table(
        ("node", "type", "status", "next", "error"),
        [
            (
                node_id,
                state["type"],
                state["status"],
                ", ".join(nodes[node_id]["children"]),
                state.get("error", "").partition("\n")[0][:_CELL_CHARACTERS],
            )
            for node_id, state in view["executionState"].items()
        ],
    )


def _run_line(run: JsonObject) -> str:
    parts: Sequence[Json] = (
        run["runId"],
        run["toolId"],
        f"version {run['toolVersionNumber']}" if "toolVersionNumber" in run else None,
        run["status"],
        run["startedAt"],
        f"{run['durationMs']} ms" if "durationMs" in run else None,
    )
    return "  ".join(str(part) for part in parts if part is not None)


def _say(text: str) -> None:
    """A line on stdout; text of others brings no control characters to the terminal."""
    plain = "".join(one if one.isprintable() or one == "\n" else " " for one in text)
    typer.echo(plain.encode("utf-8", "replace").decode())
