"""Steps under other ids: what templates and scripts read of them is found under the new ones."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from tools.json_text import Json, JsonObject, encode_json_text
from tools.scripts import Script, ScriptForm
from tools.scripts.paths import compile_path
from tools.templates.parse import Placeholder, parse_template

__all__ = ["renamed_script", "renamed_step", "renamed_template"]

_NAME = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]*")
_FUNCTION = re.compile(
    r"(?:async\s+)?function\b|(?:async\s*)?(?:\([^()]*\)|[A-Za-z_$][A-Za-z0-9_$]*)\s*=>"
)
_FIRST_OF_PATH = re.compile(r"(?P<before>(?:raw:\s*)?(?:\$\.)?)(?P<first>[^.\[\]]+)")


def renamed_step(step: JsonObject, ids: Mapping[str, str]) -> JsonObject:
    """A copy of a step that reads other steps under the ids they have now; its own id stays."""
    if not ids:
        return step
    config = cast("JsonObject", step["config"])
    changed: JsonObject = {}
    for key, value in config.items():
        match key:
            case "url" | "queryParams" | "headers" | "body" | "inputs":
                changed[key] = _renamed_texts(value, ids)
            case "transformCode":
                changed[key] = renamed_script(str(value), ids)
            case "pagination" if isinstance(value, dict):
                changed[key] = _renamed_pages(cast("JsonObject", value), ids)
            case _:
                changed[key] = value
    renamed = {**step, "config": changed}
    if isinstance(step.get("dataSelector"), str):
        renamed["dataSelector"] = renamed_script(str(step["dataSelector"]), ids)
    return renamed


def renamed_script(source: str, ids: Mapping[str, str]) -> str:
    """A selector or transform over the state in which steps have other ids."""
    return _Renaming(ids, ScriptForm.TRANSFORM).script(source)


def renamed_template(template: str, ids: Mapping[str, str]) -> str:
    """A template whose placeholders read steps under other ids."""
    functions = _Renaming(ids, ScriptForm.FUNCTION)

    def written(part: Placeholder) -> str:
        if part.is_function and part.expression not in ids:
            return f"<<{functions.script(part.expression)}>>"
        first = _FIRST_OF_PATH.match(part.expression)
        if first is None or first["first"] not in ids:
            return part.written
        path = first["before"] + ids[first["first"]] + part.expression[first.end() :]
        return f"{{{{{path}}}}}" if part.legacy else f"<<{path}>>"

    return "".join(
        one if isinstance(one, str) else written(one) for one in parse_template(template).parts
    )


def _renamed_texts(value: Json, ids: Mapping[str, str]) -> Json:
    if isinstance(value, dict):
        members = cast("JsonObject", value).items()
        return {renamed_template(name, ids): _renamed_texts(one, ids) for name, one in members}
    if isinstance(value, list):
        return [_renamed_texts(one, ids) for one in cast("list[Json]", value)]
    return renamed_template(value, ids) if isinstance(value, str) else value


def _renamed_pages(pagination: JsonObject, ids: Mapping[str, str]) -> JsonObject:
    renamed = dict(pagination)
    if isinstance(pagination.get("pageSize"), str):
        renamed["pageSize"] = renamed_template(str(pagination["pageSize"]), ids)
    if isinstance(pagination.get("stopCondition"), str):
        stops = _Renaming(ids, ScriptForm.STOP_CONDITION)
        renamed["stopCondition"] = stops.script(str(pagination["stopCondition"]))
    return renamed


@dataclass(frozen=True)
class _Renaming:
    """Renames in scripts of one form.

    A path is written anew. Other code is handed a state in which the steps have the ids that it
    knows, because what a name in it means only running it can tell.
    """

    ids: Mapping[str, str]
    form: ScriptForm

    def script(self, source: str) -> str:
        named = {old: new for old, new in self.ids.items() if _is_word_of(old, source)}
        if not named:
            return source
        path = compile_path(Script(source, self.form))
        if path is not None:
            if not path or path[0][0] not in named:
                return source
            (first, is_optional), *rest = path
            keys = [(named[str(first)], is_optional), *rest]
            return "(s) => s" + "".join(_subscript(key, optional) for key, optional in keys)
        code = source.strip().rstrip(";").rstrip()
        code = f"\n{code}\n" if "//" in code else code
        match self.form:
            case ScriptForm.FUNCTION:
                return f"(s) => ({code})({_view('s', named)})"
            case ScriptForm.TRANSFORM:
                return _transform(code, named)
            case ScriptForm.STOP_CONDITION:
                return _stop_condition(source, code, named)


def _transform(code: str, named: Mapping[str, str]) -> str:
    if re.match(r"\s*\.[^0-9]", code):
        code = f"sourceData{code.lstrip()}"
    if _FUNCTION.match(code.lstrip()):
        return f"(s) => ({code})({_view('s', named)})"
    # An expression gives a value, or the function that gives it.
    return (
        f"(s) => {{ const sourceData = {_view('s', named)}, input = sourceData, $ = sourceData; "
        f"const value = ({code}); "
        'return typeof value === "function" ? value(sourceData) : value; }'
    )


def _stop_condition(source: str, code: str, named: Mapping[str, str]) -> str:
    view = _view("sourceData", named)
    reads_state = "sourceData" in source or source.partition(")")[0].count(",") > 1
    if not reads_state:
        # What it calls `response` is the page, not a step.
        return source
    if re.match(r"\s*return(?![\w$])", source):
        return f"return ((sourceData) => {{ {code} }})({view})"
    return (
        "(response, pageInfo, state) => ((sourceData) => { "
        f"const value = ({code}); "
        'return typeof value === "function" ? value(response, pageInfo, sourceData) : value; '
        f"}})({_view('state', named)})"
    )


def _view(state: str, named: Mapping[str, str]) -> str:
    """The state as an object in which the steps have their former ids, too."""
    members = ", ".join(
        f"{old if _NAME.fullmatch(old) else encode_json_text(old)}: {state}{_subscript(new, False)}"
        for old, new in named.items()
    )
    return f"{{ ...{state}, {members} }}"


def _subscript(key: str | int, is_optional: bool) -> str:
    if isinstance(key, str) and _NAME.fullmatch(key):
        return f"{'?.' if is_optional else '.'}{key}"
    return f"{'?.' if is_optional else ''}[{encode_json_text(key)}]"


def _is_word_of(name: str, code: str) -> bool:
    return re.search(rf"(?<![\w$]){re.escape(name)}(?![\w$])", code) is not None
