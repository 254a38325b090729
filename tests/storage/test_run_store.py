"""The record of runs: started, finished once, exact documents, counters, lists, damage."""

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from server.views import tool_view
from storage.database import Database
from storage.errors import KeyTakenError, RunExistsError
from storage.objects import ObjectStore
from storage.opening import open_database
from storage.orphans import INTERRUPTED
from storage.run_lists import RunFilter
from storage.run_record import NewRun, StoredRun
from storage.runs import RunStore
from tools.errors import ErrorDetail, ErrorKind
from tools.json_pieces import weighs_much
from tools.json_text import encode_json
from tools.run import (
    Exchange,
    LogLine,
    RequestRecord,
    RequestSource,
    RunOutcome,
    RunStatus,
    StepRecord,
)

ENDED = (RunStatus.SUCCESS, RunStatus.FAILED, RunStatus.ABORTED)


@pytest.fixture
def runs(database: Database, tmp_path: Path) -> RunStore:
    return RunStore(database, ObjectStore(tmp_path / "results"))


def new_run(run_id: str = "r", tool_id: str = "t", **fields: Any) -> NewRun:
    given: dict[str, Any] = {
        "tool": {"id": tool_id, "version": "1.0.0"},
        "version_number": 1,
        "inputs": {},
        "options": {},
        "request_source": RequestSource.MCP,
        "owner": "me",
        "started_at": 1_700_000_000_000,
        **fields,
    }
    return NewRun(run_id, **given)


def success(data: Any = None, **fields: Any) -> RunOutcome:
    outcome = RunOutcome(RunStatus.SUCCESS, {}, **fields)
    outcome.set_data(data, is_large=weighs_much(data))
    return outcome


def failed(error: str = "it failed", status: RunStatus = RunStatus.FAILED) -> RunOutcome:
    detail = ErrorDetail(kind=ErrorKind.HTTP_STATUS, step_id="s")
    return RunOutcome(status, {}, error=error, error_detail=detail)


async def required(runs: RunStore, run_id: str) -> StoredRun:
    run = await runs.get(run_id)
    assert run is not None
    return run


async def test_a_started_run_is_there_and_running(runs: RunStore) -> None:
    await runs.start(
        new_run(
            inputs={"a": 1},
            options={"retries": 2},
            trace_id="trace",
            user_id="me",
            client_name="host",
            client_version="3",
        )
    )
    run = await required(runs, "r")
    assert run.status is RunStatus.RUNNING
    assert (run.inputs, run.options, run.tool) == (
        {"a": 1},
        {"retries": 2},
        {"id": "t", "version": "1.0.0"},
    )
    assert (run.owner, run.trace_id, run.user_id) == ("me", "trace", "me")
    assert (run.client_name, run.client_version, run.completed_at) == ("host", "3", None)
    assert await runs.owners() == ["me"]


@pytest.mark.parametrize("status", ENDED)
async def test_a_run_ends_once_and_its_first_end_stays(status: RunStatus, runs: RunStore) -> None:
    seq = await runs.start(new_run())
    first = success("first") if status is RunStatus.SUCCESS else failed("first", status)
    assert await runs.finish(seq, first)
    before = await runs.get("r")
    for again in (success("second"), failed("second"), failed("second", RunStatus.ABORTED)):
        assert not await runs.finish(seq, again)
    assert await runs.interrupt("me") == 0
    assert await runs.get("r") == before
    assert await runs.status("r") is status
    assert await runs.owners() == []


async def test_of_ends_at_once_one_is_recorded(runs: RunStore) -> None:
    seq = await runs.start(new_run())
    taken: list[bool] = []

    async def finish(number: int) -> None:
        taken.append(await runs.finish(seq, success(number)))

    async with anyio.create_task_group() as group:
        for number in range(20):
            group.start_soon(finish, number)
    assert sorted(taken) == [False] * 19 + [True]
    assert (await runs.list(RunFilter(), limit=10)).total == 1


async def test_an_id_is_taken_for_ever(runs: RunStore) -> None:
    seq = await runs.start(new_run())
    with pytest.raises(RunExistsError, match="run r is recorded already"):
        await runs.start(new_run())
    await runs.finish(seq, success())
    with pytest.raises(RunExistsError):
        await runs.start(new_run(tool_id="other"))
    assert (await runs.list(RunFilter(), limit=10)).total == 1


