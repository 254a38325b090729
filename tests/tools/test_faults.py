"""The trace of a fault says where and what kind, never what a run saw."""

import pytest

from tools.faults import trace_of

SECRET = "correct-horse-battery"


def fall_over(depth: int = 0) -> None:
    if depth:
        fall_over(depth - 1)
    try:
        raise KeyError(SECRET)
    except KeyError as error:
        raise ExceptionGroup(SECRET, [ValueError(SECRET), RuntimeError(SECRET)]) from error


@pytest.mark.parametrize("depth", [0, 500])
def test_a_trace_has_places_and_types_and_no_message(depth: int) -> None:
    with pytest.raises(ExceptionGroup) as caught:
        fall_over(depth)
    trace = trace_of(caught.value)
    assert SECRET not in trace
    for kind in ("ExceptionGroup", "ValueError", "RuntimeError", "KeyError"):
        assert f"builtins.{kind} " in trace
    assert "in fall_over" in trace
    assert len(trace) < 20_000


def test_exceptions_that_are_each_others_cause_come_to_an_end() -> None:
    first, second = ValueError(SECRET), TypeError(SECRET)
    first.__cause__, second.__cause__ = second, first
    assert trace_of(first).count("left out") == 2
