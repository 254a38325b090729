"""The history as resources: what a `callslip://` address answers.

The same readers stand behind the history tools, so both always say the same.
"""

from collections.abc import Collection, Mapping
from dataclasses import replace
from functools import partial

from server.connections import UnknownSystemError
from server.decoded import DECODED_HERE_BYTES, decoded
from server.mcp_surface.too_large import has_large_data, is_too_large, without_large_data
from server.mcp_surface.uris import Address, parse_uri, run_uri
from server.reading import ReadingError, keep_fields, read_part
from server.run_queries import (
    RUN_FILTERS,
    BadParameterError,
    chosen_view,
    refuse_unknown,
    request_sources,
    started_after,
    wanted_nodes,
)
from server.service import Service, UnknownRunError, UnknownToolError
from server.views import tool_view
from server.workflow_view import workflow_view
from storage.run_lists import RunFilter
from storage.run_record import StoredRun
from storage.search import SearchError
from tools.decoders import StoredFile
from tools.json_pieces import weighs_much
from tools.json_text import Json, JsonObject
from tools.run import RunStatus
from tools.threads import run_in_thread

__all__ = [
    "BadParameterError",
    "NotFoundError",
    "read_resource",
    "read_results",
    "read_step",
    "run_page",
]

#: The forms in which one record can be read.
VIEWS = ("tool", "workflow")
DEFAULT_PAGE = 50
MAX_PAGE = 100
#: With one of these a part of a result is read, as a page.
_PLACES = frozenset({"path", "offset", "limit"})


class NotFoundError(Exception):
    """There is nothing at this address."""


async def read_resource(service: Service, uri: str) -> Json | StoredFile:
    """What an address answers: JSON, or the bytes of a file.

    Raises `NotFoundError`, `BadParameterError`.
    """
    address = parse_uri(uri)
    if address is None:
        raise NotFoundError(f"{uri} is not a callslip:// address")
    try:
        return await _read(service, address, uri)
    except (UnknownRunError, UnknownSystemError, UnknownToolError) as error:
        raise NotFoundError(str(error)) from None


async def _read(service: Service, address: Address, uri: str) -> Json | StoredFile:
    match address.segments:
        case ("runs",):
            return await run_page(service, address.parameters)
        case ("runs", run_id):
            return await _read_run(service, run_id, address.parameters)
        case ("runs", run_id, "results"):
            refuse_unknown(address.parameters, _PLACES | {"fields"}, "a result")
            return await read_results(service, run_id, address.parameters)
        case ("runs", run_id, "steps", step_id):
            refuse_unknown(address.parameters, _PLACES, "a step")
            return await read_step(service, run_id, step_id, address.parameters)
        case ("runs", run_id, "files", key):
            refuse_unknown(address.parameters, (), "a file")
            return await service.get_file(run_id, key)
        case ("systems", system_id):
            refuse_unknown(address.parameters, {"environment"}, "a system")
            environment = address.parameters.get("environment", "prod")
            if environment not in ("prod", "dev"):
                raise BadParameterError(f"environment is {environment!r}; valid: prod, dev")
            return (await service.connections.get(system_id, environment)).wire()
        case ("tools", tool_id):
            refuse_unknown(address.parameters, (), "a tool")
            return (await service.tools.get(tool_id)).definition
        case _:
            raise NotFoundError(f"nothing is at {uri}")


async def _read_run(service: Service, run_id: str, parameters: Mapping[str, str]) -> JsonObject:
    """One record in the view asked for; `nodeIds` asks for the workflow view."""
    refuse_unknown(parameters, {"view", "summary", "nodeIds"}, "a run")
    node_ids = parameters.get("nodeIds")
    given = _choice(parameters, "view", VIEWS, "") if "view" in parameters else None
    # Here a summary trims the view asked for; it does not choose one.
    view = chosen_view(given, node_ids, "tool")
    summary = _choice(parameters, "summary", ("true", "false"), "false") == "true"
    run = await service.get_run(run_id)
    shown = run if summary else await _bounded(run)
    if view == "tool":
        record = tool_view(shown, summary=summary)
    else:
        record = workflow_view(shown, summary=summary, node_ids=wanted_nodes(node_ids))
    if shown is not run:
        record["next"] = (
            f"large data is left out; {run_uri(run_id)}/results and /steps/{{stepId}} with "
            "path, offset and limit read it in parts"
        )
    return record


async def _bounded(run: StoredRun) -> StoredRun:
    """The run without large data; what is shown of its result is decoded."""
    leave_out = partial(without_large_data, run)
    shown = await run_in_thread(leave_out) if weighs_much(run.steps) else leave_out()
    return await decoded(shown)


