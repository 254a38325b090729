"""What a tool is and how it runs. Knows httpx and pydantic; no SQL, no MCP, no web framework."""
