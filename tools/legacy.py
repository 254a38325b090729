"""Older spellings of the tool format, rewritten to today's on the way in."""

from typing import Any, cast

from tools.json_text import Json, JsonObject

__all__ = ["modernise"]

_TOOL_NAMES = {"finalTransform": "outputTransform", "responseSchema": "outputSchema"}
_STEP_NAMES = {"apiConfig": "config", "loopSelector": "dataSelector"}
_PAGINATION_TYPES = {
    "OFFSET_BASED": "offsetBased",
    "PAGE_BASED": "pageBased",
    "CURSOR_BASED": "cursorBased",
    "DISABLED": "disabled",
}


def modernise(definition: JsonObject) -> JsonObject:
    """A copy of a definition in today's spelling; what is not recognised stays as it is.

    A key written in both spellings keeps today's. Null where a field may be absent is absent.
    """
    tool = _renamed(definition, _TOOL_NAMES)
    if "inputSchema" in tool:
        tool["inputSchema"] = _unwrapped_inputs(tool["inputSchema"])
    if isinstance(tool.get("steps"), list):
        tool["steps"] = [
            _modern_step(cast("JsonObject", step)) if isinstance(step, dict) else step
            for step in cast("list[Any]", tool["steps"])
        ]
    return _without_nulls(tool)


def _modern_step(step: JsonObject) -> JsonObject:
    step = _without_nulls(_renamed(step, _STEP_NAMES))
    system_id = step.pop("integrationId", None)
    if isinstance(step.get("failureBehavior"), str):
        step["failureBehavior"] = step["failureBehavior"].lower()
    if not isinstance(step.get("config"), dict):
        return step
    config = _without_nulls(step["config"])
    if system_id is not None:
        config.setdefault("systemId", system_id)
    if "integrationId" in config:
        config.setdefault("systemId", config.pop("integrationId"))
    if "url" not in config and "urlHost" in config:
        host, path = str(config.pop("urlHost")), str(config.pop("urlPath", ""))
        config["url"] = f"{host.rstrip('/')}/{path.lstrip('/')}" if path else host
    if isinstance(config.get("method"), str):
        config["method"] = config["method"].upper()
    if isinstance(config.get("pagination"), dict):
        pagination = _without_nulls(config["pagination"])
        kind = pagination.get("type")
        if isinstance(kind, str):
            pagination["type"] = _PAGINATION_TYPES.get(kind, kind)
        config["pagination"] = pagination
    step["config"] = config
    return step


def _unwrapped_inputs(schema: Json) -> Json:
    """`{properties: {payload, credentials}}` holds the input schema as its payload."""
    if not isinstance(schema, dict):
        return schema
    properties = cast("JsonObject", schema).get("properties")
    if not isinstance(properties, dict) or not set(cast("JsonObject", properties)) <= {
        "payload",
        "credentials",
    }:
        return cast("JsonObject", schema)
    payload = cast("JsonObject", properties).get("payload")
    if not isinstance(payload, dict):
        return cast("JsonObject", schema)
    # Definitions that the payload refers to live beside the wrapper.
    definitions = {
        key: value
        for key, value in cast("JsonObject", schema).items()
        if key in {"$defs", "definitions", "$schema"}
    }
    return {**definitions, **cast("JsonObject", payload)}


def _renamed(fields: JsonObject, names: dict[str, str]) -> JsonObject:
    renamed = dict(fields)
    for old, new in names.items():
        if old in renamed:
            value = renamed.pop(old)
            if renamed.get(new) is None:
                renamed[new] = value
    return renamed


def _without_nulls(fields: JsonObject) -> JsonObject:
    return {key: value for key, value in fields.items() if value is not None}
