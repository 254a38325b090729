"""Variables of Postman in texts, and its lists of keys and values."""

import re

from tools.importers.openapi.words import list_of, object_of
from tools.importers.text import reference, without_marks
from tools.json_text import Json

__all__ = ["as_text", "pairs_of", "with_references"]

_VARIABLE = re.compile(r"\{\{\s*([^{}\s][^{}]{0,200}?)\s*\}\}")
#: What it makes anew for each request.
_DYNAMIC = {
    "$guid": "(s) => crypto.randomUUID()",
    "$randomUUID": "(s) => crypto.randomUUID()",
    "$timestamp": "(s) => Math.floor(Date.now() / 1000)",
    "$isoTimestamp": "(s) => new Date().toISOString()",
    "$randomInt": "(s) => Math.floor(Math.random() * 1001)",
}


def as_text(value: Json) -> str:
    """A text, number or truth value as text; anything else is empty."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    return without_marks(value) if isinstance(value, str) else ""


def with_references(text: str) -> str:
    """A text whose `{{variables}}` are references."""
    return _VARIABLE.sub(lambda match: reference(_DYNAMIC.get(match[1], match[1])), text)


def pairs_of(value: Json, *, resolved: bool = True) -> list[tuple[str, str]]:
    """The enabled keys and values of a list, or of an old list in one text."""
    change = with_references if resolved else without_marks
    if isinstance(value, str):
        lines = (line.partition(":") for line in value.splitlines() if not line.startswith("//"))
        return [(change(name.strip()), change(text.strip())) for name, _, text in lines if name]
    return [
        (change(as_text(one.get("key"))), change(as_text(one.get("value"))))
        for one in map(object_of, list_of(value))
        if one.get("disabled") is not True and as_text(one.get("key"))
    ]
