"""Comparing, explaining and viewing recorded runs over MCP; a tool that worked, then did not."""

import json
from typing import Any

import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError

from server.app import open_service
from server.mcp_surface.history_tools import HISTORY_TOOLS
from server.mcp_surface.names import RESERVED_NAMES
from server.mcp_surface.selection import Selection
from server.mcp_surface.surface import McpSurface
from server.service import Service
from server.settings import Settings
from tests.server.helpers import request_tool, script_tool, start, store
from tests.server.test_mcp import ERAS, call, connected, listed, text
from tests.web import Answer, Web

INPUTS = {"type": "object", "properties": {"day": {"type": "string"}}}


async def resource(client: Client, uri: str) -> Any:
    [content] = (await client.read_resource(uri)).contents
    return json.loads(content.text)  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType, reportUnknownArgumentType]


async def run(service: Service, tool_id: str, inputs: Any = None, **fields: Any) -> str:
    active = await start(service, tool_id, inputs, **fields)
    await active.wait()
    return active.run_id


async def totals(service: Service, web: Web) -> None:
    """Store a tool that reads rows and adds them up."""
    rows = {"id": "rows", "config": {"url": f"{web.url}/rows?day=<<day>>"}}
    code = "(s) => s.rows.data.rows.map((row) => row.total.toFixed(2))"
    add = {"id": "add", "config": {"type": "transform", "transformCode": code}}
    await store(
        service, {"id": "totals", "retries": 0, "inputSchema": INPUTS, "steps": [rows, add]}
    )


@ERAS
async def test_a_tool_whose_upstream_changed_is_explained_by_its_history(
    era: str, service: Service, web: Web
) -> None:
    await totals(service, web)
    web.responds(lambda seen: Answer({"rows": [{"id": 1, "total": 2.5}, {"id": 2, "total": 4}]}))
    good = await run(service, "totals", {"day": "mon"})
    partial = {
        await run(service, "totals", {"day": "mon"}, options={"execution": how})
        for how in ("dry", "limited")
    }
    web.responds(lambda seen: Answer({"rows": [{"id": 1, "amount": 2.5}, {"id": 2, "amount": 4}]}))
    renamed = await run(service, "totals", {"day": "mon"})
    web.responds(lambda seen: Answer({"error": "no such day"}, 404))
    gone = await run(service, "totals", {"day": "sun"})
    async with connected(service, era) as client:

        async def ask(name: str, **arguments: Any) -> dict[str, Any]:
            return (await call(client, name, arguments))["structuredContent"]

        explained = await ask("explain_run", runId=renamed)
        assert explained["failure"]["stepId"] == "add"
        # A run that did not ask for everything proves nothing.
        assert explained["lastGood"]["runId"] == good
        assert good not in partial
        assert "$.rows[*].total removed" in " ".join(explained["likely"])
        explained = await ask("explain_run", runId=gone)
        assert explained["exchange"]["status"] == 404
        assert "no such day" in explained["exchange"]["responseBody"]
        assert explained["lastGood"]["runId"] == good
        assert explained["lastGood"]["changes"]["request"]["before"]["status"] == 200
        assert "inputs are not those" in " ".join(explained["likely"])
        assert "no failure to explain" in (await ask("explain_run", runId=good))["summary"]

        compared = await ask("compare_runs", a=good, b=gone)
        assert "a succeeded, b failed" in compared["summary"][0]
        [changed] = compared["inputs"]["changes"]
        assert (changed["path"], changed["before"], changed["after"]) == ("$.day", "mon", "sun")
        assert "tool" in compared["same"]
        [rows, add] = compared["steps"]
        assert rows["firstRequestThatDiffers"]["b"]["url"].endswith("day=sun")
        assert "b" not in add


