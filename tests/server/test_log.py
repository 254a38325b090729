"""The log of a server tells of runs and never quotes what they saw."""

import logging
from pathlib import Path

import pytest

from server.app import open_service
from server.service import Service
from server.settings import Settings
from tests.server.helpers import request_tool, script_tool, start, store
from tests.server.raw_client import serving, store_tools
from tests.web import Answer, Web
from tools.execution import Execution

SECRET = "correct-horse-battery"


async def test_a_log_of_everything_holds_no_credential(tmp_path: Path, web: Web) -> None:
    home, file = tmp_path / "home", tmp_path / "token"
    file.write_text(SECRET)
    web.answers(Answer({}))
    async with open_service(Settings(home=home, proxies={})) as service:
        system = {
            "id": "acme",
            "url": web.url,
            "auth": {"type": "apiKey", "in": "query", "name": "key", "credential": "token"},
            "credentials": {"token": {"fromFile": str(file)}},
        }
        await service.connections.put(system)
        await store(service, request_tool("ask", "/x", config={"systemId": "acme"}))
    async with serving(home, "--log-level", "debug") as client:
        answer = await client.call("ask")
        assert not answer.get("isError"), answer
        await client.close_input()
        assert await client.ended() == 0
    assert SECRET in web.seen[0].target
    assert b"DEBUG" in client.errors
    assert SECRET.encode() not in client.errors


async def test_the_trace_of_a_fault_leaves_out_what_the_run_saw(
    service: Service, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fall_over(*_: object) -> None:
        raise KeyError(SECRET)

    await store(service, script_tool("t", "1"))
    monkeypatch.setattr(Execution, "_check_output", fall_over)
    with caplog.at_level(logging.ERROR):
        outcome = await (await start(service, "t")).wait()
    assert outcome.error == "callslip itself failed: KeyError"
    assert "in fall_over" in caplog.text
    assert "KeyError" in caplog.text
    assert SECRET not in caplog.text


async def test_a_server_that_was_narrowed_to_nothing_says_so(tmp_path: Path) -> None:
    home = tmp_path / "home"
    await store_tools(home, [script_tool("one", "1", folder="a")])
    for arguments, is_said in (
        (("--tool", "nope"), True),
        (("--folder", "b"), True),
        (("--folder", "a"), False),
    ):
        async with serving(home, *arguments) as client:
            await client.request("tools/list", {})
            await client.close_input()
            assert await client.ended() == 0
        assert (b"no stored tool is in the folders" in client.errors) == is_said
