"""`compare_runs`: what differs between two runs."""

from server.comparison import shortened_comparison
from server.mcp_surface.history_tools.tool import RUN_ID, fits, history_tool
from server.mcp_surface.own_tool import OwnToolError
from server.service import Service, UnknownRunError
from tools.json_text import JsonObject

__all__ = ["COMPARE_RUNS"]

#: What `next` and the marks of a shortened answer take.
_RESERVED_CHARACTERS = 500


async def _compare_runs(service: Service, arguments: JsonObject, inline_limit: int) -> JsonObject:
    a, b = arguments["a"], arguments["b"]
    try:
        comparison = await service.compare_runs(a, b)
    except UnknownRunError as error:
        raise OwnToolError(f"{error}; list_runs shows the recorded ones") from None
    if fits(comparison, inline_limit):
        return comparison
    short = shortened_comparison(comparison, inline_limit - _RESERVED_CHARACTERS)
    short["next"] = (
        "there are more differences than fit; read_result with the path of a change "
        "reads that place of either result, get_run shows the steps of either run"
    )
    if not fits(short, inline_limit):
        kept = ("a", "b", "same", "next")
        short = {"summary": short["summary"][:3], **{name: short[name] for name in kept}}
    return short


_DIFFERENCE: JsonObject = {
    "type": "object",
    "properties": {
        "changes": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "path": {"type": "string", "description": "JSONPath; works in read_result."},
                    "change": {"enum": ["added", "removed", "changed", "reordered"]},
                    "before": {"description": "The value in a, shortened when long."},
                    "after": {"description": "The value in b, shortened when long."},
                },
                "required": ["path", "change"],
            },
        },
        "total": {"type": "integer"},
        "truncated": {"type": "boolean"},
    },
    "required": ["changes", "total", "truncated"],
}

COMPARE_RUNS = history_tool(
    "compare_runs",
    "Compare two runs",
    "Says what differs between two recorded runs: outcome, tool definition, inputs, options, each "
    "step with the first request that differs, timing, cost, and the results as a list of changes "
    "by JSONPath. Read `summary` first; what is equal is only named in `same`. Use it for `why did "
    "it work yesterday` and `what is new in this result`; give the older run as a. It sends "
    "nothing upstream.",
    {
        "a": {**RUN_ID, "description": "The id of the run to compare with, usually the older."},
        "b": {**RUN_ID, "description": "The id of the run that is of interest."},
    },
    ["a", "b"],
    {
        "type": "object",
        "properties": {
            "summary": {"type": "array", "items": {"type": "string"}},
            "a": {"type": "object"},
            "b": {"type": "object"},
            "same": {"type": "array", "items": {"type": "string"}},
            "outcome": {"type": "object"},
            "tool": _DIFFERENCE,
            "inputs": _DIFFERENCE,
            "options": _DIFFERENCE,
            "result": _DIFFERENCE,
            "steps": {"type": "array", "items": {"type": "object"}},
            "timing": {"type": "object"},
            "cost": {"type": "object"},
            "shortened": {"type": "boolean"},
            "next": {"type": "string"},
        },
        "required": ["summary", "a", "b", "same"],
    },
    _compare_runs,
)
