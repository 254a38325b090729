"""What commands read from a file or stdin."""

import sys
from pathlib import Path

from server.commands.output import USAGE, fail
from tools.json_text import Json, decode_json

__all__ = ["read_json_document", "read_stdin"]


def read_stdin(what: str) -> str:
    """The text on stdin; exit 2 when it is none. It is never shown: it may be a credential."""
    try:
        return sys.stdin.buffer.read().decode()
    except UnicodeDecodeError as error:
        fail(f"{what}: stdin is no UTF-8 text; byte {error.start + 1} cannot be read", USAGE)


def read_json_document(source: str) -> Json:
    """The document in a file, or on stdin for `-`; exit 2 when there is none."""
    try:
        content = sys.stdin.buffer.read() if source == "-" else Path(source).read_bytes()
    except OSError as error:
        fail(f"{source} cannot be read: {error.strerror}", USAGE)
    try:
        return decode_json(content.removeprefix(b"\xef\xbb\xbf"))
    except ValueError as error:
        fail(f"{source} is not JSON: {error}", USAGE)
