"""`cursorBased`: each page names the next one's cursor."""

from typing import Any, cast

from tools.json_text import Json, JsonObject
from tools.paginators.page import Page
from tools.scope import Missing, read_dotted_path

__all__ = ["CursorPaginator"]


class CursorPaginator:
    """Follows the cursor at `cursor_path`: a literal key first, then a dotted path."""

    next_url = None

    def __init__(self, page_size: int, cursor_path: str) -> None:
        self._page_size = page_size
        self._cursor_path = cursor_path
        self._cursor: Json = None
        self._page = 1

    def variables(self) -> JsonObject:
        offset = (self._page - 1) * self._page_size
        return {"page": self._page, "offset": offset, "cursor": self._cursor}

    def advance(self, page: Page) -> bool:
        self._page += 1
        self._cursor = self._read_cursor(page.data)
        return self._cursor is not None

    def _read_cursor(self, data: Json) -> Json:
        if isinstance(data, dict) and self._cursor_path in data:
            cursor = cast("dict[str, Any]", data)[self._cursor_path]
        else:
            cursor = read_dotted_path(data, self._cursor_path)
        return None if isinstance(cursor, Missing) or cursor in ("", False) else cursor
