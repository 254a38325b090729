"""Runs of processes that are gone, where nobody may write: as the next writer ends them."""

import sqlite3
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from storage.counters import Counters
from storage.database import Database
from storage.locks import LOCKS_FOLDER, is_held, lock_of
from storage.objects import ObjectStore
from storage.opening import open_database
from storage.orphans import show_orphans_as_ended, with_orphans_ended
from storage.owners import end_orphans, hold_ownership
from storage.read_only import Sight, connect_to_read, read_only_error
from storage.read_only_database import ReadOnlyDatabase
from storage.run_lists import RunFilter
from storage.run_queue import RunQueue
from storage.run_reads import read_status
from storage.run_record import NewRun
from storage.runs import RunStore
from storage.statistics import ToolStatistics
from tools.run import RequestSource, RunOutcome, RunStatus

DEAD, ALIVE = "d" * 32, "a" * 32


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "callslip.db"


@asynccontextmanager
async def only_reading(path: Path) -> AsyncGenerator[Database]:
    database = ReadOnlyDatabase(path, read_only_error(path))
    try:
        await database.open()
        yield database
    finally:
        await database.close()


def store_of(database: Database) -> RunStore:
    return RunStore(database, ObjectStore(database.path.with_name("results")))


def new_run(run_id: str, owner: str, **fields: Any) -> NewRun:
    inputs = {"text": f"whale {run_id}"}
    return NewRun(
        run_id, {"id": f"t{len(run_id) % 2}"}, 1, inputs, {}, RequestSource.MCP, owner, 1, **fields
    )


async def fill(path: Path) -> None:
    """Runs of a process that is gone and of one that is not, in every state there is."""
    async with open_database(path) as database:
        runs = store_of(database)
        for owner in (DEAD, ALIVE):
            for queued in (None, "bound", "resumable"):
                await runs.start(new_run(f"{owner[0]}-{queued}", owner, queued=queued))
            ended = await runs.start(new_run(f"{owner[0]}-ended", owner))
            await runs.finish(ended, RunOutcome(RunStatus.SUCCESS, {}))
        await runs.start(new_run("released", DEAD, queued="resumable"))
        await RunQueue(database).release(DEAD)
        await runs.start(new_run("d-resumable-2", DEAD, queued="resumable"))
        derived = new_run("derived", DEAD, source_run_id="a-ended", source_kind="rerun")
        await runs.start(derived)
        while await runs.index_waiting():
            pass


async def all_that_is_shown(database: Database) -> dict[str, Any]:
    """What anybody is told of runs; when they ended and who owns them is left out."""
    runs = store_of(database)
    counters = Counters(database)
    shown: dict[str, Any] = {"counts": await counters.runs(), "waiting": await counters.waiting()}
    for status in (None, *RunStatus):
        for tool_id in (None, "t0", "t1"):
            for search in (None, "whale", "interrupted"):
                wanted = RunFilter(tool_id=tool_id, status=status, search=search)
                page = await runs.list(wanted, limit=100)
                found = [(run.run_id, run.status, run.error) for run in page.runs]
                shown[f"{status} {tool_id} {search}"] = (found, page.total)
    for run in (await runs.list(RunFilter(), limit=100)).runs:
        whole = await runs.get(run.run_id)
        assert whole is not None
        shown[run.run_id] = replace(whole, completed_at=None, owner=None)
        assert await runs.status(run.run_id) == whole.status
    shown["statistics"] = [without_times(one) for one in await runs.statistics()]
    return shown


def without_times(one: ToolStatistics) -> ToolStatistics:
    return replace(one, p50_ms=None, p95_ms=None)


async def test_what_is_shown_is_what_the_next_writer_records(path: Path) -> None:
    await fill(path)
    locks = path.with_name(LOCKS_FOLDER)
    locks.mkdir()
    lock_of(locks, DEAD).touch()
    with FileLock(lock_of(locks, ALIVE)):
        async with only_reading(path) as database:
            shown = await all_that_is_shown(database)
        async with open_database(path) as database:
            with hold_ownership(locks) as owner:
                assert await end_orphans(store_of(database), owner) == 3
                await store_of(database).index_waiting()
            assert shown == await all_that_is_shown(database)
    for words in ("whale", "interrupted"):
        assert len(shown[f"aborted None {words}"][0]) == 3
    statuses = {name: run.status for name, run in shown.items() if hasattr(run, "run_id")}
    assert {name for name, status in statuses.items() if status == "aborted"} == {
        "d-None",
        "d-bound",
        "derived",
    }


async def test_who_is_gone_counts_once_for_all_connections(path: Path) -> None:
    locks = path.with_name(LOCKS_FOLDER)
    async with open_database(path) as writing:
        await store_of(writing).start(new_run("r", DEAD))
        async with only_reading(path) as reading:
            before = await reading.data_version()
            with hold_ownership(locks) as owner:
                await end_orphans(store_of(writing), owner)
            versions = {await reading.data_version() for _ in range(4)}
    assert len(versions) == 1
    assert versions != {before}


async def test_a_run_that_ends_while_its_process_is_looked_for_was_never_cut_off(
    path: Path,
) -> None:
    async with open_database(path) as database:
        await store_of(database).start(new_run("r", ALIVE))

        def ends_and_is_gone(owner: str) -> bool:
            with closing(sqlite3.connect(path)) as writing, writing:
                writing.execute("UPDATE runs SET status = 'success' WHERE owner = ?", (owner,))
            return False

        def read(connection: sqlite3.Connection) -> RunStatus | None:
            return read_status(connection, "r")

        with closing(connect_to_read(path, Sight.of(path))) as connection:
            show_orphans_as_ended(connection)
            connection.execute("BEGIN")
            assert with_orphans_ended(connection, ends_and_is_gone, read) == RunStatus.SUCCESS
            connection.execute("ROLLBACK")


def test_a_lock_is_seen_without_writing(tmp_path: Path) -> None:
    lock = tmp_path / "some.lock"
    assert not is_held(lock)
    with FileLock(lock):
        assert is_held(lock)
    lock.touch()
    assert not is_held(lock)


@pytest.mark.skipif(sys.platform == "win32", reason="making links needs a right there")
def test_a_lock_that_cannot_be_looked_at_counts_as_held(tmp_path: Path) -> None:
    lock = tmp_path / "some.lock"
    lock.symlink_to(lock)
    assert is_held(lock)
