"""One request sent, with its further attempts, each of them in the record."""

import time
from dataclasses import replace
from functools import partial

import anyio

from tools.addresses import AddressPolicy
from tools.auth import authorize
from tools.body import Body
from tools.context import RunContext
from tools.decoders.media_type import parse_media_type
from tools.decoders.text import read_text
from tools.errors import ErrorKind, HttpFailure, RunError
from tools.filtered_answers import filtered_excerpt
from tools.http import NotSentError, OutgoingRequest, Received
from tools.model import Step
from tools.redaction import without_user_information
from tools.retries import LONGEST_RETRY_AFTER_SECONDS, RetryPolicy, parse_retry_after
from tools.run import Exchange, RequestRecord, StepRecord
from tools.system import OAuth2Auth, System
from tools.threads import run_in_thread
from tools.urls import origin_of

__all__ = ["send"]

_EXCERPT_CHARACTERS = 500
#: A body of more is redacted in a thread.
_LARGE_BYTES = 256 * 1024


async def send(
    request: OutgoingRequest,
    step: Step,
    context: RunContext,
    record: StepRecord,
    *,
    page: int | None,
    iteration: int | None,
    system: System | None,
) -> Received:
    """The answer, of status below 400, after as many attempts as the limits allow.

    Raises `RunError`: `http_status`, `rate_limited`, `timeout`, `connection`, `blocked_address`,
    `size_limit`, `decode`, `credential`.
    """
    limits = context.limits(step)
    retries = RetryPolicy(
        request.method, limits.retries, limits.retry_delay_seconds, step.idempotent
    )
    attempt = 0
    rejected_token: str | None = None
    unsigned = request
    while True:
        attempt += 1
        request = await _signed(unsigned, system, context, rejected_token)
        record.attempts += 1
        entry = RequestRecord(
            request.method,
            context.redactor.url(request.url),
            page=page,
            iteration=iteration,
            attempt=attempt,
        )
        record.requests.append(entry)
        try:
            received = await _attempt(request, entry, step, context, system, limits.timeout_seconds)
        except RunError as error:
            if not retries.retries_error(error) or attempt > retries.retries:
                raise
            await _wait(retries.delay(attempt), error, context, step)
            continue
        if received.status < 400:
            return received
        if rejected_token is None and system is not None and _rejects_token(received, system):
            # Once: a token may have been withdrawn before its time.
            rejected_token = _bearer_of(request)
            if rejected_token is not None:
                attempt -= 1
                continue
        error = await _status_error(received, request, entry, context)
        if not retries.retries_status(received.status) or attempt > retries.retries:
            raise _used_up(received, error, attempt - 1)
        asked = parse_retry_after(received.header("retry-after"))
        await _wait(
            retries.delay(attempt) if asked is None else asked,
            error,
            context,
            step,
            rate_limited=received.status == 429,
        )


async def _signed(
    unsigned: OutgoingRequest, system: System | None, context: RunContext, rejected: str | None
) -> OutgoingRequest:
    """The request as the system wants it; `rejected` is a token that it does not take any more."""
    if system is None or not unsigned.is_signed:
        return unsigned
    request = await authorize(unsigned, system, context.ports.access_token, rejected=rejected)
    if system.tls is not None and system.may_receive_credentials(origin_of(request.url)):
        return replace(request, tls=system.tls)
    return request


async def _attempt(
    request: OutgoingRequest,
    entry: RequestRecord,
    step: Step,
    context: RunContext,
    system: System | None,
    timeout_seconds: float,
) -> Received:
    """The answer, whatever its status. Raises `RunError`, which the record of the request has."""
    policy = context.engines.address_policy
    if system is not None and system.allow_private:
        policy = AddressPolicy.ANY
    try:
        async with context.engines.rate_limits.slot(
            system if context.sends else None,
            lambda words: context.progress(step.id, f"{step.id}: {words}"),
        ):
            return await _exchange(request, entry, context, timeout_seconds, policy)
    except RunError as error:
        error.message = context.redactor.text(without_user_information(error.message))
        if error.detail.http is not None:
            error.detail.http.url = entry.url
        entry.error = error.message
        entry.error_detail = error.detail.wire()
        if isinstance(error, NotSentError):
            entry.error_detail["notSent"] = True
        raise


