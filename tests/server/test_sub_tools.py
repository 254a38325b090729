"""Steps that call another stored tool: child runs with the same trace."""

from typing import Any

import anyio
import pytest

from server.active_run import RunRequest
from server.service import Service
from server.views import tool_view
from storage.run_lists import RunFilter
from tests.server.helpers import request_tool
from tests.web import Answer, Web
from tools.json_text import encode_json_text
from tools.run import RequestSource, RunOptions


async def store(service: Service, *tools: dict[str, Any]) -> None:
    for tool in tools:
        checked, outcome = await service.tools.put(tool)
        assert outcome is not None, [str(problem) for problem in checked.problems]


async def run(
    service: Service, tool_id: str, inputs: dict[str, Any] | None = None, **given: Any
) -> dict[str, Any]:
    request = RunRequest(tool_id, inputs or {}, RequestSource.API, **given)
    active = await service.start(request)
    await active.wait()
    return tool_view(await service.get_run(active.run_id))


def calls(tool_id: str, called: str, inputs: Any = None, **tool: Any) -> dict[str, Any]:
    config: dict[str, Any] = {"type": "tool", "toolId": called, "inputs": inputs or {}}
    return {"id": tool_id, "steps": [{"id": "call", "config": config}], **tool}


async def test_a_child_run_is_recorded_with_its_parent_and_trace(service: Service) -> None:
    double = {"id": "double", "outputTransform": "(s) => s.n * 2"}
    await store(service, double, calls("outer", "double", {"n": "<<(s) => s.x + 1>>"}))
    outer = await run(service, "outer", {"x": 20}, options=RunOptions(trace_id="t1"))
    assert outer["data"] == 42
    child = tool_view(await service.get_run(outer["stepResults"][0]["childRunId"]))
    assert child["requestSource"] == "tool-chain"
    assert child["parentRunId"] == outer["runId"]
    assert child["traceId"] == outer["traceId"] == "t1"
    assert child["toolPayload"] == {"n": 21}
    assert outer["subTools"]["double"]["outputTransform"] == "(s) => s.n * 2"


async def test_inputs_keep_their_kinds(service: Service) -> None:
    echo = {"id": "echo", "outputTransform": "$"}
    inputs = {"list": "<<xs>>", "text": "n=<<n>>", "deep": {"n": ["<<n>>", 1, None]}}
    await store(service, echo, calls("outer", "echo", inputs))
    outer = await run(service, "outer", {"xs": [1, 2], "n": 5})
    assert outer["data"] == {"list": [1, 2], "text": "n=5", "deep": {"n": [5, 1, None]}}


async def test_inputs_may_be_one_template(service: Service) -> None:
    echo = {"id": "echo", "outputTransform": "$"}
    await store(service, echo, calls("outer", "echo", "<<(s) => ({a: s.n})>>"))
    assert (await run(service, "outer", {"n": 5}))["data"] == {"a": 5}


async def test_a_loop_makes_a_child_run_for_each_item(service: Service) -> None:
    square = {"id": "square", "outputTransform": "(s) => s.n * s.n"}
    outer = calls("outer", "square", {"n": "<<currentItem>>"})
    outer["steps"][0]["dataSelector"] = "(s) => [1, 2, 3]"
    await store(service, square, outer)
    view = await run(service, "outer")
    assert [envelope["data"] for envelope in view["data"]] == [1, 4, 9]


async def test_a_failing_child_fails_its_step_and_names_its_run(service: Service, web: Web) -> None:
    web.answers(Answer("gone", status=404))
    inner = {"id": "inner", "steps": [{"id": "get", "config": {"url": web.url}}]}
    await store(service, inner, calls("outer", "inner"))
    outer = await run(service, "outer")
    assert outer["status"] == "failed"
    assert outer["error"] == "Step call failed: tool inner failed: Step get failed: HTTP 404: gone"
    assert outer["errorDetail"]["kind"] == "sub_tool"
    assert outer["errorDetail"]["http"]["status"] == 404
    child_run_id = outer["stepResults"][0]["childRunId"]
    assert child_run_id in outer["errorDetail"]["hint"]


async def test_a_tool_that_is_not_stored_is_a_failure_of_the_step(service: Service) -> None:
    await store(service, calls("outer", "missing"))
    outer = await run(service, "outer")
    assert outer["errorDetail"]["kind"] == "sub_tool"
    assert "tool missing not found" in outer["error"]


async def test_a_cycle_ends_with_its_path(service: Service) -> None:
    await store(service, calls("a", "b"), calls("b", "c"), calls("c", "a"))
    outer = await run(service, "a")
    assert outer["status"] == "failed"
    assert "tool a calls itself: a -> b -> c -> a" in outer["error"]


async def test_a_chain_has_at_most_ten_tools(service: Service) -> None:
    await store(service, {"id": "t11", "outputTransform": "1"})
    for number in range(10, 0, -1):
        await store(service, calls(f"t{number}", f"t{number + 1}"))
    assert (await run(service, "t2"))["data"] == 1
    assert "at most 10 are allowed" in (await run(service, "t1"))["error"]


