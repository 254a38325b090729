"""Databases that can only be read: nothing that was acknowledged is missed, nothing is written."""

import asyncio
import json
import os
import sqlite3
import sys
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import anyio
import pytest

from storage.database import Database
from storage.objects import ObjectStore
from storage.opening import open_database
from storage.read_only import Sight, connect_to_read, reading
from storage.run_lists import RunFilter, list_runs
from storage.run_record import NewRun
from storage.runs import RunStore
from storage.schema import SCHEMA_VERSION
from tests.only_readable import bound, content_of, only_readable
from tools.run import RequestSource, RunOutcome, RunStatus

WAIT_SECONDS = 20
ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no file modes")

#: Opens a database, and looks at it once for each line.
_READER = """
import json, pathlib, sys
import anyio
from storage.opening import open_database
from storage.errors import StorageError

def subjects(connection):
    return sorted(row[0] for row in connection.execute("SELECT subject FROM revisions"))

async def main():
    async with open_database(pathlib.Path(sys.argv[1])) as database:
        for line in sys.stdin:
            refused = None
            if line == "write\\n":
                try:
                    await database.write(lambda connection: None)
                except StorageError as error:
                    refused = str(error)
            print(json.dumps({
                "found": await database.read(subjects),
                "version": await database.data_version(),
                "is_read_only": database.is_read_only,
                "refused": refused,
            }), flush=True)

try:
    anyio.run(main)
except StorageError as error:
    sys.exit(str(error))
"""

_KILLED = """
import os, pathlib, signal, sys
import anyio
from storage.opening import open_database

async def main():
    async with open_database(pathlib.Path(sys.argv[1])) as database:
        for value in sys.argv[2:]:
            statement = "INSERT INTO revisions VALUES (?, 1)"
            await database.write(lambda connection: connection.execute(statement, (value,)))
        os.kill(os.getpid(), signal.SIGKILL)

anyio.run(main)
"""


class Reader:
    """A process that may not write, with a database open."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def look(self, how: str = "read") -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{how}\n".encode())
        with anyio.fail_after(WAIT_SECONDS):
            line = await self._process.stdout.readline()
            if not line:
                raise AssertionError((await self.end())[1])
        return json.loads(line)

    async def found(self) -> set[str]:
        return {value for value in (await self.look())["found"] if len(value) == 1}

    async def end(self) -> tuple[int | None, str]:
        """The exit code, and what was said."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        with anyio.fail_after(WAIT_SECONDS):
            _, errors = await self._process.communicate()
        return self._process.returncode, errors.decode()


@asynccontextmanager
async def reader_of(path: Path) -> AsyncGenerator[Reader]:
    process = await asyncio.create_subprocess_exec(
        *bound(sys.executable, "-c", _READER, str(path)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=ROOT,
    )
    reader = Reader(process)
    try:
        yield reader
    finally:
        await reader.end()


async def refusal(path: Path) -> str:
    """Why a database is not opened."""
    async with reader_of(path) as reader:
        code, errors = await reader.end()
    assert code == 1
    assert "Traceback" not in errors
    return errors


async def write(path: Path, *values: str) -> None:
    async with open_database(path) as database:
        for value in values:
            await database.write(put(value))


def put(value: str) -> Callable[[sqlite3.Connection], object]:
    return lambda connection: connection.execute("INSERT INTO revisions VALUES (?, 1)", (value,))


async def write_and_be_killed(path: Path, *values: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _KILLED, str(path), *values), cwd=ROOT
    )
    with anyio.fail_after(WAIT_SECONDS):
        assert await process.wait() == -9


def beside(path: Path, ending: str) -> Path:
    return path.with_name(path.name + ending)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "home" / "callslip.db"


async def closed(path: Path) -> None:
    await write(path, "a", "b", "c")


async def killed(path: Path) -> None:
    await write(path, "a")
    await write_and_be_killed(path, "b", "c")
    assert beside(path, "-wal").stat().st_size > 0
    assert beside(path, "-shm").exists()


async def killed_and_copied(path: Path) -> None:
    await killed(path)
    beside(path, "-shm").unlink()


async def with_an_empty_log(path: Path) -> None:
    await closed(path)
    beside(path, "-wal").touch()