@ERAS
async def test_a_run_whose_time_was_over_is_explained_by_the_step_that_was_open(
    era: str, service: Service, web: Web
) -> None:
    web.responds(
        lambda seen: Answer({}, 404) if seen.path == "/first" else Answer({}, delay_seconds=60)
    )
    first = {"id": "k", "config": {"url": f"{web.url}/first"}, "failureBehavior": "continue"}
    second = {"id": "l", "config": {"url": f"{web.url}/second"}}
    await store(service, {"id": "slow", "steps": [first, second], "retries": 0})
    over = await run(service, "slow", options={"runTimeoutMs": 500})
    async with connected(service, era) as client:
        answer = await call(client, "explain_run", {"runId": over})
    explained = answer["structuredContent"]
    assert "failed at step l (timeout): The run took longer" in explained["summary"]
    assert explained["failure"]["stepId"] == "l"
    assert "where" not in explained["failure"]
    assert explained["exchange"]["url"] == f"{web.url}/second"
    likely = " ".join(explained["likely"])
    assert "Step k failed before and was passed over" in likely
    assert "Step l failed" not in likely
    assert "raise runTimeoutMs" in likely
    assert "raise timeoutMs" not in likely


@ERAS
async def test_results_are_compared_by_places_that_can_be_read(era: str, service: Service) -> None:
    code = """(s) => ({ rows: Array.from({ length: 3000 }, (_, n) => (
        { id: n, text: s.text + 'x'.repeat(100) })) })"""
    await store(service, script_tool("rows", code), script_tool("other", "1"))
    a = await run(service, "rows", {"text": "a"})
    b = await run(service, "rows", {"text": "b"})
    other = await run(service, "other")
    async with connected(service, era) as client:
        answer = await call(client, "compare_runs", {"a": a, "b": b})
        assert len(text(answer)) <= 24_000
        compared = answer["structuredContent"]
        result = compared["result"]
        assert (result["total"], result["truncated"]) == (3000, True)
        arguments = {"runId": b, "path": result["changes"][0]["path"]}
        part = (await call(client, "read_result", arguments))["structuredContent"]
        assert part["value"] == ["b" + "x" * 100]
        compared = (await call(client, "compare_runs", {"a": a, "b": other}))["structuredContent"]
        assert "different tools" in compared["summary"][0]


@ERAS
async def test_answers_about_runs_keep_within_a_small_limit(era: str, settings: Settings) -> None:
    small = settings.model_copy(update={"inline_limit_characters": 3000})
    async with open_service(small) as service:
        code = (
            "(s) => { const o = {}; for (let n = 0; n < 300; n++) o['key' + n] = s.text; return o }"
        )
        bad = "(s) => { throw new Error('x'.repeat(5000)) }"
        await store(service, script_tool("wide", code), script_tool("bad", bad))
        a, b = [await run(service, "wide", {"text": one * 200}) for one in "ab"]
        failed = await run(service, "bad", {f"k{n}": "y" * 200 for n in range(50)})
        async with connected(service, era) as client:
            answer = await call(client, "compare_runs", {"a": a, "b": b})
            assert len(text(answer)) <= 3000
            assert "read_result" in answer["structuredContent"]["next"]
            answer = await call(client, "explain_run", {"runId": failed})
            assert "failed" in answer["structuredContent"]["summary"]
            assert "get_run" in answer["structuredContent"]["next"]


@ERAS
async def test_tools_that_read_the_history_are_read_only_and_refuse_what_is_not_there(
    era: str, service: Service
) -> None:
    assert set(HISTORY_TOOLS) <= RESERVED_NAMES
    await store(service, script_tool("t", "1"))
    there = await run(service, "t")
    async with connected(service, era) as client:
        tools = await listed(client)
        for name in ("compare_runs", "explain_run"):
            assert tools[name]["annotations"]["readOnlyHint"]
            assert tools[name]["outputSchema"]["type"] == "object"
        for name, arguments, words in (
            ("compare_runs", {"a": there, "b": "nope"}, "run nope not found"),
            ("compare_runs", {"a": "nope", "b": there}, "run nope not found"),
            ("compare_runs", {"a": there}, "b"),
            ("compare_runs", {"a": there, "b": there, "c": there}, "c"),
            ("explain_run", {"runId": "nope"}, "run nope not found"),
            ("explain_run", {}, "runId"),
        ):
            answer = await call(client, name, arguments)
            assert answer.get("isError"), (name, arguments)
            assert words in text(answer)


