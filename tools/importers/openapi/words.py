"""Texts of a document in a length that a model reads."""

import re
from typing import Any, cast

from tools.json_text import Json, JsonObject
from tools.literal_secrets import holds_issued_key
from tools.redaction import REDACTED, without_user_information

__all__ = ["list_of", "object_of", "short_text", "shown_url", "text_of", "without_issued_keys"]

_MARKUP = re.compile(r"<(?:/?[a-z][^<>]{0,200}|!--.*?--)>", re.IGNORECASE | re.DOTALL)
_QUERY_VALUE = re.compile(r"([?&][^=&#\s]{1,80})=[^&#\s]+")
_LONGEST_URL = 120
#: What may be a key that somebody pasted into a text.
_RUN = re.compile(r"[A-Za-z0-9_.-]{16,}")
_LINK = re.compile(r"\[([^\[\]]{1,200})\]\([^()\s]{1,500}\)")


def short_text(value: Json, most: int) -> str | None:
    """The first paragraph of a text on one line, cut at a word; None when there is none."""
    if not isinstance(value, str):
        return None
    text = _LINK.sub(r"\1", _MARKUP.sub(" ", value[: most * 20].strip()))
    text = without_issued_keys(without_user_information(text))
    paragraph = re.split(r"\n\s*\n", text.strip(), maxsplit=1)[0]
    line = " ".join(paragraph.split()).encode("utf-8", "replace").decode()
    if len(line) <= most:
        return line or None
    sentence = line[:most].rfind(". ")
    if sentence > most // 2:
        return line[: sentence + 1]
    return line[: most - 1].rpartition(" ")[0] + "…" if " " in line[: most - 1] else line[:most]


def without_issued_keys(text: str) -> str:
    """A text with a mark in place of what an issuer of keys gave somebody."""
    if not holds_issued_key(text):
        return text
    text = _RUN.sub(lambda run: REDACTED if holds_issued_key(run[0]) else run[0], text)
    # A private key is lines of text.
    return REDACTED if holds_issued_key(text) else text


def shown_url(url: str) -> str:
    """A url for people: without what may be secret in it, and of a length to be read."""
    return _QUERY_VALUE.sub(r"\1=…", without_user_information(url))[:_LONGEST_URL]


def object_of(value: Json) -> JsonObject:
    """The value if it is an object, else an empty one: documents hold anything anywhere."""
    return cast("JsonObject", value) if isinstance(value, dict) else {}


def list_of(value: Json) -> list[Any]:
    """The value if it is a list, else an empty one."""
    return cast("list[Any]", value) if isinstance(value, list) else []


def text_of(value: Json) -> str:
    """The value if it is text, else an empty one."""
    return value if isinstance(value, str) else ""
