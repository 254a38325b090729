"""Large bodies, decoded in pieces: what comes out is what the whole body gives."""

import gzip
import io
import tracemalloc
import zipfile
from ast import literal_eval
from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tools.body import Body
from tools.decoders import Decoded, DecodeLimits, decode
from tools.errors import RunError
from tools.json_pieces import PIECE_BYTES
from tools.json_text import Json, JsonObject, encode_json, encode_json_text

CONTENT_TYPES = [
    None,
    "application/json",
    "application/json; charset=latin-1",
    "application/octet-stream",
    "application/x-ndjson",
    "application/yaml",
    "text/csv",
    "text/csv; charset=ascii",
    "text/html; charset=no-such",
    "text/plain",
    "text/plain; charset=base64",
    "text/plain; charset=latin-1",
    "text/plain; charset=shift_jis",
    "text/plain; charset=utf-16",
    "text/plain; charset=utf-8",
    "text/plain; charset=utf-8-sig",
    "text/tab-separated-values",
]

SIGNS = [
    "\ufeff",
    "a",
    "b,c",
    ";",
    "\t",
    "\n",
    "\r",
    "\r\n",
    '"',
    "\u00e9",
    "\U0001f600",
    " ",
    "1",
    "[",
    "]",
]
WORDS = [
    "{",
    "}",
    '{"a":1}\n',
    '{"a":1},',
    "[1,2]",
    '"a":',
    "true",
    "\x1e",
    "\x85",
    "\x0b",
    "\u2028",
]
TEXTS = (
    st.tuples(
        st.sampled_from(
            [
                "",
                "",
                "\ufeff",
                "sep=;\n",
                "a,b\n",
                "[",
                '[{"a":1},',
                "log: ",
                "<r>",
                "<?xml version='1.0' encoding='latin-1'?><r>",
            ]
        ),
        st.lists(st.sampled_from([*SIGNS, *WORDS]), max_size=12).map("".join),
        st.sampled_from([1, 1, 2, 30]),
        st.sampled_from(["", "", "]", "1]", "\n", "</r>"]),
    )
    .map(lambda parts: parts[0] + parts[1] * parts[2] + parts[3])
    .filter(bool)
)
ENCODINGS = st.sampled_from(["utf-8", "utf-8", "utf-8", "latin-1", "utf-16", "utf-16-be"])


#: Beside the value, or the body, there are a few pieces; the parser takes twelve times one.
ROOM = 8 * PIECE_BYTES


def in_pieces(body: bytes, size: int) -> Body:
    # A slice would be a part of the text that is there anyway.
    starts = range(0, len(body), size)
    return Body(*(bytes(bytearray(body[start : start + size])) for start in starts))


def outcome_of(decoded: Any) -> Decoded | str:
    try:
        return decoded()
    except RunError as error:
        return str(error)


def in_a_zip(content: bytes, name: str = "answer") -> bytes:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr(name, content)
    return archive.getvalue()


@settings(max_examples=400, deadline=None)
@given(TEXTS, ENCODINGS, st.sampled_from(CONTENT_TYPES), st.integers(1, 300))
@example("\x1e\t[1,2]\x1e\t[1,2]", "utf-8", None, 1)
def test_a_body_in_pieces_is_what_it_is_whole(
    text: str, encoding: str, content_type: str | None, size: int
) -> None:
    body = text.encode(encoding, "replace")
    expect_the_same(body, content_type, None, size)


@settings(max_examples=200, deadline=None)
@given(
    TEXTS,
    ENCODINGS,
    st.sampled_from(["rows", "rows.json", "rows.csv", "rows.ndjson", "rows.txt", "rows.xml"]),
    st.booleans(),
    st.integers(1, 300),
)
def test_what_is_unpacked_in_pieces_is_what_it_is_whole(
    text: str, encoding: str, name: str, zips: bool, size: int
) -> None:
    content = text.encode(encoding, "replace")
    if zips:
        expect_the_same(in_a_zip(content, name), "application/zip", None, size)
    else:
        expect_the_same(gzip.compress(content), None, f"{name}.gz", size)


def expect_the_same(body: bytes, content_type: str | None, name: str | None, size: int) -> None:
    with patch("tools.decoders.table._SAMPLE_CHARS", 60):
        expected = outcome_of(lambda: decode(body, content_type, filename=name))
        with (
            patch("tools.decoders.LARGE_BYTES", 0),
            patch("tools.decoders.content.LARGE_BYTES", 0),
            patch("tools.decoders.text._HEAD_CHARACTERS", 64),
        ):
            pieces = in_pieces(body, size)
            found = outcome_of(lambda: decode(pieces, content_type, filename=name))
    assert found == expected


