"""`/v1/runs`: the history in both views, and its parts."""

from typing import Any

import httpx

from server.service import Service
from storage.run_lists import RunFilter
from tests.server.helpers import (
    request_tool,
    script_tool,
    silent_upstream,
    start,
    store,
    until,
    until_async,
)
from tests.server.rest.helpers import message_of, nulls_in
from tests.web import Answer, Web

WORKFLOW = "application/vnd.workflow-run+json"


async def recorded(service: Service, web: Web) -> str:
    """A run of two steps, the second of which needs the first."""
    web.answers(Answer({"items": [1, 2]}), Answer({"done": True}))
    config = {"url": f"{web.url}/second"}
    tool = request_tool("two", f"{web.url}/first")
    await store(service, {**tool, "steps": [*tool["steps"], {"id": "then", "config": config}]})
    run = await start(service, "two", {"q": 1})
    await run.wait()
    return run.run_id


async def test_runs_are_listed_newest_first_and_without_data(
    service: Service, rest: httpx.AsyncClient
) -> None:
    await store(service, script_tool("a", "(s) => s"), script_tool("b", "(s) => fail()"))
    for name in ("a", "b", "a"):
        await (await start(service, name)).wait()
    listed = (await rest.get("/runs", params={"limit": 1000})).json()
    assert [run["toolId"] for run in listed["data"]] == ["a", "b", "a"]
    assert (listed["total"], listed["limit"], listed["hasMore"]) == (3, 100, False)
    assert not any({"data", "stepResults"} & run.keys() for run in listed["data"])
    assert not nulls_in(listed)
    failed = (await rest.get("/runs?status=failed&toolId=b&requestSources=api,mcp")).json()
    assert [run["status"] for run in failed["data"]] == ["failed"]
    second = (await rest.get("/runs?page=2&limit=2")).json()
    assert (len(second["data"]), second["page"]) == (1, 2)
    assert (await rest.get("/runs?startedAfter=2999-01-01T00:00:00%2B00:00")).json()["data"] == []


async def test_a_bad_filter_is_answered_with_the_valid_values(rest: httpx.AsyncClient) -> None:
    assert "aborted" in message_of(await rest.get("/runs?status=done"), 400)
    assert "tool-chain" in message_of(await rest.get("/runs?requestSources=api,x"), 400)
    for page in ("0", "-1", "x", "1e9", "99999999999999999999"):
        assert "query.page" in message_of(await rest.get("/runs", params={"page": page}), 400)
    message_of(await rest.get("/runs?limit=0"), 400)
    assert "2026-01-31" in message_of(await rest.get("/runs?startedAfter=then"), 400)
    assert "valid" in message_of(await rest.get("/runs?systemId=x"), 400)
    message_of(await rest.get('/runs?search="'), 400)


async def test_an_unknown_filter_is_refused_and_those_of_the_published_client_are_not(
    rest: httpx.AsyncClient,
) -> None:
    for name in ("toolid", "tool_id"):
        refused = message_of(await rest.get("/runs", params={name: "orders"}), 400)
        assert "did you mean toolId?" in refused
    refused = message_of(await rest.get("/runs?nonsense=1"), 400)
    assert "requestSources" in refused
    answer = await rest.get("/runs?includeTotal=true&userId=&limit=1000")
    assert answer.status_code == 200, answer.text


