"""The body of a request in a collection."""

from tools.importers import NoteList
from tools.importers.openapi.references import Place
from tools.importers.openapi.words import list_of, object_of, text_of
from tools.importers.postman.variables import as_text, pairs_of, with_references
from tools.importers.requests import SeenBody, SeenPart
from tools.importers.text import json_with_references, reference
from tools.json_text import Json, encode_json_text

__all__ = ["read_body"]

_LANGUAGES = {"json": "application/json", "xml": "application/xml", "html": "text/html"}


def read_body(given: Json, place: Place, notes: NoteList) -> SeenBody | None:
    """The body; None when there is none."""
    fields = object_of(given)
    mode = text_of(fields.get("mode"))
    if not mode or fields.get("disabled") is True:
        return None
    match mode:
        case "raw":
            language = text_of(
                object_of(object_of(fields.get("options")).get("raw")).get("language")
            )
            return SeenBody(_LANGUAGES.get(language), with_references(as_text(fields.get("raw"))))
        case "urlencoded":
            pairs = pairs_of(fields.get("urlencoded"))
            return SeenBody("application/x-www-form-urlencoded", fields=tuple(pairs))
        case "formdata":
            return _multipart(fields.get("formdata"), place, notes)
        case "graphql":
            return _graphql(fields.get("graphql"), place, notes)
        case "file":
            notes.add(place, "the file is not carried over; its text is an input")
            return SeenBody(None, reference("body"))
        case _:
            notes.add(place, "a body of this mode is not carried over")
            return None


def _multipart(given: Json, place: Place, notes: NoteList) -> SeenBody:
    fields: list[tuple[str, str]] = []
    parts: dict[int, SeenPart] = {}
    for index, part in enumerate(list_of(given)):
        one = object_of(part)
        if one.get("disabled") is True:
            continue
        is_file = one.get("type") == "file"
        content_type = as_text(one.get("contentType")) or None
        if is_file:
            source = one.get("src")
            path = as_text(next(iter(list_of(source)), source))
            name = as_text(one.get("fileName")) or path.replace("\\", "/").rpartition("/")[2]
            notes.add(place / "formdata" / index, "the file is not read; it is an input")
            parts[len(fields)] = SeenPart(True, name or None, content_type)
        elif content_type:
            parts[len(fields)] = SeenPart(False, None, content_type)
        value = "" if is_file else with_references(as_text(one.get("value")))
        fields.append((with_references(as_text(one.get("key"))), value))
    return SeenBody("multipart/form-data", fields=tuple(fields), parts=parts)


def _graphql(given: Json, place: Place, notes: NoteList) -> SeenBody:
    fields = object_of(given)
    body: dict[str, Json] = {"query": with_references(as_text(fields.get("query")))}
    text = with_references(as_text(fields.get("variables")))
    if text.strip():
        try:
            body["variables"] = json_with_references(text)
        except ValueError:
            notes.add(place / "graphql" / "variables", "the variables are not JSON and left out")
    if name := as_text(fields.get("operationName")):
        body["operationName"] = name
    return SeenBody("application/json", encode_json_text(body))
