"""Everything about a tool definition that can be known before it runs.

`check_definition` finds every problem at once, each with its path, what was seen and what is valid.
"""

import copy
import re
import uuid
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from pydantic import ValidationError

from tools.destinations import has_no_destination
from tools.json_text import Json, JsonObject, encode_json_text
from tools.legacy import modernise
from tools.literal_secrets import literal_secrets
from tools.methods import METHODS
from tools.model import (
    Pagination,
    RequestConfig,
    ResponseFilter,
    Step,
    SubToolConfig,
    Tool,
    TransformConfig,
)
from tools.problems import Problem
from tools.schema import check_schema
from tools.scripts import Script, ScriptEngine, ScriptForm
from tools.shapes import (
    SEEN_CHARACTERS,
    document_location,
    path_of,
    required_form,
    seen,
    shape_problems,
    unknown_keys,
)
from tools.suggestions import did_you_mean
from tools.templates import parse_template

__all__ = ["CheckedTool", "check_definition"]

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
_VERSION = re.compile(r"\d{1,9}\.\d{1,9}\.\d{1,9}")
#: Keywords of JSON Schema that have an object.
_KEYWORDS_WITH_OBJECTS = frozenset(
    {
        "$defs",
        "additionalProperties",
        "contains",
        "definitions",
        "dependentRequired",
        "dependentSchemas",
        "else",
        "if",
        "items",
        "not",
        "patternProperties",
        "properties",
        "propertyNames",
        "then",
    }
)
_MAX_DEFINITION_BYTES = 1024 * 1024
#: Of ids that are named as valid ones.
_MOST_NAMED = 20
#: Of a number of rows; Python refuses to read numbers of thousands of digits.
_MOST_DIGITS = 20


@dataclass(frozen=True)
class CheckedTool:
    """The outcome of a check: the definition in today's spelling, unless it was refused."""

    id: str | None
    definition: JsonObject | None
    problems: tuple[Problem, ...]

    @property
    def errors(self) -> list[Problem]:
        return [problem for problem in self.problems if problem.severity == "error"]

    @property
    def is_valid(self) -> bool:
        return self.definition is not None


async def check_definition(
    definition: Json,
    scripts: ScriptEngine,
    *,
    known_tool_ids: Collection[str] = (),
    known_system_ids: Collection[str] = (),
) -> CheckedTool:
    """Check a definition as it was read from JSON.

    A tool without an id gets a UUID. Unknown `toolId` and `systemId` are warnings: they may be
    stored later.
    """
    if not isinstance(definition, dict):
        problem = Problem(
            "", "a tool is a JSON object", seen=seen(definition), valid='{"id": …, "steps": […]}'
        )
        return CheckedTool(None, None, (problem,))
    fields = modernise(cast("JsonObject", definition))
    fields.setdefault("id", str(uuid.uuid4()))
    tool_id = fields["id"] if isinstance(fields["id"], str) else None
    problems = [*_unknown_keys(fields), *_size_problems(fields)]
    replaced: set[str] = set()
    try:
        tool = Tool.model_validate(fields)
    except ValidationError as error:
        problems.extend(shape_problems(error, fields))
        tool, replaced = _readable_part(fields, error)
        if tool is None:
            return CheckedTool(tool_id, None, tuple(problems))
    found = [
        *_content_problems(tool),
        *_reference_problems(tool, known_tool_ids, known_system_ids),
        *await _code_problems(tool, scripts),
    ]
    problems.extend(one for one in found if not _is_at_or_below(one.path, replaced))
    refused = any(problem.severity == "error" for problem in problems)
    return CheckedTool(tool_id, None if refused else fields, _each_once(problems))


#: Stand where a field that must be there is missing or of another kind.
_STAND_INS: Mapping[str, Json] = {
    "action": "MASK",
    "config": {"type": "transform", "transformCode": "$"},
    "pattern": "x",
    "steps": [],
    "target": "KEYS",
    "toolId": "stand-in",
    "transformCode": "$",
    "url": "https://stand-in.test/",
}


def _readable_part(fields: JsonObject, error: ValidationError) -> tuple[Tool | None, set[str]]:
    """A definition without what is of a wrong shape, to check the rest all the same.

    With it the paths where something else stands now, or nothing; None when nothing can be read.
    """
    rest: JsonObject = copy.deepcopy(fields)
    replaced: set[str] = set()
    for one in error.errors(include_url=False):
        location = document_location(one["loc"])
        if location:
            _put_stand_in(rest, location)
            replaced.add(path_of(location))
    try:
        return Tool.model_validate(rest), replaced
    except ValidationError:
        return None, replaced


