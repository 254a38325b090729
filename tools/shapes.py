"""Problems of the shape of a document: unknown keys, wrong kinds, missing fields."""

from collections.abc import Iterator
from typing import Any, cast

from pydantic import BaseModel, ValidationError

from tools.json_text import Json, JsonObject, encode_json_text
from tools.problems import Problem
from tools.suggestions import did_you_mean

__all__ = [
    "document_location",
    "path_of",
    "required_form",
    "seen",
    "shape_message",
    "shape_problems",
    "unknown_keys",
]

#: Where an imported tool comes from: read by the next import.
_OWN_FIELDS = frozenset({"x-callslip-import"})
#: Fields of tools exported from elsewhere: kept, not used.
_FOREIGN_FIELDS = frozenset(
    {
        "createdByUserId",
        "documentationUrl",
        "executionMode",
        "inputMapping",
        "lastUsedAt",
        "loopMaxIters",
        "loopMaxItems",
        "orgId",
        "outputFile",
        "originalResponseSchema",
        "responseMapping",
        "tags",
        "userId",
    }
)
SEEN_CHARACTERS = 120
#: What JSON calls the kinds that the validator names as Python does.
_KINDS = {
    "dict_type": "an object",
    "list_type": "a list",
    "model_attributes_type": "an object",
    "model_type": "an object",
    "tuple_type": "a list",
}
#: What is valid where a value of another kind stands, by the validator's name for that.
_VALID_KINDS = {
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "dict_type": "an object",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "list_type": "a list",
    "model_attributes_type": "an object",
    "model_type": "an object",
    "string_type": "a text",
    "tuple_type": "a list",
}
#: What the values of some fields look like.
_FORMS = {
    "action": "REMOVE, MASK, FAIL",
    "config": '{"type": "request", "url": …}, {"type": "transform", "transformCode": …} '
    'or {"type": "tool", "toolId": …}',
    "headers": "an object, or a template that gives one",
    "id": "a text",
    "inputs": "an object, or a template that gives one",
    "pageSize": "a whole number from 1, as number or text, or a template",
    "pattern": "a JavaScript regular expression without slashes",
    "queryParams": "an object, or a template that gives one",
    "steps": 'a list of steps: [{"id": …, "config": …}]',
    "target": "KEYS, VALUES, BOTH",
    "toolId": "the id of a stored tool",
    "transformCode": "JavaScript such as (sourceData) => sourceData.items",
    "url": "an http or https url, or a path when the step has a systemId",
}
#: Where a value may be of several kinds, the validator has each in its paths.
_ALTERNATIVES = frozenset({"dict[str,any]", "int", "str"})
#: The kinds of a step and of a sign-in: the validator has them in its paths, the document not.
_BRANCHES = {
    "auth": ("bearer", "basic", "apiKey", "oauth2", "digest", "aws_sigv4"),
    "config": ("request", "transform", "tool"),
}


def unknown_keys(fields: JsonObject, model: type[BaseModel], path: str) -> Iterator[Problem]:
    """Keys that a model does not know; own keys and those of known exports are warnings."""
    known = {field.alias or name for name, field in model.model_fields.items()}
    for key in fields:
        if key in known or key in _OWN_FIELDS:
            continue
        place = f"{path}.{key}" if path else key
        if key.startswith("x-") or key in _FOREIGN_FIELDS:
            valid = ", ".join(sorted(known))
            message = "kept, but callslip does not use it"
            yield Problem(place, message, valid=valid, severity="warning")
            continue
        near = did_you_mean(key, known)
        yield Problem(
            place,
            "there is no such field here",
            seen=key,
            valid=", ".join(sorted(known)),
            hint=f"did you mean `{near}`?" if near else "own fields start with `x-`",
        )


def shape_problems(error: ValidationError, fields: JsonObject) -> Iterator[Problem]:
    """What a model found wrong in a document, with the document's own paths."""
    of_several_kinds: set[str] = set()
    for one in error.errors(include_url=False):
        path, found = _locate(one["loc"], fields)
        if one["type"] in {"union_tag_invalid", "union_tag_not_found"}:
            yield _kind_problem(path, cast("JsonObject", found).get("type"))
            continue
        if path.endswith(".config.type"):
            yield _kind_problem(path.removesuffix(".type"), found)
            continue
        if one["type"] == "missing":
            yield Problem(path, "this field is required", seen="nothing", valid=required_form(path))
            continue
        if one["loc"][-1] in _ALTERNATIVES:
            if path not in of_several_kinds:
                of_several_kinds.add(path)
                valid = required_form(path)
                yield Problem(path, "this kind cannot stand here", seen=seen(found), valid=valid)
            continue
        context = one.get("ctx", {})
        expected = str(context.get("expected", "")).replace("'", "")
        valid = expected.replace(" or ", ", ") or _bounds(context) or _VALID_KINDS.get(one["type"])
        hint = None
        value = one.get("input")
        if valid and isinstance(value, str) and (near := did_you_mean(value, valid.split(", "))):
            hint = f"did you mean `{near}`?"
        if path.endswith(".body") and isinstance(value, dict | list):
            hint = "a body is text: write the JSON as one string, with its templates"
        message = shape_message(one["type"], one["msg"])
        yield Problem(path, message, seen=seen(found), valid=valid, hint=hint)


def shape_message(kind: str, message: str) -> str:
    """What the validator says of a value, `kind` being its type of error, in the words of JSON."""
    if kind in _KINDS:
        return f"input should be {_KINDS[kind]}"
    return message[:1].lower() + message[1:]


def _bounds(context: JsonObject) -> str | None:
    words = {"gt": "more than", "ge": "from", "le": "at most"}
    return next((f"{words[name]} {context[name]}" for name in words if name in context), None)


def _kind_problem(path: str, kind: Json) -> Problem:
    """The `type` at a path is none, or is not there."""
    kinds = _BRANCHES[path.rpartition(".")[2]]
    valid, place = ", ".join(kinds), f"{path}.type"
    if kind is None:
        return Problem(place, "this field is required", seen="nothing", valid=valid)
    near = did_you_mean(kind, kinds) if isinstance(kind, str) else None
    hint = f"did you mean `{near}`?" if near else None
    return Problem(place, "there is no such type", seen=seen(kind), valid=valid, hint=hint)


def required_form(path: str) -> str | None:
    """What a field looks like, where that is known."""
    return _FORMS.get(path.rpartition(".")[2])


def document_location(location: tuple[int | str, ...]) -> tuple[int | str, ...]:
    """Where in the document a validation error is: without what only the validator knows."""
    return tuple(
        part
        for index, part in enumerate(location)
        if not (index and part in _BRANCHES.get(str(location[index - 1]), ()))
        and part not in _ALTERNATIVES
    )


def path_of(location: tuple[int | str, ...]) -> str:
    """`steps[0].config.url`."""
    path = ""
    for part in location:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else part
    return path


def _locate(location: tuple[int | str, ...], fields: JsonObject) -> tuple[str, Json]:
    """The JSON path of a validation error and what stands there."""
    location = document_location(location)
    value: Json = fields
    for part in location:
        if isinstance(part, int):
            listed = cast("list[Any]", value) if isinstance(value, list) else []
            value = listed[part] if part < len(listed) else None
        else:
            value = cast("JsonObject", value).get(part) if isinstance(value, dict) else None
    return path_of(location), value


def seen(value: Json) -> str:
    """A value as JSON text, cut to a readable length."""
    text = encode_json_text(value)
    return text if len(text) <= SEEN_CHARACTERS else text[: SEEN_CHARACTERS - 1] + "…"
