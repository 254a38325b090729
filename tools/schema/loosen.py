"""The schema of results, loosened: a property that is not required accepts null.

Upstreams send null where a value is absent. Everything else of the schema keeps its meaning, and a
value that was valid stays valid.
"""

import copy
from typing import Any, cast

import jsonschema_rs

from tools.json_text import Json
from tools.schema.keywords import IN_PLACE, Location, json_pointer, subschemas
from tools.schema.references import References

__all__ = ["loosen"]

#: Under this name in `$defs` lies the schema as it was, for conditions.
_STRICT = "callslip-strict"
#: Keywords that apply to null as well, unlike `properties` or `pattern`.
_MOVED = IN_PLACE - {"dependentSchemas"}


def loosen(schema: Json) -> Json:
    """The loosened schema, as a new object; `schema` is not changed.

    In `if`, `not` and `contains` nothing is loosened, because there it would refuse more. Takes a
    schema that `check_schema` found good.
    """
    if not isinstance(schema, dict):
        return schema
    return _Loosening(cast(dict[str, Any], schema)).result()


class _Loosening:
    def __init__(self, schema: dict[str, Any]) -> None:
        self._schema = schema
        self._references = References(schema)
        #: Keywords that moved into `else`, by where they were.
        self._moved: set[Location] = set()
        self._strict_used = False
        self._one_document = all(
            "$id" not in node for location, node in self._objects() if location
        )
        self._validators: jsonschema_rs.ValidatorMap | None = None

    def result(self) -> Json:
        result = self._loosened(self._schema, (), frozenset())
        result = self._with_references(result)
        if self._strict_used:
            strict = self._strict(_without_names(self._schema))
            result["$defs"] = {**result.get("$defs", {}), _STRICT: strict}
        return result

    def _objects(self) -> list[tuple[Location, dict[str, Any]]]:
        found: list[tuple[Location, dict[str, Any]]] = []
        pending: list[tuple[Location, Json]] = [((), self._schema)]
        while pending:
            location, node = pending.pop()
            if isinstance(node, dict):
                found.append((location, cast(dict[str, Any], node)))
                pending += [
                    (location + step, child) for step, child in subschemas(cast(Json, node))
                ]
        return found

    def _loosened(self, schema: Json, location: Location, required: frozenset[str]) -> Any:
        """A schema with its subschemas loosened; `required` is what its siblings require."""
        if not isinstance(schema, dict):
            return schema
        members = cast(dict[str, Any], schema)
        required |= self._required(members, location)
        result = dict(members)
        for step, child in subschemas(cast(Json, members)):
            at = location + step
            keyword = step[0]
            if keyword in ("if", "not", "contains", "propertyNames", "contentSchema"):
                new = self._strict(child)
            elif keyword == "properties":
                new = self._loosened(child, at, frozenset())
                if step[1] not in required:
                    new = self._nullable(new, at)
            elif keyword in IN_PLACE:
                new = self._loosened(child, at, required)
            else:
                new = self._loosened(child, at, frozenset())
            _put(result, members, step, new)
        if isinstance(branches := result.get("oneOf"), list) and branches != members["oneOf"]:
            # Two alternatives may both accept the null, and then `oneOf` would refuse it.
            alternatives: dict[str, Any] = {"anyOf": cast(Json, branches)}
            del result["oneOf"]
            if "anyOf" in result:
                result["allOf"] = [*_list(result.get("allOf")), alternatives]
            else:
                result["anyOf"] = branches
        self._forbid_required_nulls(result, members, location)
        return result

    def _required(self, schema: dict[str, Any], location: Location) -> frozenset[str]:
        """The properties that a schema requires, itself or in `allOf` and through `$ref`."""
        names: set[str] = set()
        seen: set[Location] = set()
        pending: list[tuple[Location, Json]] = [(location, schema)]
        while pending:
            at, node = pending.pop()
            if at in seen or not isinstance(node, dict):
                continue
            seen.add(at)
            members = cast(dict[str, Any], node)
            names.update(name for name in _list(members.get("required")) if isinstance(name, str))
            pending += [
                ((*at, "allOf", index), child)
                for index, child in enumerate(_list(members.get("allOf")))
            ]
            if isinstance(reference := members.get("$ref"), str):
                target = self._references.resolve(reference, at)
                if target is not None:
                    pending.append((target[1], target[0]))
        return frozenset(names)

    def _forbid_required_nulls(
        self, result: dict[str, Any], schema: dict[str, Any], location: Location
    ) -> None:
        """Required here, described behind `$ref`: the definition alone would accept null."""
        reference = schema.get("$ref")
        if not isinstance(reference, str) or not _list(schema.get("required")):
            return
        target = self._references.resolve(reference, location)
        if target is None or not isinstance(target[0], dict):
            return
        described: Any = cast(dict[str, Any], target[0]).get("properties")
        if not isinstance(described, dict):
            return
        for name in _list(schema.get("required")):
            at = (*target[1], "properties", name)
            if name in described and not self._accepts_null(at):
                properties = dict(result.get("properties", {}))
                own = properties.get(name, True)
                no_null: Json = {"not": {"type": "null"}}
                properties[name] = no_null if own is True else {"allOf": [own, no_null]}
                result["properties"] = properties

    def _accepts_null(self, location: Location) -> bool:
        try:
            if self._validators is None:
                self._validators = jsonschema_rs.validator_map_for(self._schema, offline=True)
            validator = self._validators.get("#" + json_pointer(location))
        except ValueError:
            return True
        return validator is None or validator.is_valid(None)

    def _nullable(self, schema: Json, location: Location) -> Json:
        """A schema that accepts null beside what it accepts."""
        if not isinstance(schema, dict):
            return schema  # `true` accepts null, `false` forbids the property
        members = dict(cast(dict[str, Any], schema))
        moved = {keyword: members.pop(keyword) for keyword in list(members) if keyword in _MOVED}
        kind = members.get("type")
        if isinstance(kind, str) and kind != "null":
            members["type"] = [kind, "null"]
        elif isinstance(kind, list) and "null" not in kind:
            members["type"] = [*cast(list[Any], kind), "null"]
        if isinstance(values := members.get("enum"), list) and None not in values:
            members["enum"] = [*cast(list[Any], values), None]
        if "const" in members and members["const"] is not None:
            const = members.pop("const")
            if "enum" in members:
                moved["const"] = const
            else:
                members["enum"] = [const, None]
        if moved:
            members["if"] = {"type": "null"}
            members["else"] = moved
            self._moved.update((*location, keyword) for keyword in moved)
        return members

    def _with_references(self, schema: Any) -> Any:
        """The schema with references into what moved following it."""
        if not self._moved or not self._one_document:
            return schema

        def visit(node: Any) -> Any:
            if isinstance(node, list):
                return [visit(item) for item in cast(list[Any], node)]
            if not isinstance(node, dict):
                return node
            members = cast(dict[str, Any], node)
            result = {key: visit(value) for key, value in members.items()}
            reference = members.get("$ref")
            if isinstance(reference, str) and reference.startswith("#/"):
                target = self._references.resolve(reference, ())
                if target is not None and (moved := self._moved_location(target[1])) != target[1]:
                    result["$ref"] = "#" + json_pointer(moved)
            return result

        return visit(schema)

    def _moved_location(self, location: Location) -> Location:
        result: list[str | int] = []
        for index, part in enumerate(location):
            if location[: index + 1] in self._moved:
                result.append("else")
            result.append(part)
        return tuple(result)

    def _strict(self, schema: Json) -> Json:
        """A copy that refers to the schema as it was."""
        if not self._one_document:
            return copy.deepcopy(schema)

        def visit(node: Any) -> Any:
            if isinstance(node, list):
                return [visit(item) for item in cast(list[Any], node)]
            if not isinstance(node, dict):
                return node
            members = cast(dict[str, Any], node)
            result = {key: visit(value) for key, value in members.items()}
            reference = members.get("$ref")
            if isinstance(reference, str) and (reference == "#" or reference.startswith("#/")):
                self._strict_used = True
                result["$ref"] = f"#/$defs/{_STRICT}{reference[1:]}"
            return result

        return visit(schema)


def _put(result: dict[str, Any], original: dict[str, Any], step: Location, new: Any) -> None:
    keyword = cast(str, step[0])
    if len(step) == 1:
        result[keyword] = new
        return
    if result[keyword] is original[keyword]:
        result[keyword] = copy.copy(original[keyword])
    result[keyword][step[1]] = new


def _without_names(schema: dict[str, Any]) -> Any:
    """A deep copy without what gives a schema a name that must be unique."""

    def visit(node: Json) -> Any:
        if not isinstance(node, dict):
            return copy.deepcopy(node)
        members = cast(dict[str, Any], node)
        result = dict(members)
        for step, child in subschemas(cast(Json, members)):
            _put(result, members, step, visit(child))
        for name in ("$id", "$anchor", "$dynamicAnchor", "$schema"):
            result.pop(name, None)
        return result

    return visit(schema)


def _list(value: Any) -> list[Any]:
    return cast(list[Any], value) if isinstance(value, list) else []
