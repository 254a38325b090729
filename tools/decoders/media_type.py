"""Content types, file names and character sets: what a body says about itself."""

import codecs
from dataclasses import dataclass, field
from email.message import Message
from functools import lru_cache
from pathlib import PurePosixPath

__all__ = [
    "MediaType",
    "decode_text",
    "encoding_of",
    "media_type_of_name",
    "parse_media_type",
]

# Codecs of Python that are no character sets of documents, are slow on hostile input, or (UTF-7)
# give lone surrogates.
_NOT_CHARSETS = frozenset(
    {"idna", "punycode", "unicode-escape", "raw-unicode-escape", "undefined", "utf-7"}
)

_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)

# What the ending of a file name says. `mimetypes` differs from machine to machine.
_BY_SUFFIX = {
    ".json": "application/json",
    ".geojson": "application/json",
    ".ndjson": "application/x-ndjson",
    ".jsonl": "application/x-ndjson",
    ".csv": "text/csv",
    ".tsv": "text/tab-separated-values",
    ".txt": "text/plain",
    ".md": "text/plain",
    ".log": "text/plain",
    ".xml": "application/xml",
    ".yaml": "application/yaml",
    ".yml": "application/yaml",
    ".html": "text/html",
    ".htm": "text/html",
    ".zip": "application/zip",
    ".gz": "application/gzip",
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ".xlsm": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ".pdf": "application/pdf",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".webp": "image/webp",
}


@dataclass(frozen=True)
class MediaType:
    """A parsed `Content-Type`: `essence` is lower case without parameters, empty when absent."""

    essence: str = ""
    parameters: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def charset(self) -> str | None:
        return self.parameters.get("charset")

    @property
    def suffix(self) -> str:
        """The structured syntax suffix: `json` of `application/problem+json`."""
        return self.essence.rpartition("+")[2] if "+" in self.essence else ""


@lru_cache(maxsize=256)
def parse_media_type(content_type: str | None) -> MediaType:
    """The parts of a `Content-Type` header. A header that cannot be read counts as absent."""
    if not content_type or not content_type.strip():
        return MediaType()
    message = Message()
    message["content-type"] = content_type.replace("\r", " ").replace("\n", " ")
    essence, *parameters = message.get_params(failobj=[("", "")])
    name = essence[0].strip().lower()
    if name.count("/") != 1:
        return MediaType()
    return MediaType(name, {key.lower(): str(value).strip() for key, value in parameters})


def media_type_of_name(filename: str | None) -> MediaType:
    """The content type that the ending of a file name stands for, absent when unknown."""
    if not filename:
        return MediaType()
    return MediaType(_BY_SUFFIX.get(PurePosixPath(filename).suffix.lower(), ""))


def encoding_of(charset: str) -> str:
    """The one name of an encoding of text. Raises `LookupError`, `ValueError` where it is none."""
    codec = codecs.lookup(charset)
    # A codec that is not of text refuses to encode one.
    " ".encode(charset)
    if codec.name in _NOT_CHARSETS:
        raise LookupError(charset)
    return codec.name


def decode_text(body: bytes, charset: str | None) -> tuple[str, list[str]]:
    """The text of a body and warnings about it. Never raises.

    The character set is the one of the header, else of a byte order mark, else UTF-8, else
    Latin-1; a header that is wrong counts as absent, with a warning.
    """
    warnings: list[str] = []
    if charset:
        try:
            return body.decode(encoding_of(charset)).removeprefix("\ufeff"), warnings
        except (LookupError, ValueError):
            # ValueError is also what bytes that break the character set raise.
            warnings.append(f"The body is not text in the character set {charset!r} of its header.")
    for mark, name in _BOMS:
        if body.startswith(mark):
            try:
                return body.decode(name), warnings
            except ValueError:
                break
    try:
        return body.decode("utf-8"), warnings
    except ValueError:
        warnings.append("The body is not UTF-8 and was read as Latin-1.")
        return body.decode("latin-1"), warnings