async def test_of_starts_of_one_id_at_once_one_succeeds(runs: RunStore) -> None:
    outcomes: list[bool] = []

    async def start() -> None:
        try:
            await runs.start(new_run())
            outcomes.append(True)
        except RunExistsError:
            outcomes.append(False)

    async with anyio.create_task_group() as group:
        for _ in range(10):
            group.start_soon(start)
    assert sorted(outcomes) == [False] * 9 + [True]
    assert (await runs.list(RunFilter(), limit=10)).total == 1


async def test_an_idempotency_key_is_taken_for_its_tool_alone(runs: RunStore) -> None:
    await runs.start(new_run("a", idempotency_key="k"))
    await runs.start(new_run("b", tool_id="other", idempotency_key="k"))
    with pytest.raises(KeyTakenError) as taken:
        await runs.start(new_run("c", idempotency_key="k"))
    assert taken.value.run_id == "a"


VALUES: list[Any] = [
    None,
    True,
    False,
    0,
    1,
    -1,
    "1",
    "",
    "null",
    "true",
    "1.0",
    1.0,
    1.5,
    -0.0,
    1e300,
    2**53 + 1,
    2**63,
    2**64 - 1,
    12345678901234567890,
    -(2**70),
    "12345678901234567890",
    " 7 ",
    "0x10",
    'Ünïcode \U0001f600 \u2028 \x00 \\ "',
    [],
    {},
    [1, "1", None, [True]],
    {"a": {"b": [12345678901234567890]}, "": None, "1": 1},
]


@pytest.mark.parametrize("value", VALUES, ids=lambda value: repr(value)[:30])
async def test_documents_come_back_exactly_as_they_were(value: Any, runs: RunStore) -> None:
    seq = await runs.start(new_run(inputs={"value": value}))
    step = StepRecord("s", 1, True, "success", data=value, has_data=True, completed_at=2)
    await runs.finish(seq, success(value, steps=[step]))
    run = await required(runs, "r")
    assert run.damage is None
    assert run.result is not None
    for found in (run.data, run.steps[0]["data"], (run.inputs or {})["value"]):
        assert encode_json(found) == encode_json(value)


@pytest.mark.parametrize("size", [2046, 2047, 2048, 2049, 2050, 100_000, 1_048_576])
@pytest.mark.parametrize("letter", ["x", "ü"])
async def test_documents_of_any_size_come_back_exactly(
    size: int, letter: str, runs: RunStore
) -> None:
    text = letter * size
    seq = await runs.start(new_run(inputs={"value": text}))
    request = RequestRecord(
        "POST",
        "http://h/",
        200,
        exchange=Exchange([("a", "b")], text.encode(), 200, [("c", "d")], text.encode()),
    )
    step = StepRecord("s", 1, True, "success", data=text, has_data=True, requests=[request])
    logs = [LogLine(0, "log", "s", text)]
    await runs.finish(
        seq, success(text, steps=[step], logs=logs, sub_tools={"u": {"id": "u", "text": text}})
    )
    run = await required(runs, "r")
    assert run.damage is None
    assert run.inputs == {"value": text}
    assert run.data == text
    assert run.steps[0]["data"] == text
    exchange = run.steps[0]["requests"][0]["exchange"]
    assert (exchange["requestBody"], exchange["responseBody"]) == (text, text)
    assert run.logs[0]["message"] == text
    assert run.sub_tools == {"u": {"id": "u", "text": text}}


async def test_incompressible_bytes_come_back_exactly(runs: RunStore) -> None:
    text = "".join(chr(0x4E00 + (number * 7919) % 20000) for number in range(30_000))
    seq = await runs.start(new_run())
    await runs.finish(seq, success(text))
    assert (await required(runs, "r")).data == text


def blob_counts(connection: sqlite3.Connection) -> tuple[int, int]:
    return (
        connection.execute("SELECT count(*) FROM blobs").fetchone()[0],
        connection.execute("SELECT count(*) FROM blob_uses").fetchone()[0],
    )


async def test_a_large_content_is_kept_once_however_often_it_is_recorded(
    runs: RunStore, database: Database
) -> None:
    content = ["row"] * 5000
    for number in range(3):
        seq = await runs.start(new_run(f"r{number}"))
        request = RequestRecord(
            "GET", "http://h/", 200, exchange=Exchange([], None, 200, [], encode_json(content))
        )
        step = StepRecord("s", 1, True, "success", data=content, has_data=True, requests=[request])
        await runs.finish(seq, success(content, steps=[step]))
    blobs, uses = await database.read(blob_counts)
    assert (blobs, uses) == (1, 3)


async def test_the_definition_that_was_executed_is_kept_once(
    runs: RunStore, database: Database
) -> None:
    for number in range(3):
        await runs.start(new_run(f"r{number}"))
    count = await database.read(
        lambda connection: connection.execute("SELECT count(*) FROM snapshots").fetchone()[0]
    )
    assert count == 1


