"""JSON text read in pieces: that of a large value is let go while the value is made.

What makes a text large is, as good as always, one long list of rows. The text is cut between rows
and each piece is read as a list of its own. A text of another shape is read in one piece.
"""

import re
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from io import SEEK_END, BytesIO
from typing import Any

from tools.json_pieces import PIECE_BYTES
from tools.json_text import Json, decode_json

__all__ = ["Rows", "decode_json_pieces", "read_rows"]

#: So much is read at once, up to the last end of a row; the parser takes twelve times as much for a
#: moment.
_READ_BYTES = PIECE_BYTES // 4
#: The list of rows is looked for in this much of a text, and where rows are long, in that much.
_HEADS_BYTES = (8 * 1024, 64 * 1024)
#: Where a piece may be cut: so many places are tried, in so much text at most.
_CUTS_TRIED = 4
_LONGEST_PIECE_BYTES = 16 * PIECE_BYTES
#: Commas of a list, after which its rows are known to look alike.
_FEWEST_COMMAS = 2
_TOKEN = re.compile(rb'\s*("(?:[^"\\]|\\.)*"|[\[\]{}:,]|[^\s\[\]{}:,"]+)', re.DOTALL)
_FIRST_KEY = re.compile(rb'\{\s*"(?:[^"\\]|\\.)*"\s*:', re.DOTALL)
_SPACES = b" \t\r\n"


@dataclass
class Rows:
    """What was read of a text, and the text that is left: JSON with a mark in place of the rows."""

    rest: bytes
    values: list[Json] = field(default_factory=list[Json])
    #: Where the rows are: names and positions, from the top.
    place: list[str | int] = field(default_factory=list[str | int])
    mark: str = ""
    #: How much of the text is not in `rest`, and where it was.
    bytes_read: int = 0
    read_at: int = 0

    @property
    def marking(self) -> bytes:
        """What `rest` has in place of the rows that were read."""
        return b'"%s",' % self.mark.encode() if self.mark else b""

    def place_of(self, position: int) -> int:
        """Where a byte of `rest` is in the whole text."""
        if position <= self.read_at:
            return position
        return position - len(self.marking) + self.bytes_read

    def put_into(self, value: Json) -> Json:
        """The value of the whole text; `value` is that of `rest`."""
        if not self.mark:
            return value
        holder: Any = value
        try:
            for name in self.place:
                holder = holder[name]
            if holder[0] == self.mark:
                holder[:1] = self.values
        except (LookupError, TypeError):
            # A later member of the same name has taken the place of the rows, as it always does.
            pass
        return value


def decode_json_pieces(pieces: Iterable[bytes]) -> Json:
    """The value of a JSON text (UTF-8) that comes in pieces of any size. Raises `ValueError`."""
    rows = read_rows(pieces)
    return rows.put_into(decode_json(rows.rest))


def read_rows(pieces: Iterable[bytes], piece_bytes: int = _READ_BYTES) -> Rows:
    """Read what can be read of a text in pieces; nothing is raised, whatever it holds.

    A cut is right when the text before it reads as a list of whole values, since the cut before it
    was right. What no cut is found in is left, right or wrong.
    """
    text = _Incoming(iter(pieces))
    found = None
    for size in _HEADS_BYTES:
        text.fill(size)
        found = found or (None if text.has_ended else _find_list(bytes(text.buffer[:size])))
    if found is None:
        return Rows(text.rest())
    before = text.take(found.start)
    rows = Rows(b"", place=found.place, mark=uuid.uuid4().hex, read_at=found.start)
    wanted = piece_bytes
    while wanted <= _LONGEST_PIECE_BYTES:
        text.fill(wanted)
        if text.has_ended:
            break
        cut = _cut(text.buffer, found)
        if cut is None:
            # A row may be longer than a piece.
            wanted *= 2
            continue
        values, end = cut
        rows.values += values
        rows.bytes_read += end
        text.take(end)
        wanted = piece_bytes
    # What follows a cut is a row, so the mark is one, too.
    rows.rest = b"%s%s%s" % (before, rows.marking, text.rest())
    return rows


class _Incoming:
    """The text that has come and was not taken."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self.buffer = bytearray()
        self.has_ended = False

    def fill(self, size: int) -> None:
        """Have more than `size` bytes, or all there are."""
        while len(self.buffer) <= size:
            piece = next(self._pieces, None)
            if piece is None:
                self.has_ended = True
                return
            self.buffer += piece

    def take(self, size: int) -> bytes:
        taken = bytes(self.buffer[:size])
        del self.buffer[:size]
        return taken

    def rest(self) -> bytes:
        whole = BytesIO(self.take(len(self.buffer)))
        whole.seek(0, SEEK_END)
        whole.writelines(self._pieces)
        return whole.getvalue()


@dataclass(frozen=True)
class _FoundList:
    """A list of rows that look alike: the position of its first row, and what is between two."""

    start: int
    place: list[str | int]
    #: The end of a row, a comma, and the beginning of the next one.
    between: bytes
    #: How much of `between` is before the comma.
    end_bytes: int


@dataclass
class _Open:
    """A container that is open where the text is looked at."""

    is_list: bool
    start: int
    #: Its own name or position in the one around it.
    name: str | int
    #: The name of the member that is next, of an object.
    key: str = ""
    commas: int = 0
    first_comma: int = 0


def _find_list(head: bytes) -> _FoundList | None:
    """The outermost list that is still open where a text goes on, if it has rows."""
    stack: list[_Open] = []
    position = 0
    text = b""
    while (token := _TOKEN.match(head, position)) is not None:
        before, text, position = text, token[1], token.end()
        around = stack[-1] if stack else None
        if text in b"[{":
            name = "" if around is None else around.commas if around.is_list else around.key
            stack.append(_Open(text == b"[", position, name))
        elif text in b"]}":
            if around is None:
                return None
            stack.pop()
        elif text == b"," and around is not None:
            around.first_comma = around.first_comma or position - 1
            around.commas += 1
        elif text == b":" and around is not None:
            try:
                around.key = decode_json(before)
            except ValueError:
                return None
    for level, one in enumerate(stack):
        if one.is_list and one.commas >= _FEWEST_COMMAS:
            place = [above.name for above in stack[1 : level + 1]]
            return _described(head, one, place)
    return None


def _described(head: bytes, one: _Open, place: list[str | int]) -> _FoundList:
    comma = one.first_comma
    row_end = len(head[:comma].rstrip(_SPACES))
    next_row = comma + 1 + len(head[comma + 1 :]) - len(head[comma + 1 :].lstrip(_SPACES))
    # The brackets and quotes on both sides, and a first name, tell rows from what is in them.
    begin = row_end - 1 if head[row_end - 1 : row_end] in (b"}", b"]", b'"') else row_end
    first_key = _FIRST_KEY.match(head, next_row)
    end = next_row + 1 if head[next_row : next_row + 1] in (b"[", b'"') else next_row
    if first_key is not None:
        end = first_key.end()
    return _FoundList(one.start, place, head[begin:end], comma - begin)


def _cut(text: bytearray, found: _FoundList) -> tuple[list[Json], int] | None:
    """The rows before the last place where a row ends, and how much text they and a comma take."""
    place = len(text)
    for _ in range(_CUTS_TRIED):
        place = text.rfind(found.between, 0, place)
        if place <= 0:
            return None
        end = place + found.end_bytes
        try:
            return decode_json(b"[%s]" % bytes(text[:end])), end + 1
        except ValueError:
            continue
    return None
