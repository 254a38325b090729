"""Parameters of an operation, in one form for all versions of the specification."""

import re
from dataclasses import dataclass, replace
from typing import Literal, cast

from tools.importers import NoteList
from tools.importers.openapi.masking import NAME_LEFT_OUT, is_key
from tools.importers.openapi.references import Document, Place, ReferenceProblem
from tools.importers.openapi.shapes import object_shape
from tools.importers.openapi.words import list_of, object_of, text_of
from tools.json_text import Json, JsonObject

__all__ = [
    "HEADER_NAME",
    "Location",
    "Parameter",
    "Style",
    "UnusableOperationError",
    "read_parameters",
]

Location = Literal["path", "query", "header", "cookie", "form"]
Style = Literal[
    "form", "simple", "label", "matrix", "space", "pipe", "tab", "deep", "cookie", "json", "text",
    "whole",
]  # fmt: skip

_LOCATIONS = {"path": "path", "query": "query", "header": "header", "cookie": "cookie"}
_STYLES: dict[str, Style] = {
    "form": "form",
    "simple": "simple",
    "label": "label",
    "matrix": "matrix",
    "spaceDelimited": "space",
    "pipeDelimited": "pipe",
    "deepObject": "deep",
    "cookie": "cookie",
}
_DEFAULT_STYLES: dict[str, Style] = {
    "path": "simple",
    "query": "form",
    "header": "simple",
    "cookie": "form",
    "form": "form",
}
#: What each place can be written as.
_ALLOWED: dict[str, set[Style]] = {
    "path": {"simple", "label", "matrix"},
    "query": {"form", "space", "pipe", "deep"},
    "header": {"simple"},
    "cookie": {"form", "cookie"},
    "form": {"form", "space", "pipe", "deep"},
}
_COLLECTION_FORMATS: dict[str, Style] = {
    "csv": "form",
    "ssv": "space",
    "tsv": "tab",
    "pipes": "pipe",
    "multi": "form",
}
#: Headers that the specification leaves to the body, the answer and the sign-in.
_NOT_PARAMETERS = frozenset({"accept", "content-type", "authorization"})
#: What HTTP allows (RFC 9110, token).
HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,200}")
_MOST_PARAMETERS = 300
_MOST_NESTED = 5


@dataclass(frozen=True)
class Parameter:
    """A parameter with its schema as it is written in the document."""

    location: Location
    name: str
    schema: Json
    place: Place
    schema_place: Place
    required: bool = False
    style: Style = "form"
    explode: bool = True
    allow_reserved: bool = False
    description: Json = None
    is_deprecated: bool = False


class UnusableOperationError(Exception):
    """No tool can be made of an operation; the message says why."""


def read_parameters(
    document: Document, levels: list[tuple[Json, Place]], notes: NoteList, *, swagger: bool
) -> tuple[list[Parameter], list[tuple[JsonObject, Place]]]:
    """The parameters of a path and its operation, the operation's taking precedence.

    The second list has the body parameters of Swagger 2.0. Raises
    `UnusableOperationError`.
    """
    found: dict[tuple[str, str], Parameter] = {}
    bodies: dict[str, tuple[JsonObject, Place]] = {}
    for listed, place in levels:
        if len(list_of(listed)) > _MOST_PARAMETERS:
            raise UnusableOperationError(f"it has more than {_MOST_PARAMETERS} parameters")
        for index, one in enumerate(list_of(listed)):
            at = place / index
            try:
                value, at = document.follow(one, at)
            except ReferenceProblem as problem:
                notes.add(at, f"the parameter is left out: {problem}")
                continue
            fields = object_of(value)
            location, name = text_of(fields.get("in")), text_of(fields.get("name"))
            if swagger and location == "body":
                bodies["body"] = (fields, at)
            elif location == "querystring" and not swagger:
                for parameter in _query_string(document, fields, at, notes):
                    found["query", parameter.name] = parameter
            elif not name or not (location in _LOCATIONS or (swagger and location == "formData")):
                notes.add(at, "the parameter is left out: it needs `name` and a known `in`")
            elif is_key(name):
                notes.add(at / "name", NAME_LEFT_OUT)
            elif location == "header" and not HEADER_NAME.fullmatch(name):
                notes.add(at / "name", "no header has such a name; the parameter is left out")
            elif location == "header" and name.lower() in _NOT_PARAMETERS:
                notes.add(at, f"the header {name} is set by the body, the answer or the sign-in")
            else:
                read = _swagger_parameter if swagger else _parameter
                found[location, name] = read(document, fields, at, location, name, notes)
    order = list(_DEFAULT_STYLES)
    parameters = sorted(found.values(), key=lambda one: order.index(one.location))
    return parameters, list(bodies.values())


