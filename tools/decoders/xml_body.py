"""XML in the form of `xmltodict`: attributes as `@name`, text beside them as `#text`."""

import re
from collections.abc import Generator, Iterable
from typing import Any
from xml.parsers.expat import ExpatError, ParserCreate

from tools.decoders.result import DecodeLimits, undecodable
from tools.errors import ErrorKind, RunError
from tools.json_text import Json

__all__ = ["begins_as_xml", "declared_encoding", "decode_xml", "is_xml"]

_NEAR_BYTES = 200
_DECLARATION = re.compile(rb"""<\?xml\s[^>]{0,200}?\bencoding\s*=\s*["']([A-Za-z][\w.-]*)["']""")
#: Encodings in which no declaration begins with the bytes of `<?xml`.
_WIDE = re.compile(r"(?:utf|ucs|iso-10646)\W*(?:16|32|2|4|ucs)", re.IGNORECASE)


def declared_encoding(head: bytes) -> str | None:
    """The encoding that the declaration of a document names, unless its bytes cannot have it."""
    found = _DECLARATION.match(head)
    name = "" if found is None else found[1].decode()
    return None if not name or _WIDE.match(name) else name


def begins_as_xml(head: str) -> bool:
    """Whether a text begins as an XML document does, and is not HTML."""
    start = head.lstrip()[:200].lower()
    return start.startswith("<") and not start.startswith(("<!doctype html", "<html"))


def is_xml(pieces: Iterable[bytes], encoding: str | None, limits: DecodeLimits) -> bool:
    """Whether a body is XML up to its end; nothing of it is kept.

    `encoding` takes the place of the one that the document declares. What is nested too deeply is
    left to whoever reads it.
    """
    parser = ParserCreate(encoding)
    depth = 0

    def begin(_name: str, _attributes: object) -> None:
        nonlocal depth
        depth += 1

    def end(_name: str) -> None:
        nonlocal depth
        if depth > limits.max_depth + 1:
            raise _DeepError
        depth -= 1

    def refuse(*_entity: object) -> None:
        raise ValueError

    parser.StartElementHandler = begin
    parser.EndElementHandler = end
    parser.EntityDeclHandler = refuse
    try:
        for piece in pieces:
            parser.Parse(piece, False)
        parser.Parse(b"", True)
    except _DeepError:
        return True
    except (ExpatError, ValueError, LookupError):
        return False
    return True


class _DeepError(Exception):
    """More levels than are read."""


def decode_xml(
    pieces: Iterable[bytes], encoding: str | None, label: str, limits: DecodeLimits
) -> Json:
    """The document as an object with one key, the name of its root.

    The pieces are let go as they are read. `encoding` takes the place of the one that the document
    declares. Entity declarations are refused, so nothing can be expanded or fetched. Raises
    `RunError` (decode, size_limit for its depth).
    """
    import xmltodict

    window = _Window()

    def check_depth(path: list[Any], key: str, value: Any) -> tuple[str, Any]:
        if len(path) > limits.max_depth:
            raise RunError(
                ErrorKind.SIZE_LIMIT, f"The XML is nested more than {limits.max_depth} levels deep."
            )
        return key, value

    try:
        return xmltodict.parse(
            window.give(filter(None, pieces)),
            encoding=encoding,
            disable_entities=True,
            postprocessor=check_depth,
        )
    except ExpatError as error:
        near = window.near(error.lineno, error.offset)
        raise undecodable(label, "XML", str(error), near.decode(errors="replace")) from None
    except (ValueError, LookupError) as error:
        raise undecodable(label, "XML that can be read", str(error), "") from None


class _Window:
    """The piece that is being read, and where it begins in the text."""

    def __init__(self) -> None:
        self._piece = b""
        self._line = 1
        self._column = 0

    def give(self, pieces: Iterable[bytes]) -> Generator[bytes]:
        for piece in pieces:
            self._piece = piece
            yield piece
            lines = piece.count(b"\n")
            self._line += lines
            self._column = len(piece) - piece.rfind(b"\n") - 1 + (0 if lines else self._column)

    def near(self, line: int, column: int) -> bytes:
        """What is around a place, of its line and of this piece."""
        start = 0
        for _ in range(line - self._line):
            end = self._piece.find(b"\n", start)
            if end < 0:
                # It has ends of lines of other kinds.
                break
            start = end + 1
        begin = max(start, start + column - (self._column if line == self._line else 0) - 20)
        return self._piece[begin : begin + _NEAR_BYTES].partition(b"\n")[0]
