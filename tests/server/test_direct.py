"""What is answered without the SDK is what the SDK would have answered."""

import random
from typing import Any

import anyio
import pytest
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS, MODERN_PROTOCOL_VERSIONS

from server.mcp_surface.cursors import encode_cursor
from server.mcp_surface.greeting import HANDSHAKE_VERSIONS, MODERN_VERSION
from server.mcp_surface.selection import Selection
from server.service import Service
from tests.server.direct_connection import connected, envelope, hello
from tests.server.helpers import WAIT_SECONDS, request_tool, script_tool, start, store, until
from tests.web import Answer, Web

ERAS = pytest.mark.parametrize("version", ["2025-06-18", "2025-11-25", MODERN_VERSION])


async def both(
    service: Service,
    version: str,
    *requests: tuple[str, Any],
    selection: Selection | None = None,
    is_all_direct: bool = True,
) -> None:
    """Ask on a direct connection and on one of the SDK alone; the answers are the same."""
    answers: list[list[Any]] = []
    for direct in (True, False):
        async with connected(service, version, direct=direct, selection=selection) as connection:
            await connection.open()
            answers.append(
                [
                    await connection.ask(method, connection.with_envelope(params), number)
                    for number, (method, params) in enumerate(requests)
                ]
            )
            assert connection.sdk.has_started is not (direct and is_all_direct)
    assert answers[0] == answers[1]


def completes(name: str, value: Any, **params: Any) -> tuple[str, Any]:
    reference = {"type": "ref/resource", "uri": "callslip://runs/{runId}"}
    argument = {"name": name, "value": value}
    return "completion/complete", {"ref": reference, "argument": argument, **params}


def test_the_versions_are_those_of_the_sdk() -> None:
    assert tuple(HANDSHAKE_PROTOCOL_VERSIONS) == HANDSHAKE_VERSIONS
    assert list(MODERN_PROTOCOL_VERSIONS) == [MODERN_VERSION]


@ERAS
async def test_frequent_requests_are_answered_as_by_the_sdk_and_without_it(
    version: str, service: Service, web: Web
) -> None:
    web.answers(Answer({"name": "Ann", "n": 12345678901234567890}))
    await store(
        service,
        request_tool("people", f"{web.url}/people/<<id>>"),
        script_tool("fails", "() => { throw new Error('no') }"),
        script_tool("three", "3", outputSchema={"type": "integer"}),
    )
    opening = "ping" if version != MODERN_VERSION else "server/discover"
    await both(
        service,
        version,
        (opening, {}),
        ("tools/call", {"name": "people", "arguments": {"id": "7"}}),
        ("tools/call", {"name": "people", "arguments": {}}),
        ("tools/call", {"name": "three"}),
        ("tools/call", {"name": "fails", "arguments": {}}),
        ("tools/call", {"name": "run_tool", "arguments": {"toolId": "three"}}),
        ("tools/call", {"name": "run_tool", "arguments": {"toolId": "nowhere"}}),
        ("tools/call", {"name": "search_tools", "arguments": {"query": "people"}}),
        ("tools/call", {"name": "get_run", "arguments": {"runId": "nowhere"}}),
        ("tools/call", {"name": "get_run", "arguments": {"run": 1}}),
        ("tools/call", {"name": "three", "_meta": {"callslip/options": {"timeoutMs": "x"}}}),
        ("tools/call", {"name": "three", "_meta": {"progressToken": "p"}}),
        ("tools/call", {"name": "three", "_meta": {"callslip/idempotencyKey": 5}}),
        ("tools/call", {"name": "three", "_meta": {"callslip/idempotencyKey": ""}}),
        ("tools/call", {"name": "three", "_meta": {"callslip/runId": None}}),
    )


