"""Why a value breaks a schema: every problem, with its place, in words.

The validator's own list of errors is not used: it is made as a whole before the first one is seen,
with the value's text in each, which for a large value or a recursive schema has no bound. Here only
the members that are invalid are walked into, until enough has been said.
"""

import time
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, cast

import jsonschema_rs

from tools.json_text import Json, encode_json_text
from tools.problems import Problem
from tools.schema.keywords import Location, has_subschemas, json_pointer
from tools.schema.references import References
from tools.suggestions import did_you_mean

__all__ = ["MAX_PROBLEMS", "Explainer", "ValidatorLookup", "shown"]

MAX_PROBLEMS = 50
#: Seconds after which places are named without going deeper.
_MAX_SECONDS = 1.0
#: `anyOf` inside `anyOf` that is looked into.
_MAX_ALTERNATIVES_DEPTH = 3
_MAX_BRANCHES = 20
_SHOWN_CHARS = 80
#: Lists and objects with more members than this are described and not written out.
_SHOWN_MEMBERS = 20

#: The validator of the subschema at a JSON pointer (`#/items`), None where there is none.
ValidatorLookup = Callable[[str], jsonschema_rs.Validator | None]

#: A schema (where it lies, what it is) and the value it is applied to (where, what).
_Task = tuple[Location, Json, Location, Json]


class Explainer:
    """Explains invalid values of one schema."""

    def __init__(self, references: References, validators: ValidatorLookup) -> None:
        self._references = references
        self._validators = validators
        self._leaves: dict[Location, jsonschema_rs.Draft202012Validator | None] = {}
        self._patterns: dict[str, jsonschema_rs.Draft202012Validator] = {}

    def explain(self, value: Json) -> list[Problem]:
        """The problems of an invalid value; at least one."""
        return _Walk(self).run(((), self._references.root, (), value), depth=0)

    def is_valid(self, location: Location, value: Json) -> bool:
        validator = self._validators("#" + json_pointer(location))
        return validator is None or validator.is_valid(value)

    def resolve(
        self, reference: Json, location: Location, keyword: str = "$ref"
    ) -> tuple[Json, Location] | None:
        if not isinstance(reference, str):
            return None
        if keyword == "$dynamicRef" and self._references.is_ambiguous(reference):
            return None
        return self._references.resolve(reference, location)

    def leaf_errors(
        self, location: Location, schema: dict[str, Any], value: Json
    ) -> list[jsonschema_rs.ValidationError]:
        """What the keywords without subschemas say, at the value itself."""
        if location not in self._leaves:
            own = {
                keyword: operand
                for keyword, operand in schema.items()
                if not has_subschemas(keyword) and not keyword.startswith("$")
            }
            # These two count what `contains` finds.
            own.pop("minContains", None)
            own.pop("maxContains", None)
            self._leaves[location] = (
                jsonschema_rs.Draft202012Validator(
                    own,
                    offline=True,
                    validate_formats=True,
                    mask="value",
                    pattern_options=jsonschema_rs.FancyRegexOptions(backtrack_limit=200_000),
                )
                if own
                else None
            )
        validator = self._leaves[location]
        return list(validator.iter_errors(value)) if validator is not None else []

    def matches(self, pattern: str, name: str) -> bool:
        """Whether a property name matches a key of `patternProperties`."""
        if pattern not in self._patterns:
            self._patterns[pattern] = jsonschema_rs.Draft202012Validator(
                {"pattern": pattern}, offline=True
            )
        return self._patterns[pattern].is_valid(name)


