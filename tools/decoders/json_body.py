"""JSON and newline-delimited JSON."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import partial

import orjson

from tools.decoders.result import DecodeLimits, undecodable
from tools.decoders.text import Text
from tools.errors import ErrorKind, RunError
from tools.json_pieces import PIECE_BYTES
from tools.json_reader import Unread, is_json, read_pieces
from tools.json_text import Json, decode_json

__all__ = ["begins_as_json", "decode_json_body", "decode_ndjson", "is_ndjson", "is_no_json"]

_NEAR_CHARS = 120
_FIRST_SIGNS = frozenset('{["-0123456789tfn')
#: So many values have to be containers for a text to count as lines of JSON.
_LINES_LOOKED_AT = 20
#: Lines up to here take less time read at once than in pieces.
_SHORT_BYTES = 64 * 1024


def decode_json_body(text: Text, label: str) -> Json:
    """The value of a text that says it is JSON; only white space is null. The text is taken.

    Raises `RunError` (decode).
    """
    unread = read_pieces(text.take())
    if not unread.bytes_read and not unread.text.decode().strip():
        return None
    try:
        return unread.complete(decode_json(unread.text))
    except ValueError as error:
        raise undecodable(label, "JSON", *_fault_of_unread(error, unread)) from None


def decode_ndjson(lines: Iterable[str], label: str, limits: DecodeLimits) -> list[Json]:
    """One JSON value a line (also RFC 7464 text sequences), as a list; blank lines are skipped.

    Raises `RunError` (decode with the line, size_limit over `max_rows`).
    """
    rows: list[Json] = []
    numbered = ((number, part) for number, line in enumerate(lines, 1) for part in _parts([line]))
    for number, part in numbered:
        if not part.strip():
            continue
        if len(rows) >= limits.max_rows:
            raise RunError(
                ErrorKind.SIZE_LIMIT, f"The answer has more than {limits.max_rows} lines of JSON."
            )
        try:
            rows.append(decode_json(part.encode()))
        except ValueError as error:
            position, near = _fault(error, part)
            raise undecodable(
                label, "one JSON value a line", f"line {number}, {position}", near
            ) from None
    return rows


def is_ndjson(text: Text) -> bool:
    """Whether a text is two or more lines of JSON, the first ones objects or arrays.

    Nothing of it is kept. One with a line of `PIECE_BYTES` characters is not.
    """
    # What is left of a longer line is no JSON.
    lines = iter(partial(text.lines("\n").readline, PIECE_BYTES), "")
    count = 0
    for part in _parts(lines):
        if not part.strip():
            continue
        count += 1
        if count <= _LINES_LOOKED_AT and part.lstrip()[0] not in "{[":
            return False
        if not _is_value(part.encode()):
            return False
    return count >= 2


def _is_value(line: bytes) -> bool:
    if len(line) > _SHORT_BYTES:
        return is_json([line])
    with suppress(ValueError):
        decode_json(line)
        return True
    return False


def _parts(lines: Iterable[str]) -> Iterator[str]:
    return (part for line in lines for part in line.removesuffix("\n").split("\x1e"))


def begins_as_json(head: str) -> bool:
    """Whether the first sign of a text is one of JSON's."""
    return head.lstrip()[:1] in _FIRST_SIGNS


def is_no_json(head: str) -> bool:
    """Whether a text that begins so is surely neither JSON nor one JSON value a line.

    A fault in the first half of its head is one of the text; one behind that may be that it is cut.
    """
    head = head.strip()
    line = next(_parts([head.partition("\n")[0]]))
    try:
        if line.startswith(("{", "[")):
            decode_json(line.encode())
            return False
    except ValueError:
        pass
    try:
        decode_json(head.encode())
    except orjson.JSONDecodeError as error:
        return error.pos < len(head) // 2
    except ValueError:
        pass
    return False


def _fault_of_unread(error: ValueError, unread: Unread) -> tuple[str, str]:
    """What is wrong and where, and the text there."""
    if not unread.bytes_read:
        return _fault(error, unread.text.decode())
    characters = getattr(error, "pos", None)
    if characters is None:
        return str(error), ""
    # The lines before are gone.
    position = len(unread.text.decode()[:characters].encode())
    start = max(position - 20, unread.marking_bytes)
    near = unread.text[start : position + _NEAR_CHARS - 19].decode(errors="ignore")
    return f"{_reason_of(error)} at byte {unread.place_of(position):,}", near


def _fault(error: ValueError, text: str) -> tuple[str, str]:
    """The same for a text that is whole."""
    if not isinstance(error, orjson.JSONDecodeError) and not hasattr(error, "pos"):
        return str(error), text[:_NEAR_CHARS]
    position: int = getattr(error, "pos", 0)
    line = text.count("\n", 0, position) + 1
    column = position - (text.rfind("\n", 0, position) + 1) + 1
    start = max(0, position - 20)
    reason = _reason_of(error)
    return f"{reason} at line {line} column {column}", text[start : start + _NEAR_CHARS + 1]


def _reason_of(error: ValueError) -> str:
    return str(getattr(error, "msg", error)).partition(": line ")[0].removesuffix(" at")
