"""PDF documents: their text."""

import io
import logging
import time
from typing import Any

from tools.decoders.result import DecodeLimits, undecodable
from tools.json_text import JsonObject

__all__ = ["decode_pdf"]

# It tells every oddity of a document to standard error.
logging.getLogger("pypdf").setLevel(logging.CRITICAL)


def decode_pdf(body: bytes, label: str, limits: DecodeLimits) -> tuple[JsonObject, list[str]]:
    """`{"text", "pageCount"}`, pages separated by a form feed, and warnings about pages left out.

    Raises `RunError` (decode) where it is no PDF. A document with a password gives a null text
    and a warning.
    """
    if b"%PDF-" not in body[:1024]:
        raise undecodable(
            label, "a PDF document", "no %PDF- at its start", body[:120].decode("latin-1")
        )
    import pypdf

    warnings: list[str] = []
    try:
        reader: Any = pypdf.PdfReader(io.BytesIO(body), strict=False)
        if reader.is_encrypted and not reader.decrypt(""):
            return {"text": None, "pageCount": None}, ["The PDF has a password and was not read."]
        count = len(reader.pages)
    except Exception as error:  # pypdf raises whatever a broken part leads to
        raise undecodable(label, "a PDF document", f"{type(error).__name__}: {error}", "") from None
    texts: list[str] = []
    deadline = time.monotonic() + limits.max_pdf_seconds
    for number in range(count):
        if number >= limits.max_pages or time.monotonic() > deadline:
            warnings.append(f"Only the text of the first {number} of {count} pages was read.")
            break
        try:
            texts.append(reader.pages[number].extract_text())
        except Exception as error:  # the same, for one page
            texts.append("")
            warnings.append(
                f"The text of page {number + 1} cannot be read: {type(error).__name__}."
            )
    return {"text": "\f".join(texts), "pageCount": count}, warnings
