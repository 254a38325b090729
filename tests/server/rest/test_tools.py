"""`/v1/tools`: storing, changing, restoring and running tools."""

from typing import Any

import anyio
import httpx
import pytest

from server.service import Service
from tests.server.helpers import request_tool, script_tool, silent_upstream, store, until
from tests.server.rest.helpers import message_of
from tests.web import Answer, Web

GREETING = script_tool("greet", "(s) => ({hello: s.name})", instruction="Greets.")


async def run(rest: httpx.AsyncClient, tool_id: str, **body: Any) -> httpx.Response:
    return await rest.post(f"/tools/{tool_id}/run", json=body)


async def test_a_tool_is_stored_read_changed_renamed_and_removed(rest: httpx.AsyncClient) -> None:
    added = await rest.post("/tools", json=GREETING)
    assert added.status_code == 201
    assert added.json()["version"] == "1.0.0"
    assert added.json()["steps"] == []
    assert (await rest.get("/tools/greet")).json() == added.json()
    changed = await rest.put("/tools/greet", json={"name": "Greeter", "instruction": None})
    assert changed.json()["name"] == "Greeter"
    assert changed.json()["outputTransform"] == GREETING["outputTransform"]
    assert "instruction" not in changed.json()
    assert changed.json()["version"] == "1.0.1"
    renamed = await rest.post("/tools/greet/rename", json={"newId": "welcome"})
    assert renamed.json()["id"] == "welcome"
    assert "not found" in message_of(await rest.get("/tools/greet"), 404)
    assert (await rest.delete("/tools/welcome")).json() == {"success": True}
    assert "not found" in message_of(await rest.delete("/tools/welcome"), 404)


async def test_a_refused_tool_is_answered_with_every_problem(rest: httpx.AsyncClient) -> None:
    bad = {"id": "bad", "steps": [{"id": "a", "config": {"url": "", "method": "FETCH"}}]}
    answer = await rest.post("/tools", json=bad)
    message_of(answer, 400)
    paths = {problem["path"] for problem in answer.json()["error"]["details"]}
    assert {"steps[0].config.url", "steps[0].config.method"} <= paths
    assert message_of(await rest.put("/tools/bad", json={}), 404)


async def test_an_id_that_is_taken_is_a_conflict(rest: httpx.AsyncClient) -> None:
    await rest.post("/tools", json=GREETING)
    await rest.post("/tools", json={**GREETING, "id": "other"})
    assert "stored already" in message_of(await rest.post("/tools", json=GREETING), 409)
    taken = await rest.post("/tools/greet/rename", json={"newId": "other"})
    assert "stored already" in message_of(taken, 409)
    message_of(await rest.put("/tools/greet", json={"id": "another"}), 400)
    message_of(await rest.post("/tools/greet/rename", json={"newId": "not an id"}), 400)


async def test_tools_are_listed_in_pages_and_archived_ones_when_asked_for(
    rest: httpx.AsyncClient,
) -> None:
    for name in ("a", "b", "c"):
        await rest.post("/tools", json={**GREETING, "id": name, "archived": name == "b"})
    listed = (await rest.get("/tools", params={"limit": 1})).json()
    assert [tool["id"] for tool in listed["data"]] == ["a"]
    assert (listed["total"], listed["hasMore"], listed["limit"]) == (2, True, 1)
    second = (await rest.get("/tools", params={"limit": 1, "page": 2})).json()
    assert [tool["id"] for tool in second["data"]] == ["c"]
    everything = (await rest.get("/tools?includeArchived=true&limit=99999")).json()
    assert (everything["total"], everything["limit"]) == (3, 1000)
    message_of(await run(rest, "b"), 400)


async def test_an_earlier_version_is_restored_and_a_removed_tool_comes_back(
    rest: httpx.AsyncClient,
) -> None:
    await rest.post("/tools", json=GREETING)
    await rest.put("/tools/greet", json={"outputTransform": "(s) => 2"})
    versions = (await rest.get("/tools/greet/versions")).json()["data"]
    assert [version["versionNumber"] for version in versions] == [2, 1]
    await rest.delete("/tools/greet")
    restored = await rest.post("/tools/greet/versions/1/restore")
    assert restored.json()["outputTransform"] == GREETING["outputTransform"]
    assert "there are 1 to 3" in message_of(await rest.post("/tools/greet/versions/9/restore"), 404)
    message_of(await rest.get("/tools/nothing/versions"), 404)


async def test_concurrent_changes_of_a_tool_all_arrive(rest: httpx.AsyncClient) -> None:
    await rest.post("/tools", json=GREETING)
    fields = ("name", "instruction", "folder")
    async with anyio.create_task_group() as group:
        for field in fields:
            group.start_soon(lambda name: rest.put("/tools/greet", json={name: "x"}), field)
    tool = (await rest.get("/tools/greet")).json()
    assert [tool[field] for field in fields] == ["x", "x", "x"]


