"""How a place below a JSON value is written in JSONPath (RFC 9535)."""

import re

__all__ = ["name_segment", "quoted"]

_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ESCAPES = {"'": "\\'", "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def name_segment(name: str) -> str:
    """The segment of a member: `.name`, or `['a name']`."""
    return f".{name}" if _PLAIN_NAME.fullmatch(name) else f"[{quoted(name)}]"


def quoted(text: str) -> str:
    """A string of JSONPath: single quotes, JSON's escapes."""
    escaped = "".join(
        _ESCAPES.get(character) or (character if character >= " " else f"\\u{ord(character):04x}")
        for character in text
    )
    return f"'{escaped}'"
