"""Schemas of a document as JSON Schema 2020-12 for inputs and results.

References become `$defs` of their own, so that recursion stays; what a schema says that cannot be
kept is left out, which only ever accepts more.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, TypeGuard, cast

from tools.importers import DocumentError, NoteList
from tools.importers.openapi.defaults import fits
from tools.importers.openapi.masking import NAME_LEFT_OUT, VALUE_LEFT_OUT, is_key
from tools.importers.openapi.references import Document, Place, ReferenceProblem
from tools.importers.openapi.secret_values import is_issued, without_secret_values
from tools.importers.openapi.words import list_of, object_of, short_text
from tools.json_text import Json, JsonObject, encode_json_text
from tools.schema.check import pattern_problem

__all__ = ["Converted", "Direction", "SchemaConverter", "is_scalar"]

#: Which way the data goes: `readOnly` parts are not sent, `writeOnly` ones do not come back.
Direction = Literal["input", "output"]

_TYPES = frozenset({"array", "boolean", "integer", "null", "number", "object", "string"})
_SCALARS = _TYPES - {"array", "object"}
_NUMBERS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")
_COUNTS = (
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
    "minContains",
    "maxContains",
)
_ONE_SCHEMA = (
    "additionalProperties",
    "contains",
    "propertyNames",
    "unevaluatedItems",
    "unevaluatedProperties",
)
_IN_PLACE = ("not", "if", "then", "else")
_VALUES = ("default", "example", "const", "enum")
_CUT = "cut to its type in tools that are too large"
_NOT_FITTING = "the default is not a value of its schema"
_LONGEST_DESCRIPTION = 300
_LONGEST_VALUE = 120
#: Subschemas that one tool may hold, and that one schema and all of a document may become.
_MOST_OF_TOOL = 4_000
_MOST_OF_SCHEMA = 50_000
_MOST_OF_DOCUMENT = 500_000
#: Subschemas that all tools of a document may hold together, before each gets the least.
_MOST_OF_TOOLS: dict[Direction, int] = {"input": 80_000, "output": 160_000}
_LEAST_OF_TOOL = 40
#: What one tool may take of what is left for all.
_SHARE = 10


@dataclass
class _Component:
    """A schema that is referred to, converted once for all tools."""

    name: str
    place: Place = field(default_factory=Place)
    schema: Any = None
    size: int = 0
    #: Whether it is noted that tools have no room for it.
    is_noted: bool = False
    #: What it refers to.
    targets: list["_Component"] = field(default_factory=list["_Component"])
    #: References that apply to the very value of the component, as the objects that hold them.
    in_place: list[tuple[JsonObject, "_Component"]] = field(
        default_factory=list[tuple[JsonObject, "_Component"]]
    )


@dataclass(frozen=True)
class Converted:
    """A converted schema; `targets` go into the `$defs` of the tool."""

    schema: Any
    targets: tuple[_Component, ...]
    size: int


@dataclass
class _Job:
    """The conversion of one schema under way."""

    direction: Direction
    #: Whether `default` is kept; elsewhere it is a word in the description.
    with_defaults: bool
    component: _Component


class SchemaConverter:
    """Converts the schemas of one document."""

    def __init__(self, document: Document, notes: NoteList, *, has_nullable: bool) -> None:
        self._document = document
        self._notes = notes
        self._has_nullable = has_nullable
        self._components: dict[tuple[Place, Direction], _Component] = {}
        self._names: dict[str, int] = {}
        self._patterns: dict[str, bool] = {}
        self._waiting: list[tuple[_Component, Json, Place, Direction]] = []
        self._left = _MOST_OF_DOCUMENT
        self._left_for_tools = dict(_MOST_OF_TOOLS)

    def convert(
        self, schema: Json, place: Place, direction: Direction, *, with_defaults: bool = False
    ) -> Converted:
        """A schema and what it refers to; a reference at its root is written out while it may be.

        Raises `DocumentError` when a document has too many of them.
        """
        component = _Component("")
        job = _Job(direction, with_defaults, component)
        beside = object_of(schema)
        try:
            target, target_place = self._document.follow(schema, place)
            if with_defaults or self._left_for_tools[direction] > 0:
                # Else a reference stays one, which costs less.
                schema, place = target, target_place
        except ReferenceProblem as problem:
            self._notes.add(place / "$ref", f"{problem}; any value is accepted")
            schema = {}
        result = self._schema(schema, place, job, in_place=True)
        self._convert_waiting()
        if "$ref" in beside and isinstance(result, dict) and "description" in beside:
            description = short_text(beside["description"], _LONGEST_DESCRIPTION)
            result = {**cast("JsonObject", result), "description": description or ""}
        if "$ref" in beside and schema is not beside and self._has_x_nullable(beside):
            result = _or_null(object_of(result))
        return Converted(result, tuple(component.targets), component.size)

    def definitions(self, converted: Iterable[Converted], direction: Direction) -> JsonObject:
        """The `$defs` of a tool that holds these schemas, the outermost first while there is room.

        What has no room is cut to its type, which is noted.
        """
        roots = list(converted)
        own_size = sum(one.size for one in roots)
        left_for_tools = self._left_for_tools[direction] - own_size
        share = max(_LEAST_OF_TOOL, min(_MOST_OF_TOOL, left_for_tools // _SHARE))
        left = min(share, _MOST_OF_TOOL - own_size)
        found: dict[str, _Component] = {}
        stubs: JsonObject = {}
        pending = [target for one in roots for target in one.targets]
        while pending:
            following: list[_Component] = []
            for component in pending:
                if component.name in found or component.name in stubs:
                    continue
                if component.size > left:
                    stubs[component.name] = _stub(component)
                    left_for_tools -= 1
                    if not component.is_noted:
                        component.is_noted = True
                        self._notes.add(component.place, _CUT)
                    continue
                left -= component.size
                left_for_tools -= component.size
                found[component.name] = component
                following.extend(component.targets)
            pending = following
        self._left_for_tools[direction] = left_for_tools
        self._cut_circles(found.values())
        return dict(sorted({**{k: v.schema for k, v in found.items()}, **stubs}.items()))

    def _cut_circles(self, components: Iterable[_Component]) -> None:
        """Cut references by which a schema would apply to a value again and again."""
        state: dict[int, str] = {}
        for root in sorted(components, key=lambda one: one.name):
            stack: list[tuple[_Component, Iterator[tuple[JsonObject, _Component]]]] = []
            if id(root) not in state:
                state[id(root)] = "open"
                stack.append((root, iter(root.in_place)))
            while stack:
                component, edges = stack[-1]
                edge = next(edges, None)
                if edge is None:
                    state[id(component)] = "done"
                    stack.pop()
                    continue
                holder, target = edge
                if "$ref" not in holder:
                    continue
                if state.get(id(target)) == "open":
                    holder.clear()
                elif id(target) not in state:
                    state[id(target)] = "open"
                    stack.append((target, iter(target.in_place)))

    def _component(self, reference: str, place: Place, direction: Direction) -> _Component:
        """What a reference leads to, converted when it is first met. Raises `ReferenceProblem`."""
        value, at = self._document.resolve(reference, place)
        value, at = self._document.follow(value, at)
        key = (at, direction)
        component = self._components.get(key)
        if component is None:
            component = self._components[key] = _Component(self._name(at), at)
            # Converted when nothing else is: chains of references are long in some documents.
            self._waiting.append((component, value, at, direction))
        return component

    def _convert_waiting(self) -> None:
        while self._waiting:
            component, schema, place, direction = self._waiting.pop()
            job = _Job(direction, with_defaults=False, component=component)
            component.schema = self._schema(schema, place, job, in_place=True)

    def _name(self, place: Place) -> str:
        last = str(place.path[-1]) if place.path else place.file
        plain = "schema" if is_key(last) else re.sub(r"[^A-Za-z0-9_.-]", "_", last)
        name = plain[:60] or "schema"
        self._names[name] = self._names.get(name, 0) + 1
        return name if self._names[name] == 1 else f"{name}-{self._names[name]}"

    def _schema(self, schema: Json, place: Place, job: _Job, *, in_place: bool) -> Any:
        """One schema. `in_place`: it applies to the very value of the component."""
        self._left -= 1
        job.component.size += 1
        if self._left < 0:
            raise DocumentError("the schemas of the document are too large", place=str(place))
        if job.component.size > _MOST_OF_SCHEMA:
            raise DocumentError(
                f"a schema of more than {_MOST_OF_SCHEMA:,} parts", place=str(place)
            )
        if isinstance(schema, bool):
            return schema
        if not isinstance(schema, dict):
            self._notes.add(place, "this is no schema; any value is accepted")
            return {}
        members = cast("JsonObject", schema)
        if isinstance(reference := members.get("$ref"), str):
            return self._reference(reference, members, place, job, in_place=in_place)
        members = self._without_issued_keys(members, place)
        result: JsonObject = {}
        self._add_type(result, members)
        self._add_values(result, members, place, job)
        if job.direction == "input":
            # Of results, upstreams keep formats and bounds less than their descriptions say.
            self._add_bounds(result, members, place)
        self._add_members(result, members, place, job)
        self._add_alternatives(result, members, place, job, in_place=in_place)
        self._add_words(result, members, place, job)
        return self._nullable_too(result, members)

    def _nullable_too(self, result: JsonObject, members: JsonObject) -> JsonObject:
        return _or_null(result) if self._is_nullable(members) else result

    def _is_nullable(self, members: JsonObject) -> bool:
        is_named = self._has_nullable and members.get("nullable") is True
        return is_named or self._has_x_nullable(members)

    def _has_x_nullable(self, members: JsonObject) -> bool:
        # Swagger 2.0 has no word for it; everybody uses this one.
        return self._has_nullable and members.get("x-nullable") is True

    def _without_issued_keys(self, members: JsonObject, place: Place) -> JsonObject:
        hidden = [
            key
            for key in _VALUES
            if key in members
            and (isinstance(members[key], str) or key != "example")
            and is_issued(members[key])
        ]
        for key in hidden:
            self._notes.add(place / key, VALUE_LEFT_OUT)
        if not hidden:
            return members
        return {key: one for key, one in members.items() if key not in hidden}

    def _reference(
        self, reference: str, members: JsonObject, place: Place, job: _Job, *, in_place: bool
    ) -> JsonObject:
        try:
            target = self._component(reference, place, job.direction)
        except ReferenceProblem as problem:
            self._notes.add(place / "$ref", f"{problem}; any value is accepted")
            return {}
        result: JsonObject = {"$ref": f"#/$defs/{target.name}"}
        job.component.targets.append(target)
        if in_place:
            job.component.in_place.append((result, target))
        if description := short_text(members.get("description"), _LONGEST_DESCRIPTION):
            result["description"] = description
        if self._has_x_nullable(members):
            return {"anyOf": [result, {"type": "null"}]}
        return result

    def _add_type(self, result: JsonObject, members: JsonObject) -> None:
        given = members.get("type")
        types = [one for one in (list_of(given) or [given]) if isinstance(one, str)]
        types = list(dict.fromkeys("string" if one == "file" else one for one in types))
        if types and all(one in _TYPES for one in types):
            result["type"] = types[0] if len(types) == 1 else types

    def _add_values(self, result: JsonObject, members: JsonObject, place: Place, job: _Job) -> None:
        if isinstance(values := members.get("enum"), list) and values:
            listed = cast("list[Any]", values)
            job.component.size += len(listed) // 4
            result["enum"] = _each_once(listed)
            if "type" in result and not any(_has_type(one, result["type"]) for one in listed):
                # Such as numbers in quotes: what the document lists is what the API takes.
                del result["type"]
        if "const" in members:
            result["const"] = members["const"]
        if job.with_defaults and members.get("default") is not None:
            default = members["default"]
            fits = "type" not in result or _has_type(default, result["type"])
            if fits and default in result.get("enum", [default]):
                result["default"] = default
            else:
                self._notes.add(place / "default", _NOT_FITTING)

    def _add_bounds(self, result: JsonObject, members: JsonObject, place: Place) -> None:
        for key in _NUMBERS:
            value = members.get(key)
            if _is_number(value) and (key != "multipleOf" or value > 0):
                result[key] = value
        for exclusive, limit in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
            # A flag beside the limit before 2020-12.
            if members.get(exclusive) is True and limit in result:
                result[exclusive] = result.pop(limit)
        for key in _COUNTS:
            value = members.get(key)
            if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
                result[key] = value
        if isinstance(members.get("uniqueItems"), bool):
            result["uniqueItems"] = members["uniqueItems"]
        for key in ("format", "contentEncoding", "contentMediaType"):
            if isinstance(members.get(key), str) and not is_key(members[key]):
                result[key] = members[key]
        if isinstance(pattern := members.get("pattern"), str):
            if is_key(pattern):
                self._notes.add(place / "pattern", VALUE_LEFT_OUT)
            elif self._is_pattern(pattern):
                result["pattern"] = pattern
            else:
                self._notes.add(place / "pattern", "this pattern cannot be checked here")

    def _is_pattern(self, pattern: str) -> bool:
        if pattern not in self._patterns:
            self._patterns[pattern] = pattern_problem(pattern) is None
        return self._patterns[pattern]

    def _add_members(
        self, result: JsonObject, members: JsonObject, place: Place, job: _Job
    ) -> None:
        hidden: set[str] = set()
        properties = object_of(members.get("properties"))
        if properties:
            result["properties"] = {}
        for name, child in properties.items():
            if self.is_hidden(child, place / "properties" / name, job.direction):
                hidden.add(name)
                continue
            if is_key(name):
                self._notes.add(place / "properties" / name, NAME_LEFT_OUT)
                hidden.add(name)
                continue
            at = place / "properties" / name
            if job.direction == "input":
                child, at = without_secret_values(name, child, at, self._document, self._notes)
            result["properties"][name] = self._schema(child, at, job, in_place=False)
        required = _names(members.get("required"))
        if required := [one for one in dict.fromkeys(required) if one not in hidden]:
            result["required"] = required
        for name, child in object_of(members.get("patternProperties")).items():
            if is_key(name):
                self._notes.add(place / "patternProperties" / name, NAME_LEFT_OUT)
            elif self._is_pattern(name):
                at = place / "patternProperties" / name
                result.setdefault("patternProperties", {})[name] = self._schema(
                    child, at, job, in_place=False
                )
        items = members.get("items")
        if isinstance(items, list):
            # A list of schemas before 2020-12.
            result["prefixItems"] = self._each(cast("list[Any]", items), place / "items", job)
        elif items is not None:
            result["items"] = self._schema(items, place / "items", job, in_place=False)
        if prefix := list_of(members.get("prefixItems")):
            result["prefixItems"] = self._each(prefix, place / "prefixItems", job)
        for key in _ONE_SCHEMA:
            if isinstance(members.get(key), dict | bool):
                result[key] = self._schema(members[key], place / key, job, in_place=False)
        if isinstance(dependent := members.get("dependentRequired"), dict):
            result["dependentRequired"] = {
                name: _names(names)
                for name, names in cast("JsonObject", dependent).items()
                if not is_key(name)
            }
        if job.direction == "output":
            for key in ("additionalProperties", "unevaluatedProperties"):
                if result.get(key) is False:
                    # Upstreams add fields without a new version of their description.
                    del result[key]

    def _each(self, schemas: list[Any], place: Place, job: _Job) -> list[Any]:
        return [
            self._schema(one, place / index, job, in_place=False)
            for index, one in enumerate(schemas)
        ]

    def _add_alternatives(
        self, result: JsonObject, members: JsonObject, place: Place, job: _Job, *, in_place: bool
    ) -> None:
        alternatives: list[Any] = []
        for key in ("allOf", "anyOf", "oneOf"):
            converted = [
                self._schema(one, place / key / index, job, in_place=in_place)
                for index, one in enumerate(list_of(members.get(key)))
            ]
            if not converted:
                continue
            if key == "allOf":
                result["allOf"] = converted
            else:
                # Parts that are not sent, and cuts, make alternatives overlap: which one is meant
                # is for the upstream to say.
                alternatives.append(converted)
        if len(alternatives) == 1:
            result["anyOf"] = alternatives[0]
        elif alternatives:
            result["allOf"] = [*result.get("allOf", []), *({"anyOf": one} for one in alternatives)]
        if job.direction == "output":
            return
        for key in _IN_PLACE:
            if isinstance(members.get(key), dict):
                before = len(job.component.targets)
                condition = self._schema(members[key], place / key, job, in_place=False)
                if len(job.component.targets) > before:
                    # A part that is cut would turn a condition around.
                    self._notes.add(place / key, "a condition with references is not checked")
                else:
                    result[key] = condition

    def _add_words(self, result: JsonObject, members: JsonObject, place: Place, job: _Job) -> None:
        description = short_text(members.get("description"), _LONGEST_DESCRIPTION)
        description = description or short_text(members.get("title"), _LONGEST_DESCRIPTION)
        if not job.with_defaults and job.direction == "input" and "default" in members:
            default = encode_json_text(members["default"])
            is_fitting = self._fits(members["default"], result, members, place)
            if is_fitting and len(default) <= _LONGEST_VALUE:
                description = f"{description or ''} Default: {default}.".strip()
            elif not is_fitting and members["default"] is not None:
                self._notes.add(place / "default", _NOT_FITTING)
        if description:
            result["description"] = description
        if members.get("deprecated") is True:
            result["deprecated"] = True
        example = members.get("example")
        if isinstance(example, str | int | float) and len(str(example)) <= _LONGEST_VALUE:
            result["examples"] = [example]

    def _fits(self, value: Json, result: JsonObject, members: JsonObject, place: Place) -> bool:
        """Whether a default is a value of its schema, of whose references the choices count."""
        if not fits(value, self._nullable_too(result, members)):
            return False
        for index, part in enumerate(list_of(members.get("allOf"))):
            try:
                target = object_of(self._document.follow(part, place / "allOf" / index)[0])
            except ReferenceProblem:
                continue
            is_null = value is None and (self._is_nullable(members) or self._is_nullable(target))
            choices = list_of(target.get("enum"))
            if choices and value not in choices and not is_null:
                return False
        return True

    def is_hidden(self, schema: Json, place: Place, direction: Direction) -> bool:
        """Whether a property does not go this way: `readOnly` in, `writeOnly` out."""
        key = "readOnly" if direction == "input" else "writeOnly"
        if object_of(schema).get(key) is True:
            return True
        try:
            target, _ = self._document.follow(schema, place)
        except ReferenceProblem:
            return False
        return object_of(target).get(key) is True


def is_scalar(schema: Any, definitions: JsonObject) -> bool:
    """Whether every value of a converted schema is surely no list and no object."""
    seen: set[str] = set()
    pending = [schema]
    while pending:
        node = object_of(pending.pop())
        if reference := node.get("$ref"):
            name = str(reference).removeprefix("#/$defs/")
            if name in seen or name not in definitions:
                return False
            seen.add(name)
            pending.append(definitions[name])
            continue
        if "type" in node:
            types = list_of(node["type"]) or [node["type"]]
            if not set(types) <= _SCALARS:
                return False
        elif "enum" in node:
            if any(isinstance(one, dict | list) for one in node["enum"]):
                return False
        elif "anyOf" in node:
            pending.extend(node["anyOf"])
        elif len(node.get("allOf", ())) == 1:
            pending.extend(node["allOf"])
        else:
            return False
    return True


def _names(value: Json) -> list[str]:
    """The names in a list, without those that are somebody's key."""
    return [one for one in list_of(value) if isinstance(one, str) and not is_key(one)]