async def test_a_run_is_answered_with_its_record(rest: httpx.AsyncClient, web: Web) -> None:
    web.answers(Answer({"n": 12345678901234567890}))
    await rest.post("/tools", json=request_tool("ask", f"{web.url}/<<id>>"))
    answer = await run(
        rest,
        "ask",
        runId="my-run",
        inputs={"id": 12345678901234567890},
        options={"traceId": "t-1", "requestSource": "frontend"},
        somethingElse=1,
    )
    assert answer.status_code == 200
    view = answer.json()
    assert view["runId"] == "my-run"
    assert view["status"] == "success"
    assert view["toolPayload"] == {"id": 12345678901234567890}
    assert view["requestSource"] == "frontend"
    assert view["traceId"] == answer.headers["x-trace-id"] == "t-1"
    assert web.seen[0].path == "/12345678901234567890"
    assert b"12345678901234567890" in answer.content
    assert (await rest.get("/runs/my-run")).json() == view
    assert "recorded already" in message_of(await run(rest, "ask", runId="my-run"), 409)


async def test_callers_cannot_declare_a_source_that_is_ours(
    service: Service, rest: httpx.AsyncClient
) -> None:
    await store(service, GREETING)
    seen = {
        source: (await run(rest, "greet", options={"requestSource": source})).json()[
            "requestSource"
        ]
        for source in ("frontend", "mcp", "cli", "webhook", "scheduler", "tool-chain", "python")
    }
    assert seen == {
        **dict.fromkeys(seen, "api"),
        "frontend": "frontend",
        "mcp": "mcp",
        "cli": "cli",
    }


async def test_a_trace_id_comes_from_the_header_else_is_made(
    service: Service, rest: httpx.AsyncClient
) -> None:
    await store(service, GREETING)
    given = await rest.post("/tools/greet/run", json={}, headers={"x-trace-id": "abc"})
    assert given.headers["x-trace-id"] == given.json()["traceId"] == "abc"
    made = await rest.post("/tools/greet/run", json={})
    assert made.headers["x-trace-id"] == made.json()["traceId"] != ""
    assert made.json()["options"] == {}


async def test_a_failed_run_is_a_200_and_inputs_that_are_no_object_a_400(
    service: Service, rest: httpx.AsyncClient
) -> None:
    schema = {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}}}
    await store(service, {**GREETING, "inputSchema": schema})
    answer = await run(rest, "greet", inputs={"name": 5})
    assert (answer.status_code, answer.json()["status"]) == (200, "failed")
    assert answer.json()["errorDetail"]["kind"] == "invalid_input"
    wrong_inputs: list[Any] = [[], "text", 5, True]
    for wrong in wrong_inputs:
        assert "body.inputs" in message_of(await run(rest, "greet", inputs=wrong), 400)
    assert "body.options.timeout" in message_of(
        await run(rest, "greet", options={"timeout": -1}), 400
    )
    message_of(await run(rest, "nothing"), 404)


async def test_credentials_that_are_refused_are_not_repeated(
    service: Service, rest: httpx.AsyncClient
) -> None:
    await store(service, GREETING)
    answer = await run(rest, "greet", credentials={"token": {"nested": "s3cret-value"}})
    assert "s3cret-value" not in message_of(answer, 400)
    assert "s3cret-value" not in answer.text


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"options": {"executon": "dry"}}, "did you mean execution?"),
        ({"options": {"dryRun": True}}, 'did you mean execution "dry"?'),
        ({"options": {"nonsense": 1}}, "valid: async, timeout"),
        ({"mode": "dev"}, 'write {"options": {"mode": …}}'),
        ({"execution": "dry"}, 'write {"options": {"execution": …}}'),
        ({"dryRun": True}, 'did you mean execution "dry" in options?'),
        ({"time_out": 5}, "did you mean timeout in options?"),
        ({"input": {}}, "did you mean inputs?"),
    ],
)
async def test_a_slip_in_a_wish_to_run_is_refused_and_nothing_runs(
    body: dict[str, Any], words: str, rest: httpx.AsyncClient, service: Service
) -> None:
    await store(service, script_tool("t", "1"))
    refused = message_of(await run(rest, "t", **body), 400)
    assert words in refused
    unsaved = await rest.post("/tools/run", json={"tool": script_tool("t", "1"), **body})
    message_of(unsaved, 400)
    assert (await rest.get("/runs")).json()["total"] == 0


async def test_what_published_clients_send_beside_is_passed_over(
    rest: httpx.AsyncClient, service: Service
) -> None:
    await store(service, script_tool("t", "1"))
    theirs: dict[str, Any] = {"files": {}, "includeStepResultData": True, "anything": 1}
    answer = await run(rest, "t", **theirs, options={"pinnedCredentials": {"crm": "c-1"}})
    assert answer.json()["data"] == 1


