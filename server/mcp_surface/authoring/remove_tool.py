"""`remove_tool`: take a stored tool away."""

from server.mcp_surface.authoring.tool import Asking, authoring_tool, client_name_of
from server.mcp_surface.own_tool import OwnToolError
from server.service import Service, UnknownToolError
from tools.json_text import JsonObject

__all__ = ["REMOVE_TOOL"]


async def _remove_tool(service: Service, arguments: JsonObject, asking: Asking) -> JsonObject:
    tool_id = arguments["toolId"]
    try:
        await service.tools.remove(tool_id, client_name=client_name_of(asking))
    except UnknownToolError as error:
        raise OwnToolError(f"{error}; search_tools shows ids") from None
    return {"toolId": tool_id, "removed": True}


REMOVE_TOOL = authoring_tool(
    "remove_tool",
    "Remove a tool",
    "Removes a stored tool. Its runs and its versions stay, and save_tool with the same id brings "
    "it back.",
    {"toolId": {"type": "string", "minLength": 1, "description": "The id, not the name."}},
    ["toolId"],
    _remove_tool,
    output={
        "type": "object",
        "properties": {"toolId": {"type": "string"}, "removed": {"type": "boolean"}},
        "required": ["toolId", "removed"],
    },
    destructive=True,
)
