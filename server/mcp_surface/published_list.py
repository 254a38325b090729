"""All published tools by name, built when first asked for and again after a change."""

import logging
from bisect import bisect_right

from server.catalog import Catalog
from server.mcp_surface.published import PublishedTool
from server.mcp_surface.selection import Selection
from tools.json_text import JsonObject
from tools.model import SubToolConfig

__all__ = ["PublishedList"]

_log = logging.getLogger(__name__)


class PublishedList:
    """The tools of a catalog that a connection is shown, and `own` entries of ours beside them."""

    def __init__(self, catalog: Catalog, selection: Selection, own: list[JsonObject]) -> None:
        self._catalog = catalog
        self._selection = selection
        self._own: dict[str, JsonObject] = {wire["name"]: wire for wire in own}
        self._revision: int | None = None
        self._by_name: dict[str, PublishedTool] = {}
        self._by_snapshot: dict[int, PublishedTool] = {}
        self._names: list[str] = []

    def get(self, name: str) -> PublishedTool | None:
        self._refresh()
        return self._by_name.get(name)

    def tools(self) -> list[PublishedTool]:
        """All stored tools that may be called, listed or not."""
        self._refresh()
        return list(self._by_name.values())

    def by_id(self, tool_id: str) -> PublishedTool | None:
        self._refresh()
        return next((one for one in self._by_name.values() if one.tool_id == tool_id), None)

    def names(self) -> list[str]:
        """The listed names, ours included, in order."""
        self._refresh()
        return self._names

    def page(self, after: str, size: int) -> tuple[list[JsonObject], str | None]:
        """Entries of `tools/list` after the name `after`, and the last name if more follow."""
        self._refresh()
        start = bisect_right(self._names, after) if after else 0
        names = self._names[start : start + size]
        wires = [self._own.get(name) or self._by_name[name].wire for name in names]
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
                published = self._by_snapshot.get(snapshot_id) or PublishedTool.of(
                    entry, self._catalog.load_tool
                )
                is_shown = self._selection.includes(entry.prepared.tool, published)
            except (ValueError, KeyError, TypeError):
                # One bad definition must not take the others off the list.
                _log.exception("tool %s cannot be published", entry.stored.id)
                continue
            if not any(
                isinstance(step.config, SubToolConfig) for step in entry.prepared.tool.steps
            ):
                # What a sub-tool touches may change without a change of this tool.
                kept[snapshot_id] = published
            if is_shown:
                by_name[published.name] = published
        self._by_snapshot = kept
        self._by_name = by_name
        listed = sorted(by_name)[: self._selection.max_listed_tools]
        self._names = sorted({*listed, *self._own})
        self._revision = self._catalog.revision
