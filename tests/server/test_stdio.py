"""MCP on standard streams, both eras, byte by byte."""

import json
import signal
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.server.helpers import SilentUpstream, request_tool, script_tool, silent_upstream, until
from tests.server.raw_client import (
    ProtocolError,
    RawClient,
    environment,
    run_command,
    serving,
    store_tools,
)
from tests.web import Answer, Web

ERAS = ("2025-06-18", "2026-07-28")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def text_of(answer: dict[str, Any]) -> str:
    return answer["content"][0]["text"]


def run_id_of(answer: dict[str, Any]) -> str:
    return answer["_meta"]["callslip/runId"]


@pytest.mark.parametrize("era", ERAS)
async def test_a_client_lists_calls_reads_history_and_is_told_of_changes(
    era: str, home: Path, web: Web
) -> None:
    web.answers(Answer({"name": "Ann", "n": 12345678901234567890}))
    await store_tools(home, [request_tool("people", f"{web.url}/people/<<id>>")])
    async with serving(home, era=era) as client:
        tools = await client.tools()
        assert tools["people"]["_meta"]["callslip/toolId"] == "people"
        if era != ERAS[0]:
            await client.begin(
                "subscriptions/listen", {"notifications": {"toolsListChanged": True}}
            )
            await client.notified("notifications/subscriptions/acknowledged")
        answer = await client.call("people", {"id": "7"})
        assert answer["structuredContent"] == {"name": "Ann", "n": 12345678901234567890}
        assert json.loads(text_of(answer)) == answer["structuredContent"]
        assert web.seen[0].target == "/people/7"

        resources = (await client.request("resources/list"))["resources"]
        uri = f"callslip://runs/{run_id_of(answer)}"
        assert [one["uri"] for one in resources] == ["callslip://runs", uri]
        [content] = (await client.request("resources/read", {"uri": uri}))["contents"]
        record = json.loads(content["text"])
        assert (record["status"], record["requestSource"]) == ("success", "mcp")
        assert record["clientInfo"] == {"name": "raw", "version": "1.0"}
        assert record["toolPayload"] == {"id": "7"}
        assert record["data"] == {"name": "Ann", "n": 12345678901234567890}
        listed = (await client.call("list_runs"))["structuredContent"]
        assert [run["runId"] for run in listed["data"]] == [run_id_of(answer)]

        before = len(client.notifications)
        await store_tools(home, [script_tool("later", "1")])
        await client.notified("notifications/tools/list_changed", before)
        assert "later" in await client.tools()
        assert (await client.call("later"))["structuredContent"] == {"result": 1}
        with pytest.raises(ProtocolError) as unknown:
            await client.call("nowhere")
        assert unknown.value.code == -32602
        await client.close_input()
        assert await client.ended() == 0
    assert client.garbage == []


async def test_nothing_but_messages_is_written_even_when_everything_is_logged(
    home: Path, web: Web
) -> None:
    web.answers(Answer({"a": 1}))
    await store_tools(
        home,
        [
            script_tool("prints", "(s) => { console.log('hello'); console.error('x'); return 1 }"),
            script_tool("fails", "(s) => { throw new Error('line\\nbreak') }"),
            request_tool("asks", f"{web.url}/x"),
        ],
    )
    async with serving(home, "--log-level", "debug") as client:
        await client.call("prints")
        failed = await client.call("fails")
        assert failed["isError"]
        await client.call("asks")
        await client.request("resources/list")
        await client.close_input()
        assert await client.ended() == 0
    assert client.garbage == []
    for line in client.output.splitlines():
        assert json.loads(line)["jsonrpc"] == "2.0"
    assert client.output.endswith(b"\n")
    assert b"DEBUG" in client.errors


async def test_lines_that_are_no_messages_do_not_end_the_server(home: Path) -> None:
    await store_tools(home, [script_tool("size", "(s) => s.text.length")])
    async with serving(home) as client:
        for line in (
            b"not JSON at all",
            b"",
            b"{}",
            b"[]",
            b"null",
            b'{"jsonrpc": "2.0"}',
            b'{"jsonrpc": "2.0", "id": 900, "method": "nowhere"}',
            b'{"jsonrpc": "2.0", "id": 901, "method": "tools/call"}',
            b'{"jsonrpc": "2.0", "id": 902, "method": "tools/call", "params": []}',
            b'{"jsonrpc": "2.0", "id": 903, "method": "tools/call", "params": {"name": 5}}',
            b'{"jsonrpc": "2.0", "id": 904, "result": {}}',
            b'{"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {}}',
            b'{"jsonrpc": "2.0", "method": "notifications/nowhere"}',
            b"\xff\xfe\xfa invalid \x80 UTF-8",
            b'{"jsonrpc": "2.0", "id": 905, "method": "tools/call", "params": '
            b'{"name": "size", "arguments": {"text": "\xff\xfe"}}}',
            b'{"jsonrpc": "2.0", "id": 906, "method": "tools/call", "params": '
            b'{"name": "size", "arguments": {"text": "\\ud800"}}}',
            b"[" * 10_000,
            b"\x00\x01\x02",
        ):
            await client.send_bytes(line + b"\n")
        answer = await client.call("size", {"text": "x" * 5_000_000})
        assert answer["structuredContent"] == {"result": 5_000_000}
        answer = await client.call("size", {"text": "\u2028\u2029\x85\x0b"})
        assert answer["structuredContent"] == {"result": 4}
    assert client.garbage == []


