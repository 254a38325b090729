"""The published client, `superglue-client`, against our server: the contract."""

import json
import sys
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import anyio
import pytest
from superglue_client import AuthenticatedClient
from superglue_client.api.runs import (
    cancel_run,
    get_run,
    get_run_file_download,
    get_run_results,
    list_run_files,
    list_runs,
)
from superglue_client.api.tools import (
    create_tool,
    delete_tool,
    get_tool,
    list_tools,
    run_tool,
    update_tool,
)
from superglue_client.api.webhooks import trigger_webhook, verify_webhook
from superglue_client.models import (
    CreateToolRequest,
    Error,
    Run,
    RunRequest,
    Tool,
    TriggerWebhookBody,
    TriggerWebhookResponse202,
    UpdateToolRequest,
)

from server.service import Service
from storage.api_keys import Scope
from tests.server.helpers import (
    request_tool,
    script_tool,
    silent_upstream,
    start,
    store,
    until,
    until_async,
)
from tests.server.rest.helpers import http_server, make_key, nulls_in
from tests.web import Answer, Web

# The client has no types that say what its answers are.
Answered = Any


@pytest.fixture
async def client(service: Service) -> AsyncGenerator[AuthenticatedClient]:
    key = await make_key(service, "client", *Scope)
    async with http_server(service, needs_key=True) as url:
        client = AuthenticatedClient(f"{url}/v1", key, raise_on_unexpected_status=True)
        async with client as opened:
            yield opened


def definition(web: Web) -> dict[str, Any]:
    return {
        **request_tool("people", f"{web.url}/people/<<id>>", config={"method": "get"}),
        "name": "People",
        "inputSchema": {"type": "object", "properties": {"id": {"type": "string"}}},
        "outputSchema": None,
        "responseFilters": [
            {"id": "f", "target": "KEYS", "pattern": "password", "action": "REMOVE"}
        ],
    }


async def test_its_calls_of_tools_work(client: AuthenticatedClient) -> None:
    body = CreateToolRequest.from_dict(
        {
            "id": "people",
            "name": "People",
            "steps": [
                {
                    "id": "get",
                    "config": {
                        "url": "https://people.example/<<id>>",
                        "method": "GET",
                        "queryParams": {"q": "<<(sourceData) => sourceData.q>>", "limit": 10},
                        "headers": {"accept": "application/json"},
                        "pagination": {"type": "cursorBased", "pageSize": "50"},
                    },
                    "failureBehavior": "continue",
                },
                {"id": "then", "config": {"type": "transform", "transformCode": "(s) => s"}},
            ],
            "inputSchema": {"type": "object"},
            "outputSchema": {},
            "outputTransform": "(sourceData) => sourceData",
            "responseFilters": [
                {"id": "f", "target": "KEYS", "pattern": "password", "action": "REMOVE"}
            ],
        }
    )
    created = await create_tool.asyncio(client=client, body=body)
    assert isinstance(created, Tool)
    assert (created.id, created.version) == ("people", "1.0.0")
    taken = await create_tool.asyncio(client=client, body=body)
    assert isinstance(taken, Error)
    fetched = await get_tool.asyncio("people", client=client)
    assert isinstance(fetched, Tool)
    assert fetched.to_dict() == created.to_dict()
    changed = await update_tool.asyncio(
        "people", client=client, body=UpdateToolRequest(name="Persons")
    )
    assert isinstance(changed, Tool)
    assert (changed.name, changed.version) == ("Persons", "1.0.1")
    listed = await list_tools.asyncio(client=client)
    assert listed is not None
    assert [tool.id for tool in listed.data or []] == ["people"]
    removed: Answered = await delete_tool.asyncio("people", client=client)
    assert removed.success is True
    gone = await get_tool.asyncio("people", client=client)
    assert isinstance(gone, Error)
    assert "not found" in gone.error.message


async def test_its_calls_of_runs_work(
    client: AuthenticatedClient, service: Service, web: Web
) -> None:
    web.answers(Answer({"name": "Ann", "password": "x"}))
    await store(service, definition(web))
    body = RunRequest.from_dict(
        {
            "runId": "r-1",
            "inputs": {"id": "7"},
            "credentials": {"apiKey": "sk_live_abc"},
            "includeStepResultData": True,
            "options": {"timeout": 5000, "requestSource": "cli", "clientInfo": {"name": "py"}},
        }
    )
    run = await run_tool.asyncio("people", client=client, body=body)
    assert isinstance(run, Run)
    assert (run.run_id, run.status, run.data) == ("r-1", "success", {"name": "Ann"})
    assert run.request_source == "cli"
    assert isinstance(run.tool, Tool)
    same = await get_run.asyncio("r-1", client=client)
    assert isinstance(same, Run)
    assert same.to_dict() == run.to_dict()
    listed = await list_runs.asyncio(client=client)
    assert listed is not None
    assert [(one.run_id, one.status) for one in listed.data or []] == [("r-1", "success")]
    results: Answered = await get_run_results.asyncio("r-1", client=client)
    assert results.data.data == {"name": "Ann"}
    assert [step.step_id for step in results.data.step_results] == ["get"]
    assert isinstance(await run_tool.asyncio("people", client=client, body=body), Error)
    assert isinstance(await run_tool.asyncio("nothing", client=client), Error)
    assert isinstance(await get_run.asyncio("nothing", client=client), Error)
    assert isinstance(await run_tool.asyncio("people", client=client), Run)


