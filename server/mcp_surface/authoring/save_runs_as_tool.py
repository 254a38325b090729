"""`save_runs_as_tool`: what was tried in several runs becomes one tool."""

from server.joining_runs import JoinError, join_runs
from server.mcp_surface.authoring.save_tool import SAVED_SCHEMA, save
from server.mcp_surface.authoring.tool import Asking, authoring_tool
from server.mcp_surface.own_tool import OwnToolError
from server.service import Service, UnknownRunError
from tools.json_text import JsonObject

__all__ = ["SAVE_RUNS_AS_TOOL"]


async def _save_runs_as_tool(service: Service, arguments: JsonObject, asking: Asking) -> JsonObject:
    try:
        runs = [await service.get_run(run_id) for run_id in arguments["runIds"]]
        joined = join_runs(
            runs, arguments["id"], arguments.get("instruction"), arguments.get("outputTransform")
        )
    except UnknownRunError as error:
        raise OwnToolError(f"{error}; list_runs shows the recorded ones") from None
    except JoinError as error:
        raise OwnToolError(str(error)) from None
    saved = await save(service, joined.definition, asking)
    return {**saved, "definition": joined.definition, "notes": list(joined.notes)}


SAVE_RUNS_AS_TOOL = authoring_tool(
    "save_runs_as_tool",
    "Save runs as a tool",
    "Makes one tool of the steps of recorded runs, in the order given: try requests one by one "
    "with try_tool, then save those that worked. Inputs of all of them become its inputs, with "
    "the recorded values as examples unless they look secret. Runs that failed or were dry are "
    "refused. `notes` says which steps got another id and what is left out.",
    {
        "runIds": {
            "type": "array",
            "items": {"type": "string", "minLength": 1},
            "minItems": 1,
            "maxItems": 20,
        },
        "id": {"type": "string", "description": "The id of the tool to make."},
        "instruction": {"type": "string", "description": "What it does, for those who call it."},
        "outputTransform": {
            "type": "string",
            "description": "JavaScript for the result, over inputs and step results by id. Steps "
            "of one id get numbers in the order of the runs: response, response2.",
        },
    },
    ["runIds", "id"],
    _save_runs_as_tool,
    output={
        **SAVED_SCHEMA,
        "properties": {
            **SAVED_SCHEMA["properties"],
            "notes": {"type": "array", "items": {"type": "string"}},
        },
    },
)
