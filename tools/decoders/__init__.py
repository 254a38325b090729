"""Response bodies as JSON values: by content type, then by looking.

`decode` reads a whole body, `Decompressor` takes content encodings off while it arrives. Both
belong in a thread when bodies are large: they compute and do not wait.
"""

from codecs import BOM_UTF8
from contextlib import suppress

from tools.body import Body
from tools.decoders.archive import check_archive, gunzip, inner_name, zip_entries
from tools.decoders.compression import Decompressor, supported_encodings
from tools.decoders.content import Content, first_bytes
from tools.decoders.json_body import (
    begins_as_json,
    decode_json_body,
    decode_ndjson,
    is_ndjson,
    is_no_json,
)
from tools.decoders.media_type import MediaType, media_type_of_name, parse_media_type
from tools.decoders.pdf import decode_pdf
from tools.decoders.result import Decoded, DecodeLimits, StoredFile, UndecodableError
from tools.decoders.spreadsheet import decode_xlsx
from tools.decoders.table import decode_table, looks_like_table
from tools.decoders.text import WIDE_MARKS, Text, is_text, read_text
from tools.decoders.xml_body import begins_as_xml, declared_encoding, decode_xml, is_xml
from tools.decoders.yaml_body import decode_yaml, take_yaml
from tools.errors import ErrorKind, RunError
from tools.json_pieces import LARGE_BYTES
from tools.json_reader import is_json
from tools.json_text import Json, JsonObject, decode_json

__all__ = [
    "DEFAULT_LIMITS",
    "DecodeLimits",
    "Decoded",
    "Decompressor",
    "StoredFile",
    "UndecodableError",
    "decode",
    "supported_encodings",
]

_XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"

_UTF_8 = frozenset({"utf-8", "utf8"})

DEFAULT_LIMITS = DecodeLimits()

#: Content types that say nothing: the body itself is looked at.
_UNTYPED = frozenset(
    {
        "",
        "application/octet-stream",
        "binary/octet-stream",
        "application/binary",
        "application/download",
        "application/force-download",
        "application/x-download",
        "application/unknown",
        "unknown/unknown",
    }
)


def decode(
    body: bytes | Content,
    content_type: str | None,
    *,
    filename: str | None = None,
    limits: DecodeLimits = DEFAULT_LIMITS,
) -> Decoded:
    """The value of a response body.

    `content_type` is the header; where it says nothing the ending of `filename` counts, then the
    body itself. An empty body is null. Binary content comes back as `Decoded.file`, its value is
    what could be read of it, else `{"name", "contentType", "size"}`. Raises `RunError`: decode
    where the body is not what it says, size_limit where it turns into more than `limits` allow.

    The pieces of a text are let go while the value is made, so that a large one is there once.
    What has to be guessed is proved first: the pieces are read, none is kept.
    """
    content = Body(body) if isinstance(body, bytes) else body
    if not len(content):
        return Decoded(None)
    return _Body(content, content_type, filename, limits, depth=0).decode()


