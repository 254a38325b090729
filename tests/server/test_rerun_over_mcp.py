"""`rerun_run` over MCP, both eras: answered like a call, and held to the same rules."""

from dataclasses import replace
from typing import Any

import anyio
import mcp_types as types
import pytest
from mcp import Client

from server.mcp_surface.selection import HistoryLevel, Selection
from server.mcp_surface.surface import McpSurface
from server.service import Service
from tests.server.helpers import WAIT_SECONDS, request_tool, script_tool, start, store, until
from tests.web import Answer, Web

ERAS = pytest.mark.parametrize("era", ["legacy", "2026-07-28"])


async def rerun(
    service: Service, era: str, selection: Selection | None = None, action: Any = None, **given: Any
) -> dict[str, Any]:
    async def answer(context: Any, params: types.ElicitRequestParams) -> types.ElicitResult:
        return types.ElicitResult(action=action, content={})

    surface = McpSurface(service, selection)
    callback = answer if action is not None else None
    async with Client(surface.server, mode=era, elicitation_callback=callback) as client:
        with anyio.fail_after(WAIT_SECONDS):
            result = await client.call_tool("rerun_run", given)
    return result.model_dump(by_alias=True, exclude_none=True, mode="json")


async def recorded(service: Service, tool_id: str, inputs: Any = None, **fields: Any) -> str:
    active = await start(service, tool_id, inputs, **fields)
    await active.wait()
    return active.run_id


def texts(answer: dict[str, Any]) -> list[str]:
    return [one["text"] for one in answer["content"] if one["type"] == "text"]


@ERAS
async def test_it_is_answered_like_a_call_of_the_tool(service: Service, era: str) -> None:
    await store(service, script_tool("t", "(s) => ({n: s.n + 1})"))
    run_id = await recorded(service, "t", {"n": 1})
    answer = await rerun(service, era, runId=run_id, inputs={"n": 5})
    assert answer["structuredContent"] == {"n": 6}
    new_id = answer["_meta"]["callslip/runId"]
    assert texts(answer)[:2] == ['{"n":6}', f"run: callslip://runs/{new_id}"]
    assert answer["_meta"]["callslip/rerun"]["sourceRunId"] == run_id
    run = await service.get_run(new_id)
    assert (run.request_source, run.source_kind) == ("mcp", "rerun")
    assert run.client_name == "mcp"


@ERAS
async def test_what_was_taken_and_what_was_not_is_said(
    service: Service, web: Web, era: str
) -> None:
    await store(
        service,
        {
            "id": "t",
            "steps": [
                {"id": "a", "config": {"url": f"{web.url}/a"}},
                {"id": "b", "config": {"url": f"{web.url}/b"}},
            ],
        },
    )
    web.answers(Answer({"n": 1}), Answer(status=404))
    run_id = await recorded(service, "t")
    web.answers(Answer({"n": 2}))
    answer = await rerun(service, era, runId=run_id, from_failed_step=True)
    assert answer["structuredContent"] == {"n": 2}
    assert texts(answer)[-1] == f"taken from run {run_id}: a"
    assert answer["_meta"]["callslip/rerun"]["takenSteps"] == ["a"]


@ERAS
async def test_a_rerun_that_takes_long_is_answered_with_a_handle(
    service: Service, web: Web, era: str
) -> None:
    await store(service, request_tool("get", web.url))
    web.answers(Answer({"n": 1}))
    run_id = await recorded(service, "get")
    release = anyio.Event()
    web.answers(Answer({"n": 2}, release=release))
    service.settings = service.settings.model_copy(update={"soft_deadline_seconds": 0.05})
    answer = await rerun(service, era, runId=run_id)
    handle = answer["structuredContent"]["callslip"]
    assert handle["status"] == "running"
    release.set()
    await service.wait_for_run(handle["runId"], WAIT_SECONDS)
    assert (await service.get_run(handle["runId"])).status == "success"


@ERAS
@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"runId": "none"}, "run none not found; list_runs"),
        ({"runId": "t1", "mode": "sideways"}, "Input validation failed"),
        ({"runId": "t1", "version": "latest"}, "version snapshot runs it as it was executed"),
        ({}, "Input validation failed"),
    ],
)
async def test_what_cannot_be_made_again_is_an_error_that_says_why(
    service: Service, era: str, given: dict[str, Any], words: str
) -> None:
    await store(service, script_tool("t", "1"))
    await recorded(service, "t", run_id="t1")
    await service.tools.remove("t")
    answer = await rerun(service, era, **given)
    assert answer["isError"]
    assert words in texts(answer)[0]
    assert answer["_meta"]["callslip/error"]["kind"] == "invalid_input"


