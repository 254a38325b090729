"""Pages merged into one value, in time linear in their rows."""

from typing import Any, cast

from tools.json_text import Json

__all__ = ["merge_pages"]


def merge_pages(merged: Json, page: Json) -> Json:
    """Add a page to what was read before and return the whole; both may be changed in place.

    Lists are concatenated; objects are merged key by key, lists inside concatenated, scalars from
    the newer page; kinds that differ, and texts: the newer wins.
    """
    if isinstance(merged, list) and isinstance(page, list):
        rows = cast("list[Any]", merged)
        rows.extend(cast("list[Any]", page))
        return rows
    if isinstance(merged, dict) and isinstance(page, dict):
        whole = cast("dict[str, Any]", merged)
        for key, value in cast("dict[str, Any]", page).items():
            whole[key] = merge_pages(whole[key], value) if key in whole else value
        return whole
    return page
