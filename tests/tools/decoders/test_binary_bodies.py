import datetime
import gzip
import io
import zipfile
from typing import Any

import openpyxl
import pypdf
import pytest
from pypdf import generic

from tools.decoders import DecodeLimits, decode
from tools.errors import ErrorKind, RunError

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"


def failure(body: bytes, content_type: str | None, **options: Any) -> RunError:
    with pytest.raises(RunError) as caught:
        decode(body, content_type, **options)
    return caught.value


def zipped(**entries: str | bytes) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return out.getvalue()


def workbook(cells: dict[str, Any]) -> bytes:
    book = openpyxl.Workbook()
    sheet: Any = book.active
    sheet.title = "People"
    for place, value in cells.items():
        sheet[place] = value
    book.create_sheet("Empty")
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


PEOPLE = {
    "A1": "id",
    "B1": "name",
    "C1": "since",
    "A2": 1,
    "B2": "Ann",
    "C2": datetime.datetime(2024, 1, 2, 3, 4, 5),
    "A4": 2.5,
}


@pytest.mark.parametrize(
    "content_type", [XLSX, "application/octet-stream", "application/zip", None]
)
def test_a_workbook_is_its_sheets_as_rows_and_a_stored_file(content_type: str | None) -> None:
    body = workbook(PEOPLE)
    decoded = decode(body, content_type, filename="people.xlsx")
    assert decoded.value == {
        "People": [
            {"id": 1, "name": "Ann", "since": "2024-01-02T03:04:05"},
            {"id": 2.5, "name": None, "since": None},
        ],
        "Empty": [],
    }
    assert decoded.file is not None
    assert (decoded.file.name, decoded.file.content_type) == ("people.xlsx", XLSX)
    assert decoded.file.data == body


def test_a_cell_in_the_last_row_and_column_costs_no_table_of_that_size() -> None:
    value = decode(workbook({**PEOPLE, "A1048576": 9}), XLSX).value
    assert value["People"][-1] == {"id": 9, "name": None, "since": None}


def test_a_row_number_beyond_all_bounds_is_a_size_error() -> None:
    with zipfile.ZipFile(io.BytesIO(workbook(PEOPLE))) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    sheet = "xl/worksheets/sheet1.xml"
    parts[sheet] = parts[sheet].replace(b'r="2"', b'r="999999999999"')
    assert failure(zipped(**parts), XLSX).kind is ErrorKind.SIZE_LIMIT


@pytest.mark.parametrize("body", [b"<html>", workbook(PEOPLE)[:500], zipped(a="b")])
def test_what_is_no_workbook_is_a_decode_error(body: bytes) -> None:
    error = failure(body, XLSX)
    assert error.kind is ErrorKind.DECODE
    assert XLSX in error.message


def test_the_entries_of_an_archive_are_read_one_level_deep() -> None:
    body = zipped(
        **{
            "a.json": '{"x":1}',
            "in/b.csv": "a,b\n1,2\n",
            "c.yaml": "k: v",
            "empty.txt": "",
            "inner.zip": zipped(**{"x.json": "1"}),
            "broken.json": "{",
        }
    )
    decoded = decode(body, "application/zip", filename="all.zip")
    assert decoded.value == {
        "a.json": {"x": 1},
        "in/b.csv": [{"a": "1", "b": "2"}],
        "c.yaml": {"k": "v"},
        "empty.txt": None,
        "inner.zip": {
            "name": "inner.zip",
            "contentType": "application/zip",
            "size": len(zipped(**{"x.json": "1"})),
        },
        "broken.json": {
            "name": "broken.json",
            "contentType": "application/octet-stream",
            "size": 1,
        },
    }
    assert any("broken.json" in warning for warning in decoded.warnings)
    assert decoded.file is not None
    assert decoded.file.data == body


