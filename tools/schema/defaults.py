"""Defaults of a schema, filled into a value."""

import copy
from typing import Any, cast

from tools.json_text import Json
from tools.schema.keywords import Location, subschemas
from tools.schema.references import References

__all__ = ["fill_defaults", "has_default"]

_Applied = tuple[Location, Json]


def fill_defaults(schema: Json, value: Json) -> Json:
    """The value with the defaults of absent properties; the same object when there is none.

    Defaults count in `properties` of the schema, of what it refers to and of `allOf`, in members
    that are there and in defaults themselves, and in items of lists. Alternatives (`anyOf`,
    `oneOf`, `if`) give none, because which one holds is not known. The input is not changed, and
    nothing is raised.
    """
    if not isinstance(value, (dict, list)) or not has_default(schema):
        return cast(Json, value)
    references = References(schema)
    root: Any = copy.copy(cast("dict[str, Any] | list[Any]", value))
    # A container of the result, what applies to it, and the defaults it lies in: a default is not
    # set inside itself, which would never end.
    pending: list[tuple[Any, list[_Applied], frozenset[Location]]] = [
        (root, [((), schema)], frozenset())
    ]
    while pending:
        container, applied, inside = pending.pop()
        parts = _in_place(applied, references)
        filled: dict[str | int, Location] = {}
        if isinstance(container, dict):
            members = _fill_object(
                cast(dict[str, Any], container), parts, references, inside, filled
            )
        else:
            members = _item_schemas(cast(list[Any], container), parts)
        for key, child_schemas in members.items():
            child = _copied_member(container, key)
            if child is not None:
                within = inside | {filled[key]} if key in filled else inside
                pending.append((child, child_schemas, within))
    return root


def _copied_member(container: Any, key: str | int) -> Any:
    """Replace a list or object in a container by its own shallow copy, and give that."""
    member = container[key]
    if not isinstance(member, (dict, list)):
        return None
    container[key] = copy.copy(cast(Any, member))
    return container[key]


def has_default(schema: Json) -> bool:
    """Whether a schema could fill anything in."""
    pending = [schema]
    while pending:
        node = pending.pop()
        if isinstance(node, dict):
            if "default" in node:
                return True
            pending += [child for _, child in subschemas(cast(Json, node))]
    return False


def _in_place(applied: list[_Applied], references: References) -> list[tuple[Location, Any]]:
    """The schemas that surely apply to the same value: themselves, `$ref`, `allOf`."""
    found: dict[Location, dict[str, Any]] = {}
    pending = list(reversed(applied))
    while pending:
        location, schema = pending.pop()
        if location in found or not isinstance(schema, dict):
            continue
        members = cast(dict[str, Any], schema)
        found[location] = members
        if isinstance(reference := members.get("$ref"), str):
            target = references.resolve(reference, location)
            if target is not None:
                pending.append((target[1], target[0]))
        branches: Any = members.get("allOf")
        if isinstance(branches, list):
            for index, branch in enumerate(cast(list[Any], branches)):
                pending.append(((*location, "allOf", index), branch))
    return list(found.items())


def _fill_object(
    value: dict[str, Any],
    parts: list[tuple[Location, Any]],
    references: References,
    inside: frozenset[Location],
    filled: dict[str | int, Location],
) -> dict[str | int, list[_Applied]]:
    """Set the defaults of one object, noting them in `filled`; the schemas of each member."""
    members: dict[str | int, list[_Applied]] = {}
    for location, schema in parts:
        properties = schema.get("properties")
        if isinstance(properties, dict):
            for name, child in cast(dict[str, Any], properties).items():
                at = (*location, "properties", name)
                if name not in value and at not in inside:
                    for _, part in _in_place([(at, child)], references):
                        if "default" in part:
                            value[name] = copy.deepcopy(part["default"])
                            filled[name] = at
                            break
                if name in value:
                    members.setdefault(name, []).append((at, child))
        additional = schema.get("additionalProperties")
        if isinstance(additional, dict):
            named = cast(dict[str, Any], properties) if isinstance(properties, dict) else {}
            for name in value:
                if name not in named:
                    members.setdefault(name, []).append(
                        ((*location, "additionalProperties"), cast(Json, additional))
                    )
    return members


def _item_schemas(
    value: list[Any], parts: list[tuple[Location, Any]]
) -> dict[str | int, list[_Applied]]:
    members: dict[str | int, list[_Applied]] = {}
    for location, schema in parts:
        prefix: Any = schema.get("prefixItems")
        tuple_schemas = cast(list[Any], prefix) if isinstance(prefix, list) else []
        items = schema.get("items")
        for index, item in enumerate(value):
            if not isinstance(item, (dict, list)):
                continue
            if index < len(tuple_schemas):
                at, child = (*location, "prefixItems", index), tuple_schemas[index]
            elif isinstance(items, dict):
                at, child = (*location, "items"), cast(Json, items)
            else:
                break
            members.setdefault(index, []).append((at, child))
    return members
