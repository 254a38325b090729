"""What a tool of the history is, and what all of them share."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from server.mcp_surface.own_tool import OwnTool, own_wire
from server.service import Service
from tools.json_pieces import LARGE_BYTES, bounded_json
from tools.json_text import Json, JsonObject, nests_deeply

__all__ = ["RUN_ID", "HistoryTool", "fits", "history_tool"]

RUN_ID: JsonObject = {"type": "string", "minLength": 1, "description": "The run's id."}

#: What a character may have in UTF-8.
_MOST_CHARACTER_BYTES = 4

#: Arguments and the inline limit in characters to structured content.
Call = Callable[[Service, JsonObject, int], Awaitable[JsonObject]]


@dataclass(frozen=True)
class HistoryTool(OwnTool):
    """A tool of the history. `call` raises `OwnToolError`."""

    call: Call


def history_tool(
    name: str,
    title: str,
    description: str,
    properties: JsonObject,
    required: list[str],
    output: JsonObject,
    call: Call,
    *,
    reads: bool = True,
) -> HistoryTool:
    """A tool with its entry in `tools/list`; `output` is the schema of its structured content."""
    annotations: JsonObject = {"readOnlyHint": reads, "openWorldHint": False}
    if not reads:
        annotations |= {"destructiveHint": True, "idempotentHint": True}
    return HistoryTool(
        own_wire(name, title, description, properties, required, output, annotations), call
    )


def fits(value: Json, inline_limit: int) -> bool:
    """Whether an answer may be given as it is: short enough, and for every parser flat enough."""
    try:
        text = bounded_json(value, min(LARGE_BYTES, _MOST_CHARACTER_BYTES * inline_limit))
    except ValueError:
        # It nests more deeply than is written.
        return False
    return text is not None and len(text.decode()) <= inline_limit and not nests_deeply(value)
