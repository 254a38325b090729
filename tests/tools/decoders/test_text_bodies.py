from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.decoders import DecodeLimits, decode
from tools.errors import ErrorKind, RunError
from tools.json_text import encode_json


def failure(body: bytes, content_type: str | None, **options: Any) -> RunError:
    with pytest.raises(RunError) as caught:
        decode(body, content_type, **options)
    return caught.value


@pytest.mark.parametrize(
    ("body", "content_type", "value"),
    [
        (b'{"a":1}', "application/json", {"a": 1}),
        (b'{"a":1}', "application/problem+json; charset=utf-8", {"a": 1}),
        (b'{"a":1}', "text/plain", {"a": 1}),
        (b'{"a":1}', "text/html", {"a": 1}),
        (b'{"a":1}', None, {"a": 1}),
        (b'[{"a":1}]', "text/csv", [{"a": 1}]),
        (b"42", "text/plain", 42),
        (b"42", None, 42),
        (b"false", "text/plain", False),
        (b"null", "text/plain", None),
        (b"007", "text/plain", "007"),
        (b"hello there", "text/plain", "hello there"),
        (b"hello there", None, "hello there"),
        (b"a: 1\nb: 2\n", "text/plain", "a: 1\nb: 2\n"),
        (b"Dear Ann, hello\nBest, Bob\n", "text/plain", "Dear Ann, hello\nBest, Bob\n"),
        (b"<p>1</p>", "text/html", "<p>1</p>"),
        (b"<!doctype html><html></html>", None, "<!doctype html><html></html>"),
        (b"<html><p>1</p></html>", None, "<html><p>1</p></html>"),
        (b"<!DOCTYPE a [<!ENTITY x 'y'>]><a/>", None, "<!DOCTYPE a [<!ENTITY x 'y'>]><a/>"),
        (b'\x1e{"a":1}', None, '\x1e{"a":1}'),
        (b"", "application/json", None),
        (b" \n", "application/json", None),
        (b"", None, None),
        (b"[12345678901234567890123]", "application/json", [12345678901234567890123]),
        (b'{"a":1}', "not a content type;;", {"a": 1}),
    ],
)
def test_json_is_found_also_where_it_is_labelled_as_text(
    body: bytes, content_type: str | None, value: Any
) -> None:
    assert decode(body, content_type).value == value


@pytest.mark.parametrize(
    ("body", "content_type", "words"),
    [
        (
            b"<html>Log in</html>",
            "application/json",
            ("application/json", "line 1 column 1", "Log"),
        ),
        (b'{"a": 1,\n "b": }', "application/hal+json", ("hal+json", "line 2 column 7", '"b": }')),
        (b"[NaN]", "application/json", ("line 1 column 2",)),
        (b'{"a":1}\n{"a":\n', "application/x-ndjson", ("line 2",)),
        (b"<r><a></r>", "application/xml", ("application/xml", "line 1")),
        (b"a: [1", "application/yaml", ("application/yaml", "line")),
        (b"no pdf", "application/pdf", ("application/pdf", "no pdf")),
    ],
)
def test_a_body_that_is_not_what_it_says_is_an_error_with_type_position_and_excerpt(
    body: bytes, content_type: str, words: tuple[str, ...]
) -> None:
    error = failure(body, content_type)
    assert error.kind is ErrorKind.DECODE
    for word in words:
        assert word in error.message


def test_the_excerpt_of_an_error_is_short() -> None:
    assert len(failure(b"x" * 100_000, "application/json").message) < 400


@pytest.mark.parametrize("body", [b"[" * 5000 + b"]" * 5000, b"[" * 5000 + b"9" * 25 + b"]" * 5000])
def test_json_nested_too_deeply_is_a_decode_error(body: bytes) -> None:
    assert failure(body, "application/json").kind is ErrorKind.DECODE


@pytest.mark.parametrize("content_type", ["application/x-ndjson", "application/jsonl", None])
def test_lines_of_json_are_a_list(content_type: str | None) -> None:
    assert decode(b'{"a":1}\n\n{"a":2}\n', content_type).value == [{"a": 1}, {"a": 2}]