async def test_cancelling_the_parent_ends_the_child(service: Service, web: Web) -> None:
    web.answers(Answer("late", release=anyio.Event()))
    inner = {"id": "inner", "steps": [{"id": "get", "config": {"url": web.url}}]}
    await store(service, inner, calls("outer", "inner"))
    arrived = web.arrived
    active = await service.start(RunRequest("outer", {}, RequestSource.API))
    with anyio.fail_after(10):
        await arrived.wait()
        active.cancel("enough")
        await active.done.wait()
    outer = tool_view(await service.get_run(active.run_id))
    assert (outer["status"], outer["error"]) == ("aborted", "enough")
    page = await service.list_runs(RunFilter(tool_id="inner"), limit=10)
    assert [run.status for run in page.runs] == ["aborted"]


async def test_run_time_credentials_reach_the_child_and_nothing_stored(
    service: Service, web: Web
) -> None:
    web.responds(lambda seen: Answer({"auth": seen.headers["authorization"]}))
    inner = {
        "id": "inner",
        "steps": [
            {"id": "get", "config": {"url": web.url, "headers": {"Authorization": "<<apiKey>>"}}}
        ],
    }
    await store(service, inner, calls("outer", "inner"))
    outer = await run(service, "outer", credentials={"apiKey": "sk_live_0123456789"})
    assert web.seen[0].headers["authorization"] == "sk_live_0123456789"
    assert outer["data"] == {"auth": "[credential run.apiKey]"}


async def test_a_dry_run_shows_what_the_tools_it_calls_would_send(
    service: Service, web: Web
) -> None:
    write = {"url": f"{web.url}/w/<<x>>", "method": "POST", "body": '{"x": <<x>>}'}
    schema = {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]}
    await store(
        service,
        {"id": "write", "inputSchema": schema, "steps": [{"id": "post", "config": write}]},
        {
            "id": "all",
            "steps": [
                {
                    "id": "each",
                    "dataSelector": "() => [1, 2]",
                    "config": {
                        "type": "tool",
                        "toolId": "write",
                        "inputs": {"x": "<<currentItem>>"},
                    },
                },
                {"id": "read", "config": {"url": f"{web.url}/r"}},
                {
                    "id": "last",
                    "config": {
                        "type": "tool",
                        "toolId": "write",
                        "inputs": {"x": "<<(s) => s.read.data.x>>"},
                    },
                },
            ],
        },
    )
    dry = await run(service, "all", options=RunOptions(execution="dry"))
    assert dry["status"] == "success", dry["error"]
    unsent = dry["data"]
    shown = [(one["stepId"], one.get("url", "").removeprefix(web.url)) for one in unsent]
    assert shown == [("each/post", "/w/1"), ("each/post", "/w/2"), ("read", "/r"), ("last", "")]
    assert unsent[0]["body"] == '{"x":1}'
    assert unsent[3]["skipped"]
    assert web.seen == []


async def test_a_dry_run_fails_of_what_every_run_would_fail_of(service: Service, web: Web) -> None:
    schema = {"type": "object", "properties": {"i": {"type": "integer"}}, "required": ["i"]}
    strict = {"id": "strict", "inputSchema": schema, "outputTransform": "1"}
    outer = calls("outer", "strict", {"i": "x"})
    read = {"id": "read", "config": {"url": f"{web.url}/r"}}
    await store(service, strict, {**outer, "steps": [read, *outer["steps"]]})
    dry = await run(service, "outer", options=RunOptions(execution="dry"))
    assert dry["status"] == "failed"
    assert "must be integer" in dry["error"]


@pytest.mark.parametrize(
    ("answer", "fields", "kept"),
    [
        (Answer({"ssn": "123-45", "why": "no"}, 404), {}, '{"why":"no"}'),
        (Answer("gone: ann@x.io 123-45", 404), {}, "HTTP 404"),
        (
            Answer('["123-45 ann@x.io",]', headers={"content-type": "application/json"}),
            {},
            "decode; the response filters hide the rest",
        ),
        (
            Answer({"ssn": "123-45"}),
            {"outputSchema": {"properties": {"ssn": {"type": "integer"}}}},
            "output_schema; the response filters hide the rest",
        ),
    ],
    ids=["json", "text", "no json", "schema"],
)
async def test_of_the_error_of_a_called_tool_no_more_is_shown_than_the_filters_let_through(
    answer: Answer, fields: dict[str, Any], kept: str, service: Service, web: Web
) -> None:
    web.answers(answer)
    config = {"type": "tool", "toolId": "child"}
    filters = [
        {"id": "k", "target": "KEYS", "pattern": "^ssn$", "action": "REMOVE"},
        {"id": "v", "target": "VALUES", "pattern": r"\S+@\S+", "action": "MASK"},
    ]
    await store(
        service,
        {**request_tool("child", web.url, retries=0), **fields},
        {
            "id": "all",
            "responseFilters": filters,
            "steps": [
                {
                    "id": "each",
                    "dataSelector": "() => [1]",
                    "failureBehavior": "continue",
                    "config": config,
                }
            ],
        },
    )
    record = encode_json_text(await run(service, "all"))
    assert encode_json_text(kept)[1:-1] in record
    assert "123-45" not in record
    assert "ann@x.io" not in record
