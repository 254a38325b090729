"""The audit can fail: whatever is planted, wherever, is found, and never shown."""

import base64
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from storage.audit import AuditReport, audit, named
from storage.blobs import pack, pack_column
from storage.objects import ObjectStore
from storage.opening import open_database

SECRET = "plan/ted+0123~456"
FORMS = {
    "plain": SECRET,
    "url-encoded": "plan%2fted%2b0123~456",
    "escaped by PHP": "plan\\/ted+0123~456",
    "in a basic pair": base64.b64encode(f"user:{SECRET}".encode()).decode(),
}


@pytest.fixture
async def home(tmp_path: Path) -> Path:
    home = tmp_path / "home"
    home.mkdir()
    async with open_database(home / "callslip.db"):
        pass
    return home


async def search(home: Path, **secrets: str) -> AuditReport:
    objects = ObjectStore(home / "results")
    known = secrets or {"acme.token": SECRET}
    return await audit(home, home / "callslip.db", known, objects)


def plant(connection: sqlite3.Connection, text: str) -> None:
    connection.execute("INSERT INTO cancel_requests VALUES ('run', 1, ?)", (f"x {text} y",))


async def test_a_clean_home_has_no_hits(home: Path) -> None:
    report = await search(home)
    assert (report.hits, report.locations, report.secrets) == (0, [], 1)
    assert report.bytes_scanned > 0


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
async def test_a_secret_in_a_row_is_found(form: str, home: Path) -> None:
    with closing(sqlite3.connect(home / "callslip.db")) as connection, connection:
        plant(connection, form)
    report = await search(home)
    assert any("cancel_requests.reason" in location for location in report.locations)
    assert report.locations[0].startswith("acme.token: ")
    assert SECRET not in str(report.wire())


async def test_a_secret_in_a_compressed_payload_is_found(home: Path) -> None:
    packed = pack(b'{"a": 1}' * 500 + SECRET.encode() + b'{"a": 1}' * 500)
    assert packed.encoding == "zstd"
    with closing(sqlite3.connect(home / "callslip.db")) as connection, connection:
        connection.execute(
            "INSERT INTO blobs (hash, size, encoding, data) VALUES (?, ?, ?, ?)",
            (packed.hash, packed.size, packed.encoding, packed.data),
        )
    report = await search(home)
    assert any(location.startswith("acme.token: blob ") for location in report.locations)


async def test_a_secret_in_a_compressed_document_of_a_run_is_found(home: Path) -> None:
    steps = pack_column(b'{"a": 1}' * 500 + SECRET.encode() + b'{"a": 1}' * 500)
    assert isinstance(steps, bytes)
    with closing(sqlite3.connect(home / "callslip.db")) as connection, connection:
        connection.execute("INSERT INTO run_details (seq, steps) VALUES (1, ?)", (steps,))
    report = await search(home)
    assert "acme.token: run_details.steps row 1" in report.locations


async def test_a_secret_that_is_in_the_log_of_the_database_alone_is_found(home: Path) -> None:
    with closing(sqlite3.connect(home / "callslip.db")) as connection:
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        with connection:
            plant(connection, SECRET)
        with connection:
            connection.execute("UPDATE cancel_requests SET reason = 'overwritten'")
        report = await search(home)
    assert report.hits > 0
    assert all("callslip.db-wal" in location for location in report.locations)


async def test_a_secret_in_a_log_file_is_found_across_the_chunks_it_is_read_in(home: Path) -> None:
    (home / "logs").mkdir()
    for name, position in (("a.log", 0), ("b.log", 4 * 1024 * 1024 - 5)):
        (home / "logs" / name).write_bytes(b"." * position + SECRET.encode() + b"...")
    report = await search(home)
    assert report.hits == 2
    assert [Path(one.split(" ")[1]).name for one in report.locations] == ["a.log", "b.log"]


async def test_short_secrets_are_named_as_not_scanned(home: Path) -> None:
    report = await search(home, pin="1234567")
    assert (report.secrets, report.not_scanned, report.hits) == (0, ["pin"], 0)


async def test_what_cannot_be_read_is_an_error_and_not_clean(home: Path) -> None:
    with closing(sqlite3.connect(home / "callslip.db")) as connection, connection:
        connection.execute(
            "INSERT INTO blobs (hash, size, encoding, data) VALUES (x'00', 9, 'zstd', x'00')"
        )
    with pytest.raises(sqlite3.Error, match="damaged"):
        await search(home)


async def test_a_home_that_is_not_there_is_empty(tmp_path: Path) -> None:
    objects = ObjectStore(tmp_path / "no" / "results")
    report = await audit(tmp_path / "no", tmp_path / "no" / "callslip.db", named([SECRET]), objects)
    assert report.hits == 0
