"""Requests that clients make all the time, answered without the SDK.

The SDK validates and copies each message several times, which costs more than running a small tool,
and its import is most of a cold start. What is answered here has the plain form of such a request;
everything else, every error of the protocol included, is the SDK's.
"""

import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Literal

import anyio
import anyio.lowlevel
from anyio.abc import TaskGroup

from server.mcp_surface.direct_methods import DirectMethods, Method
from server.mcp_surface.greeting import (
    HANDSHAKE_VERSIONS,
    MODERN_VERSION,
    discovered,
    initialized,
    stamped,
)
from server.mcp_surface.plain_requests import (
    CallingClient,
    PlainRequest,
    client_from,
    error_line,
    id_of_deep,
    is_id,
    message_in,
    object_in,
    request_line,
    result_line,
)
from server.mcp_surface.sdk_connection import REPLAYED_ID, SdkConnection
from server.mcp_surface.shown_tools import ShownTools
from server.service import Service
from tools.faults import trace_of
from tools.json_text import Json, JsonObject, encode_json

__all__ = ["DirectAnswers"]

_log = logging.getLogger(__name__)

#: Results of earlier versions have fewer fields, which the SDK knows.
_OLDEST_VERSION = "2025-06-18"
_ENVELOPE = "io.modelcontextprotocol/"
_CONNECTION_CLOSED = -32000
_INVALID_REQUEST = -32600
_INTERNAL_ERROR = -32603
#: How long the answer to a call that ends with the server may take to leave.
_LAST_WORD_SECONDS = 1.0


