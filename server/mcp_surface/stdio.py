"""MCP on standard input and output."""

import logging
import os
import signal
import sys

import anyio

from server.app import open_service
from server.mcp_surface.pipes import message_lines
from server.mcp_surface.selection import Selection
from server.mcp_surface.surface import McpSurface
from server.service import Service
from server.settings import Settings

__all__ = ["serve_stdio"]


async def serve_stdio(settings: Settings, selection: Selection) -> None:
    """Serve until the end of input, or a signal. Raises `storage.errors.HomeError`: no home.

    Nothing but JSON-RPC reaches standard output: it is moved aside before anything else runs, and
    what else is printed goes to standard error.
    """
    async with message_lines() as (read, write):
        ended_by: list[signal.Signals] = []
        async with open_service(settings) as service:
            surface = McpSurface(service, selection)
            async with anyio.create_task_group() as group:
                group.start_soon(surface.notifier.run)
                group.start_soon(_warm, service)
                if sys.platform != "win32":
                    group.start_soon(_end_on_signal, group.cancel_scope, ended_by)
                options = surface.server.create_initialization_options()
                await surface.server.run(read, write, options)
                surface.notifier.close()
                group.cancel_scope.cancel()
        if ended_by:
            # Everything is recorded and closed. The SDK reads stdin in a thread that nothing
            # interrupts, and neither it nor Python would end before the client closes the pipe.
            logging.shutdown()
            os._exit(0 if ended_by[0] is signal.SIGTERM else 128 + signal.SIGINT)


async def _end_on_signal(scope: anyio.CancelScope, ended_by: "list[signal.Signals]") -> None:
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for one in signals:
            ended_by.append(one)
            scope.cancel()
            return


async def _warm(service: Service) -> None:
    """Have ready what the first call needs, once the first answers are out."""
    await anyio.sleep(0.5)
    await anyio.to_thread.run_sync(service.engines.http.warm, abandon_on_cancel=True)
    await service.engines.scripts.warm()