async def with_an_index_alone(path: Path) -> None:
    await closed(path)
    beside(path, "-shm").write_bytes(bytes(32768))


async def with_an_empty_log_and_an_index(path: Path) -> None:
    await with_an_empty_log(path)
    beside(path, "-shm").write_bytes(bytes(32768))


LEFT: Sequence[Callable[[Path], Any]] = (
    closed,
    killed,
    killed_and_copied,
    with_an_empty_log,
    with_an_index_alone,
    with_an_empty_log_and_an_index,
)


@pytest.mark.parametrize("leave", LEFT, ids=lambda leave: leave.__name__)
async def test_everything_is_read_and_nothing_written_however_it_was_left(
    path: Path, leave: Callable[[Path], Any]
) -> None:
    await leave(path)
    with only_readable(path.parent):
        before = content_of(path.parent)
        async with reader_of(path) as reader:
            assert await reader.found() == {"a", "b", "c"}
            seen = await reader.look("write")
        assert content_of(path.parent) == before
    assert seen["is_read_only"]
    assert str(path.parent) in seen["refused"]
    for words in ("can only be read", "listed, searched", "nothing can be run", "CALLSLIP_HOME"):
        assert words in seen["refused"]


@pytest.mark.parametrize("leave", [closed, killed, killed_and_copied])
async def test_a_path_is_no_part_of_the_address(
    tmp_path: Path, leave: Callable[[Path], Any]
) -> None:
    path = tmp_path / "a home?mode=rwc#%41&ü" / "callslip.db"
    await leave(path)
    with only_readable(path.parent):
        async with reader_of(path) as reader:
            assert await reader.found() == {"a", "b", "c"}


@pytest.mark.parametrize("what", ["directory", "callslip.db", "callslip.db-wal", "callslip.db-shm"])
async def test_one_part_that_cannot_be_written_is_enough(path: Path, what: str) -> None:
    await killed(path)
    (path.parent if what == "directory" else path.parent / what).chmod(
        0o500 if what == "directory" else 0o400
    )
    before = content_of(path.parent)
    async with reader_of(path) as reader:
        assert (await reader.look())["is_read_only"]
        assert await reader.found() == {"a", "b", "c"}
    assert content_of(path.parent) == before
    path.parent.chmod(0o700)


async def test_what_another_process_writes_meanwhile_is_seen(path: Path) -> None:
    async with open_database(path) as database:
        await database.write(put("a"))
        with only_readable(path.parent):
            async with reader_of(path) as reader:
                assert await reader.found() == {"a"}
                before = (await reader.look())["version"]
                assert (await reader.look())["version"] == before
                await database.write(put("b"))
                assert await reader.found() == {"a", "b"}
                assert (await reader.look())["version"] != before


@pytest.mark.parametrize("leave", LEFT, ids=lambda leave: leave.__name__)
async def test_a_process_that_begins_to_write_later_is_followed(
    path: Path, leave: Callable[[Path], Any]
) -> None:
    await leave(path)
    with only_readable(path.parent):
        async with reader_of(path) as reader:
            assert await reader.found() == {"a", "b", "c"}
            version = (await reader.look())["version"]
            for mode, one in ((0o700, path.parent), *((0o600, one) for one in files_of(path))):
                one.chmod(mode)
            async with open_database(path) as database:
                await database.write(put("d"))
                assert await reader.found() == {"a", "b", "c", "d"}
                assert (await reader.look())["version"] != version
                await database.write(put("e"))
                assert await reader.found() == {"a", "b", "c", "d", "e"}
            assert await reader.found() == {"a", "b", "c", "d", "e"}
            await write(path, "f")
            assert await reader.found() == {"a", "b", "c", "d", "e", "f"}


def files_of(path: Path) -> list[Path]:
    return [one for one in path.parent.iterdir() if one.is_file()]


async def test_a_log_that_cannot_be_read_is_an_error_and_not_a_loss(path: Path) -> None:
    await killed(path)
    with only_readable(path.parent):
        for ending in ("-wal", "-shm"):
            beside(path, ending).chmod(0)
            message = await refusal(path)
            assert f"{path} cannot be written, and not be read whole" in message
            assert "callslip.db-wal" in message
            assert "CALLSLIP_HOME" in message
            beside(path, ending).chmod(0o400)