class _Body:
    """One body on its way, with what it says about itself."""

    def __init__(
        self,
        content: Content,
        content_type: str | None,
        filename: str | None,
        limits: DecodeLimits,
        depth: int,
    ) -> None:
        self.content = content
        #: In bytes; a content that was taken is empty.
        self.size = len(content)
        media = parse_media_type(content_type)
        if media.essence in _UNTYPED:
            named = media_type_of_name(filename)
            media = MediaType(named.essence or media.essence, media.parameters)
        self.media: MediaType = media
        self.label = media.essence or "nothing"
        self.filename = filename
        self.limits = limits
        #: How many archives this one lies in.
        self.depth = depth

    def decode(self) -> Decoded:
        essence, suffix = self.media.essence, self.media.suffix
        match essence.partition("/"):
            case _ if essence in _UNTYPED:
                return self.look()
            case ("application", _, "json" | "x-json" | "json5") | ("text", _, "json" | "x-json"):
                return self.json()
            case _ if suffix == "json":
                return self.json()
            case (_, _, "ndjson" | "x-ndjson" | "jsonl" | "x-jsonl" | "jsonlines" | "x-jsonlines"):
                return self.ndjson()
            case (_, _, "json-seq" | "json-lines" | "x-json-stream" | "stream+json"):
                return self.ndjson()
            case _ if suffix in ("json-seq", "ndjson"):
                return self.ndjson()
            case (_, _, "csv" | "x-csv" | "comma-separated-values" | "vnd.ms-excel.csv"):
                return self.csv()
            case (_, _, "tab-separated-values" | "tsv"):
                return self.tsv()
            case ("application" | "text", _, "xml") | ("image", _, "svg+xml"):
                return self.xml()
            case (_, _, "xhtml+xml"):
                return self.text()
            case _ if suffix == "xml":
                return self.xml()
            case ("application" | "text", _, "yaml" | "x-yaml" | "vnd.yaml"):
                return self.yaml()
            case _ if suffix == "yaml":
                return self.yaml()
            case ("application", _, "zip" | "x-zip" | "x-zip-compressed"):
                return self.zip()
            case ("application", _, "gzip" | "x-gzip"):
                return self.gzip()
            case (_, _, "vnd.openxmlformats-officedocument.spreadsheetml.sheet"):
                return self.xlsx()
            case ("application", _, "vnd.ms-excel.sheet.macroenabled.12"):
                return self.xlsx()
            case ("application", _, "pdf" | "x-pdf"):
                return self.pdf()
            case ("text", _, _) | ("application", _, "javascript" | "x-www-form-urlencoded"):
                return self.text()
            case ("image" | "audio" | "video" | "font" | "model", _, _):
                return self.binary()
            case _:
                return self.look()

    # One method a kind of body.

    def json(self) -> Decoded:
        if self.size <= LARGE_BYTES and (self.media.charset or "utf-8").lower() in _UTF_8:
            # Most answers: nothing in it has to be looked at twice.
            with suppress(ValueError):
                return Decoded(decode_json(self.content.whole().removeprefix(BOM_UTF8)))
        text = self._text()
        return Decoded(decode_json_body(text, self.label), text.warnings)

    def ndjson(self) -> Decoded:
        text = self._text()
        values = decode_ndjson(text.take_lines("\n"), self.label, self.limits)
        return Decoded(values, text.warnings)

    def csv(self) -> Decoded:
        text = self._text()
        if text.head.lstrip().startswith(("{", "[")) and (found := self._json_in(text)):
            return found
        return self._table(text, None)

    def tsv(self) -> Decoded:
        return self._table(self._text(), "\t")

    def xml(self) -> Decoded:
        if self.media.charset is not None:
            return self._xml(self._text())
        return self._declared_xml(self._declared_text())

    def yaml(self) -> Decoded:
        text = self._text()
        decoded = decode_yaml(take_yaml(text, self.limits), self.label, self.limits)
        return Decoded(decoded.value, (*text.warnings, *decoded.warnings))

    def text(self) -> Decoded:
        """Text as it is, unless it is JSON."""
        text = self._text()
        return self._json_in(text) or Decoded(text.take_whole(), text.warnings)

    def zip(self) -> Decoded:
        file = self.content.whole()
        entries = check_archive(file, self.label, self.limits)
        if any(entry.filename == "xl/workbook.xml" for entry in entries):
            return self.xlsx()
        if self.depth:
            return self.binary()
        values: JsonObject = {}
        warnings: list[str] = []
        for name, content in zip_entries(file, entries, self.label, self.limits):
            if content is None:
                values[name] = None
                warnings.append(f"{name}: encrypted or packed in an unknown way, not read.")
                continue
            values[name], remarks = self._inner(content, name)
            warnings += [f"{name}: {remark}" for remark in remarks]
        return self._stored("application/zip", values, warnings)

    def gzip(self) -> Decoded:
        if self.depth:
            return self.binary()
        content = gunzip(self.content.whole(), self.label, self.limits)
        value, warnings = self._inner(content, inner_name(self.filename))
        return self._stored("application/gzip", value, warnings)

    def xlsx(self) -> Decoded:
        sheets, warnings = decode_xlsx(self.content.whole(), self.label, self.limits)
        return self._stored(_XLSX, sheets, warnings)

    def pdf(self) -> Decoded:
        value, warnings = decode_pdf(self.content.whole(), self.label, self.limits)
        return self._stored("application/pdf", value, warnings)

    def binary(self) -> Decoded:
        content_type = self.media.essence or "application/octet-stream"
        return self._stored(content_type, self._description(content_type), [])

    def look(self) -> Decoded:
        """A body that says nothing useful about itself."""
        head = first_bytes(self.content, 1024)
        if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
            return self.zip()
        if head.startswith(b"%PDF-"):
            return self.pdf()
        if head.startswith(b"\x1f\x8b\x08"):
            return self.gzip()
        # A declaration says what encoding the bytes have.
        if head.startswith(b"<?xml") and self.media.charset is None:
            declared = self._declared_text()
            pieces, encoding = (self.content, None) if declared is None else (declared, "utf-8")
            if is_xml(pieces, encoding, self.limits):
                return self._declared_xml(declared)
        if not self._is_text():
            return self.binary()
        text = self._text()
        if (found := self._json_in(text)) is not None:
            return found
        if begins_as_xml(text.head) and is_xml(text, "utf-8", self.limits):
            return self._xml(text)
        if looks_like_table(text.lines("")):
            return self._table(text, None)
        return Decoded(text.take_whole(), text.warnings)

    # Helpers.

    def _text(self) -> Text:
        return read_text(self.content, self.media.charset)

    def _declared_xml(self, text: Text | None) -> Decoded:
        if text is not None:
            return self._xml(text)
        return Decoded(decode_xml(self.content.take(), None, self.label, self.limits))

    def _declared_text(self) -> Text | None:
        """The text of XML in the encoding that it declares; the parser knows few of them."""
        name = declared_encoding(first_bytes(self.content, 1024))
        text = None if name is None else read_text(self.content, name)
        return None if text is None or text.warnings else text

    def _json_in(self, text: Text) -> Decoded | None:
        """The JSON or NDJSON that a text without that label is, None where it is neither."""
        if not begins_as_json(text.head):
            return None
        if self.size <= LARGE_BYTES:
            # Sooner read than proved.
            with suppress(ValueError):
                return Decoded(decode_json(b"".join(text)), text.warnings)
        elif is_no_json(text.head):
            return None
        elif is_json(text):
            return Decoded(decode_json_body(text, self.label), text.warnings)
        if is_ndjson(text):
            lines = text.take_lines("\n")
            return Decoded(decode_ndjson(lines, self.label, self.limits), text.warnings)
        return None

    def _table(self, text: Text, delimiter: str | None) -> Decoded:
        rows, remarks = decode_table(text.take_lines(""), self.limits, delimiter)
        return Decoded(rows, (*text.warnings, *remarks))

    def _xml(self, text: Text) -> Decoded:
        value = decode_xml(text.take(), "utf-8", self.label, self.limits)
        return Decoded(value, text.warnings)

    def _is_text(self) -> bool:
        if self.media.charset or first_bytes(self.content, 4).startswith(WIDE_MARKS):
            return True
        if any(b"\0" in piece for piece in self.content):
            return False
        if is_text(self.content, "utf-8"):
            return True
        # Latin-1 text has few control characters, binary content many.
        sample = first_bytes(self.content, 4096)
        controls = sum(byte < 32 and byte not in b"\t\n\r\f" for byte in sample)
        return controls == 0 and sum(byte >= 128 for byte in sample) < len(sample) // 3

    def _inner(self, content: Content, name: str | None) -> tuple[Json, tuple[str, ...]]:
        """The value of a file inside this one; one that cannot be read is described."""
        if not len(content):
            return None, ()
        inner = _Body(content, None, name, self.limits, self.depth + 1)
        try:
            decoded = inner.decode()
        except RunError as error:
            if error.kind is not ErrorKind.DECODE:
                raise
            return inner._description("application/octet-stream"), (error.message,)
        return decoded.value, decoded.warnings

    def _description(self, content_type: str) -> JsonObject:
        return {
            "name": self.filename or "response",
            "contentType": content_type,
            "size": self.size,
        }

    def _stored(
        self, content_type: str, value: Json, warnings: list[str] | tuple[str, ...]
    ) -> Decoded:
        file = StoredFile(self.filename or "response", content_type, self.content.whole())
        return Decoded(value, tuple(warnings), file)
