"""The history as tools, for hosts that show the model no resources. One tool, one file."""

from server.mcp_surface.history_tools.cancel_run import CANCEL_RUN
from server.mcp_surface.history_tools.compare_runs import COMPARE_RUNS
from server.mcp_surface.history_tools.explain_run import EXPLAIN_RUN
from server.mcp_surface.history_tools.get_run import GET_RUN
from server.mcp_surface.history_tools.get_tool import GET_TOOL
from server.mcp_surface.history_tools.list_runs import LIST_RUNS
from server.mcp_surface.history_tools.read_result import READ_RESULT
from server.mcp_surface.history_tools.rerun_run import RERUN_RUN, rerun_run
from server.mcp_surface.history_tools.tool import HistoryTool
from server.mcp_surface.selection import HistoryLevel

__all__ = [
    "HISTORY_TOOLS",
    "RERUN_RUN",
    "HistoryTool",
    "history_tools",
    "rerun_run",
]

HISTORY_TOOLS: dict[str, HistoryTool] = {
    tool.name: tool
    for tool in (LIST_RUNS, GET_RUN, READ_RESULT, COMPARE_RUNS, EXPLAIN_RUN, CANCEL_RUN, GET_TOOL)
}


def history_tools(level: HistoryLevel) -> dict[str, HistoryTool]:
    """The tools of a level: none, those that read, or all."""
    return {
        name: tool
        for name, tool in HISTORY_TOOLS.items()
        if level == "all" or (level == "read" and tool.reads)
    }
