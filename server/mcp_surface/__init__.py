"""MCP: stored tools as tools, the history as resources and as tools, in both protocol eras."""
