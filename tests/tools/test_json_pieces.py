"""Large JSON in pieces: what comes out is what one piece gives, and the text is let go."""

import json
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any, cast
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tools.json_pieces import PIECE_BYTES, json_head, json_length, json_pieces, weighs_much
from tools.json_reader import Unread, decode_json_pieces, read_pieces
from tools.json_text import decode_json, encode_json, is_unicode

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


#: The shortest piece that is tried; a character and an escape have to fit in.
SHORT = 64


def read_as_whole(text: bytes, piece_bytes: int, size: int = 1000) -> Unread:
    """What is left of a text; its value, or that it is broken, is what it is whole."""
    unread = read_pieces(cut(text, size), piece_bytes)
    try:
        expected = decode_json(text)
    except ValueError:
        with pytest.raises(ValueError):  # noqa: PT011 - each parser has words of its own
            unread.complete(decode_json(unread.text))
    else:
        found = unread.complete(decode_json(unread.text))
        # The order of names and the types of numbers are a part of it, too.
        assert repr(found) == repr(expected)
    return unread


# Names often come twice, and texts are as long as pieces.
NAMES = st.sampled_from(["a", "b", 'q"\\', "{[,:]}", "\u00e9\U0001f600" * 30])
TEXTS = st.text(max_size=8) | st.tuples(st.text(min_size=1, max_size=8), st.integers(1, 60)).map(
    lambda some: some[0] * some[1]
)


def written(value: Any, style: tuple[bool, str]) -> str:
    """The JSON text of a value whose objects are lists of pairs, so that names may come twice."""
    is_ascii, space = style
    if isinstance(value, tuple):
        pairs = [
            f"{json.dumps(name, ensure_ascii=is_ascii)}{space}:{space}{written(one, style)}"
            for name, one in cast("tuple[Any, ...]", value)
        ]
        return f"{{{space}{f'{space},'.join(pairs)}{space}}}"
    if isinstance(value, list):
        items = [written(one, style) for one in cast("list[Any]", value)]
        return f"[{f',{space}'.join(items)}{space}]"
    # UTF-8 has no halves of surrogate pairs.
    is_ascii = is_ascii or (isinstance(value, str) and not is_unicode(value))
    return json.dumps(value, ensure_ascii=is_ascii)


DOCUMENTS = st.builds(
    written,
    st.recursive(
        SCALARS | TEXTS,
        lambda inner: (
            st.lists(inner, max_size=8)
            | st.lists(st.tuples(NAMES | st.text(max_size=4), inner), max_size=8).map(tuple)
        ),
        max_leaves=60,
    ),
    st.tuples(st.booleans(), st.sampled_from(["", " ", "\n  "])),
).map(str.encode)
ANY_CUTS = settings(max_examples=300, deadline=None)


@ANY_CUTS
@given(DOCUMENTS, st.integers(SHORT, 500), st.integers(1, 500))
def test_what_is_read_in_pieces_is_what_is_read_whole(
    text: bytes, piece_bytes: int, size: int
) -> None:
    read_as_whole(text, piece_bytes, size)


BREAKS = [b"", b",", b'"', b"\\", b"[", b"]", b"{", b"}", b":", b"x", b"\xff", b"\\ud83d", b'{"a":']


@ANY_CUTS
@given(
    DOCUMENTS,
    st.floats(0, 1),
    st.integers(0, 3),
    st.sampled_from(BREAKS) | st.binary(max_size=3),
    st.booleans(),
    st.integers(SHORT, 500),
)
def test_a_broken_text_is_refused_in_pieces_as_it_is_whole(
    text: bytes, where: float, without: int, instead: bytes, is_cut_off: bool, piece_bytes: int
) -> None:
    place = int(where * len(text))
    broken = text[:place] + instead + (b"" if is_cut_off else text[place + without :])
    read_as_whole(broken, piece_bytes)


def rows(count: int) -> list[Any]:
    return [{"id": number, "name": f"{number}}},{{", "of": [{"id": 1}]} for number in range(count)]