def _or_null(schema: JsonObject) -> JsonObject:
    kind = schema.get("type")
    if kind is None:
        if "enum" in schema and not any(key in schema for key in ("anyOf", "allOf", "$ref")):
            return {**schema, "enum": _each_once([*schema["enum"], None])}
        if not schema.keys() - {"description", "examples", "deprecated", "default"}:
            return schema
        words = {key: schema[key] for key in ("description", "default") if key in schema}
        rest = {key: value for key, value in schema.items() if key not in words}
        return {"anyOf": [rest, {"type": "null"}], **words}
    types = list_of(kind) or [kind]
    result = {**schema, "type": [*types, "null"] if "null" not in types else types}
    if "enum" in result:
        result["enum"] = _each_once([*result["enum"], None])
    if any(key in result for key in ("anyOf", "allOf", "not", "const")):
        # These hold for null as well, unlike bounds and properties.
        return {"anyOf": [schema, {"type": "null"}]}
    return result


def _stub(component: _Component) -> JsonObject:
    stub: JsonObject = {"description": "Cut here: the description is too large to be kept."}
    kind = object_of(component.schema).get("type")
    return {"type": kind, **stub} if kind is not None else stub


def _each_once(values: list[Any]) -> list[Any]:
    return list({encode_json_text(one): one for one in values}.values())


def _is_number(value: Json) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_integer(value: Json) -> bool:
    return _is_number(value) and (isinstance(value, int) or value.is_integer())


def _has_type(value: Json, kind: Json) -> bool:
    tests = {
        "array": isinstance(value, list),
        "boolean": isinstance(value, bool),
        "integer": _is_integer(value),
        "null": value is None,
        "number": _is_number(value),
        "object": isinstance(value, dict),
        "string": isinstance(value, str),
    }
    return any(tests.get(one, True) for one in (list_of(kind) or [kind]))