@ERAS
async def test_a_definition_is_read_whole_or_in_parts(era: str, service: Service) -> None:
    def step(number: int, code: str) -> Any:
        return {"id": f"s{number}", "config": {"type": "transform", "transformCode": code}}

    await store(service, {"id": "t", "steps": [step(0, "(s) => 1")]})
    many = [step(number, f"(s) => {number} + {'1 + ' * 30}1") for number in range(200)]
    many[7] = step(7, f"// {'x' * 40_000}\n(s) => 1")
    await store(service, {"id": "long", "steps": many})
    async with connected(service, era) as client:
        assert (await listed(client))["get_tool"]["annotations"]["readOnlyHint"]

        async def ask(**arguments: Any) -> Any:
            return (await call(client, "get_tool", arguments))["structuredContent"]

        whole = await ask(toolId="t")
        assert whole["definition"] == await resource(client, "callslip://tools/t")
        long = await ask(toolId="long")
        assert "definition" not in long
        assert "steps" in long["preview"]["shape"]
        assert "path" in long["next"]
        assert (await ask(toolId="long", path="$.steps[150].id"))["value"] == "s150"
        page = await ask(toolId="long", path="$.steps[*].id", offset=198)
        assert (page["value"], page["total"]) == (["s198", "s199"], 200)
        text_part = await ask(
            toolId="long", path="$.steps[7].config.transformCode", offset=40_000, limit=100
        )
        assert text_part["value"].endswith("(s) => 1")
        wide = await ask(toolId="long", path="$.steps[7]")
        assert wide["value"] is None
        assert wide["preview"]
        for arguments, words in (
            ({"toolId": "lang"}, "did you mean long"),
            ({"toolId": "t", "path": "$.nowhere"}, "finds nothing"),
            ({"toolId": "t", "limit": 5000}, "1 to 1000"),
        ):
            answer = await call(client, "get_tool", arguments)
            assert answer.get("isError"), arguments
            assert words in text(answer)


@ERAS
async def test_a_run_is_read_in_the_view_asked_for(era: str, service: Service, web: Web) -> None:
    web.answers(Answer({"a": 1}))
    await store(service, request_tool("t", f"{web.url}/x"))
    run_id = await run(service, "t")
    uri = f"callslip://runs/{run_id}"
    async with connected(service, era) as client:
        templates = (await client.list_resource_templates()).resource_templates
        assert any("{?view,summary,nodeIds}" in template.uri_template for template in templates)
        whole = await resource(client, uri)
        assert await resource(client, f"{uri}?view=tool&summary=false") == whole
        brief = await resource(client, f"{uri}?summary=true")
        assert brief.keys() == whole.keys() - {"tool", "stepResults", "data"}
        graph = await resource(client, f"{uri}?view=workflow")
        assert (graph["id"], graph["status"], graph["workflowVersion"]) == (run_id, "success", 1)
        assert list(graph["executionState"]) == ["root", "get"]
        assert graph["executionState"]["get"]["result"] == {"a": 1}
        chosen = await resource(client, f"{uri}?nodeIds=get,%20nowhere")
        assert list(chosen["executionState"]) == ["get"]
        brief = await resource(client, f"{uri}?view=workflow&summary=true&nodeIds=get")
        assert not {"executionState", "workflowDefinition"} & brief.keys()
        for query, words in (
            ("view=odd", "valid: tool, workflow"),
            ("summary=yes", "valid: true, false"),
            ("sumary=true", "did you mean summary"),
            ("odd=1", "valid: nodeIds, summary, view"),
            ("view=tool&nodeIds=get", "view=workflow"),
        ):
            with pytest.raises(MCPError, match=words) as bad:
                await client.read_resource(f"{uri}?{query}")
            assert bad.value.error.code == -32602


@ERAS
async def test_each_tool_of_ours_says_what_it_takes_what_it_gives_and_what_it_does(
    era: str, service: Service
) -> None:
    surface = McpSurface(service, Selection(authoring=True))
    async with Client(surface.server, mode=era) as client:  # pyright: ignore[reportArgumentType]: one of ERAS
        tools = await listed(client)
    assert set(tools) == RESERVED_NAMES & set(tools)
    assert len(tools) >= 14
    for tool in tools.values():
        assert tool["outputSchema"]["type"] == "object"
        assert tool["inputSchema"]["additionalProperties"] is False
        assert len(tool["description"]) > 40
        assert tool["annotations"].keys() >= {"title", "readOnlyHint", "openWorldHint"}
