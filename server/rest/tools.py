"""`/v1/tools`: stored tools, their versions, and running them."""

from typing import Annotated

from fastapi import APIRouter, Header, Path, Query, Request
from starlette.responses import Response

from server.active_run import Derivation, RunRequest
from server.callers import CallersService, NotAllowedError
from server.catalog import CatalogEntry
from server.decoded import decoded
from server.rest.answers import (
    BadRequestError,
    JsonAnswer,
    error_answer,
    list_answer,
    run_answer,
    without_nulls,
)
from server.rest.asking import Asked, JsonRoute, Page, needs
from server.rest.shapes import (
    Deleted,
    RenameBody,
    RunBody,
    RunOptionsBody,
    RunView,
    ToolDefinition,
    ToolDifference,
    ToolFields,
    ToolList,
    ToolVersions,
    UnsavedRunBody,
)
from server.views import tool_view
from server.webhooks import WebhookError, check_target
from storage.api_keys import Scope
from storage.tools import StoredTool, ToolVersion
from tools.check import CheckedTool
from tools.json_text import JsonObject
from tools.run import RunOptions, rfc3339

__all__ = ["check_webhook", "options_of", "published_run", "run_view", "tools"]

#: Of definitions that are not stored.
_NO_VERSION = 0

VersionNumber = Annotated[int, Path(ge=1, le=2**31)]

#: Calls of one tool with the same key are one run.
IdempotencyKey = Annotated[str | None, Header(min_length=1, max_length=256)]

tools = APIRouter(prefix="/v1/tools", tags=["tools"], route_class=JsonRoute)


@tools.get("", dependencies=[needs(Scope.READ)], response_model=ToolList)
async def list_tools(
    asked: Asked,
    page: Annotated[Page, Page.of(default=100, most=1000)],
    include_archived: Annotated[bool, Query(alias="includeArchived")] = False,
) -> JsonAnswer:
    """List the stored tools, by id."""
    found = [
        stored.definition
        for stored in await asked.tools.all()
        if include_archived or not stored.definition.get("archived")
    ]
    shown = found[page.offset : page.offset + page.limit]
    data = [_tool(definition) for definition in shown]
    return list_answer(data, page.page, page.limit, len(found))


@tools.post("", dependencies=[needs(Scope.WRITE)], response_model=ToolDefinition, status_code=201)
async def add_tool(asked: Asked, body: ToolDefinition) -> JsonAnswer:
    """Store a new tool."""
    checked = await asked.tools.add(body.root)
    return await _stored(asked, checked, status=201)


