"""What is too large to be read whole over MCP: it is left out, or refused, and read in parts."""

from dataclasses import replace

from server.run_queries import BadParameterError
from storage.run_record import StoredRun
from tools.json_pieces import LARGE_BYTES, bounded_json, json_length
from tools.json_text import Json, JsonObject

__all__ = ["bounded_text", "has_large_data", "is_too_large", "without_large_data"]


def is_too_large(run: StoredRun) -> bool:
    """Whether the result of a run has more than `LARGE_BYTES` as JSON text."""
    return run.result is not None and run.result.size > LARGE_BYTES


def has_large_data(step: JsonObject) -> bool:
    """Whether the data of a step has more than `LARGE_BYTES` as JSON text."""
    return bounded_json(step.get("data"), LARGE_BYTES) is None


def without_large_data(run: StoredRun) -> StoredRun:
    """A run without what makes it large; the same one where nothing does.

    Left out are the result, the largest data of steps until the rest is small enough, and all
    exchanges where they are too many bytes together.
    """
    steps = list(run.steps)
    lengths = {at: json_length(step["data"]) for at, step in enumerate(steps) if "data" in step}
    for at in sorted(lengths, key=lambda at: -lengths[at]):
        if sum(lengths.values()) <= LARGE_BYTES:
            break
        steps[at] = _without_data(steps[at])
        del lengths[at]
    if sum(map(_exchanged, steps)) > LARGE_BYTES:
        steps = [_without_exchanges(step) for step in steps]
    is_shown_whole = all(shown is step for shown, step in zip(steps, run.steps, strict=True))
    if is_shown_whole and not is_too_large(run):
        return run
    return replace(run, steps=steps, result=None if is_too_large(run) else run.result)


def bounded_text(value: Json) -> str:
    """The JSON text of an answer. Raises `BadParameterError` above `LARGE_BYTES`."""
    text = bounded_json(value, LARGE_BYTES)
    if text is None:
        raise BadParameterError(
            f"this has more than {LARGE_BYTES:,} bytes, too many to be read at once; narrow it "
            "with path, fields, offset and limit, or read a record with summary=true"
        )
    return text.decode()


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
