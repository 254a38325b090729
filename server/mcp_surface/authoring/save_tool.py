"""`save_tool`: store a definition, and say what is different from the one before."""

from server.mcp_surface.authoring.tool import (
    DEFINITION,
    PROBLEMS_SCHEMA,
    Asking,
    authoring_tool,
    client_name_of,
    report,
)
from server.mcp_surface.names import published_name
from server.service import Service, UnknownToolError
from storage.tools import BOOKKEEPING
from tools.json_diff import json_diff
from tools.json_text import JsonObject

__all__ = ["SAVED_SCHEMA", "SAVE_TOOL", "save"]

_MOST_CHANGES = 40

SAVED_SCHEMA: JsonObject = {
    "type": "object",
    "properties": {
        "outcome": {"enum": ["added", "updated", "unchanged", "refused"]},
        "id": {"type": "string"},
        "name": {"type": "string", "description": "The name under which it is called."},
        "version": {"type": "string"},
        "changes": {"type": "array", "items": {"type": "object"}},
        "problems": PROBLEMS_SCHEMA,
        "example": {"type": "object"},
        "definition": {"type": "object"},
        "next": {"type": "string"},
    },
    "required": ["outcome", "problems"],
}


async def save(service: Service, definition: JsonObject, asking: Asking) -> JsonObject:
    """Store a definition: `{outcome, id, name, version, changes, problems}`."""
    before = await _stored(service, definition.get("id"))
    checked, outcome = await service.tools.put(definition, client_name=client_name_of(asking))
    if outcome is None:
        return {"outcome": "refused", **report(checked)}
    answer: JsonObject = {
        "outcome": outcome.outcome,
        **report(checked),
        "name": published_name(outcome.id),
        "version": outcome.version,
    }
    if outcome.outcome == "updated" and before is not None:
        after = (await service.tools.get(outcome.id)).definition
        difference = json_diff(_content(before), _content(after), most_changes=_MOST_CHANGES)
        answer["changes"] = [change.wire(200) for change in difference.changes]
    return answer


async def _save_tool(service: Service, arguments: JsonObject, asking: Asking) -> JsonObject:
    return await save(service, arguments["definition"], asking)


async def _stored(service: Service, tool_id: object) -> JsonObject | None:
    try:
        return (await service.tools.get(tool_id)).definition if isinstance(tool_id, str) else None
    except UnknownToolError:
        return None


def _content(definition: JsonObject) -> JsonObject:
    return {key: value for key, value in definition.items() if key not in BOOKKEEPING}


SAVE_TOOL = authoring_tool(
    "save_tool",
    "Save a tool",
    "Stores a tool definition: a new tool, or a new version of the one with this id; earlier "
    "versions are kept. It is refused as long as it has errors; each is named with its path. Try "
    "it with try_tool before.",
    {"definition": DEFINITION},
    ["definition"],
    _save_tool,
    output=SAVED_SCHEMA,
    # A definition without an id becomes a new tool each time.
    idempotent=False,
)
