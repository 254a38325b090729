"""`callslip serve --http` as a process of its own: keys, signals, crashes, its log."""

import asyncio
import json
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpx
import httpx2
import pytest
from mcp.shared.exceptions import MCPError

from tests.server.helpers import (
    WAIT_SECONDS,
    request_tool,
    script_tool,
    silent_upstream,
    until,
    until_async,
)
from tests.server.raw_client import COMMAND, environment, run_command, store_tools
from tests.server.rest.helpers import rest_client
from tests.server.rest.test_mcp_over_http import mcp_client
from tests.web import Answer, Web

KEY = "a-key-for-the-tests"


class Process:
    """A server, its address and what it says on stderr."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.url = ""
        self.errors = b""

    async def begin(self) -> None:
        assert self.process.stderr is not None
        with anyio.fail_after(WAIT_SECONDS):
            while b"listening on" not in self.errors:
                line = await self.process.stderr.readline()
                assert line, self.errors
                self.errors += line
        self.url = self.errors.decode().split()[-1]

    async def ended(self) -> int:
        assert self.process.stderr is not None
        with anyio.fail_after(WAIT_SECONDS):
            self.errors += await self.process.stderr.read()
            return await self.process.wait()


@asynccontextmanager
async def serving_http(home: Path, *arguments: str, **settings: str) -> AsyncGenerator[Process]:
    process = await asyncio.create_subprocess_exec(
        *COMMAND,
        *("serve", "--http", "--port", "0", *arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env=environment(
            home, **{"CALLSLIP_API_KEY": KEY, "CALLSLIP_ALLOW_PRIVATE": "1", **settings}
        ),
    )
    server = Process(process)
    try:
        await server.begin()
        yield server
    finally:
        if process.returncode is None:
            process.kill()
        await server.ended()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


async def test_without_a_key_it_ends_and_names_the_three_ways(home: Path) -> None:
    code, _, errors = await run_command(home, "serve", "--http", "--port", "0")
    assert code == 2
    for way in ("callslip keys create", "CALLSLIP_API_KEY", "--no-auth"):
        assert way in errors


async def test_no_auth_is_for_loopback(home: Path) -> None:
    arguments = ("serve", "--http", "--port", "0", "--no-auth")
    code, _, errors = await run_command(home, *arguments, "--host", "0.0.0.0")
    assert code == 2
    assert "127.0.0.1" in errors
    async with (
        serving_http(home, "--no-auth", CALLSLIP_API_KEY="") as server,
        rest_client(server.url) as client,
    ):
        assert (await client.get("/tools")).status_code == 200


async def test_a_port_that_is_taken_is_a_usage_error(home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        arguments = ("serve", "--http", "--port", port)
        code, _, errors = await run_command(home, *arguments, CALLSLIP_API_KEY=KEY)
    assert code == 2
    assert f"port {port}" in errors
    code, _, errors = await run_command(home, "serve", "--port", "1")
    assert code == 2
    assert "--http" in errors


async def test_keys_are_made_listed_and_revoked(home: Path) -> None:
    code, key, errors = await run_command(home, "keys", "create", "ci", "--scope", "read")
    assert code == 0
    assert "not shown again" in errors
    async with (
        serving_http(home, CALLSLIP_API_KEY="") as server,
        rest_client(server.url, key.strip()) as client,
    ):
        assert (await client.get("/tools")).status_code == 200
        assert (await client.post("/tools", json={})).status_code == 403
        code, listed, _ = await run_command(home, "keys", "list", "--json")
        assert code == 0
        (wire,) = json.loads(listed)
        assert (wire["name"], wire["scopes"]) == ("ci", ["read"])
        assert wire["lastUsedAt"]
        assert key.strip() not in listed
        assert (await run_command(home, "keys", "revoke", "ci"))[0] == 0
        assert (await client.get("/tools")).status_code == 401
    assert (await run_command(home, "keys", "revoke", "ci"))[0] == 3
    code, _, errors = await run_command(home, "keys", "create", "ci")
    assert code == 2
    assert "another name" in errors
    narrowed = ("keys", "create", "x", "--scope", "admin", "--tool", "t")
    assert (await run_command(home, *narrowed))[0] == 2


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM to catch")
async def test_when_it_is_told_to_end_it_says_how_its_runs_ended(home: Path) -> None:
    answers: list[httpx.Response] = []
    async with silent_upstream() as upstream:
        await store_tools(home, [request_tool("wait", upstream.url)])
        async with (
            serving_http(home) as server,
            rest_client(server.url, KEY) as client,
            anyio.create_task_group() as group,
        ):

            async def call() -> None:
                answers.append(await client.post("/tools/wait/run", json={"runId": "r"}))

            group.start_soon(call)
            await until(lambda: upstream.requests == 1, "the request is sent")
            server.process.send_signal(signal.SIGTERM)
            assert await server.ended() == 0
    assert answers[0].json()["status"] == "aborted"
    code, shown, _ = await run_command(home, "runs", "show", "r", "--json")
    assert code == 0
    assert json.loads(shown)["status"] == "aborted"


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGTERM to catch")
@pytest.mark.parametrize("era", ["legacy", "2026-07-28"])
async def test_open_streams_do_not_keep_it_from_ending(home: Path, era: str) -> None:
    async with serving_http(home, "--no-auth") as server:
        told = False
        try:
            async with mcp_client(server.url, era) as client:
                await client.list_tools()
                server.process.send_signal(signal.SIGTERM)
                assert await server.ended() == 0
                told = True
        except* (httpx2.HTTPError, anyio.ClosedResourceError, MCPError):
            # What the client says goodbye to is gone.
            pass
        assert told
        assert b"Traceback" not in server.errors


async def test_accepted_runs_survive_a_crash(home: Path, web: Web) -> None:
    async with silent_upstream() as upstream:
        await store_tools(
            home, [request_tool("wait", upstream.url), request_tool("ask", f"{web.url}/<<id>>")]
        )
        async with (
            serving_http(home, CALLSLIP_ASYNC_RUNS="1") as server,
            rest_client(server.url, KEY) as client,
        ):

            async def accept(tool_id: str, run_id: str) -> None:
                body: dict[str, Any] = {"runId": run_id, "inputs": {"id": run_id}}
                body["options"] = {"async": True}
                answer = await client.post(f"/tools/{tool_id}/run", json=body)
                assert answer.status_code == 202

            await accept("wait", "begun")
            await until(lambda: upstream.requests == 1, "the request is sent")
            await accept("ask", "first")
            await accept("ask", "second")
            server.process.kill()
            await server.ended()
    web.answers(Answer({"ok": True}))
    async with serving_http(home) as server, rest_client(server.url, KEY) as client:

        async def all_ended() -> bool:
            return (await client.get("/runs?status=running")).json()["total"] == 0

        await until_async(all_ended, "all runs have ended")
        found = {run["runId"]: run for run in (await client.get("/runs")).json()["data"]}
    assert {name: run["status"] for name, run in found.items()} == {
        "begun": "aborted",
        "first": "success",
        "second": "success",
    }
    assert found["begun"]["error"].startswith("interrupted")
    assert [seen.path for seen in web.seen] == ["/first", "/second"]


async def test_tools_reach_no_private_address_unless_that_is_allowed(home: Path, web: Web) -> None:
    web.answers(Answer({"ok": True}), Answer({"ok": True}))
    await store_tools(home, [request_tool("ask", web.url, retries=0)])
    for allowed, status in (("", "failed"), ("1", "success")):
        async with (
            serving_http(home, CALLSLIP_ALLOW_PRIVATE=allowed) as server,
            rest_client(server.url, KEY) as client,
        ):
            run = (await client.post("/tools/ask/run", json={})).json()
            assert run["status"] == status, run
    assert len(web.seen) == 1


async def test_no_key_is_in_the_log(home: Path) -> None:
    await store_tools(home, [script_tool("one", "1")])
    async with serving_http(home, "--log-level", "debug") as server:
        async with rest_client(server.url, KEY) as client:
            assert (await client.get("/tools", params={"token": KEY})).status_code == 200
            assert (await client.get("/tools?token=another-key-xyz")).status_code == 200
            assert (await client.post("/tools/one/run", json={})).status_code == 200
        async with rest_client(server.url, "another-key-xyz") as client:
            assert (await client.get("/tools")).status_code == 401
        server.process.kill()
        await server.ended()
        assert KEY.encode() not in server.errors
        assert b"another-key-xyz" not in server.errors


def test_serving_on_stdio_does_not_import_what_serving_http_does() -> None:
    code = (
        "import sys, server.cli, server.commands.serve, server.mcp_surface.stdio\n"
        "print([name for name in sys.modules if name.startswith(('fastapi', 'server.rest'))])"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout
    assert output.strip() == b"[]"
