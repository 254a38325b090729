"""Makes up inputs that a schema accepts, and exactly one of its alternatives where it has some."""

import json
import re
import warnings
from collections.abc import Iterator
from functools import cache
from typing import Any, cast

import jsonschema_rs
from hypothesis.errors import HypothesisException, NonInteractiveExampleWarning
from hypothesis.strategies import from_regex

__all__ = ["Sampler", "Unsampled", "accepts_nothing"]

_KNOWN = {
    "date": "2026-01-31",
    "date-time": "2026-01-31T12:00:00Z",
    "time": "12:00:00Z",
    "uuid": "123e4567-e89b-42d3-a456-426614174000",
    "uri": "https://example.com/a",
    "uri-reference": "/a",
    "email": "a@example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "hostname": "example.com",
    "duration": "P1D",
    "byte": "dGV4dA==",
}
_DEEPEST = 12
#: Values of each type, for what a schema must not accept.
_WRONG = ("x", 1, True, [], {})


class Unsampled(Exception):  # noqa: N818 - it says what a sample is missing for
    """No value could be made up for a schema."""


def accepts_nothing(schema: dict[str, Any]) -> bool:
    """Whether no value at all fits a schema, as the canonical form of jsonschema-rs has it."""
    try:
        return str(jsonschema_rs.canonicalize(schema).kind).lower().endswith("false")
    except ValueError:
        return False


