"""`nextUrl`: the body or a header names the next page's url."""

from typing import Any, cast
from urllib.parse import urljoin

from tools.json_text import Json, JsonObject
from tools.paginators.page import Page
from tools.scope import read_dotted_path

__all__ = ["NextUrlPaginator"]


class NextUrlPaginator:
    """Follows the url at `path` in the body, or in the header named `header`."""

    def __init__(self, page_size: int, path: str | None, header: str | None) -> None:
        self.next_url: str | None = None
        self._page_size = page_size
        self._path = path
        self._header = header.lower() if header else None
        self._page = 1

    def variables(self) -> JsonObject:
        offset = (self._page - 1) * self._page_size
        return {"page": self._page, "offset": offset, "cursor": self.next_url}

    def advance(self, page: Page) -> bool:
        self._page += 1
        link = self._read_link(page)
        self.next_url = urljoin(page.url, link) if isinstance(link, str) and link else None
        return self.next_url is not None

    def _read_link(self, page: Page) -> Json:
        if self._header is not None and (link := page.headers.get(self._header)):
            return link
        if self._path is None:
            return None
        data: Any = page.data
        if isinstance(data, dict) and self._path in cast("dict[str, Any]", data):
            return cast("dict[str, Any]", data)[self._path]
        return read_dotted_path(data, self._path)
