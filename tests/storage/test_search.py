"""Search: what is found, when, and that what is deleted is found no more."""

import random
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.database import Database
from storage.objects import ObjectStore
from storage.retention import RetentionPolicy
from storage.run_lists import RunFilter
from storage.run_record import NewRun
from storage.runs import RunStore
from storage.search import SEARCHED_BYTES, SearchError, match_expression
from tools.run import RequestSource, RunOutcome, RunStatus


@pytest.fixture
def runs(database: Database, tmp_path: Path) -> RunStore:
    return RunStore(database, ObjectStore(tmp_path / "results"))


async def record(
    runs: RunStore, run_id: str, *, inputs: Any = None, result: Any = None, error: str | None = None
) -> None:
    new = NewRun(run_id, {"id": "get_orders"}, 1, inputs or {}, {}, RequestSource.MCP, "me", 1)
    seq = await runs.start(new)
    status = RunStatus.SUCCESS if error is None else RunStatus.FAILED
    outcome = RunOutcome(status, {}, error=error)
    if error is None:
        outcome.set_data(result, is_large=False)
    await runs.finish(seq, outcome)


async def found(runs: RunStore, words: str, **fields: Any) -> list[str]:
    while await runs.has_waiting():
        await runs.index_waiting()
    page = await runs.list(RunFilter(search=words, **fields), limit=50)
    assert page.total == len(page.runs)
    return [run.run_id for run in page.runs]


async def test_runs_are_found_by_words_of_inputs_errors_and_results(runs: RunStore) -> None:
    await record(runs, "a", inputs={"query": "blue whale"}, result=[])
    await record(runs, "b", result={"items": [{"name": "Blue Note"}]})
    await record(runs, "c", error="HTTP 500: the blue server is down")
    assert await found(runs, "blue") == ["c", "b", "a"]
    assert await found(runs, "blue whale") == ["a"]
    assert await found(runs, '"blue note"') == ["b"]
    assert await found(runs, "blue", status=RunStatus.FAILED) == ["c"]
    assert await found(runs, "serv") == ["c"]
    assert await found(runs, '"serv"') == []


async def test_the_name_of_the_tool_is_not_a_word_of_every_run(runs: RunStore) -> None:
    await record(runs, "a", result="nothing")
    assert await found(runs, "orders") == []


async def test_words_beside_escapes_of_json_are_found(runs: RunStore) -> None:
    await record(runs, "a", result="first\nsecond\tthird \u00fcber")
    for word in ("first", "second", "third", "über"):
        assert await found(runs, word) == ["a"]


async def test_runs_that_are_under_way_wait_for_their_end(runs: RunStore) -> None:
    await runs.start(
        NewRun("a", {"id": "t"}, 1, {"query": "whale"}, {}, RequestSource.MCP, "me", 1)
    )
    assert await found(runs, "whale") == []


async def test_a_deleted_run_is_found_no_more_and_its_words_are_gone(
    runs: RunStore, database: Database
) -> None:
    await record(runs, "a", inputs={"query": "whale"}, result="x")
    await record(runs, "b", inputs={"query": "whale"}, result="y")
    assert await found(runs, "whale") == ["b", "a"]
    assert await runs.delete("a")
    assert await found(runs, "whale") == ["b"]
    assert await runs.delete("b")
    left = await database.read(
        lambda connection: connection.execute(
            "SELECT count(*) FROM run_search WHERE run_search MATCH 'whale'"
        ).fetchone()[0]
    )
    assert left == 0
    await database.write(_check_index)


async def test_no_byte_of_the_words_of_a_deleted_run_stays_in_the_index(
    runs: RunStore, database: Database
) -> None:
    for number in range(50):
        await record(runs, f"run-{number}", inputs={"query": f"whale{number} shared"}, result="x")
    assert await found(runs, "whale7") == ["run-7"]
    assert await runs.delete("run-7")
    blocks = await database.read(
        lambda connection: connection.execute("SELECT block FROM run_search_data").fetchall()
    )
    # An index has what a word shares with the one before it only once.
    assert not any(b"whale7" in block[0] for block in blocks)
    assert await found(runs, "whale8") == ["run-8"]
    await database.write(_check_index)


async def test_a_history_without_runs_has_no_words(runs: RunStore, database: Database) -> None:
    for number in range(150):
        await record(runs, f"run-{number}", inputs={"query": f"whale{number}"}, result="x")
    while await runs.index_waiting():
        pass
    pruned = await runs.prune(RetentionPolicy(max_age_ms=dict.fromkeys(RunStatus, 0)))
    assert pruned.runs == 150
    size = await database.read(
        lambda connection: connection.execute(
            "SELECT sum(length(block)) FROM run_search_data"
        ).fetchone()[0]
    )
    assert size < 100


def _check_index(connection: sqlite3.Connection) -> None:
    connection.execute("INSERT INTO run_search (run_search) VALUES ('integrity-check')")


async def test_a_run_deleted_before_it_was_indexed_leaves_nothing(runs: RunStore) -> None:
    await record(runs, "a", inputs={"query": "whale"}, result="x")
    assert await runs.delete("a")
    assert not await runs.has_waiting()
    assert await found(runs, "whale") == []


async def test_a_large_result_is_searched_from_its_head_wherever_it_lies(runs: RunStore) -> None:
    # Random hex digits do not compress to a quarter of a megabyte.
    noise = random.Random(7).randbytes(900_000).hex()
    await record(runs, "a", result=["whale", noise, "beyond"])
    run = await runs.get("a")
    assert run is not None
    assert run.result is None
    assert run.result_uri is not None
    assert await found(runs, "whale") == ["a"]
    assert await found(runs, "beyond") == []
    assert await runs.delete("a")
    assert await found(runs, "whale") == []


async def test_only_the_first_part_of_a_result_is_searched(runs: RunStore) -> None:
    await record(runs, "a", result=["x" * SEARCHED_BYTES, "beyond"])
    assert await found(runs, "beyond") == []


@pytest.mark.parametrize("words", ["", "   ", "...", '""', "- +"])
def test_a_search_without_words_is_refused(words: str) -> None:
    with pytest.raises(SearchError, match="valid are words"):
        match_expression(words)


def test_a_search_of_very_many_words_is_refused() -> None:
    with pytest.raises(SearchError, match="at most 20"):
        match_expression(" ".join(map(str, range(21))))


@given(words=st.text(max_size=40))
def test_whatever_a_person_types_is_an_expression_or_a_clear_refusal(words: str) -> None:
    try:
        expression = match_expression(words)
    except SearchError:
        return
    if any("\ud800" <= one <= "\udfff" for one in words):
        return
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE VIRTUAL TABLE t USING fts5 (tool, inputs, error, result)")
        connection.execute("SELECT 1 FROM t WHERE t MATCH ?", (expression,)).fetchall()
