"""JSON and newline-delimited JSON."""

from codecs import BOM_UTF8
from collections.abc import Iterable, Iterator
from contextlib import suppress

import orjson

from tools.decoders.media_type import decode_text
from tools.decoders.result import Decoded, DecodeLimits, undecodable
from tools.errors import ErrorKind, RunError
from tools.json_reader import Unread, read_pieces
from tools.json_text import Json, decode_json

__all__ = [
    "decode_json_body",
    "decode_json_body_pieces",
    "decode_ndjson",
    "decode_ndjson_lines",
    "is_no_json",
    "looks_like_ndjson",
    "read_json",
]

_NEAR_CHARS = 120


def read_json(text: str) -> Json:
    """The JSON value of a text. Raises `ValueError`, and nothing else, where it is not JSON."""
    return decode_json(text.encode())


def _is_utf8(charset: str | None) -> bool:
    """Whether a charset, or none, means the encoding that JSON has."""
    return (charset or "utf-8").lower() in {"utf-8", "utf8"}


def decode_json_body(body: bytes, label: str, charset: str | None) -> Decoded:
    """A body labelled as JSON; only white space is null. Raises `RunError` (decode)."""
    if _is_utf8(charset):
        # As it came: a text in between would be two more copies.
        with suppress(ValueError):
            return Decoded(decode_json(body.removeprefix(BOM_UTF8)))
    text, warnings = decode_text(body, charset)
    if not text.strip():
        return Decoded(None, tuple(warnings))
    try:
        return Decoded(read_json(text), tuple(warnings))
    except ValueError as error:
        raise undecodable(label, "JSON", *_fault(error, text)) from None


def decode_json_body_pieces(pieces: Iterable[bytes], label: str) -> Decoded:
    """The same of a large body in UTF-8, whose text is let go while the value is made."""
    unread = read_pieces(_without_mark(iter(pieces)))
    if not unread.bytes_read:
        return decode_json_body(unread.text, label, None)
    try:
        return Decoded(unread.complete(decode_json(unread.text)))
    except ValueError as error:
        raise undecodable(label, "JSON", *_fault_in_rest(error, unread)) from None


def _without_mark(pieces: Iterator[bytes]) -> Iterator[bytes]:
    head = b""
    while len(head) < len(BOM_UTF8) and (piece := next(pieces, None)) is not None:
        head += piece
    yield head.removeprefix(BOM_UTF8)
    yield from pieces


def decode_ndjson(body: bytes, label: str, charset: str | None, limits: DecodeLimits) -> Decoded:
    """One JSON value a line (also RFC 7464 text sequences), as a list; blank lines are skipped.

    Raises `RunError` (decode with the line, size_limit over `max_rows`).
    """
    text, warnings = decode_text(body, charset)
    return Decoded(decode_ndjson_lines(text.split("\n"), label, limits), tuple(warnings))


def decode_ndjson_lines(lines: Iterable[str], label: str, limits: DecodeLimits) -> list[Json]:
    """The same of lines, with or without their ends."""
    rows: list[Json] = []
    single = (part for line in lines for part in line.removesuffix("\n").split("\x1e"))
    for number, line in enumerate(single, start=1):
        if not line.strip():
            continue
        if len(rows) >= limits.max_rows:
            raise RunError(
                ErrorKind.SIZE_LIMIT, f"The answer has more than {limits.max_rows} lines of JSON."
            )
        try:
            rows.append(read_json(line))
        except ValueError as error:
            position, near = _fault(error, line)
            raise undecodable(
                label, "one JSON value a line", f"line {number}, {position}", near
            ) from None
    return rows


def is_no_json(head: str) -> bool:
    """Whether a long text that begins so is surely neither JSON nor one JSON value a line.

    A fault in the first half of its head is one of the text; one behind that may be that it is cut.
    """
    head = head.strip()
    line = head.partition("\n")[0]
    try:
        if line.startswith(("{", "[")):
            read_json(line)
            return False
    except ValueError:
        pass
    try:
        read_json(head)
    except orjson.JSONDecodeError as error:
        return error.pos < len(head) // 2
    except ValueError:
        pass
    return False


def looks_like_ndjson(text: str) -> bool:
    """Whether a text is two or more lines, each a JSON object or array."""
    lines = [line for line in text.split("\n", 20)[:20] if line.strip()]
    if len(lines) < 2 or any(line.lstrip()[0] not in "{[" for line in lines):
        return False
    try:
        for line in lines:
            if len(line) < 1_000_000:
                read_json(line)
    except ValueError:
        return False
    return True


def _fault(error: ValueError, text: str) -> tuple[str, str]:
    """What is wrong and where, and the text there."""
    if not isinstance(error, orjson.JSONDecodeError) and not hasattr(error, "pos"):
        return str(error), text[:_NEAR_CHARS]
    position: int = getattr(error, "pos", 0)
    line = text.count("\n", 0, position) + 1
    column = position - (text.rfind("\n", 0, position) + 1) + 1
    start = max(0, position - 20)
    reason = _reason_of(error)
    return f"{reason} at line {line} column {column}", text[start : start + _NEAR_CHARS + 1]


def _fault_in_rest(error: ValueError, unread: Unread) -> tuple[str, str]:
    """The same where the lines before are gone."""
    characters = getattr(error, "pos", None)
    if characters is None:
        return str(error), ""
    position = len(unread.text.decode()[:characters].encode())
    start = max(position - 20, unread.marking_bytes)
    near = unread.text[start : position + _NEAR_CHARS - 19].decode(errors="ignore")
    return f"{_reason_of(error)} at byte {unread.place_of(position):,}", near


def _reason_of(error: ValueError) -> str:
    return str(getattr(error, "msg", error)).partition(": line ")[0].removesuffix(" at")
