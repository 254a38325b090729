"""`cancel_run`: the end of a running run."""

from server.mcp_surface.history_tools.tool import RUN_ID, history_tool
from server.mcp_surface.own_tool import OwnToolError
from server.service import Service, UnknownRunError
from tools.json_text import JsonObject
from tools.run import RunStatus

__all__ = ["CANCEL_RUN"]

_CANCEL_WAIT_SECONDS = 3


async def _cancel_run(service: Service, arguments: JsonObject, inline_limit: int) -> JsonObject:
    run_id = arguments["runId"]
    try:
        was_running = await service.cancel_run(run_id, "cancelled with cancel_run")
        # The run of another process ends when that process has seen the wish.
        await service.wait_for_run(run_id, _CANCEL_WAIT_SECONDS)
        run = await service.get_run(run_id, with_steps=False)
    except UnknownRunError as error:
        raise OwnToolError(f"{error}; list_runs shows the recorded ones") from None
    return {"runId": run_id, "status": run.status, "wasRunning": was_running}


CANCEL_RUN = history_tool(
    "cancel_run",
    "Cancel a run",
    "Ends a running run: it becomes aborted and its upstream request is closed. What it "
    "has done so far stays in the record.",
    {"runId": RUN_ID},
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
)
