"""One workflow as one tool whose steps run the tools of its operations."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import cast

from tools.importers import ImportedSystem, ImportedTool, NoteList
from tools.importers.arazzo.criteria import (
    HELPERS,
    accepted_statuses,
    condition_script,
    regex_statuses,
)
from tools.importers.arazzo.expressions import (
    Path,
    UnknownExpression,
    as_script,
    as_template,
    parse_value,
    paths_in,
    pointer_keys,
    selected,
)
from tools.importers.arazzo.retries import retry_limits
from tools.importers.arazzo.sources import Source, Sources
from tools.importers.openapi.references import Document, Place, ReferenceProblem
from tools.importers.openapi.words import list_of, object_of, short_text, text_of
from tools.importers.secrets import basic_pair, is_blank, is_secret_name, looks_secret
from tools.json_text import Json, JsonObject, encode_json_text
from tools.schema import check_schema
from tools.schema.check import pattern_problem

__all__ = ["WorkflowReader"]

_MOST_STEPS = 200
_FIRST_FAILURE = 400


class _Skipped(Exception):  # noqa: N818 - it is told, not fatal: the workflow is left out
    """A workflow cannot be a tool."""


class WorkflowReader:
    """Reads the workflows of one document."""

    def __init__(
        self, root: JsonObject, sources: Sources, notes: NoteList, folder: str | None
    ) -> None:
        self._document = Document(root)
        self._sources = sources
        self._notes = notes
        self._folder = folder
        self._used: dict[tuple[str, str], ImportedTool] = {}
        self._systems: dict[str, ImportedSystem] = {}
        #: Values that must stand nowhere, with the names of their credentials.
        self.secrets: dict[str, str] = {}
        ids = [text_of(object_of(one).get("workflowId")) for one in list_of(root.get("workflows"))]
        self._workflow_ids = {one: _plain(one) for one in ids if one}
        self._taken = set(self._workflow_ids.values())

    def used_tools(self) -> list[ImportedTool]:
        """The tools of the operations that the workflows name."""
        return list(self._used.values())

    def used_systems(self) -> list[ImportedSystem]:
        return list(self._systems.values())

    def read(self, workflow: JsonObject, place: Place) -> ImportedTool | None:
        """The tool of a workflow; None when a step of it has no operation, which is noted."""
        try:
            return _Workflow(self, workflow, place).tool()
        except _Skipped as reason:
            self._notes.add(place, f"the workflow is left out: {reason}")
            return None

    def follow(self, value: Json, place: Place) -> JsonObject:
        """An object, or what its `reference` to the components means."""
        reference = text_of(object_of(value).get("reference"))
        if not reference.startswith("$components."):
            return object_of(value)
        pointer = "#/" + reference.removeprefix("$").replace(".", "/")
        try:
            found = self._document.resolve(pointer, place)[0]
        except ReferenceProblem:
            self.note(place, "its reference leads nowhere")
            return {}
        rest = {key: one for key, one in object_of(value).items() if key != "reference"}
        return {**object_of(found), **rest}

    def schema(self, value: Json, place: Place) -> JsonObject:
        """The inputs as a schema that can be stored; an empty one when they cannot."""
        try:
            followed, _ = self._document.follow(value, place)
        except ReferenceProblem as problem:
            self.note(place, f"the inputs are not checked: {problem}")
            return {}
        schema = dict(object_of(followed))
        properties = dict(object_of(schema.get("properties")))
        for name, one in properties.items():
            default = object_of(one).get("default")
            if isinstance(default, str) and (is_secret_name(name) or looks_secret(default)):
                self.secrets[default] = name
                properties[name] = {k: v for k, v in object_of(one).items() if k != "default"}
                self.note(place / "properties" / name, "its default is a secret and left out")
        if properties:
            schema["properties"] = properties
        schema.setdefault("type", "object")
        if check_schema(schema, root_must_be_object=True):
            self.note(place, "the inputs are not checked: their schema cannot be used")
            return {"type": "object"}
        return schema

    def note(self, place: object, reason: str) -> None:
        self._notes.add(place, reason)

    def workflow_tool(self, workflow_id: str) -> str | None:
        return self._workflow_ids.get(workflow_id)

    def method_of(self, step: JsonObject) -> str | None:
        """The method of a step's operation; None when no document has it."""
        found = self._sources.find(step)
        return None if found is None else found[1].definition["steps"][0]["config"]["method"]

    def operation(
        self, step: JsonObject, limits: JsonObject | None = None
    ) -> tuple[Source, ImportedTool] | None:
        """The operation's tool, under an id of its own; one with `limits` is another tool."""
        found = self._sources.find(step)
        if found is None:
            return None
        source, tool = found
        suffix = "".join(f" {key}={value}" for key, value in (limits or {}).items())
        known = self._used.get((source.name, tool.key + suffix))
        if known is None:
            tool_id, number = str(tool.definition["id"]), 2
            while tool_id in self._taken:
                tool_id, number = f"{tool.definition['id']}_{number}", number + 1
            self._taken.add(tool_id)
            definition = {**tool.definition, **(limits or {}), "id": tool_id}
            if self._folder:
                definition["folder"] = self._folder
            key = f"{source.name}{tool.key}{suffix}"
            known = replace(tool, definition=definition, key=key)
            self._used[source.name, tool.key + suffix] = known
            wanted = tool.definition["steps"][0]["config"]["systemId"]
            for system in (source.result.system, *source.result.further_systems):
                if system.definition["id"] == wanted:
                    self._systems.setdefault(wanted, system)
        return source, known

    def take_secret(self, source: Source, where: str, name: str, value: str) -> bool:
        """Make a value that stands in a document the credential of the operation's system."""
        system_id = str(source.result.system.definition["id"])
        system = self._systems.setdefault(system_id, source.result.system)
        auth = object_of(system.definition.get("auth"))
        kind, _, rest = value.strip().partition(" ")
        values: dict[str, str] = {}
        if auth.get("type") == "apiKey" and auth["name"].lower() == name.lower():
            values = {auth["credential"]: value}
        elif where == "header" and name.lower() == "authorization":
            if auth.get("type") == "bearer" and kind.lower() == "bearer":
                values = {auth["credential"]: rest.strip()}
            elif auth.get("type") == "basic" and (pair := basic_pair(rest)) is not None:
                values = {auth["username"]: pair[0], auth["password"]: pair[1]}
        self.secrets[value] = name
        self.secrets |= {one: key for key, one in values.items() if key != auth.get("username")}
        if values:
            self._systems[system_id] = replace(system, values={**system.values, **values})
        return bool(values)

    def folder(self) -> str | None:
        return self._folder


