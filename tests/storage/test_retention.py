"""What stays and what goes: by age, by size, by hand; and that nothing is left behind."""

import os
import random
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from storage.database import Database
from storage.objects import ObjectStore
from storage.retention import Pruned, RetentionPolicy
from storage.run_lists import RunFilter
from storage.run_record import NewRun
from storage.runs import RunStore
from tests.server.helpers import until_async
from tools.run import RequestSource, RunOutcome, RunStatus, SourceKind, now_ms

DAY_MS = 24 * 3600 * 1000


@pytest.fixture
def objects(tmp_path: Path) -> ObjectStore:
    return ObjectStore(tmp_path / "results")


@pytest.fixture
def runs(database: Database, objects: ObjectStore) -> RunStore:
    return RunStore(database, objects)


def noise(number_of_bytes: int, seed: int = 1) -> str:
    """Hex digits, which compress to no less than half."""
    return random.Random(seed).randbytes(number_of_bytes // 2).hex()


async def record(
    runs: RunStore,
    run_id: str,
    *,
    days_old: float = 0,
    result: Any = None,
    status: RunStatus = RunStatus.SUCCESS,
    tool: Mapping[str, Any] | None = None,
    kind: SourceKind | None = None,
) -> None:
    started_at = now_ms() - round(days_old * DAY_MS)
    definition = dict(tool or {"id": "t"})
    new = NewRun(
        run_id, definition, 1, {}, {}, RequestSource.MCP, "me", started_at, source_kind=kind
    )
    seq = await runs.start(new)
    if status is not RunStatus.RUNNING:
        outcome = RunOutcome(status, {})
        outcome.set_data(result, is_large=False)
        await runs.finish(seq, outcome)


async def ids(runs: RunStore) -> list[str]:
    page = await runs.list(RunFilter(), limit=100)
    assert page.total == len(page.runs)
    return [run.run_id for run in page.runs]


async def rows(database: Database) -> dict[str, int]:
    def count(connection: sqlite3.Connection) -> dict[str, int]:
        tables = ("runs", "run_details", "blobs", "blob_uses", "run_counts", "search_queue")
        return {
            table: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
            for table in tables
        }

    return await database.read(count)


async def test_runs_older_than_their_status_allows_go(runs: RunStore) -> None:
    for days in (1, 40, 100):
        await record(runs, f"good {days}", days_old=days)
        await record(runs, f"bad {days}", days_old=days, status=RunStatus.FAILED)
    policy = RetentionPolicy(
        {RunStatus.SUCCESS: 30 * DAY_MS, RunStatus.FAILED: 90 * DAY_MS, RunStatus.ABORTED: None}
    )
    would = await runs.would_prune(policy)
    assert would.runs == 3
    assert (await runs.prune(policy)).runs == 3
    assert await ids(runs) == ["bad 40", "bad 1", "good 1"]
    assert (await runs.prune(policy)).runs == 0


async def test_pinned_and_running_runs_stay_whatever_their_age(runs: RunStore) -> None:
    await record(runs, "pinned", days_old=400)
    await record(runs, "running", days_old=400, status=RunStatus.RUNNING)
    await record(runs, "old", days_old=400)
    assert await runs.pin("pinned", pinned=True)
    everything = RetentionPolicy(dict.fromkeys(RunStatus, 1), max_bytes=1)
    assert (await runs.prune(everything)).runs == 1
    assert await ids(runs) == ["running", "pinned"]
    assert await runs.pin("pinned", pinned=False)
    assert (await runs.prune(everything)).runs == 1
    assert not await runs.pin("nobody", pinned=True)


async def size_of(database: Database) -> int:
    """The size of the file once everything is in it."""

    def is_checkpointed(connection: sqlite3.Connection) -> bool:
        if connection.in_transaction:
            connection.execute("COMMIT")
        busy, *_ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        return not busy

    async def check() -> bool:
        return await database.read(is_checkpointed)

    # The database's own checkpoints come between.
    await until_async(check, "everything is in the file")
    return database.path.stat().st_size


async def test_of_too_much_the_oldest_go_and_the_file_gets_smaller(
    runs: RunStore, database: Database
) -> None:
    for number in range(60):
        await record(runs, f"{number:02}", result=noise(100_000, number))
    before = await size_of(database)
    pruned = await runs.prune(RetentionPolicy(max_bytes=1_000_000))
    assert pruned.bytes_after <= 1_000_000 < pruned.bytes_before
    assert await size_of(database) < before / 3
    left = await ids(runs)
    assert left == [f"{number:02}" for number in range(59, pruned.runs - 1, -1)]
    # No more went than had to: another run would be too much.
    assert len(left) > 10
    assert pruned.bytes_after > 1_000_000 - 2 * pruned.bytes_before / 60


async def test_of_large_results_outside_the_database_no_more_go_than_must(
    runs: RunStore, objects: ObjectStore
) -> None:
    for number in range(5):
        await record(runs, str(number), result=noise(1_200_000, number))
    there = (await runs.would_prune(RetentionPolicy())).bytes_before
    pruned = await runs.prune(RetentionPolicy(max_bytes=there - 1_000_000))
    assert pruned.runs == 2
    assert await ids(runs) == ["4", "3", "2"]
    assert len(objects.files()) == 3


async def test_a_deleted_run_leaves_no_row_and_no_file(
    runs: RunStore, database: Database, objects: ObjectStore
) -> None:
    empty = await rows(database)
    await record(runs, "small", result=["x"])
    await record(runs, "medium", result=noise(20_000))
    await record(runs, "large", result=noise(1_200_000))
    assert len(objects.files()) == 1
    for run_id in ("small", "medium", "large"):
        assert await runs.delete(run_id)
        assert not await runs.delete(run_id)
    assert await rows(database) == empty
    assert objects.files() == []


async def test_a_payload_that_another_run_has_stays(runs: RunStore, objects: ObjectStore) -> None:
    shared = noise(1_200_000)
    await record(runs, "a", result=shared)
    await record(runs, "b", result=shared)
    assert len(objects.files()) == 1
    assert await runs.delete("a")
    run = await runs.get("b", with_large=True)
    assert run is not None
    assert run.data == shared
    assert await runs.delete("b")
    assert objects.files() == []


async def test_a_running_run_cannot_be_deleted(runs: RunStore) -> None:
    await record(runs, "a", status=RunStatus.RUNNING)
    assert not await runs.delete("a")
    assert await ids(runs) == ["a"]


async def test_definitions_go_with_their_last_run_unless_a_tool_has_them(
    runs: RunStore, database: Database
) -> None:
    await record(runs, "a", tool={"id": "gone", "version": "1.0.0"})
    await record(runs, "b", tool={"id": "gone", "version": "1.0.0"})

    async def snapshots() -> int:
        return await database.read(
            lambda connection: connection.execute("SELECT count(*) FROM snapshots").fetchone()[0]
        )

    assert await snapshots() == 1
    await runs.delete("a")
    assert await snapshots() == 1
    await runs.delete("b")
    assert await snapshots() == 0


async def test_files_that_no_run_has_are_swept_when_they_are_old(
    runs: RunStore, objects: ObjectStore
) -> None:
    await record(runs, "a", result=noise(1_200_000))
    left = await objects.put("ab" * 20, b"left by a process that was killed")
    assert await runs.sweep_objects(3600) == 0
    for uri, _ in objects.files():
        path = objects.directory / uri.removeprefix("file:")
        os.utime(path, (1, 1))
    assert await runs.sweep_objects(3600) == 1
    assert left not in {uri for uri, _ in objects.files()}
    run = await runs.get("a", with_large=True)
    assert run is not None
    assert run.result is not None


async def test_what_would_go_by_size_is_said_without_doing_it(runs: RunStore) -> None:
    for number in range(10):
        await record(runs, str(number), result=noise(100_000, number))
    would = await runs.would_prune(RetentionPolicy(max_bytes=100_000))
    assert would.runs > 0
    assert would.bytes_after < would.bytes_before
    assert len(await ids(runs)) == 10


async def test_a_policy_that_keeps_all_keeps_all(runs: RunStore) -> None:
    await record(runs, "a", days_old=4000)
    assert RetentionPolicy().keeps_all
    assert await runs.prune(RetentionPolicy()) == Pruned(
        0, *[(await runs.would_prune(RetentionPolicy())).bytes_before] * 2
    )


async def test_lists_from_a_moment_on_begin_with_the_first_run_after_it(runs: RunStore) -> None:
    for days in (5, 3, 1):
        await record(runs, str(days), days_old=days)
    # The clock was set back: recorded later, stamped earlier.
    await record(runs, "stamped early", days_old=10)

    async def after(days: float) -> list[str]:
        wanted = RunFilter(started_after=now_ms() - round(days * DAY_MS))
        page = await runs.list(wanted, limit=10)
        assert page.total == len(page.runs)
        return [run.run_id for run in page.runs]

    assert await after(4) == ["stamped early", "1", "3"]
    assert await after(2) == ["stamped early", "1"]
    assert await after(0) == []


async def test_statistics_count_every_run_and_measure_those_that_ended(runs: RunStore) -> None:
    for number in range(4):
        await record(runs, f"a{number}", tool={"id": "a"})
    await record(runs, "a bad", tool={"id": "a"}, status=RunStatus.FAILED)
    await record(runs, "b", tool={"id": "b"}, status=RunStatus.RUNNING)
    a, b = await runs.statistics()
    assert (a.tool_id, a.runs, a.success, a.failed, a.success_rate) == ("a", 5, 4, 1, 0.8)
    assert a.p50_ms is not None
    assert a.p95_ms is not None
    assert a.p50_ms <= a.p95_ms
    assert (b.tool_id, b.running, b.success_rate, b.p50_ms) == ("b", 1, None, None)
    assert [one.tool_id for one in await runs.statistics("b")] == ["b"]


async def test_a_replay_is_counted_and_not_measured(runs: RunStore) -> None:
    await record(runs, "long", days_old=1)
    for number in range(5):
        await record(runs, f"replay {number}", kind=SourceKind.REPLAY)
    (found,) = await runs.statistics()
    assert found.runs == 6
    assert found.p50_ms is not None
    assert found.p50_ms > DAY_MS / 2


async def test_something_is_announced_once(runs: RunStore) -> None:
    assert await runs.announce_once("retention")
    assert not await runs.announce_once("retention")
