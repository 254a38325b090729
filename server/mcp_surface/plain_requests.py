"""JSON-RPC messages of the plain form that needs no model of the SDK to be understood."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from server.mcp_surface.greeting import MODERN_VERSION
from tools.json_text import Json, JsonObject, decode_json, encode_json, nests_deeply

__all__ = [
    "CallingClient",
    "PlainRequest",
    "client_from",
    "error_line",
    "id_of_deep",
    "is_id",
    "message_in",
    "notification_line",
    "object_in",
    "request_line",
    "result_line",
]


#: Of its parser of JSON.
_SDK_LEVELS = 190
_ID = re.compile(rb'[{,]\s*"id"\s*:\s*([0-9]{1,18}|"[^"\\]{1,200}")\s*[,}]')
_ENDS_BYTES = 1000


@dataclass(frozen=True)
class CallingClient:
    """Who is at the other end, by the handshake or by the envelope of a request."""

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
class PlainRequest:
    """A request, and the line it came in."""

    line: bytes
    id: str | int
    method: str
    params: JsonObject
    #: `_meta` of the parameters.
    meta: JsonObject
    client: CallingClient

    @property
    def cursor(self) -> str | None:
        """Where a list goes on, "" from its start; None when this asks for more than a list."""
        cursor = self.params.get("cursor", "")
        return cursor if isinstance(cursor, str) and self.has_only("cursor") else None

    def has_only(self, *names: str) -> bool:
        """Whether there are no parameters but these, and `_meta`."""
        return not self.params.keys() - {*names, "_meta"}


def message_in(line: bytes) -> JsonObject | None:
    """A request or a notification; None for anything else."""
    try:
        message = object_in(decode_json(line))
    except ValueError:
        return None
    if message is None or message.get("jsonrpc") != "2.0":
        return None
    return message if isinstance(message.get("method"), str) else None


def client_from(version: Json, info: Json, capabilities: Json) -> CallingClient | None:
    """The client that a handshake or an envelope describes; None for other than a plain form."""
    described, known = object_in(info) or {}, object_in(capabilities)
    name, its_version = described.get("name"), described.get("version")
    if not (isinstance(version, str) and isinstance(name, str) and isinstance(its_version, str)):
        return None
    if known is None or not all(isinstance(one, dict) for one in known.values()):
        return None
    return CallingClient(version, name, its_version, known)


def object_in(value: Json) -> JsonObject | None:
    """The value, when it is an object."""
    return cast("JsonObject", value) if isinstance(value, dict) else None


def is_id(value: Json) -> bool:
    """Whether a value can name a request, or its progress."""
    return isinstance(value, str | int) and not isinstance(value, bool)


def id_of_deep(line: bytes, message: JsonObject | None) -> str | int | None:
    """The id of a request that nests further than the SDK reads, which would never answer it."""
    if line.count(b"[") + line.count(b"{") <= _SDK_LEVELS:
        return None
    if message is not None:
        request_id = message.get("id")
        is_deep = is_id(request_id) and nests_deeply(message, most_levels=_SDK_LEVELS)
        return request_id if is_deep else None
    try:
        decode_json(line)
    except ValueError:
        # Deeper than we read ourselves: the id stands before or after what is so deep.
        found = _ID.search(line[:_ENDS_BYTES]) or _ID.search(line[-_ENDS_BYTES:])
        return None if found is None or b'"method"' not in line else decode_json(found[1])
    return None


def request_line(request_id: str, method: str, params: JsonObject) -> bytes:
    """A request of ours; for the SDK, which needs no end of a line."""
    return encode_json({"jsonrpc": "2.0", "id": request_id, "method": method, "params": params})


def result_line(request_id: str | int, result: bytes) -> bytes:
    """The line of an answer; `result` is JSON text."""
    return b'{"jsonrpc":"2.0","id":' + encode_json(request_id) + b',"result":' + result + b"}\n"


def error_line(request_id: str | int, code: int, message: str) -> bytes:
    """The line of an answer that is an error."""
    error = {"code": code, "message": message}
    return encode_json({"jsonrpc": "2.0", "id": request_id, "error": error}) + b"\n"


def notification_line(method: str, params: JsonObject) -> bytes:
    """The line of something that nobody answers."""
    return encode_json({"jsonrpc": "2.0", "method": method, "params": params}) + b"\n"
