"""Every way of signing in, against servers that others wrote."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import anyio
import httpx
import mcp_types as types
import pytest
from mcp import Client

from server.active_run import RunRequest
from server.mcp_surface.surface import McpSurface
from server.service import Service
from server.views import tool_view
from tools.errors import RunError
from tools.run import RequestSource

PASSWORD = "correct-horse-battery"


async def store(service: Service, system: dict[str, Any], url: str) -> None:
    """A system, and a tool that asks it for one thing."""
    report = await service.connections.put(system)
    assert report["outcome"] == "added", report
    step = {"id": "ask", "config": {"url": url, "systemId": system["id"]}, "retries": 0}
    _, outcome = await service.tools.put({"id": "ask", "steps": [step]})
    assert outcome is not None


async def ask(service: Service) -> dict[str, Any]:
    active = await service.start(RunRequest("ask", {}, RequestSource.API))
    await active.wait()
    return tool_view(await service.get_run(active.run_id))


@pytest.mark.parametrize(
    ("auth", "path"),
    [
        ({"type": "basic", "username": "user", "password": "word"}, "/basic-auth/ann/<<bin_word>>"),
        (
            {"type": "digest", "username": "user", "password": "word"},
            "/digest-auth/auth/ann/<<bin_word>>",
        ),
        ({"type": "bearer", "credential": "word"}, "/bearer"),
    ],
    ids=["basic", "digest", "bearer"],
)
async def test_httpbin_takes_the_credentials(
    auth: dict[str, Any], path: str, service: Service, httpbin: str
) -> None:
    system = {
        "id": "bin",
        "url": httpbin,
        "auth": auth,
        "credentials": {"user": "ann", "word": PASSWORD},
    }
    await store(service, system, path)
    view = await ask(service)
    assert view["status"] == "success", view["error"]
    assert view["data"]["authenticated"] is True
    assert PASSWORD not in str(view)


async def test_httpbin_refuses_a_wrong_password(service: Service, httpbin: str) -> None:
    system = {
        "id": "bin",
        "url": httpbin,
        "auth": {"type": "digest", "username": "user", "password": "word"},
        "credentials": {"user": "ann", "word": "wrong-wrong-wrong"},
    }
    await store(service, system, f"/digest-auth/auth/ann/{PASSWORD}")
    view = await ask(service)
    assert view["errorDetail"]["http"]["status"] == 401
    assert "wants a credential" in view["errorDetail"]["hint"]


@pytest.mark.parametrize("place", ["header", "query"])
async def test_httpbin_sees_an_api_key_and_no_record_does(
    place: str, service: Service, httpbin: str
) -> None:
    system = {
        "id": "bin",
        "url": httpbin,
        "auth": {"type": "apiKey", "in": place, "name": "X-Api-Key", "credential": "key"},
        "credentials": {"key": PASSWORD},
    }
    await store(service, system, "/anything?a=1")
    view = await ask(service)
    seen = view["data"]["headers" if place == "header" else "args"]
    assert seen["X-Api-Key"] == "[credential bin.key]"
    assert view["data"]["args"]["a"] == "1"
    assert PASSWORD not in str(view)


async def test_moto_takes_an_aws_signature(service: Service, aws: str) -> None:
    system = {
        "id": "aws",
        "url": aws,
        "auth": {
            "type": "aws_sigv4",
            "accessKeyId": "id",
            "secretAccessKey": "secret",
            "region": "eu-west-1",
            "service": "s3",
        },
        "credentials": {"id": "AKIA0123456789EXAMPLE", "secret": "wJalrXUtnFEMI/K7MDENG"},
    }
    await store(service, system, "/?list-type=2&prefix=a b")
    view = await ask(service)
    assert view["status"] == "success", view["error"]
    assert "ListAllMyBucketsResult" in view["data"]
    assert "wJalrXUtnFEMI" not in str(view)


def oauth(provider: str) -> dict[str, Any]:
    return {
        "id": "oidc",
        "url": provider,
        "auth": {
            "type": "oauth2",
            "grant": "authorization_code",
            "authorizationUrl": f"{provider}/oauth2/authorize",
            "tokenUrl": f"{provider}/oauth2/token",
            "clientId": "id",
            "clientSecret": "secret",
            "clientAuth": "basic",
            "scopes": ["openid", "offline_access"],
        },
        "credentials": {"id": "client-0123456789", "secret": "client-secret-0123"},
    }


async def consent(url: str) -> httpx.Response:
    """What a person does in the browser: sign in, be sent back."""
    async with httpx.AsyncClient(trust_env=False, follow_redirects=False) as browser:
        assert "Authorize" in (await browser.get(url)).text
        answer = await browser.post(url, data={"sub": "ann"})
        assert answer.status_code == 302, answer.text
        return await browser.get(answer.headers["location"])


async def test_a_person_signs_in_and_the_tokens_are_renewed(
    service: Service, oidc_provider: str
) -> None:
    await store(service, oauth(oidc_provider), "/userinfo")
    before = await ask(service)
    assert before["errorDetail"]["hint"] == "callslip systems login oidc"

    system = await service.connections.load("oidc", "prod")
    addresses: list[str] = []
    async with anyio.create_task_group() as group:

        def show(url: str) -> None:
            addresses.append(url)
            group.start_soon(consent, url)

        await service.connections.sign_in(system, show)
    query = parse_qs(urlsplit(addresses[0]).query)
    assert query["code_challenge_method"] == ["S256"]
    view = await ask(service)
    assert view["data"]["sub"] == "ann"

    token = await service.connections.tokens.access_token(system, None)
    renewed = await service.connections.tokens.access_token(system, token)
    assert renewed != token
    assert (await ask(service))["data"]["sub"] == "ann"
    for secret in (token, renewed):
        assert secret not in str(view)


async def test_a_sign_in_that_is_not_ours_is_turned_away(
    service: Service, oidc_provider: str
) -> None:
    await store(service, oauth(oidc_provider), "/userinfo")
    system = await service.connections.load("oidc", "prod")
    answers: list[int] = []

    async def forge(url: str) -> None:
        redirect = parse_qs(urlsplit(url).query)["redirect_uri"][0]
        async with httpx.AsyncClient(trust_env=False) as browser:
            forged = await browser.get(redirect, params={"code": "x", "state": "forged"})
            answers.append(forged.status_code)
            state = parse_qs(urlsplit(url).query)["state"][0]
            await browser.get(redirect, params={"error": "access_denied", "state": state})

    async with anyio.create_task_group() as group:

        def show(url: str) -> None:
            group.start_soon(forge, url)

        with pytest.raises(RunError, match="refused the sign-in: access_denied"):
            await service.connections.sign_in(system, show)
    assert answers == [400]


@pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
async def test_a_client_that_opens_addresses_is_offered_the_sign_in(
    mode: str, service: Service, oidc_provider: str
) -> None:
    await store(service, oauth(oidc_provider), "/userinfo")
    asked: list[types.ElicitRequestParams] = []

    async def open_address(context: Any, params: types.ElicitRequestParams) -> types.ElicitResult:
        asked.append(params)
        assert isinstance(params, types.ElicitRequestURLParams)
        await consent(params.url)
        return types.ElicitResult(action="accept")

    server = McpSurface(service).server
    async with Client(server, mode=mode, elicitation_callback=open_address) as client:
        answer = await client.call_tool("ask", {})
        assert answer.structured_content is not None, answer.content
        assert answer.structured_content["sub"] == "ann"
        await client.call_tool("ask", {})
    assert len(asked) == 1


async def test_without_such_a_client_the_error_names_the_command(
    service: Service, oidc_provider: str
) -> None:
    await store(service, oauth(oidc_provider), "/userinfo")
    async with Client(McpSurface(service).server) as client:
        answer = await client.call_tool("ask", {})
    assert answer.is_error
    assert isinstance(answer.content[0], types.TextContent)
    assert "callslip systems login oidc" in answer.content[0].text
