"""`callslip runs list --search | cancel | pin | delete | prune | stats | export`."""

import json
from pathlib import Path
from typing import Any

import anyio
import pytest

from server.app import open_service
from server.settings import Settings
from tests.server.helpers import WAIT_SECONDS, request_tool, script_tool, start, store
from tests.server.raw_client import run_command, store_tools
from tests.server.test_cli import as_json, failing
from tests.web import Answer, Web


@pytest.fixture
async def home(tmp_path: Path) -> Path:
    """A home with three runs: two that worked and one that failed."""
    home = tmp_path / "home"
    code = "(s) => { if (s.word === 'broken') throw new Error('no way'); return { said: s.word } }"
    await store_tools(home, [script_tool("say", code), script_tool("other", "1")])
    for run_id, word in (("one", "whale"), ("two", "broken")):
        inputs = json.dumps({"word": word})
        await run_command(home, "run", "say", "--inputs", inputs, "--run-id", run_id)
    await run_command(home, "run", "other", "--run-id", "three")
    return home


async def ids(home: Path, *arguments: str) -> list[str]:
    page = await as_json(home, "runs", "list", "--json", *arguments)
    assert page["total"] == len(page["data"])
    return [run["runId"] for run in page["data"]]


async def said(home: Path, *arguments: str) -> str:
    code, output, errors = await run_command(home, *arguments)
    assert code == 0, errors
    return output + errors


async def test_runs_are_searched_and_narrowed_by_time(home: Path) -> None:
    assert await ids(home, "--search", "whale") == ["one"]
    assert await ids(home, "--search", '"no way"') == ["two"]
    assert await ids(home, "--search", "whale", "--status", "failed") == []
    assert await ids(home, "--started-after", "2001-01-01") == ["three", "two", "one"]
    assert await ids(home, "--started-after", "2999-01-01T00:00:00Z") == []
    assert "no runs match" in await said(home, "runs", "list", "--search", "unicorn")
    assert "valid are words" in await failing(home, "runs", "list", "--search", "!", code=2)
    assert "is no time" in await failing(home, "runs", "list", "--started-after", "noon", code=2)


async def test_statistics_are_bars_for_people_and_numbers_for_programs(home: Path) -> None:
    found = (await as_json(home, "runs", "stats", "--json"))["data"]
    assert [(one["toolId"], one["runs"], one["success"]) for one in found] == [
        ("say", 2, 1),
        ("other", 1, 1),
    ]
    assert found[0]["successRate"] == 0.5
    text = await said(home, "runs", "stats")
    for words in ("say", "50.0%", "100.0%", "p95"):
        assert words in text
    [one] = (await as_json(home, "runs", "stats", "--tool", "other", "--json"))["data"]
    assert one["toolId"] == "other"


async def test_a_run_is_deleted_and_said_to_be_gone(home: Path) -> None:
    assert "run two is deleted" in await said(home, "runs", "delete", "two")
    assert await ids(home) == ["three", "one"]
    assert "run two not found" in await failing(home, "runs", "delete", "two", code=3)
    assert await ids(home, "--search", "way") == []


async def test_pinned_runs_survive_a_prune_that_takes_the_rest(home: Path) -> None:
    assert "run one is pinned" in await said(home, "runs", "pin", "one")
    assert (await as_json(home, "runs", "show", "one", "--json"))["pinned"] is True
    small: dict[str, Any] = {"CALLSLIP_RETENTION_GIGABYTES": "0.00000001"}
    code, output, errors = await run_command(home, "runs", "prune", "--dry-run", "--json", **small)
    assert (code, json.loads(output)["runs"]) == (0, 2), errors
    assert len(await ids(home)) == 3
    code, output, errors = await run_command(home, "runs", "prune", **small)
    assert (code, "2 runs deleted" in output) == (0, True), errors
    assert "kept: success 90 days" in errors
    assert await ids(home) == ["one"]
    assert "not pinned any more" in await said(home, "runs", "pin", "one", "--off")
    await run_command(home, "runs", "prune", **small)
    assert await ids(home) == []
    assert "run x not found" in await failing(home, "runs", "pin", "x", code=3)


async def test_retention_can_be_switched_off(home: Path) -> None:
    off: dict[str, Any] = {"CALLSLIP_RETENTION_DAYS": "0", "CALLSLIP_RETENTION_GIGABYTES": "0"}
    code, output, errors = await run_command(home, "runs", "prune", **off)
    assert (code, "0 runs deleted" in output) == (0, True)
    assert "whatever its age" in errors
    assert "any size" in errors


async def test_an_export_is_one_whole_run_a_line(home: Path) -> None:
    code, output, errors = await run_command(home, "runs", "export")
    assert code == 0
    assert "3 runs" in errors
    lines = [json.loads(line) for line in output.splitlines()]
    assert [line["runId"] for line in lines] == ["three", "two", "one"]
    for line in lines:
        assert line == await as_json(home, "runs", "show", line["runId"], "--json")
    code, output, _ = await run_command(home, "runs", "export", "--search", "whale")
    assert [json.loads(line)["runId"] for line in output.splitlines()] == ["one"]


async def test_a_run_of_another_process_is_cancelled(tmp_path: Path, web: Web) -> None:
    home = tmp_path / "home"
    never = anyio.Event()
    web.answers(Answer([1], release=never))
    settings = Settings(home=home, proxies={}, poll_seconds=0.05)
    async with open_service(settings) as service:
        await store(service, request_tool("t", web.url, retries=0))
        active = await start(service, "t", run_id="long")
        assert "is running" in await failing(home, "runs", "delete", "long", code=2)
        assert "run long is aborted" in await said(home, "runs", "cancel", "long")
        with anyio.fail_after(WAIT_SECONDS):
            outcome = await active.wait()
        never.set()
    assert outcome.error == "cancelled with callslip runs cancel"
    assert "had ended: aborted" in await said(home, "runs", "cancel", "long")
    assert "not found" in await failing(home, "runs", "cancel", "nobody", code=3)