class _Walk:
    """One explanation: what has been said, and how long it may go on."""

    def __init__(self, explainer: Explainer) -> None:
        self._explainer = explainer
        self._deadline = time.monotonic() + _MAX_SECONDS

    def run(self, start: _Task, depth: int) -> list[Problem]:
        problems: dict[tuple[str, str], Problem] = {}
        seen: set[tuple[Location, Location]] = set()
        pending = [start]
        while pending and len(problems) < MAX_PROBLEMS:
            task = pending.pop()
            if (task[0], task[2]) in seen:
                continue
            seen.add((task[0], task[2]))
            tasks: list[_Task] = []
            found: list[Problem] = []
            if time.monotonic() > self._deadline:
                found.append(_general(task))
            else:
                for item in self._look(task, depth):
                    (found if isinstance(item, Problem) else tasks).append(item)  # pyright: ignore[reportArgumentType]
                if not found and not tasks:
                    found.append(_general(task))
            for problem in found:
                problems.setdefault((problem.path, problem.message), problem)
            pending.extend(reversed(tasks))
        return list(problems.values())

    def _look(self, task: _Task, depth: int) -> Iterator[Problem | _Task]:
        """The problems at the value itself, and the invalid parts to look into."""
        location, schema, place, value = task
        if not isinstance(schema, dict):
            yield Problem(json_pointer(place), "no value is allowed here", seen=None)
            return
        members = cast(dict[str, Any], schema)
        for error in self._explainer.leaf_errors(location, members, value):
            yield _leaf_problem(error, place, value, members)
        for keyword in ("$ref", "$dynamicRef"):
            target = self._explainer.resolve(members.get(keyword), location, keyword)
            if target is not None and not self._explainer.is_valid(target[1], value):
                yield target[1], target[0], place, value
        for index, child in enumerate(_list(members.get("allOf"))):
            yield from self._invalid((*location, "allOf", index), child, place, value)
        if "if" in members:
            branch = "then" if self._explainer.is_valid((*location, "if"), value) else "else"
            if branch in members:
                yield from self._invalid((*location, branch), members[branch], place, value)
        if "not" in members and self._explainer.is_valid((*location, "not"), value):
            yield Problem(json_pointer(place), "must not match the schema of `not`")
        for keyword in ("anyOf", "oneOf"):
            if keyword in members:
                yield from self._alternatives(keyword, task, depth)
        if isinstance(value, dict):
            yield from self._members(members, location, place, cast(dict[str, Any], value))
        elif isinstance(value, list):
            yield from self._items(members, location, place, cast(list[Any], value))

    def _invalid(
        self, location: Location, schema: Json, place: Location, value: Json
    ) -> Iterator[_Task]:
        if not self._explainer.is_valid(location, value):
            yield location, schema, place, value

    def _members(
        self, schema: dict[str, Any], location: Location, place: Location, value: dict[str, Any]
    ) -> Iterator[Problem | _Task]:
        for name, child in _dict(schema.get("dependentSchemas")).items():
            if name in value:
                yield from self._invalid((*location, "dependentSchemas", name), child, place, value)
        # Each is said at its own place: what lies behind these would not be said any more.
        yield from islice(self._invalid_members(schema, location, place, value), MAX_PROBLEMS)

    def _invalid_members(
        self, schema: dict[str, Any], location: Location, place: Location, value: dict[str, Any]
    ) -> Iterator[Problem | _Task]:
        properties = _dict(schema.get("properties"))
        patterns = _dict(schema.get("patternProperties"))
        additional = schema.get("additionalProperties", True)
        names = schema.get("propertyNames", True)
        for index, (name, member) in enumerate(value.items()):
            if self._is_over(index):
                break
            named = False
            if name in properties:
                named = True
                yield from self._invalid(
                    (*location, "properties", name), properties[name], (*place, name), member
                )
            for pattern, child in patterns.items():
                if self._explainer.matches(pattern, name):
                    named = True
                    yield from self._invalid(
                        (*location, "patternProperties", pattern), child, (*place, name), member
                    )
            if not named and additional is False:
                near = did_you_mean(name, properties)
                yield Problem(
                    json_pointer((*place, name)),
                    "is a property that the schema does not allow",
                    valid=", ".join(list(properties)[:_SHOWN_MEMBERS]) or None,
                    hint=f"Did you mean `{near}`?" if near else None,
                )
            elif not named and additional is not True:
                yield from self._invalid(
                    (*location, "additionalProperties"), additional, (*place, name), member
                )
            if names is not True and not self._explainer.is_valid(
                (*location, "propertyNames"), name
            ):
                yield Problem(json_pointer((*place, name)), "is not a valid property name")

    def _items(
        self, schema: dict[str, Any], location: Location, place: Location, value: list[Any]
    ) -> Iterator[Problem | _Task]:
        yield from islice(self._invalid_items(schema, location, place, value), MAX_PROBLEMS)
        if "contains" in schema:
            count = 0
            for index, item in enumerate(value):
                if self._is_over(index):
                    return
                count += self._explainer.is_valid((*location, "contains"), item)
            least = schema.get("minContains", 1)
            most = schema.get("maxContains")
            if count < least:
                yield Problem(
                    json_pointer(place),
                    f"must have at least {least} items that match `contains`, has {count}",
                )
            elif most is not None and count > most:
                yield Problem(
                    json_pointer(place),
                    f"must have at most {most} items that match `contains`, has {count}",
                )

    def _invalid_items(
        self, schema: dict[str, Any], location: Location, place: Location, value: list[Any]
    ) -> Iterator[_Task]:
        prefix = _list(schema.get("prefixItems"))
        items = schema.get("items", True)
        for index, item in enumerate(value):
            if index < len(prefix):
                at, child = (*location, "prefixItems", index), prefix[index]
            elif items is True:
                break
            else:
                at, child = (*location, "items"), items
            yield from self._invalid(at, child, (*place, index), item)
            if self._is_over(index):
                break

    def _is_over(self, index: int) -> bool:
        """Whether to go no further among many; looked at every now and then."""
        return index % 1000 == 0 and time.monotonic() > self._deadline

    def _alternatives(self, keyword: str, task: _Task, depth: int) -> Iterator[Problem | _Task]:
        """`anyOf` and `oneOf`: what the closest alternative is missing."""
        location, schema, place, value = task
        branches = _list(cast(dict[str, Any], schema)[keyword])
        valid = [
            index
            for index in range(len(branches))
            if self._explainer.is_valid((*location, keyword, index), value)
        ]
        if keyword == "oneOf" and len(valid) > 1:
            yield Problem(
                json_pointer(place),
                f"must match one alternative of `oneOf`, matches {len(valid)} "
                f"(numbers {', '.join(str(index + 1) for index in valid[:10])})",
            )
        if valid:
            return
        possible = [
            index
            for index, branch in enumerate(branches)
            if self._plausible((*location, keyword, index), branch, value)
        ]
        if len(possible) == 1:
            index = possible[0]
            yield (*location, keyword, index), branches[index], place, value
            return
        message = f"must match one of the {len(branches)} alternatives of `{keyword}`"
        if not possible:
            types = _types_of(branches)
            if types:
                message = f"must be {_or(types)}"
            yield Problem(json_pointer(place), f"{message}, is {shown(value)}")
            return
        closest: list[Problem] = []
        if depth < _MAX_ALTERNATIVES_DEPTH:
            for index in possible[:_MAX_BRANCHES]:
                start = ((*location, keyword, index), branches[index], place, value)
                found = self.run(start, depth + 1)
                if not closest or len(found) < len(closest):
                    closest = found
        hint = None
        if closest:
            first = closest[0]
            hint = f"Closest: {first.path or '(root)'}: {first.message}"
        yield Problem(json_pointer(place), f"{message}, is {shown(value)}", hint=hint)

    def _plausible(self, location: Location, schema: Json, value: Json) -> bool:
        """Whether an alternative is of the kind of the value: its type, and any fixed property."""
        for _ in range(10):
            target = (
                self._explainer.resolve(cast(dict[str, Any], schema).get("$ref"), location)
                if isinstance(schema, dict)
                else None
            )
            if target is None:
                break
            schema, location = target
        if not isinstance(schema, dict):
            return schema is not False
        members = cast(dict[str, Any], schema)
        kinds = {"type", "const", "enum"}
        if not _holds({key: members[key] for key in kinds & members.keys()}, value):
            return False
        if not isinstance(value, dict):
            return True
        for name, child in _dict(members.get("properties")).items():
            if name in value and isinstance(child, dict):
                fixed = {key: child[key] for key in ("const", "enum") if key in child}  # pyright: ignore[reportUnknownVariableType]
                if fixed and not _holds(cast(dict[str, Any], fixed), cast(Any, value)[name]):
                    return False
        return True


