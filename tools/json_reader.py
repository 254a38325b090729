"""JSON text read in pieces: that of a large value is let go while the value is made.

Each piece is read as a JSON text of its own, in which marks stand for what is before and behind it:

    {"a": [1, 2, 3], "b": 4}          cut behind the 2
    {"a": [1, 2, LAST], LAST: 0}      the first piece; two containers are open at its end
    {FIRST: [FIRST, 3], "b": 4}       the second one, which goes on in both of them

That a piece can be read proves that it was cut behind a value, and what is open there: all else
would be no JSON. What it holds is put into the containers that are open. A string that is longer
than a piece is read in parts.
"""

import re
import uuid
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO
from typing import Any, cast

from tools.json_cuts import OBJECT, Layout, LikelyCuts, without_escapes
from tools.json_pieces import PIECE_BYTES
from tools.json_text import Json, JsonObject, decode_json

__all__ = ["Unread", "decode_json_pieces", "is_json", "read_pieces"]

#: So much is read at once; the parser takes twelve times as much for a moment.
_READ_BYTES = PIECE_BYTES // 4
#: A number, name or white space that is longer is not read in pieces, nor is what follows it.
_LONGEST_PIECE_BYTES = 16 * PIECE_BYTES
_HIGH_SURROGATE = re.compile(rb"\\u[dD][89abAB]..", re.DOTALL)
_ESCAPE_BYTES = 6
_CHARACTER_BYTES = 4


def decode_json_pieces(pieces: Iterable[bytes]) -> Json:
    """The value of a JSON text (UTF-8) that comes in pieces of any size. Raises `ValueError`."""
    unread = read_pieces(pieces)
    return unread.complete(decode_json(unread.text))


def read_pieces(pieces: Iterable[bytes], piece_bytes: int = _READ_BYTES) -> "Unread":
    """Read what can be read of a text in pieces; nothing is raised, whatever it holds.

    Its end is left, and all that follows a place where it is broken.
    """
    text, value = _Incoming(iter(pieces)), _OpenValue()
    # What is broken is left, and says so to whoever reads it.
    with suppress(ValueError):
        _Reader(text, value, piece_bytes).read()
    opening = value.opening()
    return Unread(text.rest(opening), len(opening), text.bytes_dropped, value)


def is_json(pieces: Iterable[bytes]) -> bool:
    """Whether a text (UTF-8) that comes in pieces is JSON. Nothing of it is kept."""
    text, value = _Incoming(iter(pieces)), _OpenValue(keeps=False)
    try:
        _Reader(text, value, _READ_BYTES).read()
        decode_json(text.rest(value.opening()))
    except ValueError:
        return False
    return True


@dataclass(frozen=True)
class Unread:
    """What is left of a text that was read in pieces: JSON with marks in place of what was read."""

    text: bytes
    #: How much of `text` are marks, and how much of the whole text they stand for.
    marking_bytes: int
    bytes_read: int
    _value: "_OpenValue"

    def place_of(self, position: int) -> int:
        """Where a byte of `text` is in the whole text."""
        return max(position - self.marking_bytes, 0) + self.bytes_read

    def complete(self, value: Json) -> Json:
        """The value of the whole text, once; `value` is that of `text`."""
        return self._value.complete(value)


class _Reader:
    """Reads a text as it comes, piece by piece."""

    def __init__(self, text: "_Incoming", value: "_OpenValue", piece_bytes: int) -> None:
        self._text = text
        self._value = value
        self._piece_bytes = piece_bytes
        #: A piece that has no place for a cut is made longer.
        self._wanted = piece_bytes
        self._likely: LikelyCuts | None = None

    def read(self) -> None:
        """Read until there is no more than a piece left. Raises `ValueError` where it is broken."""
        while self._wanted <= _LONGEST_PIECE_BYTES:
            piece = self._text.first(self._wanted)
            if self._text.has_ended:
                break
            if not self._reads_like_before(piece):
                self._read_looking(piece)

    def _reads_like_before(self, piece: bytes) -> bool:
        """Read up to a cut that is likely right: to look for one takes as long as to read."""
        end = 0 if self._likely is None else self._likely.last_in(piece)
        if end > 0:
            with suppress(ValueError):
                self._value.read(piece[:end], self._value.kinds)
                self._text.drop(end)
                return True
        return False

    def _read_looking(self, piece: bytes) -> None:
        self._likely = None
        layout = Layout(piece, self._value.kinds)
        if (cut := layout.outermost_comma()) is not None:
            self._value.read(piece[: cut.end], cut.kinds)
            self._text.drop(cut.end)
            self._likely = LikelyCuts.like(piece, cut.end)
        elif (string := layout.unended_string()) is not None:
            self._value.read(piece[: string.start] + b'""', string.kinds)
            self._text.drop(string.start + 1)
            self._value.read_string(string.opening, _string_parts(self._text, self._piece_bytes))
        else:
            self._wanted *= 2
            return
        self._wanted = self._piece_bytes


def _string_parts(text: "_Incoming", part_bytes: int) -> Iterator[str]:
    """A string whose opening quote was dropped, up to its end, which is dropped, too.

    Raises `ValueError` where it is broken or does not end.
    """
    is_end = False
    while not is_end:
        part = text.first(part_bytes)
        plain = without_escapes(part)
        end = plain.find(b'"')
        is_end = end >= 0
        if not is_end:
            if text.has_ended:
                raise ValueError("a string does not end")
            end = _whole_characters(plain)
        yield decode_json(b'"%s"' % part[:end])
        text.drop(end + is_end)


