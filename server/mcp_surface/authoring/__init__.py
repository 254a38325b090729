"""Tools for writing tools, of `serve --authoring`: one file each."""

from server.mcp_surface.authoring.check_tool import CHECK_TOOL
from server.mcp_surface.authoring.import_api import IMPORT_API
from server.mcp_surface.authoring.remove_tool import REMOVE_TOOL
from server.mcp_surface.authoring.save_runs_as_tool import SAVE_RUNS_AS_TOOL
from server.mcp_surface.authoring.save_tool import SAVE_TOOL
from server.mcp_surface.authoring.tool import Asking, AuthoringTool
from server.mcp_surface.authoring.try_tool import TRY_TOOL

__all__ = ["AUTHORING_TOOLS", "Asking", "AuthoringTool"]

AUTHORING_TOOLS: dict[str, AuthoringTool] = {
    tool.name: tool
    for tool in (CHECK_TOOL, TRY_TOOL, SAVE_TOOL, REMOVE_TOOL, IMPORT_API, SAVE_RUNS_AS_TOOL)
}
