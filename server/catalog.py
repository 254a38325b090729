"""The stored tools in memory: read when they change, made ready when first used."""

from dataclasses import dataclass, field

from storage.tools import StoredTool, ToolStore
from tools.model import Tool
from tools.prepared import PreparedTool

__all__ = ["Catalog", "CatalogEntry"]


@dataclass
class CatalogEntry:
    """A stored tool; `prepared` compiles its schemas on first use."""

    stored: StoredTool
    _prepared: PreparedTool | None = field(default=None, repr=False)

    @property
    def prepared(self) -> PreparedTool:
        if self._prepared is None:
            self._prepared = PreparedTool.of(self.stored.definition)
        return self._prepared

    @property
    def is_archived(self) -> bool:
        return bool(self.stored.definition.get("archived"))


class Catalog:
    """All tools of the home as of `revision`."""

    def __init__(self, tools: ToolStore) -> None:
        self._tools = tools
        self._entries: dict[str, CatalogEntry] = {}
        self.revision = -1

    async def refresh(self) -> bool:
        """Read the tools again if any has changed; whether one had."""
        revision = await self._tools.revision()
        if revision <= self.revision:
            return False
        known = self._entries
        entries: dict[str, CatalogEntry] = {}
        for stored in await self._tools.list([entry.stored for entry in known.values()]):
            entry = known.get(stored.id)
            if entry is None or entry.stored is not stored:
                entry = CatalogEntry(stored)
            entries[stored.id] = entry
        if revision <= self.revision:
            # Another refresh, begun later, was quicker: what it read is newer.
            return False
        self._entries = entries
        self.revision = revision
        return True

    def get(self, tool_id: str) -> CatalogEntry | None:
        return self._entries.get(tool_id)

    def load_tool(self, tool_id: str) -> Tool | None:
        """The typed tool, or None when there is none that can be read."""
        entry = self._entries.get(tool_id)
        try:
            return entry.prepared.tool if entry is not None else None
        except ValueError:
            return None

    def ids(self) -> list[str]:
        return list(self._entries)

    def entries(self) -> list[CatalogEntry]:
        """All tools, archived ones too, by id."""
        return list(self._entries.values())
