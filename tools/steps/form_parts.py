"""Fields of a form as what is sent: pairs of texts, or the parts of a multipart body with files."""

import base64
import binascii
import re
from collections.abc import Iterator
from typing import Any, cast
from urllib.parse import quote_plus

from tools.errors import ErrorKind, RunError
from tools.json_text import Json, JsonObject
from tools.scripts import js_text

__all__ = ["encode_multipart", "encode_urlencoded"]

#: A part is `{"file": {"text" or "base64", …}, "name"?, "contentType"?}`.
_PART_KEYS = frozenset({"file", "name", "contentType"})
_FILE_KEYS = frozenset({"text", "base64", "name", "contentType"})
#: A media type with parameters; anything else could write headers of its own.
_MEDIA_TYPE = re.compile(r"[\w!#$&^.+-]+/[\w!#$&^.+*-]+(?:\s*;[\x20-\x7e]*)?", re.ASCII)
#: Of the file itself: a caller's input is one, and in a template it stands under `file`.
_HINT = (
    'a file is {"text": "…"} for text or {"base64": "…"} for any bytes, encoded as base64 with its '
    "padding; with `name` and `contentType` where they are needed"
)


def encode_urlencoded(fields: JsonObject) -> bytes:
    """The fields as `application/x-www-form-urlencoded`, a list once for each element."""
    pairs = [(name, js_text(one)) for name, one in _each(fields)]
    return "&".join(f"{quote_plus(name)}={quote_plus(text)}" for name, text in pairs).encode()


def encode_multipart(fields: JsonObject) -> tuple[bytes, str]:
    """The fields as `multipart/form-data` with its content type.

    Raises `RunError` for a file that is not described as one can be.
    """
    parts = [(name, part) for name, one in _each(fields) if (part := _part(name, one)) is not None]
    if not parts:
        return b"--empty--\r\n", "multipart/form-data; boundary=empty"
    import httpx

    request = httpx.Request("POST", "http://form", files=parts)
    return request.read(), request.headers["content-type"]


def _each(fields: JsonObject) -> Iterator[tuple[str, Json]]:
    """The values with their names, one for each element of a list; null has none."""
    for name, value in fields.items():
        listed = cast("list[Any]", value) if isinstance(value, list) else [value]
        if value is not None:
            yield from ((name, one) for one in listed)


def _part(name: str, value: Json) -> tuple[str | None, bytes, str | None] | None:
    """File name, content and content type of a part; None for a file that is not there."""
    described = cast("JsonObject", value) if isinstance(value, dict) else {}
    if "file" not in described or not described.keys() <= _PART_KEYS:
        return None, js_text(value).encode("utf-8", "surrogatepass"), None
    if described["file"] is None:
        return None
    if not isinstance(described["file"], dict):
        return None, js_text(value).encode("utf-8", "surrogatepass"), None
    file = cast("JsonObject", described["file"])
    if "text" not in file and "base64" not in file:
        return None, js_text(value).encode("utf-8", "surrogatepass"), None
    where = f"body.{name}"
    if ("text" in file and "base64" in file) or not file.keys() <= _FILE_KEYS:
        raise _problem(f"{where}.file: it has {', '.join(sorted(file))[:200]}")
    file_name = _text(file, described, "name", where)
    content_type = _text(file, described, "contentType", where)
    if content_type is not None and not _MEDIA_TYPE.fullmatch(content_type):
        raise _problem(f"{where}: {content_type[:80]!r} is no content type")
    if content_type is None and file_name is not None:
        content_type = "application/octet-stream"
    return file_name, _content(file, where), content_type


def _text(file: JsonObject, described: JsonObject, key: str, where: str) -> str | None:
    """What the file says of itself goes before what stands beside it."""
    value = file.get(key)
    value = described.get(key) if value in (None, "") else value
    if value in (None, ""):
        return None
    if not isinstance(value, str):
        raise _problem(f"{where}: `{key}` is no text")
    return value


def _content(file: JsonObject, where: str) -> bytes:
    if "text" in file:
        return js_text(file["text"]).encode("utf-8", "surrogatepass")
    try:
        return base64.b64decode(str(file["base64"]), validate=True)
    except (binascii.Error, ValueError):
        raise _problem(f"{where}.file: `base64` is not base64") from None


def _problem(message: str) -> RunError:
    return RunError(ErrorKind.INVALID_INPUT, message, hint=_HINT)