async def test_it_starts_waits_for_and_cancels_async_runs(
    client: AuthenticatedClient, service: Service
) -> None:
    async with silent_upstream() as upstream:
        await store(service, request_tool("wait", upstream.url))
        body = RunRequest.from_dict({"inputs": {}, "options": {"async": True}})
        run = await run_tool.asyncio("wait", client=client, body=body)
        assert isinstance(run, Run)
        assert run.status == "running"
        await until(lambda: upstream.requests == 1, "the request is sent")
        waiting: Answered = await get_run_results.asyncio(run.run_id, client=client)
        assert waiting.success is False
        cancelled = await cancel_run.asyncio(run.run_id, client=client)
        assert isinstance(cancelled, Run)
        assert cancelled.status == "aborted"
        assert isinstance(await cancel_run.asyncio(run.run_id, client=client), Error)


async def test_it_finds_files(client: AuthenticatedClient, service: Service, web: Web) -> None:
    web.answers(Answer(b"\x89PNG\r\n\x1a\n\x00", headers={"content-type": "image/png"}))
    await store(service, request_tool("picture", f"{web.url}/cat.png"))
    run = await start(service, "picture")
    await run.wait()
    listed: Answered = await list_run_files.asyncio(run.run_id, client=client)
    (file,) = listed.file_artifacts
    located: Answered = await get_run_file_download.asyncio(
        run.run_id, file.file_key, client=client
    )
    answer = await client.get_async_httpx_client().get(located.download_url)
    assert answer.content == b"\x89PNG\r\n\x1a\n\x00"


async def test_what_it_would_refuse_is_never_sent(
    client: AuthenticatedClient, service: Service, web: Web
) -> None:
    web.answers(Answer({"rows": []}))
    nulls = {"pagination": None, "headers": None, "body": None, "queryParams": None}
    tool = request_tool("sparse", web.url, config=nulls | {"method": "get"}, archived=None)
    await store(service, tool | {"inputSchema": None, "outputSchema": None, "folder": None})
    await (await start(service, "sparse")).wait()
    http = client.get_async_httpx_client()
    for path in ("/tools", "/tools/sparse", "/runs"):
        answer = await http.get(path)
        assert nulls_in(json.loads(answer.content)) == []
    listed = await list_runs.asyncio(client=client)
    assert listed is not None
    assert len(listed.data or []) == 1


async def test_its_calls_of_webhooks_work(client: AuthenticatedClient, service: Service) -> None:
    await store(service, script_tool("t", "(s) => s"))
    body = TriggerWebhookBody.from_dict({"type": "customer.created", "data": {"id": 1}})
    accepted = await trigger_webhook.asyncio("t", client=client, body=body)
    assert isinstance(accepted, TriggerWebhookResponse202)
    assert (accepted.status.value, accepted.tool_id) == ("accepted", "t")

    async def has_ended() -> bool:
        return (await service.get_run(accepted.run_id)).completed_at is not None

    await until_async(has_ended, "the run has ended")
    run = await get_run.asyncio(accepted.run_id, client=client)
    assert isinstance(run, Run)
    assert run.to_dict()["data"] == {"type": "customer.created", "data": {"id": 1}}
    assert run.to_dict()["requestSource"] == "webhook"
    challenge = await verify_webhook.asyncio("t", client=client, challenge="said back")
    assert challenge == "said back"
    missing = await trigger_webhook.asyncio("nobody", client=client, body=body)
    assert isinstance(missing, Error)


async def test_the_example_drives_a_run(service: Service, web: Web) -> None:
    web.answers(Answer({"place": "Lisbon", "sun": True}))
    await store(service, request_tool("weather", f"{web.url}/<<place>>", retries=0))
    key = await make_key(service, "program", Scope.READ, Scope.RUN)
    example = Path(__file__).parents[3] / "examples" / "published_client.py"
    async with http_server(service, needs_key=True) as url:
        arguments = [f"{url}/v1", key, "weather", '{"place": "Lisbon"}']
        done = await anyio.run_process([sys.executable, str(example), *arguments])
    assert json.loads(done.stdout) == {"place": "Lisbon", "sun": True}
    assert b"success" in done.stderr
