"""What one connection is shown: some folders, some tools, only those that read."""

from dataclasses import dataclass
from typing import Literal

from server.mcp_surface.published import PublishedTool
from tools.model import Tool

__all__ = ["HistoryLevel", "Selection"]

HistoryLevel = Literal["none", "read", "all"]


@dataclass(frozen=True)
class Selection:
    """Narrows a connection; the default shows everything. What is not shown cannot be called."""

    #: Tools in one of these folders, or below one.
    folders: tuple[str, ...] = ()
    tool_ids: tuple[str, ...] = ()
    #: Only tools whose steps write nothing upstream.
    read_only: bool = False
    #: Tools beyond this many are not listed; `search_tools` and `run_tool` reach them.
    max_listed_tools: int | None = None
    history_tools: HistoryLevel = "all"
    #: The person is asked before a run that writes.
    confirm_writes: bool = False
    #: The tools that write tools are there too.
    authoring: bool = False

    @property
    def narrows(self) -> bool:
        """Whether any tool could be left out."""
        return bool(self.folders or self.tool_ids or self.read_only)

    def includes(self, tool: Tool, published: PublishedTool) -> bool:
        """Whether a tool is shown and may be called."""
        if self.tool_ids and tool.id not in self.tool_ids:
            return False
        if self.folders and not any(_is_in(tool.folder or "", folder) for folder in self.folders):
            return False
        return not self.read_only or bool(published.wire["annotations"]["readOnlyHint"])


def _is_in(folder: str, wanted: str) -> bool:
    folder, wanted = folder.strip("/"), wanted.strip("/")
    return folder == wanted or folder.startswith(f"{wanted}/")