def _holds(schema: dict[str, Any], value: Json) -> bool:
    return not schema or jsonschema_rs.Draft202012Validator(schema, offline=True).is_valid(value)


def _general(task: _Task) -> Problem:
    """The problem at a place of which nothing more exact can be said."""
    _, schema, place, value = task
    keywords = [
        keyword
        for keyword in (cast(dict[str, Any], schema) if isinstance(schema, dict) else {})
        if keyword not in ("title", "description", "$defs", "definitions", "$comment", "default")
    ]
    return Problem(
        json_pointer(place),
        f"does not match the schema ({', '.join(keywords[:10])}), is {shown(value)}",
    )


def _leaf_problem(
    error: jsonschema_rs.ValidationError, place: Location, value: Json, schema: dict[str, Any]
) -> Problem:
    """The problem in words that name what is valid and what was seen."""
    keyword = error.kind.name
    operand: Any = schema.get(keyword)
    path = json_pointer(place)
    is_value = f", is {shown(value)}"
    match keyword:
        case "type":
            types = [operand] if isinstance(operand, str) else _list(operand)
            return Problem(path, f"must be {_or(types)}{is_value}")
        case "required":
            missing = str(error.kind.value)
            present = cast(dict[str, Any], value)
            near = did_you_mean(missing, [name for name in present if not _names(schema, name)])
            return Problem(
                path,
                f"must have the property `{missing}`",
                hint=f"It has `{near}`, which is another name." if near else None,
            )
        case "enum":
            near = (
                did_you_mean(value, [item for item in _list(operand) if isinstance(item, str)])
                if isinstance(value, str)
                else None
            )
            return Problem(
                path,
                f"must be one of {shown_list(_list(operand))}{is_value}",
                hint=f"Did you mean `{near}`?" if near else None,
            )
        case "const":
            return Problem(path, f"must be {shown(operand)}{is_value}")
        case "format":
            return Problem(path, f'must match format "{operand}"{is_value}')
        case "pattern":
            return Problem(path, f"must match the pattern /{str(operand)[:200]}/{is_value}")
        case "backtrackLimitExceeded" | "regexEngineFailure":
            return Problem(path, "the pattern of the schema takes too long on this text")
        case "minimum" | "maximum" | "exclusiveMinimum" | "exclusiveMaximum":
            sign = {
                "minimum": ">=",
                "maximum": "<=",
                "exclusiveMinimum": ">",
                "exclusiveMaximum": "<",
            }[keyword]
            return Problem(path, f"must be {sign} {operand}{is_value}")
        case "multipleOf":
            return Problem(path, f"must be a multiple of {operand}{is_value}")
        case "minLength" | "maxLength" | "minItems" | "maxItems" | "minProperties":
            bound = "at least" if keyword.startswith("min") else "at most"
            unit = {"Length": "characters", "Items": "items"}.get(keyword[3:], "properties")
            return Problem(path, f"must have {bound} {operand} {unit}, has {len(value)}")
        case _:
            message = error.message.strip().split("\n", 1)[0]
            return Problem(path, message.removeprefix("value ")[:300])