class DirectAnswers:
    """One connection: give it each line."""

    def __init__(
        self,
        service: Service,
        tools: ShownTools,
        write_line: Callable[[bytes], Awaitable[None]],
        sdk: SdkConnection,
        group: TaskGroup,
    ) -> None:
        self._write_line = write_line
        self._sdk = sdk
        self._group = group
        #: How the client opened the connection; all of an `other` one is the SDK's.
        self._era: Literal["handshake", "modern", "other"] | None = None
        self._client: CallingClient | None = None
        #: The `_meta` that `_client` was read from, of a modern connection.
        self._envelope: JsonObject = {}
        self._in_flight: dict[str | int, anyio.CancelScope] = {}
        self._methods = DirectMethods(service, tools, write_line).by_name

    async def take(self, line: bytes) -> None:
        """Deal with a line, or hand it to the SDK; an answer is written when it is there."""
        message = None if self._era == "other" else message_in(line)
        if message is not None and is_id(message.get("id")) and _has_odd_params(message):
            # The SDK would not answer.
            error = "params is no object; valid is an object, or nothing"
            await self._write_line(error_line(message["id"], _INVALID_REQUEST, error))
        elif message is None or not await self._take(line, message):
            await self._hand_over(line, message)

    async def _hand_over(self, line: bytes, message: JsonObject | None) -> None:
        request_id = id_of_deep(line, message)
        if request_id is not None:
            error = "the request nests too deeply to be read"
            await self._write_line(error_line(request_id, _INVALID_REQUEST, error))
            return
        # Once the SDK has a part in a connection it must be there when that is opened.
        self._era = self._era or "other"
        await self._sdk.take(line)

    async def _take(self, line: bytes, message: JsonObject) -> bool:
        if "id" not in message:
            return self._take_notification(line, message)
        method: str = message["method"]
        request_id, params = message["id"], object_in(message.get("params", {}))
        meta = None if params is None else object_in(params.get("_meta", {}))
        if not is_id(request_id) or params is None or meta is None or not _has_good_token(meta):
            return False
        if self._era is None and method == "initialize":
            return await self._shake_hands(request_id, params)
        client = self._client_of(meta)
        if client is None or method == "initialize":
            return False
        answer = self._methods.get(method)
        if answer is not None:
            request = PlainRequest(line, request_id, method, params, meta, client)
            # Known from now on: the next line may cancel it.
            scope = self._in_flight[request_id] = anyio.CancelScope()
            self._group.start_soon(self._answer, request, answer, scope)
            return True
        if method == "ping" and not client.is_modern:
            await self._write_line(result_line(request_id, b"{}"))
            return True
        if method == "server/discover" and client.is_modern:
            await self._write_line(result_line(request_id, encode_json(discovered())))
            return True
        return False

    def _take_notification(self, line: bytes, message: JsonObject) -> bool:
        if message["method"] == "notifications/cancelled":
            request_id = (object_in(message.get("params")) or {}).get("requestId")
            scope = self._scope_of(request_id)
            if scope is not None:
                scope.cancel()
            # What was answered already is nobody's any more.
            return scope is not None or not self._sdk.has_started
        if message["method"] == "notifications/initialized" and self._era == "handshake":
            if self._sdk.has_started:
                return False
            if not self._sdk.announces_changes:
                self._sdk.remember(line)
                self._sdk.announces_changes = True
            return True
        return False

    def _scope_of(self, request_id: Json) -> anyio.CancelScope | None:
        scope = self._in_flight.get(request_id) if is_id(request_id) else None
        if scope is None and isinstance(request_id, str):
            # Some clients write the number of a request as text.
            with suppress(ValueError):
                scope = self._in_flight.get(int(request_id))
        return scope

    # Opening

    async def _shake_hands(self, request_id: str | int, params: JsonObject) -> bool:
        wanted, client = params.get("protocolVersion"), params.get("clientInfo")
        version = wanted if wanted in HANDSHAKE_VERSIONS else HANDSHAKE_VERSIONS[-1]
        found = client_from(version, client, params.get("capabilities"))
        if not isinstance(wanted, str) or version < _OLDEST_VERSION or found is None:
            return False
        self._era, self._client = "handshake", found
        self._sdk.remember(request_line(REPLAYED_ID, "initialize", params))
        await self._write_line(result_line(request_id, encode_json(initialized(version))))
        return True

    def _client_of(self, meta: JsonObject) -> CallingClient | None:
        """Who asks; None when only the SDK can tell, or will refuse it."""
        version = meta.get(f"{_ENVELOPE}protocolVersion")
        if self._era == "handshake":
            return self._client if version is None else None
        envelope = {
            key: value
            for key, value in meta.items()
            if key.startswith(_ENVELOPE) and not key.endswith("/logLevel")
        }
        if self._era is None or envelope != self._envelope:
            capabilities = meta.get(f"{_ENVELOPE}clientCapabilities")
            found = client_from(version, meta.get(f"{_ENVELOPE}clientInfo"), capabilities)
            if version != MODERN_VERSION or found is None:
                return None
            if self._era is None:
                self._era = "modern"
                self._sdk.remember(
                    request_line(REPLAYED_ID, "server/discover", {"_meta": envelope})
                )
            self._client, self._envelope = found, envelope
        return self._client

    # Answers

    async def _answer(
        self, request: PlainRequest, method: Method, scope: anyio.CancelScope
    ) -> None:
        is_answered = False
        try:
            # A request that the client cancels is never answered.
            with scope:
                await anyio.lowlevel.checkpoint_if_cancelled()
                line = await self._line_for(request, method)
                if line is None:
                    message = {"id": request.id, "params": request.params}
                    await self._hand_over(request.line, message)
                else:
                    # Written at once; what can take long is the wait for room.
                    is_answered = True
                    await self._write_line(line)
        except anyio.get_cancelled_exc_class():
            if not is_answered:
                with anyio.CancelScope(shield=True), anyio.move_on_after(_LAST_WORD_SECONDS):
                    error = error_line(request.id, _CONNECTION_CLOSED, "Connection closed")
                    await self._write_line(error)
            raise
        finally:
            if self._in_flight.get(request.id) is scope:
                del self._in_flight[request.id]

    async def _line_for(self, request: PlainRequest, method: Method) -> bytes | None:
        try:
            result = await method(request)
            if result is None:
                return None
            if isinstance(result, bytes):
                return result_line(request.id, result)
            if request.client.is_modern:
                result = stamped(result, request.method)
            return result_line(request.id, encode_json(result))
        except Exception as fault:
            _log.error("a fault of callslip ended a request\n%s", trace_of(fault))
            return error_line(request.id, _INTERNAL_ERROR, "Internal server error")


def _has_odd_params(message: JsonObject) -> bool:
    params = message.get("params")
    return params is not None and object_in(params) is None


def _has_good_token(meta: JsonObject) -> bool:
    return "progressToken" not in meta or is_id(meta["progressToken"])
