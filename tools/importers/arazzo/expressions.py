"""Runtime expressions of Arazzo as templates and JavaScript."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from tools.importers.openapi.words import object_of, text_of
from tools.importers.text import as_function
from tools.json_text import Json, JsonObject, encode_json_text

__all__ = [
    "Path",
    "UnknownExpression",
    "as_script",
    "as_template",
    "parse_value",
    "paths_in",
    "pointer_keys",
    "selected",
]

_EMBEDDED = re.compile(r"\{(\$[^{}]+)\}")
_WHOLE = re.compile(r"\$[A-Za-z][^\s{}]*")
_PLAIN = re.compile(r"[A-Za-z_][\w-]*|\d+")
_LITERAL_BEGINS = re.compile(r"<<|\{\{")
_SELECTOR = frozenset({"context", "selector", "type"})
#: A step of a JSONPath that leads to one value (RFC 9535, singular query).
_SINGULAR = re.compile(r"""\.([A-Za-z_]\w*)|\[(\d+)\]|\['([^'\\]*)'\]|\["([^"\\]*)"\]""")


class UnknownExpression(Exception):  # noqa: N818 - it is told, not fatal: the value is left out
    """An expression that nothing here stands for."""


@dataclass(frozen=True)
class Path:
    """Where a value lies in the state of a run."""

    keys: tuple[str, ...]

    def template(self) -> str:
        if all(map(_PLAIN.fullmatch, self.keys)) and not self.keys[0].startswith(("async", "func")):
            return f"<<{'.'.join(self.keys)}>>"
        return f"<<(s) => {self.script()}>>"

    def script(self) -> str:
        first, *rest = (f"[{encode_json_text(key)}]" for key in self.keys)
        return f"s{first}" + "".join(f"?.{one}" for one in rest)


def pointer_keys(pointer: str) -> list[str]:
    """The names and positions of a JSON pointer (RFC 6901)."""
    return [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]


def selected(value: Json) -> tuple[str, list[str]] | None:
    """The expression and the names below it of a text, or of a selector object of Arazzo 1.1.

    None for every other value. Raises `UnknownExpression` for a selector of many values or of XML.
    """
    if isinstance(value, str):
        expression, _, pointer = value.strip().partition("#")
        return expression, pointer_keys(pointer)
    members = object_of(value)
    if members.keys() != _SELECTOR:
        return None
    context, selector = text_of(members["context"]), text_of(members["selector"])
    keys = None
    match object_of(members["type"]).get("type", members["type"]):
        case "jsonpointer":
            keys = pointer_keys(selector)
        case "jsonpath":
            keys = _keys_of_json_path(selector)
        case _:
            pass
    if keys is None:
        raise UnknownExpression(f"the selector {selector[:80]} is not mapped")
    return context, keys


def _keys_of_json_path(path: str) -> list[str] | None:
    keys: list[str] = []
    position = 1
    while match := _SINGULAR.match(path, position):
        keys.append(next(one for one in match.groups() if one is not None))
        position = match.end()
    return keys if path[:1] == "$" and position == len(path) else None


#: A value whose texts are paths, or lists of literal text and paths.
Parsed = Json
Resolve = Callable[[str], Path]


def parse_value(value: Json, resolve: Resolve) -> Parsed:
    """A value with its expressions resolved. Raises `UnknownExpression`."""
    if isinstance(value, dict):
        if (selection := selected(cast("JsonObject", value))) is not None:
            expression, keys = selection
            return Path((*resolve(expression).keys, *keys))
        members = cast("JsonObject", value).items()
        return {name: parse_value(one, resolve) for name, one in members}
    if isinstance(value, list):
        return [parse_value(one, resolve) for one in cast("list[Json]", value)]
    if not isinstance(value, str):
        return value
    if _WHOLE.fullmatch(value.strip()):
        return resolve(value.strip())
    parts: list[str | Path] = []
    position = 0
    for match in _EMBEDDED.finditer(value):
        parts.append(value[position : match.start()])
        parts.append(resolve(match[1]))
        position = match.end()
    return (*parts, value[position:]) if position else value


def as_template(value: Parsed) -> Json:
    """The value with templates in its texts."""
    if isinstance(value, Path):
        return value.template()
    if isinstance(value, tuple):
        parts = cast("tuple[str | Path, ...]", value)
        return "".join(one.template() if isinstance(one, Path) else _literal(one) for one in parts)
    if isinstance(value, dict):
        return {name: as_template(one) for name, one in cast("JsonObject", value).items()}
    if isinstance(value, list):
        return [as_template(one) for one in cast("list[Json]", value)]
    return _literal(value) if isinstance(value, str) else value


def as_script(value: Parsed) -> str:
    """The value as a JavaScript expression over the state `s`."""
    if isinstance(value, Path):
        return value.script()
    if isinstance(value, tuple):
        parts = cast("tuple[str | Path, ...]", value)
        listed = ", ".join(
            one.script() if isinstance(one, Path) else encode_json_text(one) for one in parts if one
        )
        return f'[{listed}].join("")'
    if isinstance(value, dict):
        members = cast("JsonObject", value).items()
        listed = ", ".join(f"[{encode_json_text(key)}]: {as_script(one)}" for key, one in members)
        return f"({{{listed}}})"
    if isinstance(value, list):
        return "[" + ", ".join(map(as_script, cast("list[Json]", value))) + "]"
    return encode_json_text(value)


def paths_in(value: Parsed) -> set[Path]:
    """All paths in a value."""
    if isinstance(value, Path):
        return {value}
    if isinstance(value, tuple | list):
        inner = list(cast("list[Json]", value))
    elif isinstance(value, dict):
        inner = list(cast("JsonObject", value).values())
    else:
        return set()
    return set[Path]().union(*map(paths_in, inner))


def _literal(text: str) -> str:
    return _LITERAL_BEGINS.sub(lambda match: as_function(match[0]), text)