def test_a_broken_text_sequence_is_named_by_its_line() -> None:
    body = b'\x1e{"a":1}\n\x1e{"a":2}\n\x1e{"a":\n'
    assert "line 3, " in failure(body, "application/json-seq").message


def test_lines_of_numbers_without_a_label_stay_text() -> None:
    assert decode(b"1\n2\n", None).value == "1\n2\n"


@pytest.mark.parametrize(
    ("body", "content_type", "value", "warned"),
    [
        ("é".encode(), "text/plain", "é", False),
        ("é".encode("latin-1"), "text/plain; charset=ISO-8859-1", "é", False),
        ("é".encode("latin-1"), "text/plain", "é", True),
        ("é".encode("latin-1"), "text/plain; charset=utf-8", "é", True),
        ("é".encode("utf-16"), "text/plain", "é", False),
        ("é".encode("utf-8-sig"), "text/plain", "é", False),
        ("é".encode("utf-8-sig"), "text/plain; charset=utf-8", "é", False),
        ("é".encode(), 'text/plain; charset="no-such-charset"', "é", True),
        ("é".encode("utf-16-le"), "text/plain; charset=utf-16", "é", False),
        ("é".encode("utf-16"), "text/plain; charset=utf-16", "é", False),
        ("é\ufeff".encode(), "text/plain", "é\ufeff", False),
        (b"a+2AA-", "text/plain; charset=utf-7", "a+2AA-", True),
        (b"a", "text/plain; charset=zip", "a", True),
    ],
)
def test_the_character_set_is_of_the_header_then_of_the_mark_then_utf_8_then_latin_1(
    body: bytes, content_type: str, value: str, warned: bool
) -> None:
    decoded = decode(body, content_type)
    assert decoded.value == value
    assert bool(decoded.warnings) is warned


@pytest.mark.parametrize(
    ("body", "content_type", "rows"),
    [
        (b'id,name\n1,Ann\n2,"Bo, Jr"\n', "text/csv", [["1", "Ann"], ["2", "Bo, Jr"]]),
        (b'id,name\n1,Ann\n2,"Bo, Jr"\n', None, [["1", "Ann"], ["2", "Bo, Jr"]]),
        (b"id\tname\n1\tAnn\n2\tBo\n", None, [["1", "Ann"], ["2", "Bo"]]),
        (b"id\tname\n1\tA, B\n", "text/tab-separated-values", [["1", "A, B"]]),
        (b"id;name\n1;2.5\n3;\n", "text/csv", [["1", "2.5"], ["3", ""]]),
        (b"id|name\r\n1|x\r\n\r\n2|y\r\n", "text/csv", [["1", "x"], ["2", "y"]]),
        (b'id,name\n1,"two\nlines"\n', "text/csv", [["1", "two\nlines"]]),
        (b'id;name\n1;"x, y"\n2;"u, v"\n', "text/csv", [["1", "x, y"], ["2", "u, v"]]),
        (b"sep=;\nid;name\n1;2\n", "text/csv", [["1", "2"]]),
        (b"\xef\xbb\xbfid, name\n1,2\n", "text/csv; charset=utf-8", [["1", "2"]]),
        (b"id,name\n", "text/csv", []),
        (b'id,name\n1,"' + b"x" * 200_000 + b'"\n', "text/csv", [["1", "x" * 200_000]]),
    ],
)
def test_tables_are_objects_of_strings_by_the_header_row(
    body: bytes, content_type: str | None, rows: list[list[str]]
) -> None:
    expected = [dict(zip(("id", "name"), row, strict=True)) for row in rows]
    assert decode(body, content_type).value == expected


def test_a_table_is_not_looked_for_in_plain_text() -> None:
    assert decode(b"a,b\n1,2\n", "text/plain").value == "a,b\n1,2\n"


