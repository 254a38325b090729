"""Values of a template in another notation: literal text, and what stands for each placeholder."""

import re
from collections.abc import Callable
from typing import cast

from tools.importers.text import (
    json_with_references,
    only_reference,
    readable,
    reference,
)
from tools.json_text import Json, JsonObject, decode_json, encode_json_text
from tools.scope import MISSING, Missing, read_dotted_path
from tools.scripts import js_text
from tools.templates import parse_template

__all__ = ["default_of", "is_json_template", "json_with_values", "translated", "without_code"]

_TEXT = r'"(?:[^"\\]|\\.)*"'
_IS_THERE = r"(?:!== undefined|!= null)"
#: Whether an input is given, or any of several.
_GIVEN = (
    rf"(?:s\[{_TEXT}\] {_IS_THERE}"
    rf"|\[{_TEXT}(?:, {_TEXT})*\]\.some\(\(k\) => s\[k\] {_IS_THERE}\))"
)
#: Code that gives a text, always or where an input is given.
_TEXT_FUNCTION = re.compile(rf"\(s\) => (?:{_GIVEN} \? )?(?P<text>{_TEXT})(?: : null)?")
_MEMBER = rf"\[{_TEXT}\]: s\[{_TEXT}\]"
#: Code that leaves out the fields of an object whose inputs are not given.
_OBJECT_FUNCTION = re.compile(
    rf"\(s\) => (?:\(|\{{ const b = |{_GIVEN} \? )"
    rf"\{{(?P<members>{_MEMBER}(?:, {_MEMBER})*)\}}(?:\)|;.*| : \"\")",
    re.DOTALL,
)
_NAME_AND_INPUT = re.compile(rf"\[({_TEXT})\]: s\[({_TEXT})\]")
#: Code that leaves out a whole body, or writes it as JSON.
_VALUE_FUNCTION = re.compile(rf"\(s\) => (?:typeof )?s\[{_TEXT}\] (?:===|\?\?) .*", re.DOTALL)
_INPUT = re.compile(rf"\bs\[({_TEXT})\]")


def translated(
    template: str, named: Callable[[str], str | None], literal: Callable[[str], str] = str
) -> str | None:
    """The template with `named` in the place of each name; None when it holds what `named` cannot.

    A function is code, which other notations have no place for, unless it only gives a text.
    """
    parts: list[str] = []
    for part in parse_template(template).parts:
        if isinstance(part, str):
            parts.append(literal(part))
            continue
        text = _TEXT_FUNCTION.fullmatch(part.expression)
        if text is not None:
            parts.append(literal(_text_of(text["text"])))
            continue
        value = None if part.is_function else named(part.expression.removeprefix("raw:").strip())
        if value is None:
            return None
        parts.append(value)
    return "".join(parts)


def without_code(template: str) -> str:
    """A body without the code that only leaves out what is not given: all of its inputs are."""
    parts = parse_template(template).parts
    if len(parts) != 1 or isinstance(parts[0], str) or not parts[0].is_function:
        return template
    code = parts[0].expression
    if (found := _OBJECT_FUNCTION.fullmatch(code)) is not None:
        pairs = _NAME_AND_INPUT.findall(found["members"])
        members = (f"{_literal(name)}: <<{_text_of(given)}>>" for name, given in pairs)
        return "{" + ", ".join(members) + "}"
    inputs = set(_INPUT.findall(code))
    if len(inputs) == 1 and _VALUE_FUNCTION.fullmatch(code):
        return f"<<{_text_of(inputs.pop())}>>"
    return template


def _literal(name: str) -> str:
    """A JSON text in which no placeholder begins."""
    return name.replace("<<", "\\u003c\\u003c").replace("{{", "\\u007b\\u007b")


def _text_of(literal: str) -> str:
    return str(decode_json(literal.encode("utf-8", "surrogatepass")))


def is_json_template(template: str) -> bool:
    """Whether a body is JSON whatever its placeholders stand for, and is sent as such."""
    parts = parse_template(template).parts
    text = "".join(one if isinstance(one, str) else reference("value") for one in parts)
    try:
        json_with_references(text)
    except ValueError:
        return False
    return True


def default_of(schema: Json, path: str) -> Json | Missing:
    """The default of an input in an input schema, also inside of the default of an object."""
    properties = read_dotted_path(schema, "properties")
    if isinstance(properties, Missing):
        return MISSING
    first, _, rest = path.partition(".")
    default = read_dotted_path(properties, f"{first}.default")
    return default if not rest or isinstance(default, Missing) else read_dotted_path(default, rest)


def json_with_values(template: str, value_of: Callable[[str], Json]) -> str | None:
    """A JSON body with a value for each name; None when it is no JSON or holds code."""
    text = translated(template, reference)
    try:
        value = None if text is None else json_with_references(text)
    except ValueError:
        return None
    if not isinstance(value, dict | list):
        return None
    return encode_json_text(_filled(cast("Json", value), value_of))


def _filled(value: Json, value_of: Callable[[str], Json]) -> Json:
    if isinstance(value, dict):
        members = cast("JsonObject", value).items()
        return {_filled_text(name, value_of): _filled(one, value_of) for name, one in members}
    if isinstance(value, list):
        return [_filled(one, value_of) for one in cast("list[Json]", value)]
    if isinstance(value, str):
        name = only_reference(value)
        # `=` begins the name of a reference outside of a text: any JSON value may stand there.
        if name is not None and name.startswith("="):
            return value_of(name[1:])
        return _filled_text(value, value_of)
    return value


def _filled_text(text: str, value_of: Callable[[str], Json]) -> str:
    return readable(text, lambda name: js_text(value_of(name)))
