"""One tool made of the steps of several recorded runs."""

from collections.abc import Sequence
from typing import cast

from storage.run_record import StoredRun
from tools.json_text import JsonObject, encode_json_text
from tools.redaction import is_marked

__all__ = ["JoinError", "join_runs"]


class JoinError(Exception):
    """The runs cannot become one tool; the message says which and why."""


def join_runs(
    runs: Sequence[StoredRun],
    tool_id: str,
    instruction: str | None,
    output_transform: str | None,
) -> JsonObject:
    """A definition with the steps of the runs, in order, and the inputs of all of them.

    A run's own output transform becomes a step, unless it is the last run's. Raises `JoinError`.
    """
    steps: list[JsonObject] = []
    properties: JsonObject = {}
    required: list[str] = []
    last_transform: str | None = None
    for position, run in enumerate(runs):
        if run.tool is None:
            raise JoinError(f"the definition of run {run.run_id} cannot be read ({run.damage})")
        tool = run.tool
        for step in cast("list[JsonObject]", tool.get("steps") or []):
            _add_step(steps, step, run)
        transform = tool.get("outputTransform")
        is_last = position == len(runs) - 1
        if transform is not None and is_last:
            last_transform = transform
        elif transform is not None:
            config = {"type": "transform", "transformCode": transform}
            _add_step(steps, {"id": f"{run.tool_id}_result", "config": config}, run)
        _add_inputs(properties, required, run)
    definition: JsonObject = {"id": tool_id, "steps": steps}
    if instruction:
        definition["instruction"] = instruction
    if properties:
        definition["inputSchema"] = {
            "type": "object",
            "properties": properties,
            "required": required,
        }
    transform = output_transform or last_transform
    if transform is not None:
        definition["outputTransform"] = transform
    return definition


def _add_step(steps: list[JsonObject], step: JsonObject, run: StoredRun) -> None:
    there = next((one for one in steps if one["id"] == step["id"]), None)
    if there is None:
        steps.append(step)
    elif there != step:
        raise JoinError(
            f"step {step['id']} of run {run.run_id} and of a run before it differ, and a tool has "
            "one step of a name: try one of them again under another step id"
        )


def _add_inputs(properties: JsonObject, required: list[str], run: StoredRun) -> None:
    schema = cast("JsonObject", (run.tool or {}).get("inputSchema") or {})
    declared = cast("JsonObject", schema.get("properties") or {})
    inputs = run.inputs or {}
    for name in [*declared, *(name for name in inputs if name not in declared)]:
        wanted: JsonObject = dict(declared.get(name) or {"type": _type_of(inputs.get(name))})
        if name in inputs and not is_marked(encode_json_text(inputs[name])):
            wanted.setdefault("examples", [inputs[name]])
        there = properties.get(name)
        if there is not None and there.get("type") != wanted.get("type"):
            raise JoinError(
                f"input {name} is {wanted.get('type')} in run {run.run_id} and "
                f"{there.get('type')} in a run before it: name one of them differently"
            )
        if there is None:
            properties[name] = wanted
    names = cast("list[str]", schema.get("required") or [])
    required += [name for name in names if name not in required]


def _type_of(value: object) -> str:
    match value:
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "number"
        case list():
            return "array"
        case dict():
            return "object"
        case _:
            return "string"
