"""Results too large for the database: recorded whole, read in parts, never passed through whole."""

import json
import random
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from mcp.shared.exceptions import MCPError

from server.app import open_service
from server.service import Service
from server.settings import Settings
from storage.audit import audit
from storage.objects import ObjectStore
from tests.server.helpers import request_tool, start, store
from tests.server.raw_client import run_command
from tests.server.test_cli import as_json
from tests.server.test_mcp import ERAS, MODERN, call, connected, text
from tests.server.test_systems import add_system
from tests.web import Answer, Web
from tools.json_text import encode_json

ROWS: list[dict[str, Any]] = [
    {"id": n, "code": random.Random(n).randbytes(400).hex()} for n in range(1500)
]


@pytest.fixture
async def large(service: Service, web: Web) -> str:
    """A run whose result has more than a megabyte that does not compress well."""
    web.responds(lambda seen: Answer(ROWS))
    await store(service, request_tool("rows", web.url, retries=0))
    active = await start(service, "rows", run_id="large")
    assert (await active.wait()).data == ROWS
    return active.run_id


def files(settings: Settings) -> list[Path]:
    return sorted(path for path in settings.results_directory.rglob("*") if path.is_file())


def mode_of(path: Path) -> int:
    return path.stat().st_mode


@ERAS
async def test_it_is_read_by_path_and_page_over_mcp(era: str, large: str, service: Service) -> None:
    async with connected(service, era) as client:
        part = await call(client, "read_result", {"runId": large, "path": "$[3:5].id"})
        assert part["structuredContent"]["value"] == [3, 4]
        page = await call(
            client, "read_result", {"runId": large, "offset": 1490, "limit": 50, "fields": ["id"]}
        )
        assert page["structuredContent"]["value"] == [{"id": n} for n in range(1490, 1500)]
        assert page["structuredContent"]["total"] == 1500
        record = (await call(client, "get_run", {"runId": large}))["structuredContent"]
        assert "data" not in record
        assert record["resultBytes"] == len(json.dumps(ROWS, separators=(",", ":")))
        assert record["resultStorageUri"].startswith("file:///")
        assert "read_result" in record["next"]
        with pytest.raises(MCPError, match="too many to be read whole: add path"):
            await client.read_resource(f"callslip://runs/{large}/results")
        answer = await call(client, "rows")
        assert "preview" in answer["structuredContent"]["callslip"]
        step = await call(client, "compare_runs", {"a": large, "b": large})
        assert not step.get("isError"), text(step)


MANY_ROWS: list[dict[str, Any]] = [
    {"id": n, "of": [{"id": n}], "text": "},{" * 9} for n in range(60_000)
]


async def test_one_of_megabytes_is_the_same_after_it_was_read_recorded_and_found(
    service: Service, web: Web
) -> None:
    value = {"page": 1, "rows": MANY_ROWS, "next": None}
    web.responds(lambda seen: Answer(value))
    await store(service, request_tool("rows", web.url, retries=0))
    active = await start(service, "rows", run_id="r")
    outcome = await active.wait()
    assert outcome.data == value
    assert outcome.data_json is None
    assert outcome.data_bytes == len(encode_json(value))
    run = await service.get_run("r", with_large=True)
    assert run.data == value
    assert run.steps[0]["data"]["data"] is run.data
    async with connected(service, MODERN) as client:
        part = await call(client, "read_result", {"runId": "r", "path": "$.rows[-1].id"})
        assert part["structuredContent"]["value"] == 59_999


async def test_a_credential_in_one_of_megabytes_is_taken_out_wherever_it_is(
    service: Service, web: Web
) -> None:
    secret = "s3cret-of-the-upstream"
    await add_system(service, url=web.url, credentials={"token": secret})
    for place in (0, 25_000, 59_999):
        rows = [*MANY_ROWS]
        rows[place] = {"id": place, "of": secret}
        web.responds(lambda seen, rows=rows: Answer(rows))
        await store(service, request_tool("rows", "/", config={"systemId": "acme"}))
        outcome = await (await start(service, "rows")).wait()
        assert outcome.data[place] == {"id": place, "of": "[credential acme.token]"}


async def test_one_of_megabytes_that_is_no_json_says_at_which_byte(
    service: Service, web: Web
) -> None:
    broken = encode_json(MANY_ROWS)[:-100]
    web.responds(lambda seen: Answer(broken, headers={"Content-Type": "application/json"}))
    await store(service, request_tool("rows", web.url, retries=0))
    outcome = await (await start(service, "rows")).wait()
    assert outcome.error is not None
    assert f"at byte {len(broken):,}" in outcome.error


