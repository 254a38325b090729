"""XML in the form of `xmltodict`: attributes as `@name`, text beside them as `#text`."""

from collections.abc import Generator, Iterable
from typing import Any
from xml.parsers.expat import ExpatError

from tools.decoders.result import Decoded, DecodeLimits, undecodable
from tools.errors import ErrorKind, RunError

__all__ = ["decode_xml", "decode_xml_pieces", "looks_like_xml"]

_NEAR_BYTES = 200


def looks_like_xml(text: str) -> bool:
    """Whether a text begins as an XML document does and is not HTML."""
    start = text.lstrip()[:200].lower()
    if not start.startswith("<") or start.startswith(("<!doctype html", "<html")):
        return False
    return start.startswith("<?xml") or text.rstrip().endswith(">")


def decode_xml(body: bytes | str, label: str, limits: DecodeLimits) -> Decoded:
    """The document as an object with one key, the name of its root.

    Bytes are read in the encoding that the document declares. Entity declarations are refused, so
    nothing can be expanded or fetched. Raises `RunError` (decode, size_limit for its depth).
    """
    if isinstance(body, str):
        return decode_xml_pieces([body.encode(errors="replace")], "utf-8", label, limits)
    return decode_xml_pieces([body], None, label, limits)


def decode_xml_pieces(
    pieces: Iterable[bytes], encoding: str | None, label: str, limits: DecodeLimits
) -> Decoded:
    """The same of a body that comes in pieces, each let go as it is read.

    `encoding` takes the place of the one that the document declares.
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
        value = xmltodict.parse(
            window.give(pieces),
            encoding=encoding,
            disable_entities=True,
            postprocessor=check_depth,
        )
    except ExpatError as error:
        near = window.near(error.lineno, error.offset)
        raise undecodable(label, "XML", str(error), near.decode(errors="replace")) from None
    except (ValueError, LookupError) as error:
        raise undecodable(label, "XML that can be read", str(error), "") from None
    return Decoded(value)


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
            start = self._piece.find(b"\n", start) + 1
        begin = max(start, start + column - (self._column if line == self._line else 0) - 20)
        return self._piece[begin : begin + _NEAR_BYTES].partition(b"\n")[0]
