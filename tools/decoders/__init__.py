"""Response bodies as JSON values: by content type, then by looking.

`decode` reads a whole body, `Decompressor` takes content encodings off while it arrives. Both
belong in a thread when bodies are large: they compute and do not wait.
"""

from collections.abc import Callable
from io import StringIO
from typing import TextIO

from tools.decoders.archive import check_archive, gunzip, inner_name, zip_entries
from tools.decoders.compression import Decompressor, supported_encodings
from tools.decoders.json_body import (
    decode_json_body,
    decode_json_body_pieces,
    decode_ndjson,
    decode_ndjson_lines,
    is_no_json,
    looks_like_ndjson,
    read_json,
)
from tools.decoders.media_type import (
    MediaType,
    decode_text,
    encoding_of,
    media_type_of_name,
    parse_media_type,
)
from tools.decoders.pdf import decode_pdf
from tools.decoders.result import Decoded, DecodeLimits, StoredFile
from tools.decoders.spreadsheet import decode_xlsx
from tools.decoders.table import decode_table, is_no_table, looks_like_table
from tools.decoders.text_pieces import TextBody, is_text, text_head, text_lines, text_of
from tools.decoders.xml_body import decode_xml, decode_xml_pieces, looks_like_xml
from tools.decoders.yaml_body import decode_yaml
from tools.errors import ErrorKind, RunError
from tools.json_reader import is_json
from tools.json_text import Json, JsonObject

__all__ = [
    "DEFAULT_LIMITS",
    "DecodeLimits",
    "Decoded",
    "Decompressor",
    "StoredFile",
    "decode",
    "decode_pieces",
    "supported_encodings",
]

_XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"

DEFAULT_LIMITS = DecodeLimits()