async def test_a_run_is_read_in_the_view_that_is_asked_for(
    service: Service, web: Web, rest: httpx.AsyncClient
) -> None:
    run_id = await recorded(service, web)
    tool_view = (await rest.get(f"/runs/{run_id}")).json()
    assert tool_view["data"] is not None
    assert [step["stepId"] for step in tool_view["stepResults"]] == ["get", "then"]
    for query in ("view=workflow", "summary=false", "nodeIds=root,get,then"):
        answer = await rest.get(f"/runs/{run_id}?{query}")
        envelope = answer.json()
        assert envelope.keys() == {"code", "data", "message", "requestId"}
        assert envelope["requestId"] == answer.headers["x-trace-id"]
        assert envelope["data"]["executionState"].keys() == {"root", "get", "then"}
    accepted = await rest.get(f"/runs/{run_id}", headers={"accept": WORKFLOW})
    assert accepted.headers["content-type"] == WORKFLOW
    assert accepted.json()["data"]["id"] == run_id
    summary = (await rest.get(f"/runs/{run_id}?summary=true")).json()["data"]
    assert not {"executionState", "workflowDefinition"} & summary.keys()
    one = (await rest.get(f"/runs/{run_id}?nodeIds=get")).json()["data"]
    assert one["executionState"].keys() == {"get"}
    brief = (await rest.get(f"/runs/{run_id}?view=tool&summary=true")).json()
    assert tool_view.keys() - brief.keys() == {"tool", "stepResults", "data"}
    refused = message_of(await rest.get(f"/runs/{run_id}?view=tool&nodeIds=get"), 400)
    assert "nodeIds belongs to view=workflow" in refused
    assert "workflow" in message_of(await rest.get(f"/runs/{run_id}?view=graph"), 400)


async def test_a_404_has_the_envelope_only_where_that_view_was_asked_for(
    rest: httpx.AsyncClient,
) -> None:
    assert "not found" in message_of(await rest.get("/runs/nothing"), 404)
    answer = await rest.get("/runs/nothing?summary=true")
    assert answer.status_code == 404
    assert answer.json()["code"] == 404
    assert "not found" in answer.json()["message"]
    assert answer.json().keys() == {"code", "message", "requestId"}


async def test_results_and_steps_are_read_apart(
    service: Service, web: Web, rest: httpx.AsyncClient
) -> None:
    run_id = await recorded(service, web)
    whole = (await rest.get(f"/runs/{run_id}")).json()
    results = (await rest.get(f"/runs/{run_id}/results")).json()
    assert results["success"]
    assert results["data"]["data"] == whole["data"]
    assert results["data"]["stepResults"] == whole["stepResults"]
    assert results["data"]["toolPayload"] == {"q": 1}
    assert (await rest.get(f"/runs/{run_id}/steps/get")).json() == whole["stepResults"][0]
    assert "get, then" in message_of(await rest.get(f"/runs/{run_id}/steps/x"), 404)
    message_of(await rest.get("/runs/nothing/results"), 404)


async def test_a_running_run_says_that_it_has_no_results_yet(
    service: Service, rest: httpx.AsyncClient
) -> None:
    async with silent_upstream() as upstream:
        await store(service, request_tool("wait", upstream.url))
        run = await start(service, "wait")
        await until(lambda: upstream.requests == 1, "the request is sent")
        answer = (await rest.get(f"/runs/{run.run_id}/results")).json()
        assert answer.keys() == {"success", "message"}
        assert not answer["success"]
        running = (await rest.get(f"/runs/{run.run_id}")).json()
        assert running["status"] == "running"
        assert not nulls_in(running)


async def test_a_file_is_listed_located_and_downloaded(
    service: Service, web: Web, rest: httpx.AsyncClient
) -> None:
    content = b"\x89PNG\r\n\x1a\n" + bytes(range(256))
    web.answers(Answer(content, headers={"content-type": "image/png"}))
    await store(service, request_tool("picture", f"{web.url}/cat.png"))
    run = await start(service, "picture")
    await run.wait()
    (file,) = (await rest.get(f"/runs/{run.run_id}/files")).json()["fileArtifacts"]
    place = f"/runs/{run.run_id}/files/{file['fileKey']}"
    located = (await rest.get(f"{place}/download")).json()
    assert located == {"success": True, **file}
    bytes_of = await rest.get(located["downloadUrl"])
    assert bytes_of.content == content
    assert bytes_of.headers["content-type"] == "image/png"
    assert bytes_of.headers["content-disposition"].startswith("attachment")
    message_of(await rest.get(f"/runs/{run.run_id}/files/x/download"), 404)
    message_of(await rest.get(f"/runs/{run.run_id}/files/x"), 404)


