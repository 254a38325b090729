"""Traces: taken in, passed on, exported when that is configured, and not imported otherwise."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from server.app import open_service
from server.service import Service
from server.settings import Settings
from server.telemetry import ExportedSpans
from tests.server.helpers import request_tool, start, store, until
from tests.server.raw_client import run_command, store_tools
from tests.server.rest.helpers import http_server, rest_client
from tests.server.test_mcp import ERAS, call, connected
from tests.web import Answer, Web
from tools.tracing import is_traceparent

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
TRACEPARENT = f"00-{TRACE}-00f067aa0ba902b7-01"


@ERAS
async def test_a_trace_over_mcp_goes_on_upstream_and_into_the_record(
    era: str, service: Service, web: Web
) -> None:
    web.answers(Answer([1]))
    await store(service, request_tool("t", web.url, retries=0))
    async with connected(service, era) as client:
        answer = await call(client, "t", {}, traceparent=TRACEPARENT)
    assert web.seen[0].headers["traceparent"] == TRACEPARENT
    run = await service.get_run(answer["_meta"]["callslip/runId"])
    assert run.trace_id == TRACE


async def test_a_trace_over_rest_goes_on_upstream_and_to_sub_tools(
    service: Service, web: Web
) -> None:
    web.answers(Answer([1]))
    parent = {"id": "parent", "steps": [{"id": "s", "config": {"type": "tool", "toolId": "t"}}]}
    await store(service, request_tool("t", web.url, retries=0), parent)
    async with http_server(service) as url, rest_client(url) as client:
        headers = {"traceparent": TRACEPARENT}
        run = (await client.post("/tools/parent/run", json={}, headers=headers)).json()
    assert run["traceId"] == TRACE
    assert web.seen[0].headers["traceparent"] == TRACEPARENT


@pytest.mark.parametrize(
    "text", ["", "00-xyz", f"00-{'0' * 32}-00f067aa0ba902b7-01", f"01-{TRACE}-00f067aa0ba902b7-01"]
)
async def test_what_is_no_trace_is_dropped(text: str, service: Service, web: Web) -> None:
    assert not is_traceparent(text)
    web.answers(Answer([1]))
    await store(service, request_tool("t", web.url, retries=0))
    active = await start(service, "t", traceparent=text)
    await active.wait()
    assert "traceparent" not in web.seen[0].headers
    assert (await service.get_run(active.run_id)).trace_id


async def test_without_a_trace_nothing_is_sent_and_a_tool_may_send_its_own(
    service: Service, web: Web
) -> None:
    web.responds(lambda seen: Answer([1]))
    own = {"headers": {"Traceparent": "of the tool"}}
    await store(service, request_tool("a", web.url), request_tool("b", web.url, config=own))
    await (await start(service, "a")).wait()
    await (await start(service, "b", traceparent=TRACEPARENT)).wait()
    assert "traceparent" not in web.seen[0].headers
    assert web.seen[1].headers["traceparent"] == "of the tool"


async def test_a_run_its_steps_and_its_requests_are_spans_below_each_other(
    settings: Settings, web: Web
) -> None:
    web.responds(lambda seen: Answer("gone", 404) if seen.path == "/two" else Answer([1]))
    exporter = InMemorySpanExporter()
    spans = ExportedSpans(exporter)
    secret = "s3cret-value-of-some-length"
    steps = [
        {"id": name, "config": {"url": f"{web.url}/{name}?key=<<key>>"}} for name in ("one", "two")
    ]
    async with open_service(settings) as service:
        service.engines.__dict__["spans"] = spans
        await store(service, {"id": "t", "retries": 0, "steps": steps})
        active = await start(service, "t", traceparent=TRACEPARENT, credentials={"key": secret})
        await active.wait()
    spans.close()
    found: dict[str, ReadableSpan] = {}
    for span in exporter.get_finished_spans():
        found[f"{span.name} {(span.attributes or {}).get('url.full', '')}".split("?")[0]] = span
    run, one, two = found["run t "], found["step one "], found["step two "]
    get_two = found[f"GET {web.url}/two"]
    assert run.parent is not None
    assert f"{run.parent.span_id:016x}" == "00f067aa0ba902b7"
    for span, above in ((one, run), (two, run), (get_two, two)):
        assert span.parent is not None
        assert span.parent.span_id == above.get_span_context().span_id  # pyright: ignore[reportOptionalMemberAccess, reportUnknownMemberType, reportUnknownVariableType]
        assert f"{span.parent.trace_id:032x}" == TRACE
    assert (one.status.is_ok, run.status.is_ok, get_two.status.is_ok) == (True, False, False)
    sent = web.seen[1].headers["traceparent"]
    assert get_two.context is not None
    assert sent == f"00-{TRACE}-{get_two.context.span_id:016x}-01"
    everything = "".join(span.to_json() for span in exporter.get_finished_spans())
    assert secret not in everything


async def test_spans_go_to_the_collector_that_is_configured(tmp_path: Path, web: Web) -> None:
    web.responds(lambda seen: Answer(b"") if seen.path == "/v1/traces" else Answer([1]))
    home = tmp_path / "home"
    await store_tools(home, [request_tool("counted", f"{web.url}/upstream", retries=0)])
    environment: dict[str, Any] = {"OTEL_EXPORTER_OTLP_ENDPOINT": web.url}
    code, _, errors = await run_command(home, "run", "counted", **environment)
    assert code == 0, errors
    await until(lambda: len(web.seen) == 2, "the collector has the spans")
    upstream, exported = web.seen
    assert (exported.method, exported.path) == ("POST", "/v1/traces")
    for words in (b"run counted", b"step get", b"/upstream", b"callslip"):
        assert words in exported.body
    assert upstream.headers["traceparent"].startswith("00-")


async def test_a_collector_that_is_not_there_delays_nothing_but_the_end(
    tmp_path: Path, web: Web
) -> None:
    web.answers(Answer([1]))
    home = tmp_path / "home"
    await store_tools(home, [request_tool("t", web.url, retries=0)])
    environment: dict[str, Any] = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}
    code, output, _ = await run_command(home, "run", "t", **environment)
    assert (code, "1" in output) == (0, True)


def test_without_an_exporter_nothing_of_the_sdk_is_imported() -> None:
    code = (
        "import sys, anyio\n"
        "from server.app import open_service\n"
        "from server.settings import Settings\n"
        "import tempfile, pathlib\n"
        "async def main():\n"
        "    async with open_service(Settings(home=pathlib.Path(tempfile.mkdtemp()))):\n"
        "        print([name for name in sys.modules if name.startswith('opentelemetry')])\n"
        "anyio.run(main)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
