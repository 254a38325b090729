"""The parts of a run as values."""

import pytest

from tools.run import run_id_problem


@pytest.mark.parametrize("run_id", ["a", "7", "2026-01-31:orders_5.1", "a" * 128])
def test_an_id_of_a_run_is_of_letters_digits_and_a_few_marks(run_id: str) -> None:
    assert run_id_problem(run_id) is None


@pytest.mark.parametrize(
    "run_id", ["", "x/y?z#1", "a b", "../../etc", "a\n", "\n", "é", "-a", "a" * 129, "a" * 5_000]
)
def test_another_id_of_a_run_is_refused_with_what_is_valid(run_id: str) -> None:
    problem = run_id_problem(run_id) or ""
    assert "valid is 1 to 128 of" in problem
    assert len(problem) < 300
