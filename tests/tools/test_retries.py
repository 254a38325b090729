"""What is tried again, and for how long it is waited."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from tools.errors import ErrorKind, RunError
from tools.http import NotSentError
from tools.retries import RetryPolicy, parse_retry_after


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "QUERY", "PUT", "DELETE"])
@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_methods_that_are_safe_to_repeat_are_tried_again(method: str, status: int) -> None:
    assert RetryPolicy(method, 3, 0.5).retries_status(status)


@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_others_are_tried_again_on_429_or_when_declared(method: str) -> None:
    assert RetryPolicy(method, 3, 0.5).retries_status(429)
    assert not RetryPolicy(method, 3, 0.5).retries_status(503)
    assert RetryPolicy(method, 3, 0.5, idempotent=True).retries_status(503)


@pytest.mark.parametrize("status", [400, 401, 404, 409, 422, 501, 505])
def test_answers_that_will_not_change_are_final(status: int) -> None:
    assert not RetryPolicy("GET", 3, 0.5, idempotent=True).retries_status(status)


def test_what_was_not_sent_may_always_be_sent_again() -> None:
    policy = RetryPolicy("POST", 3, 0.5)
    refused = NotSentError(ErrorKind.CONNECTION, "refused", retryable=True)
    broken = RunError(ErrorKind.CONNECTION, "broke", retryable=True)
    assert policy.retries_error(refused)
    assert not policy.retries_error(broken)
    assert RetryPolicy("GET", 3, 0.5).retries_error(broken)
    assert not RetryPolicy("GET", 3, 0.5).retries_error(RunError(ErrorKind.TIMEOUT, "slow"))


def test_waits_double_up_to_a_minute() -> None:
    policy = RetryPolicy("GET", 20, 0.5)
    for attempt, middle in ((1, 0.5), (2, 1.0), (4, 4.0), (12, 60.0)):
        assert middle * 0.75 <= policy.delay(attempt) <= middle * 1.25


def test_retry_after_is_a_number_or_a_date() -> None:
    assert parse_retry_after("7") == 7
    assert parse_retry_after("0.5") == 0.5
    assert parse_retry_after("-3") == 0
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    assert 80 < (parse_retry_after(soon) or 0) <= 90
    past = format_datetime(datetime.now(UTC) - timedelta(days=1), usegmt=True)
    assert parse_retry_after(past) == 0
    for text in (None, "", "soon", "Wed, 99 Foo"):
        assert parse_retry_after(text) is None