@pytest.mark.parametrize(
    "body", [b"a,b,c", b"a,b\n1\n", b"one, two\nthree, four, five\n", b"a\nb\n"]
)
def test_text_without_a_label_that_is_no_even_table_stays_text(body: bytes) -> None:
    assert decode(body, None).value == body.decode()


def test_uneven_rows_keep_every_cell_and_warn() -> None:
    decoded = decode(b"a,a,\n1,2,3,4\n5\n", "text/csv")
    assert decoded.value == [
        {"a": "1", "a_2": "2", "column_3": "3", "column_4": "4"},
        {"a": "5", "a_2": "", "column_3": ""},
    ]
    assert decoded.warnings


@pytest.mark.parametrize(
    ("body", "content_type"),
    [(b"a,b\n" + b"1,2\n" * 20, "text/csv"), (b"[1]\n" * 20, "application/x-ndjson")],
)
def test_more_rows_than_allowed_are_a_size_error(body: bytes, content_type: str) -> None:
    error = failure(body, content_type, limits=DecodeLimits(max_rows=10))
    assert error.kind is ErrorKind.SIZE_LIMIT


@pytest.mark.parametrize(
    ("body", "content_type", "value"),
    [
        (
            b'<a id="1"><b>x</b><b/>t</a>',
            "text/xml",
            {"a": {"@id": "1", "b": ["x", None], "#text": "t"}},
        ),
        (b"<feed/>", "application/atom+xml", {"feed": None}),
        (b"<a>1</a>", None, {"a": "1"}),
        (
            '<?xml version="1.0" encoding="ISO-8859-1"?><a>é</a>'.encode("latin-1"),
            "application/xml",
            {"a": "é"},
        ),
        ("<a>é</a>".encode("latin-1"), "application/xml; charset=iso-8859-1", {"a": "é"}),
        (b'<!DOCTYPE a SYSTEM "a.dtd"><a>1</a>', "application/xml", {"a": "1"}),
        (b"<b>not closed", None, "<b>not closed"),
        (
            '<?xml version="1.0" encoding="windows-1251"?><a>Привет</a>'.encode("cp1251"),
            None,
            {"a": "Привет"},
        ),
        (
            '<?xml version="1.0" encoding="utf-16"?><a>é</a>'.encode("utf-16"),
            None,
            {"a": "é"},
        ),
        (
            '<?xml version="1.0" encoding="Shift_JIS"?><a>日本</a>'.encode("shift_jis"),
            None,
            {"a": "日本"},
        ),
        (
            '<?xml version="1.0" encoding="Shift_JIS"?><a>日本</a>'.encode("shift_jis"),
            "text/xml",
            {"a": "日本"},
        ),
        (b"<?xml version='1.0' encoding='none'?><a/>", None, {"a": None}),
        (
            "<?xml version='1.0'?><a>é".encode("latin-1"),
            None,
            "<?xml version='1.0'?><a>é",
        ),
    ],
)
def test_xml_has_the_form_of_xmltodict(body: bytes, content_type: str | None, value: Any) -> None:
    assert decode(body, content_type).value == value


@pytest.mark.parametrize(
    "body",
    [
        b'<!DOCTYPE l [<!ENTITY a "x"><!ENTITY b "&a;&a;">]><l>&b;</l>',
        b'<!DOCTYPE l [<!ENTITY a SYSTEM "file:///etc/hostname">]><l>&a;</l>',
        b'<!DOCTYPE l [<!ENTITY % p "x">]><l/>',
    ],
)
def test_xml_that_declares_entities_is_refused(body: bytes) -> None:
    error = failure(body, "application/xml")
    assert error.kind is ErrorKind.DECODE
    assert "entities" in error.message


def test_xml_nested_too_deeply_is_a_size_error() -> None:
    error = failure(b"<a>" * 50_000 + b"</a>" * 50_000, "application/xml")
    assert error.kind is ErrorKind.SIZE_LIMIT


