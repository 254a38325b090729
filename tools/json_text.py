"""JSON text in and out, exact for integers of any size.

orjson does the work; what it cannot carry (integers beyond 64 bits, lone surrogates) goes through
the standard library, so no value is rounded or refused.
"""

import json
import re
from typing import Any, NoReturn

import orjson

__all__ = ["Json", "JsonObject", "decode_json", "encode_json", "encode_json_text"]

#: A decoded JSON value. `Any`, because every reader of one checks what it needs.
Json = Any
JsonObject = dict[str, Any]

# orjson reads an integer of more than 64 bits as a float; 19 digits is where that can start.
_LONG_INTEGER = re.compile(rb"\d{19}")
# orjson refuses half of a surrogate pair, which JavaScript leaves where it cuts a text.
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


def decode_json(data: bytes) -> Json:
    """The value of a JSON text (UTF-8).

    Raises `ValueError` with the position where the text stops being JSON; NaN and Infinity are
    not JSON.
    """
    if _LONG_INTEGER.search(data):
        try:
            return json.loads(data, parse_constant=_refuse_constant)
        except RecursionError:
            raise ValueError("the JSON is nested too deeply") from None
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        if not _SURROGATE.search(data):
            raise
    try:
        return json.loads(data, parse_constant=_refuse_constant)
    except RecursionError:
        raise ValueError("the JSON is nested too deeply") from None


def encode_json(value: Json) -> bytes:
    """Compact JSON text of a value, UTF-8.

    Raises `TypeError` for what is not a JSON value, `ValueError` for one nested too deeply.
    """
    try:
        return orjson.dumps(value)
    except (TypeError, orjson.JSONEncodeError):
        try:
            return json.dumps(value, separators=(",", ":"), allow_nan=False).encode()
        except RecursionError:
            raise ValueError("the value is nested too deeply for JSON") from None


def encode_json_text(value: Json) -> str:
    """Like `encode_json`, as `str`."""
    return encode_json(value).decode()


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