async def test_text_that_is_no_unicode_ends_neither_a_call_nor_the_server(home: Path) -> None:
    await store_tools(
        home,
        [
            script_tool("gives", "() => ({ text: 'cut \\ud83d here', more: ['\\udc00'] })"),
            script_tool("wide", "() => '\\ud83d'.repeat(30000)"),
            script_tool("throws", "() => { throw new Error('cut \\ud83d here') }"),
            script_tool("logs", "() => { console.log('\\ud83d'); return 1 }"),
        ],
    )
    async with serving(home) as client:
        given = await client.call("gives")
        assert given["structuredContent"]["text"].startswith("cut ")
        for tool in ("wide", "throws", "logs"):
            answer = await client.call(tool)
            record = await client.call("get_run", {"runId": run_id_of(answer)})
            assert not record["isError"]
            part = await client.call("read_result", {"runId": run_id_of(answer), "limit": 5})
            assert part["isError"] == (tool == "throws")
            uri = f"callslip://runs/{run_id_of(answer)}"
            await client.request("resources/read", {"uri": uri})
        await client.request("resources/list")
        await client.call("list_runs")
    assert client.garbage == []


@pytest.mark.parametrize("era", ERAS)
async def test_a_cancelled_call_ends_its_run_and_its_request(era: str, home: Path) -> None:
    async with silent_upstream() as upstream:
        await store_tools(home, [request_tool("slow", f"{upstream.url}/x")])
        async with serving(home, era=era) as client:
            request = await client.begin_call("slow", {}, **{"callslip/runId": "mine"})
            await until(lambda: upstream.requests == 1, "the request is on its way")
            params = {"requestId": request, "reason": "changed my mind"}
            await client.send({"method": "notifications/cancelled", "params": params})
            await until(lambda: upstream.closed == 1, "the connection is closed")
            record = await _ended_run(client, "mine")
            assert (record["status"], record["error"]) == ("aborted", "cancelled by the client")
            assert record["errorDetail"]["kind"] == "cancelled"
            assert not client.is_answered(request) or era == ERAS[0]
    assert client.garbage == []


async def _ended_run(client: RawClient, run_id: str) -> dict[str, Any]:
    answer = await client.call("get_run", {"runId": run_id, "wait_seconds": 10})
    assert not answer["isError"], answer
    return answer["structuredContent"]


async def test_progress_only_grows(home: Path, web: Web) -> None:
    web.answers(Answer({"a": 1}))
    tool = request_tool(
        "loop", f"{web.url}/<<currentItem>>", step={"dataSelector": "(s) => s.items"}
    )
    tool["steps"] += [
        {"id": f"more{number}", "config": {"url": f"{web.url}/x"}} for number in range(3)
    ]
    await store_tools(home, [tool])
    async with serving(home) as client:
        request = await client.begin_call(
            "loop", {"items": list(range(40))}, progressToken="token-7"
        )
        await client.answer(request)
        reports = [
            message["params"]
            for message in client.notifications
            if message["method"] == "notifications/progress"
        ]
    assert len(reports) > 3
    assert {report["progressToken"] for report in reports} == {"token-7"}
    values = [report["progress"] for report in reports]
    assert values == sorted(set(values))
    assert all(report["progress"] <= report["total"] for report in reports)


async def _in_flight(client: RawClient, upstream: SilentUpstream) -> None:
    await client.begin_call("slow", {}, **{"callslip/runId": "mine"})
    await until(lambda: upstream.requests == 1, "the request is on its way")


@pytest.mark.parametrize("how", ["end of input", "SIGTERM", "SIGINT"])
async def test_a_server_that_is_asked_to_end_records_what_was_under_way(
    how: str, home: Path
) -> None:
    if how != "end of input" and sys.platform == "win32":
        pytest.skip("Windows has no such signals")
    async with silent_upstream() as upstream:
        await store_tools(home, [request_tool("slow", f"{upstream.url}/x")])
        async with serving(home) as client:
            await _in_flight(client, upstream)
            started = anyio.current_time()
            if how == "end of input":
                await client.close_input()
            else:
                client.process.send_signal(getattr(signal, how))
            code = await client.ended()
            took = anyio.current_time() - started
        assert code == (130 if how == "SIGINT" else 0), client.errors.decode()
        assert took < 5
        await until(lambda: upstream.closed == 1, "the connection is closed")
    assert b"Traceback" not in client.errors, client.errors.decode()
    assert client.garbage == []
    code, output, _ = await run_command(home, "runs", "show", "mine", "--json")
    assert code == 0
    record = json.loads(output)
    assert record["status"] == "aborted"
    assert record["error"] in {
        "cancelled by the client",
        "interrupted: the server stopped during the run",
    }
    assert list((home / "locks").glob("*.lock")) == []


async def test_a_server_without_a_home_says_why_and_writes_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    code, output, errors = await run_command(tmp_path / "file" / "home", "serve")
    assert (code, output) == (4, "")
    assert "CALLSLIP_HOME" in errors
    home = tmp_path / "home"
    home.mkdir()
    (home / "locks").write_text("")
    code, output, errors = await run_command(home, "serve")
    assert (code, output) == (4, "")
    assert "locks cannot be written" in errors
    assert "Traceback" not in errors


def test_the_environment_of_a_server_has_no_setting_of_ours() -> None:
    found = [name for name in environment(Path("h")) if name.startswith("CALLSLIP_")]
    assert sorted(found) == ["CALLSLIP_HOME", "CALLSLIP_POLL_SECONDS"]