def _put_stand_in(rest: JsonObject, location: tuple[int | str, ...]) -> None:
    *way, last = location
    place: Any = rest
    for part in way:
        place = place[part]
    if isinstance(last, int):
        # Stands in its place, so that the paths of the others stay right.
        own = {"id": f"stand-in-{last}"}
        names = ("config",) if way == ["steps"] else ("target", "pattern", "action")
        place[last] = own | {name: _STAND_INS[name] for name in names}
    elif last == "id":
        place[last] = "stand-in" + "".join(f"-{part}" for part in way)
    elif last in _STAND_INS:
        place[last] = copy.deepcopy(_STAND_INS[last])
    else:
        place.pop(last, None)


def _is_at_or_below(path: str, places: Collection[str]) -> bool:
    return any(path == place or path.startswith((f"{place}.", f"{place}[")) for place in places)


def _each_once(problems: list[Problem]) -> tuple[Problem, ...]:
    return tuple(dict.fromkeys(problems))


def _size_problems(fields: JsonObject) -> Iterator[Problem]:
    size = len(encode_json_text(fields))
    if size > _MAX_DEFINITION_BYTES:
        yield Problem(
            "",
            "the definition is too large",
            seen=f"{size:,} bytes",
            valid=f"at most {_MAX_DEFINITION_BYTES:,} bytes",
        )


def _unknown_keys(fields: JsonObject) -> Iterator[Problem]:
    yield from unknown_keys(fields, Tool, "")
    for index, step in enumerate(_list_at(fields, "steps")):
        path = f"steps[{index}]"
        if not isinstance(step, dict):
            continue
        yield from unknown_keys(cast("JsonObject", step), Step, path)
        config = cast("JsonObject", step).get("config")
        if not isinstance(config, dict):
            continue
        config = cast("JsonObject", config)
        kind = config.get("type", "request")
        model = {"transform": TransformConfig, "tool": SubToolConfig}.get(
            kind if isinstance(kind, str) else "request", RequestConfig
        )
        yield from unknown_keys(config, model, f"{path}.config")
        if isinstance(config.get("pagination"), dict):
            pagination = cast("JsonObject", config["pagination"])
            yield from unknown_keys(pagination, Pagination, f"{path}.config.pagination")
    for index, one in enumerate(_list_at(fields, "responseFilters")):
        if isinstance(one, dict):
            path = f"responseFilters[{index}]"
            yield from unknown_keys(cast("JsonObject", one), ResponseFilter, path)


def _content_problems(tool: Tool) -> Iterator[Problem]:
    if not _ID.fullmatch(tool.id):
        yield Problem(
            "id",
            "this cannot be an id",
            seen=seen(tool.id),
            valid="1 to 128 of A-Z a-z 0-9 _ . - with a letter or digit first",
        )
    if not _VERSION.fullmatch(tool.version):
        yield Problem(
            "version", "this is no version", seen=seen(tool.version), valid="1.0.0, 2.13.4, …"
        )
    if not tool.steps and tool.output_transform is None:
        yield Problem(
            "steps",
            "a tool does something: it needs a step or an outputTransform",
            seen="neither",
            valid="at least one step, or an outputTransform",
        )
    yield from _duplicates(((step.id, f"steps[{i}].id") for i, step in enumerate(tool.steps)))
    filters = enumerate(tool.response_filters)
    yield from _duplicates((one.id, f"responseFilters[{i}].id") for i, one in filters)
    yield from _schema_problems(tool)
    for index, step in enumerate(tool.steps):
        if not step.id:
            yield Problem(f"steps[{index}].id", "the id is empty", valid="a text")
        if isinstance(step.config, RequestConfig):
            yield from _request_problems(tool, step.config, f"steps[{index}].config")


def _duplicates(ids: Iterable[tuple[str, str]]) -> Iterator[Problem]:
    seen: dict[str, str] = {}
    for one, path in ids:
        if one in seen:
            yield Problem(
                path, f"the same id stands at {seen[one]}", seen=one, valid="an id of its own"
            )
        seen.setdefault(one, path)


