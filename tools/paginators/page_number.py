"""`pageBased`: page 1, 2, 3, …."""

from tools.json_text import JsonObject
from tools.paginators.page import Page
from tools.paginators.rows import rows_of

__all__ = ["PageNumberPaginator"]


class PageNumberPaginator:
    """Counts pages; without a stop condition a page with fewer rows than asked for is the last."""

    next_url = None

    def __init__(self, page_size: int, data_path: str | None, has_stop_condition: bool) -> None:
        self._page_size = page_size
        self._data_path = data_path
        self._has_stop_condition = has_stop_condition
        self._page = 1

    def variables(self) -> JsonObject:
        offset = (self._page - 1) * self._page_size
        return {"page": self._page, "offset": offset, "cursor": None}

    def advance(self, page: Page) -> bool:
        self._page += 1
        if self._has_stop_condition:
            return True
        rows = rows_of(page.data, self._data_path)
        return rows is not None and len(rows) >= self._page_size
