"""What a tool is and how it runs. Knows aiohttp and pydantic; no SQL, no MCP, no web framework."""
