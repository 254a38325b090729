"""`read_result`: a part of a result."""

from server.mcp_surface.history_tools.tool import RUN_ID, fits, history_tool
from server.mcp_surface.own_tool import OwnToolError
from server.mcp_surface.resources import (
    BadParameterError,
    NotFoundError,
    read_results,
    read_step,
)
from server.preview import preview_of
from server.reading import MAX_TEXT_LIMIT
from server.service import Service, UnknownRunError
from tools.json_pieces import json_length
from tools.json_text import JsonObject

__all__ = ["READ_RESULT"]


async def _read_result(service: Service, arguments: JsonObject, inline_limit: int) -> JsonObject:
    run_id = arguments["runId"]
    parameters = {key: value for key, value in arguments.items() if key not in {"runId", "stepId"}}
    parameters.setdefault("offset", 0)
    try:
        if (step_id := arguments.get("stepId")) is not None:
            part = await read_step(service, run_id, step_id, parameters)
        else:
            part = await read_results(service, run_id, parameters)
    except (UnknownRunError, NotFoundError, BadParameterError) as error:
        raise OwnToolError(str(error)) from None
    if fits(part, inline_limit):
        return part
    value = part["value"]
    return {
        **part,
        "value": None,
        "hasMore": True,
        "preview": preview_of(value, json_length(value)),
        "next": "this part is too large or too deep to show; "
        "narrow it with path, fields, offset and limit",
    }


READ_RESULT = history_tool(
    "read_result",
    "Read a result",
    "Reads a part of a run's stored result: `path` is JSONPath ($.items[0:20].name), "
    "`fields` keeps these keys of each object, lists and long texts are paged by offset and limit. "
    "Use it after a preview, in place of calling the tool again.",
    {
        "runId": RUN_ID,
        "stepId": {
            "type": "string",
            "maxLength": 200,
            "description": "Reads what this step received, in place of the result.",
        },
        "path": {
            "type": "string",
            "maxLength": 1000,
            "description": "JSONPath (RFC 9535); the whole result when absent.",
        },
        "fields": {
            "type": "array",
            "items": {"type": "string"},
            "maxItems": 100,
            "description": "Keys to keep of each object.",
        },
        "offset": {
            "type": "integer",
            "minimum": 0,
            "default": 0,
            "description": "Elements of a list, or characters of a text, to pass over.",
        },
        "limit": {
            "type": "integer",
            "minimum": 1,
            "maximum": MAX_TEXT_LIMIT,
            "description": "Elements of a list (100, at most 1,000) or characters of a text "
            "(10,000, at most 100,000).",
        },
    },
    ["runId"],
    {
        "type": "object",
        "properties": {
            "value": {},
            "total": {"type": "integer"},
            "offset": {"type": "integer"},
            "limit": {"type": "integer"},
            "hasMore": {"type": "boolean"},
            "preview": {"type": "object"},
            "next": {"type": "string"},
        },
        "required": ["value", "total", "offset", "limit", "hasMore"],
    },
    _read_result,
)