@ERAS
@pytest.mark.parametrize("authoring", [False, True])
async def test_the_history_is_listed_and_read_as_by_the_sdk_and_without_it(
    version: str, authoring: bool, service: Service
) -> None:
    await store(service, script_tool("three", "3"))
    for number in range(60):
        run = await start(service, "three", run_id=f"run-{number}")
        await run.wait()
    await service.history.pin("run-3", pinned=True)
    await both(
        service,
        version,
        ("resources/list", {}),
        ("resources/list", {"cursor": encode_cursor("11")}),
        ("resources/templates/list", {}),
        ("prompts/list", {}),
        ("resources/read", {"uri": "callslip://runs"}),
        ("resources/read", {"uri": "callslip://runs?limit=2&status=success"}),
        ("resources/read", {"uri": "callslip://runs/run-3"}),
        ("resources/read", {"uri": "callslip://runs/run-3?view=workflow"}),
        ("resources/read", {"uri": "callslip://runs/run-3/results"}),
        ("resources/read", {"uri": "callslip://tool-format"}),
        ("prompts/get", {"name": "diagnose_run"}),
        ("prompts/get", {"name": "diagnose_run", "arguments": {"runId": "run-3"}}),
        *((("prompts/get", {"name": "create_tool", "arguments": {"task": "t"}}),) * authoring),
        completes("runId", "run-5"),
        completes("status", "", context={"arguments": {"runId": "run-3"}}),
        completes("stepId", "s", context={"arguments": {"runId": "run-3"}}),
        completes("stepId", "s", context={}),
        completes("nobody", ""),
        selection=Selection(authoring=authoring),
    )


@ERAS
async def test_what_cannot_be_listed_or_read_is_refused_by_the_sdk(
    version: str, service: Service
) -> None:
    await both(
        service,
        version,
        ("resources/read", {"uri": "callslip://runs/nowhere"}),
        ("resources/read", {"uri": "callslip://runs?limit=many"}),
        ("resources/read", {"uri": "https://elsewhere.test/"}),
        ("resources/read", {"uri": "no uri at all"}),
        ("resources/read", {"uri": "CALLSLIP://runs"}),
        ("resources/read", {"uri": "callslip://runs/%20 x?y=\u00fc#z"}),
        ("resources/read", {"uri": 5}),
        ("resources/read", {}),
        ("resources/list", {"cursor": "no cursor"}),
        ("resources/list", {"cursor": encode_cursor("-1")}),
        ("resources/list", {"cursor": None}),
        ("tools/list", {"cursor": "no cursor"}),
        ("prompts/get", {"name": "nobody"}),
        ("prompts/get", {"name": "create_tool"}),
        ("prompts/get", {"name": "diagnose_run", "arguments": {"runId": 5}}),
        ("prompts/get", {"name": "diagnose_run", "arguments": None}),
        ("prompts/get", {}),
        completes("status", 5),
        completes("status", "", ref={"type": "ref/prompt", "name": "diagnose_run"}),
        completes("status", "", ref={"type": "ref/nothing", "uri": "x"}),
        completes("status", "", ref=None),
        completes("status", "", context={"arguments": {"runId": 5}}),
        completes("status", "", context=None),
        ("completion/complete", {"ref": {"type": "ref/resource", "uri": "x"}}),
        is_all_direct=False,
    )


@ERAS
async def test_tools_are_listed_as_by_the_sdk_in_all_their_pages(
    version: str, service: Service
) -> None:
    await store(service, *(script_tool(f"t{number:03}", "1") for number in range(150)))
    pages: list[list[Any]] = []
    for direct in (True, False):
        async with connected(service, version, direct=direct) as connection:
            await connection.open()
            params: dict[str, Any] = {}
            pages.append([])
            while True:
                answer = await connection.ask("tools/list", connection.with_envelope(params))
                pages[-1].append(answer["result"])
                if "nextCursor" not in answer["result"]:
                    break
                params = {"cursor": answer["result"]["nextCursor"]}
    assert len(pages[0]) == 2
    for page in (*pages[0], *pages[1]):
        for tool in page["tools"]:
            # The SDK takes what is newer than a version out of schemas, which nobody needs.
            for schema in (tool["inputSchema"], tool.get("outputSchema", {})):
                for name in schema.keys() - {"type", "properties", "required"}:
                    del schema[name]
    assert pages[0] == pages[1]


async def test_a_kept_list_is_dropped_when_tools_change(service: Service) -> None:
    await store(service, script_tool("first", "1"))
    async with connected(service, "2025-06-18", direct=True) as connection:
        await connection.open()
        before = (await connection.ask("tools/list"))["result"]["tools"]
        await store(service, script_tool("second", "1"))
        after = (await connection.ask("tools/list"))["result"]["tools"]
    assert {tool["name"] for tool in after} - {tool["name"] for tool in before} == {"second"}


