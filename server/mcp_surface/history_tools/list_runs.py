"""`list_runs`: a page of the history."""

from server.mcp_surface.history_tools.tool import history_tool
from server.mcp_surface.own_tool import OwnToolError
from server.mcp_surface.resources import BadParameterError, run_page
from server.service import Service
from tools.json_text import JsonObject
from tools.run import RequestSource, RunStatus

__all__ = ["LIST_RUNS"]

_DEFAULT_LIST = 20


async def _list_runs(service: Service, arguments: JsonObject, inline_limit: int) -> JsonObject:
    try:
        page = await run_page(service, {"limit": _DEFAULT_LIST, **arguments})
    except BadParameterError as error:
        raise OwnToolError(str(error)) from None
    page["data"] = [_brief(run) for run in page["data"]]
    return page


def _brief(run: JsonObject) -> JsonObject:
    """A run in a list for a model: what tells runs apart."""
    kept = ("runId", "toolId", "status", "metadata", "error", "requestSource", "clientInfo")
    return {key: run[key] for key in kept if key in run}


LIST_RUNS = history_tool(
    "list_runs",
    "List runs",
    "Lists recorded runs of stored tools, newest first: id, tool, status, times, error. "
    "Use it to find a run, also by words in it (search), then get_run or read_result for what "
    "is in it.",
    {
        "toolId": {"type": "string", "description": "Only runs of this stored tool."},
        "status": {
            "enum": [str(status) for status in RunStatus],
            "description": "Only runs in this state.",
        },
        "requestSources": {
            "type": "array",
            "items": {"enum": [str(source) for source in RequestSource]},
            "description": "Only runs started this way; calls over MCP are `mcp`.",
        },
        "search": {
            "type": "string",
            "maxLength": 400,
            "description": "Words that the inputs, the error or the result hold, such as an order "
            "number; in double quotes as a phrase.",
        },
        "startedAfter": {
            "type": "string",
            "description": "Only runs since this time: 2026-01-31 or 2026-01-31T08:00:00Z.",
        },
        "page": {"type": "integer", "minimum": 1, "default": 1},
        "limit": {
            "type": "integer",
            "minimum": 1,
            "maximum": 100,
            "default": _DEFAULT_LIST,
        },
    },
    [],
    {
        "type": "object",
        "properties": {
            "data": {"type": "array", "items": {"type": "object"}},
            "page": {"type": "integer"},
            "limit": {"type": "integer"},
            "total": {"type": "integer"},
            "hasMore": {"type": "boolean"},
        },
        "required": ["data", "page", "limit", "total", "hasMore"],
    },
    _list_runs,
)
