"""OAuth tokens: asked for once, renewed in time, and never lost or shown."""

import base64
import json
import time
from typing import Any
from urllib.parse import parse_qs

import anyio
import pytest

from server.app import open_service
from server.service import Service
from server.settings import Settings
from server.views import tool_view
from storage.audit import audit
from storage.objects import ObjectStore
from tests.server.helpers import request_tool, start, store, until
from tests.web import Answer, Seen, Web, serve

CLIENT_SECRET = "client-secret-0123"
FIRST_REFRESH = "refresh-token-0"
CREDENTIALS = {"id": "client-id-0123", "secret": CLIENT_SECRET, "rt": FIRST_REFRESH}


class Endpoint:
    """A token endpoint and what it protects: each token works until it is withdrawn."""

    def __init__(self, web: Web) -> None:
        self.web = web
        self.issued = 0
        self.expires_in: Any = 3600
        self.rotates = True
        self.valid: set[str] = set()
        self.refresh_token = FIRST_REFRESH
        self.asked: list[dict[str, str]] = []
        self.refusal: Answer | None = None
        self.release: anyio.Event | None = None
        web.responds(self.answer)

    def answer(self, seen: Seen) -> Answer:
        if seen.path != "/token":
            bearer = seen.headers.get("authorization", "").removeprefix("Bearer ")
            return Answer({"ok": True, "echo": bearer}, 200 if bearer in self.valid else 401)
        form = {name: values[0] for name, values in parse_qs(seen.body.decode()).items()}
        self.asked.append(form)
        if self.refusal is not None:
            return self.refusal
        if form["grant_type"] == "refresh_token" and form["refresh_token"] != self.refresh_token:
            return Answer({"error": "invalid_grant"}, 400)
        self.issued += 1
        token = f"access-token-{self.issued}"
        self.valid.add(token)
        answer = {"access_token": token, "expires_in": self.expires_in}
        if form["grant_type"] == "refresh_token" and self.rotates:
            self.refresh_token = answer["refresh_token"] = f"refresh-token-{self.issued}"
        return Answer(answer, release=self.release)


@pytest.fixture
def endpoint(web: Web) -> Endpoint:
    return Endpoint(web)


async def prepare(
    service: Service, web: Web, grant: str, *allowed_origins: str, **auth: Any
) -> None:
    system = {
        "id": "acme",
        "url": web.url,
        "allowedOrigins": list(allowed_origins),
        "credentials": CREDENTIALS,
        "auth": {
            "type": "oauth2",
            "grant": grant,
            "tokenUrl": f"{web.url}/token",
            "clientId": "id",
            "clientSecret": "secret",
            "refreshToken": "rt",
            **auth,
        },
    }
    report = await service.connections.put(system)
    assert report["outcome"] == "added", report
    await store(service, request_tool("ask", "/x", config={"systemId": "acme"}))


async def ask(service: Service, **fields: Any) -> dict[str, Any]:
    active = await start(service, "ask", **fields)
    await active.wait()
    return tool_view(await service.get_run(active.run_id))


async def hits(service: Service, *more: str) -> int:
    secrets, unread = await service.connections.all_secrets()
    assert unread == []
    secrets |= {f"more {n}": one for n, one in enumerate(more)}
    home = service.settings
    objects = ObjectStore(home.results_directory)
    return (await audit(home.home, home.database_path, secrets, objects)).hits


@pytest.mark.parametrize("grant", ["client_credentials", "refresh_token"])
async def test_many_runs_on_two_services_ask_for_one_token(
    grant: str, settings: Settings, web: Web, endpoint: Endpoint
) -> None:
    async with open_service(settings) as one, open_service(settings) as two:
        await prepare(one, web, grant)
        views: list[dict[str, Any]] = []

        async def run(service: Service) -> None:
            views.append(await ask(service))

        async with anyio.create_task_group() as group:
            for service in [one, two] * 5:
                group.start_soon(run, service)
        assert {view["status"] for view in views} == {"success"}
        assert endpoint.issued == 1
        assert views[0]["data"]["echo"] == "[credential acme.accessToken]"
        assert await hits(one, "access-token-1", FIRST_REFRESH) == 0


@pytest.mark.parametrize(("seconds", "asked"), [(50, 2), (70, 1), ("3600", 1), (None, 1)])
async def test_a_token_is_renewed_a_minute_before_it_ends(
    seconds: Any, asked: int, service: Service, web: Web, endpoint: Endpoint
) -> None:
    endpoint.expires_in = seconds
    await prepare(service, web, "client_credentials")
    for _ in range(2):
        assert (await ask(service))["status"] == "success"
    assert endpoint.issued == asked


async def test_a_token_that_is_refused_is_renewed_once(
    service: Service, web: Web, endpoint: Endpoint
) -> None:
    await prepare(service, web, "refresh_token")
    await ask(service)
    endpoint.valid.clear()
    view = await ask(service)
    assert view["status"] == "success"
    assert [one["refresh_token"] for one in endpoint.asked] == [FIRST_REFRESH, "refresh-token-1"]
    assert await hits(service, "access-token-1", "access-token-2", "refresh-token-1") == 0