class _Workflow:
    """Makes one tool."""

    def __init__(self, reader: WorkflowReader, workflow: JsonObject, place: Place) -> None:
        self._reader = reader
        self._workflow = workflow
        self._place = place
        self._schema: JsonObject = {}
        #: The step of the tool for each step of the workflow, and its outputs as paths.
        self._steps: dict[str, str] = {}
        self._outputs: dict[str, dict[str, Path]] = {}

    def tool(self) -> ImportedTool:
        workflow, place = self._workflow, self._place
        workflow_id = text_of(workflow.get("workflowId"))
        tool_id = self._reader.workflow_tool(workflow_id)
        if not tool_id:
            raise _Skipped("it has no workflowId")
        if "inputs" in workflow:
            self._schema = self._reader.schema(workflow["inputs"], place / "inputs")
        listed = list_of(workflow.get("steps"))
        if not listed or len(listed) > _MOST_STEPS:
            raise _Skipped(f"it needs 1 to {_MOST_STEPS} steps")
        steps: list[JsonObject] = []
        for index, step in enumerate(listed):
            at = place / "steps" / index
            steps.append(self._step(object_of(step), at))
            if check := self._check(object_of(step), at):
                steps.append(check)
            self._note_flow(object_of(step), at, is_last=index == len(listed) - 1)
        for key in ("successActions", "failureActions", "dependsOn", "parameters"):
            if workflow.get(key):
                self._reader.note(place / key, f"{key} of a workflow are not mapped")
        definition: JsonObject = {"id": tool_id}
        summary = short_text(workflow.get("summary"), 100)
        if summary:
            definition["name"] = summary
        words = short_text(workflow.get("description"), 500) or summary or f"Runs {workflow_id}"
        definition["instruction"] = words.rstrip(".") + "."
        if folder := self._reader.folder():
            definition["folder"] = folder
        if self._schema:
            definition["inputSchema"] = self._schema
        definition["steps"] = steps
        if outputs := self._output_transform():
            definition["outputTransform"] = outputs
        return ImportedTool(definition, f"workflow {workflow_id}", f"workflow {workflow_id}")

    def _step(self, step: JsonObject, place: Place) -> JsonObject:
        name = text_of(step.get("stepId"))
        if not name or name in self._steps:
            raise _Skipped(f"{place}: a stepId is missing or there twice")
        step_id = _plain(name)
        while step_id in object_of(self._schema.get("properties")) or (
            step_id in self._steps.values()
        ):
            step_id = f"step_{step_id}"
        if text_of(step.get("workflowId")):
            tool_id = self._reader.workflow_tool(text_of(step.get("workflowId")))
            if tool_id is None:
                raise _Skipped(f"{place}: its workflow is not in this document")
            inputs = self._parameters(step, place, None)
        else:
            found = self._reader.operation(
                step, {**(self._limits(step, place) or {}), **_time_limit(step)}
            )
            if found is None:
                raise _Skipped(f"{place}: its operation is in none of the documents")
            tool_id = str(found[1].definition["id"])
            inputs = self._parameters(step, place, found) | self._body(step, place, found)
        self._steps[name] = step_id
        self._outputs[name] = self._step_outputs(step, step_id, place)
        config: JsonObject = {"type": "tool", "toolId": tool_id}
        if inputs:
            config["inputs"] = self._written(inputs)
        fields: JsonObject = {"id": step_id, "config": config}
        if words := short_text(step.get("description"), 500):
            fields["instruction"] = words
        return fields

    def _written(self, inputs: JsonObject) -> Json:
        """The inputs of a step; those that may be missing are left out by a function."""
        required = list_of(self._schema.get("required"))
        properties = object_of(self._schema.get("properties"))
        sure = {*map(str, required)} | {
            name for name, one in properties.items() if "default" in object_of(one)
        }
        steps = set(self._steps.values())
        # Of an input that is given, a part may be missing.
        if all(
            one.keys[0] in steps or (len(one.keys) == 1 and one.keys[0] in sure)
            for one in paths_in(inputs)
        ):
            return as_template(inputs)
        return f"<<(s) => {as_script(inputs)}>>"

    # What a step is given

    def _parameters(
        self, step: JsonObject, place: Place, found: tuple[Source, ImportedTool] | None
    ) -> JsonObject:
        inputs: JsonObject = {}
        for index, given in enumerate(list_of(step.get("parameters"))):
            at = place / "parameters" / index
            one = self._reader.follow(given, at)
            name, where = text_of(one.get("name")), text_of(one.get("in"))
            value: Json = one.get("value")
            if isinstance(value, str) and self._is_secret(name, value):
                if found is None or not self._reader.take_secret(found[0], where, name, value):
                    self._reader.secrets[value] = name
                    self._reader.note(at, "a secret is written here and left out; set it yourself")
                continue
            target = name if found is None else _input_of(found[1], name, where)
            if target is None:
                self._reader.note(at, "the operation's tool has no such input; its system signs in")
                continue
            if (parsed := self._parsed(value, at)) is not None:
                inputs[target] = parsed
        return inputs

    def _is_secret(self, name: str, value: Json) -> bool:
        if not isinstance(value, str) or "$" in value or is_blank(value):
            return False
        return is_secret_name(name) or looks_secret(value)

    def _body(
        self, step: JsonObject, place: Place, found: tuple[Source, ImportedTool]
    ) -> JsonObject:
        body = object_of(step.get("requestBody"))
        if not body:
            return {}
        at = place / "requestBody"
        payload = body.get("payload")
        if list_of(body.get("replacements")):
            self._reader.note(at / "replacements", "replacements are not mapped")
        properties = object_of(object_of(found[1].definition.get("inputSchema")).get("properties"))
        if "body" in properties and not (isinstance(payload, dict) and "body" in payload):
            kept = self._without_secrets(payload, at)
            parsed = None if kept is _GONE else self._parsed(kept, at / "payload")
            return {} if parsed is None else {"body": parsed}
        inputs: JsonObject = {}
        if not isinstance(payload, dict):
            self._reader.note(at / "payload", "the payload is no object, and the body has fields")
            return {}
        fields = cast("JsonObject", self._without_secrets(cast("JsonObject", payload), at))
        for name, value in fields.items():
            target = _input_of(found[1], name, "body")
            if target is None:
                self._reader.note(at / "payload" / name, "the operation's body has no such field")
            elif (parsed := self._parsed(value, at / "payload" / name)) is not None:
                inputs[target] = parsed
        return inputs

    def _without_secrets(self, value: Json, place: Place, name: str = "") -> Json:
        if isinstance(value, dict):
            members = cast("JsonObject", value).items()
            kept = {key: self._without_secrets(one, place, key) for key, one in members}
            return {key: one for key, one in kept.items() if one is not _GONE}
        if isinstance(value, list):
            kept_items = [
                self._without_secrets(one, place, name) for one in cast("list[Json]", value)
            ]
            return [one for one in kept_items if one is not _GONE]
        if self._is_secret(name, value):
            self._reader.secrets[str(value)] = name
            self._reader.note(place, "a secret in the payload is left out; make it an input")
            return _GONE
        return value

    def _parsed(self, value: Json, place: Place) -> Json:
        try:
            return parse_value(value, self._resolve)
        except UnknownExpression as reason:
            self._reader.note(place, str(reason))
            return None

    # Expressions

    def _resolve(self, expression: str) -> Path:
        name, _, pointer = expression.partition("#")
        keys = pointer_keys(pointer)
        match name.split("."):
            case ["$inputs", *rest] if rest:
                properties = object_of(self._schema.get("properties"))
                declared, inner = _longest_known(rest, properties) or (rest[0], rest[1:])
                return Path((declared, *inner, *keys))
            case ["$steps", step, "outputs", *rest] if step in self._steps and rest:
                found = _longest_known(rest, self._outputs[step])
                if found is None:
                    raise UnknownExpression("the step has no such output that is mapped")
                known, inner = self._outputs[step][found[0]], found[1]
                return Path((*known.keys, *inner, *keys))
            case _:
                raise UnknownExpression(f"the expression {name[:80]} is not mapped")

    def _step_outputs(self, step: JsonObject, step_id: str, place: Place) -> dict[str, Path]:
        outputs: dict[str, Path] = {}
        is_workflow = bool(text_of(step.get("workflowId")))
        for name, value in object_of(step.get("outputs")).items():
            at = place / "outputs" / name
            try:
                expression, keys = selected(value) or ("", [])
            except UnknownExpression as reason:
                self._reader.note(at, str(reason))
                continue
            if expression == "$response.body" and not is_workflow:
                outputs[name] = Path((step_id, "data", *keys))
            elif expression.startswith("$outputs.") and is_workflow:
                inner = expression.removeprefix("$outputs.")
                outputs[name] = Path((step_id, "data", inner, *keys))
            elif expression.startswith(("$inputs.", "$steps.")):
                parsed = self._parsed(value, at)
                if isinstance(parsed, Path):
                    outputs[name] = parsed
            else:
                self._reader.note(at, "only the body of an answer is mapped")
        return outputs

    def _output_transform(self) -> str | None:
        outputs: JsonObject = {}
        for name, value in object_of(self._workflow.get("outputs")).items():
            parsed = self._parsed(value, self._place / "outputs" / name)
            if parsed is not None:
                outputs[name] = parsed
        return f"(s) => {as_script(outputs)}" if outputs else None

    # What has to hold, and what follows

    def _check(self, step: JsonObject, place: Place) -> JsonObject | None:
        """A step that fails unless the criteria hold that are not about the status alone."""
        step_id = self._steps[text_of(step.get("stepId"))]
        tests: list[str] = []
        for index, one in enumerate(list_of(step.get("successCriteria"))):
            at = place / "successCriteria" / index
            try:
                script = self._criterion(object_of(one), step_id)
            except UnknownExpression as reason:
                self._reader.note(at, f"{reason}; a status below 400 is a success")
                continue
            if script is not None:
                words = f"the criterion {index + 1} of step {step_id} does not hold"
                tests.append(f"if (!({script})) throw new Error({encode_json_text(words)});")
        if not tests:
            return None
        data = Path((step_id, "data")).script()
        code = f"(s) => {{ {HELPERS} {' '.join(tests)} return {data}; }}"
        check_id = f"{step_id}_check"
        while check_id in self._steps.values() or check_id in object_of(
            self._schema.get("properties")
        ):
            check_id = f"{check_id}_"
        self._steps[f"{text_of(step.get('stepId'))} check"] = check_id
        return {"id": check_id, "config": {"type": "transform", "transformCode": code}}

    def _criterion(self, criterion: JsonObject, step_id: str) -> str | None:
        """A criterion as JavaScript; None for one that every step holds to anyway.

        Raises `UnknownExpression`.
        """
        kind, condition = criterion.get("type", "simple"), text_of(criterion.get("condition"))
        context = text_of(criterion.get("context"))
        statuses: frozenset[int] | None = None
        if kind == "simple" and not context:
            statuses = accepted_statuses(condition)
        elif kind == "regex" and context == "$statusCode":
            statuses = regex_statuses(condition)
        if statuses and max(statuses) < _FIRST_FAILURE:
            return None
        if self._is_secret("", condition):
            raise UnknownExpression("the criterion holds a secret and is not mapped")

        def resolve(expression: str) -> Path:
            name, _, pointer = expression.partition("#")
            if name == "$response.body":
                return Path((step_id, "data", *pointer_keys(pointer)))
            return self._resolve(expression)

        if kind == "simple" and not context:
            return condition_script(condition, resolve)
        if kind == "regex" and context and pattern_problem(condition) is None:
            text = f'String({resolve(context).script()} ?? "")'
            return f"new RegExp({encode_json_text(condition)}).test({text})"
        raise UnknownExpression("the criterion is not mapped")

    def _limits(self, step: JsonObject, place: Place) -> JsonObject | None:
        """The limits by which the operation is tried again."""
        at = place / "onFailure"
        listed = list_of(step.get("onFailure"))
        actions = [self._reader.follow(one, at / index) for index, one in enumerate(listed)]
        method = self._reader.method_of(step)
        return retry_limits(actions, method) if method is not None else None

    def _note_flow(self, step: JsonObject, place: Place, *, is_last: bool) -> None:
        if "timeout" in step and (text_of(step.get("workflowId")) or not _time_limit(step)):
            self._reader.note(place / "timeout", "only milliseconds of an operation are mapped")
        if any(text_of(name) not in self._steps for name in list_of(step.get("dependsOn"))):
            self._reader.note(place / "dependsOn", "steps run in the order of the document")
        succeeding = [object_of(one).get("type") for one in list_of(step.get("onSuccess"))]
        if succeeding and not (is_last and set(succeeding) == {"end"}):
            self._reader.note(place / "onSuccess", "onSuccess is not mapped: steps run in order")
        failing = {object_of(one).get("type") for one in list_of(step.get("onFailure"))}
        if self._limits(step, place) is not None:
            self._reader.note(
                place / "onFailure",
                "tried again as `retries` of the tool: after 429, 500, 502, 503, 504 and broken "
                "connections, with waits that double",
            )
        elif failing - {"end"}:
            # A failure ends the run anyway.
            self._reader.note(place / "onFailure", "onFailure is not mapped")


#: In the place of a value that is left out.
_GONE = object()


def _plain(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]+", "_", name).strip("_-")[:48] or "workflow"


def _longest_known(
    parts: Sequence[str], names: Mapping[str, object]
) -> tuple[str, Sequence[str]] | None:
    """The name that a dotted expression begins with, and what follows: names may hold dots too."""
    for length in range(len(parts), 0, -1):
        name = ".".join(parts[:length])
        if name in names:
            return name, parts[length:]
    return None


def _time_limit(step: JsonObject) -> JsonObject:
    milliseconds = step.get("timeout")
    if isinstance(milliseconds, int) and not isinstance(milliseconds, bool) and milliseconds > 0:
        return {"timeoutMs": milliseconds}
    return {}


def _input_of(tool: ImportedTool, name: str, where: str) -> str | None:
    """The input of an operation's tool that a parameter or field is."""
    schema = object_of(tool.definition.get("inputSchema"))
    properties: Mapping[str, Json] = object_of(schema.get("properties"))
    located = f"{where}_{name}"
    if where and located in properties:
        return located
    renamed = next((one.input for one in tool.renamed if one.name == name), None)
    return renamed or (name if name in properties else None)
