"""Async runs: accepted with 202, executed in turn, by the next process if need be."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx
import pytest

from server import service as service_module
from server.app import open_service
from server.service import Service
from server.settings import Settings
from storage.errors import StorageError
from storage.run_record import StoredRun
from storage.runs import RunStore
from tests.server.helpers import request_tool, silent_upstream, store, until, until_async
from tests.server.rest.helpers import http_server, rest_client
from tests.web import Answer, Seen, Web
from tools.run import RunStatus

ASYNC = {"async": True}


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"async_runs": 1})


@asynccontextmanager
async def served(settings: Settings) -> AsyncGenerator[tuple[Service, httpx.AsyncClient]]:
    async with (
        open_service(settings) as service,
        http_server(service) as url,
        rest_client(url) as client,
    ):
        yield service, client


async def accept(rest: httpx.AsyncClient, run_id: str, **body: Any) -> None:
    given = {"runId": run_id, "inputs": {"id": run_id}, "options": ASYNC, **body}
    answer = await rest.post("/tools/ask/run", json=given)
    assert answer.status_code == 202, answer.text
    assert answer.json()["status"] == "running"


async def statuses(rest: httpx.AsyncClient, run_id: str) -> tuple[str, str]:
    """In the tool view and in the workflow view."""
    tool = (await rest.get(f"/runs/{run_id}")).json()
    workflow = (await rest.get(f"/runs/{run_id}?view=workflow")).json()["data"]
    return tool["status"], workflow["status"]


def held(web: Web) -> anyio.Event:
    """Answers wait until this is set; each says which path was asked for."""
    release = anyio.Event()

    def respond(seen: Seen) -> Answer:
        return Answer({"path": seen.path}, release=release)

    web.responds(respond)
    return release


async def test_accepted_runs_are_executed_in_turn(
    service: Service, rest: httpx.AsyncClient, web: Web
) -> None:
    release = held(web)
    await store(service, request_tool("ask", f"{web.url}/<<id>>"))
    for run_id in ("one", "two", "three"):
        await accept(rest, run_id)
    await until(lambda: len(web.seen) == 1, "the first is sent")
    assert await statuses(rest, "one") == ("running", "running")
    assert await statuses(rest, "two") == ("running", "waiting")
    other = await rest.post("/tools/ask/run", json={"inputs": {"id": "x"}, "options": ASYNC})
    assert other.status_code == 202
    assert (await rest.post("/runs/two/cancel")).json()["status"] == "aborted"
    release.set()
    await service.wait_for_run("three", 15)
    assert [seen.path for seen in web.seen[:2]] == ["/one", "/three"]
    assert await statuses(rest, "three") == ("success", "success")


async def test_a_synchronous_run_waits_for_no_turn(
    service: Service, rest: httpx.AsyncClient, web: Web
) -> None:
    async with silent_upstream() as upstream:
        await store(
            service, request_tool("ask", upstream.url), request_tool("now", f"{web.url}/now")
        )
        web.answers(Answer({}))
        await accept(rest, "one")
        await accept(rest, "two")
        answer = await rest.post("/tools/now/run", json={})
        assert answer.json()["status"] == "success"


async def test_what_waits_when_the_server_stops_is_executed_by_the_next(
    settings: Settings, web: Web
) -> None:
    release = held(web)
    async with served(settings) as (service, rest):
        await store(service, request_tool("ask", f"{web.url}/<<id>>"))
        await accept(rest, "begun", options={**ASYNC, "traceId": "t-1"})
        await accept(rest, "waiting", options={**ASYNC, "traceId": "t-2"})
        await accept(rest, "bound", credentials={"token": "s3cret-value"})
        await until(lambda: len(web.seen) == 1, "the first is sent")
        # Changed and removed tools do not change what was accepted.
        await service.tools.remove("ask")
    async with open_service(settings) as service:
        ended = {name: await service.get_run(name) for name in ("begun", "waiting", "bound")}
        assert [run.status for run in ended.values()] == ["aborted", "running", "aborted"]
        assert ended["waiting"].waits
        assert ended["bound"].error is not None
        assert ended["bound"].error.startswith("interrupted")
    release.set()
    async with served(settings) as (service, rest):

        async def is_done() -> bool:
            return (await statuses(rest, "waiting"))[0] == "success"

        await until_async(is_done, "the waiting run is executed")
        run = (await rest.get("/runs/waiting")).json()
        assert (run["data"], run["traceId"]) == ({"path": "/waiting"}, "t-2")
    stored = b"".join(path.read_bytes() for path in settings.home.glob("callslip.db*"))
    assert b"s3cret-value" not in stored


async def test_what_waits_is_executed_though_the_database_was_busy_when_it_was_claimed(
    settings: Settings, web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = held(web)
    async with served(settings) as (service, rest):
        await store(service, request_tool("ask", f"{web.url}/<<id>>"))
        for run_id in ("one", "two", "three"):
            await accept(rest, run_id)
        await until(lambda: len(web.seen) == 1, "the first is sent")
    release.set()
    failures = [StorageError("the database is locked")]
    get = RunStore.get

    async def get_at_last(self: RunStore, run_id: str, **how: Any) -> StoredRun | None:
        if failures and run_id == "three":
            raise failures.pop()
        return await get(self, run_id, **how)

    monkeypatch.setattr(RunStore, "get", get_at_last)
    monkeypatch.setattr(service_module, "_QUEUE_CHECK_SECONDS", 0.05)
    async with served(settings) as (service, rest):

        async def is_done() -> bool:
            return await service.run_status("three") is RunStatus.SUCCESS

        await until_async(is_done, "the last one is executed")
        assert await service.run_status("two") is RunStatus.SUCCESS
    assert failures == []
