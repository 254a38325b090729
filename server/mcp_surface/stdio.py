"""MCP on standard input and output."""

import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
from anyio.abc import TaskGroup

from server.app import open_service, warn_if_read_only
from server.collector import relax_collector
from server.mcp_surface.direct import DirectAnswers
from server.mcp_surface.pipes import Pipes, can_wait_for_pipes, standard_pipes
from server.mcp_surface.sdk_connection import SdkConnection
from server.mcp_surface.selection import Selection
from server.mcp_surface.shown_tools import ShownTools
from server.service import Service
from server.settings import Settings

__all__ = ["serve_stdio"]

#: The first answers go out before anything else is made ready.
_WARM_AFTER_SECONDS = 0.5
#: How long after the end of input the SDK's answers may take to leave.
_LAST_ANSWERS_SECONDS = 2.0


async def serve_stdio(settings: Settings, selection: Selection) -> None:
    """Serve until the end of input, or a signal. Raises `storage.errors.HomeError`: no home.

    Nothing but JSON-RPC reaches standard output: it is moved aside before anything else runs, and
    what else is printed goes to standard error.
    """
    if can_wait_for_pipes():
        async with standard_pipes() as pipes, open_service(settings) as service:
            ended_by = await _until_signal(_serve_pipes, service, selection, pipes)
    else:
        from mcp.server.stdio import stdio_server

        async with stdio_server() as streams:
            async with open_service(settings) as service:
                ended_by = await _until_signal(_serve_streams, service, selection, streams)
            _exit_if(ended_by)
    _exit_if(ended_by)


async def _until_signal(
    serve: Callable[..., Awaitable[None]], service: Service, *arguments: Any
) -> signal.Signals | None:
    """Serve to the end; the signal that came before it."""
    ended_by: list[signal.Signals] = []
    warn_if_read_only(service)
    async with anyio.create_task_group() as group:
        if sys.platform != "win32":
            group.start_soon(_end_on_signal, group.cancel_scope, ended_by)
        await serve(service, *arguments, group)
        group.cancel_scope.cancel()
    return ended_by[0] if ended_by else None


async def _serve_pipes(
    service: Service, selection: Selection, pipes: Pipes, group: TaskGroup
) -> None:
    tools = ShownTools(service, selection)
    tools.prepare()
    sdk = SdkConnection(service, tools, pipes.write, group)
    direct = DirectAnswers(service, tools, pipes.write, sdk, group)
    group.start_soon(_warm, service)
    try:
        async for line in pipes:
            await direct.take(line)
        # A client that reads no more would keep the server for ever.
        with anyio.move_on_after(_LAST_ANSWERS_SECONDS):
            await sdk.end()
    finally:
        sdk.close()


async def _serve_streams(
    service: Service, selection: Selection, streams: tuple[Any, Any], group: TaskGroup
) -> None:
    from server.mcp_surface.surface import McpSurface

    surface = McpSurface(service, selection)
    group.start_soon(surface.notifier.run)
    group.start_soon(_warm, service)
    await surface.server.run(*streams, surface.server.create_initialization_options())
    surface.notifier.close()


async def _end_on_signal(scope: anyio.CancelScope, ended_by: list[signal.Signals]) -> None:
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for one in signals:
            ended_by.append(one)
            scope.cancel()
            return


def _exit_if(ended_by: signal.Signals | None) -> None:
    if ended_by is not None:
        # Everything is recorded and closed. The SDK may read stdin in a thread that nothing
        # interrupts, and neither it nor Python would end before the client closes the pipe.
        logging.shutdown()
        os._exit(0 if ended_by is signal.SIGTERM else 128 + signal.SIGINT)


async def _warm(service: Service) -> None:
    """Have ready what the first call needs, once the first answers are out."""
    await anyio.sleep(_WARM_AFTER_SECONDS)
    await service.warm()
    relax_collector()
