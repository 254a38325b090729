"""Processes that are killed, and processes that share a home."""

import json
import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio
import pytest

from server.app import open_service
from server.settings import Settings
from storage.orphans import INTERRUPTED
from storage.run_lists import RunFilter
from tests.server.helpers import request_tool, script_tool, silent_upstream, start, store, until
from tests.server.raw_client import RawClient, run_command, serving, store_tools
from tests.web import Answer, Web
from tools.run import RunStatus


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


async def test_a_server_that_is_killed_loses_no_run_and_its_runs_end_with_the_reason(
    home: Path, web: Web
) -> None:
    web.answers(Answer({"a": 1}))
    async with silent_upstream() as upstream:
        await store_tools(
            home,
            [
                request_tool("slow", f"{upstream.url}/x"),
                request_tool("quick", f"{web.url}/x"),
                {"id": "p", "steps": [{"id": "c", "config": {"type": "tool", "toolId": "slow"}}]},
            ],
        )
        async with serving(home) as client:
            for number in range(3):
                await client.call("quick", {}, **{"callslip/runId": f"done{number}"})
            await client.begin_call("slow", {"q": "x"}, **{"callslip/runId": "cut"})
            await client.begin_call("p", {}, **{"callslip/runId": "parent"})
            await until(lambda: upstream.requests == 2, "both requests are on their way")
            client.process.kill()
            code = await client.ended()
        assert code == (1 if sys.platform == "win32" else -9)
        await until(lambda: upstream.closed == 2, "the connections are closed")

    code, output, _ = await run_command(home, "runs", "list", "--json")
    assert code == 0
    runs = {run["runId"]: run for run in json.loads(output)["data"]}
    assert len(runs) == 6
    for number in range(3):
        assert runs[f"done{number}"]["status"] == "success"
    for run_id, run in runs.items():
        if not run_id.startswith("done"):
            assert (run["status"], run["error"]) == ("aborted", INTERRUPTED)
    _, output, _ = await run_command(home, "runs", "show", "cut", "--json")
    record = json.loads(output)
    assert record["toolPayload"] == {"q": "x"}
    assert record["errorDetail"]["kind"] == "interrupted"
    assert list((home / "locks").glob("*.lock")) == []


async def test_a_server_ends_the_runs_of_one_that_is_killed_beside_it(home: Path) -> None:
    settings = Settings(home=home, poll_seconds=0.05, proxies={})
    async with silent_upstream() as upstream:
        await store_tools(home, [request_tool("slow", f"{upstream.url}/x")])
        async with open_service(settings) as beside:
            async with serving(home) as client:
                await client.begin_call("slow", {}, **{"callslip/runId": "cut"})
                await until(lambda: upstream.requests == 1, "the request is on its way")
                assert (await beside.get_run("cut")).status is RunStatus.RUNNING
                # Whoever opens the home ends only the runs of the dead.
                async with open_service(settings) as late:
                    assert (await late.get_run("cut")).status is RunStatus.RUNNING
                client.process.kill()
                await client.ended()
            async with open_service(settings) as late:
                run = await late.get_run("cut")
            assert (run.status, run.error) == (RunStatus.ABORTED, INTERRUPTED)


async def test_four_servers_on_one_home_record_every_call_once(home: Path, web: Web) -> None:
    web.responds(lambda seen: Answer({"at": seen.path}))
    await store_tools(
        home, [request_tool("asks", f"{web.url}/<<n>>"), script_tool("adds", "(s) => s.n + 1")]
    )
    calls = 25

    async def drive(client: RawClient, number: int, failed: list[Any]) -> None:
        waiting = [
            await client.begin_call("asks" if call % 2 else "adds", {"n": call})
            for call in range(calls)
        ]
        for call, request in enumerate(waiting):
            answer = await client.answer(request)
            expected = {"at": f"/{call}"} if call % 2 else {"result": call + 1}
            if answer.get("structuredContent") != expected:
                failed.append(answer)
        assert client.garbage == []

    failed: list[Any] = []
    async with (
        serving(home) as one,
        serving(home) as two,
        serving(home, era="2026-07-28") as three,
        serving(home, era="2026-07-28") as four,
        anyio.create_task_group() as group,
    ):
        for number, client in enumerate((one, two, three, four)):
            group.start_soon(drive, client, number, failed)
    assert failed == []
    async with open_service(Settings(home=home, proxies={})) as service:
        page = await service.list_runs(RunFilter(), limit=1000)
        assert page.total == len(page.runs) == 4 * calls
        assert {run.status for run in page.runs} == {RunStatus.SUCCESS}
        assert len({run.run_id for run in page.runs}) == 4 * calls
        assert (await service.list_runs(RunFilter(tool_id="adds"), limit=1)).total == 4 * 13


async def test_servers_that_make_a_home_at_once_share_it(home: Path) -> None:
    async with serving(home) as one, serving(home) as two:
        await store_tools(home, [script_tool("t", "1")])
        for client in (one, two):
            await client.notified("notifications/tools/list_changed")
            assert (await client.call("t"))["structuredContent"] == {"result": 1}


async def test_a_run_of_one_server_is_cancelled_through_another(home: Path) -> None:
    async with silent_upstream() as upstream:
        await store_tools(home, [request_tool("slow", f"{upstream.url}/x")])
        async with serving(home) as one, serving(home) as two:
            request = await one.begin_call("slow", {}, **{"callslip/runId": "mine"})
            await until(lambda: upstream.requests == 1, "the request is on its way")
            answer = await two.call("cancel_run", {"runId": "mine"})
            assert answer["structuredContent"]["status"] == "aborted", answer
            answer = await one.answer(request)
            assert answer["isError"]
            assert answer["_meta"]["callslip/runId"] == "mine"
            await until(lambda: upstream.closed == 1, "the connection is closed")


@pytest.mark.parametrize(
    "name",
    [
        "snapshots",
        "tools",
        "revisions",
        "run_counts",
        "search_queue",
        "runs_by_tool",
        "runs_by_status",
        "runs_by_started",
        "runs_by_source_run",
        "sqlite_autoindex_runs_1",
        "run_search_data",
        "run_queue",
        "watched_runs",
        "cancel_requests",
    ],
)
async def test_the_history_opens_with_a_damaged_page_beside_the_runs(
    name: str, settings: Settings
) -> None:
    async with open_service(settings) as service:
        await store(service, script_tool("one", "1"), script_tool("two", "2"))
        for tool_id in ("one", "two"):
            await (await start(service, tool_id, run_id=f"run-{tool_id}")).wait()
    with closing(sqlite3.connect(settings.database_path)) as connection:
        [page] = connection.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = ?", (name,)
        ).fetchone()
        [size] = connection.execute("PRAGMA page_size").fetchone()
    with settings.database_path.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * size)
    async with open_service(settings) as service:
        success = RunFilter(status=RunStatus.SUCCESS)
        for wanted in (RunFilter(), success, RunFilter(started_after=1)):
            listed = await service.list_runs(wanted, limit=10)
            assert [run.run_id for run in listed.runs] == ["run-two", "run-one"]
            assert listed.total == 2
        assert (await service.list_runs(RunFilter(tool_id="one"), limit=10)).total == 1
        run = await service.get_run("run-one")
        assert (run.status, run.data) == (RunStatus.SUCCESS, 1)