async def test_a_text_that_looks_like_the_mark_of_a_blob_is_left_alone(runs: RunStore) -> None:
    data = {"mark": "blob-0123456789abcdef0123456789abcdef", "fill": "x" * 5000}
    step = StepRecord("s", 1, True, "success", data=data, has_data=True)
    small = StepRecord("blob-1", 1, True, "success", data={"dataBlob": 1}, has_data=True)
    seq = await runs.start(new_run())
    await runs.finish(seq, success(data, steps=[step, small]))
    run = await required(runs, "r")
    assert [one["data"] for one in run.steps] == [data, {"dataBlob": 1}]


async def test_half_a_surrogate_pair_is_recorded_as_text(runs: RunStore) -> None:
    seq = await runs.start(new_run())
    await runs.finish(seq, failed("cut \ud83d here"))
    run = await required(runs, "r")
    assert run.error == "cut ? here"
    seq = await runs.start(new_run("s", inputs={"a": "\ud83d"}))
    await runs.finish(seq, success({"a": "\ud83d"}))
    run = await required(runs, "s")
    assert run.inputs == {"a": "\ud83d"}
    assert tool_view(run)["data"] == {"a": "\ud83d"}


async def test_the_runs_of_a_process_that_is_gone_end_with_the_reason(runs: RunStore) -> None:
    for number in range(3):
        await runs.start(new_run(f"gone{number}", owner="gone"))
    await runs.start(new_run("mine", owner="me"))
    assert await runs.interrupt("gone") == 3
    run = await required(runs, "gone1")
    assert (run.status, run.error) == (RunStatus.ABORTED, INTERRUPTED)
    assert run.error_detail == {"kind": "interrupted", "retryable": True}
    assert await runs.owners() == ["me"]
    assert await runs.interrupt("gone") == 0


async def test_a_wish_to_cancel_is_gone_when_the_run_has_ended(runs: RunStore) -> None:
    seq = await runs.start(new_run())
    await runs.request_cancel("r", "enough")
    await runs.request_cancel("r", "enough now")
    assert await runs.cancel_requests() == {"r": "enough now"}
    await runs.finish(seq, failed("enough now", RunStatus.ABORTED))
    assert await runs.cancel_requests() == {}


# Lists and counters against a naive model

TOOLS = ("a", "b", "c")
SOURCES = (RequestSource.MCP, RequestSource.CLI, RequestSource.API)


@dataclass
class Model:
    """What a list of runs should say, made the slow way."""

    rows: list[tuple[str, str, RunStatus, RequestSource]] = field(
        default_factory=list[tuple[str, str, RunStatus, RequestSource]]
    )

    def matching(
        self, tool: str | None, status: RunStatus | None, sources: Sequence[RequestSource]
    ) -> list[str]:
        return [
            run_id
            for run_id, tool_id, found, source in reversed(self.rows)
            if tool in {None, tool_id}
            and status in {None, found}
            and (not sources or source in sources)
        ]


Action = tuple[str, str, RequestSource, RunStatus, int]
ACTIONS: st.SearchStrategy[list[Action]] = st.lists(
    st.tuples(
        st.sampled_from(("start", "start", "finish", "finish_again", "interrupt")),
        st.sampled_from(TOOLS),
        st.sampled_from(SOURCES),
        st.sampled_from(ENDED),
        st.integers(0, 30),
    ),
    max_size=30,
)


async def apply(runs: RunStore, actions: Iterable[Action]) -> Model:
    model = Model()
    seqs: list[int] = []
    owners: list[str] = []
    for action, tool_id, source, status, number in actions:
        if action == "start":
            owner = f"owner{number % 3}"
            run_id = f"r{len(seqs)}"
            seqs.append(
                await runs.start(new_run(run_id, tool_id, request_source=source, owner=owner))
            )
            owners.append(owner)
            model.rows.append((run_id, tool_id, RunStatus.RUNNING, source))
        elif action == "interrupt":
            await runs.interrupt(f"owner{number % 3}")
            for index, row in enumerate(model.rows):
                if row[2] is RunStatus.RUNNING and owners[index] == f"owner{number % 3}":
                    model.rows[index] = (row[0], row[1], RunStatus.ABORTED, row[3])
        elif seqs:
            index = number % len(seqs)
            run_id, tool_id, current, source = model.rows[index]
            outcome = success() if status is RunStatus.SUCCESS else failed(status=status)
            ended = await runs.finish(seqs[index], outcome)
            assert ended == (current is RunStatus.RUNNING)
            if ended:
                model.rows[index] = (run_id, tool_id, status, source)
    return model


