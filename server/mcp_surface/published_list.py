"""All published tools by name, built when first asked for and again after a change."""

import logging
from bisect import bisect_right

from server.catalog import Catalog
from server.mcp_surface.history_tools import HISTORY_TOOLS
from server.mcp_surface.published import PublishedTool
from tools.json_text import JsonObject

__all__ = ["PublishedList"]

_log = logging.getLogger(__name__)


class PublishedList:
    """The tools of a catalog under their published names, and ours beside them."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._revision: int | None = None
        self._by_name: dict[str, PublishedTool] = {}
        self._by_snapshot: dict[int, PublishedTool] = {}
        self._names: list[str] = []

    def get(self, name: str) -> PublishedTool | None:
        self._refresh()
        return self._by_name.get(name)

    def names(self) -> list[str]:
        """All names, ours included, in order."""
        self._refresh()
        return self._names

    def page(self, after: str, size: int) -> tuple[list[JsonObject], str | None]:
        """Entries of `tools/list` after the name `after`, and the last name if more follow."""
        self._refresh()
        start = bisect_right(self._names, after) if after else 0
        names = self._names[start : start + size]
        wires = [
            HISTORY_TOOLS[name].wire if name in HISTORY_TOOLS else self._by_name[name].wire
            for name in names
        ]
        return wires, names[-1] if start + size < len(self._names) else None

    def _refresh(self) -> None:
        if self._revision == self._catalog.revision:
            return
        kept: dict[int, PublishedTool] = {}
        by_name: dict[str, PublishedTool] = {}
        for entry in self._catalog.entries():
            if entry.is_archived:
                continue
            snapshot_id = entry.stored.snapshot_id
            try:
                published = self._by_snapshot.get(snapshot_id) or PublishedTool.of(entry)
            except (ValueError, KeyError, TypeError):
                # One bad definition must not take the others off the list.
                _log.exception("tool %s cannot be published", entry.stored.id)
                continue
            kept[snapshot_id] = published
            by_name[published.name] = published
        self._by_snapshot = kept
        self._by_name = by_name
        self._names = sorted({*by_name, *HISTORY_TOOLS})
        self._revision = self._catalog.revision
