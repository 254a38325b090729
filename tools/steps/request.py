"""Request steps: pages are asked for, decoded and merged until there are no more."""

from dataclasses import dataclass, replace
from functools import partial

from tools.context import RunContext
from tools.decoders import UndecodableError, decode
from tools.errors import ErrorKind, RunError
from tools.http import OutgoingRequest, Received
from tools.json_text import Json, JsonObject
from tools.merging import merge_pages
from tools.model import Pagination, RequestConfig, Step
from tools.paginators import Page, Paginator, build_paginator, rows_of
from tools.run import Exchange, RequestRecord, StepRecord
from tools.scope import Scope, with_run_time_credentials
from tools.scripts import STOP_CONDITION_LIMITS, Script, ScriptForm, ScriptSession, js_text
from tools.sending import send
from tools.steps.prepare import prepare_request
from tools.system import System
from tools.templates import Resolver, render_text
from tools.threads import run_in_thread
from tools.touches import is_reading

__all__ = ["run_request"]

#: Bodies up to this size are decoded where they are; a thread would cost more than it gains.
_DECODED_INLINE_BYTES = 256 * 1024

#: The field, as messages call it.
_PAGE_SIZE = "pagination.pageSize"


async def run_request(
    step: Step,
    config: RequestConfig,
    scope: Scope,
    session: ScriptSession,
    context: RunContext,
    record: StepRecord,
    iteration: int | None,
) -> Json:
    """All pages of a request, merged. Raises `RunError`."""
    system = _system_of(config, context)
    reader = _PageReader(step, config, scope, session, context, record, iteration, system)
    if context.options.execution == "limited" and not is_reading(step):
        raise RunError(
            ErrorKind.INVALID_INPUT,
            f"a limited run reads only; this step would send {config.method}",
            hint="set modify: false on the step if it only reads, or run it live",
        )
    pagination = config.pagination
    if pagination is None or pagination.type == "disabled":
        received = await reader.ask(scope, None, None)
        return None if received is None else await reader.decode(received)
    return await _read_pages(pagination, reader, scope, session, record, context)


def _system_of(config: RequestConfig, context: RunContext) -> System | None:
    if config.system_id is None:
        return None
    system = context.systems.get(config.system_id)
    return system and with_run_time_credentials(system, context.run_time_credentials)


@dataclass
class _PageReader:
    """Asks for one page of one step."""

    step: Step
    config: RequestConfig
    scope: Scope
    session: ScriptSession
    context: RunContext
    record: StepRecord
    iteration: int | None
    system: System | None

    async def ask(self, scope: Scope, page: int | None, next_url: str | None) -> Received | None:
        """Render and send; None in a dry run, where nothing is sent."""
        resolver = Resolver(scope, self.session, self.step.id)
        request = await prepare_request(self.config, resolver, self.context, self.system, next_url)
        if self.context.options.execution == "dry":
            self.record.requests.append(_unsent(request, self.context, page, self.iteration))
            return None
        return await send(
            request,
            self.step,
            self.context,
            self.record,
            page=page,
            iteration=self.iteration,
            system=self.system,
        )

    async def decode(self, received: Received) -> Json:
        is_small = len(received.body) < _DECODED_INLINE_BYTES
        work = partial(
            decode,
            received.body,
            received.header("content-type"),
            limits=self.context.engines.decode_limits,
        )
        try:
            # Other runs go on meanwhile. A cancelled run does not wait for the thread: it computes
            # within the decoder's bounds, holds nothing, and its result is dropped.
            decoded = work() if is_small else await run_in_thread(work, abandon_on_cancel=True)
        except UndecodableError as error:
            if any(one.enabled for one in self.context.tool.response_filters):
                # What a filter would take out cannot be told in a text that is cut anywhere.
                error.message = error.bare_message
            raise
        self.record.warnings.extend(decoded.warnings)
        if decoded.file is not None:
            redact = partial(self.context.redactor.data, decoded.file.data)
            content = redact() if is_small else await run_in_thread(redact)
            self.record.files.append(replace(decoded.file, data=content))
        return decoded.value


def _unsent(
    request: OutgoingRequest, context: RunContext, page: int | None, iteration: int | None
) -> RequestRecord:
    redactor = context.redactor
    return RequestRecord(
        request.method,
        redactor.url(request.url),
        page=page,
        iteration=iteration,
        exchange=Exchange(
            redactor.headers(request.headers),
            redactor.data(request.body) if request.body is not None else None,
        ),
    )


async def _read_pages(
    pagination: Pagination,
    reader: _PageReader,
    scope: Scope,
    session: ScriptSession,
    record: StepRecord,
    context: RunContext,
) -> Json:
    resolver = Resolver(scope, session, reader.step.id)
    page_size = await _page_size(pagination, resolver)
    paginator = build_paginator(pagination, page_size)
    if paginator is None:
        raise AssertionError("a disabled pagination has no pages")
    pages = _Pages(pagination, paginator)
    while True:
        variables: JsonObject = {
            **paginator.variables(),
            "limit": page_size,
            "pageSize": page_size,
        }
        try:
            page_scope = scope.with_page(variables, resolver.carriers_among(variables))
            received = await reader.ask(page_scope, pages.count + 1, paginator.next_url)
            if received is None:
                return None
            body = received.body.digest()
            if not pages.add(received, body, await reader.decode(received)):
                return pages.merged
            more = await _has_next(pages, variables, scope, session)
        except RunError as error:
            error.detail.page = (
                pages.count if error.kind is ErrorKind.PAGINATION else (pages.count + 1)
            )
            if pages.count:
                record.warnings.append(f"{pages.count} pages had been read before the failure")
            raise
        finally:
            record.warnings.extend(pages.take_warnings())
        context.cost.pages += 1
        if not more or context.options.execution == "limited":
            return pages.merged
        if pages.count >= pagination.max_pages:
            return _at_max_pages(pagination, pages, record)
        context.progress(reader.step.id, f"{reader.step.id}: page {pages.count}, {pages.rows} rows")


