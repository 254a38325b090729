"""JSON documents from a file or stdin."""

import sys
from pathlib import Path

from server.commands.output import USAGE, fail
from tools.json_text import Json, decode_json

__all__ = ["read_json_document"]


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
