"""All published tools by name; each is built when it is first listed or called."""

import logging
from bisect import bisect_right
from itertools import islice

from server.catalog import Catalog, CatalogEntry
from server.mcp_surface.names import published_name
from server.mcp_surface.published import PublishedTool
from server.mcp_surface.selection import Selection
from server.mcp_surface.tool_search import ToolIndex
from tools.json_text import JsonObject, encode_json_text

__all__ = ["PublishedList"]

_log = logging.getLogger(__name__)


class PublishedList:
    """The tools of a catalog that a connection is shown, and `own` entries of ours beside them."""

    def __init__(self, catalog: Catalog, selection: Selection, own: list[JsonObject]) -> None:
        self._catalog = catalog
        self._selection = selection
        self._own: dict[str, JsonObject] = {wire["name"]: wire for wire in own}
        self._revision: int | None = None
        self._entries: dict[str, CatalogEntry] = {}
        self._by_snapshot: dict[int, PublishedTool] = {}
        self._names: list[str] = []
        self._index = ToolIndex()
        self._indexed_revision: int | None = None

    def get(self, name: str) -> PublishedTool | None:
        """The tool of this name, or None when there is none that is shown."""
        self._refresh()
        entry = self._entries.get(name)
        return None if entry is None else self._published(entry)

    def search(self, query: str, limit: int) -> tuple[list[PublishedTool], int]:
        """The tools that match best, listed or not, and how many match."""
        self._refresh()
        if self._indexed_revision != self._revision:
            self._index.update(self._entries)
            self._indexed_revision = self._revision
        names = self._index.search(query)
        found = (self._published(self._entries[name]) for name in names)
        return list(islice((tool for tool in found if tool is not None), limit)), len(names)

    def by_id(self, tool_id: str) -> PublishedTool | None:
        """The tool of this id, or None when there is none that is shown."""
        return self.get(published_name(tool_id))

    def has_stored_tools(self) -> bool:
        """Whether any stored tool is shown."""
        self._refresh()
        return bool(self._entries)

    def names(self) -> list[str]:
        """The listed names, ours included, in order."""
        self._refresh()
        return self._names

    def page(self, after: str, size: int) -> tuple[list[JsonObject], str | None]:
        """Entries of `tools/list` after the name `after`, and the last name if more follow."""
        self._refresh()
        start = bisect_right(self._names, after) if after else 0
        names = self._names[start : start + size]
        wires = [wire for name in names if (wire := self._wire(name)) is not None]
        return wires, names[-1] if start + size < len(self._names) else None

    def _wire(self, name: str) -> JsonObject | None:
        if name in self._own:
            return self._own[name]
        published = self._published(self._entries[name])
        return None if published is None else published.wire

    def _published(self, entry: CatalogEntry) -> PublishedTool | None:
        """The tool as it is shown; None when it is not, or cannot be."""
        published = self._by_snapshot.get(entry.stored.snapshot_id)
        try:
            if published is None:
                published = PublishedTool.of(entry, self._catalog.load_tool)
                self._by_snapshot[entry.stored.snapshot_id] = published
            is_shown = self._selection.includes(entry.prepared.tool, published)
        except (ValueError, KeyError, TypeError):
            # One bad definition must not take the others off the list.
            _log.exception("tool %s cannot be published", entry.stored.id)
            return None
        return published if is_shown else None

    def _refresh(self) -> None:
        if self._revision == self._catalog.revision:
            return
        shown = [entry for entry in self._catalog.entries() if not entry.is_archived]
        self._by_snapshot = {
            snapshot_id: self._by_snapshot[snapshot_id]
            for entry in shown
            if (snapshot_id := entry.stored.snapshot_id) in self._by_snapshot
            and not _calls_tools(entry)
        }
        self._entries = {published_name(entry.stored.id): entry for entry in shown}
        if self._selection.narrows:
            self._entries = {
                name: entry
                for name, entry in self._entries.items()
                if self._published(entry) is not None
            }
        listed = sorted(self._entries)[: self._selection.max_listed_tools]
        # No stored tool is published under one of our names.
        self._names = sorted([*listed, *self._own])
        self._revision = self._catalog.revision


def _calls_tools(entry: CatalogEntry) -> bool:
    """Whether what a tool touches may change without a change of the tool itself."""
    return '"toolId"' in encode_json_text(entry.stored.definition.get("steps"))