XML_PARTS = [
    "<a>", "</a>", "<b x='1'>", "</b>", "<c/>", "caf\u00e9", "&lt;", "\n", "  ", "<!-- <a> -->",
    "<![CDATA[<]]>", "&amp;\n", "<n:a xmlns:n='u'/>", "<", "&no;", "\U0001f600",
]  # fmt: skip


def xml_value(parts: list[str], closes: bool) -> str:
    """Elements as they come, each closed where `closes`."""
    open_names: list[str] = []
    text = ""
    for part in parts:
        if part in ("<a>", "<b x='1'>"):
            open_names.append(part[1])
        elif part in ("</a>", "</b>") and closes:
            part = f"</{open_names.pop()}>" if open_names else ""
        text += part
    return text + "".join(f"</{name}>" for name in reversed(open_names) if closes)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.sampled_from(XML_PARTS), max_size=30),
    st.booleans(),
    st.sampled_from(["", "\ufeff", '<?xml version="1.0" encoding="latin-1"?>']),
    st.sampled_from(["application/xml", "text/xml; charset=utf-8"]),
    st.integers(1, 40),
)
def test_xml_in_pieces_is_what_it_is_whole(
    parts: list[str], closes: bool, head: str, content_type: str, size: int
) -> None:
    body = f"{head}<root>{xml_value(parts, closes)}</root>".encode()
    found = outcome_of(lambda: decode(in_pieces(body, size), content_type))
    expected = outcome_of(lambda: decode(body, content_type))
    if isinstance(expected, str):
        # A byte order mark counts, and what is shown of the place is of the piece that was read.
        assert isinstance(found, str)
        assert found.startswith(expected.partition(", column")[0])
    else:
        assert found == expected


def test_a_fault_of_xml_in_pieces_is_shown() -> None:
    good = b"<rows>\n" + b"<row>1</row>\n" * 1000
    body = good + b"<row>two & three</row></rows>"
    with pytest.raises(RunError) as refused:
        decode(in_pieces(body, 700), "application/xml")
    assert refused.value.message == (
        "The answer is labelled application/xml but is not XML: not well-formed (invalid token): "
        "line 1002, column 10: '<row>two & three</row></rows>'"
    )


def test_a_fault_of_xml_with_other_ends_of_lines_is_shown() -> None:
    body = b"<rows>\r" + b"<row>1</row>\r" * 1000 + b"<row>two & three</row></rows>"
    with pytest.raises(
        RunError, match=r"not well-formed \(invalid token\): line 1002, column 10: '"
    ):
        decode(body, "application/xml")


@pytest.mark.parametrize("size", range(1, 8))
def test_no_part_of_a_yaml_that_is_too_large_is_taken_for_all_of_it(size: int) -> None:
    body = "- aaaaaaaaaaaaaaaa\u20ac\n- b\n- c\n".encode()
    limits = DecodeLimits(max_yaml_bytes=20)
    with pytest.raises(RunError, match="The YAML is larger than 20 bytes"):
        decode(in_pieces(body, size), "application/yaml", limits=limits)


def lines() -> str:
    words = "caf\u00e9 " * 20
    return "".join(f'{n} {words}, the "{n % 7}th" of them\t{n}\n' for n in range(90_000))


def xml_rows() -> str:
    words = "caf\u00e9 " * 20
    return "".join(f"<row id='{n}'>{words}</row>\n" for n in range(100_000))


def rows() -> list[JsonObject]:
    return [{"id": number, "name": f"{number} " + "caf\u00e9 " * 20} for number in range(90_000)]


def table() -> str:
    words = "caf\u00e9 " * 20
    return "id;name;number\n" + "".join(f"{n};{words};{n % 7}\n" for n in range(110_000))


def long_lines() -> str:
    return '{"content": "' + "QUJD" * 3_000_000 + '" and so on'


