"""Runtime expressions of Arazzo as templates and JavaScript."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from tools.importers.text import as_function
from tools.json_text import Json, JsonObject, encode_json_text

__all__ = ["Path", "UnknownExpression", "as_script", "as_template", "parse_value", "paths_in"]

_EMBEDDED = re.compile(r"\{(\$[^{}]+)\}")
_WHOLE = re.compile(r"\$[A-Za-z][^\s{}]*")
_PLAIN = re.compile(r"[A-Za-z_][\w-]*|\d+")
_LITERAL_BEGINS = re.compile(r"<<|\{\{")


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


#: A value whose texts are paths, or lists of literal text and paths.
Parsed = Json
Resolve = Callable[[str], Path]


def parse_value(value: Json, resolve: Resolve) -> Parsed:
    """A value with its expressions resolved. Raises `UnknownExpression`."""
    if isinstance(value, dict):
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
