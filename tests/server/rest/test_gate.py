"""What is malformed, too much, too slow or from elsewhere: a clear 4xx, never a hang."""

import asyncio
import json
from collections.abc import AsyncGenerator
from urllib.parse import urlsplit

import anyio
import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from server import http_server as http_server_module
from server.rest import gate
from server.service import Service
from server.tool_library import ToolLibrary
from server.version import VERSION
from tests.server.helpers import WAIT_SECONDS, script_tool, store
from tests.server.rest.helpers import http_server, make_key, message_of, rest_client

RUN = "/tools/echo/run"


@pytest.fixture
async def echo(service: Service, rest: httpx.AsyncClient) -> httpx.AsyncClient:
    await store(service, script_tool("echo", "(s) => s"))
    return rest


async def exchange(url: str, data: bytes) -> bytes:
    """Everything that a server says to these bytes until it closes."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        writer.write(data)
        with anyio.fail_after(WAIT_SECONDS):
            return await reader.read()
    finally:
        writer.close()


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"",
        b"\xff\xfe",
        b'{"inputs": NaN}',
        b'{"inputs": {"a": Infinity}}',
        b"[]",
        b'"text"',
        b"null,",
        b'{"inputs": ' + b"[" * 5000 + b"]" * 5000 + b"}",
        b'{"inputs": ' + b'{"a":' * 200 + b"1" + b"}" * 201,
    ],
)
async def test_a_body_that_is_no_request_is_a_400(echo: httpx.AsyncClient, body: bytes) -> None:
    headers = {"content-type": "application/json"}
    answer = await echo.post(RUN, content=body, headers=headers)
    if body:
        message_of(answer, 400)
    else:
        assert answer.status_code == 200
    message_of(await echo.post("/tools", content=body, headers=headers), 400)


async def test_a_body_that_stops_being_json_says_where(echo: httpx.AsyncClient) -> None:
    headers = {"content-type": "application/json"}
    answer = await echo.post(RUN, content=b'{"inputs":', headers=headers)
    assert message_of(answer, 400).startswith("the body is not JSON: ")
    assert "line 1 column 11" in message_of(answer, 400)
    assert "valid is a JSON object" in message_of(answer, 400)
    error = answer.json()["error"]
    assert (error["code"], error["details"][0]["path"]) == ("invalid_request", "body")


async def test_a_body_of_another_shape_is_described_in_the_words_of_json(
    echo: httpx.AsyncClient,
) -> None:
    said = message_of(await echo.put("/tools/echo", json={"steps": 3, "inputSchema": []}), 400)
    assert "steps: input should be a list; seen: 3" in said
    assert "inputSchema: input should be an object" in said
    said = message_of(await echo.post(RUN, json={"inputs": []}), 400)
    assert "body.inputs: input should be an object" in said


async def test_a_body_of_another_type_is_a_400_that_says_so(echo: httpx.AsyncClient) -> None:
    for content_type in ("text/plain", "application/x-www-form-urlencoded"):
        headers = {"content-type": content_type}
        answer = await echo.post(RUN, content=b'{"inputs": {}}', headers=headers)
        assert "content-type: application/json" in message_of(answer, 400)


async def test_what_is_deep_but_not_too_deep_passes(echo: httpx.AsyncClient) -> None:
    deep = b'{"inputs": {"a": ' + b"[" * 90 + b"]" * 90 + b"}}"
    answer = await echo.post(RUN, content=deep, headers={"content-type": "application/json"})
    assert answer.json()["status"] == "success"


async def test_a_body_that_is_too_large_is_a_413(echo: httpx.AsyncClient) -> None:
    large = b" " * (gate.Limits.body_bytes + 1)
    headers = {"content-type": "application/json"}

    async def pieces() -> AsyncGenerator[bytes]:
        for start in range(0, len(large), 1 << 20):
            yield large[start : start + (1 << 20)]

    for content in (large, pieces()):
        answer = await echo.post(RUN, content=content, headers=headers)
        assert "10,485,760" in message_of(answer, 413)


async def test_a_body_that_does_not_arrive_is_a_408(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate.Limits, "body_seconds", 0.2)
    monkeypatch.setattr(gate.Limits.__init__, "__defaults__", (gate.Limits.body_bytes, 0.2))
    async with http_server(service) as url:
        said = await exchange(
            url,
            b"POST /v1/tools HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
            b"content-length: 100\r\n\r\n{",
        )
    head, _, body = said.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 408")
    assert b"did not arrive" in body


@pytest.mark.parametrize("begun", [b"", b"GET /v1/to", b"GET /health HTTP/1.1\r\nhost: local"])
async def test_a_request_that_does_not_begin_is_closed(
    service: Service, monkeypatch: pytest.MonkeyPatch, begun: bytes
) -> None:
    monkeypatch.setattr(http_server_module, "_HEAD_SECONDS", 0.2)
    async with http_server(service) as url:
        assert await exchange(url, begun) == b""
        whole = b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n"
        answered = await exchange(url, whole + begun)
        assert answered.startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    "data",
    [
        b"\x00\x01\x02\r\n\r\n",
        b"GET /v1/tools HTTP/1.1\r\nhost: a\r\nhost: b\r\ncontent-length: x\r\n\r\n",
        b"GET /v1/tools HTTP/1.1\r\nhost: localhost\r\nbad header\r\n\r\n",
        b"GET /v1/tools HTTP/1.1\r\nhost: localhost\r\nx: " + b"a" * 100_000,
    ],
)
async def test_what_is_no_http_is_a_400_in_json(url: str, data: bytes) -> None:
    said = await exchange(url, data)
    head, _, body = said.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400")
    assert json.loads(body)["error"]["message"]


async def test_only_its_own_names_reach_the_server(service: Service) -> None:
    async with http_server(service, allowed_hosts=("tools.example",)) as url, rest_client(url) as c:
        port = urlsplit(url).port
        for host in ("localhost", f"127.0.0.1:{port}", "[::1]:80", "tools.example", "Localhost:1"):
            assert (await c.get("/tools", headers={"host": host})).status_code == 200
        for host in ("evil.example", "localhost.evil.example", "tools.example@evil", "[", ""):
            answer = await c.get("/tools", headers={"host": host})
            assert "--allowed-host" in message_of(answer, 421)
        for origin in ("http://localhost:3000", "https://tools.example"):
            assert (await c.get("/tools", headers={"origin": origin})).status_code == 200
        for origin in ("https://evil.example", "null", "file://localhost", "http://"):
            answer = await c.get("/tools", headers={"origin": origin})
            assert "may not call" in message_of(answer, 403)


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/", "/v1/tools/", "/v2/tools", "/v1/%00", "//"])
async def test_an_address_of_nothing_is_a_404(url: str, path: str) -> None:
    async with rest_client(url) as client:
        assert "not found" in message_of(await client.get(f"{url}{path}"), 404)


async def test_another_method_is_a_405_that_says_which_there_are(rest: httpx.AsyncClient) -> None:
    answer = await rest.request("PATCH", "/tools")
    assert "PATCH" in message_of(answer, 405)
    assert answer.headers["allow"]


async def test_a_trace_id_that_no_header_can_hold_is_replaced(rest: httpx.AsyncClient) -> None:
    for given in ("", "a b", "x" * 500):
        answer = await rest.get("/tools", headers={"x-trace-id": given})
        assert answer.headers["x-trace-id"] not in (given, "")


async def test_a_fault_of_ours_shows_nothing_of_itself(
    rest: httpx.AsyncClient, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(*_: object) -> None:
        raise ZeroDivisionError("s3cret-value")

    monkeypatch.setattr(ToolLibrary, "all", fails)
    answer = await rest.get("/tools")
    assert "s3cret-value" not in message_of(answer, 500)


async def test_metrics_count_runs_for_keys_that_read(
    service: Service, echo: httpx.AsyncClient, url: str
) -> None:
    await echo.post(RUN, json={})
    answer = await echo.get(f"{url}/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    found = {
        (sample.name, *sorted(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }
    assert found["callslip_runs", "api", "echo", "success"] == 1
    assert found["callslip_tools",] == 1
    assert found["callslip_runs_waiting",] == 0
    assert found["callslip_info", VERSION] == 1
    narrowed = await make_key(service, "narrowed", tool_ids=["echo"])
    async with http_server(service, needs_key=True) as locked, rest_client(locked) as client:
        message_of(await client.get(f"{locked}/metrics"), 401)
        headers = {"authorization": f"Bearer {narrowed}"}
        message_of(await client.get(f"{locked}/metrics", headers=headers), 403)


async def test_the_pages_for_people_and_programs_load_nothing_from_elsewhere(url: str) -> None:
    async with rest_client(url) as client:
        page = (await client.get(f"{url}/docs")).text
        assert "/v1/tools/{tool_id}/run" in page
        assert "http" not in page.replace("HTTP", "")
        document = (await client.get(f"{url}/openapi.json")).json()
        assert document["openapi"].startswith("3.1")
        assert "/v1/runs/{run_id}" in document["paths"]
        operations = [one for path in document["paths"].values() for one in path.values()]
        ids = [one["operationId"] for one in operations]
        assert {"list_runs", "run_tool", "health"} <= set(ids)
        assert len(ids) == len(set(ids))
        health = (await client.get(f"{url}/health")).json()
        assert health["status"] == "ok"


async def test_every_error_is_described_as_the_json_that_it_is(url: str) -> None:
    async with rest_client(url) as client:
        document = (await client.get(f"{url}/openapi.json")).json()
        described = {
            media_type
            for path in document["paths"].values()
            for operation in path.values()
            for status, response in operation["responses"].items()
            if status >= "400"
            for media_type in response.get("content", ())
        }
        assert described == {"application/json"}
        # The answer itself is text.
        refused = await client.get(f"{url}/v1/hooks/echo")
        assert refused.status_code == 405
        assert refused.headers["content-type"] == "application/json"


async def test_the_document_says_which_bodies_take_no_other_fields(url: str) -> None:
    async with httpx.AsyncClient(trust_env=False) as client:
        schemas = (await client.get(f"{url}/openapi.json")).json()["components"]["schemas"]
    closed = ("RenameBody", "RerunBody", "RunOptionsBody", "ScheduleBody", "SchedulePatch")
    assert [schemas[name]["additionalProperties"] for name in closed] == [False] * len(closed)
    assert schemas["UnsavedRunBody"]["additionalProperties"] is False
    assert schemas["RunBody"]["additionalProperties"] is True
