"""Defaults of a document that its own schemas refuse."""

from typing import Any, cast

from tools.importers.openapi.words import list_of, object_of
from tools.json_text import Json, JsonObject
from tools.schema import compile_schema

__all__ = ["fits", "without_broken_defaults"]

_Path = tuple[str | int, ...]


def without_broken_defaults(schema: Any, definitions: JsonObject) -> tuple[Any, list[_Path]]:
    """A converted schema without defaults that are not valid in it, and where those were.

    Looked at is where defaults are filled in: properties, items, and parts of `allOf`.
    """
    broken: list[_Path] = []
    return _without(schema, definitions, (), broken), broken


def _without(schema: Any, definitions: JsonObject, path: _Path, broken: list[_Path]) -> Any:
    if not isinstance(schema, dict):
        return schema
    result = dict(cast("JsonObject", schema))
    for name, child in object_of(result.get("properties")).items():
        made = _without(child, definitions, (*path, "properties", name), broken)
        result["properties"] = {**result["properties"], name: made}
    if "items" in result:
        result["items"] = _without(result["items"], definitions, (*path, "items"), broken)
    if parts := list_of(result.get("allOf")):
        result["allOf"] = [
            _without(part, definitions, (*path, "allOf", index), broken)
            for index, part in enumerate(parts)
        ]
    if "default" in result and not _fits(result["default"], {**result, "$defs": definitions}):
        del result["default"]
        broken.append(path)
    return result


def fits(value: Json, schema: JsonObject) -> bool:
    """Whether a converted schema takes a value, by what it says without its references."""
    return _fits(value, {key: one for key, one in schema.items() if not _refers(one)})


def _refers(value: Any) -> bool:
    """Whether a part of a schema refers to others."""
    pending: list[Any] = [value]
    while pending:
        node = pending.pop()
        if isinstance(node, dict):
            if "$ref" in node:
                return True
            pending.extend(cast("JsonObject", node).values())
        elif isinstance(node, list):
            pending.extend(cast("list[Any]", node))
    return False


def _fits(value: Json, schema: JsonObject) -> bool:
    try:
        return not compile_schema(schema).problems(value)
    except ValueError:
        # What is no schema is told where the inputs are checked.
        return True