async def test_two_are_compared_and_one_that_is_the_same_file_is_not_read(
    large: str, service: Service, settings: Settings, web: Web
) -> None:
    same = await start(service, "rows")
    await same.wait()
    changed = [*ROWS[:-1], {"id": 1499, "code": "other"}]
    web.responds(lambda seen: Answer(changed))
    other = await start(service, "rows")
    await other.wait()
    comparison = await service.compare_runs(large, other.run_id)
    assert [one["path"] for one in comparison["result"]["changes"]] == ["$[?@.id==1499].code"]
    for file in files(settings):
        file.unlink()
    assert "result" in (await service.compare_runs(large, same.run_id))["same"]


async def test_its_step_data_is_read_in_parts_too(large: str, service: Service) -> None:
    run = await service.get_run(large)
    [step] = run.steps
    assert "data" not in step
    assert step["dataUri"].startswith("file:///")
    whole = await service.get_run(large, with_large=True)
    assert whole.steps[0]["data"]["data"] == ROWS
    assert whole.damage is None


async def test_the_file_is_its_owners_alone_and_goes_with_the_run(
    large: str, service: Service, settings: Settings
) -> None:
    run = await service.get_run(large)
    assert run.result_uri is not None
    path = Path(unquote(urlsplit(run.result_uri).path))
    assert path in files(settings)
    assert [mode_of(one) & 0o077 for one in files(settings)] == [0] * len(files(settings))
    assert await service.history.delete(large)
    assert files(settings) == []


async def test_a_result_whose_file_is_gone_says_so_and_the_record_opens(
    large: str, service: Service, settings: Settings
) -> None:
    for path in files(settings):
        path.unlink()
    run = await service.get_run(large, with_large=True)
    assert run.result is None
    assert "cannot be read: No such file" in (run.damage or "")
    assert run.inputs == {}
    async with connected(service, "legacy") as client:
        answer = await call(client, "read_result", {"runId": large, "path": "$"})
        assert answer["isError"]
        assert "cannot be read" in text(answer)


async def test_a_damaged_file_is_found_out_by_its_hash(
    large: str, service: Service, settings: Settings
) -> None:
    for path in files(settings):
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 0xFF
        path.write_bytes(content)
    run = await service.get_run(large, with_large=True)
    assert run.result is None
    assert "damaged" in (run.damage or "")


async def test_a_home_that_cannot_take_files_keeps_results_in_the_database(
    settings: Settings, web: Web
) -> None:
    settings.home.mkdir(parents=True)
    settings.results_directory.write_text("no directory")
    web.responds(lambda seen: Answer(ROWS))
    async with open_service(settings) as service:
        await store(service, request_tool("rows", web.url, retries=0))
        active = await start(service, "rows")
        await active.wait()
        run = await service.get_run(active.run_id)
    assert run.result_uri is None
    assert run.result is not None
    assert run.data == ROWS


async def test_the_audit_reads_files_of_results(
    large: str, service: Service, settings: Settings
) -> None:
    objects = ObjectStore(settings.results_directory)
    planted = ROWS[700]["code"]
    report = await audit(settings.home, settings.database_path, {"planted": planted}, objects)
    assert report.hits > 0
    assert any("blob " in location for location in report.locations)
    other = {"absent": "0123456789abcdef-not-there"}
    assert (await audit(settings.home, settings.database_path, other, objects)).hits == 0


async def test_a_backup_holds_them_and_is_complete_without_the_files(
    large: str, service: Service, settings: Settings, tmp_path: Path
) -> None:
    copy = tmp_path / "copy.db"
    code, _, errors = await run_command(settings.home, "backup", str(copy))
    assert code == 0, errors
    home = tmp_path / "restored"
    home.mkdir()
    copy.rename(home / "callslip.db")
    with closing(sqlite3.connect(home / "callslip.db")) as connection:
        assert connection.execute(
            "SELECT count(*) FROM blobs WHERE uri IS NOT NULL"
        ).fetchone() == (0,)
    assert await as_json(home, "runs", "result", large, "--path", "$[2].id") == 2


async def test_one_process_reads_what_another_recorded(
    large: str, service: Service, settings: Settings
) -> None:
    async with open_service(settings) as other:
        run: Any = await other.get_run(large, with_large=True)
    assert run.data == ROWS