async def test_a_run_is_made_again(service: Service, web: Web, rest: httpx.AsyncClient) -> None:
    web.answers(Answer({"n": 1}))
    await store(service, request_tool("ask", f"{web.url}/<<id>>"))
    run = await start(service, "ask", {"id": 1})
    await run.wait()
    again = await rest.post(f"/runs/{run.run_id}/rerun", json={"inputs": {"id": 2}})
    assert again.status_code == 200, again.text
    assert again.json()["sourceRunId"] == run.run_id
    assert web.seen[-1].path == "/2"
    message_of(await rest.post("/runs/nothing/rerun"), 404)


async def test_the_options_of_a_rerun_are_put_over_the_recorded_ones(
    service: Service, web: Web, rest: httpx.AsyncClient
) -> None:
    web.responds(lambda seen: Answer({"n": 1}))
    await store(service, request_tool("ask", web.url), script_tool("next", "(s) => s"))
    first = await start(service, "ask", options={"timeout_ms": 5000, "retries": 2})
    await first.wait()

    async def again(**options: Any) -> dict[str, Any]:
        answer = await rest.post(f"/runs/{first.run_id}/rerun", json={"options": options})
        assert answer.status_code == 200, answer.text
        return answer.json()

    dry = await again(execution="dry", timeout=70, traceId="mine")
    assert len(web.seen) == 1
    assert dry["options"] == {
        "timeoutMs": 70,
        "retries": 2,
        "execution": "dry",
        "traceId": "mine",
    }
    told = await again(
        mode="dev", webhookUrl="tool:next", clientInfo={"name": "page"}, requestSource="frontend"
    )
    assert (told["executionMode"], told["clientInfo"]["name"]) == ("dev", "page")
    assert (told["requestSource"], told["options"]["retries"]) == ("frontend", 2)

    async def is_told() -> bool:
        return (await service.list_runs(RunFilter(tool_id="next"), limit=1)).total == 1

    await until_async(is_told, "the webhook of the rerun starts its tool")


async def test_a_rerun_with_two_modes_that_differ_is_refused(
    service: Service, rest: httpx.AsyncClient
) -> None:
    await store(service, script_tool("t", "1"))
    run = await start(service, "t")
    await run.wait()
    for mode in ("live", "replay"):
        body = {"mode": mode, "options": {"execution": "dry"}}
        refused = await rest.post(f"/runs/{run.run_id}/rerun", json=body)
        assert "options.execution is dry" in message_of(refused, 400)


async def test_a_failed_run_made_again_with_other_options_is_no_retry(
    service: Service, rest: httpx.AsyncClient
) -> None:
    await store(service, script_tool("fails", "() => { throw new Error('no') }"))
    run = await start(service, "fails", options={"retries": 1})
    await run.wait()
    kinds = [
        (await rest.post(f"/runs/{run.run_id}/rerun", json={"options": options})).json()
        for options in ({}, {"retries": 1, "traceId": "mine"}, {"retries": 2})
    ]
    assert [one["sourceKind"] for one in kinds] == ["retry", "retry", "rerun"]


async def test_a_large_result_is_answered_whole_when_it_is_made_and_when_it_is_read(
    service: Service, web: Web, rest: httpx.AsyncClient
) -> None:
    rows = [{"id": number, "text": "x" * 40} for number in range(120_000)]
    web.responds(lambda seen: Answer(rows))
    await store(service, request_tool("rows", web.url))
    made = await rest.post("/tools/rows/run", json={"inputs": {}})
    assert made.headers["content-type"] == "application/json"
    run_id = made.json()["runId"]
    results = (await rest.get(f"/runs/{run_id}/results")).json()["data"]
    assert results["data"] == rows
    assert results["stepResults"][0]["data"]["data"] == rows
    step = (await rest.get(f"/runs/{run_id}/steps/get")).json()
    assert step["data"]["data"] == rows
