"""Request bodies: which media type is sent, which inputs it takes, and its template."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from tools.importers import NoteList
from tools.importers.openapi.masking import NAME_LEFT_OUT, is_key
from tools.importers.openapi.multipart import (
    Part,
    PartField,
    file_input,
    multipart_template,
    read_part,
)
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
    "content_type_template",
    "media_type_rank",
    "read_body",
    "swagger_body",
]

FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data"
_JSON = re.compile(r"(?:application|text)/(?:[\w.+-]*\+)?json\b", re.IGNORECASE)
_BINARY = re.compile(
    r"(?:image/(?!svg)|audio/|video/|font/|application/(?:octet-stream|pdf|zip|gzip)\b)",
    re.IGNORECASE,
)
_STYLE_KEYS = ("style", "explode", "allowReserved")
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
    #: How a field of a multipart body is sent that is more than a text.
    part: Part | None = None


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
    """How well a media type can be written: JSON first, and what changes a part of it last."""
    bare = _bare(media_type)
    if bare in {"application/json", "*/*", "application/*"}:
        return 0
    if bare == "application/json-patch+json":
        return 2
    if _JSON.match(media_type):
        return 1
    return {FORM: 3, MULTIPART: 4}.get(bare, 5)


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
    for name in filter(is_key, tuple(content)):
        notes.add(place / "content" / name, NAME_LEFT_OUT)
        content = {key: one for key, one in content.items() if key != name}
    if not content:
        return None
    media_type = min(content, key=media_type_rank)
    if len(content) > 1:
        others = ", ".join(sorted(one[:60] for one in content if one != media_type))
        notes.add(place / "content", f"the body is sent as {media_type[:60]}, never as {others}")
    at = place / "content" / media_type
    try:
        value, at = document.follow(content[media_type], at)
    except ReferenceProblem as problem:
        notes.add(at, f"the body is left out: {problem}")
        return None
    chosen = object_of(value)
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
    listed = [
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
    ]
    if is_multipart:
        listed = [_with_part(document, one, {}, True, notes) for one in listed]
    required = any(one.required for one in form)
    return Body(MULTIPART if is_multipart else FORM, tuple(listed), required, form[0].place)


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
        if _is_binary(media_type, schema):
            notes.add(place, f"bytes cannot be sent: a body of {kind} is given as text, in UTF-8")
        elif types_of(object_of(schema)) not in ([], ["string"]):
            notes.add(place, f"a body of {kind} is given as the text that is sent")
        text: JsonObject = {"type": "string", "description": f"The body as {kind}."}
        whole = BodyField("body", ((text, place),), required, place, description)
        return Body(media_type, (whole,), required, place, is_whole=True)
    shape = object_shape(document, schema, place)
    if shape is None or shape.more is not None or not shape.properties:
        return body
    for left_out in shape.left_out:
        notes.add(left_out, NAME_LEFT_OUT)
    for condition in shape.conditions:
        notes.add(condition, "this condition over several properties is not checked")
    encoding = encoding or {}
    if _bare(media_type) == MULTIPART and _is_of_3_0(document):
        encoding = _without_styles(encoding, encoding_place or place, notes)
    fields = _fields(shape, required, encoding)
    if _bare(media_type) == MULTIPART:
        fields = [
            _with_part(document, one, how, any(map(how.__contains__, _STYLE_KEYS)), notes)
            for one in fields
            for how in [encoding.get(one.name, {})]
        ]
        for name, how in encoding.items():
            if "headers" in how and encoding_place is not None:
                notes.add(encoding_place / name / "headers", "parts are sent without own headers")
    return Body(media_type, tuple(fields), required, place)


def _is_binary(media_type: str, schema: Json) -> bool:
    return object_of(schema).get("format") == "binary" or _BINARY.match(media_type) is not None


def _is_of_3_0(document: Document) -> bool:
    return str(document.root.get("openapi", "")).startswith("3.0")


def _without_styles(
    encoding: dict[str, JsonObject], place: Place, notes: NoteList
) -> dict[str, JsonObject]:
    """The encodings without what OpenAPI 3.0 says to ignore in a multipart body."""
    for name, how in encoding.items():
        for key in how.keys() & set(_STYLE_KEYS):
            notes.add(place / name / key, "OpenAPI 3.0 has no styles in a multipart body")
    return {
        name: {key: value for key, value in how.items() if key not in _STYLE_KEYS}
        for name, how in encoding.items()
    }


def _with_part(
    document: Document, one: BodyField, how: JsonObject, has_style: bool, notes: NoteList
) -> BodyField:
    """A field of a multipart body with the part it is."""
    schema, place = one.schemas[0]
    part = read_part(document, schema, place, how, has_style=has_style)
    if part is None or part.kind == "text":
        return replace(one, part=part)
    described = file_input(document, one.name, part, schema, place, notes)
    return replace(one, part=part, schemas=((described, place),), style=None)


def _fields(shape: ObjectShape, required: bool, encoding: dict[str, JsonObject]) -> list[BodyField]:
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


def body_template(body: Body, fields: Sequence[BoundField]) -> str:
    """The template of a body. Fields whose input is not given are not in it."""
    if body.is_whole:
        return _whole(body, fields[0])
    if _bare(body.media_type) == FORM and any(map(_has_own_style, fields)):
        return form_text_template([_as_parameter(one) for one in fields])
    if _bare(body.media_type) == MULTIPART:
        given = None if body.required else _is_given(body, fields)
        return multipart_template([_as_part(one) for one in fields], given)
    names = {one.field.name for one in fields}
    is_plain = all(one.field.required for one in fields) and not any(
        mark in name for name in names for mark in ("<<", "{{", "__proto__")
    )
    if is_plain:
        members = (f"{encode_json_text(one.field.name)}: <<{one.input}>>" for one in fields)
        return "{" + ", ".join(members) + "}"
    members = ", ".join(f"[{literal(one.field.name)}]: {value_of(one.input)}" for one in fields)
    if body.required:
        return f"<<(s) => ({{{members}}})>>"
    if body.is_form:
        return f'<<(s) => {_is_given(body, fields)} ? {{{members}}} : "">>'
    return (
        f"<<(s) => {{ const b = {{{members}}}; "
        'return Object.values(b).some((v) => v !== undefined) ? b : ""; }>>'
    )


def content_type_template(body: Body, fields: Sequence[BoundField]) -> str:
    """The content type of a body; a body that is optional has none where it is not given."""
    media_type = body.media_type.strip()
    if body.required:
        return media_type
    return f"<<(s) => {_is_given(body, fields)} ? {literal(media_type)} : null>>"


def _is_given(body: Body, fields: Sequence[BoundField]) -> str:
    """Whether any field is given, as JavaScript. A form has nothing for null."""
    test = "!= null" if body.is_form else "!== undefined"
    if len(fields) == 1:
        return f"{value_of(fields[0].input)} {test}"
    names = ", ".join(literal(one.input) for one in fields)
    return f"[{names}].some((k) => s[k] {test})"


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
    if body.is_form:
        return f'<<(s) => {value} ?? "">>'
    return f'<<(s) => {value} === undefined ? "" : {given}>>'


def _has_own_style(bound: BoundField) -> bool:
    """Whether a form field is written otherwise than as text, JSON, or once for each element."""
    return bound.field.style is not None and not bound.is_scalar


def _as_part(bound: BoundField) -> PartField:
    one = bound.field
    style = None if bound.is_scalar else one.style
    return PartField(one.name, bound.input, one.required, one.part, style, one.explode)


def _as_parameter(bound: BoundField) -> BoundParameter:
    one = bound.field
    schema, place = one.schemas[0]
    style: Style = one.style or ("form" if bound.is_scalar else "json")
    parameter = Parameter("form", one.name, schema, place, place, style=style, explode=one.explode)
    return BoundParameter(parameter, bound.input, bound.is_scalar)
