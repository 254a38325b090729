"""Actions after a failure that try an operation again, as the limits of its tool."""

from collections.abc import Sequence

from tools.importers.arazzo.criteria import accepted_statuses
from tools.importers.openapi.words import list_of, object_of, text_of
from tools.json_text import JsonObject
from tools.methods import REPEATABLE_METHODS

__all__ = ["retry_limits"]

#: What a step tries again: all of it where that is safe, 429 with any method.
_RETRIED = frozenset({429, 500, 502, 503, 504})
_ALWAYS_RETRIED = frozenset({429})
_MOST_RETRIES = 100
_LONGEST_WAIT_SECONDS = 3_600


def retry_limits(actions: Sequence[JsonObject], method: str) -> JsonObject | None:
    """`retries` and `retryDelayMs` for the actions; None where a tool would do something else."""
    retries = [one for one in actions if one.get("type") == "retry"]
    # A failure that is not tried again ends the run anyway.
    others = [one for one in actions if one.get("type") not in {"retry", "end"}]
    if len(retries) != 1 or others:
        return None
    (action,) = retries
    if action.get("stepId") or action.get("workflowId"):
        return None
    statuses = _RETRIED
    for one in map(object_of, list_of(action.get("criteria"))):
        is_simple = one.get("type", "simple") == "simple" and "context" not in one
        allowed = accepted_statuses(text_of(one.get("condition"))) if is_simple else None
        if not allowed or not allowed <= _RETRIED:
            return None
        statuses = statuses & allowed
    if method not in REPEATABLE_METHODS and not statuses <= _ALWAYS_RETRIED:
        return None
    limit, after = action.get("retryLimit", 1), action.get("retryAfter", 0)
    if not isinstance(limit, int) or not isinstance(after, int | float):
        return None
    limits: JsonObject = {"retries": max(0, min(limit, _MOST_RETRIES))}
    if after > 0:
        limits["retryDelayMs"] = int(min(after, _LONGEST_WAIT_SECONDS) * 1000)
    return limits
