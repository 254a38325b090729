"""Completions for the variables of the resource templates."""

from collections.abc import Mapping
from typing import cast

from server.decoded import decoded
from server.service import Service, UnknownRunError
from storage.run_lists import RunFilter
from tools.json_text import Json, JsonObject
from tools.run import RequestSource, RunStatus, rfc3339

__all__ = ["completion"]

#: The protocol allows no more in one answer.
_SHOWN = 100
#: Ids of runs are proposed from the newest ones.
_NEWEST_RUNS = 1000
_CONSTANTS = {
    "status": tuple(RunStatus),
    "requestSources": tuple(RequestSource),
    "view": ("tool", "workflow"),
    "summary": ("true", "false"),
    "environment": ("prod", "dev"),
    "page": ("1", "2", "3"),
    "limit": ("20", "50", "100"),
    "offset": ("0", "100"),
    "path": ("$", "$[0]", "$[0:20]"),
}


async def completion(
    service: Service, variable: str, start: str, known: Mapping[str, str]
) -> JsonObject:
    """`{completion}` with the values of a variable of a resource template that begin with `start`.

    `known` are variables chosen before.
    """
    values = await _values(service, variable, start, known)
    return {
        "completion": {
            "values": values[:_SHOWN],
            "total": len(values),
            "hasMore": len(values) > _SHOWN,
        }
    }


async def _values(
    service: Service, variable: str, start: str, known: Mapping[str, str]
) -> list[str]:
    values = _CONSTANTS.get(variable) or await _stored(service, variable, known)
    if variable == "requestSources":
        # A list: what stands before the last comma stays.
        chosen, comma, start = start.rpartition(",")
        return [f"{chosen}{comma}{one}" for one in values if one.startswith(start)]
    return [one for one in values if one.startswith(start)]


async def _stored(service: Service, variable: str, known: Mapping[str, str]) -> list[str]:
    match variable:
        case "toolId":
            return service.catalog.ids()
        case "systemId":
            return sorted(await service.connections.store.ids())
        case "runId":
            wanted = RunFilter(tool_id=known.get("toolId"))
            page = await service.list_runs(wanted, limit=_NEWEST_RUNS)
            return [run.run_id for run in page.runs]
        case "startedAfter":
            page = await service.list_runs(RunFilter(), limit=_SHOWN)
            return [rfc3339(run.started_at) for run in page.runs]
        case "stepId" | "nodeIds" | "key" | "fields":
            return await _of_run(service, variable, known.get("runId"))
        case _:
            return []


async def _of_run(service: Service, variable: str, run_id: str | None) -> list[str]:
    if run_id is None:
        return []
    try:
        run = await service.get_run(run_id)
    except UnknownRunError:
        return []
    if variable == "key":
        return [file["key"] for step in run.steps for file in step.get("files", ())]
    if variable == "fields":
        return _keys_of((await decoded(run)).data)
    steps = [str(step.get("stepId")) for step in run.steps]
    return ["root", *steps] if variable == "nodeIds" else steps


def _keys_of(value: Json) -> list[str]:
    if isinstance(value, list) and value:
        value = cast("list[Json]", value)[0]
    return list(cast("JsonObject", value)) if isinstance(value, dict) else []
