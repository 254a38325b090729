"""XML in the form of `xmltodict`: attributes as `@name`, text beside them as `#text`."""

from typing import Any
from xml.parsers.expat import ExpatError

from tools.decoders.result import Decoded, DecodeLimits, undecodable
from tools.errors import ErrorKind, RunError

__all__ = ["decode_xml", "looks_like_xml"]


def looks_like_xml(text: str) -> bool:
    """Whether a text begins as an XML document does and is not HTML."""
    start = text.lstrip()[:200].lower()
    if not start.startswith("<") or start.startswith(("<!doctype html", "<html")):
        return False
    return start.startswith("<?xml") or text.rstrip().endswith(">")


def decode_xml(body: bytes | str, label: str, limits: DecodeLimits) -> Decoded:
    """The document as an object with one key, the name of its root.

    Bytes are read in the encoding that the document declares. Entity declarations are refused, so
    nothing can be expanded or fetched. Raises `RunError` (decode, size_limit for its depth).
    """
    import xmltodict

    data = body.encode(errors="replace") if isinstance(body, str) else body

    def check_depth(path: list[Any], key: str, value: Any) -> tuple[str, Any]:
        if len(path) > limits.max_depth:
            raise RunError(
                ErrorKind.SIZE_LIMIT, f"The XML is nested more than {limits.max_depth} levels deep."
            )
        return key, value

    try:
        value = xmltodict.parse(
            data,
            encoding="utf-8" if isinstance(body, str) else None,
            disable_entities=True,
            postprocessor=check_depth,
        )
    except ExpatError as error:
        lines = data.split(b"\n", error.lineno)
        near = lines[error.lineno - 1] if error.lineno <= len(lines) else b""
        start = max(0, error.offset - 20)
        raise undecodable(
            label, "XML", str(error), near[start : start + 200].decode(errors="replace")
        ) from None
    except (ValueError, LookupError) as error:
        raise undecodable(label, "XML that can be read", str(error), "") from None
    return Decoded(value)
