"""What every request passes before a route sees it: Host, Origin, key, size, time.

Whatever comes in is answered with JSON and its trace id: nothing hangs, and no fault shows more
than that there was one.
"""

import logging
import re
import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

import anyio
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.callers import Authenticator, Caller, FailureLimit
from server.rest.answers import error_answer
from storage.errors import StorageError
from tools.faults import trace_of

__all__ = ["Gate", "Hosts", "Limits"]

_log = logging.getLogger(__name__)

#: Below it a request may prove itself in place of a key.
HOOKS_PREFIX = "/v1/hooks/"
_TRACE_ID = re.compile(r"[\x21-\x7e]{1,128}")
_READING = frozenset({"GET", "HEAD"})
#: How much of a refused request is still taken, and for how long.
_DROPPED_BYTES = 50 * 1024 * 1024
_DROPPING_SECONDS = 5.0
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


@dataclass(frozen=True)
class Limits:
    """How much a request may bring, and for how long."""

    body_bytes: int = 10 * 1024 * 1024
    body_seconds: float = 30.0


class Hosts:
    """The names under which the server may be called: pages of others cannot reach it."""

    def __init__(self, names: Collection[str]) -> None:
        self.names = _LOOPBACK | {name.strip("[]").lower() for name in names}

    def has(self, authority: str) -> bool:
        """Whether `host` or `host:port` is one of ours."""
        try:
            name = urlsplit(f"//{authority}").hostname
        except ValueError:
            return False
        return name is not None and name in self.names

    def has_origin(self, origin: str) -> bool:
        """Whether a page of this origin may call."""
        scheme, _, authority = origin.partition("://")
        return scheme in ("http", "https") and self.has(authority)


class _RefusalError(Exception):
    def __init__(
        self,
        status: int,
        message: str,
        code: str,
        headers: Mapping[str, str] | None = None,
        *,
        is_read: bool = False,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.headers = headers or {}
        #: Nothing more of the request is to come, or to be waited for.
        self.is_read = is_read


class Gate:
    """The outermost application.

    `open_paths` need no key; below `proving_prefix` a request may prove itself without one.
    """

    def __init__(
        self,
        app: ASGIApp,
        authenticator: Authenticator,
        hosts: Hosts,
        open_paths: Collection[str] = (),
        proving_prefix: str = HOOKS_PREFIX,
        limits: Limits | None = None,
    ) -> None:
        self._app = app
        self._authenticator = authenticator
        self._hosts = hosts
        self._open_paths = open_paths
        self._proving_prefix = proving_prefix
        self._limits = limits or Limits()
        self._failures = FailureLimit()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        headers = Headers(scope=scope)
        given = headers.get("x-trace-id", "")
        state = scope.setdefault("state", {})
        state["given_trace_id"] = given if _TRACE_ID.fullmatch(given) else None
        state["trace_id"] = state["given_trace_id"] or uuid.uuid4().hex
        is_begun = False

        async def traced(message: Message) -> None:
            nonlocal is_begun
            if message["type"] == "http.response.start":
                is_begun = True
                trace_id = state["trace_id"].encode("ascii")
                message["headers"] = [*message["headers"], (b"x-trace-id", trace_id)]
            await send(message)

        try:
            await self._admit(scope, headers)
            received = await self._received(headers, receive)
            if received is not None:
                await self._app(scope, received, traced)
        except _RefusalError as refusal:
            answer = error_answer(refusal.status, str(refusal), refusal.code)
            if not refusal.is_read:
                await self._let_go(receive)
            answer.headers.update({**refusal.headers, "connection": "close"})
            await answer(scope, receive, traced)
        except Exception as fault:
            _log.error("a fault of callslip ended a request\n%s", trace_of(fault))
            if not is_begun:
                answer = error_answer(500, "callslip itself failed; its log says more", "internal")
                await answer(scope, receive, traced)

    async def _admit(self, scope: Scope, headers: Headers) -> None:
        """Set the caller. Raises `_RefusalError`."""
        host = headers.get("host", "")
        if not self._hosts.has(host):
            raise _RefusalError(
                421,
                f"this server is not called {host[:120]!r}; `serve --http --allowed-host NAME` "
                "lets it be called so",
                "wrong_host",
            )
        origin = headers.get("origin")
        if origin is not None and not self._hosts.has_origin(origin):
            raise _RefusalError(
                403, f"pages of {origin[:120]!r} may not call this server", "wrong_origin"
            )
        if scope["path"] in self._open_paths:
            return
        address = scope["client"][0] if scope.get("client") else ""
        wait = self._failures.wait_seconds(address)
        if wait:
            raise _RefusalError(
                429,
                "too many wrong keys from this address; wait",
                "too_many_failures",
                {"retry-after": str(int(wait) + 1)},
            )
        key = _key_of(scope, headers)
        try:
            caller = await self._authenticator.identify(key)
        except StorageError as error:
            raise _RefusalError(503, str(error), "storage") from error
        if caller is None and key is None and scope["path"].startswith(self._proving_prefix):
            # The route asks for another proof, and counts those that fail.
            scope["state"]["caller"] = Caller(None, frozenset())
            scope["state"]["proof_failed"] = lambda: self._failures.failed(address)
            return
        if caller is None:
            if key is not None:
                self._failures.failed(address)
            raise _RefusalError(
                401,
                "the key is not valid"
                if key is not None
                else "a key is needed: send the header authorization: Bearer KEY",
                "unauthorized",
                {"www-authenticate": 'Bearer realm="callslip"'},
            )
        scope["state"]["caller"] = caller

    async def _received(self, headers: Headers, receive: Receive) -> Receive | None:
        """The whole body as one message, then what comes after it. None when nobody waits."""
        length = headers.get("content-length", "")
        if length.isdecimal() and int(length[:20]) > self._limits.body_bytes:
            raise self._too_large(is_read=False)
        body = bytearray()
        with anyio.move_on_after(self._limits.body_seconds) as waiting:
            while True:
                message = await receive()
                if message["type"] != "http.request":
                    return None
                body += message.get("body", b"")
                if len(body) > self._limits.body_bytes:
                    raise self._too_large(is_read=not message.get("more_body", False))
                if not message.get("more_body", False):
                    break
        if waiting.cancelled_caught:
            raise _RefusalError(
                408,
                f"the body did not arrive within {self._limits.body_seconds:g} s",
                "timeout",
                is_read=True,
            )
        waits: list[Message] = [
            {"type": "http.request", "body": bytes(body), "more_body": False},
        ]

        async def received() -> Message:
            return waits.pop() if waits else await receive()

        return received

    async def _let_go(self, receive: Receive) -> None:
        """Drop the rest of a body: a client that still sends when all is closed sees no answer."""
        left = _DROPPED_BYTES
        with anyio.move_on_after(_DROPPING_SECONDS):
            while left > 0:
                message = await receive()
                if message["type"] != "http.request" or not message.get("more_body", False):
                    return
                left -= len(message.get("body", b""))

    def _too_large(self, *, is_read: bool) -> _RefusalError:
        most = self._limits.body_bytes
        message = f"the body is too large; valid are {most:,} bytes"
        return _RefusalError(413, message, "too_large", is_read=is_read)


def _key_of(scope: Scope, headers: Headers) -> str | None:
    """The key of a request; in the address only where nothing is changed."""
    scheme, _, key = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and key.strip():
        return key.strip()
    if scope["method"] in _READING:
        tokens = parse_qs(scope["query_string"].decode("latin-1")).get("token", [])
        return tokens[-1] if tokens else None
    return None
