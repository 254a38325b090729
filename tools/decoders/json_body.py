"""JSON and newline-delimited JSON."""

from contextlib import suppress

import orjson

from tools.decoders.media_type import decode_text
from tools.decoders.result import Decoded, DecodeLimits, undecodable
from tools.errors import ErrorKind, RunError
from tools.json_rows import Rows
from tools.json_text import Json, decode_json

__all__ = ["decode_json_body", "decode_ndjson", "looks_like_ndjson", "read_json"]

_NEAR_CHARS = 120


def read_json(text: str) -> Json:
    """The JSON value of a text. Raises `ValueError`, and nothing else, where it is not JSON."""
    return decode_json(text.encode())


def is_utf8(charset: str | None) -> bool:
    """Whether a charset, or none, means the encoding that JSON has."""
    return (charset or "utf-8").lower() in {"utf-8", "utf8"}


def decode_json_body(
    body: bytes, label: str, charset: str | None, rows: Rows | None = None
) -> Decoded:
    """A body labelled as JSON; only white space is null. Raises `RunError` (decode).

    `rows` are what was read of it before: then `body` is the rest.
    """
    if is_utf8(charset):
        # As it came: a text in between would be two more copies.
        with suppress(ValueError):
            return Decoded(decode_json(body.removeprefix(b"\xef\xbb\xbf")))
    text, warnings = decode_text(body, charset)
    if not text.strip():
        return Decoded(None, tuple(warnings))
    try:
        return Decoded(read_json(text), tuple(warnings))
    except ValueError as error:
        if rows is not None and rows.bytes_read:
            raise undecodable(label, "JSON", *_fault_after_rows(error, text, rows)) from None
        raise undecodable(label, "JSON", *_fault(error, text)) from None


def decode_ndjson(body: bytes, label: str, charset: str | None, limits: DecodeLimits) -> Decoded:
    """One JSON value a line (also RFC 7464 text sequences), as a list; blank lines are skipped.

    Raises `RunError` (decode with the line, size_limit over `max_rows`).
    """
    text, warnings = decode_text(body, charset)
    rows: list[Json] = []
    for number, line in enumerate(text.replace("\x1e", "\n").split("\n"), start=1):
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
    return Decoded(rows, tuple(warnings))


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


def _fault_after_rows(error: ValueError, text: str, rows: Rows) -> tuple[str, str]:
    """The same where the lines before are gone."""
    position: int = getattr(error, "pos", 0)
    place = rows.place_of(len(text[:position].encode()))
    near = text[max(0, position - 20) : position + _NEAR_CHARS - 19]
    return f"{_reason_of(error)} at byte {place:,}", near.replace(rows.marking.decode(), "")


def _reason_of(error: ValueError) -> str:
    return str(getattr(error, "msg", error)).partition(": line ")[0].removesuffix(" at")
