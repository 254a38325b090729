"""The database file: opening, migrating, refusing, group commit, a full disk."""

import asyncio
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Generator
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import anyio
import pytest

from server.app import open_service
from server.settings import Settings
from storage.database import Database
from storage.errors import HomeError, StorageError
from storage.objects import ObjectStore
from storage.opening import open_database
from storage.run_record import NewRun
from storage.runs import RunStore
from storage.schema import SCHEMA_VERSION
from tests.server.helpers import until
from tools.run import RequestSource, RunStatus

WAIT_SECONDS = 20


def put(value: str) -> Callable[[sqlite3.Connection], None]:
    """Work that writes a row; two of one value exclude each other."""

    def work(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO revisions VALUES (?, 1)", (value,))

    return work


def subjects(connection: sqlite3.Connection) -> set[str]:
    return {row[0] for row in connection.execute("SELECT subject FROM revisions")}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "home" / "callslip.db"


async def test_a_new_home_gets_the_schema_of_this_program(path: Path) -> None:
    async with open_database(path) as database:
        pragmas = await database.read(
            lambda connection: [
                connection.execute(f"PRAGMA {name}").fetchone()[0]
                for name in ("user_version", "application_id", "journal_mode", "auto_vacuum")
            ]
        )
        tables = await database.read(
            lambda connection: {
                row[0]
                for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            }
        )
    assert pragmas == [SCHEMA_VERSION, 0x43534C50, "wal", 2]
    assert {"runs", "run_details", "tools", "snapshots", "blobs", "run_counts"} <= tables


async def test_opening_again_changes_nothing_and_keeps_everything(path: Path) -> None:
    async with open_database(path) as database:
        await database.write(put("kept"))
    async with open_database(path) as database:
        assert "kept" in await database.read(subjects)


async def test_the_number_of_the_last_migration_is_the_schema_version() -> None:
    folder = Path(sys.modules["storage.database"].__file__ or "").parent / "migrations"
    numbers = sorted(int(file.name[:4]) for file in folder.glob("*.sql"))
    assert numbers == list(range(1, SCHEMA_VERSION + 1))


def foreign(path: Path, version: int) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE notes (text)")
        connection.execute(f"PRAGMA user_version={version}")
    connection.close()


def newer(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE runs (run_id)")
        connection.execute("PRAGMA application_id=0x43534C50")
        connection.execute(f"PRAGMA user_version={SCHEMA_VERSION + 1}")
    connection.close()


def marked_by_another_program(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA application_id=7")
    connection.close()


def truncated(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA application_id=0x43534C50")
        connection.execute("CREATE TABLE runs (run_id)")
        connection.executemany(
            "INSERT INTO runs VALUES (?)", [(f"{number:0100}",) for number in range(1000)]
        )
    connection.close()
    path.write_bytes(path.read_bytes()[:5000])


def overwritten(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA application_id=0x43534C50")
        connection.execute("CREATE TABLE runs (run_id)")
    connection.close()
    content = bytearray(path.read_bytes())
    content[100:4096] = os.urandom(3996)
    path.write_bytes(content)


def a_text(path: Path) -> None:
    path.write_text("These are my notes, and no database.\n" * 200)


def a_directory(path: Path) -> None:
    path.mkdir()


def content_of(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


REFUSED: list[tuple[Callable[[Path], None], str]] = [
    (lambda path: foreign(path, 0), "database of another program"),
    (lambda path: foreign(path, SCHEMA_VERSION), "database of another program"),
    (lambda path: foreign(path, SCHEMA_VERSION + 5), "database of another program"),
    (marked_by_another_program, "database of another program"),
    (newer, "newer callslip"),
    (a_text, "damaged or not a database"),
    (truncated, "damaged or not a database"),
    (overwritten, "damaged or not a database"),
    (a_directory, "cannot be opened"),
]


@pytest.mark.parametrize(
    ("make", "words"),
    REFUSED,
    ids=(
        "foreign",
        "foreign_of_our_version",
        "foreign_of_a_newer_version",
        "empty_but_marked",
        "newer",
        "text",
        "truncated",
        "overwritten",
        "directory",
    ),
)
async def test_a_file_that_is_not_ours_to_use_is_refused_and_left_as_it_is(
    make: Callable[[Path], None], words: str, path: Path
) -> None:
    path.parent.mkdir()
    make(path)
    before = content_of(path)
    with pytest.raises(HomeError) as refused:
        async with open_database(path):
            pass
    message = str(refused.value)
    assert words in message
    assert str(path) in message
    assert "CALLSLIP_HOME" in message or "callslip backup" in message
    if words != "damaged or not a database":
        assert content_of(path) == before


async def test_a_home_below_a_regular_file_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(HomeError, match="CALLSLIP_HOME") as refused:
        async with open_database(tmp_path / "file" / "home" / "callslip.db"):
            pass
    assert str(tmp_path / "file" / "home") in str(refused.value)


async def test_a_directory_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    home.chmod(0o500)
    try:
        if os.access(home, os.W_OK):
            pytest.skip("this user may write everywhere")
        with pytest.raises(HomeError, match="CALLSLIP_HOME"):
            async with open_database(home / "callslip.db"):
                pass
    finally:
        home.chmod(0o700)


_OPEN = """
import pathlib, sys
import anyio
from storage.opening import open_database

async def main():
    sys.stdin.readline()
    async with open_database(pathlib.Path(sys.argv[1])) as database:
        await database.write(
            lambda connection: connection.execute(
                "INSERT INTO revisions VALUES (?, 1)", (sys.argv[2],)
            )
        )

anyio.run(main)
"""


def start_openers(path: Path) -> list["subprocess.Popen[bytes]"]:
    return [
        subprocess.Popen(
            [sys.executable, "-c", _OPEN, str(path), f"child {number}"],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=Path(__file__).parents[2],
        )
        for number in range(4)
    ]


async def test_processes_that_make_a_home_at_once_share_it(path: Path) -> None:
    children = start_openers(path)
    for child in children:
        assert child.stdin is not None
        child.stdin.write(b"go\n")
        child.stdin.flush()
    for child in children:
        _, errors = child.communicate(timeout=WAIT_SECONDS)
        assert child.returncode == 0, errors.decode()
    async with open_database(path) as database:
        found = await database.read(subjects)
    assert {f"child {number}" for number in range(4)} <= found


async def test_tasks_that_make_a_home_at_once_share_it(tmp_path: Path) -> None:
    for attempt in range(15):
        path = tmp_path / str(attempt) / "callslip.db"
        opened: list[int] = []

        async def open_it(number: int, path: Path = path, opened: list[int] = opened) -> None:
            async with open_database(path) as database:
                await database.write(put(f"task {number}"))
                opened.append(number)

        async with anyio.create_task_group() as group:
            for number in range(5):
                group.start_soon(open_it, number)
        assert sorted(opened) == [0, 1, 2, 3, 4]


async def test_writes_at_once_are_all_there(path: Path) -> None:
    async with open_database(path) as database:
        async with anyio.create_task_group() as group:
            for number in range(500):
                group.start_soon(database.write, put(f"row {number}"))
        found = await database.read(subjects)
    assert {f"row {number}" for number in range(500)} <= found


async def test_a_failing_write_harms_none_of_those_beside_it(path: Path) -> None:
    async with open_database(path) as database:
        await database.write(put("taken"))
        failures: list[Exception] = []

        async def write(work: Callable[[sqlite3.Connection], None]) -> None:
            try:
                await database.write(work)
            except (StorageError, RuntimeError) as error:
                failures.append(error)

        def fault(_: sqlite3.Connection) -> None:
            raise RuntimeError("a fault in the function")

        async with anyio.create_task_group() as group:
            for number in range(20):
                group.start_soon(write, put(f"row {number}"))
                if number % 5 == 0:
                    group.start_soon(write, put("taken"))
                    group.start_soon(write, fault)
        found = await database.read(subjects)
    assert {f"row {number}" for number in range(20)} <= found
    assert sorted(type(error).__name__ for error in failures) == [
        *["RuntimeError"] * 4,
        *["StorageError"] * 4,
    ]


async def test_a_cancelled_writer_stops_neither_its_write_nor_the_others(path: Path) -> None:
    async with open_database(path) as database:
        async with anyio.create_task_group() as group:
            for number in range(100):
                group.start_soon(database.write, put(f"cancelled {number}"))
            await anyio.lowlevel.checkpoint()
            group.cancel_scope.cancel()
        with anyio.fail_after(WAIT_SECONDS):
            await database.write(put("after"))
            found = await database.read(subjects)
    assert "after" in found
    assert {f"cancelled {number}" for number in range(100)} <= found


async def test_closing_writes_what_is_pending(path: Path) -> None:
    async with open_database(path) as database:
        waiting = [
            asyncio.ensure_future(database.write(put(f"late {number}"))) for number in range(50)
        ]
        await anyio.lowlevel.checkpoint()
    await asyncio.gather(*waiting)
    async with open_database(path) as database:
        found = await database.read(subjects)
    assert {f"late {number}" for number in range(50)} <= found


async def test_a_closed_database_refuses_to_write_and_says_so(path: Path) -> None:
    async with open_database(path) as database:
        pass
    with pytest.raises(StorageError, match="closing"):
        await database.write(put("too late"))


async def test_a_write_that_waits_for_another_program_says_who_is_in_the_way(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage.writable.BUSY_TIMEOUT_SECONDS", 0.05)
    async with open_database(path) as database:
        other = sqlite3.connect(path, isolation_level=None)
        try:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StorageError, match="locked by another program"):
                await database.write(put("locked out"))
            other.execute("ROLLBACK")
        finally:
            other.close()
        await database.write(put("free again"))
        assert "locked out" not in await database.read(subjects)


async def test_writes_that_wait_for_another_program_wait_once_for_all(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("storage.writable.BUSY_TIMEOUT_SECONDS", 0.05)
    async with open_database(path) as database:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        failed: list[str] = []

        async def write(value: str) -> None:
            try:
                await database.write(put(value), is_brief=value != "long")
            except StorageError:
                failed.append(value)
            # Each try of its own would find the database free.
            if other.in_transaction:
                other.execute("ROLLBACK")

        for values in (["a", "b", "c"], ["d", "long", "e"]):
            async with anyio.create_task_group() as group:
                for value in values:
                    group.start_soon(write, value)
            other.execute("BEGIN IMMEDIATE")
        other.close()
        assert failed == ["a", "b", "c", "d", "long", "e"]


async def test_every_kind_of_error_of_the_database_is_a_storage_error(path: Path) -> None:
    async with open_database(path) as database:
        with pytest.raises(StorageError, match="no such table"):
            await database.read(lambda connection: connection.execute("SELECT * FROM nowhere"))
        with pytest.raises(StorageError, match="no such table"):
            await database.write(lambda connection: connection.execute("DELETE FROM nowhere"))
        await database.write(put("still usable"))


async def test_a_full_database_says_so_and_goes_on_when_there_is_room(path: Path) -> None:
    def limit(pages: int) -> Callable[[sqlite3.Connection], None]:
        def work(connection: sqlite3.Connection) -> None:
            connection.execute(f"PRAGMA max_page_count={pages}")

        return work

    async with open_database(path) as database:
        await database.write(put("before"))
        await database.write(limit(1))
        with pytest.raises(StorageError, match="full; free some space"):
            await database.write(put("x" * 200_000))
        await database.write(limit(1_000_000))
        await database.write(put("after"))
        found = await database.read(subjects)
    assert {"before", "after"} <= found
    assert not any(subject.startswith("xx") for subject in found)


@pytest.fixture
def small_disk(tmp_path: Path) -> Generator[Path]:
    """A file system of 2 MB, where the platform and the user allow one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = shutil.which("mount")
    if sys.platform != "linux" or mount is None or os.geteuid() != 0:
        pytest.skip("only root on Linux can make a small disk here")
    made = subprocess.run(
        [mount, "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)], capture_output=True
    )
    if made.returncode != 0:
        pytest.skip("no file system may be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill_up(disk: Path) -> Path:
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        for _ in range(4096):
            file.write(b"x" * 1024)
    return ballast


async def test_a_full_disk_loses_nothing_that_was_acknowledged(small_disk: Path) -> None:
    path = small_disk / "callslip.db"
    acknowledged: set[str] = set()
    async with open_database(path) as database:
        ballast = fill_up(small_disk)
        failures = await _fill(database, acknowledged)
        assert failures
        assert all(str(small_disk) in str(error) and "full" in str(error) for error in failures)
        ballast.unlink()
        await database.write(put("after"))
        acknowledged.add("after")
    async with open_database(path) as database:
        assert acknowledged <= await database.read(subjects)


@pytest.mark.parametrize("is_open", [False, True], ids=["closed", "open elsewhere"])
async def test_a_home_on_a_full_disk_opens_for_reading(small_disk: Path, is_open: bool) -> None:
    path = small_disk / "callslip.db"
    async with AsyncExitStack() as stack:
        writing = await stack.enter_async_context(open_database(path))
        await writing.write(put("before"))
        if not is_open:
            await stack.aclose()
        ballast = fill_up(small_disk)
        async with open_database(path) as database:
            assert await database.read(subjects) >= {"before"}
            with pytest.raises(HomeError, match="is full, so that it can only be read"):
                await database.write(put("meanwhile"))
        ballast.unlink()
    async with open_database(path) as database:
        await database.write(put("after"))
        found = await database.read(subjects)
        assert found >= {"before", "after"}
        assert "meanwhile" not in found


def fill_up_but(disk: Path, free_blocks: int) -> Path:
    """Leave so many blocks of 4 KB."""
    spare = [disk / f"spare-{number}" for number in range(free_blocks)]
    for one in spare:
        one.write_bytes(b"x" * 4096)
    ballast = fill_up(disk)
    for one in spare:
        one.unlink()
    return ballast


@pytest.mark.parametrize("free_blocks", [0, 6, 9, 12, 13, 14])
async def test_the_history_opens_however_little_space_is_left(
    small_disk: Path, free_blocks: int
) -> None:
    settings = Settings(home=small_disk, config_directory=small_disk / "config", proxies={})
    async with open_database(settings.database_path) as database:
        runs = RunStore(database, ObjectStore(settings.results_directory))
        await runs.start(
            NewRun("cut", {"id": "t"}, 1, {}, {}, RequestSource.MCP, "d" * 32, 1_700_000_000_000)
        )
    ballast = fill_up_but(small_disk, free_blocks)
    async with open_service(settings) as service:
        run = await service.get_run("cut")
        assert run.status in {RunStatus.ABORTED, RunStatus.RUNNING}
    ballast.unlink()
    async with open_service(settings) as service:
        assert (await service.get_run("cut")).status == RunStatus.ABORTED


@pytest.mark.parametrize("free_blocks", [0, 1, 3, 10])
async def test_a_new_home_on_a_full_disk_says_so(small_disk: Path, free_blocks: int) -> None:
    ballast = fill_up_but(small_disk, free_blocks)
    with pytest.raises(HomeError, match="is full; free some space"):
        async with open_database(small_disk / "callslip.db"):
            pass
    ballast.unlink()


async def _fill(database: Database, acknowledged: set[str]) -> list[StorageError]:
    failures: list[StorageError] = []
    for number in range(60):
        value = f"{number} {'x' * 20_000}"
        try:
            await database.write(put(value))
            acknowledged.add(value)
        except StorageError as error:
            failures.append(error)
    return failures


async def test_a_disk_that_is_full_from_the_start_is_refused(small_disk: Path) -> None:
    fill_up(small_disk)
    with pytest.raises(HomeError, match="full"):
        async with open_database(small_disk / "callslip.db"):
            pass


def remount_read_only(disk: Path) -> "subprocess.CompletedProcess[bytes]":
    command = ["mount", "-o", "remount,ro", str(disk)]
    return subprocess.run(command, capture_output=True, check=False)


async def test_a_disk_that_is_mounted_for_reading_only_gets_no_new_home(small_disk: Path) -> None:
    remounted = remount_read_only(small_disk)
    if remounted.returncode != 0:
        pytest.skip("a file system cannot be mounted for reading only here")
    for home in (small_disk, small_disk / "home"):
        with pytest.raises(HomeError, match="CALLSLIP_HOME"):
            async with open_database(home / "callslip.db"):
                pass


async def test_what_lies_on_a_disk_that_is_mounted_for_reading_only_is_read(
    small_disk: Path, tmp_path: Path
) -> None:
    async with open_database(small_disk / "closed" / "callslip.db") as database:
        await database.write(put("kept"))
    async with open_database(tmp_path / "home" / "callslip.db") as database:
        await database.write(put("kept"))
        # With the log of changes that a process leaves when it is killed.
        shutil.copytree(tmp_path / "home", small_disk / "killed")
    remounted = remount_read_only(small_disk)
    if remounted.returncode != 0:
        pytest.skip("a file system cannot be mounted for reading only here")
    for home in (small_disk / "closed", small_disk / "killed"):
        async with open_database(home / "callslip.db") as database:
            assert database.is_read_only
            assert "kept" in await database.read(subjects)
            with pytest.raises(HomeError, match=f"{home} can only be read"):
                await database.write(put("more"))


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no file modes")
async def test_the_history_is_its_owners_alone(tmp_path: Path) -> None:
    async with open_database(tmp_path / "home" / "callslip.db") as database:
        await database.write(lambda connection: connection.execute("SELECT 1"))
        modes = {path.stat().st_mode & 0o777 for path in (tmp_path / "home").iterdir()}
    assert modes == {0o600}
    assert (tmp_path / "home").stat().st_mode & 0o777 == 0o700


async def test_a_long_log_of_changes_is_moved_into_the_database_while_it_is_open(
    path: Path,
) -> None:
    async with open_database(path) as database:

        def write(connection: sqlite3.Connection) -> None:
            connection.execute(
                "INSERT INTO blobs (hash, size, encoding, data) VALUES (randomblob(20), 0, 'raw', "
                "randomblob(6000000))"
            )

        await database.write(write)

        await until(lambda: path.stat().st_size > 6_000_000, "the change is in the file")


async def test_a_brief_write_waits_for_another_program_beside_the_event_loop(path: Path) -> None:
    async with open_database(path) as database:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        turns = 0
        async with anyio.create_task_group() as group:
            written = anyio.Event()

            async def write() -> None:
                await database.write(put("mine"), is_brief=True)
                written.set()

            group.start_soon(write)
            with anyio.fail_after(WAIT_SECONDS):
                while turns < 1000:
                    await anyio.lowlevel.checkpoint()
                    turns += 1
                assert not written.is_set()
                other.execute("COMMIT")
                await written.wait()
        other.close()
        assert "mine" in await database.read(subjects)


async def test_brief_writes_of_one_moment_share_a_commit_and_fail_alone(path: Path) -> None:
    async with open_database(path) as database:
        failed: list[StorageError] = []

        async def write(value: str) -> None:
            try:
                await database.write(put(value), is_brief=True)
            except StorageError as error:
                failed.append(error)

        async with anyio.create_task_group() as group:
            for value in ("a", "b", "a", "c"):
                group.start_soon(write, value)
        assert len(failed) == 1
        assert {"a", "b", "c"} <= await database.read(subjects)