@pytest.mark.parametrize(
    ("body", "limits"),
    [
        (zipped(zeros=b"\0" * 5_000_000), DecodeLimits()),
        (zipped(zeros=b"\0" * 5_000_000), DecodeLimits(max_ratio=10**9, max_bytes=1_000_000)),
        (zipped(**{str(n): "" for n in range(30)}), DecodeLimits(max_entries=20)),
        (gzip.compress(b"\0" * 5_000_000), DecodeLimits(max_bytes=1_000_000)),
    ],
)
def test_archives_that_unpack_to_too_much_are_size_errors(
    body: bytes, limits: DecodeLimits
) -> None:
    assert failure(body, None, limits=limits).kind is ErrorKind.SIZE_LIMIT


def test_an_archive_that_lies_about_a_size_gives_no_more_than_it_said() -> None:
    body = bytearray(zipped(zeros=b"\0" * 500_000))
    # The size in the central directory, which is what a reader goes by.
    place = body.rindex(b"PK\x01\x02") + 24
    body[place : place + 4] = (10).to_bytes(4, "little")
    assert failure(bytes(body), "application/zip").kind is ErrorKind.DECODE


def test_a_gzip_file_is_what_it_holds() -> None:
    decoded = decode(gzip.compress(b"a,b\n1,2\n"), "application/gzip", filename="rows.csv.gz")
    assert decoded.value == [{"a": "1", "b": "2"}]
    assert failure(gzip.compress(b"abc")[:-4], "application/gzip").kind is ErrorKind.DECODE


def pdf(**encryption: str) -> bytes:
    writer = pypdf.PdfWriter()
    for _ in range(3):
        writer.add_blank_page(100, 100)
    page = writer.pages[1]
    stream = generic.DecodedStreamObject()
    stream.set_data(b"BT /F1 12 Tf 10 50 Td (Hello page two) Tj ET")
    page[generic.NameObject("/Contents")] = writer._add_object(stream)  # pyright: ignore[reportPrivateUsage]: no public way to add text
    font = generic.DictionaryObject()
    for key, value in {"Type": "Font", "Subtype": "Type1", "BaseFont": "Helvetica"}.items():
        font[generic.NameObject(f"/{key}")] = generic.NameObject(f"/{value}")
    fonts = generic.DictionaryObject({generic.NameObject("/F1"): font})
    page[generic.NameObject("/Resources")] = generic.DictionaryObject(
        {generic.NameObject("/Font"): fonts}
    )
    if encryption:
        writer.encrypt(encryption["password"], algorithm="RC4-128")
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def test_a_pdf_is_its_text_page_by_page_and_a_stored_file() -> None:
    decoded = decode(pdf(), "application/pdf", filename="three.pdf")
    assert decoded.value == {"text": "\fHello page two\f", "pageCount": 3}
    assert decoded.file is not None
    assert decoded.file.content_type == "application/pdf"


def test_pages_beyond_the_limit_are_left_out_with_a_warning() -> None:
    decoded = decode(pdf(), "application/pdf", limits=DecodeLimits(max_pages=2))
    assert decoded.value == {"text": "\fHello page two", "pageCount": 3}
    assert "2 of 3" in decoded.warnings[0]


def test_a_pdf_with_a_password_is_stored_and_not_read() -> None:
    decoded = decode(pdf(password="x"), "application/pdf")
    assert decoded.value == {"text": None, "pageCount": None}
    assert decoded.warnings
    assert decoded.file is not None


@pytest.mark.parametrize("body", [b"<html>Log in</html>", b"%PDF-1.4\nxxxxxxxxxx"])
def test_what_is_no_pdf_is_a_decode_error(body: bytes) -> None:
    assert failure(body, "application/pdf").kind is ErrorKind.DECODE


@pytest.mark.parametrize(
    ("body", "content_type", "stored_as"),
    [
        (b"\x89PNG\r\n\x1a\n\0\0", "image/png", "image/png"),
        (bytes(range(256)), None, "application/octet-stream"),
        (bytes(range(256)), "application/x-thing", "application/x-thing"),
    ],
)
def test_other_binary_content_is_stored_and_described(
    body: bytes, content_type: str | None, stored_as: str
) -> None:
    decoded = decode(body, content_type, filename="thing")
    assert decoded.value == {"name": "thing", "contentType": stored_as, "size": len(body)}
    assert decoded.file is not None
    assert decoded.file.data == body