async def test_an_older_schema_is_named_with_what_to_do(path: Path) -> None:
    await closed(path)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA user_version={SCHEMA_VERSION - 1}")
    with only_readable(path.parent):
        message = await refusal(path)
    assert f"has schema {SCHEMA_VERSION - 1} where this callslip reads {SCHEMA_VERSION}" in message
    assert "open it once where it can be written" in message


async def test_a_home_without_a_database_is_refused_as_one_that_cannot_be_written(
    path: Path,
) -> None:
    path.parent.mkdir()
    with only_readable(path.parent):
        message = await refusal(path)
    assert f"{path} cannot be opened for writing" in message


async def test_a_directory_that_cannot_be_looked_into_is_refused(path: Path) -> None:
    await killed(path)
    path.parent.chmod(0o600)
    try:
        message = await refusal(path)
    finally:
        path.parent.chmod(0o700)
    assert str(path) in message
    assert "CALLSLIP_HOME" in message


async def test_a_damaged_database_is_refused_as_damaged(path: Path) -> None:
    await closed(path)
    with path.open("r+b") as file:
        file.seek(100)
        file.write(os.urandom(1948))
    with only_readable(path.parent):
        assert "damaged or not a database" in await refusal(path)


@pytest.mark.parametrize("leave", LEFT, ids=lambda leave: leave.__name__)
async def test_who_looks_without_opening_reads_everything_too(
    path: Path, leave: Callable[[Path], Any]
) -> None:
    await leave(path)
    look = """
import pathlib, sys
from storage.read_only import reading

with reading(pathlib.Path(sys.argv[1])) as connection:
    connection.execute("VACUUM INTO ?", (sys.argv[2],))
"""
    copy = path.parent.with_name("copy.db")
    with only_readable(path.parent):
        before = content_of(path.parent)
        process = await asyncio.create_subprocess_exec(
            *bound(sys.executable, "-c", look, str(path), str(copy)), cwd=ROOT
        )
        with anyio.fail_after(WAIT_SECONDS):
            assert await process.wait() == 0
        assert content_of(path.parent) == before
    with reading(copy) as connection:
        found = {row[0] for row in connection.execute("SELECT subject FROM revisions")}
    assert {"a", "b", "c"} <= found


@pytest.mark.parametrize("leave", [closed, killed, killed_and_copied])
async def test_looking_at_a_home_that_can_be_written_changes_nothing_either(
    path: Path, leave: Callable[[Path], Any]
) -> None:
    await leave(path)
    before = content_of(path.parent)
    with closing(connect_to_read(path, Sight.of(path))) as connection:
        assert connection.execute("SELECT count(*) FROM revisions").fetchone()[0] >= 3
    assert content_of(path.parent) == before


async def test_a_search_finds_runs_that_nobody_can_index(
    database: Database, tmp_path: Path
) -> None:
    runs = RunStore(database, ObjectStore(tmp_path / "results"))

    async def record(run_id: str, text: str) -> None:
        new = NewRun(run_id, {"id": "t"}, 1, {"text": text}, {}, RequestSource.MCP, "me", 1)
        seq = await runs.start(new)
        await runs.finish(seq, RunOutcome(RunStatus.FAILED, {}, error="no"))

    async def found(**fields: Any) -> list[str]:
        page = await database.read(
            lambda connection: list_runs(
                connection, RunFilter(**fields), 9, 0, None, is_indexed=False
            )
        )
        assert page.total == len(page.runs)
        return [run.run_id for run in page.runs]

    await record("indexed", "a blue whale")
    while await runs.has_waiting():
        await runs.index_waiting()
    assert await found(search="blue") == ["indexed"]
    await record("waits", "a blue note")
    await record("waits too", "a red note")
    for _ in range(2):
        # What is made for one search is gone with it.
        assert await found(search="blue") == ["waits", "indexed"]
        assert await found(search='"red note"') == ["waits too"]
        assert await found(search="blue", status=RunStatus.SUCCESS) == []
        assert await found() == ["waits too", "waits", "indexed"]
    assert await runs.has_waiting()
