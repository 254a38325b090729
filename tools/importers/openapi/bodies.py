"""Request bodies: which media type is sent, which inputs it takes, and its template."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from tools.importers import NoteList
from tools.importers.openapi.parameters import Parameter, Style
from tools.importers.openapi.references import Document, Place, ReferenceProblem
from tools.importers.openapi.shapes import ObjectShape, object_shape, types_of
from tools.importers.openapi.styles import BoundParameter, form_text_template, literal, value_of
from tools.importers.openapi.words import object_of
from tools.json_text import Json, JsonObject, encode_json_text

__all__ = [
    "FORM",
    "MULTIPART",
    "Body",
    "BodyField",
    "BoundField",
    "body_template",
    "media_type_rank",
    "read_body",
    "swagger_body",
]

FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data"
_JSON = re.compile(r"(?:application|text)/(?:[\w.+-]*\+)?json\b", re.IGNORECASE)
_STYLES: dict[str, Style] = {
    "form": "form",
    "spaceDelimited": "space",
    "pipeDelimited": "pipe",
    "deepObject": "deep",
}


@dataclass(frozen=True)
class BodyField:
    """A property of a body, or the body as a whole."""

    name: str
    schemas: tuple[tuple[Json, Place], ...]
    required: bool
    place: Place
    description: Json = None
    style: Style | None = None
    explode: bool = True


@dataclass(frozen=True)
class Body:
    """A body with its fields; `is_whole` when it is given as one value."""

    media_type: str
    fields: tuple[BodyField, ...]
    required: bool
    place: Place
    is_whole: bool = False

    @property
    def is_json(self) -> bool:
        return _JSON.match(self.media_type) is not None

    @property
    def is_form(self) -> bool:
        return _bare(self.media_type) in {FORM, MULTIPART}


@dataclass(frozen=True)
class BoundField:
    """A field with the input that gives its value."""

    field: BodyField
    input: str
    is_scalar: bool
    #: Whether its value may be a text.
    is_text: bool


def _bare(media_type: str) -> str:
    return media_type.partition(";")[0].strip().lower()


def media_type_rank(media_type: str) -> int:
    """How well a media type can be written: JSON first."""
    bare = _bare(media_type)
    if bare in {"application/json", "*/*", "application/*"}:
        return 0
    if _JSON.match(media_type):
        return 1
    return {FORM: 2, MULTIPART: 3}.get(bare, 4)


def read_body(document: Document, given: Json, place: Place, notes: NoteList) -> Body | None:
    """The body of an operation of OpenAPI 3; None when it has none."""
    if given is None:
        return None
    try:
        given, place = document.follow(given, place)
    except ReferenceProblem as problem:
        notes.add(place, f"the body is left out: {problem}")
        return None
    fields = object_of(given)
    content = object_of(fields.get("content"))
    if not content:
        notes.add(place, "the body is left out: it has no `content`")
        return None
    media_type = min(content, key=media_type_rank)
    if len(content) > 1:
        others = ", ".join(sorted(one[:60] for one in content if one != media_type))
        notes.add(place / "content", f"the body is sent as {media_type[:60]}, never as {others}")
    chosen = object_of(content[media_type])
    at = place / "content" / media_type
    encoding = object_of(chosen.get("encoding"))
    return _body(
        document,
        "application/json" if media_type in {"*/*", "application/*"} else media_type,
        chosen.get("schema", {}),
        at / "schema",
        fields.get("required") is True,
        fields.get("description"),
        notes,
        encoding={name: object_of(one) for name, one in encoding.items()},
        encoding_place=at / "encoding",
    )


def swagger_body(
    document: Document,
    body: tuple[JsonObject, Place] | None,
    form: Sequence[Parameter],
    consumes: Sequence[str],
    notes: NoteList,
) -> Body | None:
    """The body of an operation of Swagger 2.0: its body parameter or its form fields."""
    if body is not None:
        fields, place = body
        media_type = min(consumes, key=media_type_rank, default="application/json")
        if _bare(media_type) in {FORM, MULTIPART, "*/*"}:
            media_type = "application/json"
        required = fields.get("required") is True
        schema, at = fields.get("schema", {}), place / "schema"
        return _body(document, media_type, schema, at, required, fields.get("description"), notes)
    if not form:
        return None
    has_file = any(object_of(one.schema).get("type") == "file" for one in form)
    kinds = [_bare(one) for one in consumes]
    is_multipart = has_file or (MULTIPART in kinds and FORM not in kinds)
    listed = tuple(
        BodyField(
            one.name,
            ((one.schema, one.schema_place),),
            one.required,
            one.place,
            one.description,
            one.style,
            one.explode,
        )
        for one in form
    )
    if has_file:
        notes.add(form[0].place, "files are sent as text, without a file name")
    required = any(one.required for one in form)
    return Body(MULTIPART if is_multipart else FORM, listed, required, form[0].place)


def _body(
    document: Document,
    media_type: str,
    schema: Json,
    place: Place,
    required: bool,
    description: Json,
    notes: NoteList,
    *,
    encoding: dict[str, JsonObject] | None = None,
    encoding_place: Place | None = None,
) -> Body:
    whole = BodyField("body", ((schema, place),), required, place, description)
    body = Body(media_type, (whole,), required, place, is_whole=True)
    if not body.is_json and not body.is_form:
        kind = media_type[:60]
        if types_of(object_of(schema)) not in ([], ["string"]):
            notes.add(place, f"a body of {kind} is given as the text that is sent")
        text: JsonObject = {"type": "string", "description": f"The body as {kind}."}
        whole = BodyField("body", ((text, place),), required, place, description)
        return Body(media_type, (whole,), required, place, is_whole=True)
    shape = object_shape(document, schema, place)
    if shape is None or shape.more is not None or not shape.properties:
        return body
    for condition in shape.conditions:
        notes.add(condition, "this condition over several properties is not checked")
    fields = tuple(_fields(shape, place, required, encoding or {}))
    if encoding_place is not None and body.is_form:
        _note_encodings(encoding or {}, encoding_place, media_type, notes)
    if _bare(media_type) == MULTIPART and any(map(_is_file, fields)):
        notes.add(place, "files are sent as text, without a file name")
    return Body(media_type, fields, required, place)


def _fields(
    shape: ObjectShape, place: Place, required: bool, encoding: dict[str, JsonObject]
) -> list[BodyField]:
    fields: list[BodyField] = []
    for name, schemas in shape.properties.items():
        how = encoding.get(name, {})
        style = _STYLES.get(str(how.get("style")))
        explode = how.get("explode")
        fields.append(
            BodyField(
                name,
                tuple(schemas),
                required and name in shape.required,
                schemas[0][1],
                style=style or ("form" if explode is False else None),
                explode=explode if isinstance(explode, bool) else style in {None, "form"},
            )
        )
    return fields


def _note_encodings(
    encoding: dict[str, JsonObject], place: Place, media_type: str, notes: NoteList
) -> None:
    for name, how in encoding.items():
        for key in ("headers", "contentType"):
            if key in how and _bare(media_type) == MULTIPART:
                notes.add(place / name / key, "parts of a form are sent without headers")
        if _bare(media_type) == MULTIPART and "style" in how:
            notes.add(place / name / "style", "parts of a multipart form have no style here")


def _is_file(one: BodyField) -> bool:
    schema = object_of(one.schemas[0][0])
    return schema.get("format") == "binary" or "contentMediaType" in schema


def body_template(body: Body, fields: Sequence[BoundField]) -> str:
    """The template of a body. Fields whose input is not given are not in it."""
    if body.is_whole:
        return _whole(body, fields[0])
    if _bare(body.media_type) == FORM and any(map(_has_own_style, fields)):
        return form_text_template([_as_parameter(one) for one in fields])
    names = {one.field.name for one in fields}
    is_plain = all(one.field.required for one in fields) and not any(
        mark in name for name in names for mark in ("<<", "{{", "__proto__")
    )
    if is_plain and not any(map(_is_joined, fields)):
        members = (f"{encode_json_text(one.field.name)}: <<{one.input}>>" for one in fields)
        return "{" + ", ".join(members) + "}"
    members = ", ".join(f"[{literal(one.field.name)}]: {_value(one)}" for one in fields)
    if body.required or body.is_form:
        return f"<<(s) => ({{{members}}})>>"
    return (
        f"<<(s) => {{ const b = {{{members}}}; "
        'return Object.values(b).some((v) => v !== undefined) ? b : ""; }>>'
    )


def _whole(body: Body, bound: BoundField) -> str:
    value = value_of(bound.input)
    if not body.is_json and not body.is_form:
        return f"<<{bound.input}>>" if body.required else f'<<(s) => {value} ?? "">>'
    if body.required and not (bound.is_text and body.is_json):
        return f"<<{bound.input}>>"
    # A body that is one JSON text would be sent without its quotes.
    given = f'typeof {value} === "string" ? JSON.stringify({value}) : {value}'
    given = given if bound.is_text and body.is_json else value
    if body.required:
        return f"<<(s) => {given}>>"
    empty = "({})" if body.is_form else '""'
    return f"<<(s) => {value} === undefined ? {empty} : {given}>>"


def _has_own_style(bound: BoundField) -> bool:
    """Whether a form field is written otherwise than as text, JSON, or once for each element."""
    return bound.field.style is not None and not bound.is_scalar


def _is_joined(bound: BoundField) -> bool:
    own = bound.field.style
    return own in {"space", "pipe", "tab", "form"} and not bound.field.explode


def _value(bound: BoundField) -> str:
    value = value_of(bound.input)
    if bound.is_scalar or not _is_joined(bound):
        return value
    delimiter = {"space": " ", "pipe": "|", "tab": "\t"}.get(bound.field.style or "", ",")
    return f"Array.isArray({value}) ? {value}.join({literal(delimiter)}) : {value}"


def _as_parameter(bound: BoundField) -> BoundParameter:
    one = bound.field
    schema, place = one.schemas[0]
    style: Style = one.style or ("form" if bound.is_scalar else "json")
    parameter = Parameter("form", one.name, schema, place, place, style=style, explode=one.explode)
    return BoundParameter(parameter, bound.input, bound.is_scalar)
