"""Text with references: what a document writes as `$NAME` or `{{name}}`, and where secrets were.

A reference is kept inside the text between two characters that no document may hold itself.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import cast

from tools.json_text import Json, JsonObject, decode_json, encode_json_text

__all__ = [
    "as_function",
    "bare_reference",
    "json_template",
    "json_with_references",
    "only_reference",
    "plain_template",
    "readable",
    "reference",
    "references",
    "url_path_template",
    "without_marks",
]

#: Begins the name of a reference that stands in JSON where a value does, not in a text.
_BARE = "="
_OPEN, _CLOSE = "\ue000", "\ue001"
_REFERENCE = re.compile(f"{_OPEN}([^{_OPEN}{_CLOSE}]*){_CLOSE}")
_QUOTED = re.compile(r'\\.|"', re.DOTALL)
_MARKS = re.compile(f"[{_OPEN}{_CLOSE}]")
#: What a template would read as the begin of a placeholder.
_BEGINS = re.compile(r"<<|\{\{")
_UNSAFE_IN_PATH = re.compile(r"[^A-Za-z0-9\-._~!$&'()*+,;=:@/%]")

#: The expression inside `<<…>>` for the name of a reference.
Expressions = Mapping[str, str]


def without_marks(text: str) -> str:
    """Text of a document that cannot be taken for a reference."""
    return _MARKS.sub("\ufffd", text)


def reference(name: str) -> str:
    """Stands for the value of `name`."""
    return f"{_OPEN}{name}{_CLOSE}"


def bare_reference(name: str) -> str:
    """Stands in JSON for a value of any type."""
    return reference(_BARE + name)


def json_with_references(text: str) -> Json:
    """The value of a JSON text with references in it, also between its strings.

    Raises `ValueError`.
    """
    parts: list[str] = []
    position = 0
    in_string = False
    for match in _REFERENCE.finditer(text):
        before = text[position : match.start()]
        for one in _QUOTED.finditer(before):
            in_string ^= one[0] == '"'
        parts.append(before)
        parts.append(match[0] if in_string else f'"{bare_reference(match[1])}"')
        position = match.end()
    return decode_json("".join((*parts, text[position:])).encode("utf-8", "surrogatepass"))


def references(text: str) -> Iterator[str]:
    """The names a text refers to."""
    return (match[1] for match in _REFERENCE.finditer(text))


def only_reference(text: str) -> str | None:
    """The name, when a text is one reference and nothing else."""
    match = _REFERENCE.fullmatch(text.strip())
    return match[1] if match else None


def readable(text: str, shown: Callable[[str], str]) -> str:
    """A text for people, each reference as `shown` writes it."""
    return _REFERENCE.sub(lambda match: shown(match[1]), text)


def as_function(text: str) -> str:
    """A placeholder that gives a text as it is."""
    # A quote or bracket would end the placeholder early for some readers of templates.
    return f"<<(s) => {encode_json_text(text)}>>"


def plain_template(text: str, expressions: Expressions) -> str:
    """A template whose value is the text, with the references resolved."""
    return _written(text, expressions, lambda part: _BEGINS.sub(_escaped, part))


def url_path_template(text: str, expressions: Expressions) -> str:
    """Like `plain_template` for a path, which is percent-encoded where it was not."""
    return _written(text, expressions, lambda part: _UNSAFE_IN_PATH.sub(_percent, part))


def json_template(value: Json, expressions: Expressions) -> str:
    """A JSON text whose strings are templates; a bare reference stands there without quotes."""
    if isinstance(value, dict):
        members = (
            f"{_json_text(name, expressions)}: {json_template(one, expressions)}"
            for name, one in cast("JsonObject", value).items()
        )
        return "{" + ", ".join(members) + "}"
    if isinstance(value, list):
        listed = (json_template(one, expressions) for one in cast("list[Json]", value))
        return "[" + ", ".join(listed) + "]"
    if isinstance(value, str):
        name = only_reference(value)
        if name is not None and name.startswith(_BARE):
            expression = expressions.get(name)
            return "null" if expression is None else f"<<{expression}>>"
        return _json_text(value, expressions)
    return encode_json_text(value)


def _json_text(text: str, expressions: Expressions) -> str:
    return f'"{_written(text, expressions, _json_literal)}"'


def _json_literal(part: str) -> str:
    literal = encode_json_text(part)[1:-1]
    return literal.replace("<<", "\\u003c\\u003c").replace("{{", "\\u007b\\u007b")


def _written(text: str, expressions: Expressions, literal: Callable[[str], str]) -> str:
    parts: list[str] = []
    position = 0
    for match in _REFERENCE.finditer(text):
        parts.append(literal(text[position : match.start()]))
        expression = expressions.get(match[1])
        parts.append("" if expression is None else f"<<{expression}>>")
        position = match.end()
    parts.append(literal(text[position:]))
    return "".join(parts)


def _escaped(match: re.Match[str]) -> str:
    return as_function(match[0])


def _percent(match: re.Match[str]) -> str:
    return "".join(f"%{byte:02X}" for byte in match[0].encode("utf-8", "replace"))
