"""Which failures are tried again, and how long to wait.

A 429, and what failed before anything was sent, whatever the method; connections that broke later,
500, 502, 503 and 504 for methods that are safe to repeat (RFC 9110 §9.2.2) or steps that say so.
"""

import random
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from tools.errors import ErrorKind, RunError
from tools.http import NotSentError
from tools.methods import REPEATABLE_METHODS

__all__ = ["RetryPolicy", "parse_retry_after"]

_RETRIED_STATUSES = frozenset({500, 502, 503, 504})
_LONGEST_DELAY_SECONDS = 60.0
#: A wait the upstream asks for beyond this fails at once.
LONGEST_RETRY_AFTER_SECONDS = 3600.0


@dataclass(frozen=True)
class RetryPolicy:
    """How a step's requests are tried again; `retries` counts attempts after the first."""

    method: str
    retries: int
    delay_seconds: float
    idempotent: bool = False

    @property
    def _repeatable(self) -> bool:
        return self.idempotent or self.method in REPEATABLE_METHODS

    def retries_status(self, status: int) -> bool:
        """Whether an answer with this status is tried again."""
        return status == 429 or (status in _RETRIED_STATUSES and self._repeatable)

    def retries_error(self, error: RunError) -> bool:
        """Whether a request without an answer is tried again; timeouts are not."""
        if error.kind is not ErrorKind.CONNECTION or not error.detail.retryable:
            return False
        return self._repeatable or isinstance(error, NotSentError)

    def delay(self, attempt: int) -> float:
        """Seconds to wait after attempt 1, 2, …: doubling, with jitter, at most a minute."""
        longest = min(self.delay_seconds * 2 ** (attempt - 1), _LONGEST_DELAY_SECONDS)
        return longest * random.uniform(0.75, 1.25)  # noqa: S311 - jitter, not a secret


def parse_retry_after(value: str | None) -> float | None:
    """Seconds that a `Retry-After` header asks for (a number or a date), or None."""
    if value is None:
        return None
    value = value.strip()
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())