def _schema_problems(tool: Tool) -> Iterator[Problem]:
    for name, schema, must_be_object in (
        ("inputSchema", tool.input_schema, True),
        ("outputSchema", tool.output_schema, False),
    ):
        if schema in (None, {}):
            continue
        if _are_properties(schema):
            yield Problem(
                name,
                "none of its keys is known to JSON Schema, so it asks for nothing",
                seen=seen(schema),
                valid='{"type": "object", "properties": {…}}',
                severity="warning",
            )
        for problem in check_schema(schema, root_must_be_object=must_be_object):
            yield Problem(
                name + problem.path,
                problem.message,
                seen=problem.seen,
                valid=problem.valid,
                hint=problem.hint,
            )


def _are_properties(schema: Json) -> bool:
    """Whether what stands in place of a schema looks like the properties of one."""
    if not isinstance(schema, dict):
        return False
    fields = cast("JsonObject", schema)
    return not fields.keys() & _KEYWORDS_WITH_OBJECTS and all(
        isinstance(one, dict) and not key.startswith("x-") for key, one in fields.items()
    )


def _request_problems(tool: Tool, config: RequestConfig, path: str) -> Iterator[Problem]:
    if config.method not in METHODS:
        near = did_you_mean(config.method, METHODS)
        yield Problem(
            f"{path}.method",
            "this is no method a step can use",
            seen=config.method,
            valid=", ".join(METHODS),
            hint=f"did you mean `{near}`?" if near else None,
        )
    url = config.url.strip()
    if not url:
        yield Problem(f"{path}.url", "the url is empty", seen="''", valid=required_form("url"))
    elif not re.match(r"(?:https?://|/|<<|\{\{)", url, re.IGNORECASE):
        has_scheme = re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", url) is not None
        yield Problem(
            f"{path}.url",
            "this is not an http url",
            seen=seen(url),
            valid=required_form("url"),
            hint=None if has_scheme else f"did you mean https://{url[:SEEN_CHARACTERS]}?",
            # Tools from elsewhere may hold other protocols; such a step fails when it runs.
            severity="warning" if has_scheme else "error",
        )
    elif url.startswith("/") and config.system_id is None:
        yield Problem(
            f"{path}.url",
            "a url that begins with / continues the url of a system, and there is none",
            seen=seen(url),
            valid="a whole url, or a systemId beside it",
        )
    elif has_no_destination(tool, config):
        yield Problem(
            f"{path}.url",
            "an input or a result cannot choose where a request goes: runs fail here",
            seen=seen(url),
            valid="the host written out, as in https://api.example.com/<<path>>; a systemId whose "
            "system has that host; or a credential of the run that the url begins with",
            severity="warning",
        )
    yield from literal_secrets(config, path)
    if config.pagination is not None:
        yield from _pagination_problems(config.pagination, f"{path}.pagination")


def _pagination_problems(pagination: Pagination, path: str) -> Iterator[Problem]:
    size = pagination.page_size
    if isinstance(size, str) and not parse_template(size).placeholders:
        size = int(size) if size.strip().isdecimal() and len(size) < _MOST_DIGITS else 0
    if isinstance(size, int) and size < 1:
        yield Problem(
            f"{path}.pageSize",
            "this is no number of rows",
            seen=seen(pagination.page_size),
            valid="a whole number from 1, as number or text, or a template",
        )
    if pagination.type == "nextUrl" and not (
        pagination.next_url_path or pagination.next_url_header
    ):
        yield Problem(
            path,
            "nextUrl needs to know where the url stands",
            seen="neither nextUrlPath nor nextUrlHeader",
            valid="nextUrlPath (in the body) or nextUrlHeader",
        )


def _reference_problems(
    tool: Tool, known_tool_ids: Collection[str], known_system_ids: Collection[str]
) -> Iterator[Problem]:
    for index, step in enumerate(tool.steps):
        config = step.config
        path = f"steps[{index}].config"
        if isinstance(config, SubToolConfig):
            if config.tool_id == tool.id:
                yield Problem(
                    f"{path}.toolId",
                    "a tool cannot call itself",
                    seen=config.tool_id,
                    valid="the id of another stored tool",
                )
            elif config.tool_id not in known_tool_ids:
                yield _unknown_reference(f"{path}.toolId", "tool", config.tool_id, known_tool_ids)
        if (
            isinstance(config, RequestConfig)
            and config.system_id is not None
            and config.system_id not in known_system_ids
        ):
            known = known_system_ids
            yield _unknown_reference(f"{path}.systemId", "system", config.system_id, known)


