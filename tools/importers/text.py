"""Text with references: what a document writes as `$NAME` or `{{name}}`, and where secrets were.

A reference is kept inside the text between two characters that no document may hold itself.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Literal, cast

from tools.importers import DocumentError
from tools.json_text import Json, JsonObject, decode_json, encode_json_text

__all__ = [
    "as_function",
    "bare_reference",
    "changed_expression",
    "changed_reference",
    "filled",
    "has_bare_references",
    "joined_template",
    "json_template",
    "json_with_references",
    "number_reference",
    "only_reference",
    "plain_template",
    "readable",
    "reference",
    "references",
    "split_change",
    "url_path_template",
    "without_encoding",
    "without_marks",
]

#: Begins the name of a reference that stands in JSON where a value does, not in a text.
_BARE = "="
_OPEN, _CLOSE = "\ue000", "\ue001"
#: Stands between how a value is changed and its name.
_CHANGED = "\ue002"
_REFERENCE = re.compile(f"{_OPEN}([^{_OPEN}{_CLOSE}]*){_CLOSE}")
_QUOTED = re.compile(r'\\.|"', re.DOTALL)
_QUOTED_TEXT = re.compile(r'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_MARKS = re.compile(f"[{_OPEN}{_CLOSE}{_CHANGED}]")
#: As JSON may write them.
_ESCAPED_MARKS = re.compile(r"\\u[eE]00[0-2]")
#: How a value is changed before it is sent, over the text `t`.
_CHANGES = {
    "encoded": "encodeURIComponent(t).replace(/%20/g, '+')",
    "number": "Number(t)",
    "one line": "t.replace(/[\\r\\n\\0]/g, '')",
}
#: What a template would read as the begin of a placeholder.
_BEGINS = re.compile(r"<<|\{\{")
#: Variables that refer to others can make a text of any length.
_MOST_FILLED = 1_000_000
_UNSAFE_IN_PATH = re.compile(r"[^A-Za-z0-9\-._~!$&'()*+,;=:@/%]")

#: The expression inside `<<…>>` for the name of a reference.
Expressions = Mapping[str, str]
Change = Literal["encoded", "number", "one line"]


def without_marks(text: str) -> str:
    """Text of a document that cannot be taken for a reference."""
    return _ESCAPED_MARKS.sub(r"\\ufffd", _MARKS.sub("\ufffd", text))


def reference(name: str) -> str:
    """Stands for the value of `name`."""
    return f"{_OPEN}{name}{_CLOSE}"


def bare_reference(name: str) -> str:
    """Stands in JSON for a value of any type."""
    return reference(_BARE + name)


def has_bare_references(text: str) -> bool:
    """Whether a text like JSON has references between its strings."""
    outside = _QUOTED_TEXT.sub("", text)
    return any(references(outside))


def changed_reference(change: Change, name: str) -> str:
    """Stands for the value of `name` percent-encoded, as a number, or without line breaks."""
    return reference(f"{change}{_CHANGED}{name}")


def number_reference(text: str) -> str:
    """Stands in JSON for the number that the value of a text with one reference is."""
    name = only_reference(text)
    return text if name is None else reference(f"{_BARE}number{_CHANGED}{name}")


def split_change(name: str) -> tuple[str, str]:
    """How the value of a reference is changed, empty where it is not, and the name of the value."""
    change, mark, plain = name.rpartition(_CHANGED)
    return change + mark, plain


def without_encoding(text: str) -> str:
    """The value of a field that is encoded when it is sent."""

    def plain(name: str) -> str:
        change, value = split_change(name)
        return reference(value if change.startswith("encoded") else name)

    return readable(text, plain)


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


def filled(text: str, value: Callable[[str], str], place: str) -> str:
    """A text with the values of its references. Raises `DocumentError` where they are too long."""
    length = 0

    def counted(name: str) -> str:
        nonlocal length
        found = value(name)
        length += len(found)
        if length > _MOST_FILLED:
            raise DocumentError(
                f"its variables make a text of more than {_MOST_FILLED:,} characters", place=place
            )
        return found

    return readable(text, counted)


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


def joined_template(text: str, expressions: Expressions) -> str:
    """A template of one function, which gives the text where a plain one would make it JSON."""
    if not any(references(text)):
        return as_function(text)
    parts: list[str] = []
    position = 0
    for match in _REFERENCE.finditer(text):
        expression = expressions.get(match[1]) or '""'
        value = f"({expression})(s)" if "=>" in expression else f"s[{encode_json_text(expression)}]"
        parts += [encode_json_text(text[position : match.start()]), value]
        position = match.end()
    parts.append(encode_json_text(text[position:]))
    listed = ", ".join(one for one in parts if one != '""')
    return (
        f"<<(s) => [{listed}].map((one) => typeof one === 'string' ? one : JSON.stringify(one))"
        ".join('')>>"
    )


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


def changed_expression(change: str, expression: str) -> str:
    """The function for a value that is changed."""
    changed = _CHANGES[change.removesuffix(_CHANGED)]
    return f"(s) => ((t) => {changed})(String(s[{encode_json_text(expression)}]))"


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
