"""`/v1/runs`: the history, in both views, and what can be done with a run."""

from collections.abc import Collection
from typing import Annotated, Literal, cast
from urllib.parse import quote

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from server.callers import CallersService
from server.decoded import decoded
from server.reruns import RerunRequest
from server.rest.answers import BadRequestError, JsonAnswer, list_answer, run_answer
from server.rest.asking import Asked, JsonRoute, Page, needs, trace_id_of
from server.rest.shapes import (
    ErrorBody,
    FileDownload,
    FileList,
    RerunBody,
    RunList,
    RunOptionsBody,
    RunResultsAnswer,
    RunView,
    StepView,
    WorkflowEnvelope,
)
from server.rest.tools import check_webhook, options_of, published_run, run_view
from server.run_facts import list_in
from server.run_queries import (
    RUN_FILTERS,
    chosen_view,
    refuse_unknown,
    request_sources,
    started_after,
    wanted_nodes,
)
from server.service import UnknownRunError
from server.views import tool_view
from server.workflow_view import workflow_envelope, workflow_view
from storage.api_keys import Scope
from storage.run_lists import RunFilter
from storage.run_record import StoredRun
from tools.json_text import JsonObject
from tools.run import RunStatus, rfc3339

__all__ = ["runs"]

WORKFLOW_MEDIA_TYPE = "application/vnd.workflow-run+json"
#: Filters of the published client that no index answers; without them a list would say too much.
_UNSERVED_FILTERS = ("executionKinds", "searchUserIds", "systemId", "userId")
#: The published client asks for a total, which there always is; a key may stand in the address.
_PASSED_OVER = ("includeTotal", "token", *_UNSERVED_FILTERS)
#: How long a cancelled run of another process is waited for.
_CANCEL_SECONDS = 5.0

runs = APIRouter(prefix="/v1/runs", tags=["runs"], route_class=JsonRoute)
_reads = needs(Scope.READ)


@runs.get("", dependencies=[_reads], response_model=RunList)
async def list_runs(
    request: Request,
    asked: Asked,
    page: Annotated[Page, Page.of(default=50, most=100)],
    tool_id: Annotated[str | None, Query(alias="toolId")] = None,
    status: RunStatus | None = None,
    sources: Annotated[
        str | None, Query(alias="requestSources", description="Comma-separated.")
    ] = None,
    search: Annotated[str | None, Query(description="Words of inputs, error, result.")] = None,
    after: Annotated[str | None, Query(alias="startedAfter", description="RFC 3339.")] = None,
) -> JsonAnswer:
    """List runs, newest first, without results and step results."""
    given = [name for name in request.query_params if name not in _PASSED_OVER]
    refuse_unknown(given, (*RUN_FILTERS, "page", "limit"), "runs")
    for name in _UNSERVED_FILTERS:
        if request.query_params.get(name):
            raise BadRequestError(f"{name} is no filter here; valid: {', '.join(RUN_FILTERS)}")
    wanted = RunFilter(
        tool_id=tool_id or None,
        status=status,
        request_sources=request_sources(sources),
        search=search or None,
        started_after=started_after(after),
    )
    found = await asked.list_runs(wanted, limit=page.limit, offset=page.offset)
    shown = [published_run(tool_view(run, with_data=False)) for run in found.runs]
    return list_answer(shown, page.page, page.limit, found.total, has_more=found.has_more)


@runs.get(
    "/{run_id}",
    dependencies=[_reads],
    response_model=RunView | WorkflowEnvelope,
    responses={
        200: {"content": {WORKFLOW_MEDIA_TYPE: {}}},
        # The workflow view has errors of its own.
        404: {"model": ErrorBody | WorkflowEnvelope, "description": "There is no such run."},
    },
)
async def get_run(
    request: Request,
    asked: Asked,
    run_id: str,
    view: Literal["tool", "workflow"] | None = None,
    summary: bool | None = None,
    node_ids: Annotated[str | None, Query(alias="nodeIds")] = None,
) -> Response:
    """A run as a tool's steps, or as a workflow: by `view`, `summary`, `nodeIds` or Accept."""
    accepts = WORKFLOW_MEDIA_TYPE in request.headers.get("accept", "")
    asks_workflow = accepts or summary is not None
    if chosen_view(view, node_ids, "workflow" if asks_workflow else "tool") == "tool":
        run = await asked.get_run(run_id)
        shown = run if summary else await decoded(run)
        return run_answer(published_run(tool_view(shown, summary=summary or False)))
    answer = await _workflow(request, asked, run_id, summary or False, wanted_nodes(node_ids))
    if accepts:
        answer.headers["content-type"] = WORKFLOW_MEDIA_TYPE
    return answer


async def _workflow(
    request: Request,
    asked: CallersService,
    run_id: str,
    summary: bool,
    node_ids: Collection[str] | None,
) -> Response:
    trace_id = trace_id_of(request)
    try:
        run = await asked.get_run(run_id)
    except UnknownRunError as error:
        return JsonAnswer(workflow_envelope(404, None, str(error), trace_id), 404)
    shown = run if summary else await decoded(run)
    view = workflow_view(shown, summary=summary, node_ids=node_ids)
    return run_answer(workflow_envelope(200, view, "OK", trace_id))


@runs.post("/{run_id}/cancel", dependencies=[needs(Scope.RUN)], response_model=RunView)
async def cancel_run(request: Request, asked: Asked, run_id: str) -> Response:
    """End a run that is under way; 400 when it has ended."""
    if not await asked.cancel_run(run_id, "cancelled by the client"):
        run = await asked.get_run(run_id, with_steps=False)
        raise BadRequestError(f"run {run_id} has ended: {run.status}")
    await asked.wait_for_run(run_id, _CANCEL_SECONDS)
    return run_answer(await run_view(request, asked, run_id))


