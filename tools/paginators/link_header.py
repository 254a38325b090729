"""`linkHeader`: the answer's `Link` header names the next page (RFC 8288, rel="next")."""

from urllib.parse import urljoin

from tools.json_text import JsonObject
from tools.paginators.page import Page

__all__ = ["LinkHeaderPaginator"]


class LinkHeaderPaginator:
    """Follows `Link: <…>; rel="next"`; a relative link continues the page's own url."""

    def __init__(self, page_size: int) -> None:
        self.next_url: str | None = None
        self._page_size = page_size
        self._page = 1

    def variables(self) -> JsonObject:
        offset = (self._page - 1) * self._page_size
        return {"page": self._page, "offset": offset, "cursor": self.next_url}

    def advance(self, page: Page) -> bool:
        self._page += 1
        link = _next_link(page.headers.get("link", ""))
        self.next_url = urljoin(page.url, link) if link else None
        return self.next_url is not None


def _next_link(header: str) -> str | None:
    if not header:
        return None
    import httpx

    for relations, link in httpx.Response(200, headers={"link": header}).links.items():
        if relations and "next" in relations.lower().split():
            return link.get("url")
    return None
