"""Parameters of an operation, in one form for all versions of the specification."""

import re
from dataclasses import dataclass
from typing import Literal, cast

from tools.importers import NoteList
from tools.importers.openapi.masking import NAME_LEFT_OUT, is_key
from tools.importers.openapi.references import Document, Place, ReferenceProblem
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
Style = Literal["form", "simple", "label", "matrix", "space", "pipe", "tab", "deep", "json", "text"]

_LOCATIONS = {"path": "path", "query": "query", "header": "header", "cookie": "cookie"}
_STYLES: dict[str, Style] = {
    "form": "form",
    "simple": "simple",
    "label": "label",
    "matrix": "matrix",
    "spaceDelimited": "space",
    "pipeDelimited": "pipe",
    "deepObject": "deep",
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
    "cookie": {"form"},
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
    content = object_of(fields.get("content"))
    named = text_of(fields.get("style"))
    style = _STYLES.get(named, _DEFAULT_STYLES[location])
    if style not in _ALLOWED[location] or ("style" in fields and named not in _STYLES):
        notes.add(at / "style", f"this style is not one of a {location} parameter")
        style = _DEFAULT_STYLES[location]
    explode = fields.get("explode")
    schema, schema_place = fields.get("schema", {}), at / "schema"
    if content and "schema" not in fields:
        media_type = next(iter(content))
        schema = object_of(content[media_type]).get("schema", {})
        schema_place = at / "content" / media_type / "schema"
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
        explode=explode if isinstance(explode, bool) else style == "form",
        allow_reserved=fields.get("allowReserved") is True and location == "query",
        description=fields.get("description"),
        is_deprecated=fields.get("deprecated") is True,
    )


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