@settings(max_examples=25, deadline=None)
@given(actions=ACTIONS, size=st.integers(1, 7))
def test_lists_pages_and_totals_agree_with_counting_every_run(
    tmp_path_factory: pytest.TempPathFactory, actions: list[Action], size: int
) -> None:
    path = tmp_path_factory.mktemp("property") / "callslip.db"
    anyio.run(_compare_with_model, path, actions, size)


async def _compare_with_model(path: Path, actions: list[Action], size: int) -> None:
    async with open_database(path) as database:
        runs = RunStore(database, ObjectStore(path.parent / "results"))
        model = await apply(runs, actions)
        counted, real = await database.read(_counts)
        assert counted == real
        for tool in (None, "a", "nowhere"):
            for status in (None, *RunStatus):
                for sources in ((), SOURCES[:1], SOURCES[:2], SOURCES):
                    expected = model.matching(tool, status, sources)
                    wanted = RunFilter(tool, status, sources)
                    await _check_pages(runs, wanted, expected, size)


def _counts(connection: sqlite3.Connection) -> tuple[set[Any], set[Any]]:
    counted = connection.execute("SELECT * FROM run_counts WHERE runs <> 0").fetchall()
    real = connection.execute(
        "SELECT tool_id, status, request_source, count(*) FROM runs GROUP BY 1, 2, 3"
    ).fetchall()
    return set(counted), set(real)


