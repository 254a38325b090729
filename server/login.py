"""Signing in to a system: the browser goes to the system, and comes back to loopback."""

import secrets
from collections.abc import Callable
from urllib.parse import parse_qs, urlsplit

import anyio
from anyio.abc import ByteStream, Listener, SocketAttribute

from tools.addresses import AddressPolicy
from tools.auth.oauth2 import Pkce, Token, authorization_url, request_token
from tools.errors import ErrorKind, RunError
from tools.http import HttpClient
from tools.system import OAuth2Auth, System

__all__ = ["SIGN_IN_SECONDS", "sign_in"]

SIGN_IN_SECONDS = 300.0
_MAX_REQUEST_BYTES = 16 * 1024
_PAGE = (
    "<!doctype html><meta charset=utf-8><title>callslip</title>"
    "<p style='font: 1.2rem system-ui; margin: 3rem'>{}</p>"
)


async def sign_in(
    system: System,
    http: HttpClient,
    policy: AddressPolicy,
    show: Callable[[str], None],
    *,
    seconds: float = SIGN_IN_SECONDS,
) -> Token:
    """Have a person sign in: the tokens of the system.

    `show` gets the address to open. Raises `RunError` of kind `credential` when the system has no
    such grant, the person does not come back within `seconds`, or the server refuses.
    """
    auth = system.auth
    if not isinstance(auth, OAuth2Auth) or auth.grant != "authorization_code":
        raise RunError(
            ErrorKind.CREDENTIAL,
            f"system {system.id} is not signed in to with a browser",
            hint='its auth must be {"type": "oauth2", "grant": "authorization_code", …}',
        )
    pkce, state = Pkce.new(), secrets.token_urlsafe(24)
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1", local_port=0)
    async with listener:
        port = listener.extra(SocketAttribute.local_port)  # noqa: S610 - anyio, not Django
        redirect_uri = f"http://127.0.0.1:{port}/callback"
        show(authorization_url(system, auth, redirect_uri=redirect_uri, state=state, pkce=pkce))
        code = await _wait_for_code(listener, state, system, seconds)
    return await request_token(
        system,
        auth,
        http,
        {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": pkce.verifier,
        },
        policy,
    )


async def _wait_for_code(
    listener: Listener[ByteStream], state: str, system: System, seconds: float
) -> str:
    answers: list[dict[str, list[str]]] = []

    async def handle(stream: ByteStream) -> None:
        async with stream:
            with anyio.move_on_after(10):
                query = await _read_query(stream)
                is_ours = query.get("state") == [state] and ("code" in query or "error" in query)
                words = (
                    "You are signed in; this page can be closed." if is_ours else "Not this one."
                )
                await stream.send(_response(200 if is_ours else 400, words))
                if is_ours:
                    answers.append(query)
                    group.cancel_scope.cancel()

    with anyio.move_on_after(seconds):
        async with anyio.create_task_group() as group:
            await listener.serve(handle, group)
    if not answers:
        raise RunError(
            ErrorKind.CREDENTIAL,
            f"nobody signed in to system {system.id} within {seconds:g} s",
            hint="run the command again",
        )
    if "code" not in answers[0]:
        words = " - ".join(answers[0].get("error", []) + answers[0].get("error_description", []))
        raise RunError(ErrorKind.CREDENTIAL, f"system {system.id} refused the sign-in: {words}")
    return answers[0]["code"][0]


async def _read_query(stream: ByteStream) -> dict[str, list[str]]:
    """The query of the first request line on a connection."""
    received = b""
    while b"\r\n\r\n" not in received and len(received) < _MAX_REQUEST_BYTES:
        received += await stream.receive()
    parts = received.split(b"\r\n", 1)[0].decode("latin-1").split(" ")
    return parse_qs(urlsplit(parts[1]).query) if len(parts) == 3 else {}


def _response(status: int, words: str) -> bytes:
    body = _PAGE.format(words).encode()
    head = (
        f"HTTP/1.1 {status} {'OK' if status == 200 else 'Bad Request'}\r\n"
        f"Content-Type: text/html; charset=utf-8\r\nContent-Length: {len(body)}\r\n"
        "Connection: close\r\n\r\n"
    )
    return head.encode() + body
