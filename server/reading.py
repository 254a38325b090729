"""Parts of a result: by JSONPath, by fields, by page."""

from collections.abc import Sequence
from copy import deepcopy
from typing import TYPE_CHECKING, Any, cast

from tools.json_text import Json, JsonObject

if TYPE_CHECKING:
    from jsonpath import JSONPathMatch

__all__ = ["MAX_TEXT_LIMIT", "ReadingError", "keep_fields", "read_part", "without"]

DEFAULT_LIMIT = 100
MAX_LIMIT = 1000
#: In characters; a text that is no longer than the first is given whole.
DEFAULT_TEXT_LIMIT = 10_000
MAX_TEXT_LIMIT = 100_000
_SHOWN_CHARACTERS = 100


class ReadingError(ValueError):
    """The path or the page is not one; the message says what is valid."""


def read_part(
    value: Json,
    *,
    path: str | None = None,
    fields: Sequence[str] | None = None,
    offset: int | None = None,
    limit: int | None = None,
    pages_texts: bool = False,
) -> JsonObject:
    """`{value, total, offset, limit, hasMore}`: a page of what `path` finds (RFC 9535).

    A path with one place gives the value there, a path with wildcards the list of all matches. A
    list is paged, and where it `pages_texts` a long text, by characters; of anything else there is
    one. `fields` keeps these keys of objects. Raises `ReadingError`.
    """
    selected = value if path is None else _select(value, path)
    start = 0 if offset is None else offset
    if start < 0:
        raise ReadingError(f"offset is {start}; valid is 0 or more")
    is_text = pages_texts and isinstance(selected, str)
    most, default, kind = (
        (MAX_TEXT_LIMIT, DEFAULT_TEXT_LIMIT, "a text")
        if is_text
        else (MAX_LIMIT, DEFAULT_LIMIT, "a list")
    )
    size = default if limit is None else limit
    if not 1 <= size <= most:
        raise ReadingError(f"limit is {size}; valid of {kind} is 1 to {most}")
    if is_text and len(selected) > DEFAULT_TEXT_LIMIT:
        return _page(selected[start : start + size], len(selected), start, size)
    if not isinstance(selected, list):
        return {
            "value": _keep(selected, fields),
            "total": 1,
            "offset": 0,
            "limit": size,
            "hasMore": False,
        }
    rows = cast("list[Any]", selected)
    page = [_keep(row, fields) for row in rows[start : start + size]]
    return _page(page, len(rows), start, size)


def _page(value: Json, total: int, start: int, size: int) -> JsonObject:
    return {
        "value": value,
        "total": total,
        "offset": start,
        "limit": size,
        "hasMore": start + size < total,
    }


def keep_fields(value: Json, fields: Sequence[str] | None) -> Json:
    """An object with these keys alone, or a list of such objects; all of it without `fields`."""
    if isinstance(value, list):
        return [_keep(row, fields) for row in cast("list[Any]", value)]
    return _keep(value, fields)


def without(value: Json, paths: Sequence[str]) -> Json:
    """A copy without what the paths find: keys are gone, elements of lists are null.

    A path that finds nothing is no error. Raises `ReadingError`.
    """
    if not paths:
        return value
    value = deepcopy(value)
    for path in paths:
        _, matches = _find(value, path)
        for match in matches:
            if match.parent is None:
                value = None
                continue
            holder: Any = match.parent.obj
            if isinstance(holder, dict):
                cast("JsonObject", holder).pop(str(match.parts[-1]), None)
            else:
                holder[match.parts[-1]] = None
    return value


def _select(value: Json, path: str) -> Json:
    is_singular, matches = _find(value, path)
    if is_singular:
        if not matches:
            raise ReadingError(f"path {path[:_SHOWN_CHARACTERS]!r} finds nothing here")
        return matches[0].obj
    return [match.obj for match in matches]


def _find(value: Json, path: str) -> "tuple[bool, list[JSONPathMatch]]":
    # The library takes a while to import, and most results are read without a path.
    from server.json_path import PathError, find

    try:
        return find(value, path)
    except PathError as error:
        raise ReadingError(str(error)) from None


def _keep(value: Json, fields: Sequence[str] | None) -> Json:
    if fields is None or not isinstance(value, dict):
        return value
    entries = cast("dict[str, Any]", value)
    return {field: entries[field] for field in fields if field in entries}