def _unknown_reference(path: str, kind: str, seen: str, known: Collection[str]) -> Problem:
    near = did_you_mean(seen, known)
    is_named = 0 < len(known) <= _MOST_NAMED
    return Problem(
        path,
        f"no {kind} of this id is stored yet",
        seen=seen,
        valid=", ".join(sorted(known))
        if is_named
        else f"the id of a {kind}; {len(known)} are stored",
        hint=f"did you mean `{near}`?" if near else None,
        severity="warning",
    )


async def _code_problems(tool: Tool, scripts: ScriptEngine) -> list[Problem]:
    """Problems of JavaScript, templates and regular expressions."""
    problems: list[Problem] = []
    code: list[tuple[str, Script]] = []
    for path, template in _templates_of(tool):
        parsed = parse_template(template)
        if parsed.unclosed_at is not None:
            problems.append(
                Problem(
                    path,
                    "`<<` is not closed and stays as text",
                    seen=seen(template[parsed.unclosed_at :]),
                    valid="<<name>>, <<path.to.value>> or <<(s) => …>>",
                    severity="warning",
                )
            )
        for placeholder in parsed.placeholders:
            if placeholder.is_function:
                code.append((path, Script(placeholder.expression, ScriptForm.FUNCTION)))
            elif not placeholder.expression:
                problems.append(
                    Problem(path, "a placeholder is empty", seen="<<>>", valid="<<name>>")
                )
    code.extend(_scripts_of(tool))
    messages = await scripts.check_all([script for _, script in code])
    problems.extend(
        Problem(
            path,
            f"Invalid transform code: {message}",
            seen=seen(script.source),
            valid=_VALID_CODE[script.form],
        )
        for (path, script), message in zip(code, messages, strict=True)
        if message is not None
    )
    for index, one in enumerate(tool.response_filters):
        if (message := await scripts.check_pattern(one.pattern)) is not None:
            problems.append(
                Problem(
                    f"responseFilters[{index}].pattern",
                    f"Invalid regular expression: {message}",
                    seen=seen(one.pattern),
                    valid="a JavaScript regular expression without slashes",
                )
            )
    return problems


_VALID_CODE = {
    ScriptForm.FUNCTION: "a function such as (s) => s.name",
    ScriptForm.TRANSFORM: "a function, $, $.a.b, or an expression over sourceData",
    ScriptForm.STOP_CONDITION: "a function of (response, pageInfo), an expression over them, "
    "or a body that starts with return",
}


def _templates_of(tool: Tool) -> Iterator[tuple[str, str]]:
    for index, step in enumerate(tool.steps):
        path = f"steps[{index}].config"
        match step.config:
            case RequestConfig() as config:
                yield f"{path}.url", config.url
                yield from _texts_of(config.query_params, f"{path}.queryParams")
                yield from _texts_of(config.headers, f"{path}.headers")
                if config.body is not None:
                    yield f"{path}.body", config.body
                if config.pagination is not None and isinstance(config.pagination.page_size, str):
                    yield f"{path}.pagination.pageSize", config.pagination.page_size
            case SubToolConfig() as config:
                yield from _texts_of(config.inputs, f"{path}.inputs")
            case TransformConfig():
                pass


def _texts_of(value: Json, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for key, entry in cast("Mapping[str, Any]", value).items():
            yield from _texts_of(entry, f"{path}.{key}")
    elif isinstance(value, list):
        for index, element in enumerate(cast("list[Any]", value)):
            yield from _texts_of(element, f"{path}[{index}]")


def _scripts_of(tool: Tool) -> Iterator[tuple[str, Script]]:
    for index, step in enumerate(tool.steps):
        path = f"steps[{index}]"
        if step.data_selector is not None:
            yield f"{path}.dataSelector", Script(step.data_selector, ScriptForm.TRANSFORM)
        if isinstance(step.config, TransformConfig):
            code = step.config.transform_code
            yield f"{path}.config.transformCode", Script(code, ScriptForm.TRANSFORM)
        if isinstance(step.config, RequestConfig) and step.config.pagination is not None:
            condition = step.config.pagination.stop_condition
            if condition is not None:
                place = f"{path}.config.pagination.stopCondition"
                yield place, Script(condition, ScriptForm.STOP_CONDITION)
    if tool.output_transform is not None:
        yield "outputTransform", Script(tool.output_transform, ScriptForm.TRANSFORM)


def _list_at(fields: JsonObject, key: str) -> list[Json]:
    value = fields.get(key)
    return cast("list[Any]", value) if isinstance(value, list) else []
