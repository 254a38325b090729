"""Each way of signing in: what it puts on a request, and to whom."""

import base64
from typing import Any

import pytest

from tools.auth import authorize
from tools.errors import ErrorKind, RunError
from tools.http import OutgoingRequest
from tools.scope import with_run_time_credentials
from tools.system import System

pytestmark = pytest.mark.anyio
CREDENTIALS = {"user": "ann", "word": "pä:ss", "key": "k&y =/+"}
BASIC = {"type": "basic", "username": "user", "password": "word"}
IN_QUERY = {"type": "apiKey", "in": "query", "name": "api key", "credential": "key"}


def acme(auth: Any, **fields: Any) -> System:
    return System.model_validate(
        {"id": "acme", "url": "https://acme.test/api", "auth": auth, **fields}
    )


async def no_token(system: System, rejected: str | None) -> str:
    return f"token of {system.id} not {rejected}"


async def signed(system: System, url: str = "https://acme.test/x", **fields: Any) -> Any:
    return await authorize(OutgoingRequest("GET", url, **fields), system, no_token, rejected="r")


async def test_basic_encodes_the_pair_and_replaces_what_the_template_wrote() -> None:
    system = acme(BASIC, credentials=CREDENTIALS)
    request = await signed(system, headers=[("authorization", "mine"), ("A", "b")])
    pair = base64.b64encode("ann:pä:ss".encode()).decode()
    assert request.headers == [("A", "b"), ("Authorization", f"Basic {pair}")]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://acme.test/x", "https://acme.test/x?api+key=k%26y+%3D%2F%2B"),
        (
            "https://acme.test/x?api%20key=old&a=1#f",
            "https://acme.test/x?a=1&api+key=k%26y+%3D%2F%2B#f",
        ),
    ],
    ids=["alone", "beside others"],
)
async def test_a_key_in_the_query_is_encoded_and_stands_once(url: str, expected: str) -> None:
    assert (await signed(acme(IN_QUERY, credentials=CREDENTIALS), url)).url == expected


async def test_a_key_in_a_header_is_known_to_be_a_credential() -> None:
    auth = {"type": "apiKey", "in": "header", "name": "X-Key", "credential": "user"}
    request = await signed(acme(auth, credentials=CREDENTIALS))
    assert request.headers == [("X-Key", "ann")]
    assert request.credential_headers == {"x-key"}


@pytest.mark.parametrize(
    "url",
    [
        "https://other.test/x",
        "http://acme.test/x",
        "https://acme.test:8443/x",
        "https://acme.test.evil.test/x",
        "https://acme.test@evil.test/x",
    ],
)
async def test_nothing_is_signed_for_another_origin(url: str) -> None:
    with pytest.raises(RunError, match="do not go to") as caught:
        await signed(acme(BASIC, credentials=CREDENTIALS), url)
    assert caught.value.kind is ErrorKind.CREDENTIAL


@pytest.mark.parametrize("url", ["HTTPS://ACME.test:443/x", "https://cdn.test/x"])
async def test_the_own_origin_and_allowed_ones_are_signed_for(url: str) -> None:
    system = acme(BASIC, credentials=CREDENTIALS, allowedOrigins=["https://cdn.test/"])
    assert (await signed(system, url)).headers


@pytest.mark.parametrize("missing", ["user", "word"])
async def test_a_missing_credential_names_the_command_for_its_environment(missing: str) -> None:
    kept = {name: value for name, value in CREDENTIALS.items() if name != missing}
    with pytest.raises(RunError) as caught:
        await signed(acme(BASIC, credentials=kept, environment="dev"))
    command = f"callslip systems set-credential acme {missing} --environment dev"
    assert caught.value.detail.hint == command


def test_run_time_credentials_take_the_place_of_those_of_their_system_alone() -> None:
    system = acme(BASIC, credentials=CREDENTIALS)
    run_time = {"user": "bob", "acme_word": "other", "beta_key": "no", "acme_url": "no", "x": "no"}
    found = with_run_time_credentials(system, run_time).credentials
    assert found == {**CREDENTIALS, "user": "bob", "word": "other"}
    assert system.credentials == CREDENTIALS
    assert with_run_time_credentials(system, {"x": "y"}) is system
