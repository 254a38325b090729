"""One tool made of the steps of several recorded runs."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from storage.run_record import StoredRun
from tools.importers.secrets import holds_secret
from tools.json_text import Json, JsonObject, encode_json_text
from tools.redaction import is_marked
from tools.renamed_steps import renamed_script, renamed_step
from tools.run import RunStatus

__all__ = ["JoinError", "JoinedRuns", "join_runs"]

#: Of a tool's own fields, those that a step can have as well.
_LIMITS = ("timeoutMs", "retries", "retryDelayMs", "concurrency")
#: Where a schema holds values.
_VALUES = ("default", "example", "examples", "const")


class JoinError(Exception):
    """The runs cannot become one tool; the message says which and why."""


@dataclass(frozen=True)
class JoinedRuns:
    """A definition, and in words what of the runs is otherwise in it, or not in it at all."""

    definition: JsonObject
    notes: tuple[str, ...]


def join_runs(
    runs: Sequence[StoredRun],
    tool_id: str,
    instruction: str | None,
    output_transform: str | None,
) -> JoinedRuns:
    """A definition with the steps of the runs, in order, and the inputs of all of them.

    A run's own output transform becomes a step where something reads it; the last run's is that of
    the tool. A step whose id another one has gets an id of its own. Filters and limits that the
    tools of all runs have are those of the tool; else limits are those of their steps, and filters
    are named in the notes. Raises `JoinError`.
    """
    joining = _Joining(runs)
    for run in runs:
        joining.add(run)
    transform = output_transform or joining.last_transform
    joining.leave_out_unread_results(transform or "")
    definition: JsonObject = {"id": tool_id, "steps": joining.steps}
    if instruction:
        definition["instruction"] = instruction
    if joining.properties:
        definition["inputSchema"] = {
            "type": "object",
            "properties": joining.properties,
            "required": joining.required,
        }
    if transform is not None:
        definition["outputTransform"] = transform
    definition |= joining.fields_of_tool(has_own_result=output_transform is not None)
    return JoinedRuns(definition, tuple(dict.fromkeys(joining.notes)))


class _Joining:
    """Takes over one run after the other."""

    def __init__(self, runs: Sequence[StoredRun]) -> None:
        self.steps: list[JsonObject] = []
        self.properties: JsonObject = {}
        self.required: list[str] = []
        self.last_transform: str | None = None
        self.notes: list[str] = []
        #: The value of each input, and the run that had it first.
        self._values: dict[str, tuple[str, Json]] = {}
        self._last = runs[-1]
        #: The ids that steps of the run that was added last got, where those are others.
        self._ids: dict[str, str] = {}
        #: Steps that make the results of runs, by their ids.
        self._results: dict[str, StoredRun] = {}
        self._inputs = {run.run_id: set(_declared(run)) | set(run.inputs or {}) for run in runs}

        self._shared = {
            name: value
            for name in (*_LIMITS, "responseFilters")
            if (value := _tool_of(self._last).get(name)) is not None
            and all(_tool_of(run).get(name) == value for run in runs)
        }

    def fields_of_tool(self, *, has_own_result: bool) -> JsonObject:
        """What the tools of the runs have beside steps, as far as it holds for the joined one."""
        fields = dict(self._shared)
        tool = _tool_of(self._last)
        schema = tool.get("outputSchema")
        ends = [str(step["id"]) for step in _steps_of(self._last)]
        is_result = self.last_transform is not None or (
            bool(ends) and self._ids.get(ends[-1], ends[-1]) == self.steps[-1]["id"]
        )
        if schema is not None and is_result and not has_own_result:
            fields["outputSchema"] = schema
        elif schema is not None:
            self._leave_out("outputSchema", self._last, "the result is another one")
        return fields

    def leave_out_unread_results(self, transform: str) -> None:
        """Leave out the steps for results that neither another step nor `transform` names."""
        for result_id, run in self._results.items():
            others = [one for one in self.steps if one["id"] != result_id]
            texts = [transform, *map(encode_json_text, others)]
            word = re.compile(rf"(?<![\w$-]){re.escape(result_id)}(?![\w$-])")
            if not any(map(word.search, texts)):
                self.steps = others
                self._leave_out(
                    "outputTransform",
                    run,
                    f"nothing reads its result; an outputTransform that names {result_id} does",
                )

    def _leave_out(self, name: str, run: StoredRun, reason: str) -> None:
        self.notes.append(f"{name} of the tool of run {run.run_id} is left out: {reason}")

    def add(self, run: StoredRun) -> None:
        tool = _tool_of(run)
        self._look_at_end(run)
        ids = self._ids = dict[str, str]()
        limits = {
            name: value
            for name in _LIMITS
            if name not in self._shared and (value := tool.get(name)) is not None
        }
        for step in _steps_of(run):
            # What is read before a step has run is no step yet, whatever has its name.
            self._add_step({**limits, **renamed_step(step, ids)}, run, ids)
        transform = tool.get("outputTransform")
        if transform is not None:
            transform = renamed_script(str(transform), ids)
        if run is self._last:
            self.last_transform = transform
        elif transform is not None:
            config = {"type": "transform", "transformCode": transform}
            result_id = f"{run.tool_id}_result"
            ids_of_result = dict[str, str]()
            self._add_step({"id": result_id, "config": config}, run, ids_of_result)
            self._results[ids_of_result.get(result_id, result_id)] = run
        if tool.get("responseFilters") and "responseFilters" not in self._shared:
            self._leave_out("responseFilters", run, "the tools of other runs have not the same")
        if tool.get("outputSchema") and run is not self._last:
            self._leave_out("outputSchema", run, "the result is that of the last run")
        self._add_inputs(run)

    def _look_at_end(self, run: StoredRun) -> None:
        if run.status is not RunStatus.SUCCESS:
            raise JoinError(
                f"run {run.run_id} did not succeed ({run.status}): try it again until it does, or "
                "store its definition with save_tool"
            )
        execution = (run.options or {}).get("execution")
        if execution == "dry":
            raise JoinError(
                f"run {run.run_id} was a dry one: its requests were never sent, so nothing shows "
                "that they work. Valid are runs that sent them: try it again with mode limited or "
                "live and name that run, or store its definition with save_tool"
            )
        if execution == "limited":
            self.notes.append(
                f"run {run.run_id} was a limited one: it sent reading requests only, one page and "
                "one item"
            )

    def _add_step(self, step: JsonObject, run: StoredRun, ids: dict[str, str]) -> None:
        """Append a step unless it is there; `ids` gets its id when that is a new one."""
        wanted = str(step["id"])
        step_id, is_there = self._place(step, run)
        if is_there:
            self.notes.append(
                f"step {wanted} of run {run.run_id} is one of a run before it, too, and is there "
                "once"
            )
        else:
            self.steps.append({**step, "id": step_id})
        if step_id != wanted:
            ids[wanted] = step_id
            self.notes.append(f"step {wanted} of run {run.run_id} is the step {step_id}")

    def _place(self, step: JsonObject, run: StoredRun) -> tuple[str, bool]:
        """The id that a step gets, and whether the very same step has it already."""
        wanted = str(step["id"])
        own = self._inputs[run.run_id]
        others = {
            one for run_id, names in self._inputs.items() if run_id != run.run_id for one in names
        }
        taken = {str(one["id"]): one for one in self.steps}
        candidate, number = wanted, 1
        while True:
            if taken.get(candidate) == {**step, "id": candidate}:
                return candidate, True
            # In a later step, an input of another run would be hidden by the step.
            is_input = candidate in others or (candidate in own and candidate != wanted)
            if candidate not in taken and not is_input:
                return candidate, False
            number += 1
            candidate = f"{wanted}{number}"

    def _add_inputs(self, run: StoredRun) -> None:
        declared, inputs = _declared(run), run.inputs or {}
        for name in [*declared, *(name for name in inputs if name not in declared)]:
            wanted = self._schema(run, name, declared.get(name))
            there = self.properties.get(name)
            if there is not None and there.get("type") != wanted.get("type"):
                raise JoinError(
                    f"input {name} is {wanted.get('type')} in run {run.run_id} and "
                    f"{there.get('type')} in a run before it: name one of them differently"
                )
            if there is None:
                self.properties[name] = wanted
            self._note_other_value(run, name)
        schema = cast("JsonObject", (run.tool or {}).get("inputSchema") or {})
        names = cast("list[str]", schema.get("required") or [])
        self.required += [name for name in names if name not in self.required]

    def _note_other_value(self, run: StoredRun, name: str) -> None:
        inputs = run.inputs or {}
        if name not in inputs:
            return
        first, value = self._values.setdefault(name, (run.run_id, inputs[name]))
        if value != inputs[name]:
            self.notes.append(
                f"input {name} was another one in run {run.run_id} than in run {first}, and is one "
                "input for the steps of both"
            )

    def _schema(self, run: StoredRun, name: str, declared: Json) -> JsonObject:
        """The schema of an input with the recorded value as an example, and without secrets."""
        inputs = run.inputs or {}
        schema = self._without_secrets(
            name,
            cast("JsonObject", declared)
            if isinstance(declared, dict)
            else {"type": _type_of(inputs.get(name))},
        )
        if name not in inputs:
            return schema
        value = inputs[name]
        if _is_secret(name, schema, value) or is_marked(encode_json_text(value)):
            self.notes.append(
                f"the value of input {name} in run {run.run_id} looks secret and is no example; a "
                "secret is better a credential of a system than an input"
            )
        else:
            schema.setdefault("examples", [value])
        return schema

    def _without_secrets(self, name: str, schema: JsonObject) -> JsonObject:
        kept: JsonObject = {}
        for key, value in schema.items():
            if key in _VALUES and _is_secret(name, schema, value):
                self.notes.append(f"the {key} of input {name} looks secret and is left out")
            elif key == "properties" and isinstance(value, dict):
                kept[key] = {
                    inner: self._without_secrets(inner, cast("JsonObject", one))
                    if isinstance(one, dict)
                    else one
                    for inner, one in cast("JsonObject", value).items()
                }
            elif key == "items" and isinstance(value, dict):
                kept[key] = self._without_secrets(name, cast("JsonObject", value))
            else:
                kept[key] = value
        return kept


def _is_secret(name: str, schema: JsonObject, value: Json) -> bool:
    is_called_so = schema.get("format") == "password" or schema.get("writeOnly") is True
    return is_called_so or holds_secret(name, value)


def _tool_of(run: StoredRun) -> JsonObject:
    if run.tool is None:
        raise JoinError(f"the definition of run {run.run_id} cannot be read ({run.damage})")
    return run.tool


def _steps_of(run: StoredRun) -> list[JsonObject]:
    return cast("list[JsonObject]", _tool_of(run).get("steps") or [])


def _declared(run: StoredRun) -> Mapping[str, Json]:
    schema = cast("JsonObject", (run.tool or {}).get("inputSchema") or {})
    return cast("JsonObject", schema.get("properties") or {})


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