async def test_the_same_idempotency_key_is_the_same_run(
    service: Service, rest: httpx.AsyncClient
) -> None:
    await store(service, GREETING)

    async def post(name: str) -> httpx.Response:
        return await rest.post(
            "/tools/greet/run", json={"inputs": {"name": name}}, headers={"idempotency-key": "k"}
        )

    first, again = await post("A"), await post("A")
    assert again.json() == first.json()
    assert "other inputs" in message_of(await post("B"), 409)


async def test_a_key_is_of_the_very_call(service: Service, rest: httpx.AsyncClient) -> None:
    await store(service, GREETING)

    async def post(path: str = "/tools/greet/run", **body: Any) -> httpx.Response:
        body.setdefault("inputs", {"name": "A"})
        return await rest.post(path, json=body, headers={"idempotency-key": "k"})

    dry = await post(options={"execution": "dry"})
    assert dry.status_code == 200
    assert "options.execution dry, where this call has live" in message_of(await post(), 409)
    again = await post(options={"execution": "dry", "timeout": 5000})
    assert again.json()["runId"] == dry.json()["runId"]
    refused = await rest.post(
        f"/runs/{dry.json()['runId']}/rerun", json={}, headers={"idempotency-key": "k"}
    )
    assert "a rerun takes none" in message_of(refused, 400)
    unsaved = script_tool("t", "1")
    first = await post("/tools/run", tool=unsaved, inputs={"x": 1})
    second = await post("/tools/run", tool=unsaved, inputs={"x": 1})
    assert first.json()["runId"] == second.json()["runId"]
    other = await post("/tools/run", tool=unsaved, inputs={"x": True})
    assert "other inputs" in message_of(other, 409)
    other = await post("/tools/run", tool=script_tool("t", "2"), inputs={"x": 1})
    assert "another definition" in message_of(other, 409)
    same_number = await post("/tools/run", tool=unsaved, inputs={"x": 1.0})
    assert same_number.json()["runId"] == first.json()["runId"]
    await store(service, script_tool("t", "3"))
    other = await post("/tools/t/run", inputs={"x": 1})
    assert "another definition" in message_of(other, 409)
    nameless = {name: value for name, value in unsaved.items() if name != "id"}
    assert "give tool.id" in message_of(await post("/tools/run", tool=nameless), 400)


async def test_an_async_run_is_accepted_and_goes_on(
    service: Service, rest: httpx.AsyncClient
) -> None:
    async with silent_upstream() as upstream:
        await store(service, request_tool("wait", upstream.url))
        answer = await run(rest, "wait", options={"async": True})
        assert (answer.status_code, answer.json()["status"]) == (202, "running")
        run_id = answer.json()["runId"]
        await until(lambda: upstream.requests == 1, "the request is sent")
        cancelled = await rest.post(f"/runs/{run_id}/cancel")
        assert cancelled.json()["status"] == "aborted"
        assert "has ended" in message_of(await rest.post(f"/runs/{run_id}/cancel"), 400)
    message_of(await rest.post("/runs/nothing/cancel"), 404)


async def test_a_tool_that_is_not_stored_is_run_and_recorded(rest: httpx.AsyncClient) -> None:
    answer = await rest.post("/tools/run", json={"tool": GREETING, "inputs": {"name": "A"}})
    assert answer.json()["data"] == {"hello": "A"}
    recorded = (await rest.get(f"/runs/{answer.json()['runId']}")).json()
    assert recorded["tool"]["outputTransform"] == GREETING["outputTransform"]
    assert "toolVersionNumber" not in recorded
    message_of(await rest.get("/tools/greet"), 404)
    message_of(await rest.post("/tools/run", json={"tool": {"id": "x"}}), 400)


async def test_a_client_that_goes_away_does_not_end_its_run(
    service: Service, rest: httpx.AsyncClient, web: Web
) -> None:
    release = anyio.Event()
    web.answers(Answer({"ok": True}, release=release))
    await store(service, request_tool("slow", web.url))
    arrived = web.arrived
    async with anyio.create_task_group() as group:
        group.start_soon(lambda: run(rest, "slow", runId="left"))
        await arrived.wait()
        group.cancel_scope.cancel()
    release.set()
    await service.wait_for_run("left", 15)
    assert (await rest.get("/runs/left")).json()["status"] == "success"


async def test_versions_are_compared(rest: httpx.AsyncClient, service: Service) -> None:
    await store(service, script_tool("t", "1"))
    await store(service, script_tool("t", "2", instruction="Says two."))
    found = (await rest.get("/tools/t/versions/1/compare/2")).json()
    assert (found["a"], found["b"], found["total"]) == (1, 2, 2)
    assert {change["path"]: change["change"] for change in found["changes"]} == {
        "$.instruction": "added",
        "$.outputTransform": "changed",
    }
    assert (await rest.get("/tools/t/versions/1/compare/1")).json()["total"] == 0
    missing = await rest.get("/tools/t/versions/1/compare/9")
    assert "version 9 of tool t not found; it has: 1, 2" in message_of(missing, 404)
    assert (await rest.get("/tools/nobody/versions/1/compare/2")).status_code == 404