OPENINGS: dict[str, tuple[str, Any]] = {
    **{f"handshake of {one}": ("initialize", hello(one)) for one in HANDSHAKE_VERSIONS},
    "a version nobody knows": ("initialize", hello("2099-01-01")),
    "no version": ("initialize", {"capabilities": {}, "clientInfo": {"name": "a", "version": "1"}}),
    "a version that is a number": ("initialize", hello("x") | {"protocolVersion": 5}),
    "no client": ("initialize", {"protocolVersion": "2025-06-18", "capabilities": {}}),
    "a client without a version": ("initialize", hello("2025-06-18", clientInfo={"name": "a"})),
    "capabilities that are none": ("initialize", hello("2025-06-18", capabilities=[])),
    "a capability that is none": ("initialize", hello("2025-06-18", capabilities={"roots": 5})),
    "no parameters": ("initialize", None),
    "a call before the handshake": ("tools/call", {"name": "three"}),
    "a list before the handshake": ("tools/list", {}),
    "a ping before the handshake": ("ping", None),
    "discovery": ("server/discover", {"_meta": envelope()}),
    "a call with an envelope": ("tools/call", {"name": "three", "_meta": envelope()}),
    "half an envelope": (
        "tools/call",
        {"name": "three", "_meta": {"io.modelcontextprotocol/protocolVersion": MODERN_VERSION}},
    ),
    "an envelope of a version nobody knows": (
        "tools/call",
        {
            "name": "three",
            "_meta": envelope() | {"io.modelcontextprotocol/protocolVersion": "2099-01-01"},
        },
    ),
}


@pytest.mark.parametrize(("method", "params"), OPENINGS.values(), ids=OPENINGS)
async def test_however_a_connection_is_opened_it_goes_on_as_with_the_sdk(
    method: str, params: Any, service: Service
) -> None:
    await store(service, script_tool("three", "3"))
    answers: list[list[Any]] = []
    for direct in (True, False):
        async with connected(service, "", direct=direct) as connection:
            answers.append(
                [
                    await connection.ask(method, params),
                    await connection.ask("tools/call", {"name": "three"}, 2),
                    await connection.ask("tools/call", {"name": "three", "_meta": envelope()}, 3),
                    await connection.ask("initialize", hello("2025-11-25"), 4),
                    await connection.ask("prompts/list", {}, "five"),
                    await connection.ask("prompts/list", {"_meta": envelope()}, "six"),
                    await connection.ask("tools/call", {"name": "three"}, 7),
                ]
            )
    assert answers[0] == answers[1]


def _strange(chance: random.Random) -> tuple[str, Any]:
    """A request that is nearly a plain one."""
    values: list[Any] = [None, 0, 1.5, True, "x", "three", [], {}, {"name": "three"}, "", -(10**30)]
    params: dict[str, Any] = {"name": "three", "arguments": {}}
    meta: dict[str, Any] = {}
    for _ in range(chance.randint(1, 3)):
        target = chance.choice([params, params, meta])
        name = chance.choice(
            ["name", "arguments", "cursor", "uri", "ref", "context", "_meta", "inputResponses"]
            if target is params
            else ["progressToken", "callslip/options", "traceparent", "other"]
        )
        target[name] = chance.choice(values)
    if isinstance(params.get("_meta", {}), dict):
        params["_meta"] = {**params.get("_meta", {}), **meta}
    methods = ["tools/call", "tools/call", "tools/list", "prompts/list", "ping", "nowhere"]
    methods += ["resources/templates/list", "resources/read", "prompts/get"]
    method = chance.choice([*methods, "completion/complete"])
    if method == "completion/complete":
        params = {**completes("status", "s")[1], **params}
        if chance.random() < 0.5:
            del params["name"], params["arguments"]
    return method, params


@ERAS
async def test_a_strange_request_is_answered_as_by_the_sdk(version: str, service: Service) -> None:
    await store(service, script_tool("three", "3"))
    chance = random.Random(version)
    requests = [_strange(chance) for _ in range(150)]
    async with (
        connected(service, version, direct=True) as ours,
        connected(service, version, direct=False) as theirs,
    ):
        await ours.open()
        await theirs.open()
        for number, (method, params) in enumerate(requests):
            if isinstance(params.get("_meta"), dict):
                params = ours.with_envelope(params)
            answers = [await one.ask(method, params, number) for one in (ours, theirs)]
            if method == "tools/list" and "result" in answers[0]:
                # Schemas are compared elsewhere.
                for answer in answers:
                    for tool in answer["result"]["tools"]:
                        tool.pop("inputSchema")
                        tool.pop("outputSchema", None)
            assert answers[0] == answers[1], (method, params)


