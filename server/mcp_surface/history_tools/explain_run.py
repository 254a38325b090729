"""`explain_run`: why a run failed, and what to do."""

from server.mcp_surface.history_tools.tool import RUN_ID, fits, history_tool
from server.mcp_surface.own_tool import OwnToolError
from server.service import Service, UnknownRunError
from tools.json_text import JsonObject

__all__ = ["EXPLAIN_RUN"]


async def _explain_run(service: Service, arguments: JsonObject, inline_limit: int) -> JsonObject:
    run_id = arguments["runId"]
    try:
        explanation = await service.explain_run(run_id)
    except UnknownRunError as error:
        raise OwnToolError(f"{error}; list_runs shows the recorded ones") from None
    if fits(explanation, inline_limit):
        return explanation
    kept = ("summary", "run", "failure", "likely")
    short = {name: explanation[name] for name in kept if name in explanation}
    short["next"] = f'get_run (runId "{run_id}") shows the steps with their requests'
    return short


EXPLAIN_RUN = history_tool(
    "explain_run",
    "Explain a run",
    "Explains a failed or aborted run in one answer: the failing step and its error, the request "
    "that failed with its answer (redacted), the shape of the data before it, and what has changed "
    "since the last run of the same tool that succeeded. `likely` says what to do next. Call it "
    "first after a failure, before trying again. It sends nothing upstream.",
    {"runId": RUN_ID},
    ["runId"],
    {
        "type": "object",
        "properties": {
            "summary": {"type": "string"},
            "run": {"type": "object"},
            "failure": {"type": "object"},
            "exchange": {"type": "object"},
            "inputs": {"type": "object"},
            "state": {"type": "object"},
            "lastGood": {"type": "object"},
            "likely": {"type": "array", "items": {"type": "string"}},
            "steps": {"type": "array", "items": {"type": "object"}},
            "cost": {"type": "object"},
            "damage": {"type": "string"},
            "leftOut": {"type": "array", "items": {"type": "string"}},
            "next": {"type": "string"},
        },
        "required": ["summary", "run"],
    },
    _explain_run,
)
