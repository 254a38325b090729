"""A large text that comes in pieces: its bytes are let go while it is read."""

from codecs import getincrementaldecoder
from collections.abc import Iterable, Iterator
from io import BufferedReader, RawIOBase, TextIOWrapper
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

__all__ = ["TextBody", "is_text", "text_head", "text_lines", "text_of"]

_BYTE_ORDER_MARK = "\ufeff"
_HEAD_CHARACTERS = 64 * 1024


class TextBody(Protocol):
    """Where the pieces are: to be looked at, and to be taken, each let go as it is given."""

    def __iter__(self) -> Iterator[bytes]: ...

    def take(self) -> Iterator[bytes]: ...

    def whole(self) -> bytes: ...


def is_text(pieces: Iterable[bytes], encoding: str) -> bool:
    """Whether all of it is text in an encoding."""
    try:
        for _ in _characters(pieces, encoding):
            pass
    except UnicodeError:
        return False
    return True


def text_head(pieces: Iterable[bytes], encoding: str) -> str:
    """How a text begins."""
    head = ""
    for characters in _characters(pieces, encoding):
        head += characters[:_HEAD_CHARACTERS]
        if len(head) >= _HEAD_CHARACTERS:
            break
    return head[:_HEAD_CHARACTERS].removeprefix(_BYTE_ORDER_MARK)


def text_of(pieces: Iterable[bytes], encoding: str) -> str:
    """The whole text, without a byte order mark. Raises `UnicodeError`."""
    text = ""
    for characters in _characters(pieces, encoding):
        # A text that nobody else holds is grown where it is.
        text += characters if text else characters.removeprefix(_BYTE_ORDER_MARK)
    return text


def _characters(pieces: Iterable[bytes], encoding: str) -> Iterator[str]:
    decoder = getincrementaldecoder(encoding)()
    for piece in pieces:
        yield decoder.decode(piece)
    yield decoder.decode(b"", final=True)


def text_lines(pieces: Iterable[bytes], newline: str) -> TextIOWrapper:
    r"""The lines of a text in UTF-8 with their ends, none of which is changed; no byte order mark.

    They end with `newline`, where that is "" with `\n`, `\r` or both.
    """
    stream = BufferedReader(_PieceStream(iter(pieces)))
    return TextIOWrapper(stream, encoding="utf-8-sig", newline=newline)


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