def _parameter(
    document: Document, fields: JsonObject, at: Place, location: str, name: str, notes: NoteList
) -> Parameter:
    named = text_of(fields.get("style"))
    style = _STYLES.get(named, _DEFAULT_STYLES[location])
    if style not in _ALLOWED[location] or ("style" in fields and named not in _STYLES):
        notes.add(at / "style", f"this style is not one of a {location} parameter")
        style = _DEFAULT_STYLES[location]
    explode = fields.get("explode")
    schema, schema_place = fields.get("schema", {}), at / "schema"
    if "schema" not in fields and (content := _content(document, fields, at, notes)) is not None:
        media_type, described, content_place = content
        schema, schema_place = described.get("schema", {}), content_place / "schema"
        style = "json" if "json" in media_type.lower() else "text"
        if style == "text":
            notes.add(at / "content", f"{media_type[:80]}: the value is sent as it is given")
    if fields.get("allowEmptyValue") is True and location == "query":
        notes.add(at / "allowEmptyValue", "an empty value is left out instead of sent")
    return Parameter(
        cast("Location", location),
        name,
        schema,
        at,
        schema_place,
        required=fields.get("required") is True or location == "path",
        style=style,
        explode=explode if isinstance(explode, bool) else style in {"form", "cookie"},
        allow_reserved=fields.get("allowReserved") is True and location in _reserved_in(document),
        description=fields.get("description"),
        is_deprecated=fields.get("deprecated") is True,
    )


def _reserved_in(document: Document) -> tuple[str, ...]:
    """Where reserved characters may stay as they are."""
    is_of_3_2 = text_of(document.root.get("openapi")).startswith("3.2")
    return ("query", "path") if is_of_3_2 else ("query",)


def _content(
    document: Document, fields: JsonObject, at: Place, notes: NoteList
) -> tuple[str, JsonObject, Place] | None:
    """The one media type of a parameter, what is said of it, and where."""
    for media_type, given in object_of(fields.get("content")).items():
        place = at / "content" / media_type
        try:
            value, place = document.follow(given, place)
        except ReferenceProblem as problem:
            notes.add(place, f"any value is accepted: {problem}")
            return media_type, {}, place
        return media_type, object_of(value), place
    return None


def _query_string(
    document: Document, fields: JsonObject, at: Place, notes: NoteList
) -> list[Parameter]:
    """A query that is described as a whole: that of a form by its fields, where they are known.

    OpenAPI 3.2, https://spec.openapis.org/oas/v3.2.0.html#parameter-locations.
    """
    content = _content(document, fields, at, notes)
    if content is None:
        notes.add(at, "the parameter is left out: a query as a whole needs `content`")
        return []
    media_type, described, place = content
    schema, schema_place = described.get("schema", {}), place / "schema"
    is_required = fields.get("required") is True
    whole = Parameter(
        "query",
        text_of(fields.get("name")) or "query",
        schema,
        at,
        schema_place,
        is_required,
        "whole",
        description=fields.get("description"),
        is_deprecated=fields.get("deprecated") is True,
    )
    if media_type.partition(";")[0].strip().lower() != "application/x-www-form-urlencoded":
        return [whole]
    if "encoding" in described:
        notes.add(place / "encoding", "the fields of a query are written as those of a form")
    shape = object_shape(document, schema, schema_place)
    if shape is None or shape.more is not None or any(map(_is_several, shape.properties.values())):
        return [replace(whole, style="form")]
    for left_out in shape.left_out:
        notes.add(left_out, NAME_LEFT_OUT)
    return [
        Parameter("query", name, schema, place, place, is_required and name in shape.required)
        for name, [(schema, place)] in shape.properties.items()
    ]


def _is_several(schemas: list[tuple[Json, Place]]) -> bool:
    return len(schemas) > 1


def _swagger_parameter(
    document: Document, fields: JsonObject, at: Place, location: str, name: str, notes: NoteList
) -> Parameter:
    place = cast("Location", "form" if location == "formData" else location)
    collection = text_of(fields.get("collectionFormat"))
    style = _COLLECTION_FORMATS.get(collection, "form")
    if style == "form" and place in {"path", "header"}:
        style = "simple"
    _note_nested_formats(fields, at, notes)
    return Parameter(
        place,
        name,
        {
            key: value
            for key, value in fields.items()
            if key not in {"required", "description", "name", "in", "title"}
        },
        at,
        at,
        required=fields.get("required") is True or location == "path",
        style=style,
        explode=collection == "multi",
        description=fields.get("description"),
    )


def _note_nested_formats(fields: JsonObject, at: Place, notes: NoteList) -> None:
    """Lists inside lists: only the outermost one is written as its format says."""
    for _ in range(_MOST_NESTED):
        fields, at = object_of(fields.get("items")), at / "items"
        if fields.get("type") == "array" and "collectionFormat" in fields:
            notes.add(at / "collectionFormat", "the format of a list in a list is not kept")
