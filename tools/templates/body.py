"""Request bodies.

A JSON body is JSON-aware: a placeholder inside a string literal is escaped, one outside becomes a
JSON value, so that no value can change the shape of the body.
"""

import re
from dataclasses import dataclass
from enum import Enum, auto
from functools import partial

from tools.json_text import Json, decode_json, encode_json_text
from tools.templates.parse import Placeholder, Template, parse_template
from tools.templates.resolve import Resolver
from tools.templates.text import render_text
from tools.threads import run_in_thread

__all__ = ["RenderedBody", "is_json_content_type", "render_body", "render_json_text"]


class _Place(Enum):
    """Where a placeholder stands in a JSON text."""

    VALUE = auto()
    IN_STRING = auto()
    #: It is all there is between two quotes.
    WHOLE_STRING = auto()


#: A longer text is read and written beside the event loop.
_LARGE_CHARACTERS = 256 * 1024
_JSON_TYPE = re.compile(r"(?:application|text)/(?:[\w.+-]*\+)?json\b", re.IGNORECASE)
_JSON_LINES_TYPE = re.compile(r"application/(?:x-)?(?:ndjson|jsonl|json-seq)\b", re.IGNORECASE)


@dataclass(frozen=True)
class RenderedBody:
    """A body's text; `value` is what it says when `is_json`."""

    text: str
    is_json: bool = False
    value: Json = None


def is_json_content_type(content_type: str) -> bool:
    """Whether a content type says JSON."""
    return _JSON_TYPE.match(content_type.strip()) is not None


async def render_body(template: str, content_type: str | None, resolver: Resolver) -> RenderedBody:
    """Render a body for its content type; without one, a template that is JSON is JSON.

    Raises `RunError` when a name is unresolved or a function throws.
    """
    parsed = parse_template(template)
    if content_type is None:
        aware = _is_json_without_placeholders(parsed)
    else:
        aware = is_json_content_type(content_type) or bool(_JSON_LINES_TYPE.match(content_type))
    if not aware:
        return RenderedBody(await render_text(template, resolver, "body"))
    text = await render_json_text(parsed, resolver, "body")
    if content_type is not None and _JSON_LINES_TYPE.match(content_type):
        return RenderedBody(text)
    if len(text) > _LARGE_CHARACTERS:
        return await run_in_thread(partial(_json_body, text))
    return _json_body(text)


def _json_body(text: str) -> RenderedBody:
    """The body that a rendered JSON template makes, in compact form where it is JSON."""
    try:
        value = decode_json(text.encode("utf-8", "surrogatepass"))
    except ValueError:
        return RenderedBody(text)
    if isinstance(value, str):
        # Bodies made by `JSON.stringify` arrive as one literal.
        return RenderedBody(value, is_json=_is_json(value), value=value)
    return RenderedBody(encode_json_text(value), is_json=True, value=value)


async def render_json_text(template: Template, resolver: Resolver, where: str) -> str:
    """The text of a JSON template, every value escaped for the place it stands in."""
    rendered: list[str] = []
    for part, place in _places(template):
        if isinstance(part, str):
            rendered.append(part)
            continue
        resolved = await resolver.resolve(part, where)
        if part.legacy and resolved.problem is not None:
            text = part.written
            rendered.append(f'"{text}"' if place is _Place.WHOLE_STRING else text)
        elif place is _Place.VALUE or (
            place is _Place.WHOLE_STRING and resolved.json_value() is None
        ):
            rendered.append(encode_json_text(resolved.json_value()))
        else:
            literal = encode_json_text(resolved.text())
            rendered.append(literal if place is _Place.WHOLE_STRING else literal[1:-1])
    return "".join(rendered)


def _places(template: Template) -> list[tuple[str | Placeholder, _Place]]:
    """The parts with their places; the quotes around a whole-string placeholder are taken away."""
    parts = list(template.parts)
    places: list[tuple[str | Placeholder, _Place]] = []
    in_string = False
    for index, part in enumerate(parts):
        if isinstance(part, str):
            in_string = _ends_in_string(part, in_string)
            places.append((part, _Place.VALUE))
            continue
        before = places[-1][0] if places else None
        after = parts[index + 1] if index + 1 < len(parts) else None
        if (
            in_string
            and isinstance(before, str)
            and before.endswith('"')
            and isinstance(after, str)
            and after.startswith('"')
        ):
            places[-1] = (before[:-1], _Place.VALUE)
            parts[index + 1] = after[1:]
            in_string = False
            places.append((part, _Place.WHOLE_STRING))
        else:
            places.append((part, _Place.IN_STRING if in_string else _Place.VALUE))
    return places


def _ends_in_string(text: str, in_string: bool) -> bool:
    escaped = False
    for character in text:
        if escaped:
            escaped = False
        elif character == "\\" and in_string:
            escaped = True
        elif character == '"':
            in_string = not in_string
    return in_string


def _is_json_without_placeholders(template: Template) -> bool:
    """Whether a template is JSON once each placeholder stands for some value."""
    sample = [
        part if isinstance(part, str) else _SAMPLES[place] for part, place in _places(template)
    ]
    return _is_json("".join(sample))


_SAMPLES = {_Place.VALUE: "null", _Place.IN_STRING: "x", _Place.WHOLE_STRING: '"x"'}


def _is_json(text: str) -> bool:
    try:
        decode_json(text.encode("utf-8", "surrogatepass"))
    except ValueError:
        return False
    return True
