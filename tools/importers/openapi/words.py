"""Texts of a document in a length that a model reads."""

import re
from typing import Any, cast

from tools.importers.openapi.masking import without_secrets
from tools.json_text import Json, JsonObject

__all__ = ["list_of", "object_of", "short_text", "shown_url", "text_of"]

_MARKUP = re.compile(r"<(?:/?[a-z][^<>]{0,200}|!--.*?--)>", re.IGNORECASE | re.DOTALL)
_QUERY_VALUE = re.compile(r"([?&][^=&#\s]{1,80})=[^&#\s]+")
_LONGEST_URL = 120
_LINK = re.compile(r"\[([^\[\]]{1,200})\]\([^()\s]{1,500}\)")


def short_text(value: Json, most: int) -> str | None:
    """The first paragraph of a text on one line, cut at a word; None when there is none."""
    if not isinstance(value, str):
        return None
    # Before the markup goes: it may be part of a secret.
    text = without_secrets(value[: most * 20].strip())
    text = _LINK.sub(r"\1", _MARKUP.sub(" ", text))
    paragraph = re.split(r"\n\s*\n", text.strip(), maxsplit=1)[0]
    line = " ".join(paragraph.split()).encode("utf-8", "replace").decode()
    if len(line) <= most:
        return line or None
    sentence = line[:most].rfind(". ")
    if sentence > most // 2:
        return line[: sentence + 1]
    return line[: most - 1].rpartition(" ")[0] + "…" if " " in line[: most - 1] else line[:most]


def shown_url(url: str) -> str:
    """A url for people: without what may be secret in it, and of a length to be read."""
    return without_secrets(_QUERY_VALUE.sub(r"\1=…", url))[:_LONGEST_URL]


def object_of(value: Json) -> JsonObject:
    """The value if it is an object, else an empty one: documents hold anything anywhere."""
    return cast("JsonObject", value) if isinstance(value, dict) else {}


def list_of(value: Json) -> list[Any]:
    """The value if it is a list, else an empty one."""
    return cast("list[Any]", value) if isinstance(value, list) else []


def text_of(value: Json) -> str:
    """The value if it is text, else an empty one."""
    return value if isinstance(value, str) else ""
