"""Where the rows of a page lie."""

from typing import Any, cast

from tools.json_text import Json
from tools.scope import read_dotted_path

__all__ = ["rows_of"]


def rows_of(data: Json, data_path: str | None) -> list[Json] | None:
    """The rows of a body, or None when it has none.

    The body if it is a list, else the list at `data_path`, else the longest list at its top level.
    """
    if isinstance(data, list):
        return cast("list[Any]", data)
    if not isinstance(data, dict):
        return None
    if data_path is not None:
        rows = read_dotted_path(cast("dict[str, Any]", data), data_path)
        return cast("list[Any]", rows) if isinstance(rows, list) else None
    lists = [
        cast("list[Any]", value)
        for value in cast("dict[str, Any]", data).values()
        if isinstance(value, list)
    ]
    return max(lists, key=len, default=None)
