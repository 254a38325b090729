"""MCP on standard input and output."""

import anyio
from mcp.server.stdio import stdio_server

from server.app import open_service
from server.mcp_surface.selection import Selection
from server.mcp_surface.surface import McpSurface
from server.service import Service
from server.settings import Settings

__all__ = ["serve_stdio"]


async def serve_stdio(settings: Settings, selection: Selection) -> None:
    """Serve until the end of input. Raises `storage.errors.HomeError` when there is no home.

    Nothing but JSON-RPC reaches standard output: it is moved aside before anything else runs, and
    what else is printed goes to standard error.
    """
    async with stdio_server() as (read, write), open_service(settings) as service:
        surface = McpSurface(service, selection)
        async with anyio.create_task_group() as group:
            group.start_soon(surface.notifier.run)
            group.start_soon(_warm, service)
            await surface.server.run(read, write, surface.server.create_initialization_options())
            surface.notifier.listen.close()
            group.cancel_scope.cancel()


async def _warm(service: Service) -> None:
    """Have ready what the first call needs, once the first answers are out."""
    await anyio.sleep(0.5)
    await anyio.to_thread.run_sync(service.engines.http.warm, abandon_on_cancel=True)
    await service.engines.scripts.warm()
