"""What can be said about a schema before anything is validated against it."""

import hashlib
import re
from collections.abc import Iterator, Sequence
from functools import cache
from math import isfinite
from typing import Any, cast

import jsonschema_rs

from tools.json_text import Json, encode_json_text
from tools.problems import Problem
from tools.schema.cost import evaluations
from tools.schema.keywords import Location, json_path, subschemas
from tools.schema.references import References
from tools.suggestions import did_you_mean

__all__ = ["DIALECT", "MAX_DEPTH", "MAX_SUBSCHEMAS", "check_schema", "pattern_problem"]

#: The only dialect.
DIALECT = "https://json-schema.org/draft/2020-12/schema"
#: Levels of nesting of the schema as JSON; the validator itself stops at 255.
MAX_DEPTH = 120
MAX_SUBSCHEMAS = 10_000
#: Times that one value may be looked at, in the worst case.
MAX_EVALUATIONS = 100_000
#: Subschemas inside each other that apply to the same value, references followed.
MAX_CHAIN = 100
_MAX_PROBLEMS = 50
_SEEN_CHARS = 80

_TYPES = ("array", "boolean", "integer", "null", "number", "object", "string")
_LOOKED_AT = frozenset(
    {"$schema", "$ref", "$dynamicRef", "pattern", "patternProperties", "x-mcp-header"}
)
_HEADER_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}")

_A_SCHEMA = "a schema: an object, true or false"
_SCHEMAS = "a list of schemas"
_BY_NAME = "an object: each name with its schema"
_COUNT = "a whole number from 0"
_TEXT = "a text"
#: What 2020-12 has there; some authors know another dialect.
_VALID = {
    "required": "a list of property names, on the object that has them",
    "items": "one schema; a list of schemas is `prefixItems`",
    "exclusiveMinimum": "the number itself",
    "exclusiveMaximum": "the number itself",
    "minimum": "a number",
    "maximum": "a number",
    "multipleOf": "a number above 0",
    "enum": "a list of values",
    "uniqueItems": "true or false",
    "pattern": "a regular expression, as text",
    **dict.fromkeys(("properties", "patternProperties", "$defs", "dependentSchemas"), _BY_NAME),
    **dict.fromkeys(("allOf", "anyOf", "oneOf", "prefixItems"), _SCHEMAS),
    **dict.fromkeys(("minLength", "maxLength", "minItems", "maxItems"), _COUNT),
    **dict.fromkeys(("minProperties", "maxProperties", "minContains", "maxContains"), _COUNT),
    **dict.fromkeys(("title", "description", "format", "$id", "$ref", "$anchor"), _TEXT),
}
_UNICODE = "text in Unicode, without halves of surrogate pairs"


def check_schema(schema: Json, *, root_must_be_object: bool) -> list[Problem]:
    """Every problem of a schema, at most 50; none means `compile_schema` takes it.

    Paths begin behind the name of the schema (`.properties.a.type`). Found: what is no 2020-12
    schema, another dialect, references that lead out of the document or nowhere, patterns that are
    no regular expression, a schema too deep, too large or too costly, and a bad `x-mcp-header`.
    `root_must_be_object` is for the schema of inputs. Never raises.
    """
    if isinstance(schema, bool) and not root_must_be_object:
        return []
    if not isinstance(schema, dict):
        return [
            Problem(
                "",
                "a schema is an object",
                seen=_shown(schema),
                valid='an object such as {"type": "object", "properties": {}}',
            )
        ]
    if (problem := _size_problem(schema)) is not None:
        return [problem]
    known_as = _known_as(schema, root_must_be_object)
    if known_as in _FOUND_GOOD:
        return []
    problems = list(_problems(cast(dict[str, Any], schema), root_must_be_object))
    if not problems:
        problems = list(_last_resort(schema))
    if not problems:
        while len(_FOUND_GOOD) >= _MOST_FOUND_GOOD:
            del _FOUND_GOOD[next(iter(_FOUND_GOOD))]
        _FOUND_GOOD[known_as] = None
    return problems[:_MAX_PROBLEMS]


#: What was found good last: a schema is checked where it is made and where it is stored.
_FOUND_GOOD: dict[bytes, None] = {}
_MOST_FOUND_GOOD = 10_000


def _known_as(schema: Json, root_must_be_object: bool) -> bytes:
    text = f"{root_must_be_object}{encode_json_text(schema)}"
    return hashlib.sha256(text.encode()).digest()


