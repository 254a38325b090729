"""A bare low-level SDK server: one tool, one GET with httpx, no record, no validation."""

import sys

import anyio
import httpx
import mcp_types as types
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server

URL = sys.argv[1]
CLIENT = httpx.AsyncClient()
Context = ServerRequestContext[object]


async def list_tools(
    context: Context, params: types.PaginatedRequestParams | None
) -> types.ListToolsResult:
    tool = types.Tool(name="get_items", description="Items", input_schema={"type": "object"})
    return types.ListToolsResult(tools=[tool])


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
