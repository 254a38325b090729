"""Where a JSON text can be cut: behind a value, and what is open there.

A text is looked at from a place outside of strings on. Then its quotes tell strings from the rest,
once the escaped ones are out of the way, and its brackets tell which containers are open.
"""

import re
from dataclasses import dataclass

__all__ = ["OBJECT", "Cut", "Layout", "LikelyCuts", "UnendedString", "without_escapes"]

#: How much of the end of a text is looked at for the outermost comma.
_TAIL_BYTES = 8 * 1024
#: No parser goes deeper.
_MOST_LEVELS = 1024

#: The kinds of containers, by their brackets.
LIST, OBJECT = b"[{"
_OPENER_OF = {ord("]"): LIST, ord("}"): OBJECT}
_NOT_STRUCTURE = bytes(set(range(256)) - set(b'[]{}"'))
#: A string is one match, so that what is in it is none.
_BRACKET_OR_COMMA = re.compile(rb'"[^"]*"|([\[\]{},])')
_FIRST_KEY = re.compile(rb'\{\s*"(?:[^"\\]|\\.)*"\s*:', re.DOTALL)
_SPACES = b" \t\r\n"


@dataclass(frozen=True)
class Cut:
    """A place behind a value."""

    end: int
    #: The brackets of the containers that are open there, outermost first.
    kinds: bytes


@dataclass(frozen=True)
class UnendedString:
    """A value that is a string and goes on beyond the text."""

    #: Where its quote is.
    start: int
    #: What opens it: the quote, behind the name of a member of an object.
    opening: bytes
    kinds: bytes


def without_escapes(text: bytes) -> bytes:
    r"""A text as long, without `\\` and `\"`: what quotes are left begin and end strings."""
    return text.replace(b"\\\\", b"__").replace(b'\\"', b"__")


class Layout:
    """What is a string in a text and what is not; `kinds` are the containers open before it.

    Methods raise `ValueError` where no JSON has such brackets.
    """

    def __init__(self, text: bytes, kinds: bytes) -> None:
        self._text = text
        self._plain = without_escapes(text)
        self._kinds = kinds
        is_in_string = self._plain.count(b'"') % 2 == 1
        #: Where the string begins in which the text ends.
        self._string_start = self._plain.rfind(b'"') if is_in_string else None
        self._end = len(text) if self._string_start is None else self._string_start

    def outermost_comma(self) -> Cut | None:
        """The last comma of the outermost container that has one near the end of the text.

        The first byte is none: nothing would be cut off.
        """
        start = self._outside_of_strings(self._end - _TAIL_BYTES)
        cut = self._outermost_comma_from(start)
        return self._outermost_comma_from(0) if cut is None and start else cut

    def unended_string(self) -> UnendedString | None:
        """The value in which the text ends, where that is a string."""
        start = self._string_start
        if start is None:
            return None
        kinds = self._kinds_at(start)
        if kinds[-1:] != b"{":
            return UnendedString(start, b'"', kinds)
        before = self._plain[:start].rstrip(_SPACES)
        if not before.endswith(b":"):
            # It is a name.
            return None
        name_end = before.rfind(b'"')
        name_start = before.rfind(b'"', 0, max(name_end, 0))
        if name_start < 0:
            return None
        return UnendedString(start, self._text[name_start : start + 1], kinds)

    def _outside_of_strings(self, position: int) -> int:
        """The first such place from a position on."""
        if position <= 0:
            return 0
        is_in_string = self._plain.count(b'"', 0, position) % 2 == 1
        return self._plain.index(b'"', position) + 1 if is_in_string else position

    def _kinds_at(self, position: int) -> bytes:
        skeleton = self._plain[:position].translate(None, _NOT_STRUCTURE)
        brackets = b"".join(skeleton.split(b'"')[::2])
        kinds = bytearray(self._kinds)
        for bracket in brackets.replace(b"[]", b"").replace(b"{}", b""):
            _pass(bracket, kinds)
        return bytes(kinds)

    def _outermost_comma_from(self, start: int) -> Cut | None:
        if self._plain.find(b",", max(start, 1), self._end) < 0:
            return None
        kinds = bytearray(self._kinds_at(start))
        found: Cut | None = None
        for match in _BRACKET_OR_COMMA.finditer(self._plain, start, self._end):
            token = match[1]
            if token is None:
                continue
            if token != b",":
                _pass(token[0], kinds)
            elif match.start() and (found is None or len(kinds) <= len(found.kinds)):
                found = Cut(match.start(), bytes(kinds))
        return found


def _pass(bracket: int, kinds: bytearray) -> None:
    if bracket in b"[{":
        kinds.append(bracket)
        if len(kinds) > _MOST_LEVELS:
            raise ValueError("the JSON is nested too deeply")
    elif not kinds or kinds.pop() != _OPENER_OF[bracket]:
        raise ValueError("a bracket closes what is not open")


@dataclass(frozen=True)
class LikelyCuts:
    """Cuts that are like one before: between the same bytes, with the same containers open."""

    #: The end of a value, a comma, and how the next one begins.
    between: bytes
    #: How much of it is before the comma.
    end_bytes: int

    @classmethod
    def like(cls, text: bytes, comma: int) -> "LikelyCuts | None":
        """Those like the comma of a text; None when a look at the text would have found another."""
        value_end = len(text[:comma].rstrip(_SPACES))
        rest = text[comma + 1 :]
        next_value = len(text) - len(rest.lstrip(_SPACES))
        # The brackets and quotes on both sides, and a first name, tell rows from what is in them.
        begin = value_end - (text[value_end - 1 : value_end] in (b"}", b"]", b'"'))
        end = next_value + (text[next_value : next_value + 1] in (b"[", b'"'))
        first_key = _FIRST_KEY.match(text, next_value)
        if first_key is not None:
            end = first_key.end()
        likely = cls(text[begin:end], comma - begin)
        return likely if likely.last_in(text) == comma else None

    def last_in(self, text: bytes) -> int:
        """The last of them in a text, or a number below 1."""
        place = text.rfind(self.between)
        return place + self.end_bytes if place >= 0 else 0
