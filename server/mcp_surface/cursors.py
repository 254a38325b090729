"""Cursors of lists: places in them, in a form that clients give back as it is."""

import base64
import binascii

__all__ = ["BadCursorError", "decode_cursor", "encode_cursor"]


class BadCursorError(Exception):
    """The cursor is not one that this server gave."""

    def __init__(self) -> None:
        super().__init__("Invalid cursor: it is not one that this server gave; start anew")


def encode_cursor(place: str) -> str:
    """A place in a list as clients are given it."""
    return base64.urlsafe_b64encode(place.encode()).decode()


def decode_cursor(cursor: str | None) -> str:
    """The place, "" for the start. Raises `BadCursorError`."""
    if not cursor:
        return ""
    try:
        return base64.b64decode(cursor.encode(), altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        raise BadCursorError from None
