"""Parts of a result: by JSONPath, by fields, by page."""

from collections.abc import Sequence
from copy import deepcopy
from functools import cache
from typing import TYPE_CHECKING, Any, cast

from tools.json_text import Json, JsonObject

if TYPE_CHECKING:
    import jsonpath

__all__ = ["MAX_TEXT_LIMIT", "ReadingError", "keep_fields", "read_part", "without"]

DEFAULT_LIMIT = 100
MAX_LIMIT = 1000
#: In characters; a text that is no longer than the first is given whole.
DEFAULT_TEXT_LIMIT = 10_000
MAX_TEXT_LIMIT = 100_000
_MAX_PATH_CHARACTERS = 1000
#: More matches than this are a page, not a reading.
_MAX_MATCHES = 100_000
#: Ways through a path: the product of the selectors of its segments.
_MOST_CHOICES = 1000
_MOST_DESCENTS = 2
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
            raise ReadingError(f"path {path[:_SHOWN_CHARACTERS]!r} finds nothing in this result")
        return _found(value, matches[0])
    return [_found(value, match) for match in matches]


def _found(value: Json, match: "jsonpath.JSONPathMatch") -> Json:
    return value if match.parent is None else match.obj


def _find(value: Json, path: str) -> "tuple[bool, list[jsonpath.JSONPathMatch]]":
    """Whether the path has one place, and what it finds."""
    if len(path) > _MAX_PATH_CHARACTERS:
        raise ReadingError(f"path has more than {_MAX_PATH_CHARACTERS} characters")
    import jsonpath

    text = path if path.startswith("$") else f"$.{path}" if not path.startswith("[") else f"${path}"
    try:
        query = _environment().compile(text)
        _refuse_costly(query, path)
        matches: list[jsonpath.JSONPathMatch] = []
        # The library would read a text as JSON; it has no parts, like null.
        for match in query.finditer(None if isinstance(value, str) else value):
            matches.append(match)
            if len(matches) > _MAX_MATCHES:
                raise ReadingError(
                    f"path {path[:_SHOWN_CHARACTERS]!r} finds more than {_MAX_MATCHES:,} values"
                )
    except jsonpath.JSONPathError as error:
        raise ReadingError(
            f"path {path[:_SHOWN_CHARACTERS]!r} is no JSONPath: {_reason(error, path, text)}; "
            "valid is $.items[0].name, $..id, $.rows[0:10]"
        ) from None
    return isinstance(query, jsonpath.JSONPath) and query.singular_query(), matches


def _refuse_costly(query: "jsonpath.JSONPath | jsonpath.CompoundJSONPath", path: str) -> None:
    """Refuse what takes more than a few looks at each value of a result, however large it is."""
    from jsonpath import JSONPath
    from jsonpath.filter import FilterQuery, RelativeFilterQuery
    from jsonpath.segments import JSONPathRecursiveDescentSegment
    from jsonpath.selectors import Filter

    def descents(one: JSONPath) -> int:
        return sum(isinstance(segment, JSONPathRecursiveDescentSegment) for segment in one.segments)

    if not isinstance(query, JSONPath):
        raise ReadingError(f"path {path[:_SHOWN_CHARACTERS]!r} joins several paths; ask one by one")
    choices = 1
    waiting: list[Any] = []
    for segment in query.segments:
        choices *= len(segment.selectors)
        waiting += [one.expression for one in segment.selectors if isinstance(one, Filter)]
    if choices > _MOST_CHOICES or descents(query) > _MOST_DESCENTS:
        raise ReadingError(f"path {path[:_SHOWN_CHARACTERS]!r} has too many alternatives or `..`")
    while waiting:
        expression = waiting.pop()
        waiting += expression.children()
        if isinstance(expression, FilterQuery) and not expression.path.singular_query():
            inner = [one for segment in expression.path.segments for one in segment.selectors]
            is_near = isinstance(expression, RelativeFilterQuery) and not descents(expression.path)
            if not is_near or any(isinstance(one, Filter) for one in inner) or len(inner) > 2:
                raise ReadingError(
                    f"path {path[:_SHOWN_CHARACTERS]!r} searches in each comparison of a filter; "
                    "a filter may look at named places below its value: $.items[?@.price > 10]"
                )


def _reason(error: "jsonpath.JSONPathError", path: str, text: str) -> str:
    """What is wrong, and where in the path; as text, the error is a drawing of several lines."""
    reason = str(error.args[0]) if error.args else type(error).__name__
    if error.token is None:
        return reason
    if error.token.index < 0:
        return f"{reason} after character {len(path)}"
    # What was put in front of the path does not count.
    return f"{reason} at character {error.token.index + 1 - (len(text) - len(path))}"


@cache
def _environment() -> "jsonpath.JSONPathEnvironment":
    """RFC 9535 without regular expressions: one of a model may take hours, and nothing stops it."""
    import jsonpath

    environment = jsonpath.JSONPathEnvironment(strict=True)
    for name in ("match", "search"):
        del environment.function_extensions[name]
    return environment


def _keep(value: Json, fields: Sequence[str] | None) -> Json:
    if fields is None or not isinstance(value, dict):
        return value
    entries = cast("dict[str, Any]", value)
    return {field: entries[field] for field in fields if field in entries}
