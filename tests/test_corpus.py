"""Every folder of the corpus, through the core, over MCP both ways and over REST: the same run."""

import base64
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from email import message_from_bytes
from email.message import Message
from pathlib import Path
from typing import Any, cast

import pytest
from mcp import Client

from server.active_run import RunRequest
from server.mcp_surface.surface import McpSurface
from server.service import Service
from server.views import tool_view
from tests.server import direct_connection
from tests.server.rest.helpers import http_server, rest_client
from tests.web import Answer, Web
from tools.run import RequestSource, RunOptions

CORPUS = Path(__file__).parent / "corpus"
CASES = sorted(folder for folder in CORPUS.iterdir() if folder.is_dir())


class Case:
    """One folder, with `http://WEB` replaced by the server's own address."""

    def __init__(self, folder: Path, web: Web) -> None:
        def read(name: str) -> Any:
            return json.loads((folder / name).read_text("utf-8").replace("http://WEB", web.url))

        self.tool = read("tool.json")
        self.call = read("call.json")
        self.expected = read("expected.json")
        answers = read("web.json")
        if answers:
            web.answers(*map(_answer, answers))


def _answer(answer: dict[str, Any]) -> Answer:
    return Answer(
        answer["body"],
        answer.get("status", 200),
        answer.get("headers", {}),
        answer.get("delayMs", 0) / 1000,
        cut_after=answer.get("cutAfter"),
    )


@pytest.mark.parametrize("folder", CASES, ids=lambda folder: folder.name)
async def test_the_core_does_what_the_case_says(folder: Path, service: Service, web: Web) -> None:
    case = Case(folder, web)
    await _store(service, case)
    active = await service.start(
        RunRequest(
            case.tool["id"],
            case.call["inputs"],
            RequestSource.API,
            RunOptions.model_validate(case.call.get("options", {})),
            case.call.get("credentials", {}),
        )
    )
    await active.wait()
    _check_run(case, tool_view(await service.get_run(active.run_id)))
    _check_requests(case, web)


@pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
@pytest.mark.parametrize("folder", CASES, ids=lambda folder: folder.name)
async def test_mcp_answers_what_the_case_says(
    folder: Path, mode: str, service: Service, web: Web
) -> None:
    case = Case(folder, web)
    if case.call.get("credentials"):
        pytest.skip("no credentials are handed over in a call over MCP")
    await _store(service, case)
    meta = cast("Any", {"callslip/options": case.call.get("options", {})})
    async with connected(service, mode) as client:
        listed = {tool.meta["callslip/toolId"]: tool.name async for tool in _tools(client)}
        answer = await client.call_tool(listed[case.tool["id"]], case.call["inputs"], meta=meta)
    assert answer.meta is not None
    view = tool_view(await service.get_run(answer.meta["callslip/runId"]))
    assert view["requestSource"] == "mcp"
    _check_run(case, view)
    _check_requests(case, web)
    _check_answer(case, answer.model_dump(by_alias=True, exclude_none=True, mode="json"))


@pytest.mark.parametrize("version", ["2025-11-25", "2026-07-28"])
@pytest.mark.parametrize("folder", CASES, ids=lambda folder: folder.name)
async def test_mcp_answers_the_same_without_the_sdk(
    folder: Path, version: str, service: Service, web: Web
) -> None:
    case = Case(folder, web)
    if case.call.get("credentials"):
        pytest.skip("no credentials are handed over in a call over MCP")
    await _store(service, case)
    async with direct_connection.connected(service, version, direct=True) as client:
        await client.open()
        listed = await client.answer("tools/list", client.with_envelope({}))
        names = {tool["_meta"].get("callslip/toolId"): tool["name"] for tool in _tools_in(listed)}
        arguments = {"name": names[case.tool["id"]], "arguments": case.call["inputs"]}
        meta = {"callslip/options": case.call.get("options", {})}
        answer = await client.answer(
            "tools/call", client.with_envelope({**arguments, "_meta": meta})
        )
        assert not client.sdk.has_started
    view = tool_view(await service.get_run(answer["result"]["_meta"]["callslip/runId"]))
    assert view["requestSource"] == "mcp"
    _check_run(case, view)
    _check_requests(case, web)
    _check_answer(case, answer["result"])


