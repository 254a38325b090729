"""Change notifications for both eras, coalesced.

Clients of 2026-07-28 listen on a stream that the SDK's bus feeds; clients that did the handshake
are told over their own connection.
"""

from typing import TYPE_CHECKING, Any

import anyio
from mcp.server.context import ServerRequestContext
from mcp.server.subscriptions import (
    InMemorySubscriptionBus,
    ListenHandler,
    ResourcesListChanged,
    ToolsListChanged,
)

if TYPE_CHECKING:
    from mcp.server.connection import Connection

__all__ = ["Notifier"]

#: Lists that change all the time are announced at most this often.
_RESOURCES_INTERVAL_SECONDS = 1.0


class Notifier:
    """Tells clients that tools or runs have changed. `run` does the sending."""

    def __init__(self) -> None:
        self.bus = InMemorySubscriptionBus()
        self.listen = ListenHandler(self.bus)
        self._connections: dict[int, Connection] = {}
        self._tools = anyio.Event()
        self._resources = anyio.Event()

    def tools_changed(self) -> None:
        self._tools.set()

    def resources_changed(self) -> None:
        self._resources.set()

    async def remember_handshake(self, ctx: ServerRequestContext[Any], call_next: Any) -> Any:
        """Middleware: keep the connection of a client that has done the handshake."""
        result = await call_next(ctx)
        if ctx.method == "notifications/initialized":
            # The SDK (2.3) hands out no public reference to what can notify a client unasked.
            connection: Connection = ctx.session._connection  # pyright: ignore[reportPrivateUsage]: see above
            self._connections[id(connection)] = connection
            connection.exit_stack.callback(self._connections.pop, id(connection), None)
        return result

    async def run(self) -> None:
        """Send what is due, until cancelled."""
        async with anyio.create_task_group() as group:
            group.start_soon(self._announce_tools)
            group.start_soon(self._announce_resources)

    async def _announce_tools(self) -> None:
        while True:
            await self._tools.wait()
            self._tools = anyio.Event()
            await self.bus.publish(ToolsListChanged())
            for connection in list(self._connections.values()):
                await connection.send_tool_list_changed()

    async def _announce_resources(self) -> None:
        while True:
            await self._resources.wait()
            self._resources = anyio.Event()
            await self.bus.publish(ResourcesListChanged())
            for connection in list(self._connections.values()):
                await connection.send_resource_list_changed()
            await anyio.sleep(_RESOURCES_INTERVAL_SECONDS)
