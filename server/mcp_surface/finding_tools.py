"""`search_tools` and `run_tool`, for homes with more tools than a host should list."""

from collections.abc import Sequence

from server.mcp_surface.own_tool import OwnTool, own_wire
from server.mcp_surface.published import RUN_ANSWER_SCHEMA, PublishedTool
from tools.json_text import JsonObject

__all__ = ["DEFAULT_FOUND", "RUN_TOOL", "SEARCH_TOOLS", "found_tools"]

DEFAULT_FOUND = 10
_MOST_FOUND = 20
#: Found tools whose schema is shown beside them, so that they can be called at once.
_WITH_SCHEMA = 5

SEARCH_TOOLS = OwnTool(
    own_wire(
        "search_tools",
        "Search tools",
        "Finds stored tools by what they do: their name, folder, inputs and description. Call what "
        "it finds with run_tool.",
        {
            "query": {"type": "string", "minLength": 1, "description": "Words of the task."},
            "limit": {
                "type": "integer",
                "minimum": 1,
                "maximum": _MOST_FOUND,
                "default": DEFAULT_FOUND,
            },
        },
        ["query"],
        {
            "type": "object",
            "properties": {
                "tools": {"type": "array", "items": {"type": "object"}},
                "total": {"type": "integer"},
            },
            "required": ["tools", "total"],
        },
        {"readOnlyHint": True, "openWorldHint": False},
    )
)

RUN_TOOL = OwnTool(
    own_wire(
        "run_tool",
        "Run a tool",
        "Calls a stored tool by its id, as search_tools shows it; the answer is the tool's own.",
        {
            "toolId": {"type": "string", "minLength": 1},
            "inputs": {"type": "object", "description": "Inputs that fit the tool's inputSchema."},
            "idempotencyKey": {
                "type": "string",
                "minLength": 1,
                "maxLength": 200,
                "description": "Calls with the same key and inputs are one run; choose a new one "
                "for each thing to be done, and the same one to try again.",
            },
        },
        ["toolId"],
        # Which tool it will be is not known here, so nothing better can be promised.
        RUN_ANSWER_SCHEMA,
        {"readOnlyHint": False, "openWorldHint": True},
    )
)


def found_tools(tools: Sequence[PublishedTool], total: int) -> JsonObject:
    """The answer of `search_tools`: `{tools, total}`, best first."""
    return {
        "tools": [_brief(tool, index < _WITH_SCHEMA) for index, tool in enumerate(tools)],
        "total": total,
    }


def _brief(tool: PublishedTool, with_schema: bool) -> JsonObject:
    brief: JsonObject = {
        "toolId": tool.tool_id,
        "title": tool.wire["title"],
        "description": str(tool.wire["description"])[:300],
        "readOnly": tool.wire["annotations"]["readOnlyHint"],
    }
    if with_schema:
        brief["inputSchema"] = tool.wire["inputSchema"]
    return brief
