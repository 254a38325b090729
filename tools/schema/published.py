"""The form of a schema that is published: no references, a root that is an object, bounded."""

from typing import Any, cast

from tools.json_text import Json, JsonObject, encode_json
from tools.schema.keywords import Location, subschemas
from tools.schema.references import References

__all__ = ["MAX_PUBLISHED_BYTES", "dereference"]

#: Size of a published schema as JSON text.
MAX_PUBLISHED_BYTES = 200_000
#: References inside references that are written out, tried in this order until the size fits.
_NESTINGS = (24, 8, 4, 2, 1, 0, -1)

_DROPPED = frozenset(
    {"$ref", "$dynamicRef", "$defs", "definitions", "$id", "$anchor", "$dynamicAnchor", "$schema"}
)
_DROPPED_WORDS = tuple(f'"{keyword}"'.encode() for keyword in sorted(_DROPPED))


class _TooLargeError(Exception):
    """More was written out than fits."""


def dereference(schema: Json, *, root_object: bool = True) -> JsonObject:
    """The schema with its local references written out and `$defs` dropped; a new object.

    Where a schema refers to itself, or writing it out would be larger than 200 KB, the reference
    becomes a schema that accepts anything of its type and says so in its description. What is
    published accepts every value that the schema accepts. With `root_object` the root has
    `"type": "object"`, as the inputs of a tool must. Never raises for a schema that
    `check_schema` found good.
    """
    if isinstance(schema, dict) and _is_plain(encode_json(schema)):
        # Nothing would be written differently, and most schemas are so.
        plain = cast(JsonObject, schema)
        return _with_object_root(plain) if root_object else dict(plain)
    references = References(schema)
    for nesting in _NESTINGS:
        try:
            written, _ = _Writer(references, nesting).write(schema, (), ((),))
        except (_TooLargeError, RecursionError):
            continue
        result = _of_bool(written)
        if isinstance(written, dict):
            result = cast(JsonObject, written)
        if root_object:
            result = _with_object_root(result)
        if len(encode_json(result)) <= MAX_PUBLISHED_BYTES:
            return result
    rest: JsonObject = {"type": "object"} if root_object else {}
    return {**rest, "description": "The schema is too large to be shown; see the stored tool."}


def _is_plain(text: bytes) -> bool:
    """Whether a schema has none of the keywords that are not published, even as a name."""
    return len(text) <= MAX_PUBLISHED_BYTES and not any(word in text for word in _DROPPED_WORDS)


def _with_object_root(schema: JsonObject) -> JsonObject:
    return {"type": "object", **{k: v for k, v in schema.items() if k != "type"}}


def _of_bool(schema: Json) -> JsonObject:
    return {"not": {}} if schema is False else {}


class _Writer:
    """Writes one schema out; `nesting` bounds references inside references."""

    def __init__(self, references: References, nesting: int) -> None:
        self._references = references
        self._nesting = nesting
        self._left = MAX_PUBLISHED_BYTES // 4
        self._cuts = 0

    def write(
        self, schema: Json, location: Location, inside: tuple[Location, ...]
    ) -> tuple[Any, bool]:
        """The schema without references, and whether some were cut that apply to its own value.

        `inside` has the targets of the references that it is part of.
        """
        self._left -= 1
        if self._left < 0:
            raise _TooLargeError
        if not isinstance(schema, dict):
            return schema, False
        members = cast(dict[str, Any], schema)
        result: dict[str, Any] = {k: v for k, v in members.items() if k not in _DROPPED}
        cut = self._write_members(result, members, location, inside)
        for keyword in ("$ref", "$dynamicRef"):
            if isinstance(reference := members.get(keyword), str):
                dynamic = keyword == "$dynamicRef" and self._references.is_ambiguous(reference)
                target, was_cut = self._target(reference, location, inside, cut=dynamic)
                result = _merged(result, target)
                cut = cut or was_cut
        if cut:
            # What the cut part evaluates is not known, so nothing may be refused for it.
            for keyword in ("unevaluatedProperties", "unevaluatedItems"):
                result.pop(keyword, None)
        return result, cut

    def _write_members(
        self,
        result: dict[str, Any],
        members: dict[str, Any],
        location: Location,
        inside: tuple[Location, ...],
    ) -> bool:
        """Write the subschemas; keywords that a cut would turn around are loosened or dropped."""
        cut_in: set[str] = set()
        cut_below: set[str] = set()
        for step, child in subschemas(cast(Json, members)):
            keyword = cast(str, step[0])
            if keyword in _DROPPED:
                continue
            before = self._cuts
            written, cut = self.write(child, location + step, inside)
            if cut:
                cut_in.add(keyword)
            if self._cuts > before:
                cut_below.add(keyword)
            if len(step) == 1:
                result[keyword] = written
                continue
            if result[keyword] is members[keyword]:
                result[keyword] = members[keyword].copy()
            result[keyword][step[1]] = written
        if "not" in cut_below:
            del result["not"]
        if "if" in cut_below:
            for keyword in ("if", "then", "else"):
                result.pop(keyword, None)
        if "contains" in cut_below:
            result.pop("maxContains", None)
        if "oneOf" in cut_below:
            alternatives: Json = {"anyOf": result.pop("oneOf")}
            result["allOf"] = [*result.get("allOf", []), alternatives]
        return bool(cut_in & _SAME_VALUE)

    def _target(
        self, reference: str, location: Location, inside: tuple[Location, ...], *, cut: bool
    ) -> tuple[Any, bool]:
        found = None if cut else self._references.resolve(reference, location)
        if found is not None and found[1] not in inside and len(inside) < self._nesting:
            return self.write(found[0], found[1], (*inside, found[1]))
        self._cuts += 1
        placeholder: JsonObject = {}
        if self._nesting >= 0:
            placeholder["description"] = f"Cut here: the same as {reference}."
        target = found[0] if found is not None else None
        if isinstance(target, dict) and "type" in target:
            placeholder["type"] = cast(dict[str, Any], target)["type"]
        return placeholder, True


#: Keywords whose subschemas evaluate members of the very value they stand at.
_SAME_VALUE = frozenset(
    {"allOf", "anyOf", "oneOf", "not", "if", "then", "else", "dependentSchemas", "contains"}
)

_NOTES = frozenset(
    {
        "title",
        "description",
        "default",
        "examples",
        "deprecated",
        "readOnly",
        "writeOnly",
        "$comment",
    }
)


def _merged(own: dict[str, Any], target: Any) -> dict[str, Any]:
    """What stands beside a reference, together with what it refers to."""
    if target is True:
        return own
    if not isinstance(target, dict):
        return {**own, "not": {}} if "not" not in own else {**own, "allOf": [False]}
    described = cast(dict[str, Any], target)
    apart = not own.keys() & (described.keys() - _NOTES)
    if apart and not (_depends_on_siblings(own) and _depends_on_siblings(described)):
        return {**described, **own}
    return {**own, "allOf": [*own.get("allOf", []), described]}


def _depends_on_siblings(schema: dict[str, Any]) -> bool:
    """Whether a keyword of it would mean something else beside other keywords."""
    return bool(
        schema.keys()
        & {
            "additionalProperties",
            "properties",
            "patternProperties",
            "unevaluatedProperties",
            "unevaluatedItems",
            "prefixItems",
            "items",
            "if",
            "then",
            "else",
            "contains",
            "minContains",
            "maxContains",
            *_SAME_VALUE,
        }
    )