def _whole_characters(plain: bytes) -> int:
    """How much of the beginning of a long string can be read without the rest."""
    end = len(plain)
    escape = plain.rfind(b"\\", max(end - _ESCAPE_BYTES, 0))
    if escape >= 0:
        end = escape
    elif plain[-1] >= 0x80:
        starts = range(end - 1, end - 1 - _CHARACTER_BYTES, -1)
        end = next((start for start in starts if plain[start] >= 0xC0), end)
    # The other half may follow.
    if _HIGH_SURROGATE.match(plain, end - _ESCAPE_BYTES):
        end -= _ESCAPE_BYTES
    return end


class _OpenValue:
    """The value as far as its text was read; without `keeps`, no more of it than is open."""

    def __init__(self, *, keeps: bool = True) -> None:
        self._keeps = keeps
        #: The brackets of the containers that are open where the text goes on, outermost first.
        self.kinds = b""
        self._open: list[Any] = []
        self._whole: Json = None
        self._string_opening = b""
        self._first_name, self._last_name = uuid.uuid4().hex, uuid.uuid4().hex
        self._first, self._last = self._first_name.encode(), self._last_name.encode()

    def read(self, text: bytes, kinds: bytes) -> None:
        """Read text that goes on behind what was read, up to a value behind which `kinds` are open.

        Raises `ValueError`, and nothing is changed, where it is not so.
        """
        self._add(decode_json(self.opening() + text + self._closing(kinds)), kinds)

    def complete(self, value: Json) -> Json:
        """The whole value; `value` is that of the last piece: what opens it, and the rest."""
        if self._open or self._whole is None:
            self._add(value, b"")
        return self._whole

    def read_string(self, opening: bytes, parts: Iterable[str]) -> None:
        """Read a string, in whose place an empty one was read.

        `opening` is its quote, behind its name in an object. Raises like `parts`; what was read
        goes on within the string then.
        """
        self._string_opening = opening
        string = ""
        for part in parts:
            # A string that nobody else holds is grown where it is.
            string += part if self._keeps else ""
        self._string_opening = b""
        if not self._open:
            self._whole = string
        elif self.kinds[-1] == OBJECT:
            name = decode_json(b'{%s"}' % opening)
            self._open[-1].update(dict.fromkeys(name, string))
        elif self._keeps:
            self._open[-1][-1] = string

    def opening(self) -> bytes:
        """What the next piece begins with, so that the text can go on behind it."""
        if not self.kinds:
            return self._string_opening or (b"" if self._whole is None else b'""')
        outer = [b'{"%s":' % self._first if kind == OBJECT else b"[" for kind in self.kinds[:-1]]
        inner = b'{"%s":0' if self.kinds[-1] == OBJECT else b'["%s"'
        string = b",%s" % self._string_opening if self._string_opening else b""
        return b"".join([*outer, inner % self._first, string])

    def _closing(self, kinds: bytes) -> bytes:
        """What a piece ends with behind which these containers are open."""
        closers = [
            b',"%s":0}' % self._last if kind == OBJECT else b',"%s"]' % self._last for kind in kinds
        ]
        return b"".join(reversed(closers))

    def _add(self, piece: Json, kinds: bytes) -> None:
        """Put the members of a piece where they belong; `kinds` are those open behind it."""
        still_open: list[Any] = []
        innermost = part = piece
        parts: list[Any] = []
        for kind, container in zip(self.kinds, self._open, strict=True):
            # What is where a container went on is a mark, or the next one, which did so, too.
            first: Any = part.pop(self._first_name if kind == OBJECT else 0)
            if self._takes_last(part):
                still_open.append(container)
                innermost = part
            parts.append(part)
            part = first
        if not self._open:
            self._whole = piece
            if self._takes_last(piece):
                still_open.append(piece)
        while len(still_open) < len(kinds):
            innermost = self._take_open_member(innermost)
            still_open.append(innermost)
        for kind, container, part in zip(self.kinds, self._open, parts, strict=True):
            if kind == OBJECT:
                container.update(part)
            else:
                container.extend(part)
        if not self._keeps:
            for container in still_open:
                container.clear()
        self._open, self.kinds = still_open, kinds

    def _takes_last(self, part: Any) -> bool:
        """Whether a value is a container that is open behind the piece; its mark is taken out."""
        if isinstance(part, dict):
            return cast("JsonObject", part).pop(self._last_name, None) is not None
        if isinstance(part, list) and part and part[-1] == self._last_name:
            del part[-1]
            return True
        return False

    def _take_open_member(self, part: Any) -> Any:
        """The member of a container that is open behind the piece."""
        if isinstance(part, list):
            members = reversed(cast("list[Any]", part))
        else:
            # A name that comes a second time keeps its place, so that it need not be the last.
            members = reversed(cast("JsonObject", part).values())
        return next(member for member in members if self._takes_last(member))


class _Incoming:
    """The text that has come and was not dropped."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._buffer = bytearray()
        self.bytes_dropped = 0
        #: Whether all has come and `first` gave all of it.
        self.has_ended = False

    def first(self, size: int) -> bytes:
        """The first `size` bytes, or all there are."""
        while len(self._buffer) <= size and not self.has_ended:
            piece = next(self._pieces, None)
            if piece is None:
                self.has_ended = True
            else:
                self._buffer += piece
        return bytes(self._buffer[:size])

    def drop(self, size: int) -> None:
        del self._buffer[:size]
        self.bytes_dropped += size

    def rest(self, opening: bytes) -> bytes:
        """All that is left, behind an opening."""
        whole = BytesIO()
        whole.write(opening)
        whole.write(self._buffer)
        self._buffer.clear()
        whole.writelines(self._pieces)
        return whole.getvalue()
