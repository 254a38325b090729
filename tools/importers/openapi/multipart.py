"""Parts of a multipart body: which fields are files, which have a content type or a style."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from tools.importers import NoteList
from tools.importers.files import file_schema
from tools.importers.openapi.masking import is_key
from tools.importers.openapi.parameters import Style
from tools.importers.openapi.references import Document, Place, ReferenceProblem
from tools.importers.openapi.shapes import object_shape, types_of
from tools.importers.openapi.styles import literal, value_of
from tools.importers.openapi.words import object_of, short_text, text_of
from tools.json_text import Json, JsonObject, encode_json_text

__all__ = ["Part", "PartField", "file_input", "multipart_template", "read_part"]

_TEXT = re.compile(r"text/|application/(?:[\w.-]+\+)?(?:json|xml|yaml)\b", re.IGNORECASE)
_JSON = re.compile(r"application/(?:[\w.+-]*\+)?json\b", re.IGNORECASE)
_LONGEST_DESCRIPTION = 200
_JOINED: dict[str, str] = {"form": ",", "space": " ", "pipe": "|", "tab": "\t"}
#: Lists and objects in one text, and the members of an object as fields of their own.
_JOIN = (
    'const j = (v, d) => Array.isArray(v) ? v.join(d) : v !== null && typeof v === "object" ? '
    "Object.entries(v).flat().join(d) : v;"
)
_SPREAD = (
    'const f = (n, v) => v !== null && typeof v === "object" && !Array.isArray(v) ? v : {[n]: v};'
)
_DEEP = (
    'const d = (n, v) => v !== null && typeof v === "object" && !Array.isArray(v) ? '
    'Object.assign({}, ...Object.entries(v).map(([k, x]) => d(n + "[" + k + "]", x))) : {[n]: v};'
)


@dataclass(frozen=True)
class Part:
    """What a field is sent as: a file, or a text with a content type of its own."""

    kind: Literal["file", "text"]
    content_type: str | None
    #: Each element of its list is a part.
    is_list: bool = False


@dataclass(frozen=True)
class PartField:
    """A field with the input that gives its value; `part` is None for a plain text."""

    name: str
    input: str
    required: bool
    part: Part | None
    style: Style | None
    explode: bool


def read_part(
    document: Document, schema: Json, place: Place, encoding: JsonObject, *, has_style: bool
) -> Part | None:
    """The part that a property is; None for a plain text."""
    is_list = False
    try:
        value, place = document.follow(schema, place)
        if types_of(object_of(value)) == ["array"]:
            is_list = True
            items = object_of(value).get("items", {})
            value, place = document.follow(items, place / "items")
    except ReferenceProblem:
        return None
    members = object_of(value)
    given = text_of(encoding.get("contentType")).partition(",")[0].strip()
    media_type = text_of(members.get("contentMediaType"))
    named = [one for one in (given, media_type) if one and "*" not in one and not is_key(one)]
    content_type = next(iter(named), None)
    is_text = text_of(members.get("contentEncoding")) != ""
    if members.get("format") == "binary" or members.get("type") == "file":
        return Part("file", content_type, is_list)
    if (media_type and not is_text) or (given and not is_text and not _TEXT.match(given)):
        return Part("file", content_type, is_list)
    if has_style:
        return None
    if content_type is not None:
        return Part("text", content_type, is_list)
    if object_shape(document, value, place) is not None:
        # The specification's default for objects.
        return Part("text", "application/json", is_list)
    return None


def file_input(
    document: Document, name: str, part: Part, schema: Json, place: Place, notes: NoteList
) -> JsonObject:
    """The schema of the input of a file, or of a list of files."""
    try:
        members = object_of(document.follow(schema, place)[0])
    except ReferenceProblem as problem:
        notes.add(place, f"{problem}; any file is accepted")
        members = {}
    description = short_text(members.get("description"), _LONGEST_DESCRIPTION)
    if not part.is_list:
        return file_schema(name, part.content_type, description=description)
    listed: JsonObject = {"type": "array", "items": file_schema(name, part.content_type)}
    if description:
        listed["description"] = description
    bounds = {key: members[key] for key in ("minItems", "maxItems") if key in members}
    return {**listed, **bounds}


def multipart_template(fields: Sequence[PartField], is_given: str | None = None) -> str:
    """The template of the fields; those whose input is not given are not in it.

    Where `is_given`, which is JavaScript, does not hold, there is no body.
    """
    if is_given is None and all(map(_is_plain, fields)):
        members = (f"{encode_json_text(one.name)}: {_plain_value(one)}" for one in fields)
        return "{" + ", ".join(members) + "}"
    members = ", ".join(map(_member, fields))
    helpers = " ".join(
        helper
        for call, helper in (("j(", _JOIN), ("...f(", _SPREAD), ("...d(", _DEEP))
        if call in members
    )
    made = f"({{{members}}})" if is_given is None else f'{is_given} ? {{{members}}} : ""'
    return f"<<(s) => {{ {helpers} return {made}; }}>>" if helpers else f"<<(s) => {made}>>"


def _is_plain(one: PartField) -> bool:
    """Whether a field is written without code."""
    is_listed = one.part is not None and (one.part.is_list or one.part.kind == "text")
    is_styled = one.part is None and one.style is not None
    is_marked = any(mark in one.name for mark in ("<<", "{{", "__proto__"))
    return one.required and not is_listed and not is_styled and not is_marked


def _plain_value(one: PartField) -> str:
    if one.part is None:
        return f"<<{one.input}>>"
    beside = "".join(f", {key}: {value}" for key, value in _beside(one, one.part))
    return f'{{"file": <<{one.input}>>{beside}}}'


def _member(one: PartField) -> str:
    name, value = literal(one.name), value_of(one.input)
    if one.part is not None:
        return f"[{name}]: {_part(one, one.part, value)}"
    if one.style == "deep":
        return f"...d({name}, {value})"
    if one.style == "form" and one.explode:
        return f"...f({name}, {value})"
    if one.style in _JOINED:
        return f"[{name}]: j({value}, {literal(_JOINED[one.style])})"
    return f"[{name}]: {value}"


def _part(one: PartField, part: Part, value: str) -> str:
    file = "x"
    if part.kind == "text":
        is_json = _JSON.match(part.content_type or "") is not None
        is_object = "" if is_json else 'typeof x !== "object" ? x : '
        file = f"{{text: {is_object}JSON.stringify(x)}}"
    beside = "".join(f", {key}: {value}" for key, value in _beside(one, part))
    made = f"{{file: {file}{beside}}}"
    if part.is_list:
        return f"{value}?.map((x) => ({made}))"
    if file == "x" and one.required:
        return made.replace("file: x", f"file: {value}", 1)
    return f"((x) => x === undefined || x === null ? undefined : {made})({value})"


def _beside(one: PartField, part: Part) -> Iterator[tuple[str, str]]:
    """Name and content type that a file has where its input has none."""
    if part.kind == "file":
        yield '"name"', encode_json_text(one.name)
    if part.content_type is not None:
        yield '"contentType"', encode_json_text(part.content_type)