#: Texts of some megabytes, by their shape.
SHAPES: dict[str, Callable[[], Any]] = {
    "rows": lambda: rows(60_000),
    "rows in an object": lambda: {"page": {"of": 1}, "data": {"items": rows(60_000)}, "next": None},
    "by id": lambda: {f"id {number}": {"x": {"y": number}, "z": 1} for number in range(90_000)},
    "three lists": lambda: {"a": rows(20_000), "b": rows(20_000), "c": rows(20_000), "d": 1},
    "rows with long lists": lambda: [
        {"id": n, "of": list(range(120_000)), "m": {}} for n in range(4)
    ],
    "lists far inside": lambda: {"a": [[{"b": {"c": [[[n, 0.5]] for n in range(200_000)]}}]]},
    "numbers": lambda: list(range(400_000)),
    "all kinds": lambda: [1, "a", None, {"b": 1}, [2], {}, []] * 80_000,
    "one text": lambda: {"name": "x.pdf", "content": "QUJD" * 800_000, "size": 1},
    "one text that is not ascii": lambda: ["\u00e9\u20ac\n" * 600_000],
    "one text beyond the 16 bits": lambda: {"a": {"b": '\U0001f600 "' * 400_000}},
    "a text alone": lambda: "a\\" * 1_000_000,
    "long texts": lambda: [{"id": n, "text": "word, " * 100_000} for n in range(5)],
    "a text with a long name": lambda: [{"n" * 1000: "x" * 2_000_000}],
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("indent", [None, 1])
def test_a_text_of_any_shape_is_read_in_pieces(shape: str, indent: int | None) -> None:
    value = SHAPES[shape]()
    text = json.dumps(value, indent=indent, ensure_ascii=indent is None).encode()
    unread = read_pieces(cut(text, 10_000), 20_000)
    assert unread.bytes_read + len(unread.text) - unread.marking_bytes == len(text)
    assert len(unread.text) < 25_000
    assert unread.complete(decode_json(unread.text)) == value


class Tracked:
    """What a value takes that is made of pieces, each of which is there only while it is used."""

    def __init__(self, text: bytes) -> None:
        self._text = text

    def pieces(self) -> Iterator[bytes]:
        # A slice would be a part of the text that is there anyway.
        return (bytes(bytearray(piece)) for piece in cut(self._text, 64 * 1024))

    def excess(self, make: Callable[[Iterator[bytes]], Any]) -> tuple[Any, int]:
        """The value, and how many bytes there were at most beside it."""
        tracemalloc.start()
        try:
            value = make(self.pieces())
            kept, peak = tracemalloc.get_traced_memory()
            return value, peak - kept
        finally:
            tracemalloc.stop()


#: The parser of a piece takes twelve times its size for a moment, a list that grows some more.
ROOM = 5 * PIECE_BYTES


@pytest.mark.parametrize(
    "make",
    [
        lambda: [{"id": number, "name": "x" * 200} for number in range(100_000)],
        lambda: {f"id {number}": {"id": number, "name": "x" * 200} for number in range(80_000)},
        lambda: {
            name: [{"id": number, "t": "x" * 200} for number in range(30_000)] for name in "abc"
        },
        lambda: [
            {"id": number, "of": [f"{number} {n}" * 8 for n in range(9_000)]}
            for number in range(40)
        ],
        lambda: {"name": "x.pdf", "content": "QUJD" * 5_000_000, "size": 1},
        lambda: {"text": 'the "caf\u00e9"\n' * 1_500_000},
        lambda: "a text alone " * 1_500_000,
    ],
    ids=["rows", "by id", "three lists", "lists in rows", "one text", "not ascii", "text alone"],
)
def test_the_text_is_let_go_while_the_value_is_made(make: Callable[[], Any]) -> None:
    value = make()
    text = encode_json(value)
    assert len(text) > 3 * ROOM
    found, excess = Tracked(text).excess(decode_json_pieces)
    assert found == value
    assert excess < ROOM
    tracemalloc.start()
    try:
        assert json_length(found) == len(text)
        assert tracemalloc.get_traced_memory()[1] < ROOM
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"null",
        b'"%s' % (b"x" * 100_000),
        b'"%s" 1' % (b"x" * 100_000),
        b'"%s"  \n' % (b"x" * 100_000),
        b'"%s" "%s"' % (b"x" * 100_000, b"y" * 100_000),
        b'["%s", "\\q"]' % (b"x" * 100_000),
        b'["%s\\q%s"]' % (b"x" * 100_000, b"x" * 100_000),
        b'["%s\n%s"]' % (b"x" * 100_000, b"x" * 100_000),
        b'["%s\xff%s"]' % (b"x" * 100_000, b"x" * 100_000),
        b'["%s"]' % (b'\\"' * 100_000),
        b'["%s"]' % (b"\\\\" * 100_000),
        b'["%s\\"]' % (b"\\\\" * 100_000),
        b'["%s"]' % (b"\\ud83d\\ude00" * 20_000),
        b'["x%s"]' % (b"\\ud83d" * 20_000),
        b'["xx%s"]' % (b"\\ude00\\ud83d" * 20_000),
        b'["xxx%s"]' % (b"\\\\ud83d" * 20_000),
        '["x{}"]'.format("\U0001f600" * 30_000).encode(),
        b'{"%s": 1, "b": 2}' % (b"x" * 100_000),
        b'{"a": "%s", "rows": [1,2,3]}' % (b"x" * 100_000),
        b'{"a": "%s", "b": 1, "a": "%s"}' % (b"x" * 100_000, b"y" * 100_000),
        b"[%s]" % (b"[" * 40_000 + b"]" * 40_000),
        b"[1,%s]" % (b"[1," * 40_000 + b"]" * 40_000),
        b"[" * 400 + b"1," * 50_000 + b"1" + b"]" * 400,
        b'{"a":' * 400 + b"[%s1]" % (b"1," * 50_000) + b"}" * 400,
        b"[%s1]" % ((b"[" * 400 + b"]" * 400 + b",") * 20),
        b"}" * 100_000,
        b"[1,2,[,3],%s]" % (b"4," * 50_000),
        b"[%s[1,],3]" % (b"4," * 50_000),
        b"[%s1}" % (b"4," * 50_000),
        b"[1]" * 50_000,
        b"1,2,3" * 50_000,
        b"[1%s]" % (b"0" * 4000),
        b"[1.%s]" % (b"0" * 100_000),
        b"[t%s]" % (b"r" * 100_000),
        b"[1,%s2]" % (b" " * 100_000),
        b"[[[%s]]]" % (b'"\\"[],{}",' * 20_000 + b"1"),
        b"\xff\xfe[1,2,3,%s]" % (b"4," * 50_000),
        b"\xef\xbb\xbf[%s3]" % (b"4," * 50_000),
    ],
)
def test_a_hostile_text_is_read_as_it_is_whole(text: bytes) -> None:
    for piece_bytes in (SHORT, 999, 20_000):
        read_as_whole(text, piece_bytes)


