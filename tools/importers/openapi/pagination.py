"""Pagination that a description gives reason for; where it only looks so, it is noted."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeGuard

from tools.importers import NoteList
from tools.importers.openapi.parameters import Parameter
from tools.importers.openapi.references import Document, Place, ReferenceProblem
from tools.importers.openapi.shapes import properties_of, types_of
from tools.importers.openapi.words import list_of, object_of, text_of
from tools.json_text import Json, JsonObject
from tools.schema import compile_schema

__all__ = ["PAGE_VARIABLES", "Pages", "Success", "recognise_pages"]

#: Names that stand for the page in a paginated step.
PAGE_VARIABLES = frozenset({"page", "offset", "cursor", "limit", "pageSize"})

_MOST_PAGES = 100
_PAGE = ("page", "pagenumber", "pageno", "pageindex", "pagenum", "currentpage")
_OFFSET = ("offset", "skip", "startat", "pageoffset")
_SIZE = (
    "perpage",
    "pagesize",
    "limit",
    "size",
    "top",
    "maxresults",
    "pagelimit",
    "maxitems",
    "take",
    "itemsperpage",
)
_CURSOR = (
    "cursor",
    "pagecursor",
    "nextcursor",
    "startcursor",
    "after",
    "pageafter",
    "startingafter",
    "pagetoken",
    "nextpagetoken",
    "nexttoken",
    "continuationtoken",
    "continuation",
    "paginationtoken",
    "marker",
)
_NEXT_CURSOR = (
    "nextcursor",
    "nextpagecursor",
    "endcursor",
    "nextpagetoken",
    "nexttoken",
    "nextpagination",
    "continuationtoken",
    "nextcontinuationtoken",
    "nextmarker",
    "cursor",
    "after",
    "paginationtoken",
)
_NEXT_URL = ("nextlink", "odatanextlink", "nexturl", "nextpageurl", "nextpagelink", "nexthref")
#: Words for pages that are counted from 0.
_FROM_ZERO = re.compile(r"\b(?:zero|0)[- ](?:based|indexed)|\b0\s?\.\.")
#: Objects that hold what concerns the pages.
_AROUND = (
    "meta",
    "metadata",
    "pagination",
    "paging",
    "pageinfo",
    "page",
    "links",
    "_links",
    "cursors",
    "cursor",
    "responsemetadata",
    "next",
)
_ROWS = ("data", "items", "results", "value", "values", "records", "rows", "entries", "content")


@dataclass(frozen=True)
class Success:
    """The answer of an operation when it succeeds."""

    schema: Json
    place: Place
    headers: Mapping[str, Json] = field(default_factory=dict[str, Json])


@dataclass(frozen=True)
class Pages:
    """A recognised pagination: what goes into the step, and which parameters it takes over."""

    config: JsonObject
    because: str
    #: Page variable for each query parameter that is no input any more; empty: it is not sent.
    variables: Mapping[str, str] = field(default_factory=dict[str, str])
    #: The parameter of the page size, which stays an input, and its default.
    size_parameter: str | None = None
    size: int | None = None


def recognise_pages(
    document: Document,
    parameters: Sequence[Parameter],
    success: Success,
    place: Place,
    notes: NoteList,
) -> Pages | None:
    """The pagination of a reading operation; None when there is none, or it cannot be justified."""
    query = {one.name: one for one in parameters if one.location == "query"}
    names = {_plain(name): name for name in reversed(query)}
    size_name = next((names[one] for one in _SIZE if one in names), None)
    size = _default_size(document, query[size_name]) if size_name else None
    own = _own_variables(document, query)
    if any(name.lower() == "link" for name in success.headers):
        return _pages("linkHeader", {}, "the answer has a Link header", own, size_name, size)
    if (path := _next_url(document, success)) is not None:
        config: JsonObject = {"nextUrlPath": path}
        return _pages("nextUrl", config, f"the answer has the url {path}", own, size_name, size)
    cursor = next((names[one] for one in _CURSOR if one in names), None)
    if cursor is not None and not query[cursor].required:
        path = _next_cursor(document, success)
        if path is not None:
            because = f"the answer's {path} goes into the parameter {cursor}"
            variables = {**dict.fromkeys(own, ""), cursor: "cursor"}
            return _pages("cursorBased", {"cursorPath": path}, because, variables, size_name, size)
    for kind, variable, known in (("pageBased", "page", _PAGE), ("offsetBased", "offset", _OFFSET)):
        name = next((names[one] for one in known if one in names), None)
        if name is None or size_name is None:
            continue
        if not _counts(document, query[name], variable):
            if _is_number(document, query[name]):
                begins = "1" if variable == "page" else "0"
                notes.add(
                    place, f"{name} and {size_name} look like pages, but do not begin at {begins}"
                )
            continue
        rows = _rows(document, success)
        if size is None or rows is None:
            missing = (
                f"{size_name} has neither default nor maximum"
                if size is None
                else "the list of rows is not clear"
            )
            notes.add(place, f"{name} and {size_name} look like pages, but {missing}")
            return None
        config = {"dataPath": rows} if rows else {}
        because = f"the parameters {name} and {size_name}"
        return _pages(kind, config, because, {name: variable}, size_name, size)
    return None


def _pages(
    kind: str,
    config: JsonObject,
    because: str,
    variables: Mapping[str, str],
    size_name: str | None,
    size: int | None,
) -> Pages:
    full: JsonObject = {"type": kind, **config, "maxPages": _MOST_PAGES, "onMaxPages": "stop"}
    if kind in {"linkHeader", "nextUrl"}:
        # The first request is the plain one; links know the rest.
        variables = dict.fromkeys(variables, "")
    return Pages(full, because, variables, size_name if size is not None else None, size)


def _own_variables(document: Document, query: Mapping[str, Parameter]) -> dict[str, str]:
    """Parameters that count pages, where something else says what follows."""
    return {
        name: variable
        for name, one in query.items()
        for variable, known in (("page", _PAGE), ("offset", _OFFSET))
        if _plain(name) in known and not one.required and _counts(document, one, variable)
    }


def _plain(name: str) -> str:
    return "".join(character for character in name.lower() if character.isalnum())


def _schema(document: Document, schema: Json, place: Place) -> JsonObject:
    try:
        return object_of(document.follow(schema, place)[0])
    except ReferenceProblem:
        return {}


def _counts(document: Document, one: Parameter, variable: str) -> bool:
    """Whether a parameter is a number that starts where ours does."""
    if not _is_number(document, one):
        return False
    schema = _schema(document, one.schema, one.schema_place)
    first = schema.get("default", schema.get("minimum"))
    if variable == "page":
        words = f"{text_of(one.description)} {text_of(schema.get('description'))}".lower()
        return first in (None, 1) and _FROM_ZERO.search(words) is None
    return first in (None, 0)


def _is_number(document: Document, one: Parameter) -> bool:
    schema = _schema(document, one.schema, one.schema_place)
    return types_of(schema) in (["integer"], ["number"])


def _default_size(document: Document, one: Parameter) -> int | None:
    """The size of a page where nothing else is asked for."""
    schema = _schema(document, one.schema, one.schema_place)
    if types_of(schema) not in (["integer"], ["number"]):
        return None
    most = schema.get("maximum")
    usual = min(most, 50) if _is_count(most) else None
    for size in (schema.get("default"), usual, most):
        if _is_count(size) and not compile_schema(_bounds(schema)).problems(size):
            return size
    return None


def _is_count(value: Json) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _bounds(schema: JsonObject) -> JsonObject:
    """What a schema says of numbers, without what only some versions of it have."""
    bounds = {
        key: value
        for key in ("minimum", "maximum", "multipleOf")
        if isinstance(value := schema.get(key), int | float) and not isinstance(value, bool)
    }
    if bounds.get("multipleOf", 1) <= 0:
        del bounds["multipleOf"]
    choices = list_of(schema.get("enum"))
    return {**bounds, "enum": choices} if choices else bounds


def _next_url(document: Document, success: Success) -> str | None:
    for path, name, schema in _fields_around(document, success):
        plain = _plain(name)
        is_link = plain in _NEXT_URL or (
            plain in {"next", "href"}
            and path.split(".")[-1 if plain == "next" else -2 :][0] == "next"
            and _is_url(schema, path)
        )
        if is_link and "string" in (types_of(schema) or ["string"]):
            return path
    return None


def _is_url(schema: JsonObject, path: str) -> bool:
    words = f"{schema.get('description', '')} {schema.get('example', '')}".lower()
    return (
        text_of(schema.get("format")) in {"uri", "uri-reference", "url"}
        or "url" in words
        or "http" in words
        or "links." in path
    )


def _next_cursor(document: Document, success: Success) -> str | None:
    for path, name, schema in _fields_around(document, success):
        plain = _plain(name)
        if plain not in _NEXT_CURSOR or not set(types_of(schema)) <= {"string", "integer"}:
            continue
        # Alone, these words say too little.
        if plain in {"cursor", "after"} and "." not in path and plain != "cursor":
            continue
        if types_of(schema):
            return path
    return None


def _fields_around(document: Document, success: Success) -> list[tuple[str, str, JsonObject]]:
    """(path, name, schema) of fields that may concern pages, the outermost first."""
    found: list[tuple[str, str, JsonObject]] = []
    level = [("", success.schema, success.place)]
    for _ in range(3):
        following: list[tuple[str, Json, Place]] = []
        for prefix, schema, place in level:
            for name, (child, at) in properties_of(document, schema, place).items():
                if "." in name and prefix:
                    # Only at the top a key is looked for as it is written.
                    continue
                path = f"{prefix}.{name}" if prefix else name
                found.append((path, name, _schema(document, child, at)))
                if name.lower() in _AROUND or _plain(name) in _AROUND:
                    following.append((path, child, at))
        level = following
    return found


def _rows(document: Document, success: Success) -> str | None:
    """Where the rows lie: empty for the body itself, None when it is not clear."""
    schema = _schema(document, success.schema, success.place)
    if types_of(schema) == ["array"]:
        return ""
    lists: list[str] = []
    for name, (child, at) in properties_of(document, success.schema, success.place).items():
        value = _schema(document, child, at)
        if types_of(value) == ["array"] or ("items" in value and not types_of(value)):
            lists.append(name)
    lists = [name for name in lists if "." not in name and "[" not in name]
    if len(lists) > 1:
        lists = [name for name in lists if name.lower() in _ROWS][:1]
    return lists[0] if len(lists) == 1 else None
