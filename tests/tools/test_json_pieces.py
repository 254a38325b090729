"""Large JSON in pieces: what comes out is what one piece gives, and the text is let go."""

import json
import tracemalloc
from collections.abc import Iterable, Iterator
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tools.json_pieces import PIECE_BYTES, json_head, json_length, json_pieces, weighs_much
from tools.json_rows import Rows, decode_json_pieces, read_rows
from tools.json_text import decode_json, encode_json

SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
)
VALUES = st.recursive(
    SCALARS | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def cut(text: bytes, size: int) -> Iterator[bytes]:
    return (text[start : start + size] for start in range(0, len(text), size))


def read(pieces: Iterable[bytes], piece_bytes: int = 4096) -> tuple[Rows, Any]:
    rows = read_rows(pieces, piece_bytes)
    return rows, rows.put_into(decode_json(rows.rest))


# Writing


#: Each example has some hundred kilobytes.
LARGE = settings(max_examples=10, deadline=None)


@LARGE
@given(st.lists(VALUES, min_size=1, max_size=3), VALUES, st.sampled_from([512, 4096, 1 << 20]))
def test_the_pieces_are_the_text(some: list[Any], other: Any, piece_bytes: int) -> None:
    rows = some * 20_000
    rows = rows[: max(1, 400_000 // len(encode_json(some)))]
    by_name = {str(number): row for number, row in enumerate(rows)}
    for value in (rows, {"a": other, "rows": rows}, [[other, {"r": by_name}]], by_name, other):
        text = encode_json(value)
        with patch("tools.json_pieces.LARGE_BYTES", 100_000):
            assert decode_json(b"".join(json_pieces(value, piece_bytes))) == decode_json(text)
            assert json_head(value, 100) == b"".join(json_pieces(value))[:100]


@pytest.mark.parametrize(
    "value",
    [
        [{"id": number, "name": "x" * 50} for number in range(200_000)],
        {"meta": {"total": 1}, "rows": [[n, str(n)] for n in range(600_000)], "next": None},
        {f"name {number}": {"id": number} for number in range(300_000)},
        [{"rows": list(range(900_000))}, {"rows": list(range(900_000))}],
        {"text": 'one "long" text\n' * 500_000},
    ],
)
def test_no_piece_of_a_large_value_is_much_larger_than_the_others(value: Any) -> None:
    pieces = list(json_pieces(value, 64 * 1024))
    assert b"".join(pieces) == encode_json(value)
    assert max(map(len, pieces)) < 400 * 1024
    assert json_length(value) == sum(map(len, pieces))


def test_a_value_is_large_by_what_is_seen_of_it_in_a_few_looks() -> None:
    assert weighs_much([0] * 1_000_000)
    assert weighs_much({"data": {"rows": [{"id": 1, "name": "x" * 20}] * 100_000}})
    assert weighs_much({"data": {"rows": [{"id": 1, "text": "x" * 100_000}] * 100}})
    assert weighs_much({"text": "x" * 5_000_000})
    assert weighs_much({str(number): {"id": number} for number in range(300_000)})
    rows = [{"id": 1, "name": "x" * 100}] * 60_000
    assert weighs_much({**dict.fromkeys("abcdefghijklmnopqrstuvwxyz", 1), "data": rows})
    assert weighs_much({"data": {"stepResults": [{"data": {"data": rows * 20}}]}})
    assert not weighs_much({"rows": [{"id": 1}] * 1000})
    assert not weighs_much("short")
    assert not weighs_much(None)


# Reading


@LARGE
@given(
    st.lists(VALUES, min_size=1, max_size=4),
    VALUES,
    st.integers(500, 70_000),
    st.sampled_from([None, 1]),
)
def test_what_is_read_in_pieces_is_what_is_read_whole(
    some: list[Any], other: Any, size: int, indent: int | None
) -> None:
    length = len(json.dumps(some, indent=indent)) + 1
    rows = some * (200_000 // length)
    for value in (rows, {"a": other, "rows": rows, "z": other}, [other, {"r": {"s": rows}}]):
        text = json.dumps(value, indent=indent).encode()
        assert decode_json_pieces(cut(text, size)) == decode_json(text)
        assert read(cut(text, size))[1] == decode_json(text)


@settings(deadline=None)
@given(st.binary(max_size=3), st.floats(0, 1), st.booleans())
def test_a_broken_text_is_refused_in_pieces_as_it_is_whole(
    instead: bytes, where: float, is_cut_off: bool
) -> None:
    rows = [{"id": number, "name": f"{number}}},{{", "of": [{"id": 1}]} for number in range(3000)]
    text = encode_json({"rows": rows, "more": False})
    place = int(where * len(text))
    broken = text[:place] + instead + (b"" if is_cut_off else text[place + 1 :])
    try:
        expected = decode_json(broken)
    except ValueError:
        with pytest.raises(ValueError):  # noqa: PT011 - each parser has words of its own
            read(cut(broken, 1000))
    else:
        assert read(cut(broken, 1000))[1] == expected


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ([{"id": n, "name": '},{"id":'} for n in range(9000)], []),
        ({"data": {"items": [{"id": n} for n in range(30_000)]}, "next": "x"}, ["data", "items"]),
        ([{"page": 1, "rows": [[n, 0] for n in range(40_000)]}], [0, "rows"]),
        ({"ids": list(range(60_000))}, ["ids"]),
        ({"names": [f"a,{n}" for n in range(60_000)]}, ["names"]),
        ({"mixed": [1, "a", None, {"b": 1}, [2]] * 20_000}, ["mixed"]),
    ],
)
def test_the_rows_of_common_shapes_are_read_in_pieces(value: Any, place: list[Any]) -> None:
    text = encode_json(value)
    rows, found = read(cut(text, 10_000))
    assert found == value
    assert rows.place == place
    # Some twenty thousand bytes are left at the most: the end of the rows, and what is around them.
    assert len(rows.rest) < 20_000
    assert rows.bytes_read + len(rows.rest) - len(rows.marking) == len(text)


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"null",
        b'"%s"' % (b"x" * 100_000),
        b'["","%s"]' % (b"x" * 100_000),
        b"[%s]" % (b"[" * 40_000 + b"]" * 40_000),
        b'{"a": "%s", "rows": [1,2,3]}' % (b"x" * 100_000),
        b"}" * 100_000,
        b'[1,2,3,"' + b"x" * 100_000,
        b"[[[%s]]]" % (b'"\\"[],{}",' * 20_000 + b"1"),
        b"\xff\xfe[1,2,3,%s]" % (b"4," * 50_000),
    ],
)
def test_another_text_is_left_as_it_is(text: bytes) -> None:
    try:
        expected = decode_json(text)
    except ValueError:
        with pytest.raises(ValueError):  # noqa: PT011 - each parser has words of its own
            decode_json_pieces(cut(text, 999))
    else:
        assert decode_json_pieces(cut(text, 999)) == expected


