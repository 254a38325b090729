"""Requests that clients make all the time, answered without the SDK.

The SDK validates and copies each message several times, which costs more than running a small tool,
and its import is most of a cold start. What is answered here has the plain form of such a request;
everything else, every error of the protocol included, is the SDK's.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal, cast

import anyio
import anyio.lowlevel
from anyio.abc import TaskGroup

from server.mcp_surface.call_context import CallContext, ReportProgress
from server.mcp_surface.calls import call_stored_tool
from server.mcp_surface.cursors import BadCursorError
from server.mcp_surface.greeting import (
    HANDSHAKE_VERSIONS,
    MODERN_VERSION,
    discovered,
    initialized,
    stamped,
)
from server.mcp_surface.prompts import prompt_list, prompts
from server.mcp_surface.resources import BadParameterError, NotFoundError
from server.mcp_surface.sdk_connection import REPLAYED_ID, SdkConnection
from server.mcp_surface.shown_resources import ShownResources, resource_templates
from server.mcp_surface.shown_tools import ShownTools
from server.mcp_surface.sign_in import waiting_for_sign_in
from server.service import Service
from storage.errors import StorageError
from tools.faults import trace_of
from tools.json_text import Json, JsonObject, decode_json, encode_json

__all__ = ["DirectAnswers"]

_log = logging.getLogger(__name__)

#: Results of earlier versions have fewer fields, which the SDK knows.
_OLDEST_VERSION = "2025-06-18"
_ENVELOPE = "io.modelcontextprotocol/"
_CONNECTION_CLOSED = -32000
_INTERNAL_ERROR = -32603
#: How long the answer to a call that ends with the server may take to leave.
_LAST_WORD_SECONDS = 1.0
#: Lists of tools that are kept as text; a client asks for each page when it connects.
_KEPT_PAGES = 4


@dataclass(frozen=True)
class _Client:
    """Who is at the other end."""

    protocol_version: str
    name: str
    version: str
    capabilities: Mapping[str, Any]

    @property
    def is_modern(self) -> bool:
        return self.protocol_version == MODERN_VERSION

    @property
    def opens_addresses(self) -> bool:
        """Whether it can show the person a web page to sign in."""
        return self.capabilities.get("elicitation", {}).get("url") is not None


@dataclass(frozen=True)
class _Request:
    line: bytes
    id: str | int
    method: str
    params: JsonObject
    meta: JsonObject
    client: _Client


#: The result, as a value or as its JSON text; None when the request is the SDK's after all.
_Handler = Callable[[_Request], Awaitable[JsonObject | bytes | None]]


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
        self._service = service
        self._tools = tools
        self._write_line = write_line
        self._sdk = sdk
        self._group = group
        #: How the client opened the connection; all of an `other` one is the SDK's.
        self._era: Literal["handshake", "modern", "other"] | None = None
        self._client: _Client | None = None
        #: The `_meta` that `_client` was read from, of a modern connection.
        self._envelope: JsonObject = {}
        self._in_flight: dict[str | int, anyio.CancelScope] = {}
        self._pages: dict[str, bytes] = {}
        self._pages_revision: int | None = None
        self._resources = ShownResources(service, tools.selection)
        self._prompts = prompts(with_authoring=tools.selection.authoring)
        self._handlers: dict[str, _Handler] = {
            "tools/call": self._call,
            "tools/list": self._list_tools,
            "prompts/list": self._list_prompts,
            "resources/list": self._list_resources,
            "resources/templates/list": self._list_templates,
            "resources/read": self._read_resource,
        }

    async def take(self, line: bytes) -> None:
        """Deal with a line, or hand it to the SDK; an answer is written when it is there."""
        message = None if self._era == "other" else _message_in(line)
        if message is None or not await self._take(line, message):
            # Once the SDK has a part in a connection it must be there when that is opened.
            self._era = self._era or "other"
            await self._sdk.take(line)

    async def _take(self, line: bytes, message: JsonObject) -> bool:
        if "id" not in message:
            return self._take_notification(line, message)
        method: str = message["method"]
        request_id, params = message["id"], _object(message.get("params", {}))
        meta = None if params is None else _object(params.get("_meta", {}))
        if not _is_id(request_id) or params is None or meta is None or not _has_good_token(meta):
            return False
        if self._era is None and method == "initialize":
            return await self._shake_hands(request_id, params)
        client = self._client_of(meta)
        if client is None or method == "initialize":
            return False
        handler = self._handlers.get(method)
        if handler is not None:
            request = _Request(line, request_id, method, params, meta, client)
            # Known from now on: the next line may cancel it.
            scope = self._in_flight[request_id] = anyio.CancelScope()
            self._group.start_soon(self._answer, request, handler, scope)
            return True
        if method == "ping" and not client.is_modern:
            await self._write_line(_result_line(request_id, b"{}"))
            return True
        if method == "server/discover" and client.is_modern:
            await self._write_line(_result_line(request_id, encode_json(discovered())))
            return True
        return False

    def _take_notification(self, line: bytes, message: JsonObject) -> bool:
        if message["method"] == "notifications/cancelled":
            request_id = (_object(message.get("params")) or {}).get("requestId")
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
        scope = self._in_flight.get(request_id) if _is_id(request_id) else None
        if scope is None and isinstance(request_id, str):
            # Some clients write the number of a request as text.
            with suppress(ValueError):
                scope = self._in_flight.get(int(request_id))
        return scope

    # Opening

    async def _shake_hands(self, request_id: str | int, params: JsonObject) -> bool:
        wanted, client = params.get("protocolVersion"), params.get("clientInfo")
        version = wanted if wanted in HANDSHAKE_VERSIONS else HANDSHAKE_VERSIONS[-1]
        found = _client(version, client, params.get("capabilities"))
        if not isinstance(wanted, str) or version < _OLDEST_VERSION or found is None:
            return False
        self._era, self._client = "handshake", found
        self._sdk.remember(_request_line("initialize", params))
        await self._write_line(_result_line(request_id, encode_json(initialized(version))))
        return True

    def _client_of(self, meta: JsonObject) -> _Client | None:
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
            found = _client(version, meta.get(f"{_ENVELOPE}clientInfo"), capabilities)
            if version != MODERN_VERSION or found is None:
                return None
            if self._era is None:
                self._era = "modern"
                self._sdk.remember(_request_line("server/discover", {"_meta": envelope}))
            self._client, self._envelope = found, envelope
        return self._client

    # Answers

    async def _answer(self, request: _Request, handler: _Handler, scope: anyio.CancelScope) -> None:
        is_answered = False
        try:
            # A request that the client cancels is never answered.
            with scope:
                await anyio.lowlevel.checkpoint_if_cancelled()
                line = await self._line_for(request, handler)
                if line is None:
                    await self._sdk.take(request.line)
                else:
                    # Written at once; what can take long is the wait for room.
                    is_answered = True
                    await self._write_line(line)
        except anyio.get_cancelled_exc_class():
            if not is_answered:
                with anyio.CancelScope(shield=True), anyio.move_on_after(_LAST_WORD_SECONDS):
                    error = _error_line(request.id, _CONNECTION_CLOSED, "Connection closed")
                    await self._write_line(error)
            raise
        finally:
            if self._in_flight.get(request.id) is scope:
                del self._in_flight[request.id]

    async def _line_for(self, request: _Request, handler: _Handler) -> bytes | None:
        try:
            result = await handler(request)
            if result is None:
                return None
            if isinstance(result, bytes):
                return _result_line(request.id, result)
            if request.client.is_modern:
                result = stamped(result, request.method)
            return _result_line(request.id, encode_json(result))
        except Exception as fault:
            _log.error("a fault of callslip ended a request\n%s", trace_of(fault))
            return _error_line(request.id, _INTERNAL_ERROR, "Internal server error")

    async def _call(self, request: _Request) -> JsonObject | None:
        params, client = request.params, request.client
        name, arguments = params.get("name"), _object(params.get("arguments", {}))
        token = request.meta.get("progressToken")
        if (
            not isinstance(name, str)
            or arguments is None
            or params.keys() - {"name", "arguments", "_meta"}
        ):
            return None
        answer = await self._tools.answer_from_history(name, arguments)
        if answer is None:
            call = self._tools.stored_call(name, arguments)
            if call is None:
                return None
            if isinstance(call, dict):
                answer = call
            elif self._tools.selection.confirm_writes or (
                client.opens_addresses and await waiting_for_sign_in(self._service, call.tool)
            ):
                # The person may have to be asked first.
                return None
            else:
                context = CallContext(
                    client.protocol_version,
                    client.name,
                    client.version,
                    request.meta,
                    None if token is None else self._reporter(token),
                )
                answer = await call_stored_tool(self._service, call, context)
        return answer

    def _reporter(self, token: str | int) -> ReportProgress:
        async def report(progress: float, total: float | None, message: str | None) -> None:
            params: JsonObject = {"progressToken": token, "progress": progress}
            if total is not None:
                params["total"] = total
            if message is not None:
                params["message"] = message
            notification = {"jsonrpc": "2.0", "method": "notifications/progress", "params": params}
            await self._write_line(encode_json(notification) + b"\n")

        return report

    async def _list_tools(self, request: _Request) -> bytes | None:
        cursor = _cursor_of(request)
        if cursor is None:
            return None
        try:
            page = self._page(cursor)
        except BadCursorError:
            return None
        if not request.client.is_modern:
            return page
        return encode_json(stamped({}, request.method))[:-1] + b"," + page[1:]

    async def _list_prompts(self, request: _Request) -> JsonObject | None:
        return None if _cursor_of(request) is None else prompt_list(self._prompts)

    async def _list_templates(self, request: _Request) -> JsonObject | None:
        return None if _cursor_of(request) is None else resource_templates()

    async def _list_resources(self, request: _Request) -> JsonObject | None:
        cursor = _cursor_of(request)
        if cursor is None:
            return None
        try:
            return await self._resources.page(cursor)
        except (BadCursorError, StorageError):
            return None

    async def _read_resource(self, request: _Request) -> JsonObject | None:
        uri = request.params.get("uri")
        if not isinstance(uri, str) or request.params.keys() - {"uri", "_meta"}:
            return None
        try:
            return await self._resources.read(uri)
        except (NotFoundError, BadParameterError, StorageError):
            return None

    def _page(self, cursor: str) -> bytes:
        if self._pages_revision != self._tools.revision:
            self._pages_revision = self._tools.revision
            self._pages.clear()
        page = self._pages.get(cursor)
        if page is None:
            page = encode_json(self._tools.page(cursor))
            if len(self._pages) < _KEPT_PAGES:
                self._pages[cursor] = page
        return page


def _cursor_of(request: _Request) -> str | None:
    """The cursor of a list, "" without one; None when the request is no plain one."""
    cursor = request.params.get("cursor", "")
    is_plain = isinstance(cursor, str) and not request.params.keys() - {"cursor", "_meta"}
    return cursor if is_plain else None


def _message_in(line: bytes) -> JsonObject | None:
    """A request or a notification; None for anything else."""
    try:
        message = decode_json(line)
    except ValueError:
        return None
    fields = _object(message) or {}
    is_called = isinstance(fields.get("method"), str)
    return fields if is_called and fields.get("jsonrpc") == "2.0" else None


def _object(value: Json) -> JsonObject | None:
    return cast("JsonObject", value) if isinstance(value, dict) else None


def _client(version: Json, info: Json, capabilities: Json) -> _Client | None:
    described, known = _object(info) or {}, _object(capabilities)
    name, its_version = described.get("name"), described.get("version")
    if not (isinstance(version, str) and isinstance(name, str) and isinstance(its_version, str)):
        return None
    if known is None or not all(isinstance(one, dict) for one in known.values()):
        return None
    return _Client(version, name, its_version, known)


def _is_id(value: Json) -> bool:
    return isinstance(value, str | int) and not isinstance(value, bool)


def _has_good_token(meta: JsonObject) -> bool:
    return "progressToken" not in meta or _is_id(meta["progressToken"])


def _request_line(method: str, params: JsonObject) -> bytes:
    return encode_json({"jsonrpc": "2.0", "id": REPLAYED_ID, "method": method, "params": params})


def _result_line(request_id: str | int, result: bytes) -> bytes:
    return b'{"jsonrpc":"2.0","id":' + encode_json(request_id) + b',"result":' + result + b"}\n"


def _error_line(request_id: str | int, code: int, message: str) -> bytes:
    error = {"code": code, "message": message}
    return encode_json({"jsonrpc": "2.0", "id": request_id, "error": error}) + b"\n"
