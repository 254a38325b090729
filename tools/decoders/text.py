"""The text of a content in pieces: its bytes are let go while it is read."""

import codecs
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import cached_property
from io import BufferedReader, RawIOBase, TextIOWrapper
from typing import TYPE_CHECKING

from tools.decoders.content import Content, first_bytes

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

__all__ = ["WIDE_MARKS", "Text", "is_text", "read_text"]

_BYTE_ORDER_MARK = "\ufeff"
_HEAD_CHARACTERS = 64 * 1024

# Codecs of Python that are no character sets of documents, are slow on hostile input, or (UTF-7)
# give lone surrogates.
_NOT_CHARSETS = frozenset(
    {"idna", "punycode", "unicode-escape", "raw-unicode-escape", "undefined", "utf-7"}
)

_ENCODING_BY_MARK = {
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
#: The byte order marks of texts that have zero bytes.
WIDE_MARKS = tuple(_ENCODING_BY_MARK)


class Text:
    """A content that is text in an encoding, read as UTF-8 without a byte order mark.

    `warnings` are sentences about what was guessed.
    """

    def __init__(self, content: Content, encoding: str, warnings: Iterable[str] = ()) -> None:
        self._content = content
        self._encoding = encoding
        self.warnings = tuple(warnings)

    def __iter__(self) -> Iterator[bytes]:
        return self._in_utf8(iter(self._content))

    def take(self) -> Iterator[bytes]:
        """The pieces, each let go as it is given."""
        return self._in_utf8(self._content.take())

    @cached_property
    def head(self) -> str:
        """How the text begins: all of it where it is short."""
        head = ""
        for characters in self._characters(iter(self._content)):
            head += characters[:_HEAD_CHARACTERS]
            if len(head) >= _HEAD_CHARACTERS:
                break
        return head[:_HEAD_CHARACTERS]

    def take_whole(self) -> str:
        """All of it; its pieces are let go."""
        text = ""
        for characters in self._characters(self._content.take()):
            # A text that nobody else holds is grown where it is.
            text += characters
        return text

    def lines(self, newline: str) -> TextIOWrapper:
        r"""The lines with their ends, none of which is changed.

        They end with `newline`, where that is "" with `\n`, `\r` or both.
        """
        return _as_file(iter(self), newline)

    def take_lines(self, newline: str) -> TextIOWrapper:
        """The same; the pieces are let go as they are read."""
        return _as_file(self.take(), newline)

    def _in_utf8(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        if self._encoding == "utf-8":
            return _without_mark(pieces)
        return (characters.encode() for characters in self._characters(pieces))

    def _characters(self, pieces: Iterator[bytes]) -> Iterator[str]:
        begins = True
        for characters in filter(None, _decoded(pieces, self._encoding)):
            yield characters.removeprefix(_BYTE_ORDER_MARK) if begins else characters
            begins = False


def read_text(content: Content, charset: str | None) -> Text:
    """The text that a content is; all of it is looked at, and nothing taken. Never raises.

    The character set is the one of the header, else of a byte order mark, else UTF-8, else
    Latin-1; a header that is wrong counts as absent, with a warning.
    """
    head = first_bytes(content, max(map(len, WIDE_MARKS)))
    warnings: list[str] = []
    if charset:
        # ValueError is what a name with a zero byte raises.
        with suppress(LookupError, ValueError):
            encoding = _encoding_of(charset, head)
            if is_text(content, encoding):
                return Text(content, encoding)
        warnings.append(f"The body is not text in the character set {charset!r} of its header.")
    marked = (name for mark, name in _ENCODING_BY_MARK.items() if head.startswith(mark))
    for encoding in (*list(marked)[:1], "utf-8"):
        if is_text(content, encoding):
            return Text(content, encoding, warnings)
    warnings.append("The body is not UTF-8 and was read as Latin-1.")
    return Text(content, "latin-1", warnings)


def is_text(content: Content, encoding: str) -> bool:
    """Whether all of it is text in an encoding."""
    try:
        for _ in _decoded(iter(content), encoding):
            pass
    except UnicodeError:
        return False
    return True


def _encoding_of(charset: str, head: bytes) -> str:
    """The one name of the encoding of a text that begins so.

    Raises `LookupError`, `ValueError` where `charset` is none.
    """
    codec = codecs.lookup(charset)
    # A codec that is not of text refuses to encode one.
    " ".encode(charset)
    if codec.name in _NOT_CHARSETS:
        raise LookupError(charset)
    if codec.name in ("utf-16", "utf-32") and not head.startswith(WIDE_MARKS):
        # A decoder of pieces wants the mark.
        return f"{codec.name}-le"
    return codec.name


def _decoded(pieces: Iterator[bytes], encoding: str) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder(encoding)()
    for piece in pieces:
        yield decoder.decode(piece)
    yield decoder.decode(b"", final=True)


def _without_mark(pieces: Iterator[bytes]) -> Iterator[bytes]:
    head = b""
    while len(head) < len(codecs.BOM_UTF8) and (piece := next(pieces, None)) is not None:
        head += piece
    yield head.removeprefix(codecs.BOM_UTF8)
    yield from pieces


def _as_file(pieces: Iterator[bytes], newline: str) -> TextIOWrapper:
    return TextIOWrapper(BufferedReader(_PieceStream(pieces)), encoding="utf-8", newline=newline)


class _PieceStream(RawIOBase):
    """Pieces as a file to read from."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        super().__init__()
        self._pieces = pieces
        self._piece = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        room = memoryview(buffer)
        while not self._piece and (piece := next(self._pieces, None)) is not None:
            self._piece = memoryview(piece)
        part = self._piece[: len(room)]
        room[: len(part)] = part
        self._piece = self._piece[len(part) :]
        return len(part)
