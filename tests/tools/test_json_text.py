"""JSON text: the same values, whatever parser reads a text of that size."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.json_text import decode_json, encode_json

LARGE_BYTES = 1_100_000

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**40), 10**40)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@pytest.mark.parametrize("number", ["1", "12345678901234567890123"])
def test_bytes_that_are_no_utf8_are_refused_whatever_stands_beside_them(number: str) -> None:
    with pytest.raises(ValueError, match=r"utf-8|surrogate|UTF-8"):
        decode_json(b'["\xed\xa0\xbd\xed\xb8\x80", ' + number.encode() + b"]")


def outcome(text: bytes) -> Any:
    try:
        return decode_json(text)
    except ValueError as error:
        return str(error)


@given(values)
def test_a_large_text_is_read_like_a_small_one(value: Any) -> None:
    text = encode_json(value)
    assert decode_json(text) == value
    large = text.ljust(LARGE_BYTES)
    assert decode_json(large) == value
    assert encode_json(decode_json(large)) == text


@pytest.mark.parametrize(
    "text",
    [
        b"1e400",
        b"-1E+400",
        b"1e0400",
        b'["0e123", 1e5, 12e300]',
        b"[12345678901234567890, 1e999]",
        b"NaN",
        b"[Infinity]",
        b'"\\ud83d"',
        b'"\xff"',
        b"[1,]",
        b"01",
        b"\xef\xbb\xbf1",
        b"[" * 500 + b"]" * 500,
        b"[" * 5000 + b"]" * 5000,
        b'{"a": 1, "a": 2}',
        b"-0",
        b"-0.0",
    ],
)
def test_a_large_text_at_the_edge_is_taken_or_refused_like_a_small_one(text: bytes) -> None:
    assert repr(outcome(text.ljust(LARGE_BYTES))) == repr(outcome(text))


def test_no_number_becomes_infinite() -> None:
    for text in (b"1e400", b"[12345678901234567890, -1e999]"):
        with pytest.raises(ValueError, match=r"infinity|more than a number"):
            decode_json(text)