async def _check_pages(runs: RunStore, wanted: RunFilter, expected: list[str], size: int) -> None:
    by_offset: list[str] = []
    by_key: list[str] = []
    before: int | None = None
    for _ in range(len(expected) // size + 1):
        page = await runs.list(wanted, limit=size, offset=len(by_offset))
        assert page.total == len(expected)
        by_offset += [run.run_id for run in page.runs]
        assert page.has_more == (len(by_offset) < len(expected))
        page = await runs.list(wanted, limit=size, before_seq=before)
        by_key += [run.run_id for run in page.runs]
        assert page.has_more == (len(by_key) < len(expected))
        if page.runs:
            before = page.runs[-1].seq
    assert by_offset == expected
    assert by_key == expected


@pytest.mark.parametrize("offset", [10, 2**53, 2**63, 10**30])
async def test_a_page_beyond_the_end_is_empty(offset: int, runs: RunStore) -> None:
    await runs.start(new_run())
    page = await runs.list(RunFilter(), limit=5, offset=offset)
    assert (page.runs, page.total, page.has_more) == ([], 1, False)
    page = await runs.list(RunFilter(), limit=5, before_seq=offset)
    assert [run.run_id for run in page.runs] == ["r"]


# Damage

SPOILED_ROWS = (
    "status = 'odd'",
    "started_at = 'yesterday'",
    "started_at = 99999999999999999",
    "started_at = -5",
    "completed_at = 'x'",
    "error = x'ff00'",
    "error = CAST(x'ff41' AS TEXT)",
    "tool_id = CAST(x'ff41' AS TEXT)",
    "run_id = x'ff'",
    "request_source = 'odd'",
    "snapshot_id = 99",
    "version_number = 'x'",
    "execution_mode = x'00'",
)


@pytest.mark.parametrize("change", SPOILED_ROWS)
async def test_one_bad_row_breaks_no_list_and_can_be_shown(
    change: str, runs: RunStore, database: Database
) -> None:
    for number in range(3):
        seq = await runs.start(new_run(f"r{number}"))
        await runs.finish(seq, success(number))

    def spoil(connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA ignore_check_constraints=ON")
        connection.execute("PRAGMA foreign_keys=OFF")
        connection.execute(f"UPDATE runs SET {change} WHERE run_id = 'r1'")

    await database.write(spoil)
    page = await runs.list(RunFilter(), limit=10)
    assert len(page.runs) == 3
    assert [page.runs[0].run_id, page.runs[2].run_id] == ["r2", "r0"]
    for run in page.runs:
        encode_json(tool_view(run, with_data=False))
    if not change.startswith("run_id"):
        run = await required(runs, "r1")
        assert tool_view(run).get("damage", "") == (run.damage or "")
        encode_json(tool_view(run))
        assert await runs.status("r1") in RunStatus


DOCUMENTS = ("inputs", "options", "result", "error_detail", "steps", "logs", "cost", "sub_tools")


@pytest.mark.parametrize("name", DOCUMENTS)
@pytest.mark.parametrize("damage", ["{", "77", "x'ff'", "'[1]'", "'\"text\"'", "'7'"])
async def test_a_damaged_document_is_named_and_the_others_are_there(
    name: str, damage: str, runs: RunStore, database: Database
) -> None:
    detail = ErrorDetail(kind=ErrorKind.TIMEOUT)
    step = StepRecord("s", 1, True, "success", data=[1], has_data=True)
    outcome = success(
        {"a": 1},
        steps=[step],
        error_detail=detail,
        logs=[LogLine(0, "log", "s", "line")],
        sub_tools={"u": {"id": "u"}},
    )
    seq = await runs.start(new_run(inputs={"i": 1}, options={"retries": 1}))
    await runs.finish(seq, outcome)
    whole = await required(runs, "r")
    value = f"'{damage}'" if damage == "{" else damage
    await database.write(
        lambda connection: connection.execute(f"UPDATE run_details SET {name} = {value}")
    )
    run = await required(runs, "r")
    for other in DOCUMENTS:
        if other != name:
            assert getattr(run, other) == getattr(whole, other), other
    if name != "result" or damage in {"{", "77", "x'ff'"}:
        assert run.damage is not None
        assert name in run.damage
    view = tool_view(run)
    encode_json(view)
    assert view["runId"] == "r"


@pytest.mark.parametrize("how", ["gone", "flipped", "cut", "size", "encoding", "other"])
async def test_a_damaged_blob_is_named_and_the_other_documents_are_there(
    how: str, runs: RunStore, database: Database
) -> None:
    large, other = ["row"] * 3000, ["other"] * 3000
    step = StepRecord("s", 1, True, "success", data=large, has_data=True)
    fine = StepRecord("t", 1, True, "success", data=other, has_data=True)
    seq = await runs.start(new_run(inputs={"i": "x" * 3000}))
    await runs.finish(seq, success(large, steps=[step, fine]))

    def spoil(connection: sqlite3.Connection) -> None:
        content = encode_json(large)
        blob_id, data = next(
            (row[0], row[1])
            for row in connection.execute("SELECT blob_id, data, size FROM blobs")
            if row[2] == len(content)
        )
        flipped = bytes([*data[:10], data[10] ^ 1, *data[11:]])
        changes: dict[str, tuple[str, tuple[Any, ...]]] = {
            "gone": ("DELETE FROM blobs WHERE blob_id = ?", ()),
            "flipped": ("UPDATE blobs SET data = ? WHERE blob_id = ?", (flipped,)),
            "cut": ("UPDATE blobs SET data = ? WHERE blob_id = ?", (data[:-5],)),
            "size": ("UPDATE blobs SET size = 5 WHERE blob_id = ?", ()),
            "encoding": ("UPDATE blobs SET encoding = 'raw' WHERE blob_id = ?", ()),
            "other": ("UPDATE blobs SET data = 'text' WHERE blob_id = ?", ()),
        }
        statement, parameters = changes[how]
        connection.execute("PRAGMA foreign_keys=OFF")
        connection.execute(statement, (*parameters, blob_id))

    await database.write(spoil)
    run = await required(runs, "r")
    assert run.result is None
    assert run.inputs == {"i": "x" * 3000}
    assert run.steps[1]["data"] == other
    assert "data" not in run.steps[0]
    assert run.damage is not None
    assert "result" in run.damage
    assert "step s" in run.damage
    encode_json(tool_view(run))


async def test_a_run_without_its_documents_is_still_shown(
    runs: RunStore, database: Database
) -> None:
    seq = await runs.start(new_run())
    await runs.finish(seq, success(1))
    await database.write(lambda connection: connection.execute("DELETE FROM run_details"))
    run = await required(runs, "r")
    assert (run.status, run.result, run.inputs) == (RunStatus.SUCCESS, None, None)
    encode_json(tool_view(run))


async def test_a_result_that_is_the_data_of_a_step_is_stored_once(
    runs: RunStore, database: Database
) -> None:
    data = [{"id": number, "name": "x" * 50} for number in range(100)]
    step = StepRecord("s", 1, success=True, status="success", has_data=True)
    step.data = {"currentItem": {}, "data": data, "success": True}
    seq = await runs.start(new_run())
    await runs.finish(seq, success(data, steps=[step]))
    blobs = await database.read(
        lambda connection: connection.execute("SELECT size FROM blobs").fetchall()
    )
    assert blobs == [(len(encode_json(data)),)]
    run = await required(runs, "r")
    assert run.data == data
    assert run.steps[0]["data"] == {"currentItem": {}, "data": data, "success": True}
    assert not {"envelope", "resultBlob"} & run.steps[0].keys()