@pytest.mark.parametrize(("begin", "end"), [(b"[1,", b"]"), (b'{"a":1,"b":', b"}")])
def test_as_many_levels_are_read_in_pieces_as_are_read_whole(begin: bytes, end: bytes) -> None:
    for levels in (1023, 1024):
        text = begin * levels + b"1" + end * levels
        unread = read_pieces(cut(text, 999), SHORT)
        assert unread.bytes_read > len(text) // 2
        value: Any = unread.complete(decode_json(unread.text))
        for _ in range(levels):
            value = value[1] if begin == b"[1," else value["b"]
        assert value == 1
    for levels in (1025, 40_000):
        with pytest.raises(ValueError, match="depth limit"):
            decode_json_pieces(cut(begin * levels + b"1" + end * levels, 999))


def test_the_last_of_two_members_of_one_name_counts() -> None:
    some = encode_json([{"id": number} for number in range(30_000)])
    for last in (b"[1]", b"{}", b"null", some):
        read_as_whole(b'{"a": {"rows": %s}, "a": {"rows": %s}}' % (some, last), 5000)
        read_as_whole(b'{"a": {"rows": %s}, "a": %s}' % (some, last), 5000)
        read_as_whole(b'{"b": %s, "a": 1, "b": %s, "c": 2}' % (last, some), 5000)


def test_a_place_in_what_is_left_is_one_in_the_whole_text() -> None:
    for value in ({"a": rows(9000)}, {"a": ["x" * 200_000]}, {"\u00e9": "x" * 200_000}):
        text = json.dumps(value).encode()
        text = text[:-9] + b"\n" + text[-9:-1]
        with pytest.raises(ValueError) as whole:  # noqa: PT011 - the place is what matters
            decode_json(text)
        unread = read_pieces(cut(text, 999), 20_000)
        with pytest.raises(ValueError) as rest:  # noqa: PT011 - the same
            decode_json(unread.text)
        assert unread.bytes_read
        places = [getattr(caught.value, "pos", None) for caught in (whole, rest)]
        assert unread.place_of(places[1] or 0) == places[0]