@ERAS
async def test_only_servers_with_all_history_tools_have_it(service: Service, era: str) -> None:
    levels: list[tuple[HistoryLevel, bool]] = [("all", True), ("read", False), ("none", False)]
    for level, expected in levels:
        surface = McpSurface(service, Selection(history_tools=level))
        async with Client(surface.server, mode=era) as client:
            tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        assert ("rerun_run" in tools) is expected
        if expected:
            annotations = tools["rerun_run"].annotations
            assert annotations is not None
            assert annotations.destructive_hint


@ERAS
async def test_a_read_only_server_makes_no_writing_run_again_but_replays_it(
    service: Service, web: Web, era: str
) -> None:
    web.answers(Answer({"n": 1}))
    await store(service, request_tool("write", web.url, config={"method": "POST"}))
    run_id = await recorded(service, "write")
    web.seen.clear()
    selection = Selection(read_only=True)
    answer = await rerun(service, era, selection, runId=run_id)
    assert "not one that this server may run" in texts(answer)[0]
    answer = await rerun(service, era, selection, runId=run_id, mode="replay")
    assert answer["structuredContent"] == {"n": 1}
    for narrow in (replace(selection, folders=("x",)), replace(selection, tool_ids=("y",))):
        answer = await rerun(service, era, narrow, runId=run_id, mode="replay")
        assert answer["isError"]
    assert web.seen == []


@ERAS
async def test_a_narrowed_server_cancels_only_runs_of_tools_that_it_shows(
    service: Service, web: Web, era: str
) -> None:
    web.answers(Answer("late", release=anyio.Event()))
    await store(service, request_tool("slow", web.url, config={"method": "POST"}))
    active = await start(service, "slow")
    narrowed = (Selection(read_only=True), Selection(folders=("x",)), Selection(tool_ids=("y",)))
    for selection in (*narrowed, Selection(tool_ids=("slow",))):
        async with Client(McpSurface(service, selection).server, mode=era) as client:
            result = await client.call_tool("cancel_run", {"runId": active.run_id})
        answer = result.model_dump(by_alias=True, exclude_none=True, mode="json")
        assert answer.get("isError", False) is (selection in narrowed)
        if selection in narrowed:
            assert "which this server may not run" in texts(answer)[0]
            assert not active.done.is_set()
    assert (await active.wait()).status == "aborted"


@ERAS
async def test_the_recorded_definition_decides_what_is_asked_before_a_write(
    service: Service, web: Web, era: str
) -> None:
    """The stored tool reads by now; the run that is made again wrote."""
    web.answers(Answer({"n": 1}))
    await store(service, request_tool("t", web.url, config={"method": "DELETE"}))
    run_id = await recorded(service, "t")
    await store(service, request_tool("t", web.url))
    web.seen.clear()
    selection = Selection(confirm_writes=True)
    answer = await rerun(service, era, selection, "decline", runId=run_id)
    assert "was not confirmed" in texts(answer)[0]
    assert web.seen == []
    await rerun(service, era, selection, "accept", runId=run_id)
    assert [seen.method for seen in web.seen] == ["DELETE"]
    await rerun(service, era, selection, "decline", runId=run_id, version="latest")
    assert [seen.method for seen in web.seen] == ["DELETE", "GET"]
    answer = await rerun(service, era, selection, "decline", runId=run_id, mode="replay")
    assert answer["structuredContent"] == {"n": 1}


@ERAS
async def test_cancelling_the_call_ends_the_run(service: Service, web: Web, era: str) -> None:
    web.answers(Answer({}))
    await store(service, request_tool("get", web.url))
    run_id = await recorded(service, "get")
    web.answers(Answer({}, release=anyio.Event()))
    web.seen.clear()
    async with Client(McpSurface(service).server, mode=era) as client:
        async with anyio.create_task_group() as group:
            group.start_soon(client.call_tool, "rerun_run", {"runId": run_id})
            await until(lambda: len(web.seen) == 1, "the request arrives")
            group.cancel_scope.cancel()
        (derived,) = (await service.get_run(run_id)).derived
        await service.wait_for_run(derived.run_id, WAIT_SECONDS)
    assert (await service.get_run(derived.run_id)).status == "aborted"