def test_the_last_of_two_members_of_one_name_counts() -> None:
    rows = encode_json([{"id": number} for number in range(30_000)])
    for last in (b"[1]", b"{}", b"null", rows):
        text = b'{"a": {"rows": %s}, "a": {"rows": %s}}' % (rows, last)
        assert read(cut(text, 5000))[1] == decode_json(text)
        text = b'{"a": {"rows": %s}, "a": %s}' % (rows, last)
        assert read(cut(text, 5000))[1] == decode_json(text)


def test_the_text_is_let_go_while_the_value_is_made() -> None:
    text = encode_json([{"id": number, "name": "x" * 200} for number in range(200_000)])
    # The parser of a piece takes twelve times its size for a moment.
    room = 16 * PIECE_BYTES
    assert len(text) > 2 * room

    def copies() -> Iterator[bytes]:
        # A slice would be a part of the text that is there anyway.
        return (bytes(bytearray(piece)) for piece in cut(text, 64 * 1024))

    tracemalloc.start()
    try:
        value = decode_json_pieces(copies())
        kept, peak = tracemalloc.get_traced_memory()
        assert peak - kept < room
        tracemalloc.reset_peak()
        assert json_length(value) == len(text)
        _, peak = tracemalloc.get_traced_memory()
        assert peak - kept < room
    finally:
        tracemalloc.stop()
