import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import pytest
import typer
from typer.testing import CliRunner, Result

from server.app import open_service
from server.commands.doctor import doctor
from server.settings import Settings
from storage.schema import SCHEMA_VERSION

TOOL: dict[str, Any] = {"id": "one", "steps": [], "outputTransform": "$"}


@pytest.fixture
def data(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The data directory of a user with an empty home; not made yet."""
    data = home / "data"
    monkeypatch.setenv("CALLSLIP_HOME", str(data))
    return data


def invoke(*arguments: str) -> Result:
    app = typer.Typer()
    app.command()(doctor)
    return CliRunner().invoke(app, arguments)


def findings() -> tuple[int, dict[str, dict[str, str]]]:
    result = invoke("--json")
    report = json.loads(result.stdout)
    assert report["ok"] == (result.exit_code == 0)
    return result.exit_code, {check["name"]: check for check in report["checks"]}


def store_one_tool(data: Path) -> None:
    async def store() -> None:
        async with open_service(Settings(home=data, proxies={})) as service:
            await service.tools.put(TOOL)

    anyio.run(store)


def write_sql(data: Path, sql: str) -> None:
    with closing(sqlite3.connect(data / "callslip.db")) as connection, connection:
        connection.execute(sql)


def test_a_machine_where_nothing_is_stored_yet_is_well(data: Path) -> None:
    code, found = findings()
    assert code == 0
    assert {check["status"] for check in found.values()} == {"ok"}
    assert {"version", "python", "home", "database", "javascript", "http"} <= found.keys()
    assert "not there yet" in found["home"]["found"]
    assert not data.exists()


def test_one_file_is_counted_as_one(data: Path) -> None:
    data.mkdir()
    (data / "note.txt").write_text("x")
    assert findings()[1]["home"]["found"].endswith(" in 1 file")


def test_a_home_in_use_is_described_and_left_as_it_is(data: Path) -> None:
    store_one_tool(data)
    before = sorted(path.name for path in data.rglob("*"))
    code, found = findings()
    assert code == 0
    assert found["database"]["found"] == f"schema {SCHEMA_VERSION}, tools: 1, runs: 0"
    assert found["integrity"]["status"] == "ok"
    assert found["definitions"]["found"] == "every stored tool can be read (1)"
    assert sorted(path.name for path in data.rglob("*")) == before


def test_people_get_a_table_and_what_to_do(data: Path) -> None:
    data.write_text("")
    result = invoke()
    assert result.exit_code == 4
    assert "no directory" in result.stdout
    assert "problem: home: set CALLSLIP_HOME" in result.stderr


def test_a_home_that_cannot_be_made_is_a_problem(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "file").touch()
    monkeypatch.setenv("CALLSLIP_HOME", str(home / "file" / "data"))
    code, found = findings()
    assert code == 4
    assert found["home"]["status"] == "problem"
    assert "cannot be made" in found["home"]["found"]


@pytest.mark.parametrize(
    "content", [b"this is no database at all", b"SQLite format 3\0" + b"x" * 90]
)
def test_a_file_that_is_no_database_is_a_problem(data: Path, content: bytes) -> None:
    data.mkdir()
    (data / "callslip.db").write_bytes(content)
    code, found = findings()
    assert code == 4
    assert found["database"]["status"] == "problem"
    assert "restore a backup" in found["database"]["advice"]


def test_a_damaged_page_is_found(data: Path) -> None:
    store_one_tool(data)
    path = data / "callslip.db"
    content = bytearray(path.read_bytes())
    content[4096 * 3 : 4096 * 6] = b"\xff" * 4096 * 3
    path.write_bytes(content)
    code, found = findings()
    assert code == 4
    statuses = {name: check["status"] for name, check in found.items()}
    assert "problem" in {statuses.get("database"), statuses.get("integrity")}


def test_a_database_of_a_newer_callslip_is_a_problem(data: Path) -> None:
    store_one_tool(data)
    write_sql(data, "PRAGMA user_version=99")
    code, found = findings()
    assert code == 4
    assert "schema 99" in found["database"]["found"]
    assert "upgrade callslip" in found["database"]["advice"]


def test_a_database_of_another_program_is_a_problem(data: Path) -> None:
    data.mkdir()
    write_sql(data, "CREATE TABLE theirs (a)")
    code, found = findings()
    assert code == 4
    assert "another program" in found["database"]["found"]


def test_a_definition_that_cannot_be_read_is_named(data: Path) -> None:
    store_one_tool(data)
    write_sql(data, "UPDATE snapshots SET definition = '{broken'")
    code, found = findings()
    assert code == 4
    assert "one (" in found["definitions"]["found"]
    assert "tools remove" in found["definitions"]["advice"]


def test_a_wrong_setting_does_not_hide_the_rest(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store_one_tool(data)
    monkeypatch.setenv("CALLSLIP_DURABILITY", "sometimes")
    code, found = findings()
    assert code == 4
    assert "CALLSLIP_DURABILITY" in found["settings"]["found"]
    assert "tools: 1" in found["database"]["found"]


@pytest.mark.parametrize(
    ("entry", "status", "said"),
    [
        ({"command": "/nowhere/callslip", "args": ["serve"]}, "problem", "not there"),
        ({"args": ["serve"]}, "problem", "names no command"),
        ("text", "problem", "names no command"),
    ],
)
def test_a_host_that_cannot_start_us_is_a_problem(
    data: Path, home: Path, entry: Any, status: str, said: str
) -> None:
    path = home / ".cursor" / "mcp.json"
    path.parent.mkdir()
    path.write_text(json.dumps({"mcpServers": {"callslip": entry}}))
    code, found = findings()
    assert code == 4
    assert found["host cursor"]["status"] == status
    assert said in found["host cursor"]["found"]
    assert "callslip install cursor" in found["host cursor"]["advice"]


def test_a_host_with_another_home_is_a_warning(data: Path, home: Path) -> None:
    program = home / "callslip"
    program.touch(mode=0o755)
    entry = {"command": str(program), "args": ["serve"], "env": {"CALLSLIP_HOME": "/elsewhere"}}
    path = home / ".cursor" / "mcp.json"
    path.parent.mkdir()
    path.write_text(json.dumps({"mcpServers": {"callslip": entry}}))
    code, found = findings()
    assert code == 0
    assert found["host cursor"]["status"] == "warning"
    assert "/elsewhere" in found["host cursor"]["found"]


def test_a_host_file_that_cannot_be_read_is_a_warning(data: Path, home: Path) -> None:
    path = home / ".cursor" / "mcp.json"
    path.parent.mkdir()
    path.write_text("{ // mine\n}")
    code, found = findings()
    assert code == 0
    assert found["host cursor"]["status"] == "warning"
    assert "--print" in found["host cursor"]["advice"]


def store_systems(data: Path, config: Path) -> None:
    bearer = {"type": "bearer", "credential": "token"}
    settings = Settings(home=data, config_directory=config, proxies={})

    async def store() -> None:
        async with open_service(settings) as service:
            for definition in (
                {"id": "acme", "auth": bearer, "credentials": {"token": "correct-horse"}},
                {"id": "beta", "auth": bearer, "credentials": {"pin": "1234"}},
            ):
                await service.connections.put({"url": "https://acme.test", **definition})

    anyio.run(store)


def test_systems_are_counted_and_what_they_lack_is_named(
    data: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CALLSLIP_CONFIG_DIRECTORY", str(home / "config"))
    store_systems(data, home / "config")
    code, found = findings()
    assert code == 0
    assert found["systems"]["found"] == "systems: 2, credentials: 2"
    assert found["key"]["found"].endswith(f"the key file {home / 'config' / 'master.key'}")
    result = invoke()
    assert "not set: beta.token (prod)" in result.stdout
    assert "shorter than 8 characters: beta.pin (prod)" in result.stdout


def test_a_key_that_does_not_open_is_a_problem(
    data: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CALLSLIP_CONFIG_DIRECTORY", str(home / "config"))
    store_systems(data, home / "config")
    (home / "config" / "master.key").unlink()
    code, found = findings()
    assert code == 4
    assert found["key"]["status"] == "problem"
    assert "the key file" in found["key"]["found"]
