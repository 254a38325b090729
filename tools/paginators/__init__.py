"""Ways of asking for the next page: one file a kind, one line each in `build_paginator`.

A paginator says which page variables the next request sees and whether there is a page after the
one just read. Reading, merging and stop conditions are the request step's.
"""

from typing import Protocol, assert_never

from tools.json_text import JsonObject
from tools.model import Pagination
from tools.paginators.cursor import CursorPaginator
from tools.paginators.link_header import LinkHeaderPaginator
from tools.paginators.next_url import NextUrlPaginator
from tools.paginators.offset import OffsetPaginator
from tools.paginators.page import Page
from tools.paginators.page_number import PageNumberPaginator
from tools.paginators.rows import rows_of

__all__ = ["Page", "Paginator", "build_paginator", "rows_of"]


class Paginator(Protocol):
    """The position in a sequence of pages."""

    @property
    def next_url(self) -> str | None:
        """The url of the next request where the upstream names it, else None."""
        ...

    def variables(self) -> JsonObject:
        """`page`, `offset`, `cursor` for the next request."""
        ...

    def advance(self, page: Page) -> bool:
        """Move past a page; False when the page says that none follows."""
        ...


def build_paginator(pagination: Pagination, page_size: int) -> Paginator | None:
    """The paginator of a request step, or None for exactly one request."""
    scripted = pagination.stop_condition is not None
    match pagination.type:
        case "disabled":
            return None
        case "pageBased":
            return PageNumberPaginator(page_size, pagination.data_path, scripted)
        case "offsetBased":
            return OffsetPaginator(page_size, pagination.data_path, scripted)
        case "cursorBased":
            return CursorPaginator(page_size, pagination.cursor_path)
        case "linkHeader":
            return LinkHeaderPaginator(page_size)
        case "nextUrl":
            return NextUrlPaginator(page_size, pagination.next_url_path, pagination.next_url_header)
        case _:
            assert_never(pagination.type)
