"""Incoming hooks: whether a request proves that it may start a tool, and what it hands over."""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping
from typing import cast
from urllib.parse import parse_qsl

from storage.hooks import Hook, Scheme
from tools.json_text import Json, JsonObject, decode_json

__all__ = ["DEFAULT_HEADERS", "challenge_of", "inputs_of", "proves"]

DEFAULT_HEADERS: Mapping[Scheme, str] = {
    "secret": "X-Callslip-Secret",
    "hmac": "X-Hub-Signature-256",
    "timestamped": "X-Callslip-Signature",
}
#: How old a signed time may be, and how far ahead.
TOLERANCE_SECONDS = 300
_TIMESTAMPED = re.compile(r"t=(\d{1,12}),(?:.*,)?v1=([0-9a-f]{64})")
#: Query parameters with which senders ask whether an address is ours, as they spell them.
_CHALLENGES = ("hub.challenge", "validationToken", "challenge", "crc_token")


def proves(
    hook: Hook,
    secret: str,
    headers: Mapping[str, str],
    query: Mapping[str, str],
    body: bytes,
    now_seconds: float,
) -> bool:
    """Whether a request knows the secret. Header names are compared without case."""
    given = headers.get(hook.header.lower(), "")
    match hook.scheme:
        case "secret":
            return _is_same(given or query.get("secret", ""), secret)
        case "hmac":
            digest = hmac.new(secret.encode(), body, hashlib.sha256).digest()
            return _is_same(_decoded(given.removeprefix("sha256=")), digest)
        case "timestamped":
            parts = _TIMESTAMPED.fullmatch(given.strip())
            if parts is None or abs(now_seconds - int(parts[1])) > TOLERANCE_SECONDS:
                return False
            signed = f"{parts[1]}.".encode() + body
            return _is_same(parts[2], hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest())


def challenge_of(query: Mapping[str, str]) -> str | None:
    """What a sender wants to hear back, to know that the address is ours."""
    return next((query[name] for name in _CHALLENGES if name in query), None)


def inputs_of(body: bytes, content_type: str) -> JsonObject:
    """The body as inputs: a JSON object or a form; other JSON stands under `payload`.

    Raises `ValueError`.
    """
    if not body.strip():
        return {}
    if content_type.partition(";")[0].strip().lower() == "application/x-www-form-urlencoded":
        return dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
    value: Json = decode_json(body)
    return cast("JsonObject", value) if isinstance(value, dict) else {"payload": value}


def _decoded(text: str) -> bytes:
    """A signature in hex, or in base64."""
    try:
        return bytes.fromhex(text)
    except ValueError:
        pass
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""


def _is_same(given: str | bytes, wanted: str | bytes) -> bool:
    def encoded(value: str | bytes) -> bytes:
        return value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value

    return bool(given) and hmac.compare_digest(encoded(given), encoded(wanted))
