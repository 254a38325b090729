"""Response filters on what is recorded, or said, of an upstream's answers.

An answer that is JSON is filtered as data is. Of another text only the values are known: where a
filter finds something in it, or looks for keys, it is not kept.
"""

from collections.abc import Sequence
from functools import partial

from tools.errors import ErrorDetail, ErrorKind, HttpFailure, RunError
from tools.json_text import Json, decode_json, encode_json, encode_json_text
from tools.response_filters import FilterSpec, PatternMatcher, apply_response_filters
from tools.run import Exchange, StepRecord
from tools.threads import run_in_thread

__all__ = ["drop_answers", "filter_answers", "filtered_error", "filtered_excerpt"]

#: A body of more is decoded and encoded in a thread.
_LARGE_BYTES = 256 * 1024
_FILTERED = "[filtered]"
#: Their messages quote what they are about.
_KINDS_WITH_DATA = frozenset({ErrorKind.OUTPUT_SCHEMA, ErrorKind.DECODE})


async def filter_answers(
    record: StepRecord, filters: Sequence[FilterSpec], matcher: PatternMatcher
) -> None:
    """Filter the recorded answers of a step; what cannot be filtered is not kept."""
    filters = [one for one in filters if one.enabled]
    lost = 0
    for exchange in _answered(record) if filters else ():
        try:
            kept = await _filtered(exchange, filters, matcher)
        except RunError:
            kept = None
        if kept is None:
            _drop(exchange)
            lost += 1
        elif kept is not exchange.response_body:
            exchange.response_body, exchange.altered = kept, True
    if lost:
        record.warnings.append(
            f"{lost} answers are not kept: a response filter matches them, or looks for keys, and "
            "they are not whole JSON"
        )


def drop_answers(record: StepRecord) -> None:
    """Keep no answer of a step, for want of a moment to filter them."""
    for exchange in _answered(record):
        _drop(exchange)


async def filtered_excerpt(
    text: str, filters: Sequence[FilterSpec], matcher: PatternMatcher
) -> str:
    """An answer's text as an error may show it."""
    filters = [one for one in filters if one.enabled]
    if not filters:
        return text
    try:
        value = decode_json(text.encode(errors="replace"))
    except ValueError:
        value = text
    try:
        outcome = await apply_response_filters(value, filters, matcher, fail_as_mask=True)
    except RunError:
        return _FILTERED
    if not outcome.changed:
        return text
    return encode_json_text(outcome.value) if value is not text else _FILTERED


async def filtered_error(
    message: str,
    detail: ErrorDetail,
    filters: Sequence[FilterSpec],
    matcher: PatternMatcher,
) -> tuple[str, HttpFailure | None]:
    """The error of a run without these filters, as they let it through, and its HTTP facts."""
    http = detail.http
    if not any(one.enabled for one in filters):
        return message, http
    excerpt = http.body_excerpt if http is not None else None
    if http is None or not excerpt or excerpt not in message:
        if detail.kind in _KINDS_WITH_DATA:
            return f"{detail.kind}; the response filters hide the rest", http
        return await filtered_excerpt(message, filters, matcher), http
    shown = await filtered_excerpt(excerpt, filters, matcher)
    if shown == excerpt and not _is_json(excerpt):
        # It may be cut in the middle of what a filter would find.
        shown = _FILTERED
    return message.replace(excerpt, shown), http.model_copy(update={"body_excerpt": shown})


def _is_json(text: str) -> bool:
    try:
        decode_json(text.encode(errors="replace"))
    except ValueError:
        return False
    return True


def _answered(record: StepRecord) -> list[Exchange]:
    exchanges = (request.exchange for request in record.requests)
    return [one for one in exchanges if one is not None and one.response_body]


def _drop(exchange: Exchange) -> None:
    exchange.response_body, exchange.truncated, exchange.altered = b"", True, True


async def _filtered(
    exchange: Exchange, filters: Sequence[FilterSpec], matcher: PatternMatcher
) -> bytes | None:
    """The body to keep; None for none."""
    body = exchange.response_body or b""
    is_large = len(body) > _LARGE_BYTES
    try:
        if exchange.truncated:
            raise ValueError("the end is missing")
        value: Json = (
            await run_in_thread(partial(decode_json, body)) if is_large else decode_json(body)
        )
    except ValueError:
        return await _kept_text(body, filters, matcher)
    outcome = await apply_response_filters(value, filters, matcher, fail_as_mask=True)
    if not outcome.changed:
        return body
    if is_large:
        return await run_in_thread(partial(encode_json, outcome.value))
    return encode_json(outcome.value)


async def _kept_text(
    body: bytes, filters: Sequence[FilterSpec], matcher: PatternMatcher
) -> bytes | None:
    if any(one.target != "VALUES" for one in filters):
        return None
    text = body.decode("utf-8", "replace")
    outcome = await apply_response_filters(text, filters, matcher, fail_as_mask=True)
    return None if outcome.changed else body