class _Pages:
    """The pages read so far, merged."""

    def __init__(self, pagination: Pagination, paginator: Paginator) -> None:
        self.pagination = pagination
        self.paginator = paginator
        self.merged: Json = None
        self.count = 0
        self.rows = 0
        self.last: Page | None = None
        self.next_follows = False
        self._last_body: bytes | None = None
        self._warnings: list[str] = []

    def add(self, received: Received, body: bytes, data: Json) -> bool:
        """Merge a page; False when it repeats the one before, which is not merged.

        `body` is the digest of what was received.

        Raises `RunError` of kind `pagination` when the first two pages are the same though a stop
        condition asks for more.
        """
        if self.count and body == self._last_body:
            if self.count == 1 and self.pagination.stop_condition and self._is_filled(data):
                raise RunError(
                    ErrorKind.PAGINATION,
                    "Pagination configuration error: "
                    "The first two API requests returned identical responses.",
                    hint="the request must use the page variables "
                    "(<<page>>, <<offset>>, <<cursor>>, <<limit>>), or pagination be taken out",
                )
            return False
        self._last_body = body
        self.last = Page(data, dict(received.headers), received.status, received.url)
        rows = rows_of(data, self.pagination.data_path)
        self.rows += len(rows) if rows is not None else 0
        self.next_follows = self.paginator.advance(self.last)
        needs_rows = self.pagination.type in {"pageBased", "offsetBased"}
        if rows is None and needs_rows and not self.pagination.stop_condition:
            self._warnings.append(
                "the page has no list of rows, so one page was read; set dataPath or stopCondition"
            )
        # The stop condition sees the page itself, which being merged into others does not change.
        self.merged = data if self.count == 0 else merge_pages(self.merged, data)
        self.count += 1
        return True

    def take_warnings(self) -> list[str]:
        warnings, self._warnings = self._warnings, []
        return warnings

    def _is_filled(self, data: Json) -> bool:
        rows = rows_of(data, self.pagination.data_path)
        return bool(data) if rows is None else bool(rows)


async def _has_next(
    pages: _Pages, variables: JsonObject, scope: Scope, session: ScriptSession
) -> bool:
    """Whether to ask for a further page."""
    source = pages.pagination.stop_condition
    if source is None or pages.last is None:
        return pages.next_follows
    response = {
        "data": pages.last.data,
        "headers": dict(pages.last.headers),
        "status": pages.last.status,
    }
    page_info: JsonObject = {
        "page": variables["page"],
        "offset": variables["offset"],
        "cursor": variables["cursor"],
        "totalFetched": pages.rows,
    }
    if _may_read(source, "mergedResult"):
        page_info["mergedResult"] = pages.merged
    state = scope.state if _may_read(source, "sourceData", parameter=3) else {}
    try:
        stop = await session.evaluate(
            Script(source, ScriptForm.STOP_CONDITION),
            response,
            page_info,
            state,
            limits=STOP_CONDITION_LIMITS,
        )
    except RunError as error:
        raise RunError(
            error.kind,
            f"Pagination stop condition error: Stop condition evaluation failed: {error.message}",
            hint=error.detail.hint,
        ) from None
    return not _is_truthy(stop.value) and pages.next_follows


def _may_read(source: str, name: str, parameter: int | None = None) -> bool:
    """Whether a stop condition may read a value that grows with the pages.

    Handing over everything on each page would make the cost quadratic; a source that names neither
    the value nor anything that could reach it unnamed gets none.
    """
    if name in source or "..." in source or "arguments" in source or "JSON" in source:
        return True
    if parameter is not None:
        return source.count(",") >= parameter - 1
    return "Object." in source or "[" in source


def _is_truthy(value: Json) -> bool:
    # JavaScript: empty lists and objects are true.
    return isinstance(value, list | dict) or bool(value)


async def _page_size(pagination: Pagination, resolver: Resolver) -> int:
    given = pagination.page_size
    text = (
        await render_text(given, resolver, _PAGE_SIZE) if isinstance(given, str) else js_text(given)
    )
    try:
        size = int(text)
    except ValueError:
        size = 0
    if size < 1:
        taken = sorted(one.label for one in resolver.taken.get(_PAGE_SIZE, ()))
        seen = f"made of the credential {taken[0]}" if taken else repr(text[:100])
        raise RunError(
            ErrorKind.PAGINATION, f"{_PAGE_SIZE} is {seen}; valid is a whole number from 1"
        )
    return size


def _at_max_pages(pagination: Pagination, pages: _Pages, record: StepRecord) -> Json:
    if pagination.on_max_pages == "stop":
        record.warnings.append(f"stopped at maxPages ({pagination.max_pages}); there may be more")
        return pages.merged
    raise RunError(
        ErrorKind.PAGINATION,
        f"{pages.count} pages ({pages.rows} rows) were read and there are more; "
        f"maxPages is {pagination.max_pages}",
        hint="raise maxPages, narrow the request, or set onMaxPages to stop",
        page=pages.count,
    )
