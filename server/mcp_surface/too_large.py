"""What is too large to be read whole over MCP: it is left out, or refused, and read in parts."""

from dataclasses import replace

from server.run_queries import BadParameterError
from storage.run_record import StoredRun
from tools.json_pieces import LARGE_BYTES, weighs_much
from tools.json_text import Json, JsonObject, encode_json_text

__all__ = ["bounded_text", "is_too_large", "without_large_data"]


def is_too_large(run: StoredRun) -> bool:
    """Whether the result of a run has more than `LARGE_BYTES` as JSON text."""
    return run.result is not None and run.result.size > LARGE_BYTES


def without_large_data(run: StoredRun) -> StoredRun:
    """A run whose result, steps and exchanges are not large; the same one where none is."""
    steps = [_without_data(step) if weighs_much(step.get("data")) else step for step in run.steps]
    if sum(map(_exchanged, steps)) > LARGE_BYTES:
        steps = [_without_exchanges(step) for step in steps]
    is_shown_whole = all(shown is step for shown, step in zip(steps, run.steps, strict=True))
    if is_shown_whole and not is_too_large(run):
        return run
    return replace(run, steps=steps, result=None if is_too_large(run) else run.result)


def bounded_text(value: Json) -> str:
    """The JSON text of an answer. Raises `BadParameterError` above `LARGE_BYTES`."""
    text = "" if weighs_much(value) else encode_json_text(value)
    if not text or len(text) > LARGE_BYTES:
        raise BadParameterError(
            f"this has more than {LARGE_BYTES:,} bytes, too many to be read at once; narrow it "
            "with path, fields, offset and limit, or read a record with summary=true"
        )
    return text


def _without_data(step: JsonObject) -> JsonObject:
    return {name: value for name, value in step.items() if name != "data"}


def _exchanged(step: JsonObject) -> int:
    """How many characters the bodies of a step's exchanges have."""
    exchanges: list[JsonObject] = [one.get("exchange", {}) for one in step.get("requests", ())]
    return sum(len(value) for one in exchanges for value in one.values() if isinstance(value, str))


def _without_exchanges(step: JsonObject) -> JsonObject:
    requests = [
        {name: value for name, value in one.items() if name != "exchange"}
        for one in step.get("requests", ())
    ]
    return {**step, "requests": requests} if requests else step