@ERAS
@pytest.mark.parametrize("as_text", [False, True])
async def test_a_cancelled_call_ends_its_run_and_is_never_answered(
    version: str, as_text: bool, service: Service, web: Web
) -> None:
    release = anyio.Event()
    web.answers(Answer("late", release=release))
    await store(service, request_tool("slow", web.url))
    async with connected(service, version, direct=True) as connection:
        await connection.open()
        params = connection.with_envelope({"name": "slow", "_meta": {"callslip/runId": "mine"}})
        call = {"jsonrpc": "2.0", "id": 77, "method": "tools/call", "params": params}
        await connection.send(call)
        await web.arrived.wait()
        cancelled = {"requestId": "77" if as_text else 77}
        method = "notifications/cancelled"
        await connection.send({"jsonrpc": "2.0", "method": method, "params": cancelled})
        with anyio.fail_after(WAIT_SECONDS):
            await service.wait_for_run("mine", WAIT_SECONDS)
        assert (await service.get_run("mine")).status == "aborted"
        release.set()
        await connection.ask("tools/list", connection.with_envelope({}), 78)
        assert 77 not in [one.get("id") for one in connection.written]


@ERAS
async def test_a_call_and_its_cancellation_may_arrive_together(
    version: str, service: Service
) -> None:
    await store(service, script_tool("three", "3"))
    async with connected(service, version, direct=True) as connection:
        await connection.open()
        params = connection.with_envelope({"name": "three"})
        await connection.send({"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params})
        await connection.send(_cancellation_of(7))
        await connection.ask("tools/call", params, 8)
        assert 7 not in [one.get("id") for one in connection.written]
        assert not connection.sdk.has_started


async def test_a_cancellation_that_comes_too_late_is_no_matter_of_the_sdk(
    service: Service,
) -> None:
    await store(service, script_tool("three", "3"))
    async with connected(service, "2025-06-18", direct=True) as connection:
        await connection.send(_cancellation_of(1))
        await connection.open()
        await connection.ask("tools/call", {"name": "three"}, 7)
        await connection.send(_cancellation_of(7))
        await connection.ask("tools/call", {"name": "three"}, 8)
        assert not connection.sdk.has_started


def _cancellation_of(request_id: Any) -> dict[str, Any]:
    params = {"requestId": request_id}
    return {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params}


async def test_an_answer_that_waits_for_room_is_not_followed_by_another(service: Service) -> None:
    await store(service, script_tool("three", "3"))
    async with connected(service, "2025-06-18", direct=True) as connection:
        await connection.open()
        connection.has_room = anyio.Event()
        await connection.ask("tools/call", {"name": "three"}, 5)
    assert [one.get("id") for one in connection.written].count(5) == 1


async def test_of_two_calls_the_one_with_the_very_id_is_cancelled(
    service: Service, web: Web
) -> None:
    release = anyio.Event()
    web.answers(Answer("late", release=release))
    await store(service, request_tool("slow", web.url))
    async with connected(service, "2025-06-18", direct=True) as connection:
        await connection.open()
        for request_id, run_id in ((1, "number"), ("1", "text")):
            params = {"name": "slow", "_meta": {"callslip/runId": run_id}}
            call = {"jsonrpc": "2.0", "id": request_id, "method": "tools/call", "params": params}
            await connection.send(call)
        await until(lambda: len(web.seen) == 2, "both are on their way")
        method = "notifications/cancelled"
        await connection.send({"jsonrpc": "2.0", "method": method, "params": {"requestId": 1}})
        with anyio.fail_after(WAIT_SECONDS):
            await service.wait_for_run("number", WAIT_SECONDS)
        assert await service.run_status("number") == "aborted"
        assert await service.run_status("text") == "running"
        release.set()


async def test_a_client_without_handshake_is_not_told_of_changes_unasked(service: Service) -> None:
    async with connected(service, MODERN_VERSION, direct=True) as connection:
        await connection.ask("tools/list", connection.with_envelope({}))
        await store(service, script_tool("later", "1"))
        await connection.ask("tools/list", connection.with_envelope({}), 2)
        assert not connection.sdk.has_started


async def test_a_call_under_way_when_the_server_ends_is_told_so(service: Service, web: Web) -> None:
    release = anyio.Event()
    web.answers(Answer("late", release=release))
    await store(service, request_tool("slow", web.url))
    async with connected(service, "2025-06-18", direct=True) as connection:
        await connection.open()
        call = {"jsonrpc": "2.0", "id": 5, "method": "tools/call", "params": {"name": "slow"}}
        await connection.send(call)
        await web.arrived.wait()
    release.set()
    assert connection.written[-1]["id"] == 5
    assert connection.written[-1]["error"]["code"] == -32000


async def test_a_change_is_announced_to_a_client_that_never_needed_the_sdk(
    service: Service,
) -> None:
    async with connected(service, "2025-06-18", direct=True) as connection:
        await connection.open()
        await connection.ask("tools/list")
        assert not connection.sdk.has_started
        await store(service, script_tool("later", "1"))
        await until(
            lambda: "notifications/tools/list_changed" in map(_method_of, connection.written),
            "the change is announced",
        )


async def test_runs_are_announced_to_a_client_that_never_needed_the_sdk(service: Service) -> None:
    await store(service, script_tool("three", "3"))
    async with connected(service, "2025-06-18", direct=True) as connection:
        await connection.open()
        for _ in range(3):
            await (await start(service, "three")).wait()
        changed = "notifications/resources/list_changed"
        await until(
            lambda: changed in map(_method_of, connection.written), "the runs are announced"
        )
        assert list(map(_method_of, connection.written)).count(changed) == 1
        assert not connection.sdk.has_started


@pytest.mark.parametrize("levels", [250, 5000])
@pytest.mark.parametrize("name", ["check_tool", "nobody"])
async def test_a_request_that_nests_too_deeply_is_answered_too(
    levels: int, name: str, service: Service
) -> None:
    selection = Selection(authoring=True)
    async with connected(service, "2025-06-18", direct=True, selection=selection) as connection:
        await connection.open()
        deep = "[" * levels + "]" * levels
        for before, after in (('"id": 7, ', ""), ("", ', "id": 7')):
            call = f'"params": {{"name": "{name}", "arguments": {{"definition": {deep}}}}}'
            line = f'{{"jsonrpc": "2.0", {before}"method": "tools/call", {call}{after}}}\n'
            connection.written.clear()
            await connection.take(line.encode())
            await until(
                lambda: [one["id"] for one in connection.written if "error" in one] == [7],
                "it is refused",
            )
        await connection.ask("ping", {}, 8)


@ERAS
@pytest.mark.parametrize("params", [[1], "x", 5, True])
@pytest.mark.parametrize("method", ["ping", "tools/call", "tools/list", "nobody"])
async def test_parameters_that_are_no_object_are_refused(
    version: str, params: Any, method: str, service: Service
) -> None:
    async with connected(service, version, direct=True) as connection:
        await connection.open()
        answer = await connection.ask(method, params, 7)
        assert answer["error"]["code"] == -32600
        assert "params is no object; valid is an object" in answer["error"]["message"]


def _method_of(message: dict[str, Any]) -> Any:
    return message.get("method")


@pytest.mark.parametrize(
    "first", [b"", b"no JSON", b'{"jsonrpc": "2.0", "method": "notifications/progress"}']
)
async def test_what_a_client_can_do_is_known_whatever_it_sent_before(
    first: bytes, service: Service, web: Web
) -> None:
    await store(service, request_tool("writes", web.url, config={"method": "POST"}))
    selection = Selection(confirm_writes=True)
    async with connected(service, "2025-06-18", direct=True, selection=selection) as connection:
        await connection.take(first)
        await connection.open({"elicitation": {}})
        params = {"name": "writes"}
        await connection.send({"jsonrpc": "2.0", "id": 9, "method": "tools/call", "params": params})
        await until(
            lambda: "elicitation/create" in map(_method_of, connection.written),
            "the person is asked",
        )


@ERAS
async def test_what_ends_or_changes_after_a_connection_is_told_to_nobody(
    version: str, service: Service
) -> None:
    async with connected(service, version, direct=True) as connection:
        await connection.open()
        await connection.ask("tools/list", connection.with_envelope({}))
    await store(service, script_tool("three", "3"))
    outcome = await (await start(service, "three")).wait()
    assert outcome.data == 3


@ERAS
async def test_a_person_who_is_to_be_asked_is_asked_by_the_sdk(
    version: str, service: Service, web: Web
) -> None:
    tool = request_tool("writes", web.url, config={"method": "POST"})
    await store(service, tool, script_tool("three", "3"))
    selection = Selection(confirm_writes=True)
    async with connected(service, version, direct=True, selection=selection) as connection:
        await connection.open()
        answer = await connection.ask("tools/call", connection.with_envelope({"name": "writes"}))
    assert answer["result"]["isError"]
    assert web.seen == []
