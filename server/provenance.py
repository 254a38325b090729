"""What a stored tool was imported from, and whether it is still as it was imported."""

import hashlib
import json
from typing import cast

from storage.tools import BOOKKEEPING
from tools.json_text import JsonObject

__all__ = ["PROVENANCE", "content_hash", "is_edited", "mark_of", "restored_over"]

#: The member of a tool that says what it was imported from; its `hash` is of what the document
#: gave last.
PROVENANCE = "x-callslip-import"


def mark_of(definition: JsonObject) -> JsonObject:
    """What a tool was imported from; empty where it was not."""
    mark = definition.get(PROVENANCE)
    return cast("JsonObject", mark) if isinstance(mark, dict) else {}


def is_edited(definition: JsonObject) -> bool:
    """Whether a tool is not what its document gave last: an import leaves it alone."""
    return mark_of(definition).get("hash") != content_hash(definition)


def content_hash(definition: JsonObject) -> str:
    """A hash of what a tool does, whatever version it is."""
    apart = BOOKKEEPING | {PROVENANCE}
    content = {key: value for key, value in definition.items() if key not in apart}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def restored_over(definition: JsonObject, current: JsonObject | None) -> JsonObject:
    """An earlier version of a tool in the place of the current one, or of none.

    The document gave the current one, and still does: the earlier version counts as edited, or the
    next import would undo what was restored.
    """
    mark = mark_of(definition)
    if not mark:
        return definition
    given = mark_of(current or {}).get("hash")
    kept = {key: value for key, value in mark.items() if key != "hash"}
    return {**definition, PROVENANCE: {**kept, **({"hash": given} if given is not None else {})}}