class Sampler:
    """Makes up values for one input schema."""

    def __init__(self, schema: dict[str, Any], with_optional: bool) -> None:
        self._definitions = schema.get("$defs", {})
        self._schema = schema
        self._with_optional = with_optional

    def inputs(self) -> dict[str, Any]:
        """Values of the inputs. Raises `Unsampled`."""
        value = self._object(self._schema, 0)
        if not self._is_valid(self._schema, value):
            raise Unsampled("no value was found that fits")
        return value

    def _is_valid(self, schema: Any, value: Any) -> bool:
        if not isinstance(schema, dict):
            return bool(schema)
        whole = {**cast("dict[str, Any]", schema), "$defs": self._definitions}
        try:
            return _validator(_frozen(whole)).is_valid(value)
        except ValueError:
            return False

    def _value(self, schema: Any, depth: int) -> Any:
        if not isinstance(schema, dict):
            return "text"
        if depth > _DEEPEST:
            raise Unsampled("too deep")
        if "$ref" in schema:
            return self._value(self._resolved(schema), depth + 1)
        for key in ("examples", "enum"):
            fitting = [one for one in schema.get(key, ()) if self._is_valid(schema, one)]
            if fitting:
                return next((one for one in fitting if one is not None), None)
        for key in ("const", "default"):
            if key in schema:
                return schema[key]
        if "allOf" in schema:
            return self._merged(schema, depth)
        if "oneOf" in schema:
            schema = {("anyOf" if key == "oneOf" else key): one for key, one in schema.items()}
        if "anyOf" in schema:
            return self._alternative(schema, depth)
        return self._of_type(schema, depth)

    def _of_type(self, schema: dict[str, Any], depth: int) -> Any:
        kinds = schema.get("type", "object" if "properties" in schema else "string")
        kind = (
            next((one for one in kinds if one != "null"), "null")
            if isinstance(kinds, list)
            else kinds
        )
        match kind:
            case "object":
                return self._object(schema, depth)
            case "array":
                return self._array(schema, depth)
            case "integer" | "number":
                return self._number(schema)
            case "boolean":
                return True
            case "null":
                return None
            case _:
                return self._text(schema)

    def _alternative(self, schema: dict[str, Any], depth: int) -> Any:
        """A value that one alternative accepts and no other, if there is one."""
        parts = schema["anyOf"]
        first: list[Any] = []
        for value in self._candidates(schema, depth):
            if not self._is_valid(schema, value):
                continue
            if sum(self._is_valid(part, value) for part in parts) == 1:
                return value
            first = first or [value]
        if not first:
            raise Unsampled("none of the alternatives could be made up")
        return first[0]

    def _candidates(self, schema: dict[str, Any], depth: int) -> Iterator[Any]:
        rest = {key: value for key, value in schema.items() if key != "anyOf"}
        parts = [self._resolved(one) for one in schema["anyOf"] if one != {"type": "null"}]
        for part in parts:
            both = {**rest, **part}
            if "properties" in rest and "properties" in part:
                both["properties"] = {**rest["properties"], **part["properties"]}
            both["required"] = [*rest.get("required", ()), *part.get("required", ())]
            for with_optional in (self._with_optional, not self._with_optional):
                maker = Sampler({**self._schema}, with_optional)
                try:
                    value = maker._value(both, depth + 1)
                except Unsampled:
                    continue
                yield value
                if isinstance(value, dict):
                    yield from self._spoiled(cast("dict[str, Any]", value), part, parts)

    def _spoiled(
        self, value: dict[str, Any], part: dict[str, Any], parts: list[dict[str, Any]]
    ) -> Iterator[Any]:
        """The value with members that the other alternatives refuse."""
        spoiled = dict(value)
        for other in parts:
            names = other.get("properties", {}).keys() - part.get("properties", {}).keys()
            for name in sorted(names)[:1] if other is not part else ():
                schema = other["properties"][name]
                for wrong in _WRONG:
                    if not self._is_valid(schema, wrong):
                        spoiled[name] = wrong
                        break
        yield spoiled

    def _resolved(self, schema: Any) -> dict[str, Any]:
        while isinstance(schema, dict) and "$ref" in schema:
            schema = self._definitions[schema["$ref"].removeprefix("#/$defs/")]
        return schema if isinstance(schema, dict) else {}

    def _merged(self, schema: dict[str, Any], depth: int) -> Any:
        merged: dict[str, Any] = {key: one for key, one in schema.items() if key != "allOf"}
        for part in map(self._resolved, schema["allOf"]):
            for key, one in part.items():
                if key in {"properties", "required", "allOf"} and key in merged:
                    merged[key] = (
                        {**merged[key], **one} if isinstance(one, dict) else [*merged[key], *one]
                    )
                else:
                    merged.setdefault(key, one)
        return self._value(merged, depth + 1)

    def _object(self, schema: dict[str, Any], depth: int) -> dict[str, Any]:
        required = set(schema.get("required", ()))
        properties = schema.get("properties", {})
        value: dict[str, Any] = {}
        for name, one in properties.items():
            is_only_one = not value and not required and depth > 0
            if name in required or is_only_one or (self._with_optional and depth < 3):
                try:
                    made = self._value(one, depth + 1)
                except Unsampled:
                    if name in required:
                        raise
                    continue
                if name in required or self._is_valid(one, made):
                    value[name] = made
        additional = schema.get("additionalProperties")
        if not value and isinstance(additional, dict):
            value["key"] = self._value(additional, depth + 1)
        return value

    def _array(self, schema: dict[str, Any], depth: int) -> list[Any]:
        one = self._value(schema.get("items", {"type": "string"}), depth + 1)
        # Two, where two are allowed: many parsers take one for no list at all.
        count = 1 if schema.get("uniqueItems") else 2
        return [one] * min(max(count, schema.get("minItems", 1)), schema.get("maxItems", 1_000))

    def _number(self, schema: dict[str, Any]) -> Any:
        if "multipleOf" in schema:
            return schema["multipleOf"]
        if "minimum" in schema:
            return schema["minimum"]
        if "exclusiveMinimum" in schema:
            return schema["exclusiveMinimum"] + 1
        return min(1, schema.get("maximum", 1))

    def _text(self, schema: dict[str, Any]) -> str:
        text = _KNOWN.get(schema.get("format", ""), "text")
        if len(text) < schema.get("minLength", 0):
            text = text.ljust(schema["minLength"], "x")
        text = text[: schema.get("maxLength", len(text))]
        if (pattern := schema.get("pattern")) and not self._is_valid(schema, text):
            return matching(pattern, schema.get("minLength", 0), schema.get("maxLength", 1_000))
        return text


def _frozen(schema: dict[str, Any]) -> str:

    return json.dumps(schema)


@cache
def _validator(schema: str) -> Any:

    return jsonschema_rs.Draft202012Validator(json.loads(schema), validate_formats=True)


@cache
def matching(pattern: str, shortest: int, longest: int) -> str:
    """A text that a pattern matches, and that can stand in a path. Raises `Unsampled`."""

    def is_usable(text: str) -> bool:
        fits = shortest <= len(text) <= longest and text.isprintable()
        return fits and text == text.strip() and text not in {"", ".", ".."}

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NonInteractiveExampleWarning)
            return from_regex(re.compile(pattern, re.ASCII)).filter(is_usable).example()
    except (HypothesisException, re.error) as error:
        raise Unsampled(f"pattern {pattern}: {error}") from None
