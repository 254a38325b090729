"""Simple property paths, read without the engine.

`(s) => s.a.b`, `s => s["a"]?.[0]`, `(s) => { return s.a }`, and for transforms `$`, `$.a.b`,
`.a.b`, `sourceData.a` and `input.a` mean the same in Python and in JavaScript as long as every
value on the way is a plain object or a list. Wherever they could differ (inherited names, a
property of a string or number, a property of null) the answer is `NOT_SIMPLE` and the engine is
asked, which also words the error.
"""

import re
from collections.abc import Collection, Sequence
from enum import Enum
from functools import lru_cache
from typing import Final, cast

from tools.json_text import Json
from tools.scripts.script import Script, ScriptForm

__all__ = ["NOT_SIMPLE", "UNDEFINED", "PathStep", "compile_path", "names_on_path", "read_path"]


class Marker(Enum):
    """Answers of `read_path` that are no JSON value."""

    UNDEFINED = "undefined"
    NOT_SIMPLE = "not simple"


UNDEFINED: Final = Marker.UNDEFINED
NOT_SIMPLE: Final = Marker.NOT_SIMPLE

#: A property name or a list position, and whether `?.` stands before it.
PathStep = tuple[str | int, bool]

# Possessive, so that a text which is no path is refused in linear time.
_NAME = r"[A-Za-z_$][A-Za-z0-9_$]*+"
_GAP = r"[ \t\r\n]*+"
_SUBSCRIPT = rf"""\[{_GAP}(?:0|[1-9][0-9]{{0,8}}|"[^"\\\r\n]*"|'[^'\\\r\n]*'){_GAP}\]"""
_STEPS = rf"(?:{_GAP}(?:(?:\?\.|\.){_GAP}{_NAME}|(?:\?\.{_GAP})?{_SUBSCRIPT}))*+"
_END = rf"{_GAP};?{_GAP}"
_ARROW = re.compile(
    # No line may end between the parameter and the arrow.
    rf"{_GAP}(?:\({_GAP}({_NAME}){_GAP}\)|({_NAME}))[ \t]*=>{_GAP}"
    rf"(?:(?P<name>{_NAME})(?P<steps>{_STEPS})"
    rf"|\{{{_GAP}return[ \t]+(?P<name2>{_NAME})(?P<steps2>{_STEPS}){_END}\}}){_END}"
)
_EXPRESSION = re.compile(
    rf"{_GAP}(?:(?:\$|sourceData|input)(?=[^A-Za-z0-9_$]|$)|(?=\.[A-Za-z_$]))"
    rf"({_STEPS}){_END}"
)
_STEP = re.compile(
    rf"{_GAP}(?:(\?\.|\.){_GAP}({_NAME})"
    rf"""|(\?\.)?{_GAP}\[{_GAP}(?:([0-9]+)|"([^"]*)"|'([^']*)'){_GAP}\])"""
)
_MAX_SOURCE = 1000
# Names that every object inherits: an own key of that name is rare, so the engine decides.
_INHERITED = frozenset(
    {
        "__defineGetter__",
        "__defineSetter__",
        "__lookupGetter__",
        "__lookupSetter__",
        "__proto__",
        "constructor",
        "hasOwnProperty",
        "isPrototypeOf",
        "propertyIsEnumerable",
        "toLocaleString",
        "toString",
        "valueOf",
    }
)
# Words that are no parameter name everywhere, or that mean something of their own.
# fmt: off
_RESERVED = frozenset(
    {
        "arguments", "async", "await", "break", "case", "catch", "class", "const", "continue",
        "debugger", "default", "delete", "do", "else", "enum", "eval", "export", "extends",
        "false", "finally", "for", "function", "if", "implements", "import", "in", "instanceof",
        "interface", "let", "new", "null", "package", "private", "protected", "public",
        "return", "static", "super", "switch", "this", "throw", "true", "try", "typeof",
        "undefined", "var", "void", "while", "with", "yield",
    }
)
# fmt: on


def compile_path(script: Script) -> tuple[PathStep, ...] | None:
    """Find the steps of a script that is only a property path of its argument, else None."""
    # Long sources are no paths, and are not kept in the cache.
    return _compile(script) if len(script.source) <= _MAX_SOURCE else None


@lru_cache(8192)
def _compile(script: Script) -> tuple[PathStep, ...] | None:
    if script.form is ScriptForm.STOP_CONDITION:
        return None
    source = script.source
    if match := _ARROW.fullmatch(source):
        parameter = match[1] or match[2]
        if parameter in _RESERVED or (match["name"] or match["name2"]) != parameter:
            return None
        return _parse_steps(match["steps"] if match["name"] else match["steps2"])
    if script.form is ScriptForm.TRANSFORM and (match := _EXPRESSION.fullmatch(source)):
        return _parse_steps(match[1])
    return None


def _parse_steps(text: str) -> tuple[PathStep, ...] | None:
    steps: list[PathStep] = []
    for match in _STEP.finditer(text):
        dot, name, optional, position, double, single = cast("Sequence[str | None]", match.groups())
        key = (
            name
            if name is not None
            else int(position)
            if position is not None
            else double
            if double is not None
            else cast(str, single)
        )
        if key in _INHERITED:
            return None
        steps.append((key, dot == "?." or optional is not None))
    return tuple(steps)


def read_path(steps: Sequence[PathStep], value: Json) -> Json:
    """Read the value at the path: `UNDEFINED`, or `NOT_SIMPLE` where the engine must be asked.

    The result is part of `value`, not a copy.
    """
    for key, optional in steps:
        kind = cast("type[object]", type(value))
        if kind is dict:
            value = value.get(key if type(key) is str else str(key), UNDEFINED)
        elif kind is list:
            if type(key) is int:
                value = value[key] if key < len(value) else UNDEFINED
            elif key == "length":
                value = len(value)
            else:
                return NOT_SIMPLE
        elif value is None or value is UNDEFINED:
            # An optional step ends the whole rest of the chain.
            return UNDEFINED if optional else NOT_SIMPLE
        else:
            return NOT_SIMPLE
    return value


def names_on_path(steps: Sequence[PathStep], watched: Collection[str]) -> frozenset[str]:
    """The watched names of the argument that reading the path reads."""
    if not watched:
        return frozenset()
    return frozenset({str(steps[0][0])} & set(watched)) if steps else frozenset(watched)