@runs.post(
    "/{run_id}/rerun",
    dependencies=[needs(Scope.RUN)],
    response_model=RunView,
    responses={202: {"model": RunView, "description": "The run goes on."}},
)
async def rerun_run(
    request: Request, asked: Asked, run_id: str, body: RerunBody | None = None
) -> Response:
    """Make a recorded run again; the answer is the new run."""
    if "idempotency-key" in request.headers:
        raise BadRequestError(
            "Idempotency-Key: a rerun takes none, since each is a run of its own; leave it out"
        )
    body = body or RerunBody()
    options = body.options or RunOptionsBody()
    if options.webhook_url is not None:
        recorded = await asked.get_run(run_id, with_steps=False)
        await check_webhook(asked, recorded.tool_id, options)
    if None not in (body.mode, options.execution) and body.mode != options.execution:
        raise BadRequestError(
            f"mode is {body.mode} and options.execution is {options.execution}; give one of them"
        )
    client = options.client_info
    rerun = await asked.rerun(
        RerunRequest(
            run_id,
            options.source(),
            body.inputs or {},
            body.from_failed_step or False,
            body.version or "snapshot",
            body.mode or options.execution,
            body.credentials or {},
            options_of(request, options),
            is_async=options.run_async or False,
            webhook_target=options.webhook_url,
            client_name=client.name if client is not None else None,
            client_version=client.version if client is not None else None,
            traceparent=request.headers.get("traceparent"),
        )
    )
    if not options.run_async:
        await rerun.run.done.wait()
        rerun.run.ended()
    view = await run_view(request, asked, rerun.run.run_id)
    view["rerun"] = {
        "takenSteps": list(rerun.plan.taken),
        "stepsRunAgain": [
            {"stepId": one.step_id, "reason": one.reason} for one in rerun.plan.run_again
        ],
    }
    return run_answer(view, 202 if options.run_async else 200)


@runs.get("/{run_id}/results", dependencies=[_reads], response_model=RunResultsAnswer)
async def get_results(
    asked: Asked, run_id: str, truncate: Literal["true", "false"] = "false"
) -> Response:
    """The result and the step results in full, wherever they lie.

    With `truncate` a result that lies outside the database is left out.
    """
    run = await asked.get_run(run_id, with_large=truncate == "false")
    if run.status is RunStatus.RUNNING:
        return JsonAnswer({"success": False, "message": f"run {run_id} is still running"})
    is_success = run.status is RunStatus.SUCCESS
    data: JsonObject = {
        "runId": run_id,
        "success": is_success,
        "stepResults": run.steps,
        "toolPayload": run.inputs or {},
        "storedAt": rfc3339(run.completed_at or run.started_at),
    }
    if run.error is not None:
        data["error"] = run.error
    if is_success and run.result is not None:
        data["data"] = (await decoded(run)).data
    return run_answer({"success": True, "data": data})


@runs.get("/{run_id}/steps/{step_id}", dependencies=[_reads], response_model=StepView)
async def get_step(asked: Asked, run_id: str, step_id: str) -> Response:
    """What one step did, with its requests."""
    run = await asked.get_run(run_id, with_large=True)
    for step in run.steps:
        if step.get("stepId") == step_id:
            return run_answer(step)
    known = ", ".join(str(step.get("stepId")) for step in run.steps) or "none"
    raise UnknownRunError(f"step {step_id} of run {run_id} not found; it has: {known}")


@runs.get("/{run_id}/files", dependencies=[_reads], response_model=FileList)
async def list_files(request: Request, asked: Asked, run_id: str) -> JsonAnswer:
    """The binary answers that a run kept."""
    run = await asked.get_run(run_id)
    return JsonAnswer({"fileArtifacts": [_file(request, run_id, one) for one in _files_of(run)]})


@runs.get("/{run_id}/files/{key}/download", dependencies=[_reads], response_model=FileDownload)
async def locate_file(request: Request, asked: Asked, run_id: str, key: str) -> JsonAnswer:
    """Where a file can be had: an address of this server, with the same key."""
    for file in _files_of(await asked.get_run(run_id)):
        if file.get("key") == key:
            return JsonAnswer({"success": True, **_file(request, run_id, file)})
    raise UnknownRunError(f"file {key} of run {run_id} not found")


@runs.get(
    "/{run_id}/files/{key}",
    dependencies=[_reads],
    response_class=Response,
    responses={200: {"content": {"application/octet-stream": {}}}},
)
async def get_file(asked: Asked, run_id: str, key: str) -> Response:
    """The bytes of a file."""
    file = await asked.get_file(run_id, key)
    # What an upstream sent is saved, never shown as a page of this server.
    headers = {
        "content-disposition": f"attachment; filename*=UTF-8''{quote(file.name, safe='')}",
        "x-content-type-options": "nosniff",
        "content-security-policy": "sandbox",
    }
    media_type = file.content_type if file.content_type.isascii() else "application/octet-stream"
    return Response(file.data, media_type=media_type, headers=headers)


def _files_of(run: StoredRun) -> list[JsonObject]:
    return [
        cast("JsonObject", file)
        for step in run.steps
        for file in list_in(step, "files")
        if isinstance(file, dict)
    ]


def _file(request: Request, run_id: str, file: JsonObject) -> JsonObject:
    key = str(file.get("key"))
    place = f"v1/runs/{quote(run_id, safe='')}/files/{quote(key, safe='')}"
    return {
        "fileKey": key,
        "filename": file.get("name", key),
        "contentType": file.get("contentType", "application/octet-stream"),
        "size": file.get("size", 0),
        "downloadUrl": f"{request.base_url}{place}",
    }
