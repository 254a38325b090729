"""Clients that close their sending side: answered or refused, never left waiting; on both loops."""

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import anyio
import pytest

from server import http_server as http_server_module
from server.service import Service
from storage.run_lists import RunFilter
from tests.server.helpers import (
    WAIT_SECONDS,
    request_tool,
    script_tool,
    silent_upstream,
    store,
    until,
)
from tests.server.rest.helpers import rest_client
from tests.web import Answer, Web
from tools.run import RunStatus

HEALTH = b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n"
META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": {"name": "raw", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}


@pytest.fixture(params=[False, True], ids=["asyncio", "uvloop"])
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, bool]]:
    if request.param:
        pytest.importorskip("uvloop")
    return "asyncio", {"use_uvloop": request.param}


def post(path: str, body: bytes, headers: str = "") -> bytes:
    head = (
        f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n{headers}"
        f"content-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def mcp_call(name: str) -> bytes:
    params = {"name": name, "arguments": {}, "_meta": META}
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    body = json.dumps(call).encode()
    headers = (
        "accept: application/json, text/event-stream\r\nmcp-protocol-version: 2026-07-28\r\n"
        f"mcp-method: tools/call\r\nmcp-name: {name}\r\n"
    )
    return post("/mcp", body, headers)


@asynccontextmanager
async def half_closed(url: str, data: bytes) -> AsyncGenerator[asyncio.StreamReader]:
    """The answers to a client that sends these bytes and no more."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        writer.write(data)
        writer.write_eof()
        yield reader
    finally:
        writer.close()


async def answers(url: str, data: bytes) -> list[tuple[int, str]]:
    """Status and body of each answer, up to where the server closes."""
    async with half_closed(url, data) as reader:
        with anyio.fail_after(WAIT_SECONDS):
            said = (await reader.read()).decode()
    found: list[tuple[int, str]] = []
    for answer in said.split("HTTP/1.1 ")[1:]:
        head, _, body = answer.partition("\r\n\r\n")
        found.append((int(head[:3]), body))
    return found


async def test_whole_requests_are_answered(url: str) -> None:
    for count in (1, 2, 3):
        found = await answers(url, HEALTH * count)
        assert [status for status, _ in found] == [200] * count
        assert all(json.loads(body)["status"] == "ok" for _, body in found)


async def test_a_run_that_is_under_way_is_answered(url: str, service: Service, web: Web) -> None:
    await store(service, request_tool("slow", web.url))
    answered = anyio.Event()
    web.answers(Answer({"a": 1}, release=answered))
    async with half_closed(url, post("/v1/tools/slow/run", b"{}")) as reader:
        await until(lambda: len(web.seen) == 1, "the request is sent")
        answered.set()
        with anyio.fail_after(WAIT_SECONDS):
            said = await reader.read()
    assert json.loads(said.partition(b"\r\n\r\n")[2])["data"] == {"a": 1}


@pytest.mark.parametrize(
    "begun",
    [
        b"GET",
        b"POST /v1/tools HTTP/1.1",
        b"POST /v1/tools HTTP/1.1\r\nhost: localhost\r\n",
        post("/v1/tools", b"{}")[:-1],
        post("/v1/tools", b"{}")[:-2],
        b"POST /v1/tools HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n5\r\n{",
    ],
)
async def test_a_request_that_is_not_whole_is_a_400(url: str, begun: bytes) -> None:
    for before in (b"", HEALTH):
        *found, (status, body) = await answers(url, before + begun)
        assert [status for status, _ in found] == [200] * bool(before)
        assert status == 400
        assert "before" in json.loads(body)["error"]["message"]


async def test_a_connection_without_a_request_is_closed(url: str) -> None:
    assert await answers(url, b"") == []


async def test_a_call_over_mcp_is_answered(url: str, service: Service) -> None:
    await store(service, script_tool("one", "1"))
    ((status, body),) = await answers(url, mcp_call("one"))
    assert status == 200
    assert "callslip/runId" in body


async def test_a_long_call_over_mcp_is_cancelled_as_if_the_client_had_gone(
    url: str, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_server_module, "_STREAM_GRACE_SECONDS", 0.1)
    async with silent_upstream() as upstream:
        await store(service, request_tool("wait", upstream.url))
        async with half_closed(url, mcp_call("wait")) as reader:
            await until(lambda: upstream.closed == 1, "the request is given up")
            with anyio.fail_after(WAIT_SECONDS):
                assert b"callslip/runId" not in await reader.read()
        (run,) = (await service.list_runs(RunFilter(), limit=5)).runs
        await service.wait_for_run(run.run_id, WAIT_SECONDS)
        assert (await service.get_run(run.run_id)).status is RunStatus.ABORTED


async def test_a_client_that_goes_away_does_not_end_its_run(url: str, service: Service) -> None:
    async with silent_upstream() as upstream:
        await store(service, request_tool("wait", upstream.url))
        async with half_closed(url, post("/v1/tools/wait/run", b"{}")):
            await until(lambda: upstream.requests == 1, "the request is sent")
        (run,) = (await service.list_runs(RunFilter(), limit=5)).runs
        assert run.status is RunStatus.RUNNING
        async with rest_client(url) as client:
            await client.post(f"/runs/{run.run_id}/cancel")
        await until(lambda: upstream.closed == 1, "the request is given up")
