"""The history as tools, for hosts that show the model no resources."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from server.mcp_surface.resources import (
    BadParameterError,
    NotFoundError,
    read_results,
    run_page,
)
from server.mcp_surface.selection import HistoryLevel
from server.preview import preview_of
from server.service import Service, UnknownRunError
from server.views import tool_view
from tools.json_text import Json, JsonObject, encode_json_text, nests_deeply
from tools.run import RequestSource, RunStatus
from tools.schema import CompiledSchema, compile_schema

__all__ = ["HISTORY_TOOLS", "HistoryTool", "HistoryToolError", "history_tools"]

_MAX_WAIT_SECONDS = 50
_DEFAULT_LIST = 20
_CANCEL_WAIT_SECONDS = 3


class HistoryToolError(Exception):
    """The call cannot be answered; the message says what is valid."""


@dataclass(frozen=True)
class HistoryTool:
    """A tool of ours. `call` gives its structured content; raises `HistoryToolError`."""

    name: str
    #: Whether it leaves everything as it is.
    reads: bool
    wire: JsonObject
    call: Callable[[Service, JsonObject, int], Awaitable[JsonObject]]
    _validator: list[CompiledSchema]

    def problems(self, arguments: JsonObject) -> list[str]:
        """What is wrong with the arguments, in words."""
        if not self._validator:
            self._validator.append(compile_schema(self.wire["inputSchema"]))
        found = self._validator[0].problems(arguments)
        return [str(problem) for problem in found]


async def _list_runs(service: Service, arguments: JsonObject, inline_limit: int) -> JsonObject:
    try:
        page = await run_page(service, {"limit": _DEFAULT_LIST, **arguments})
    except BadParameterError as error:
        raise HistoryToolError(str(error)) from None
    page["data"] = [_brief(run) for run in page["data"]]
    return page


def _brief(run: JsonObject) -> JsonObject:
    """A run in a list for a model: what tells runs apart."""
    kept = ("runId", "toolId", "status", "metadata", "error", "requestSource", "clientInfo")
    return {key: run[key] for key in kept if key in run}


async def _get_run(service: Service, arguments: JsonObject, inline_limit: int) -> JsonObject:
    run_id = arguments["runId"]
    try:
        if wait := arguments.get("wait_seconds"):
            await service.wait_for_run(run_id, min(float(wait), _MAX_WAIT_SECONDS))
        run = await service.get_run(run_id)
    except UnknownRunError as error:
        raise HistoryToolError(f"{error}; list_runs shows the recorded ones") from None
    view = tool_view(run)
    if run.status is RunStatus.RUNNING:
        view["next"] = "still running; call get_run again with wait_seconds"
    if not _fits(view, inline_limit):
        view = _shortened(view, len(run.result or b""), inline_limit)
    return view


def _fits(value: Json, inline_limit: int) -> bool:
    return len(encode_json_text(value)) <= inline_limit and not nests_deeply(value)


def _shortened(view: JsonObject, result_bytes: int, inline_limit: int) -> JsonObject:
    """A record that fits: large parts give way, the largest first."""
    run_id = view["runId"]
    if "data" in view:
        view["dataPreview"] = preview_of(view.pop("data"), result_bytes)
    for step in view.get("stepResults", ()):
        if "data" in step:
            step["data"] = "left out"
        for request in step.get("requests", ()):
            request.pop("exchange", None)
    view["next"] = (
        f'this record is shortened; read_result (runId "{run_id}") reads the result in parts'
    )
    for key in ("tool", "subTools", "stepResults", "logs", "toolPayload", "dataPreview"):
        if _fits(view, inline_limit):
            break
        view.pop(key, None)
    return view


async def _cancel_run(service: Service, arguments: JsonObject, inline_limit: int) -> JsonObject:
    run_id = arguments["runId"]
    try:
        was_running = await service.cancel_run(run_id, "cancelled with cancel_run")
        # The run of another process ends when that process has seen the wish.
        await service.wait_for_run(run_id, _CANCEL_WAIT_SECONDS)
        run = await service.get_run(run_id, with_steps=False)
    except UnknownRunError as error:
        raise HistoryToolError(f"{error}; list_runs shows the recorded ones") from None
    return {"runId": run_id, "status": run.status, "wasRunning": was_running}


async def _read_result(service: Service, arguments: JsonObject, inline_limit: int) -> JsonObject:
    run_id = arguments["runId"]
    parameters = {key: value for key, value in arguments.items() if key != "runId"}
    parameters.setdefault("offset", 0)
    try:
        part = await read_results(service, run_id, parameters)
    except (UnknownRunError, NotFoundError, BadParameterError) as error:
        raise HistoryToolError(str(error)) from None
    if _fits(part, inline_limit):
        return part
    value = part["value"]
    return {
        **part,
        "value": None,
        "preview": preview_of(value, len(encode_json_text(part))),
        "next": "this part is too large or too deep to show; "
        "narrow it with path, fields, offset and limit",
    }


def _tool(
    name: str,
    title: str,
    description: str,
    properties: JsonObject,
    required: list[str],
    output: JsonObject,
    call: Callable[[Service, JsonObject, int], Awaitable[JsonObject]],
    *,
    reads: bool = True,
) -> HistoryTool:
    wire: JsonObject = {
        "name": name,
        "title": title,
        "description": description,
        "inputSchema": {
            "type": "object",
            "properties": properties,
            "required": required,
            "additionalProperties": False,
        },
        "outputSchema": output,
        "annotations": {
            "title": title,
            "readOnlyHint": reads,
            "openWorldHint": False,
            **({} if reads else {"destructiveHint": True, "idempotentHint": True}),
        },
    }
    return HistoryTool(name, reads, wire, call, [])


_RUN_ID: JsonObject = {"type": "string", "minLength": 1, "description": "The run's id."}

HISTORY_TOOLS: dict[str, HistoryTool] = {
    tool.name: tool
    for tool in (
        _tool(
            "list_runs",
            "List runs",
            "Lists recorded runs of stored tools, newest first: id, tool, status, times, error. "
            "Use it to find a run, then get_run or read_result for what is in it.",
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
        ),
        _tool(
            "get_run",
            "Get a run",
            "Shows one recorded run: inputs, each step with its requests, result or error, timing. "
            "With wait_seconds it returns as soon as a running run ends, or when the time is over.",
            {
                "runId": _RUN_ID,
                "wait_seconds": {
                    "type": "number",
                    "minimum": 0,
                    "maximum": _MAX_WAIT_SECONDS,
                    "description": "How long to wait for a running run to end.",
                },
            },
            ["runId"],
            {
                "type": "object",
                "properties": {
                    "runId": {"type": "string"},
                    "toolId": {"type": "string"},
                    "status": {"enum": [str(status) for status in RunStatus]},
                },
                "required": ["runId", "toolId", "status"],
            },
            _get_run,
        ),
        _tool(
            "read_result",
            "Read a result",
            "Reads a part of a run's stored result: `path` is JSONPath ($.items[0:20].name), "
            "`fields` keeps these keys of each object, lists are paged by offset and limit. "
            "Use it after a preview, in place of calling the tool again.",
            {
                "runId": _RUN_ID,
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
                "offset": {"type": "integer", "minimum": 0, "default": 0},
                "limit": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 100},
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
        ),
        _tool(
            "cancel_run",
            "Cancel a run",
            "Ends a running run: it becomes aborted and its upstream request is closed. What it "
            "has done so far stays in the record.",
            {"runId": _RUN_ID},
            ["runId"],
            {
                "type": "object",
                "properties": {
                    "runId": {"type": "string"},
                    "status": {"enum": [str(status) for status in RunStatus]},
                    "wasRunning": {"type": "boolean"},
                },
                "required": ["runId", "status", "wasRunning"],
            },
            _cancel_run,
            reads=False,
        ),
    )
}


def history_tools(level: HistoryLevel) -> dict[str, HistoryTool]:
    """The tools of a level: none, those that read, or all."""
    return {
        name: tool
        for name, tool in HISTORY_TOOLS.items()
        if level == "all" or (level == "read" and tool.reads)
    }