def _problems(schema: dict[str, Any], root_must_be_object: bool) -> Iterator[Problem]:
    if root_must_be_object and schema.get("type", "object") != "object" and "$ref" not in schema:
        yield Problem(
            ".type",
            "the inputs of a tool are an object",
            seen=_shown(schema["type"]),
            valid='"object"',
        )
    yield from _form_problems(schema)
    references = References(schema)
    headers: dict[str, str] = {}
    for location, subschema in _walk(schema):
        # Most subschemas have none of what is looked at.
        members = cast(dict[str, Any], subschema) if isinstance(subschema, dict) else {}
        if not _LOOKED_AT.isdisjoint(members):
            yield from _dialect_problems(members, location)
            yield from _reference_problems(members, location, references)
            yield from _pattern_problems(members, location)
            yield from _header_problems(members, location, headers)
    cost = evaluations(references)
    if cost.chain > MAX_CHAIN:
        yield Problem(
            "",
            "too many references and alternatives inside each other",
            valid=f"up to {MAX_CHAIN}",
        )
    if cost.count > MAX_EVALUATIONS:
        yield Problem(
            "",
            "its references multiply: one value would be checked too often",
            valid=f"up to {MAX_EVALUATIONS} times",
            hint="Refer to the same definition less often from `allOf`, `anyOf` and `oneOf`.",
        )


def _size_problem(schema: Json) -> Problem | None:
    """The problem that makes every further look pointless or dangerous."""
    pending: list[tuple[Json, Location]] = [] if _is_plain(schema) else [(schema, ())]
    while pending:
        node, location = pending.pop()
        if len(location) > MAX_DEPTH:
            return Problem(
                json_path(location[:6]) + "…",
                "nested too deeply",
                valid=f"up to {MAX_DEPTH} levels",
            )
        if isinstance(node, dict):
            members = cast(dict[Any, Any], node)
            for key, value in members.items():
                if not isinstance(key, str):
                    return Problem(
                        json_path(location), "a key is not text", seen=_shown(key), valid=_TEXT
                    )
                if not _is_text(key):
                    return Problem(
                        json_path(location), "a key is not valid Unicode", valid=_UNICODE
                    )
                pending.append((value, (*location, key)))
        elif isinstance(node, list):
            items = cast(list[Any], node)
            pending += [(value, (*location, index)) for index, value in enumerate(items)]
        elif isinstance(node, str):
            if not _is_text(node):
                return Problem(json_path(location), "the text is not valid Unicode", valid=_UNICODE)
        elif isinstance(node, float) and (node != node or abs(node) == float("inf")):
            return Problem(
                json_path(location), "not a JSON number", seen=str(node), valid="a finite one"
            )
        elif not isinstance(node, (int, float, type(None))):
            return Problem(
                json_path(location),
                "not a JSON value",
                seen=type(node).__name__,
                valid="null, true, false, a number, a text, a list or an object",
            )
    count, nodes = 0, [schema]
    while nodes:
        nodes += [child for _, child in subschemas(nodes.pop())]
        count += 1
        if count > MAX_SUBSCHEMAS:
            return Problem("", "too many subschemas", valid=f"up to {MAX_SUBSCHEMAS}")
    return None


def _is_plain(schema: Json) -> bool:
    """Whether the values are those of JSON in bounds; where one is not is for a closer look."""
    level: list[Any] = [schema]
    for _ in range(MAX_DEPTH + 1):
        below: list[Any] = []
        for node in level:
            if isinstance(node, dict):
                members = cast(dict[Any, Any], node)
                for key in members:
                    if not isinstance(key, str) or not _is_text(key):
                        return False
                below += members.values()
            elif isinstance(node, list):
                below += cast(list[Any], node)
            elif isinstance(node, str):
                if not _is_text(node):
                    return False
            elif isinstance(node, float):
                if not isfinite(node):
                    return False
            elif not isinstance(node, (int, type(None))):
                return False
        level = below
    return not level


def _walk(schema: Json) -> Iterator[tuple[Location, Json]]:
    """The schema and all its subschemas, in the order of the document."""
    pending: list[tuple[Location, Json]] = [((), schema)]
    while pending:
        location, node = pending.pop()
        yield location, node
        children = [(location + step, child) for step, child in subschemas(node)]
        pending.extend(reversed(children))


def _form_problems(schema: dict[str, Any]) -> Iterator[Problem]:
    """What the meta-schema of 2020-12 says, one problem a place."""
    seen: set[Location] = set()
    for error in _meta_validator().iter_errors(schema):
        location, value = _located(schema, error.instance_path)
        if location in seen:
            continue
        seen.add(location)
        keyword = str(location[-1]) if location else ""
        if error.kind.name == "format":
            continue  # patterns and references are checked below, with better words
        if keyword == "type":
            yield from _type_problems(location, value)
            continue
        yield Problem(
            json_path(location),
            _short(error.message),
            seen=_shown(value),
            valid=_VALID.get(keyword, _A_SCHEMA),
        )


def _type_problems(location: Location, value: Json) -> Iterator[Problem]:
    names: list[tuple[Location, Any]] = [(location, value)]
    if isinstance(value, list):
        items = cast(list[Any], value)
        wrong = [
            ((*location, index), item) for index, item in enumerate(items) if item not in _TYPES
        ]
        names = wrong or names
    for at, name in names:
        near = did_you_mean(name, _TYPES) if isinstance(name, str) else None
        yield Problem(
            json_path(at),
            "not a type",
            seen=_shown(name),
            valid=", ".join(_TYPES),
            hint=f"Did you mean `{near}`?" if near else None,
        )


