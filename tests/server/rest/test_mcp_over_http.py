"""`/mcp`: clients of both eras, keys, narrowing, subscriptions, disconnects."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, cast

import anyio
import httpx
import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import ResourceTemplateReference

from server.mcp_surface.selection import Selection
from server.service import Service
from storage.api_keys import Scope
from storage.run_lists import RunFilter
from tests.server.helpers import request_tool, script_tool, silent_upstream, start, store, until
from tests.server.rest.helpers import http_server, make_key, message_of
from tests.web import Answer, Web
from tools.run import RunStatus

_ALL = RunFilter()
ERAS = ("legacy", "2026-07-28")


@asynccontextmanager
async def mcp_client(url: str, era: str, key: str | None = None) -> AsyncGenerator[Client]:
    headers = {"authorization": f"Bearer {key}"} if key is not None else {}
    async with (
        httpx2.AsyncClient(headers=headers, trust_env=False, timeout=20) as http,
        Client(streamable_http_client(f"{url}/mcp", http_client=http), mode=era) as client,
    ):
        yield client


@pytest.mark.parametrize("era", ERAS)
async def test_a_client_lists_calls_and_reads_history(
    era: str, url: str, service: Service, web: Web
) -> None:
    web.answers(Answer({"name": "Ann"}))
    await store(service, request_tool("people", f"{web.url}/people/<<id>>"))
    async with mcp_client(url, era) as client:
        listed = {tool.name for tool in (await client.list_tools()).tools}
        assert {"people", "list_runs"} <= listed
        answer = await client.call_tool("people", {"id": "7"})
        assert answer.structured_content == {"name": "Ann"}
        assert answer.meta is not None
        run_id = answer.meta["callslip/runId"]
        read = await client.read_resource(f"callslip://runs/{run_id}")
        assert run_id in cast("Any", read.contents[0]).text
    run = await service.get_run(run_id)
    assert (run.request_source, run.status) == ("mcp", RunStatus.SUCCESS)


@pytest.mark.parametrize("era", ERAS)
async def test_runs_over_mcp_carry_the_name_of_the_key(era: str, service: Service) -> None:
    await store(service, script_tool("one", "1"))
    key = await make_key(service, "agent")
    async with http_server(service, needs_key=True) as url, mcp_client(url, era, key) as client:
        answer = await client.call_tool("one", {})
        assert answer.meta is not None
        assert (await service.get_run(answer.meta["callslip/runId"])).user_id == "agent"


@pytest.mark.parametrize("era", ERAS)
async def test_a_narrowed_key_is_shown_its_tools_and_their_runs_only(
    era: str, service: Service
) -> None:
    await store(service, script_tool("mine", "1", folder="in"), script_tool("other", "2"))
    hidden = await start(service, "other")
    await hidden.wait()
    key = await make_key(service, "agent", folders=["in"])
    async with http_server(service, needs_key=True) as url, mcp_client(url, era, key) as client:
        listed = {tool.name for tool in (await client.list_tools()).tools}
        assert "mine" in listed
        assert "other" not in listed
        with pytest.raises(Exception, match="Unknown tool"):
            await client.call_tool("other", {})
        with pytest.raises(Exception, match="not found"):
            await client.read_resource(f"callslip://runs/{hidden.run_id}")
        assert (await client.call_tool("get_run", {"runId": hidden.run_id})).is_error
        runs = await client.call_tool("list_runs", {})
        assert runs.structured_content["total"] == 0
        with pytest.raises(Exception, match="not found"):
            await client.read_resource("callslip://systems/crm")
        reference = ResourceTemplateReference(uri="callslip://tools/{toolId}")
        completed = await client.complete(reference, {"name": "toolId", "value": ""})
        assert completed.completion.values == []
        assert not (await client.call_tool("mine", {})).is_error


async def test_what_the_server_is_narrowed_to_narrows_mcp(service: Service) -> None:
    await store(service, script_tool("a", "1"), script_tool("b", "2"))
    selection = Selection(tool_ids=("a",), history_tools="none")
    async with http_server(service, selection) as url, mcp_client(url, "legacy") as client:
        assert [tool.name for tool in (await client.list_tools()).tools] == ["a"]


@pytest.mark.parametrize("narrowed", [{}, {"folders": ["in"]}])
@pytest.mark.parametrize("scopes", [(Scope.READ, Scope.RUN), tuple(Scope)])
async def test_only_whole_keys_that_write_are_given_authoring(
    scopes: tuple[Scope, ...], narrowed: dict[str, list[str]], service: Service
) -> None:
    key = await make_key(service, "agent", *scopes, **narrowed)
    async with (
        http_server(service, Selection(authoring=True), needs_key=True) as url,
        mcp_client(url, "legacy", key) as client,
    ):
        listed = {tool.name for tool in (await client.list_tools()).tools}
        assert ("save_tool" in listed) == (Scope.WRITE in scopes and not narrowed)


async def test_mcp_needs_a_key_that_reads_and_runs(service: Service) -> None:
    reader = await make_key(service, "reader", Scope.READ)
    async with (
        http_server(service, needs_key=True) as url,
        httpx.AsyncClient(trust_env=False) as client,
    ):
        message_of(await client.post(f"{url}/mcp", json={}), 401)
        message_of(await client.get(f"{url}/mcp"), 401)
        headers = {"authorization": f"Bearer {reader}"}
        refused = await client.post(f"{url}/mcp", json={}, headers=headers)
        assert "run is missing" in message_of(refused, 403)
        evil = {**headers, "origin": "https://evil.example"}
        message_of(await client.post(f"{url}/mcp", json={}, headers=evil), 403)
        message_of(await client.post(f"{url}/mcp", json={}, headers={"host": "evil.example"}), 421)


@pytest.mark.parametrize("era", ERAS)
async def test_cancelling_a_call_ends_its_run(era: str, url: str, service: Service) -> None:
    async with silent_upstream() as upstream:
        await store(service, request_tool("wait", upstream.url))
        async with mcp_client(url, era) as client, anyio.create_task_group() as group:
            group.start_soon(client.call_tool, "wait")
            await until(lambda: upstream.requests == 1, "the request is sent")
            group.cancel_scope.cancel()
        await until(lambda: upstream.closed == 1, "the request is given up")
        (run,) = (await service.list_runs(_ALL, limit=5)).runs
        await service.wait_for_run(run.run_id, 15)
        assert (await service.get_run(run.run_id)).status is RunStatus.ABORTED


async def test_subscribers_of_both_eras_are_told(url: str, service: Service) -> None:
    await store(service, script_tool("one", "1"))
    told: dict[str, anyio.Event] = {era: anyio.Event() for era in ERAS}

    async def on_legacy(message: Any) -> None:
        if type(message).__name__ == "ToolListChangedNotification":
            told["legacy"].set()

    async with (
        httpx2.AsyncClient(trust_env=False, timeout=20) as http,
        Client(
            streamable_http_client(f"{url}/mcp", http_client=http),
            mode="legacy",
            message_handler=on_legacy,
        ) as legacy,
        mcp_client(url, "2026-07-28") as modern,
        modern.listen(tools_list_changed=True) as changes,
    ):
        await legacy.list_tools()
        # The stream of the legacy client is opened beside its first request.
        with anyio.fail_after(15):
            async with anyio.create_task_group() as group:

                async def change() -> None:
                    number = 0
                    while not told["legacy"].is_set():
                        number += 1
                        await store(service, script_tool(f"tool-{number}", "1"))
                        with anyio.move_on_after(0.2):
                            await told["legacy"].wait()

                group.start_soon(change)
                async for _ in changes:
                    told["2026-07-28"].set()
                    break
        assert all(event.is_set() for event in told.values())