#: How archives and documents begin whose first bytes are text.
_MAGIC = ("PK\x03\x04", "PK\x05\x06", "%PDF-")

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
    body: bytes,
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
    """
    if not body:
        return Decoded(None)
    return _Body(body, content_type, filename, limits, depth=0).decode()


def decode_pieces(body: TextBody, content_type: str | None) -> Decoded:
    """The value of a large body that came in pieces, as `decode` gives it.

    Of JSON, tables and plain text the pieces are let go while the value is made; what is neither,
    or not in its encoding, is read whole. Raises `RunError`.
    """
    decoded = _Body(b"", content_type, None, DEFAULT_LIMITS, depth=0).decode_pieces(body)
    return decode(body.whole(), content_type) if decoded is None else decoded


class _Body:
    """One body on its way, with what it says about itself."""

    def __init__(
        self,
        body: bytes,
        content_type: str | None,
        filename: str | None,
        limits: DecodeLimits,
        depth: int,
    ) -> None:
        self.body = body
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
        return self._reader()()

    def _reader(self) -> Callable[[], Decoded]:
        essence, suffix = self.media.essence, self.media.suffix
        match essence.partition("/"):
            case _ if essence in _UNTYPED:
                return self.look
            case ("application", _, "json" | "x-json" | "json5") | ("text", _, "json" | "x-json"):
                return self.json
            case _ if suffix == "json":
                return self.json
            case (_, _, "ndjson" | "x-ndjson" | "jsonl" | "x-jsonl" | "jsonlines" | "x-jsonlines"):
                return self.ndjson
            case (_, _, "json-seq" | "json-lines" | "x-json-stream" | "stream+json"):
                return self.ndjson
            case _ if suffix in ("json-seq", "ndjson"):
                return self.ndjson
            case (_, _, "csv" | "x-csv" | "comma-separated-values" | "vnd.ms-excel.csv"):
                return self.csv
            case (_, _, "tab-separated-values" | "tsv"):
                return self.tsv
            case ("application" | "text", _, "xml") | ("image", _, "svg+xml"):
                return self.xml
            case (_, _, "xhtml+xml"):
                return self.text
            case _ if suffix == "xml":
                return self.xml
            case ("application" | "text", _, "yaml" | "x-yaml" | "vnd.yaml"):
                return self.yaml
            case _ if suffix == "yaml":
                return self.yaml
            case ("application", _, "zip" | "x-zip" | "x-zip-compressed"):
                return self.zip
            case ("application", _, "gzip" | "x-gzip"):
                return self.gzip
            case (_, _, "vnd.openxmlformats-officedocument.spreadsheetml.sheet"):
                return self.xlsx
            case ("application", _, "vnd.ms-excel.sheet.macroenabled.12"):
                return self.xlsx
            case ("application", _, "pdf" | "x-pdf"):
                return self.pdf
            case ("text", _, _) | ("application", _, "javascript" | "x-www-form-urlencoded"):
                return self.text
            case ("image" | "audio" | "video" | "font" | "model", _, _):
                return self.binary
            case _:
                return self.look

    def decode_pieces(self, body: TextBody) -> Decoded | None:
        """The same of a body in pieces; None, and none is taken, where it has to be whole."""
        try:
            encoding = encoding_of(self.media.charset or "utf-8")
        except (LookupError, ValueError):
            return None
        if not is_text(body, encoding):
            return None
        reader = self._reader()
        head = text_head(body, encoding)
        if reader == self.text and is_no_json(head):
            return Decoded(text_of(body.take(), encoding))
        return self._decode_utf8_pieces(body, head) if encoding == "utf-8" else None

    def _decode_utf8_pieces(self, body: TextBody, head: str) -> Decoded | None:
        reader = self._reader()
        if reader == self.json:
            return decode_json_body_pieces(body.take(), self.label)
        if reader == self.ndjson:
            lines = text_lines(body.take(), "\n")
            return Decoded(decode_ndjson_lines(lines, self.label, self.limits))
        if reader == self.tsv:
            return self._table(text_lines(body.take(), ""), "\t", [])
        if reader == self.xml:
            encoding = None if self.media.charset is None else "utf-8"
            return decode_xml_pieces(body.take(), encoding, self.label, self.limits)
        if reader == self.csv and (head.lstrip()[:1] not in "{[" or is_no_json(head)):
            return self._table(text_lines(body.take(), ""), None, [])
        if reader == self.look and self._is_plain(body, head):
            return Decoded(text_of(body.take(), "utf-8"))
        # Read twice: only the end says whether it is JSON, and what is none is text.
        if reader in (self.csv, self.text, self.look) and not is_no_json(head) and is_json(body):
            return decode_json_body_pieces(body.take(), self.label)
        return None

    # One method a kind of body.

    def json(self) -> Decoded:
        return decode_json_body(self.body, self.label, self.media.charset)

    def ndjson(self) -> Decoded:
        return decode_ndjson(self.body, self.label, self.media.charset, self.limits)

    def csv(self) -> Decoded:
        text, warnings = decode_text(self.body, self.media.charset)
        if (found := self._json_in_text(text, containers_only=True)) is not None:
            return Decoded(found.value, (*warnings, *found.warnings))
        return self._table(StringIO(text, newline=""), None, warnings)

    def tsv(self) -> Decoded:
        text, warnings = decode_text(self.body, self.media.charset)
        return self._table(StringIO(text, newline=""), "\t", warnings)

    def _table(self, text: TextIO, delimiter: str | None, warnings: list[str]) -> Decoded:
        rows, remarks = decode_table(text, self.limits, delimiter)
        return Decoded(rows, (*warnings, *remarks))

    def xml(self) -> Decoded:
        if self.media.charset is None:
            return decode_xml(self.body, self.label, self.limits)
        text, warnings = decode_text(self.body, self.media.charset)
        return Decoded(decode_xml(text, self.label, self.limits).value, tuple(warnings))

    def yaml(self) -> Decoded:
        text, warnings = decode_text(self.body, self.media.charset)
        decoded = decode_yaml(text, self.label, self.limits)
        return Decoded(decoded.value, (*warnings, *decoded.warnings))

    def text(self) -> Decoded:
        """Text as it is, unless it is JSON."""
        text, warnings = decode_text(self.body, self.media.charset)
        found = self._json_in_text(text, containers_only=False)
        return found if found is not None else Decoded(text, tuple(warnings))

    def zip(self) -> Decoded:
        entries = check_archive(self.body, self.label, self.limits)
        if any(entry.filename == "xl/workbook.xml" for entry in entries):
            return self.xlsx()
        if self.depth:
            return self.binary()
        values: JsonObject = {}
        warnings: list[str] = []
        for name, content in zip_entries(self.body, entries, self.label, self.limits):
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
        content = gunzip(self.body, self.label, self.limits)
        value, warnings = self._inner(content, inner_name(self.filename))
        return self._stored("application/gzip", value, warnings)

    def xlsx(self) -> Decoded:
        sheets, warnings = decode_xlsx(self.body, self.label, self.limits)
        return self._stored(_XLSX, sheets, warnings)

    def pdf(self) -> Decoded:
        value, warnings = decode_pdf(self.body, self.label, self.limits)
        return self._stored("application/pdf", value, warnings)

    def binary(self) -> Decoded:
        content_type = self.media.essence or "application/octet-stream"
        return self._stored(content_type, self._description(content_type), [])

    def look(self) -> Decoded:
        """A body that says nothing useful about itself."""
        head = self.body[:1024]
        if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
            return self.zip()
        if head.startswith(b"%PDF-"):
            return self.pdf()
        if head.startswith(b"\x1f\x8b\x08"):
            return self.gzip()
        if not self._is_text():
            return self.binary()
        text, warnings = decode_text(self.body, self.media.charset)
        if (found := self._json_in_text(text, containers_only=False)) is not None:
            return found
        if looks_like_xml(text):
            try:
                return decode_xml(text, self.label, self.limits)
            except RunError as error:
                if error.kind is not ErrorKind.DECODE:
                    raise
        if looks_like_table(text):
            return self._table(StringIO(text, newline=""), None, warnings)
        return Decoded(text, tuple(warnings))

    # Helpers.

    def _is_plain(self, body: TextBody, head: str) -> bool:
        """Whether a text in UTF-8 that does not say what it is is surely nothing but text."""
        begins_else = head.startswith(_MAGIC) or head.lstrip().startswith("<")
        if begins_else or not is_no_json(head) or not is_no_table(head):
            return False
        return self.media.charset is not None or not any(b"\0" in piece for piece in body)

    def _json_in_text(self, text: str, *, containers_only: bool) -> Decoded | None:
        """The JSON or NDJSON that a text without that label is, None where it is neither."""
        stripped = text.strip()
        if not stripped or (containers_only and stripped[0] not in "{["):
            return None
        if stripped[0] not in '{["-0123456789tfn':
            return None
        try:
            return Decoded(read_json(stripped))
        except ValueError:
            if looks_like_ndjson(stripped):
                try:
                    return decode_ndjson(text.encode(), self.label, None, self.limits)
                except RunError as error:
                    if error.kind is not ErrorKind.DECODE:
                        raise
        return None

    def _is_text(self) -> bool:
        if self.media.charset or self.body.startswith((b"\xff\xfe", b"\xfe\xff")):
            return True
        if b"\0" in self.body:
            return False
        try:
            self.body.decode()
        except ValueError:
            # Latin-1 text has few control characters, binary content many.
            sample = self.body[:4096]
            controls = sum(byte < 32 and byte not in b"\t\n\r\f" for byte in sample)
            return controls == 0 and sum(byte >= 128 for byte in sample) < len(sample) // 3
        return True

    def _inner(self, content: bytes, name: str | None) -> tuple[Json, tuple[str, ...]]:
        """The value of a file inside this one; one that cannot be read is described."""
        if not content:
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
            "size": len(self.body),
        }

    def _stored(
        self, content_type: str, value: Json, warnings: list[str] | tuple[str, ...]
    ) -> Decoded:
        file = StoredFile(self.filename or "response", content_type, self.body)
        return Decoded(value, tuple(warnings), file)
