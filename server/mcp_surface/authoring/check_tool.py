"""`check_tool`: every problem of a definition, and what it would touch."""

from server.mcp_surface.authoring.tool import (
    DEFINITION,
    PROBLEMS_SCHEMA,
    Asking,
    authoring_tool,
    report,
)
from server.service import Service
from tools.json_text import JsonObject
from tools.model import Tool
from tools.touches import touches

__all__ = ["CHECK_TOOL"]


async def _check_tool(service: Service, arguments: JsonObject, asking: Asking) -> JsonObject:
    checked = await service.tools.check(arguments["definition"])
    answer = {"valid": checked.is_valid, **report(checked)}
    if checked.definition is not None:
        tool = Tool.model_validate(checked.definition)
        touched = touches(tool, service.catalog.load_tool)
        answer["touches"] = [touch.wire() for touch in touched]
    return answer


CHECK_TOOL = authoring_tool(
    "check_tool",
    "Check a tool",
    "Checks a tool definition without storing or running it: every problem with its path, what is "
    "valid and how to mend it, and which hosts and methods a run would touch.",
    {"definition": DEFINITION},
    ["definition"],
    _check_tool,
    output={
        "type": "object",
        "properties": {
            "valid": {"type": "boolean"},
            "id": {"type": "string"},
            "problems": PROBLEMS_SCHEMA,
            "touches": {"type": "array", "items": {"type": "object"}},
            "example": {"type": "object"},
        },
        "required": ["valid", "problems"],
    },
    reads=True,
)
