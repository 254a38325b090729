"""JSON text in and out, exact for integers of any size.

orjson does the work; what it cannot carry (integers beyond 64 bits, lone surrogates) goes through
the standard library, so no value is rounded or refused. Large texts are read by pydantic's parser,
which makes the values as it goes: orjson builds a tree first that takes more than the text itself.
"""

import json
import math
import re
from itertools import chain
from typing import Any, NoReturn

import orjson
from pydantic_core import from_json

__all__ = [
    "MOST_LEVELS",
    "Json",
    "JsonObject",
    "decode_json",
    "encode_json",
    "encode_json_text",
    "encode_unicode",
    "is_unicode",
    "nests_deeply",
]

#: A decoded JSON value. `Any`, because every reader of one checks what it needs.
Json = Any
JsonObject = dict[str, Any]

# orjson reads an integer of more than 64 bits as a float; 19 digits is where that can start.
_LONG_INTEGER = b"0" * 19
# What may be beyond the largest float; pydantic's parser takes it for infinity.
_LARGE_EXPONENT = b"0e000"
_DIGITS_TO_ZERO = bytes.maketrans(b"E123456789", b"e000000000")
_SCANNED_BYTES = 1024 * 1024
#: Texts above this are worth the second parser.
_LARGE_BYTES = 1024 * 1024
# orjson refuses half of a surrogate pair, which JavaScript leaves where it cuts a text.
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_ESCAPE = re.compile(
    rb"\\\\|\\u[dD][89abAB]..\\u[dD][c-fC-F]..|(?P<half>\\u[dD][89a-fA-F]..)", re.DOTALL
)


_CONTAINERS = (dict, list)

#: What orjson reads.
_LEVELS_READ = 1024
#: The SDK of MCP refuses a message of some 200 levels, on both ends.
MOST_LEVELS = 100


def decode_json(data: bytes) -> Json:
    """The value of a JSON text (UTF-8).

    Raises `ValueError` with the position where the text stops being JSON; NaN and Infinity are
    not JSON.
    """
    if _has_number_like(_LONG_INTEGER, data):
        return _decode_exactly(data)
    if len(data) > _LARGE_BYTES and not _has_number_like(_LARGE_EXPONENT, data):
        try:
            return from_json(data, allow_inf_nan=False, cache_strings="keys")
        except ValueError:
            # It has a lower limit of levels than orjson, and other words.
            pass
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        if not _SURROGATE.search(data):
            raise
    return _decode_exactly(data)


def _decode_exactly(data: bytes) -> Json:
    too_deep = "the JSON is nested too deeply"
    try:
        # As text: of bytes it would take half of a surrogate pair for UTF-8.
        text = data.decode()
        value = json.loads(text, parse_constant=_refuse_constant, parse_float=_finite)
    except RecursionError:
        raise ValueError(too_deep) from None
    # Newer Pythons go on to where others cannot follow.
    if nests_deeply(value, data, most_levels=_LEVELS_READ):
        raise ValueError(too_deep)
    return value


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


def encode_unicode(value: Json, encoded: bytes | None = None) -> tuple[Json, str]:
    """A value and its JSON text without halves of surrogate pairs, which are U+FFFD in both.

    For what leaves as UTF-8 through others, who refuse the whole message for one half. `encoded` is
    what `encode_json` gave for it already.
    """
    data = encode_json(value) if encoded is None else encoded
    if _SURROGATE.search(data):
        data = _ESCAPE.sub(_whole_pair, data)
        value = decode_json(data)
    return value, data.decode()


def is_unicode(text: str) -> bool:
    """Whether a text has no halves of surrogate pairs, which JSON can hold and UTF-8 cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def nests_deeply(
    value: Json, encoded: bytes | None = None, *, most_levels: int = MOST_LEVELS
) -> bool:
    """Whether a value nests further than this: the parsers of others have limits.

    `encoded` is its JSON text, where that is there already.
    """
    if encoded is not None and encoded.count(b"[") + encoded.count(b"{") <= most_levels:
        return False
    level: list[Json] = [value] if isinstance(value, _CONTAINERS) else []
    for _ in range(most_levels + 1):
        # Objects are told by their method: for `isinstance` the types would need a cast, and a
        # cast each takes half as long again.
        members = chain.from_iterable(
            one.values() if hasattr(one, "values") else one for one in level
        )
        level = [one for one in members if isinstance(one, _CONTAINERS)]
        if not level:
            return False
    return True


def _has_number_like(pattern: bytes, data: bytes) -> bool:
    """Whether a text has a number of this shape; piece by piece: a copy of all would be large."""
    if len(data) < len(pattern):
        return False
    overlap = len(pattern) - 1
    return any(
        pattern in data[start : start + _SCANNED_BYTES + overlap].translate(_DIGITS_TO_ZERO, b"+")
        for start in range(0, len(data), _SCANNED_BYTES)
    )


def _finite(number: str) -> float:
    value = float(number)
    if math.isinf(value):
        raise ValueError(f"{number[:40]} is more than a number can be")
    return value


def _whole_pair(match: re.Match[bytes]) -> bytes:
    return b"\\ufffd" if match["half"] else match[0]


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
