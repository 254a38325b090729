"""A stored tool as an MCP tool: name, schemas, description, annotations."""

import re
from dataclasses import dataclass
from functools import cached_property
from typing import cast

from server.catalog import CatalogEntry
from server.mcp_surface.names import published_name
from tools.json_text import Json, JsonObject
from tools.model import Tool
from tools.schema import CompiledSchema, compile_schema, dereference, loosen
from tools.touches import ToolLoader, touches

__all__ = ["RUN_ANSWER_SCHEMA", "RUN_HANDLE_SCHEMA", "PublishedTool"]

_MAX_DESCRIPTION = 4000
_MAX_TITLE = 120
# Control, zero-width and direction characters: invisible to a person, read by a model.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff"
    "\U000e0000-\U000e007f]"
)

#: What stands in for a result that is too large, or not there yet.
RUN_HANDLE_SCHEMA: JsonObject = {
    "type": "object",
    "description": "A handle to the run: its result is large or still being made.",
    "properties": {
        "callslip": {
            "type": "object",
            "properties": {
                "runId": {"type": "string"},
                "status": {"enum": ["running", "success", "failed", "aborted"]},
                "uri": {"type": "string"},
                "preview": {"type": "object"},
                "next": {"type": "string"},
            },
            "required": ["runId", "status", "uri", "next"],
        }
    },
    "required": ["callslip"],
}

#: Of tools of ours that answer like a call of a tool that is not known beforehand.
RUN_ANSWER_SCHEMA: JsonObject = {
    "type": "object",
    "description": "The result of the tool (under `result` when it is no object), or under "
    "`callslip` a handle to its run.",
}


@dataclass(frozen=True)
class PublishedTool:
    """What hosts see of a stored tool. `wire` is its entry in `tools/list`."""

    name: str
    tool_id: str
    folder: str
    wire: JsonObject
    #: The result stands under `result`, because the declared output is not an object.
    wraps_result: bool

    @cached_property
    def output_schema(self) -> CompiledSchema | None:
        """Of `structuredContent`, for tools that declare an output."""
        schema = self.wire.get("outputSchema")
        return None if schema is None else compile_schema(schema)

    @classmethod
    def of(cls, entry: CatalogEntry, load_tool: ToolLoader) -> "PublishedTool":
        """Raises `ValueError` when the stored definition cannot be published."""
        tool = entry.prepared.tool
        name = published_name(tool.id)
        _check_listable(tool.input_schema or {})
        wire: JsonObject = {
            "name": name,
            "title": _visible(tool.name or tool.id)[:_MAX_TITLE],
            "description": _description(tool),
            "inputSchema": dereference(tool.input_schema or {"type": "object"}),
            "annotations": _annotations(tool, load_tool),
            "_meta": {"callslip/toolId": tool.id},
        }
        output, wraps_result = _published_output(tool.output_schema)
        if output is not None:
            wire["outputSchema"] = output
        return cls(name, tool.id, tool.folder or "", wire, wraps_result)


def _check_listable(schema: JsonObject) -> None:
    """Refuse what one client's parser would refuse the whole list for; compiling comes later."""
    properties: Json = schema.get("properties", {})
    required: Json = schema.get("required", [])
    if not isinstance(properties, dict) or not isinstance(required, list):
        raise ValueError("inputSchema: properties is no object, or required no list")
    for name, property_schema in cast("JsonObject", properties).items():
        if not isinstance(property_schema, dict | bool):
            raise ValueError(f"inputSchema: the schema of {name} is no schema")


def _published_output(schema: Json) -> tuple[JsonObject | None, bool]:
    if schema in (None, {}):
        return None, False
    is_object = isinstance(schema, dict) and cast("JsonObject", schema).get("type") == "object"
    result = dereference(loosen(schema), root_object=is_object)
    if not is_object:
        result = {"type": "object", "properties": {"result": result}, "required": ["result"]}
    return {"type": "object", "anyOf": [result, RUN_HANDLE_SCHEMA]}, not is_object


def _description(tool: Tool) -> str:
    text = _visible(tool.instruction or "").strip()
    if not text:
        text = f"Runs the stored tool {tool.name or tool.id}."
    return text if len(text) <= _MAX_DESCRIPTION else text[: _MAX_DESCRIPTION - 1] + "…"


def _annotations(tool: Tool, load_tool: ToolLoader) -> JsonObject:
    """Derived from the steps, never from what the tool says of itself."""
    touched = touches(tool, load_tool)
    writes = any(touch.writes for touch in touched)
    annotations: JsonObject = {
        "title": _visible(tool.name or tool.id)[:_MAX_TITLE],
        "readOnlyHint": not writes,
        "openWorldHint": bool(touched),
    }
    if writes:
        annotations["destructiveHint"] = any(touch.destructive for touch in touched)
        annotations["idempotentHint"] = all(touch.repeatable for touch in touched)
    return annotations


def _visible(text: str) -> str:
    return _INVISIBLE.sub("", text)
