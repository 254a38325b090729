"""JSON text in and out, exact for integers of any size.

orjson does the work; what it cannot carry (integers beyond 64 bits, lone surrogates) goes through
the standard library, so no value is rounded or refused.
"""

import json
import re
from typing import Any, NoReturn

import orjson

__all__ = [
    "MOST_LEVELS",
    "Json",
    "JsonObject",
    "decode_json",
    "encode_json",
    "encode_json_text",
    "encode_unicode",
    "nests_deeply",
]

#: A decoded JSON value. `Any`, because every reader of one checks what it needs.
Json = Any
JsonObject = dict[str, Any]

# orjson reads an integer of more than 64 bits as a float; 19 digits is where that can start.
_LONG_INTEGER = re.compile(rb"\d{19}")
# orjson refuses half of a surrogate pair, which JavaScript leaves where it cuts a text.
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_ESCAPE = re.compile(
    rb"\\\\|\\u[dD][89abAB]..\\u[dD][c-fC-F]..|(?P<half>\\u[dD][89a-fA-F]..)", re.DOTALL
)


#: The SDK of MCP refuses a message of some 200 levels, on both ends.
MOST_LEVELS = 100
_STRUCTURE = re.compile(r'"(?:[^"\\]|\\.)*"|[\[{\]}]', re.DOTALL)


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


def encode_unicode(value: Json) -> tuple[Json, str]:
    """A value and its JSON text without halves of surrogate pairs, which are U+FFFD in both.

    For what leaves as UTF-8 through others, who refuse the whole message for one half.
    """
    data = encode_json(value)
    if _SURROGATE.search(data):
        data = _ESCAPE.sub(_whole_pair, data)
        value = decode_json(data)
    return value, data.decode()


def nests_deeply(text: str) -> bool:
    """Whether JSON text nests further than `MOST_LEVELS`: the parsers of others have limits."""
    if text.count("[") + text.count("{") <= MOST_LEVELS:
        return False
    depth = 0
    for match in _STRUCTURE.finditer(text):
        if match[0] in "[{":
            depth += 1
            if depth > MOST_LEVELS:
                return True
        elif match[0] in "]}":
            depth -= 1
    return False


def _whole_pair(match: re.Match[bytes]) -> bytes:
    return b"\\ufffd" if match["half"] else match[0]


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
