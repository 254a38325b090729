"""`search_tools` and `run_tool`, for homes with more tools than a host should list."""

import re
from collections.abc import Iterable

from server.mcp_surface.published import PublishedTool
from tools.json_text import JsonObject

__all__ = ["RUN_TOOL", "SEARCH_TOOLS", "search"]

_MAX_FOUND = 20
#: Found tools whose schema is shown beside them, so that they can be called at once.
_WITH_SCHEMA = 5
_WORD = re.compile(r"[a-z0-9]+")
# A match in the name says more than one in the prose.
_WEIGHTS = (("name", 5.0), ("title", 3.0), ("folder", 2.0), ("inputs", 1.5), ("description", 1.0))

SEARCH_TOOLS: JsonObject = {
    "name": "search_tools",
    "title": "Search tools",
    "description": "Finds stored tools by what they do: their name, folder, inputs and "
    "description. Call what it finds with run_tool.",
    "inputSchema": {
        "type": "object",
        "properties": {
            "query": {"type": "string", "minLength": 1, "description": "Words of the task."},
            "limit": {"type": "integer", "minimum": 1, "maximum": _MAX_FOUND, "default": 10},
        },
        "required": ["query"],
        "additionalProperties": False,
    },
    "outputSchema": {
        "type": "object",
        "properties": {
            "tools": {"type": "array", "items": {"type": "object"}},
            "total": {"type": "integer"},
        },
        "required": ["tools", "total"],
    },
    "annotations": {"title": "Search tools", "readOnlyHint": True, "openWorldHint": False},
}

RUN_TOOL: JsonObject = {
    "name": "run_tool",
    "title": "Run a tool",
    "description": "Calls a stored tool by its id, as search_tools shows it; the answer is the "
    "tool's own.",
    "inputSchema": {
        "type": "object",
        "properties": {
            "toolId": {"type": "string", "minLength": 1},
            "inputs": {"type": "object", "description": "Inputs that fit the tool's inputSchema."},
        },
        "required": ["toolId"],
        "additionalProperties": False,
    },
    # Which tool it will be is not known here, so nothing better can be promised.
    "annotations": {"title": "Run a tool", "readOnlyHint": False, "openWorldHint": True},
}


def search(tools: Iterable[PublishedTool], query: str, limit: int) -> JsonObject:
    """The tools that match best, best first: `{tools, total}`."""
    words = set(_WORD.findall(query.lower()))
    scored = [(score, tool) for tool in tools if (score := _score(tool, words)) > 0]
    scored.sort(key=lambda pair: (-pair[0], pair[1].name))
    found = [_brief(tool, index < _WITH_SCHEMA) for index, (_, tool) in enumerate(scored[:limit])]
    return {"tools": found, "total": len(scored)}


def _score(tool: PublishedTool, words: set[str]) -> float:
    texts = {
        "name": tool.tool_id,
        "title": str(tool.wire["title"]),
        "folder": tool.folder,
        "inputs": " ".join(tool.wire["inputSchema"].get("properties", {})),
        "description": str(tool.wire["description"]),
    }
    score = 0.0
    for field, weight in _WEIGHTS:
        known = _WORD.findall(texts[field].lower())
        for word in words:
            if word in known:
                score += weight
            elif len(word) > 3 and any(one.startswith(word) for one in known):
                score += weight / 2
    return score


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
