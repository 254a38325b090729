"""What the service does with systems, beside running tools over them."""

from urllib.parse import parse_qs, urlsplit

import anyio
import httpx
import pytest

from server.service import Service
from tests.web import Answer, Web
from tools.errors import ErrorKind, RunError

CLIENT_ID = "client-id-0123"


@pytest.mark.parametrize("refuses", ["the page", "the token endpoint"])
async def test_a_sign_in_that_is_refused_does_not_repeat_the_client_id(
    refuses: str, service: Service, web: Web
) -> None:
    words = f"client {CLIENT_ID} is not known"
    web.answers(Answer({"error": "invalid_client", "error_description": words}, 401))
    auth = {
        "type": "oauth2",
        "grant": "authorization_code",
        "authorizationUrl": f"{web.url}/authorize",
        "tokenUrl": f"{web.url}/token",
        "clientId": "client_id",
    }
    credentials = {"client_id": CLIENT_ID}
    await service.connections.put(
        {"id": "acme", "url": web.url, "auth": auth, "credentials": credentials}
    )
    system = await service.connections.load("acme", "prod")

    async def come_back(address: str) -> None:
        asked = {name: one[0] for name, one in parse_qs(urlsplit(address).query).items()}
        assert asked["client_id"] == CLIENT_ID
        given = {"code": "the-code"} if refuses == "the token endpoint" else {"error": words}
        async with httpx.AsyncClient(trust_env=False) as client:
            await client.get(asked["redirect_uri"], params={"state": asked["state"], **given})

    async with anyio.create_task_group() as group:

        def show(address: str) -> None:
            group.start_soon(come_back, address)

        with pytest.raises(RunError) as caught:
            await service.connections.sign_in(system, show)
        assert caught.value.kind is ErrorKind.CREDENTIAL
        assert CLIENT_ID not in caught.value.message
        assert "[credential acme.client_id]" in caught.value.message
