"""A bare low-level SDK server: a GET with httpx a call, no record, no validation.

URL and number of tools are its arguments; it gives its tools in pages of 100.
"""

import sys

import anyio
import httpx
import mcp_types as types
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server

URL, COUNT = sys.argv[1], int(sys.argv[2])
PAGE = 100
CLIENT = httpx.AsyncClient()
#: As of `numbered_tool` in `benchmarks.harness`, which would be imported with all it needs.
NUMBERED_SCHEMA = {
    "type": "object",
    "properties": {
        "query": {"type": "string", "description": "What to look for"},
        "limit": {"type": "integer", "minimum": 1, "default": 20},
    },
    "required": ["query"],
}
TOOLS = [
    types.Tool(name="get_items", description="Items", input_schema={"type": "object"}),
    *(
        types.Tool(name=f"get_items_{number}", description="Items", input_schema=NUMBERED_SCHEMA)
        for number in range(1, COUNT)
    ),
]
Context = ServerRequestContext[object]


async def list_tools(
    context: Context, params: types.PaginatedRequestParams | None
) -> types.ListToolsResult:
    start = int(params.cursor) if params is not None and params.cursor else 0
    following = start + PAGE
    return types.ListToolsResult(
        tools=TOOLS[start:following],
        next_cursor=str(following) if following < len(TOOLS) else None,
    )


async def call_tool(context: Context, params: types.CallToolRequestParams) -> types.CallToolResult:
    response = await CLIENT.get(URL)
    data = response.json()
    return types.CallToolResult(
        content=[types.TextContent(type="text", text=response.text)], structured_content=data
    )


async def main() -> None:
    server = Server("bare", on_list_tools=list_tools, on_call_tool=call_tool)
    async with stdio_server() as (read, write):
        await server.run(read, write, server.create_initialization_options())


anyio.run(main)
