"""`get_tool`: the definition of a stored tool, or a part of it."""

from server.mcp_surface.history_tools.tool import fits, history_tool
from server.mcp_surface.own_tool import OwnToolError
from server.preview import preview_of
from server.reading import MAX_TEXT_LIMIT, ReadingError, read_part
from server.service import Service, UnknownToolError
from tools.json_pieces import json_length
from tools.json_text import JsonObject

__all__ = ["GET_TOOL"]

_NARROW = (
    "too large to be shown; a path such as $.steps[0].config reads a part of it, a smaller limit "
    "fewer elements of a list, or characters of a text"
)


async def _get_tool(service: Service, arguments: JsonObject, inline_limit: int) -> JsonObject:
    tool_id = arguments["toolId"]
    try:
        definition = (await service.tools.get(tool_id)).definition
    except UnknownToolError as error:
        raise OwnToolError(f"{error}; search_tools shows ids") from None
    part = {name: arguments[name] for name in ("path", "offset", "limit") if name in arguments}
    if not part:
        whole: JsonObject = {"toolId": tool_id, "definition": definition}
        if fits(whole, inline_limit):
            return whole
        preview = preview_of(definition, json_length(definition))
        return {"toolId": tool_id, "preview": preview, "next": _NARROW}
    try:
        found = read_part(definition, **part, pages_texts=True)
    except ReadingError as error:
        raise OwnToolError(str(error)) from None
    if fits(found, inline_limit):
        return {"toolId": tool_id, **found}
    preview = preview_of(found["value"], json_length(found["value"]))
    left_out = {"value": None, "hasMore": True, "preview": preview, "next": _NARROW}
    return {"toolId": tool_id, **found, **left_out}


GET_TOOL = history_tool(
    "get_tool",
    "Get a tool",
    "Shows the definition of a stored tool as it is now: its steps with urls and templates, "
    "transforms, filters, schemas. Of a long one `path` reads a part. It calls nothing. What a run "
    "was made with is in get_run.",
    {
        "toolId": {"type": "string", "minLength": 1, "description": "The tool's id."},
        "path": {
            "type": "string",
            "maxLength": 1000,
            "description": "JSONPath (RFC 9535) of a part, such as $.steps[0].config.",
        },
        "offset": {
            "type": "integer",
            "minimum": 0,
            "description": "Elements of a list, or characters of a text, to pass over.",
        },
        "limit": {"type": "integer", "minimum": 1, "maximum": MAX_TEXT_LIMIT},
    },
    ["toolId"],
    {
        "type": "object",
        "properties": {
            "toolId": {"type": "string"},
            "definition": {"type": "object"},
            "value": {},
            "total": {"type": "integer"},
            "offset": {"type": "integer"},
            "limit": {"type": "integer"},
            "hasMore": {"type": "boolean"},
            "preview": {"type": "object"},
            "next": {"type": "string"},
        },
        "required": ["toolId"],
    },
    _get_tool,
)