def _names(schema: dict[str, Any], name: str) -> bool:
    return name in _dict(schema.get("properties"))


def shown(value: Json) -> str:
    """A value in a sentence: its kind, and its text when it is short."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            text = value if len(value) <= _SHOWN_CHARS else value[: _SHOWN_CHARS - 1] + "…"
            return f"the string {encode_json_text(text)}"
        case list():
            return f"a list of {len(cast(list[Any], value))} items"
        case dict():
            members = cast(dict[str, Any], value)
            names = ", ".join(list(members)[:5]) + (", …" if len(members) > 5 else "")
            return f"an object with {names[:_SHOWN_CHARS]}" if members else "an empty object"
        case int() if value.bit_length() > 256:
            return "a number of more than 77 digits"
        case _:
            return f"the number {value}"


def shown_list(values: list[Any]) -> str:
    """The values that are allowed, the first twenty of them."""
    texts = [shown(value).removeprefix("the string ") for value in values[:_SHOWN_MEMBERS]]
    if len(values) > len(texts):
        texts.append(f"… ({len(values)} in all)")
    return ", ".join(text.removeprefix("the number ") for text in texts)


def _types_of(branches: list[Any]) -> list[str]:
    """The types of alternatives that say nothing but their type."""
    types: list[str] = []
    for branch in branches:
        kind: Any = cast(dict[str, Any], branch).get("type") if isinstance(branch, dict) else None
        if isinstance(kind, str):
            types.append(kind)
        elif isinstance(kind, list):
            types += cast(list[str], kind)
        else:
            return []
    return list(dict.fromkeys(types))


def _or(names: list[Any]) -> str:
    return " or ".join(str(name) for name in names)


def _list(value: Any) -> list[Any]:
    return cast(list[Any], value) if isinstance(value, list) else []


def _dict(value: Any) -> dict[str, Any]:
    return cast(dict[str, Any], value) if isinstance(value, dict) else {}
