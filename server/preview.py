"""A large result in small: its shape, its counts and its first items."""

from itertools import islice
from typing import Any, cast

from tools.json_text import Json, JsonObject, encode_json_text
from tools.path_text import name_segment

__all__ = ["preview_of", "shape_of"]

_MAX_DEPTH = 4
_MAX_KEYS = 40
_MAX_TEXT = 200
_FIRST_ITEMS = 3
_MAX_CHARACTERS = 6000


def preview_of(value: Json, size: int) -> JsonObject:
    """`{bytes, shape, counts?, first}` of a result whose JSON text has `size` bytes.

    The whole stays under some 10,000 characters, whatever the value.
    """
    preview: JsonObject = {"bytes": size, "shape": shape_of(value)}
    if counts := _counts(value):
        preview["counts"] = counts
    for items, text in ((_FIRST_ITEMS, _MAX_TEXT), (1, _MAX_TEXT), (1, 40)):
        first = _first(value, items, text, _MAX_DEPTH)
        if len(encode_json_text(first)) <= _MAX_CHARACTERS:
            preview["first"] = first
            break
    return preview


def shape_of(value: Json, depth: int = _MAX_DEPTH) -> Json:
    """Kinds in place of values: `{"id": "integer", "tags": ["string"]}`."""
    if isinstance(value, dict):
        fields = cast("dict[str, Any]", value)
        if depth == 0:
            return "object"
        shape = {key: shape_of(fields[key], depth - 1) for key in islice(fields, _MAX_KEYS)}
        if len(fields) > _MAX_KEYS:
            shape["…"] = f"{len(fields) - _MAX_KEYS} more keys"
        return shape
    if isinstance(value, list):
        elements = cast("list[Any]", value)
        return [shape_of(elements[0], depth - 1)] if elements and depth else []
    return _kind(value)


def _kind(value: Json) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "number"
        case _:
            return "string"


def _counts(value: Json) -> dict[str, int]:
    """How many elements the lists at the top of the value have, by JSONPath."""
    if isinstance(value, list):
        return {"$": len(cast("list[Any]", value))}
    if not isinstance(value, dict):
        return {}
    entries = islice(cast("dict[str, Any]", value).items(), _MAX_KEYS)
    return {
        f"${name_segment(key)}": len(cast("list[Any]", entry))
        for key, entry in entries
        if isinstance(entry, list)
    }


def _first(value: Json, items: int, text: int, depth: int) -> Json:
    if isinstance(value, dict):
        if depth == 0:
            return {}
        entries = islice(cast("dict[str, Any]", value).items(), _MAX_KEYS)
        return {key: _first(entry, items, text, depth - 1) for key, entry in entries}
    if isinstance(value, list):
        if depth == 0:
            return []
        return [
            _first(element, items, text, depth - 1) for element in cast("list[Any]", value)[:items]
        ]
    if isinstance(value, str) and len(value) > text:
        return f"{value[:text]}… ({len(value):,} characters)"
    return value
