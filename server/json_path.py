"""JSONPath (RFC 9535) over results of any size, bounded: what a path finds, and where.

The library's matches know both what is above them and what is below. Such cycles would keep each
value that was read until Python's collector looks, and stop the program for as long as it looks.
So the matches here know what is above them only.
"""

from collections.abc import Iterable
from functools import cache
from typing import Any

import jsonpath
from jsonpath.filter import FilterQuery, RelativeFilterQuery
from jsonpath.match import FilterContextVars
from jsonpath.segments import JSONPathRecursiveDescentSegment
from jsonpath.selectors import Filter

from tools.json_text import Json

__all__ = ["PathError", "find"]

_MAX_PATH_CHARACTERS = 1000
#: More matches than this are a page, not a reading.
_MAX_MATCHES = 100_000
#: Ways through a path: the product of the selectors of its segments.
_MOST_CHOICES = 1000
_MOST_DESCENTS = 2
#: Of a path, in messages.
_SHOWN_CHARACTERS = 100


class PathError(ValueError):
    """The path is none, or one that could take long; the message says what is valid."""


class _Match(jsonpath.JSONPathMatch):
    """A value that was found (`obj`), below its `parent`; the root has none."""

    __slots__ = ()

    def add_child(self, *children: jsonpath.JSONPathMatch) -> None:
        """Forget it, see above."""


class _Path(jsonpath.JSONPath):
    """A compiled path that finds such matches."""

    __slots__ = ()

    def finditer(
        self, data: Any, *, filter_context: FilterContextVars | None = None
    ) -> Iterable[jsonpath.JSONPathMatch]:
        matches: Iterable[jsonpath.JSONPathMatch] = [
            _Match(
                filter_context=filter_context or {},
                obj=data,
                parent=None,
                path="$",
                parts=(),
                root=data,
            )
        ]
        for segment in self.segments:
            matches = segment.resolve(matches)
        return matches

    @classmethod
    def of(cls, compiled: jsonpath.JSONPath) -> "_Path":
        return cls(env=compiled.env, segments=compiled.segments)


def find(value: Json, path: str) -> tuple[bool, list[jsonpath.JSONPathMatch]]:
    """Whether a path has one place, and what it finds; `$.` in front may be absent.

    Raises `PathError`, and for more than 100,000 values.
    """
    if len(path) > _MAX_PATH_CHARACTERS:
        raise PathError(f"path has more than {_MAX_PATH_CHARACTERS} characters")
    text = path if path.startswith("$") else f"$.{path}" if not path.startswith("[") else f"${path}"
    try:
        compiled = _environment().compile(text)
        if not isinstance(compiled, jsonpath.JSONPath):
            raise PathError(
                f"path {path[:_SHOWN_CHARACTERS]!r} joins several paths; ask one by one"
            )
        _refuse_costly(compiled, path)
        matches: list[jsonpath.JSONPathMatch] = []
        for match in _Path.of(compiled).finditer(value):
            matches.append(match)
            if len(matches) > _MAX_MATCHES:
                raise PathError(
                    f"path {path[:_SHOWN_CHARACTERS]!r} finds more than {_MAX_MATCHES:,} values"
                )
    except jsonpath.JSONPathError as error:
        raise PathError(
            f"path {path[:_SHOWN_CHARACTERS]!r} is no JSONPath: {_reason(error, path, text)}; "
            "valid is $.items[0].name, $..id, $.rows[0:10]"
        ) from None
    return compiled.singular_query(), matches


def _refuse_costly(query: jsonpath.JSONPath, path: str) -> None:
    """Refuse what takes more than a few looks at each value of a result, however large it is."""
    choices = 1
    waiting: list[Any] = []
    for segment in query.segments:
        choices *= len(segment.selectors)
        waiting += [one.expression for one in segment.selectors if isinstance(one, Filter)]
    if choices > _MOST_CHOICES or _descents(query) > _MOST_DESCENTS:
        raise PathError(f"path {path[:_SHOWN_CHARACTERS]!r} has too many alternatives or `..`")
    while waiting:
        expression = waiting.pop()
        waiting += expression.children()
        if not isinstance(expression, FilterQuery):
            continue
        if not expression.path.singular_query():
            inner = [one for segment in expression.path.segments for one in segment.selectors]
            is_near = isinstance(expression, RelativeFilterQuery) and not _descents(expression.path)
            if not is_near or any(isinstance(one, Filter) for one in inner) or len(inner) > 2:
                raise PathError(
                    f"path {path[:_SHOWN_CHARACTERS]!r} searches in each comparison of a filter; "
                    "a filter may look at named places below its value: $.items[?@.price > 10]"
                )
        # It is looked for below each value that the filter sees.
        expression.path = _Path.of(expression.path)


def _descents(query: jsonpath.JSONPath) -> int:
    return sum(isinstance(segment, JSONPathRecursiveDescentSegment) for segment in query.segments)


def _reason(error: jsonpath.JSONPathError, path: str, text: str) -> str:
    """What is wrong, and where in the path; as text, the error is a drawing of several lines."""
    reason = str(error.args[0]) if error.args else type(error).__name__
    if error.token is None:
        return reason
    if error.token.index < 0:
        return f"{reason} after character {len(path)}"
    # What was put in front of the path does not count.
    return f"{reason} at character {error.token.index + 1 - (len(text) - len(path))}"


@cache
def _environment() -> jsonpath.JSONPathEnvironment:
    """RFC 9535 without regular expressions: one of a model may take hours, and nothing stops it."""
    environment = jsonpath.JSONPathEnvironment(strict=True)
    for name in ("match", "search"):
        del environment.function_extensions[name]
    return environment
