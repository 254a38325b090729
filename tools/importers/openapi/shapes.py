"""What properties an object schema has, seen through references and `allOf`."""

from dataclasses import dataclass, field

from tools.importers.openapi.masking import is_key
from tools.importers.openapi.references import Document, Place, ReferenceProblem
from tools.importers.openapi.words import list_of, object_of
from tools.json_text import Json, JsonObject

__all__ = ["ObjectShape", "object_shape", "properties_of", "types_of"]

_MOST_BRANCHES = 100
_MOST_PROPERTIES = 1_000
#: Keywords by which an object may hold more than its properties, or be one of several things.
_OPEN = frozenset({"patternProperties", "if", "unevaluatedProperties"})
_WORDS = frozenset({"required", "type", "title", "description"})


@dataclass
class ObjectShape:
    """The properties of an object, with every schema that each has."""

    properties: dict[str, list[tuple[Json, Place]]] = field(
        default_factory=dict[str, list[tuple[Json, Place]]]
    )
    required: dict[str, None] = field(default_factory=dict[str, None])
    #: Why its properties are not all there is to it.
    more: str | None = None
    #: Conditions over several properties.
    conditions: list[Place] = field(default_factory=list[Place])
    #: Properties whose name is somebody's key.
    left_out: list[Place] = field(default_factory=list[Place])


def object_shape(document: Document, schema: Json, place: Place) -> ObjectShape | None:
    """The shape of a schema that surely is an object, and not a huge one; else None."""
    shape = ObjectShape()
    is_object = False
    pending = [(schema, place)]
    seen: set[Place] = set()
    while pending:
        try:
            value, at = document.follow(*pending.pop(0))
        except ReferenceProblem:
            return None
        if at in seen:
            continue
        seen.add(at)
        if not isinstance(value, dict) or len(seen) > _MOST_BRANCHES:
            return None
        members = object_of(value)
        if (types := types_of(members)) and "object" not in types:
            return None
        is_object = is_object or "object" in types or "properties" in members
        properties = object_of(members.get("properties"))
        if len(properties) + len(shape.properties) > _MOST_PROPERTIES:
            return None
        for name, child in properties.items():
            if is_key(name):
                shape.left_out.append(at / "properties" / name)
                continue
            shape.properties.setdefault(name, []).append((child, at / "properties" / name))
        shape.required.update(
            (name, None) for name in list_of(members.get("required")) if isinstance(name, str)
        )
        _note_more(shape, members, at)
        branches = list_of(members.get("allOf"))
        pending.extend((one, at / "allOf" / index) for index, one in enumerate(branches))
    return shape if is_object else None


def _note_more(shape: ObjectShape, members: JsonObject, at: Place) -> None:
    if members.get("additionalProperties") not in (None, False):
        shape.more = "it may have further properties"
    for key in _OPEN:
        if members.get(key) not in (None, False):
            shape.more = f"it has `{key}`"
    for key in ("anyOf", "oneOf"):
        branches = list_of(members.get(key))
        if not branches:
            continue
        if all(isinstance(one, dict) and not object_of(one).keys() - _WORDS for one in branches):
            shape.conditions.append(at / key)
        else:
            shape.more = f"it is one of several (`{key}`)"
    for key in ("not", "dependentRequired", "minProperties", "maxProperties"):
        if key in members:
            shape.conditions.append(at / key)


def properties_of(document: Document, schema: Json, place: Place) -> dict[str, tuple[Json, Place]]:
    """The properties of a schema with one schema each; empty when it is no object."""
    shape = object_shape(document, schema, place)
    return {} if shape is None else {name: given[0] for name, given in shape.properties.items()}


def types_of(schema: JsonObject) -> list[str]:
    """The types that a schema names, without null."""
    given = schema.get("type")
    types = [one for one in (list_of(given) or [given]) if isinstance(one, str)]
    return [one for one in types if one != "null"]
