"""Keys: who may call, what they may do, what they are shown."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from server.app import open_service
from server.callers import FailureLimit
from server.http_server import HttpOptions, HttpServer, NoKeyError
from server.mcp_surface.selection import Selection
from server.service import Service
from server.settings import Settings
from storage.api_keys import Scope
from storage.run_lists import RunFilter
from tests.server.helpers import script_tool, start, store, until_async
from tests.server.rest.helpers import http_server, make_key, message_of, rest_client

TOOLS = (
    script_tool("a", "(s) => 1", folder="in"),
    script_tool("b", "(s) => 2", folder="in/deeper"),
    script_tool("c", "(s) => 3", folder="inside"),
)


@pytest.fixture
async def locked(service: Service) -> AsyncGenerator[str]:
    await make_key(service, "first")
    async with http_server(service, needs_key=True) as url:
        yield url


@asynccontextmanager
async def calling(
    service: Service, url: str, *scopes: Scope, **narrowed: list[str]
) -> AsyncGenerator[httpx.AsyncClient]:
    key = await make_key(service, "caller", *scopes, **narrowed)
    async with rest_client(url, key) as client:
        yield client


async def test_without_a_right_key_nothing_is_answered(locked: str, service: Service) -> None:
    async with rest_client(locked) as nobody:
        refused = await nobody.get("/tools")
        assert "authorization: Bearer" in message_of(refused, 401)
        assert refused.headers["www-authenticate"].startswith("Bearer")
        message_of(await nobody.get("/nothing"), 401)
        message_of(await nobody.post("/tools/x/run", json={}), 401)
        for path in ("/health", "/docs", "/openapi.json"):
            assert (await nobody.get(f"{locked}{path}")).status_code == 200
    for wrong in ("wrong", "callslip_", "café"):
        async with rest_client(locked) as client:
            headers = {b"authorization": b"Bearer " + wrong.encode()}
            message_of(await client.get("/tools", headers=headers), 401)


async def test_a_key_in_the_address_reads_and_does_nothing_else(
    locked: str, service: Service
) -> None:
    key = await make_key(service, "reader", *Scope)
    async with rest_client(locked) as client:
        assert (await client.get("/tools", params={"token": key})).status_code == 200
        message_of(await client.post("/tools", params={"token": key}, json=TOOLS[0]), 401)


async def test_a_revoked_key_is_useless_at_once(locked: str, service: Service) -> None:
    async with calling(service, locked) as client:
        assert (await client.get("/tools")).status_code == 200
        assert await service.api_keys.revoke("caller")
        message_of(await client.get("/tools"), 401)
    assert not await service.api_keys.revoke("caller")
    by_name = {key.name: key for key in await service.api_keys.list()}
    assert by_name["caller"].last_used_at is not None
    assert by_name["first"].last_used_at is None


async def test_a_scope_allows_what_it_says(locked: str, service: Service) -> None:
    await store(service, *TOOLS)
    allowed = {
        Scope.READ: [("GET", "/tools"), ("GET", "/runs"), ("GET", "/systems")],
        Scope.RUN: [("POST", "/tools/a/run")],
        Scope.WRITE: [("PUT", "/tools/a"), ("POST", "/tools/a/versions/1/restore")],
        Scope.ADMIN: [("POST", "/systems?x")],
    }
    for scope in Scope:
        key = await make_key(service, f"only-{scope}", scope)
        async with rest_client(locked, key) as client:
            for needed, requests in allowed.items():
                for method, path in requests:
                    answer = await client.request(method, path, json={})
                    if scope in (needed, Scope.ADMIN):
                        assert answer.status_code in (200, 400), answer.text
                    else:
                        assert f"scope {needed}" in message_of(answer, 403)


async def test_runs_carry_the_name_of_the_key(locked: str, service: Service) -> None:
    await store(service, *TOOLS)
    async with calling(service, locked) as client:
        assert (await client.post("/tools/a/run", json={})).json()["userId"] == "caller"


async def test_a_narrowed_key_is_shown_its_tools_and_their_runs_only(
    locked: str, service: Service
) -> None:
    await store(service, *TOOLS)
    hidden = await start(service, "c")
    await hidden.wait()
    for tool_id in ("a", "b", "a"):
        await (await start(service, tool_id)).wait()
    everything = (Scope.READ, Scope.RUN, Scope.WRITE)
    async with calling(service, locked, *everything, folders=["in"]) as client:
        assert [one["id"] for one in (await client.get("/tools")).json()["data"]] == ["a", "b"]
        runs = (await client.get("/runs?limit=2")).json()
        assert [run["toolId"] for run in runs["data"]] == ["a", "b"]
        assert (runs["total"], runs["hasMore"]) == (3, True)
        second = (await client.get("/runs?limit=2&page=2")).json()
        assert ([run["toolId"] for run in second["data"]], second["hasMore"]) == (["a"], False)
        assert (await client.get("/runs?toolId=c")).json()["data"] == []
        of_one = (await client.get("/runs?toolId=a&limit=1&page=2")).json()
        assert (of_one["total"], len(of_one["data"]), of_one["hasMore"]) == (2, 1, False)
        assert "toolId" in message_of(await client.get("/runs?limit=100&page=500"), 400)
        assert (await client.get("/runs?toolId=a&limit=100&page=500")).json()["data"] == []
        for method, path in (
            ("GET", "/tools/c"),
            ("PUT", "/tools/c"),
            ("DELETE", "/tools/c"),
            ("POST", "/tools/c/run"),
            ("GET", "/tools/c/versions"),
            ("POST", "/tools/c/versions/1/restore"),
            ("POST", "/tools/c/rename"),
            ("GET", f"/runs/{hidden.run_id}"),
            ("GET", f"/runs/{hidden.run_id}/results"),
            ("GET", f"/runs/{hidden.run_id}/steps/x"),
            ("GET", f"/runs/{hidden.run_id}/files"),
            ("GET", f"/runs/{hidden.run_id}/files/x"),
            ("POST", f"/runs/{hidden.run_id}/cancel"),
            ("POST", f"/runs/{hidden.run_id}/rerun"),
        ):
            body = {"newId": "z"} if path.endswith("/rename") else {}
            answer = await client.request(method, path, json=body)
            assert "not found" in message_of(answer, 404)
            assert "did you mean" not in answer.text
        assert (await client.post("/tools/b/run", json={})).json()["data"] == 2
        message_of(await client.post("/tools", json=script_tool("n", "1")), 403)
        message_of(await client.post("/tools", json={**TOOLS[2], "folder": "in"}), 403)
        message_of(await client.put("/tools/a", json={"folder": "inside"}), 403)
        message_of(await client.post("/tools/run", json={"tool": TOOLS[0]}), 403)
        message_of(await client.get("/systems"), 403)
        added = await client.post("/tools", json=script_tool("n", "1", folder="in"))
        assert added.status_code == 201


async def test_a_narrowed_key_starts_no_other_tool_through_a_webhook_of_its_run(
    locked: str, service: Service
) -> None:
    await store(service, script_tool("plain", "1"), script_tool("writer", "2"))
    async with calling(service, locked, tool_ids=["plain"]) as client:
        made = (await client.post("/tools/plain/run", json={})).json()["runId"]
        for path in ("/tools/plain/run", f"/runs/{made}/rerun"):
            for is_async in (False, True):
                said = {
                    target: message_of(
                        await client.post(
                            path,
                            json={"options": {"webhookUrl": f"tool:{target}", "async": is_async}},
                        ),
                        400,
                    )
                    for target in ("writer", "nobody")
                }
                assert "tool writer not found" in said["writer"]
                assert said["writer"].replace("writer", "nobody") == said["nobody"]
    assert (await service.list_runs(RunFilter(), limit=5)).total == 1


async def test_a_narrowed_key_starts_another_of_its_tools_through_a_webhook(
    locked: str, service: Service
) -> None:
    await store(service, *TOOLS)
    async with calling(service, locked, folders=["in"]) as client:
        options = {"webhookUrl": "tool:b"}
        assert (await client.post("/tools/a/run", json={"options": options})).status_code == 200

        async def is_started() -> bool:
            return (await service.list_runs(RunFilter(tool_id="b"), limit=1)).total == 1

        await until_async(is_started, "the second tool runs")


async def test_a_narrowed_key_stores_no_tool_that_calls_one_it_is_not_shown(
    locked: str, service: Service
) -> None:
    def calls(tool_id: str) -> dict[str, Any]:
        config: dict[str, Any] = {"type": "tool", "toolId": tool_id, "inputs": {}}
        return {"id": "n", "folder": "in", "steps": [{"id": "call", "config": config}]}

    await store(service, *TOOLS)
    await store(service, calls("c"))
    await service.tools.change("n", {"steps": []})
    everything = (Scope.READ, Scope.RUN, Scope.WRITE)
    async with calling(service, locked, *everything, folders=["in"]) as client:
        said = {
            target: message_of(await client.put("/tools/n", json=calls(target)), 403)
            for target in ("c", "nobody")
        }
        assert "tool c not found" in said["c"]
        assert said["c"].replace("tool c ", "tool nobody ") == said["nobody"]
        message_of(await client.post("/tools", json={**calls("c"), "id": "m"}), 403)
        message_of(await client.post("/tools/n/versions/1/restore"), 403)
        refused = await client.put("/tools/n", json={**calls("cc"), "outputTransform": "("})
        assert "did you mean" not in refused.text
        assert (await client.put("/tools/n", json=calls("b"))).status_code == 200


async def test_a_narrowed_key_makes_no_schedule_and_starts_no_other_tool_by_its_hook(
    locked: str, service: Service
) -> None:
    await store(service, *TOOLS)
    async with calling(service, locked, *Scope, tool_ids=["a"]) as client:
        wanted = {"toolId": "c", "cron": "* * * * *"}
        message_of(await client.post("/schedules", json=wanted), 403)
        message_of(await client.post("/schedules", json={**wanted, "toolId": "a"}), 403)
        assert "tool c not found" in message_of(await client.post("/hooks/c", json={}), 404)
        assert "tool x not found" in message_of(await client.post("/hooks/x", json={}), 404)
    assert (await service.list_runs(RunFilter(), limit=5)).total == 0


async def test_a_narrowed_key_is_suggested_no_tool_when_one_of_its_tools_is_gone(
    locked: str, service: Service
) -> None:
    await store(service, script_tool("report", "1"), script_tool("reports", "2"))
    async with calling(service, locked, tool_ids=["report"]) as client:
        made = (await client.post("/tools/report/run", json={})).json()["runId"]
        await service.tools.remove("report")
        gone = await client.post(f"/runs/{made}/rerun", json={"version": "latest"})
        assert message_of(gone, 404) == "tool report not found"
        assert (await client.post(f"/runs/{made}/rerun", json={})).status_code == 200


async def test_the_key_of_the_environment_may_do_everything(settings: Settings) -> None:
    changed = settings.model_copy(update={"api_key": "from-the-environment"})
    async with (
        open_service(changed) as service,
        http_server(service, needs_key=True) as url,
        rest_client(url, "from-the-environment") as client,
    ):
        assert (await client.post("/tools", json=TOOLS[0])).status_code == 201
        assert (await client.post("/tools/a/run", json={})).json()["userId"] == "environment"
        wrong = {"authorization": "Bearer from-the-environmenT"}
        message_of(await client.get("/tools", headers=wrong), 401)


async def test_many_wrong_keys_of_an_address_make_it_wait(locked: str, service: Service) -> None:
    async with calling(service, locked) as client:
        wrong = {"authorization": "Bearer wrong"}
        answers = [await client.get("/tools", headers=wrong) for _ in range(21)]
        assert [answer.status_code for answer in answers] == [401] * 20 + [429]
        assert int(answers[-1].headers["retry-after"]) > 0


def test_an_address_may_try_again_after_a_minute() -> None:
    now = 1000.0
    limit = FailureLimit(lambda: now)
    for _ in range(20):
        assert limit.wait_seconds("a") == 0
        limit.failed("a")
    assert limit.wait_seconds("a") > 0
    assert limit.wait_seconds("b") == 0
    now += 61
    assert limit.wait_seconds("a") == 0
    limit.failed("a")
    assert limit.wait_seconds("a") == 0


async def test_nothing_is_served_while_nobody_could_call(service: Service) -> None:
    server = HttpServer(service, Selection(), HttpOptions(port=0))
    with pytest.raises(NoKeyError):
        await server.serve()


async def test_only_hashes_of_keys_are_stored(service: Service, settings: Settings) -> None:
    key = await make_key(service, "secret")
    stored = b"".join(path.read_bytes() for path in settings.home.glob("callslip.db*"))
    assert b"secret" in stored
    assert key.encode() not in stored
    assert key.removeprefix("callslip_").encode() not in stored