async def _exchange(
    request: OutgoingRequest,
    entry: RequestRecord,
    context: RunContext,
    timeout_seconds: float,
    policy: AddressPolicy,
) -> Received:
    started = time.perf_counter()
    entry.bytes_out = len(request.body or b"")
    if context.sends:
        context.cost.requests += 1
        context.cost.units += 1
        context.cost.bytes_out += entry.bytes_out
    if context.engines.record_exchanges:
        entry.exchange = Exchange(
            context.redactor.headers(request.headers),
            await _kept(Body(request.body), context) if request.body is not None else None,
        )
    attributes = {"http.request.method": request.method, "url.full": entry.url}
    try:
        with context.spans.span(request.method, context.traceparent, attributes) as span:
            received = await context.http.exchange(
                _traced(request, span.traceparent), timeout_seconds=timeout_seconds, policy=policy
            )
            span.set("http.response.status_code", received.status)
            if received.status >= 400:
                span.fail(f"HTTP {received.status}")
    finally:
        entry.duration_ms = round((time.perf_counter() - started) * 1000)
    entry.status = received.status
    entry.bytes_in = len(received.body)
    context.cost.bytes_in += received.bytes_in
    if entry.exchange is not None:
        entry.exchange.response_status = received.status
        entry.exchange.response_headers = context.redactor.headers(received.headers)
        if received.url != request.url:
            entry.exchange.response_url = context.redactor.url(received.url)
        entry.exchange.response_body = await _kept(received.body, context)
        entry.exchange.truncated = len(received.body) > context.engines.max_recorded_body_bytes
        entry.exchange.altered = received.altered
    return received


def _traced(request: OutgoingRequest, traceparent: str | None) -> OutgoingRequest:
    """The trace goes on upstream, unless the tool sends one of its own."""
    if traceparent is None or any(name.lower() == "traceparent" for name, _ in request.headers):
        return request
    return replace(request, headers=[*request.headers, ("traceparent", traceparent)])


async def _kept(body: Body, context: RunContext) -> bytes:
    """What is recorded of a body."""
    if context.redactor and len(body) > _LARGE_BYTES:
        # Each credential is looked for in all of it.
        return await run_in_thread(partial(_kept_head, body, context))
    return _kept_head(body, context)


def _kept_head(body: Body, context: RunContext) -> bytes:
    most, longest = context.engines.max_recorded_body_bytes, context.redactor.longest_form_bytes
    # A credential that the end of what is kept would cut through is whole here.
    head = body.head(most + longest)
    kept = context.redactor.data(head)
    if len(head) < len(body):
        # Its last bytes may begin one, and are kept where many before them became shorter.
        kept = kept[: max(0, len(kept) - longest)]
    return kept[:most]


async def _status_error(
    received: Received, request: OutgoingRequest, entry: RequestRecord, context: RunContext
) -> RunError:
    media_type = parse_media_type(received.header("content-type"))
    text = read_text(received.body, media_type.charset).take_whole()
    text = await filtered_excerpt(text, context.tool.response_filters, context.engines.scripts)
    excerpt = context.redactor.text(text)[:_EXCERPT_CHARACTERS]
    status = received.status
    return RunError(
        ErrorKind.HTTP_STATUS,
        f"HTTP {status}: {excerpt}",
        hint=_STATUS_HINTS.get(status),
        retryable=status == 429 or status >= 500,
        http=HttpFailure(status=status, method=request.method, url=entry.url, body_excerpt=excerpt),
    )


_STATUS_HINTS = {
    400: "the upstream refused the request as it was sent; compare it with the run's record",
    401: "the upstream wants a credential, or refused the one it got",
    403: "the credential does not allow this",
    404: "nothing is there; check the ids among the inputs",
    422: "the upstream understood the request and refused its values",
    429: "the upstream asks for fewer requests; wait before calling again",
}


def _rejects_token(received: Received, system: System) -> bool:
    """Whether an answer says that the access token is no longer good."""
    if not isinstance(system.auth, OAuth2Auth):
        return False
    return received.status == 401 or (
        received.status == 400 and b"invalid_token" in received.body.head(4096)
    )


def _bearer_of(request: OutgoingRequest) -> str | None:
    """The access token that a request carried; None of one that was not signed."""
    value = next((value for name, value in request.headers if name == "Authorization"), None)
    return None if value is None else value.removeprefix("Bearer ")


def _used_up(received: Received, error: RunError, retries: int) -> RunError:
    if received.status != 429:
        return error
    return RunError(
        ErrorKind.RATE_LIMITED,
        f"Rate limit exceeded after {retries} retries",
        hint=error.detail.hint,
        retryable=True,
        http=error.detail.http,
    )


async def _wait(
    seconds: float, error: RunError, context: RunContext, step: Step, *, rate_limited: bool = False
) -> None:
    """Sleep before the next attempt; a wait that cannot end in time fails at once."""
    time_left = anyio.current_effective_deadline() - anyio.current_time()
    if seconds > min(time_left, LONGEST_RETRY_AFTER_SECONDS):
        if not rate_limited:
            raise error
        raise RunError(
            ErrorKind.RATE_LIMITED,
            "Rate limit exceeded. Maximum wait time exceeded.",
            hint=f"the upstream asks to wait {seconds:.0f} s",
            retryable=True,
            http=error.detail.http,
        )
    if not context.sends:
        return
    if seconds >= 1:
        context.progress(step.id, f"{step.id}: waiting {seconds:.0f} s before the next attempt")
    await anyio.sleep(seconds)
