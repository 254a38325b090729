"""`tools/call` of a stored tool: arguments in, one run, its answer out."""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp.server.context import ServerRequestContext
from pydantic import ValidationError

from server.active_run import ActiveRun, JoinedRun, RunRequest
from server.mcp_surface.published import PublishedTool
from server.mcp_surface.uris import run_uri
from server.rendering import AnswerContext, render_error, render_handle, render_result
from server.service import (
    ArchivedToolError,
    IdempotencyConflictError,
    Service,
    UnknownToolError,
)
from storage.errors import RunExistsError, StorageError
from tools.context import RunEvent
from tools.errors import ErrorDetail, ErrorKind
from tools.json_text import JsonObject
from tools.run import RequestSource, RunOptions, RunStatus

__all__ = ["answer_run", "call_stored_tool", "named_by_client"]

#: `resource_link` came with this version; clients of older ones refuse the whole answer.
_RESOURCE_LINKS_SINCE = "2025-06-18"
#: Progress that nobody takes is dropped, never waited for.
_PROGRESS_BUFFER = 64


async def call_stored_tool(
    service: Service,
    published: PublishedTool,
    arguments: JsonObject,
    context: ServerRequestContext[Any],
    *,
    idempotency_key: str | None = None,
) -> JsonObject:
    """The answer of a call. Cancelling it ends the run as `aborted`.

    `idempotency_key` is for callers that cannot set `_meta["callslip/idempotencyKey"]`.
    """
    try:
        request = _run_request(published, arguments, context)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, one['loc']))}: {one['msg']}"
            for one in error.errors(include_url=False)
        )
        return _refusal(f"callslip/options are not valid: {problems}")
    if idempotency_key:
        request = replace(request, idempotency_key=idempotency_key)
    return await answer_run(service, published, request, context)


async def answer_run(
    service: Service,
    published: PublishedTool,
    request: RunRequest,
    context: ServerRequestContext[Any],
) -> JsonObject:
    """Start a run and answer with its result, its error or a handle."""
    send, receive = anyio.create_memory_object_stream[RunEvent](_PROGRESS_BUFFER)
    with send, receive:
        return await _answer_run(service, published, request, context, send, receive)


async def _answer_run(
    service: Service,
    published: PublishedTool,
    request: RunRequest,
    context: ServerRequestContext[Any],
    send: MemoryObjectSendStream[RunEvent],
    receive: MemoryObjectReceiveStream[RunEvent],
) -> JsonObject:
    def on_event(event: RunEvent) -> None:
        # A run that was handed over goes on when nobody listens to it any more.
        with suppress(anyio.WouldBlock, anyio.ClosedResourceError, anyio.BrokenResourceError):
            send.send_nowait(event)

    wants_progress = _meta_of(context).get("progress_token") is not None
    if wants_progress:
        request = replace(request, on_event=on_event)
    try:
        active = await service.start(request)
    except (ArchivedToolError, UnknownToolError) as error:
        return _refusal(f"{error}; list the tools again")
    except IdempotencyConflictError as error:
        return _refusal(str(error))
    except RunExistsError as error:
        return _refusal(f"{error}; leave callslip/runId out, or choose another")
    except StorageError as error:
        detail = ErrorDetail(kind=ErrorKind.INTERNAL, retryable=True)
        return render_error(
            f"nothing was run, because it could not be recorded: {error}", detail, None
        )
    answer = _answer_context(service, published, active, context)
    return await _wait(service, active, answer, context, receive if wants_progress else None)


async def _wait(
    service: Service,
    active: ActiveRun | JoinedRun,
    answer: AnswerContext,
    context: ServerRequestContext[Any],
    events: Any,
) -> JsonObject:
    try:
        with anyio.move_on_after(service.settings.soft_deadline_seconds):
            if events is None:
                await active.done.wait()
            else:
                async with anyio.create_task_group() as group:
                    group.start_soon(_report, events, context)
                    await active.done.wait()
                    group.cancel_scope.cancel()
    except anyio.get_cancelled_exc_class():
        active.cancel("cancelled by the client")
        with anyio.CancelScope(shield=True), anyio.move_on_after(1):
            await active.done.wait()
        raise
    if not active.done.is_set():
        following = (
            f'the run goes on; call get_run (runId "{active.run_id}", wait_seconds 45) '
            "until its status is not running"
        )
        return render_handle(RunStatus.RUNNING, following, answer)
    try:
        outcome = active.ended()
    except StorageError as error:
        detail = ErrorDetail(kind=ErrorKind.INTERNAL)
        return render_error(f"the run ended, but its end is not recorded: {error}", detail, answer)
    if outcome.status is RunStatus.SUCCESS:
        return render_result(outcome, answer)
    return render_error(outcome.error or str(outcome.status), outcome.error_detail, answer)


async def _report(events: Any, context: ServerRequestContext[Any]) -> None:
    """Send progress on, each value above the one before as the protocol asks."""
    last = -1.0
    async for event in events:
        last = max(event.progress, last + 0.001)
        await context.session.report_progress(last, event.total, event.message)


def _run_request(
    published: PublishedTool,
    arguments: JsonObject,
    context: ServerRequestContext[Any],
) -> RunRequest:
    meta = _meta_of(context)
    options = RunOptions.model_validate(meta.get("callslip/options") or {})
    request = RunRequest(published.tool_id, arguments, RequestSource.MCP, options)
    return named_by_client(request, context)


def _meta_of(context: ServerRequestContext[Any]) -> Mapping[str, Any]:
    return context.meta or {}


def named_by_client(request: RunRequest, context: ServerRequestContext[Any]) -> RunRequest:
    """A run with the client's name, and the id and the key that its call gives it."""
    meta = _meta_of(context)
    client = context.session.client_params
    return replace(
        request,
        run_id=_text(meta.get("callslip/runId")),
        idempotency_key=_text(meta.get("callslip/idempotencyKey")),
        traceparent=_text(meta.get("traceparent")),
        client_name=client.client_info.name if client is not None else None,
        client_version=client.client_info.version if client is not None else None,
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _refusal(message: str) -> JsonObject:
    return render_error(message, ErrorDetail(kind=ErrorKind.INVALID_INPUT), None)


def _answer_context(
    service: Service,
    published: PublishedTool,
    active: ActiveRun | JoinedRun,
    context: ServerRequestContext[Any],
) -> AnswerContext:
    schema = published.output_schema
    return AnswerContext(
        run_id=active.run_id,
        uri=run_uri(active.run_id),
        title=str(published.wire["title"]),
        inline_limit_characters=service.settings.inline_limit_characters,
        resource_links=service.settings.resource_links
        and context.protocol_version >= _RESOURCE_LINKS_SINCE,
        wraps_result=published.wraps_result,
        conforms=lambda value: schema is None or not schema.problems(value),
    )
