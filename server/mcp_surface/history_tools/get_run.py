"""`get_run`: one record, and waiting for its end."""

from functools import partial

from server.decoded import DECODED_HERE_BYTES
from server.mcp_surface.history_tools.tool import RUN_ID, fits, history_tool
from server.mcp_surface.own_tool import OwnToolError
from server.preview import preview_of
from server.service import Service, UnknownRunError
from server.views import tool_view
from storage.run_record import StoredRun
from tools.json_pieces import weighs_much
from tools.json_text import JsonObject
from tools.run import RunStatus
from tools.threads import run_in_thread

__all__ = ["GET_RUN"]

_MAX_WAIT_SECONDS = 50


async def _get_run(service: Service, arguments: JsonObject, inline_limit: int) -> JsonObject:
    run_id = arguments["runId"]
    try:
        if wait := arguments.get("wait_seconds"):
            await service.wait_for_run(run_id, min(float(wait), _MAX_WAIT_SECONDS))
        run = await service.get_run(run_id)
    except UnknownRunError as error:
        raise OwnToolError(f"{error}; list_runs shows the recorded ones") from None
    show = partial(_shown, run, inline_limit)
    is_large = run.result is not None and run.result.size > DECODED_HERE_BYTES
    # Others are served while a large one is made small.
    return await run_in_thread(show) if is_large or weighs_much(run.steps) else show()


def _shown(run: StoredRun, inline_limit: int) -> JsonObject:
    view = tool_view(run)
    if run.status is RunStatus.RUNNING:
        view["next"] = "still running; call get_run again with wait_seconds"
    if run.result_uri is not None:
        view["next"] = (
            f'the result is large; read_result (runId "{run.run_id}") reads it by path and page'
        )
    if not fits(view, inline_limit):
        view = _shortened(view, run.result.size if run.result is not None else 0, inline_limit)
    return view


def _shortened(view: JsonObject, result_bytes: int, inline_limit: int) -> JsonObject:
    """A record that fits: large parts give way, the largest first."""
    said = view.get("next")
    if said is None and "data" in view:
        said = f'read_result (runId "{view["runId"]}") reads the result in parts'
    view["next"] = "this record is shortened" + (f"; {said}" if said else "")
    if "data" in view:
        view["dataPreview"] = preview_of(view.pop("data"), result_bytes)
    for step in view.get("stepResults", ()):
        if "data" in step:
            step["data"] = "left out"
        for request in step.get("requests", ()):
            request.pop("exchange", None)
    for key in ("tool", "subTools", "stepResults", "logs", "toolPayload", "dataPreview"):
        if fits(view, inline_limit):
            break
        view.pop(key, None)
    return view


GET_RUN = history_tool(
    "get_run",
    "Get a run",
    "Shows one recorded run: inputs, each step with its requests, result or error, timing. "
    "With wait_seconds it returns as soon as a running run ends, or when the time is over.",
    {
        "runId": RUN_ID,
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
)
