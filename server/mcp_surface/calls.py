"""`tools/call` of a stored tool: arguments in, one run, its answer out."""

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import cast

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream
from pydantic import ValidationError

from server.active_run import ActiveRun, JoinedRun, RunRequest
from server.mcp_surface.call_context import CallContext, ReportProgress
from server.mcp_surface.published import PublishedTool
from server.mcp_surface.uris import run_uri
from server.rendering import AnswerContext, render_error, render_handle, render_result
from server.service import (
    ArchivedToolError,
    IdempotencyConflictError,
    SecretInNameError,
    Service,
    UnknownToolError,
)
from storage.errors import HomeError, RunExistsError, StorageError
from tools.context import RunEvent
from tools.errors import ErrorDetail, ErrorKind
from tools.json_text import Json, JsonObject, encode_json_text
from tools.run import RequestSource, RunOptions, RunStatus, run_id_problem

__all__ = ["StoredCall", "answer_run", "call_stored_tool", "named_by_client"]

_OPTIONS = frozenset(str(field.alias) for field in RunOptions.model_fields.values())
#: `resource_link` came with this version; clients of older ones refuse the whole answer.
_RESOURCE_LINKS_SINCE = "2025-06-18"
#: Progress that nobody takes is dropped, never waited for.
_PROGRESS_BUFFER = 64


@dataclass(frozen=True)
class StoredCall:
    """A call of a stored tool, by its own name or through `run_tool`."""

    tool: PublishedTool
    arguments: JsonObject
    #: For callers that cannot set `_meta["callslip/idempotencyKey"]`.
    idempotency_key: str | None = None


async def call_stored_tool(service: Service, call: StoredCall, context: CallContext) -> JsonObject:
    """The answer of a call. Cancelling it ends the run as `aborted`."""
    given: Json = context.meta.get("callslip/options") or {}
    if isinstance(given, dict) and (unknown := cast("JsonObject", given).keys() - _OPTIONS):
        return _refusal(
            f"callslip/options: {', '.join(sorted(unknown))[:80]} is no option; "
            f"valid: {', '.join(sorted(_OPTIONS))}"
        )
    try:
        options = RunOptions.model_validate(given)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, one['loc']))}: {one['msg']}"
            for one in error.errors(include_url=False)
        )
        return _refusal(f"callslip/options are not valid: {problems}")
    request = RunRequest(call.tool.tool_id, call.arguments, RequestSource.MCP, options)
    request = named_by_client(request, context)
    if call.idempotency_key:
        request = replace(request, idempotency_key=call.idempotency_key)
    return await answer_run(service, call.tool, request, context)


async def answer_run(
    service: Service,
    published: PublishedTool,
    request: RunRequest,
    context: CallContext,
) -> JsonObject:
    """Start a run and answer with its result, its error or a handle."""
    if (problem := _problem_of_names(context)) is not None:
        return _refusal(problem)
    if context.report_progress is None:
        return await _answer_run(service, published, request, context, None)
    send, receive = anyio.create_memory_object_stream[RunEvent](_PROGRESS_BUFFER)

    def on_event(event: RunEvent) -> None:
        # A run that was handed over goes on when nobody listens to it any more.
        with suppress(anyio.WouldBlock, anyio.ClosedResourceError, anyio.BrokenResourceError):
            send.send_nowait(event)

    with send, receive:
        reporter = _Reporter(receive, context.report_progress)
        request = replace(request, on_event=on_event)
        return await _answer_run(service, published, request, context, reporter)


@dataclass(frozen=True)
class _Reporter:
    """Sends the progress of a run on to the client."""

    events: MemoryObjectReceiveStream[RunEvent]
    report_progress: ReportProgress

    async def run(self) -> None:
        """Send it until cancelled, each value above the one before as the protocol asks."""
        last = -1.0
        async for event in self.events:
            last = max(event.progress, last + 0.001)
            await self.report_progress(last, event.total, event.message)


async def _answer_run(
    service: Service,
    published: PublishedTool,
    request: RunRequest,
    context: CallContext,
    reporter: _Reporter | None,
) -> JsonObject:
    try:
        active = await service.start(request)
    except (ArchivedToolError, UnknownToolError) as error:
        return _refusal(f"{error}; list the tools again")
    except (IdempotencyConflictError, SecretInNameError) as error:
        return _refusal(str(error))
    except RunExistsError as error:
        return _refusal(f"{error}; leave callslip/runId out, or choose another")
    except StorageError as error:
        is_passing = not isinstance(error, HomeError)
        detail = ErrorDetail(kind=ErrorKind.INTERNAL, retryable=is_passing)
        return render_error(
            f"nothing was run, because it could not be recorded: {error}", detail, None
        )
    answer = _answer_context(service, published, active, context)
    return await _wait(service, active, answer, reporter)


async def _wait(
    service: Service,
    active: ActiveRun | JoinedRun,
    answer: AnswerContext,
    reporter: _Reporter | None,
) -> JsonObject:
    try:
        with anyio.move_on_after(service.settings.soft_deadline_seconds):
            if reporter is None:
                await active.done.wait()
            else:
                async with anyio.create_task_group() as group:
                    group.start_soon(reporter.run)
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


def named_by_client(request: RunRequest, context: CallContext) -> RunRequest:
    """A run with the client's name, and the id and the key that its call gives it."""
    return replace(
        request,
        run_id=_text(context.meta.get("callslip/runId")),
        idempotency_key=_text(context.meta.get("callslip/idempotencyKey")),
        traceparent=_text(context.meta.get("traceparent")),
        client_name=context.client_name,
        client_version=context.client_version,
    )


def _problem_of_names(context: CallContext) -> str | None:
    """A key that is passed over would have a request sent twice, so what is none is refused."""
    for name in ("callslip/runId", "callslip/idempotencyKey"):
        value = context.meta.get(name, "unset")
        if not isinstance(value, str) or not value:
            return (
                f"_meta {name} is {encode_json_text(value)[:80]}; valid is a text, or leave it out"
            )
    run_id = _text(context.meta.get("callslip/runId"))
    problem = run_id_problem(run_id) if run_id is not None else None
    return f"_meta callslip/runId: {problem}" if problem is not None else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _refusal(message: str) -> JsonObject:
    return render_error(message, ErrorDetail(kind=ErrorKind.INVALID_INPUT), None)


def _answer_context(
    service: Service,
    published: PublishedTool,
    active: ActiveRun | JoinedRun,
    context: CallContext,
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