@pytest.mark.parametrize(
    "content_type", ["application/yaml", "text/x-yaml", "application/openapi+yaml"]
)
def test_yaml_is_read_where_it_is_typed_so(content_type: str) -> None:
    body = b"---\na: 1\nno: no\nday: 2024-01-02\nat: 12:30\nn: 010\nx: 0x1F\nf: 1.5e3\nz: ~\n"
    assert decode(body, content_type).value == {
        "a": 1,
        "no": "no",
        "day": "2024-01-02",
        "at": "12:30",
        "n": 10,
        "x": 31,
        "f": 1500.0,
        "z": None,
    }


def test_yaml_without_a_label_stays_text() -> None:
    assert decode(b"a: 1\nb: 2\n", None).value == "a: 1\nb: 2\n"


def test_yaml_documents_are_a_list_and_aliases_are_written_out() -> None:
    assert decode(b"--- 1\n--- 2\n", "application/yaml").value == [1, 2]
    assert decode(b"a: &a {k: 1}\nb: {<<: *a, l: 2}\n", "application/yaml").value == {
        "a": {"k": 1},
        "b": {"k": 1, "l": 2},
    }


def test_what_json_cannot_say_of_a_yaml_number_is_null_with_a_warning() -> None:
    decoded = decode(b"a: .nan\nb: -.inf\n", "application/yaml")
    assert decoded.value == {"a": None, "b": None}
    assert len(decoded.warnings) == 2


YAML_BOMB = b"a: &a [x,x,x,x,x,x,x,x,x]\n" + b"".join(
    b"%c: &%c [%s]\n" % (98 + n, 98 + n, b",".join([b"*%c" % (97 + n)] * 9)) for n in range(9)
)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (YAML_BOMB, ErrorKind.SIZE_LIMIT),
        (b"[" * 5000 + b"]" * 5000, ErrorKind.SIZE_LIMIT),
        (b"&a [*a]", ErrorKind.DECODE),
        (b"!!python/object/apply:os.getcwd []", ErrorKind.DECODE),
        (b"? [1, 2]\n: 3\n", ErrorKind.DECODE),
        (b"n: " + b"9" * 6000, ErrorKind.DECODE),
        (b"n: !!int x", ErrorKind.DECODE),
    ],
)
def test_hostile_yaml_is_refused(body: bytes, kind: ErrorKind) -> None:
    assert failure(body, "application/yaml").kind is kind


CONTENT_TYPES = st.sampled_from(
    [
        None,
        "application/json",
        "text/plain; charset=utf-16",
        "text/csv",
        "application/xml",
        "application/yaml",
        "application/x-ndjson",
        "application/zip",
        "application/pdf",
        "application/gzip",
        "image/png",
    ]
)
MARKS = st.sampled_from(
    [
        b"",
        b"{",
        b"[1,",
        b"<a>",
        b"PK\x03\x04",
        b"%PDF-1.7\n",
        b"\x1f\x8b\x08",
        b"a,b\n",
        b"&a ",
        b"\xff\xfe",
    ]
)


@given(MARKS, st.binary(max_size=200), CONTENT_TYPES)
def test_any_bytes_give_a_json_value_or_a_run_error(
    mark: bytes, rest: bytes, content_type: str | None
) -> None:
    kind = None
    try:
        encode_json(decode(mark + rest, content_type).value)
    except RunError as error:
        kind = error.kind
    assert kind in (None, ErrorKind.DECODE, ErrorKind.SIZE_LIMIT)


@given(
    st.lists(
        st.lists(
            st.text(st.characters(codec="utf-8", exclude_characters="\r\0")), min_size=2, max_size=2
        )
    )
)
def test_what_a_csv_writer_writes_is_read_as_it_was(rows: list[list[str]]) -> None:
    import csv
    import io

    out = io.StringIO(newline="")
    writer = csv.writer(out, quoting=csv.QUOTE_ALL)
    writer.writerows([["left", "right"], *rows])
    expected = [{"left": a, "right": b} for a, b in rows if a or b]
    assert decode(out.getvalue().encode(), "text/csv").value == expected
