"""`offsetBased`: offset 0, pageSize, 2 x pageSize, …."""

from tools.json_text import JsonObject
from tools.paginators.page import Page
from tools.paginators.rows import rows_of

__all__ = ["OffsetPaginator"]


class OffsetPaginator:
    """Counts rows asked for; without a stop condition a short page is the last."""

    next_url = None

    def __init__(self, page_size: int, data_path: str | None, has_stop_condition: bool) -> None:
        self._page_size = page_size
        self._data_path = data_path
        self._has_stop_condition = has_stop_condition
        self._offset = 0

    def variables(self) -> JsonObject:
        page = self._offset // self._page_size + 1
        return {"page": page, "offset": self._offset, "cursor": None}

    def advance(self, page: Page) -> bool:
        self._offset += self._page_size
        if self._has_stop_condition:
            return True
        rows = rows_of(page.data, self._data_path)
        return rows is not None and len(rows) >= self._page_size