@tools.post("/run", dependencies=[needs(Scope.WRITE)], response_model=RunView)
async def run_unsaved_tool(
    request: Request,
    asked: Asked,
    body: UnsavedRunBody,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Run a tool that is not stored; the run is recorded."""
    if asked.caller.is_narrowed:
        raise NotAllowedError("a key that is narrowed to some tools runs stored tools only")
    if idempotency_key is not None and "id" not in body.tool.root:
        raise BadRequestError(
            "Idempotency-Key: a key belongs to a tool, and this one has no id; give tool.id"
        )
    checked = await asked.tools.check(body.tool.root)
    if checked.definition is None or checked.id is None:
        return _refused(checked)
    definition = {"version": "1.0.0", **checked.definition}
    entry = CatalogEntry(StoredTool(checked.id, _NO_VERSION, 0, definition))
    derivation = Derivation(None, None, {checked.id: entry})
    return await _run(request, asked, checked.id, body, idempotency_key, derivation)


@tools.get("/{tool_id}", dependencies=[needs(Scope.READ)], response_model=ToolDefinition)
async def get_tool(asked: Asked, tool_id: str) -> JsonAnswer:
    """A stored tool."""
    return JsonAnswer(_tool((await asked.tools.get(tool_id)).definition))


@tools.put("/{tool_id}", dependencies=[needs(Scope.WRITE)], response_model=ToolDefinition)
async def change_tool(asked: Asked, tool_id: str, body: ToolFields) -> JsonAnswer:
    """Put the fields given in place of those of a tool."""
    if body.root.get("id", tool_id) != tool_id:
        raise BadRequestError(
            f"the id in the body is not the one in the address; POST /v1/tools/{tool_id}/rename "
            "changes it"
        )
    return await _stored(asked, await asked.tools.change(tool_id, body.root))


@tools.delete("/{tool_id}", dependencies=[needs(Scope.WRITE)], response_model=Deleted)
async def remove_tool(asked: Asked, tool_id: str) -> JsonAnswer:
    """Remove a tool; its runs and versions stay."""
    await asked.tools.remove(tool_id)
    return JsonAnswer({"success": True})


@tools.post("/{tool_id}/rename", dependencies=[needs(Scope.WRITE)], response_model=ToolDefinition)
async def rename_tool(asked: Asked, tool_id: str, body: RenameBody) -> JsonAnswer:
    """Give a tool another id; its runs keep the old one."""
    return await _stored(asked, await asked.tools.rename(tool_id, body.new_id))


@tools.get("/{tool_id}/versions", dependencies=[needs(Scope.READ)], response_model=ToolVersions)
async def list_versions(asked: Asked, tool_id: str) -> JsonAnswer:
    """All versions of a tool, the newest first; of a removed tool too."""
    versions = await asked.tools.versions(tool_id)
    removals = await asked.tools.removals(tool_id)
    return JsonAnswer(
        {
            "data": [_version(version) for version in versions],
            "removals": [removal.wire() for removal in removals],
        }
    )


@tools.get(
    "/{tool_id}/versions/{number}/compare/{other}",
    dependencies=[needs(Scope.READ)],
    response_model=ToolDifference,
)
async def compare_versions(
    asked: Asked, tool_id: str, number: VersionNumber, other: VersionNumber
) -> JsonAnswer:
    """What is different between two versions of a tool, from the first to the second."""
    return JsonAnswer(await asked.tools.compare(tool_id, number, other))


@tools.post(
    "/{tool_id}/versions/{number}/restore",
    dependencies=[needs(Scope.WRITE)],
    response_model=ToolDefinition,
)
async def restore_version(asked: Asked, tool_id: str, number: VersionNumber) -> JsonAnswer:
    """Make an earlier version the newest one; brings a removed tool back."""
    await asked.tools.restore(tool_id, number)
    return JsonAnswer(_tool((await asked.tools.get(tool_id)).definition))


@tools.post(
    "/{tool_id}/run",
    dependencies=[needs(Scope.RUN)],
    response_model=RunView,
    responses={202: {"model": RunView, "description": "The run goes on."}},
)
async def run_tool(
    request: Request,
    asked: Asked,
    tool_id: str,
    body: RunBody | None = None,
    idempotency_key: IdempotencyKey = None,
) -> Response:
    """Run a tool. The answer is 200 when the run failed, too: `status` says how it ended."""
    return await _run(request, asked, tool_id, body or RunBody(), idempotency_key)


async def _run(
    request: Request,
    asked: CallersService,
    tool_id: str,
    body: RunBody,
    idempotency_key: str | None,
    derivation: Derivation | None = None,
) -> Response:
    chosen = body.options or RunOptionsBody()
    await check_webhook(asked, tool_id, chosen)
    client = chosen.client_info
    run = await asked.start(
        RunRequest(
            tool_id,
            body.inputs or {},
            chosen.source(),
            options_of(request, chosen),
            body.credentials or {},
            run_id=body.run_id,
            idempotency_key=idempotency_key,
            client_name=client.name if client is not None else None,
            client_version=client.version if client is not None else None,
            derivation=derivation,
            is_async=chosen.run_async or False,
            webhook_target=chosen.webhook_url,
            traceparent=request.headers.get("traceparent"),
        )
    )
    if not chosen.run_async:
        # A client that goes away does not end its run: the record keeps the result for it.
        await run.done.wait()
        run.ended()
    view = await run_view(request, asked, run.run_id)
    return run_answer(view, 202 if chosen.run_async else 200)


def options_of(request: Request, chosen: RunOptionsBody) -> RunOptions:
    """The options of a run: its trace is the one named there, else that of the request."""
    options = chosen.options()
    if options.trace_id is None and request.state.given_trace_id is not None:
        return options.model_copy(update={"trace_id": request.state.given_trace_id})
    return options


async def check_webhook(asked: CallersService, tool_id: str, options: RunOptionsBody) -> None:
    """Raises `BadRequestError` unless this caller may have the target told of runs of the tool."""
    if options.webhook_url is None:
        return
    # A tool that the caller is not shown is one that is not there.
    shown = [one.id for one in await asked.tools.all()]
    try:
        check_target(options.webhook_url, tool_id, shown)
    except WebhookError as error:
        raise BadRequestError(f"options.{error}") from None


async def run_view(request: Request, asked: CallersService, run_id: str) -> JsonObject:
    """A run in full, however large its result is; the answer carries its trace."""
    view = tool_view(await decoded(await asked.get_run(run_id, with_large=True)))
    request.state.trace_id = view.get("traceId", request.state.trace_id)
    return published_run(view)


def published_run(view: JsonObject) -> JsonObject:
    """A tool view as clients read it: its tool has a list of steps, be it empty."""
    tool: JsonObject | None = view.get("tool")
    return view if tool is None else {**view, "tool": _tool(tool)}


async def _stored(asked: CallersService, checked: CheckedTool, status: int = 200) -> JsonAnswer:
    """The tool as it is stored now, or why it was refused."""
    if checked.definition is None:
        return _refused(checked)
    stored = await asked.tools.get(str(checked.definition["id"]))
    return JsonAnswer(_tool(stored.definition), status)


def _refused(checked: CheckedTool) -> JsonAnswer:
    details = [problem.wire() for problem in checked.problems]
    first = "; ".join(str(problem) for problem in checked.errors[:3])
    return error_answer(400, f"the tool is refused: {first}", "invalid_tool", details)


def _tool(definition: JsonObject) -> JsonObject:
    return {"steps": [], **without_nulls(definition)}


def _version(version: ToolVersion) -> JsonObject:
    definition = version.definition
    return without_nulls(
        {
            "versionNumber": version.version_number,
            "createdAt": rfc3339(version.created_at),
            "version": (definition or {}).get("version"),
            "changedBy": version.changed_by,
            "clientName": version.client_name,
            "definition": None if definition is None else _tool(definition),
        }
    )