def _dialect_problems(schema: dict[str, Any], location: Location) -> Iterator[Problem]:
    dialect = schema.get("$schema")
    if isinstance(dialect, str) and dialect.rstrip("#") != DIALECT:
        yield Problem(
            json_path((*location, "$schema")),
            "a dialect that is not supported",
            seen=_shown(dialect),
            valid=f'"{DIALECT}", or no `$schema`',
        )


def _reference_problems(
    schema: dict[str, Any], location: Location, references: References
) -> Iterator[Problem]:
    for keyword in ("$ref", "$dynamicRef"):
        reference = schema.get(keyword)
        if not isinstance(reference, str) or references.resolve(reference, location) is not None:
            continue
        if reference.rstrip("#") == DIALECT:
            continue  # the validator has the meta-schema
        if reference.startswith("#"):
            message = "a reference to what the schema does not have"
            near = did_you_mean(reference, _known_references(references.root))
            hint = f"Did you mean `{near}`?" if near else None
        else:
            message = "a reference out of the schema; nothing is fetched"
            hint = "Copy what it refers to into `$defs` and refer to `#/$defs/<name>`."
        yield Problem(
            json_path((*location, keyword)),
            message,
            seen=_shown(reference),
            valid="a reference inside the schema, such as #/$defs/<name>",
            hint=hint,
        )


def _known_references(root: Json) -> Iterator[str]:
    for keyword in ("$defs", "definitions"):
        members: Any = root.get(keyword) if isinstance(root, dict) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        if isinstance(members, dict):
            yield from (f"#/{keyword}/{name}" for name in cast(dict[str, Any], members))


def _pattern_problems(schema: dict[str, Any], location: Location) -> Iterator[Problem]:
    patterns: list[tuple[Location, str]] = []
    if isinstance(pattern := schema.get("pattern"), str):
        patterns.append(((*location, "pattern"), pattern))
    if isinstance(named := schema.get("patternProperties"), dict):
        patterns += [
            ((*location, "patternProperties", name), name) for name in cast(dict[str, Any], named)
        ]
    for at, pattern in patterns:
        if (message := pattern_problem(pattern)) is not None:
            valid = "a regular expression of ECMA-262, such as ^[A-Z]{3}$"
            yield Problem(json_path(at), message, seen=_shown(pattern), valid=valid)


def pattern_problem(pattern: str) -> str | None:
    """Why a text is no regular expression that can be used here, else None."""
    try:
        jsonschema_rs.Draft202012Validator({"pattern": pattern}, offline=True)
    except ValueError:
        return "not a regular expression (ECMA-262), or one that is too large"
    return None


def _header_problems(
    schema: dict[str, Any], location: Location, taken: dict[str, str]
) -> Iterator[Problem]:
    """A bad `x-mcp-header` makes MCP clients drop the whole tool."""
    if "x-mcp-header" not in schema:
        return
    path = json_path((*location, "x-mcp-header"))
    name = schema["x-mcp-header"]
    if not isinstance(name, str) or not _HEADER_TOKEN.fullmatch(name):
        yield Problem(path, "not a header name", seen=_shown(name), valid="letters, digits and -")
    elif name.lower() in taken:
        message = f"the same header as {taken[name.lower()]}"
        yield Problem(path, message, seen=_shown(name), valid="a header of its own")
    elif schema.get("type") not in ("string", "integer", "boolean"):
        yield Problem(
            path,
            "a property of this type cannot be sent as a header",
            seen=_shown(schema.get("type")),
            valid="string, integer or boolean",
        )
    else:
        taken[name.lower()] = path


def _last_resort(schema: Json) -> Iterator[Problem]:
    try:
        jsonschema_rs.Draft202012Validator(schema, offline=True)
    except ValueError as error:
        yield Problem("", _short(str(error)), valid="JSON Schema 2020-12")


@cache
def _meta_validator() -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator({"$ref": DIALECT}, offline=True)


def _located(schema: Json, path: Sequence[str | int]) -> tuple[Location, Json]:
    """The place that the validator names, and what is there."""
    node: Any = schema
    location: list[str | int] = []
    for part in path:
        # It gives a property named `0` as the number 0.
        step = str(part) if _is_object(node) else part
        node = node[step]
        location.append(step)
    return tuple(location), node


def _is_object(node: Any) -> bool:
    return isinstance(node, dict)


def _short(message: str) -> str:
    first = message.strip().split("\n", 1)[0]
    return first if len(first) <= 300 else first[:299] + "…"


def _shown(value: Json) -> str:
    text = repr(value) if not isinstance(value, str) else f'"{value}"'
    return text if len(text) <= _SEEN_CHARS else text[: _SEEN_CHARS - 1] + "…"


def _is_text(value: str) -> bool:
    if value.isascii():
        return True
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
