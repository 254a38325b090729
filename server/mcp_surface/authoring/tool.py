"""What a tool for writing tools is, and what all of them share."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from server.mcp_surface.own_tool import OwnTool, own_wire
from server.mcp_surface.selection import Selection
from server.service import Service
from tools.check import CheckedTool
from tools.json_text import Json, JsonObject
from tools.problems import Problem

if TYPE_CHECKING:
    import mcp_types as types
    from mcp.server.context import ServerRequestContext

__all__ = [
    "DEFINITION",
    "EXAMPLE",
    "FIELD_EXAMPLES",
    "PROBLEMS_SCHEMA",
    "Asking",
    "AuthoringTool",
    "authoring_tool",
    "client_name_of",
    "report",
]


@dataclass(frozen=True)
class Asking:
    """Who calls, and what the connection allows."""

    context: "ServerRequestContext[Any]"
    params: "types.CallToolRequestParams"
    selection: Selection


#: A small definition that is valid, shown beside problems.
EXAMPLE: JsonObject = {
    "id": "list_issues",
    "instruction": "Lists the open issues of a repository, newest first.",
    "inputSchema": {
        "type": "object",
        "properties": {
            "repository": {"type": "string", "description": "owner/name"},
            "limit": {"type": "integer", "default": 20},
        },
        "required": ["repository"],
    },
    "steps": [
        {
            "id": "issues",
            "config": {
                "url": "https://api.github.com/repos/<<raw:repository>>/issues",
                "queryParams": {"per_page": "<<limit>>", "state": "open"},
            },
        }
    ],
    "outputTransform": "(s) => s.issues.data.map(({ number, title }) => ({ number, title }))",
}

#: What could stand in a field, by its name, or by that and the name of what it stands in.
FIELD_EXAMPLES: JsonObject = {
    "$ref": "#/$defs/item",
    "action": "MASK",
    "body": '{"name": "<<name>>"}',
    "concurrency": 4,
    "config": {"url": "https://api.example.com/items", "queryParams": {"q": "<<query>>"}},
    "config.type": "request",
    "cursorPath": "meta.next",
    "dataPath": "items",
    "dataSelector": "(s) => s.list.data.items",
    "failureBehavior": "continue",
    "folder": "shop/orders",
    "headers": {"Accept": "application/json"},
    "id": "list_items",
    "inputSchema.type": "object",
    "inputSchema": {"type": "object", "properties": {"query": {"type": "string"}}},
    "inputs": {"id": "<<currentItem.id>>"},
    "instruction": "Lists the open issues of a repository, newest first.",
    "maxPages": 10,
    "method": "POST",
    "modify": False,
    "name": "List items",
    "nextUrlPath": "links.next",
    "outputSchema": {"type": "array", "items": {"type": "object"}},
    "outputTransform": "(s) => s.list.data.items.map(({ id, name }) => ({ id, name }))",
    "pageSize": 50,
    "pagination": {"type": "pageBased", "pageSize": 50, "dataPath": "items"},
    "pagination.type": "pageBased",
    "pattern": "[Pp]assword",
    "queryParams": {"q": "<<query>>"},
    "responseFilters": [
        {"id": "no-passwords", "target": "KEYS", "pattern": "[Pp]assword", "action": "REMOVE"}
    ],
    "retries": 3,
    "retryDelayMs": 500,
    "steps": [{"id": "list", "config": {"url": "https://api.example.com/items"}}],
    "stopCondition": "(response) => response.data.items.length === 0",
    "systemId": "shop",
    "target": "KEYS",
    "timeoutMs": 30000,
    "toolId": "list_items",
    "transformCode": "(s) => s.list.data.items.filter((one) => one.open)",
    "type": "string",
    "url": "https://api.example.com/items/<<id>>",
    "version": "1.0.0",
}

DEFINITION: JsonObject = {
    "type": "object",
    "description": "A tool definition: id, instruction, inputSchema, steps, outputTransform. The "
    "resource callslip://tool-format describes it.",
}

PROBLEMS_SCHEMA: JsonObject = {
    "type": "array",
    "items": {
        "type": "object",
        "properties": {
            "path": {"type": "string"},
            "message": {"type": "string"},
            "seen": {"type": "string"},
            "valid": {"type": "string"},
            "hint": {"type": "string"},
            "example": {"description": "What could stand at the path."},
            "severity": {"enum": ["error", "warning"]},
        },
        "required": ["path", "message", "severity"],
    },
}


#: Arguments to structured content, or to a whole answer when that has `content`.
Call = Callable[[Service, JsonObject, Asking], Awaitable[JsonObject]]


@dataclass(frozen=True)
class AuthoringTool(OwnTool):
    """A tool that writes tools. `call` raises `OwnToolError`."""

    call: Call


def authoring_tool(
    name: str,
    title: str,
    description: str,
    properties: JsonObject,
    required: list[str],
    call: Call,
    *,
    output: JsonObject | None = None,
    reads: bool = False,
    destructive: bool = False,
    idempotent: bool = True,
    open_world: bool = False,
) -> AuthoringTool:
    """A tool with its entry in `tools/list`."""
    annotations: JsonObject = {"readOnlyHint": reads, "openWorldHint": open_world}
    if not reads:
        hint = idempotent and not open_world
        annotations |= {"destructiveHint": destructive, "idempotentHint": hint}
    return AuthoringTool(
        own_wire(name, title, description, properties, required, output, annotations), call
    )


def client_name_of(asking: Asking) -> str | None:
    """The name that the client gave itself."""
    client = asking.context.session.client_params
    return client.client_info.name if client is not None else None


def report(checked: CheckedTool) -> JsonObject:
    """`{id?, problems, example?}`: every problem, and a valid definition beside errors."""
    fields: JsonObject = {"problems": [_wire(problem) for problem in checked.problems]}
    if checked.id is not None:
        fields["id"] = checked.id
    if not checked.is_valid:
        fields["example"] = EXAMPLE
    return fields


def _wire(problem: Problem) -> JsonObject:
    return problem.wire() | {"example": _example_for(problem.path)}


def _example_for(path: str) -> Json:
    """What could stand at a path; for a field that there is not, what could stand around it."""
    while path:
        above, _, field = path.rpartition(".")
        name, parent = field.partition("[")[0], above.rpartition(".")[2]
        if parent == "properties":
            # The name of an input, which is anything.
            return {"type": "string"}
        example: Json = FIELD_EXAMPLES.get(f"{parent}.{name}", FIELD_EXAMPLES.get(name))
        if example is not None:
            return example[0] if "[" in field else example
        path = above
    return EXAMPLE