#: What is large, packed or not: the type of its value, its content type, and how it is made.
LARGE: dict[str, tuple[type, str | None, Callable[[], str | bytes]]] = {
    "text": (str, "text/plain", lines),
    "log": (str, "text/plain", lambda: "[" + lines()),
    "html": (str, "text/html; charset=utf-8", lambda: "<p>" + lines()),
    "latin-1": (str, "text/plain; charset=iso-8859-1", lambda: lines().encode("latin-1")),
    "not in its character set": (
        str,
        "text/plain; charset=utf-8",
        lambda: lines().encode("latin-1"),
    ),
    "text that begins as JSON": (str, "text/plain", long_lines),
    "json": (list, "text/plain", lambda: encode_json_text(rows())),
    "utf-16 json": (list, "application/json; charset=utf-16", lambda: text_in_utf_16(rows())),
    "json with a mark": (list, "application/json", lambda: text_in_utf_16(rows())),
    "one": (dict, "text/plain", lambda: encode_json_text({"content": "QUJD" * 3_000_000})),
    "untyped": (list, None, lambda: encode_json_text(rows())),
    "untyped text": (
        str,
        None,
        lambda: "".join(f"{n} words{', more' * (n % 3)}\n" for n in range(800_000)),
    ),
    "untyped base64": (str, "application/octet-stream", lambda: "QUJD" * 3_000_000),
    "untyped table": (list, None, table),
    "untyped quote": (str, None, lambda: 'a,b\n1,"' + "2,3\n" * 3_000_000),
    "untyped xml": (dict, "application/octet-stream", lambda: f"<rows>{xml_rows()}</rows>"),
    "untyped ndjson": (list, None, lambda: "\n".join(map(encode_json_text, rows()))),
    "csv": (list, "text/csv", lambda: "a,b,c\n" + lines()),
    "latin-1 csv": (list, "text/csv; charset=latin-1", lambda: table().encode("latin-1")),
    "tsv": (list, "text/tab-separated-values", lambda: "a\tb\n" + lines()),
    "ndjson": (list, "application/x-ndjson", lambda: "\n".join(map(encode_json_text, rows()))),
    "ndjson as text": (list, "text/plain", lambda: "\n".join(map(encode_json_text, rows()))),
    "xml": (dict, "application/xml", lambda: f"<rows>{xml_rows()}</rows>"),
    "latin-1 xml": (
        dict,
        "application/xml",
        lambda: (f"<?xml version='1.0' encoding='iso-8859-1'?><rows>{xml_rows()}</rows>").encode(
            "latin-1"
        ),
    ),
    "zip": (dict, "application/zip", lambda: in_a_zip(encode_json(rows()))),
    "zipped table": (dict, None, lambda: in_a_zip(table().encode())),
    "gzip": (list, "application/gzip", lambda: gzip.compress(lines().encode(), 1)),
}


def text_in_utf_16(value: Json) -> bytes:
    return encode_json_text(value).encode("utf-16")


@pytest.mark.parametrize("name", LARGE)
def test_the_body_is_let_go_while_the_value_is_made(name: str) -> None:
    kind, content_type, make = LARGE[name]
    made = make()
    content = made.encode() if isinstance(made, str) else made
    del made
    tracemalloc.start()
    try:
        body = in_pieces(content, 64 * 1024)
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        decoded = decode(body, content_type)
        after, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(unpacked(content)) > 1.2 * ROOM
    assert peak < max(before, after) + ROOM
    assert isinstance(decoded.value, kind)
    assert decoded == decode(content, content_type)


def unpacked(content: bytes) -> bytes:
    if content.startswith(b"PK"):
        with zipfile.ZipFile(io.BytesIO(content)) as file:
            return file.read("answer")
    return gzip.decompress(content) if content.startswith(b"\x1f\x8b") else content


@pytest.mark.parametrize("end", ["", "}", ",]", "] and so on"])
def test_text_that_looks_like_json_up_to_its_end_is_text(end: str) -> None:
    text = encode_json_text(rows())[:-1] + end
    assert decode(in_pieces(text.encode(), 64 * 1024), "text/plain").value == text


def test_a_large_body_that_is_no_json_says_at_which_byte() -> None:
    cut_off = encode_json({"rows": rows()})[:-1]
    in_a_row = encode_json(rows()).replace(b'{"id":60000', b'{"id";60000')
    in_a_text = encode_json({"\u00e9": "y" * 5_000_000}).replace(b'y"', b'y\n"')
    places = len(cut_off), in_a_row.index(b";"), in_a_text.index(b"\n")
    for broken, place in zip((cut_off, in_a_row, in_a_text), places, strict=True):
        with pytest.raises(RunError) as caught:
            decode(in_pieces(broken, 64 * 1024), "application/json")
        assert f"at byte {place:,}: " in caught.value.message
        # Of what stands for what was read nothing is shown.
        near = caught.value.message.partition(f"{place:,}: ")[2]
        assert literal_eval(near).removesuffix("\u2026") in broken.decode()
