"""Where the subschemas of a JSON Schema (2020-12) lie."""

from collections.abc import Iterator
from typing import Any, cast

from tools.json_text import Json

__all__ = [
    "IN_PLACE",
    "Location",
    "has_subschemas",
    "json_path",
    "json_pointer",
    "subschemas",
]

#: Position of a subschema below the root: keys and indices.
Location = tuple[str | int, ...]

#: Keywords whose value is one schema.
_ONE = (
    "items",
    "contains",
    "additionalProperties",
    "propertyNames",
    "unevaluatedItems",
    "unevaluatedProperties",
    "contentSchema",
    "not",
    "if",
    "then",
    "else",
)
#: Keywords whose value is a list of schemas.
_MANY = ("allOf", "anyOf", "oneOf", "prefixItems")
#: Keywords whose value is an object of schemas. `definitions` and `dependencies` are of older
#: drafts, and are still written.
_NAMED = ("properties", "patternProperties", "dependentSchemas", "$defs", "definitions")

#: Keywords that apply a subschema to the very same value.
IN_PLACE = frozenset(
    {
        "$ref",
        "$dynamicRef",
        "allOf",
        "anyOf",
        "oneOf",
        "not",
        "if",
        "then",
        "else",
        "dependentSchemas",
    }
)


def subschemas(schema: Json) -> Iterator[tuple[Location, Json]]:
    """The direct subschemas of a schema, with where they lie in it; also malformed ones."""
    if not isinstance(schema, dict):
        return
    members = cast(dict[str, Any], schema)
    for keyword, value in members.items():
        if keyword in _ONE:
            yield (keyword,), value
        elif keyword in _MANY and isinstance(value, list):
            for index, item in enumerate(cast(list[Any], value)):
                yield (keyword, index), item
        elif keyword in _NAMED and isinstance(value, dict):
            for name, item in cast(dict[str, Any], value).items():
                yield (keyword, name), item


def has_subschemas(keyword: str) -> bool:
    """Whether the value of a keyword is or holds schemas."""
    return keyword in _ONE or keyword in _MANY or keyword in _NAMED


def json_pointer(location: Location) -> str:
    """RFC 6901: `/1/id`; empty for the root."""
    return "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in location)


def json_path(location: Location) -> str:
    """`.properties.a.type`, to be put behind the name of the schema; empty for the root."""
    text = ""
    for part in location:
        if isinstance(part, int):
            text += f"[{part}]"
        elif part.replace("$", "_").replace("-", "_").isidentifier():
            text += f".{part}"
        else:
            text += f'["{part}"]'
    return text
