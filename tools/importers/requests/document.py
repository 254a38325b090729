"""Documents of recorded requests: JSON, bounded. No message shows what stands in them."""

from typing import cast

from tools.importers import DocumentError
from tools.importers.openapi import MAX_DOCUMENT_BYTES
from tools.json_text import Json, JsonObject, decode_json, nests_deeply

__all__ = ["read_json", "read_json_object"]

#: Commas and brackets: each can become a value, which takes more than its text.
_MAX_VALUES = 5_000_000


def read_json(content: bytes, kind: str) -> Json:
    """The value of a JSON document. Raises `DocumentError`."""
    if len(content) > MAX_DOCUMENT_BYTES:
        raise DocumentError(f"the document has more than {MAX_DOCUMENT_BYTES:,} bytes")
    if sum(map(content.count, (b",", b"[", b"{"))) > _MAX_VALUES:
        raise DocumentError(f"the document has more than {_MAX_VALUES:,} values")
    try:
        value = decode_json(content.removeprefix(b"\xef\xbb\xbf"))
    except ValueError as error:
        raise DocumentError(f"this is not JSON: {error}", hint=f"Valid is {kind}.") from None
    if nests_deeply(value):
        raise DocumentError("it is nested too deeply")
    return value


def read_json_object(content: bytes, kind: str) -> JsonObject:
    """The object in a JSON document. Raises `DocumentError`."""
    value = read_json(content, kind)
    if not isinstance(value, dict):
        raise DocumentError("this is no JSON object", hint=f"Valid is {kind}.")
    return cast("JsonObject", value)