async def run_page(service: Service, parameters: Mapping[str, Json]) -> JsonObject:
    """`{data, page, limit, total, hasMore}`, newest first. Raises `BadParameterError`."""
    refuse_unknown(parameters, {*RUN_FILTERS, "page", "limit"}, "runs")
    page = _number(parameters, "page", 1)
    limit = min(_number(parameters, "limit", DEFAULT_PAGE), MAX_PAGE)
    wanted = RunFilter(
        tool_id=parameters.get("toolId") or None,
        status=_status(parameters.get("status")),
        request_sources=request_sources(parameters.get("requestSources")),
        search=parameters.get("search") or None,
        started_after=started_after(parameters.get("startedAfter")),
    )
    try:
        found = await service.list_runs(wanted, limit=limit, offset=(page - 1) * limit)
    except SearchError as error:
        raise BadParameterError(str(error)) from None
    return {
        "data": [tool_view(run, with_data=False) for run in found.runs],
        "page": page,
        "limit": limit,
        "total": found.total,
        "hasMore": found.has_more,
    }


async def read_results(service: Service, run_id: str, parameters: Mapping[str, Json]) -> Json:
    """The bare result of a run, or with parameters a part of it.

    Raises `UnknownRunError`, `NotFoundError` when there is no result, `BadParameterError`.
    """
    is_part = bool(_PLACES & parameters.keys())
    run = await service.get_run(run_id, with_steps=False, with_large=is_part)
    if run.status is RunStatus.RUNNING:
        raise NotFoundError(f"run {run_id} is still running; wait for it with get_run")
    if not is_part and (run.result_uri is not None or is_too_large(run)):
        place = "" if run.result_uri is None else f", or open {run.result_uri}"
        raise BadParameterError(
            f"the result of run {run_id} has {run.result_bytes:,} bytes, too many to be read "
            f"whole: add path, offset or limit{place}"
        )
    if run.result is None and run.status is RunStatus.SUCCESS:
        raise NotFoundError(f"the result of run {run_id} cannot be read ({run.damage})")
    if run.result is None:
        raise NotFoundError(f"run {run_id} {run.status}: {run.error}; it has no result")
    value = (await decoded(run)).data
    if is_part:
        return await _part(value, parameters, run.result.size)
    return keep_fields(value, _fields(parameters))


async def read_step(
    service: Service, run_id: str, step_id: str, parameters: Mapping[str, Json]
) -> Json:
    """The record of a step, or with parameters a part of its data.

    Raises `UnknownRunError`, `NotFoundError`, `BadParameterError`.
    """
    run = await service.get_run(run_id, with_large=bool(_PLACES & parameters.keys()))
    step = next((step for step in run.steps if step.get("stepId") == step_id), None)
    if step is None:
        known = ", ".join(str(step.get("stepId")) for step in run.steps) or "none"
        raise NotFoundError(f"run {run_id} has no step {step_id}; it has: {known}")
    if _PLACES & parameters.keys():
        return await _part(step.get("data"), parameters, None)
    if has_large_data(step):
        raise BadParameterError(
            f"the data of step {step_id} is too large to be read whole: add path, offset or limit"
        )
    return without_large_data(replace(run, steps=[step])).steps[0]


async def _part(value: Json, parameters: Mapping[str, Json], size: int | None) -> JsonObject:
    read = partial(
        read_part,
        value,
        path=parameters.get("path"),
        fields=_fields(parameters),
        offset=_number(parameters, "offset", 0) if "offset" in parameters else None,
        limit=_number(parameters, "limit", 1) if "limit" in parameters else None,
        pages_texts=True,
    )
    try:
        if size is not None and size <= DECODED_HERE_BYTES:
            return read()
        # Others are served meanwhile; a cancelled reading ends by itself, within its bounds.
        return await run_in_thread(read, abandon_on_cancel=True)
    except ReadingError as error:
        raise BadParameterError(str(error)) from None


def _fields(parameters: Mapping[str, Json]) -> list[str] | None:
    fields = parameters.get("fields")
    if isinstance(fields, str):
        return [field.strip() for field in fields.split(",") if field.strip()]
    return fields


def _choice(parameters: Mapping[str, str], name: str, valid: Collection[str], default: str) -> str:
    value = parameters.get(name, default)
    if value not in valid:
        raise BadParameterError(f"{name} is {value!r}; valid: {', '.join(valid)}")
    return value


def _number(parameters: Mapping[str, Json], name: str, default: int) -> int:
    value = parameters.get(name, default)
    lowest = 0 if name == "offset" else 1
    try:
        number = int(value)
    except (TypeError, ValueError):
        number = lowest - 1
    if number < lowest or number > 2**53:
        raise BadParameterError(f"{name} is {value!r}; valid is a whole number from {lowest}")
    return number


def _status(value: Json) -> RunStatus | None:
    if not value:
        return None
    try:
        return RunStatus(value)
    except ValueError:
        valid = ", ".join(RunStatus)
        raise BadParameterError(f"status is {value!r}; valid: {valid}") from None
