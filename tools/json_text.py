"""JSON text in and out, exact for integers of any size.

orjson does the work; what it cannot carry (integers beyond 64 bits, lone surrogates) goes through
the standard library, so no value is rounded or refused.
"""

import json
import re
from typing import Any, NoReturn, cast

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
_LONG_INTEGER = b"0" * 19
_DIGITS_TO_ZERO = bytes.maketrans(b"123456789", b"000000000")
_SCANNED_BYTES = 1024 * 1024
# orjson refuses half of a surrogate pair, which JavaScript leaves where it cuts a text.
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_ESCAPE = re.compile(
    rb"\\\\|\\u[dD][89abAB]..\\u[dD][c-fC-F]..|(?P<half>\\u[dD][89a-fA-F]..)", re.DOTALL
)


#: The SDK of MCP refuses a message of some 200 levels, on both ends.
MOST_LEVELS = 100


def decode_json(data: bytes) -> Json:
    """The value of a JSON text (UTF-8).

    Raises `ValueError` with the position where the text stops being JSON; NaN and Infinity are
    not JSON.
    """
    if _has_long_integer(data):
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


def nests_deeply(value: Json) -> bool:
    """Whether a value nests further than `MOST_LEVELS`: the parsers of others have limits."""
    level: list[Json] = [value]
    for _ in range(MOST_LEVELS + 1):
        level = [inner for outer in level for inner in _inner_containers(outer)]
        if not level:
            return False
    return True


def _inner_containers(value: Json) -> list[Json]:
    if isinstance(value, dict):
        inner = cast("JsonObject", value).values()
    elif isinstance(value, list):
        inner = cast("list[Json]", value)
    else:
        return []
    return [one for one in inner if isinstance(one, dict | list)]


def _has_long_integer(data: bytes) -> bool:
    """Whether 19 digits stand in a row; piece by piece, because a copy of all would be large."""
    if len(data) < len(_LONG_INTEGER):
        return False
    return any(
        _LONG_INTEGER in data[start : start + _SCANNED_BYTES + 18].translate(_DIGITS_TO_ZERO)
        for start in range(0, len(data), _SCANNED_BYTES)
    )


def _whole_pair(match: re.Match[bytes]) -> bytes:
    return b"\\ufffd" if match["half"] else match[0]


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