async def test_an_upstream_that_refuses_every_token_is_asked_twice_and_not_for_ever(
    service: Service, web: Web, endpoint: Endpoint
) -> None:
    class Nothing(set[str]):
        def add(self, element: str, /) -> None:
            pass

    endpoint.valid = Nothing()
    await prepare(service, web, "client_credentials")
    view = await ask(service)
    assert view["errorDetail"]["http"]["status"] == 401
    assert endpoint.issued == 2


async def test_a_next_page_elsewhere_that_wants_a_token_is_an_error_and_gets_none(
    service: Service, web: Web, endpoint: Endpoint
) -> None:
    async with serve() as elsewhere:
        await prepare(service, web, "client_credentials", elsewhere.url)
        elsewhere.answers(Answer("who are you?", 401))

        def respond(seen: Seen) -> Answer:
            page = {"items": [1], "next": f"{elsewhere.url}/2"}
            return endpoint.answer(seen) if seen.path == "/token" else Answer(page)

        web.responds(respond)
        pagination = {"type": "nextUrl", "nextUrlPath": "next", "dataPath": "items"}
        config = {"url": "/x", "systemId": "acme", "pagination": pagination}
        await store(service, {"id": "ask", "steps": [{"id": "ask", "config": config}]})
        view = await ask(service)
        assert view["errorDetail"]["kind"] == "http_status"
        assert view["errorDetail"]["http"]["status"] == 401
        [seen] = elsewhere.seen
        assert "authorization" not in seen.headers


async def test_a_server_that_does_not_rotate_keeps_its_refresh_token(
    service: Service, web: Web, endpoint: Endpoint
) -> None:
    endpoint.rotates, endpoint.expires_in = False, 10
    await prepare(service, web, "refresh_token")
    for _ in range(3):
        assert (await ask(service))["status"] == "success"
    assert {one["refresh_token"] for one in endpoint.asked} == {FIRST_REFRESH}


async def test_a_rotated_refresh_token_outlives_the_run_that_got_it(
    service: Service, web: Web, endpoint: Endpoint
) -> None:
    """A cancelled run must not lose what the server has already put in the old one's place."""
    await prepare(service, web, "refresh_token")
    endpoint.release = anyio.Event()
    active = await start(service, "ask")
    await until(lambda: endpoint.issued == 1, "the endpoint is asked")
    active.cancel("changed my mind")
    endpoint.release.set()
    await active.wait()
    token = await service.connections.store.get_token("acme", "prod")
    assert token is not None
    assert token["refreshToken"] == endpoint.refresh_token == "refresh-token-1"
    assert time.time() < token["expiresAt"]


@pytest.mark.parametrize("client_auth", ["body", "basic"])
async def test_the_words_of_the_endpoint_are_said_without_secrets(
    client_auth: str, service: Service, web: Web, endpoint: Endpoint
) -> None:
    pair = base64.b64encode(f"client-id-0123:{CLIENT_SECRET}".encode()).decode()
    said = f"bad {CLIENT_SECRET} Basic {pair} {endpoint.refresh_token}"
    await prepare(service, web, "refresh_token", clientAuth=client_auth)
    await ask(service)
    endpoint.refusal = Answer({"error": "invalid_grant", "error_description": said}, 400)
    endpoint.valid.clear()
    endpoint.refusal = Answer(
        {"error": "invalid_grant", "error_description": said + " refresh-token-1"}, 400
    )
    view = await ask(service)
    detail = view["errorDetail"]
    assert detail["kind"] == "credential"
    assert "invalid_grant" in view["error"]
    assert "callslip systems login acme" in detail["hint"]
    for secret in (CLIENT_SECRET, FIRST_REFRESH, "refresh-token-1", pair):
        assert secret not in json.dumps(view)
    assert await hits(service, FIRST_REFRESH, "refresh-token-1") == 0


@pytest.mark.parametrize("body", [b"", b"<html>", [], {"access_token": ""}, {"access_token": 7}])
async def test_an_answer_without_a_token_fails_the_run(
    body: Any, service: Service, web: Web, endpoint: Endpoint
) -> None:
    endpoint.refusal = Answer(body)
    await prepare(service, web, "client_credentials")
    view = await ask(service)
    assert view["errorDetail"]["kind"] == "credential"
    assert all(seen.path == "/token" for seen in web.seen)


async def test_tokens_for_run_time_credentials_are_of_the_run_alone(
    service: Service, web: Web, endpoint: Endpoint
) -> None:
    await prepare(service, web, "client_credentials")
    await ask(service)
    before = await service.connections.store.get_token("acme", "prod")
    view = await ask(service, credentials={"secret": "another-client-secret"})
    assert view["status"] == "success"
    assert [one["client_secret"] for one in endpoint.asked] == [
        CLIENT_SECRET,
        "another-client-secret",
    ]
    assert await service.connections.store.get_token("acme", "prod") == before
    assert await hits(service, "another-client-secret", "access-token-2") == 0


async def test_a_new_refresh_token_takes_the_place_of_a_dead_one(
    service: Service, web: Web, endpoint: Endpoint
) -> None:
    await prepare(service, web, "refresh_token")
    await ask(service)
    endpoint.refresh_token = "set-by-a-person"
    endpoint.valid.clear()
    assert (await ask(service))["errorDetail"]["kind"] == "credential"
    await service.connections.store.set_credential("acme", "prod", "rt", "set-by-a-person")
    assert (await ask(service))["status"] == "success"