def _tools_in(listed: Any) -> list[Any]:
    return [tool for tool in listed["result"]["tools"] if "_meta" in tool]


@pytest.mark.parametrize("folder", CASES, ids=lambda folder: folder.name)
async def test_rest_answers_what_the_case_says(folder: Path, service: Service, web: Web) -> None:
    case = Case(folder, web)
    options = case.call.get("options", {})
    # Over REST the time of one request has the name of the published interface.
    options = {"timeout" if name == "timeoutMs" else name: options[name] for name in options}
    async with http_server(service) as url, rest_client(url) as client:
        await client.post("/tools", json=case.tool)
        answer = await client.post(
            f"/tools/{case.tool['id']}/run", json={**case.call, "options": options}
        )
        assert answer.status_code == 200, answer.text
        recorded = await client.get(f"/runs/{answer.json()['runId']}")
    assert recorded.json() == answer.json()
    assert answer.json()["requestSource"] == "api"
    _check_run(case, answer.json())
    _check_requests(case, web)


@asynccontextmanager
async def connected(service: Service, mode: str) -> AsyncGenerator[Client]:
    async with Client(McpSurface(service).server, mode=mode) as client:
        yield client


async def _tools(client: Client) -> AsyncGenerator[Any]:
    for tool in (await client.list_tools()).tools:
        if tool.meta is not None:
            yield tool


async def _store(service: Service, case: Case) -> None:
    checked, outcome = await service.tools.put(case.tool)
    assert outcome is not None, [str(problem) for problem in checked.problems]


def _check_run(case: Case, view: dict[str, Any]) -> None:
    expected = case.expected
    assert view["status"] == expected["status"], view.get("error")
    if "data" in expected:
        assert view["data"] == expected["data"]
    if "error" in expected:
        assert view["error"] == expected["error"]
    if "errorStart" in expected:
        assert view["error"].startswith(expected["errorStart"])
    if "kind" in expected:
        assert view["errorDetail"]["kind"] == expected["kind"]
    steps = {step["stepId"]: step for step in view["stepResults"]}
    for step_id, data in expected.get("steps", {}).items():
        assert steps[step_id]["data"] == data
    for step_id, words in expected.get("warnings", {}).items():
        assert words in " ".join(steps[step_id]["warnings"])
    if "logs" in expected:
        assert [[line["level"], line["message"]] for line in view["logs"]] == expected["logs"]
    for secret in case.call.get("credentials", {}).values():
        assert len(secret) < 8 or secret not in json.dumps(view)


def _check_requests(case: Case, web: Web) -> None:
    if "requests" not in case.expected:
        return
    expected = case.expected["requests"]
    assert [seen.target for seen in web.seen] == [request["target"] for request in expected]
    for seen, request in zip(web.seen, expected, strict=True):
        if "method" in request:
            assert seen.method == request["method"]
        if "body" in request:
            assert json.loads(seen.body) == request["body"]
        if "bodyText" in request:
            assert seen.body.decode() == request["bodyText"]
        if "parts" in request:
            assert _parts_of(seen.headers["content-type"], seen.body) == request["parts"]
        for name, value in request.get("headers", {}).items():
            assert seen.headers.get(name) == value


def _parts_of(content_type: str, body: bytes) -> list[dict[str, Any]]:
    """The parts of a multipart body, read by the standard library."""
    head = f"Content-Type: {content_type}\r\n\r\n".encode()
    parts = cast("list[Message]", message_from_bytes(head + body).get_payload())
    return [
        {
            "name": part.get_param("name", header="content-disposition"),
            "filename": part.get_filename(),
            "contentType": part.get("content-type"),
            "base64": base64.b64encode(cast("bytes", part.get_payload(decode=True))).decode(),
        }
        for part in parts
    ]


def _check_answer(case: Case, answer: dict[str, Any]) -> None:
    texts = [content["text"] for content in answer["content"] if content["type"] == "text"]
    assert texts[-1].startswith("run: callslip://runs/")
    if case.expected["status"] != "success":
        assert answer["isError"]
        assert "structuredContent" not in answer
        return
    assert not answer.get("isError")
    data = json.loads(texts[0])
    structured = answer["structuredContent"]
    declared = case.tool.get("outputSchema", {})
    if isinstance(data, dict) and declared.get("type", "object") == "object":
        assert structured == data
    else:
        assert structured == {"result": data}
