"""Change notifications for both eras, coalesced.

Clients of 2026-07-28 listen on a stream that the SDK's bus feeds; clients that did the handshake
are told over their own connection.
"""

from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import anyio
from mcp import types
from mcp.server.context import ServerRequestContext
from mcp.server.subscriptions import (
    InMemorySubscriptionBus,
    ListenHandler,
    ResourcesListChanged,
    ResourceUpdated,
    ToolsListChanged,
)

from server.mcp_surface.greeting import RESOURCES_INTERVAL_SECONDS
from server.mcp_surface.uris import parse_uri
from storage.errors import StorageError
from storage.watched_runs import RunSight

if TYPE_CHECKING:
    from mcp.server.connection import Connection

__all__ = ["Notifier"]


class Notifier:
    """Tells clients that tools or runs have changed. `run` does the sending.

    `sight_of` is how a run of another process is looked at.
    """

    def __init__(
        self, sight_of: Callable[[str], Awaitable[RunSight | None]], *, announces_runs: bool
    ) -> None:
        self.bus = InMemorySubscriptionBus()
        self._listen = ListenHandler(self.bus)
        self._sight_of = sight_of
        self._announces_runs = announces_runs
        self._connections: dict[int, Connection] = {}
        #: Set once a client has done the handshake.
        self.has_met_client = anyio.Event()
        #: Addresses of runs that somebody watches, by run; each counted once a subscriber.
        self._watched: dict[str, Counter[str]] = {}
        self._of_connection: dict[int, set[str]] = {}
        self._seen: dict[str, RunSight | None] = {}
        self._due: set[str] = set()
        self._tools = anyio.Event()
        self._resources = anyio.Event()
        self._runs = anyio.Event()

    def tools_changed(self) -> None:
        self._tools.set()

    def resources_changed(self) -> None:
        """Runs were recorded or have ended, by this process or another."""
        if self._announces_runs:
            self._resources.set()

    def home_changed(self) -> None:
        """Something was written, perhaps of a run that is watched."""
        if self._watched:
            self._runs.set()

    def run_updated(self, run_id: str) -> None:
        """A run of this process has begun a step or ended."""
        if run_id in self._watched:
            self._due.add(run_id)
            self._runs.set()

    async def listen(
        self, context: ServerRequestContext[Any], params: types.SubscriptionsListenRequestParams
    ) -> Any:
        """A stream of changes, of a client of 2026-07-28."""
        watched: list[str] = []
        try:
            for uri in set(params.notifications.resource_subscriptions or ()):
                # A stream that ends in the middle leaves the watches of others alone.
                watched.append(uri)
                await self._watch(uri)
            return await self._listen(context, params)
        finally:
            for uri in watched:
                self._unwatch(uri)

    def close(self) -> None:
        """End the streams, each with its last frame."""
        self._listen.close()

    async def subscribe(
        self, context: ServerRequestContext[Any], params: types.SubscribeRequestParams
    ) -> types.EmptyResult:
        """`resources/subscribe`, of a client that did the handshake."""
        mine = self._of_connection.setdefault(id(_connection_of(context)), set())
        uri = str(params.uri)
        if uri not in mine:
            mine.add(uri)
            await self._watch(uri)
        return types.EmptyResult()

    async def unsubscribe(
        self, context: ServerRequestContext[Any], params: types.UnsubscribeRequestParams
    ) -> types.EmptyResult:
        """`resources/unsubscribe`; one that is not there is fine."""
        mine = self._of_connection.get(id(_connection_of(context)), set())
        uri = str(params.uri)
        if uri in mine:
            mine.discard(uri)
            self._unwatch(uri)
        return types.EmptyResult()

    async def remember_handshake(self, ctx: ServerRequestContext[Any], call_next: Any) -> Any:
        """Middleware: keep the connection of a client that has done the handshake."""
        result = await call_next(ctx)
        if ctx.method == "notifications/initialized":
            connection = _connection_of(ctx)
            self._connections[id(connection)] = connection
            connection.exit_stack.callback(self._forget, id(connection))
            self.has_met_client.set()
        return result

    async def run(self) -> None:
        """Send what is due, until cancelled."""
        async with anyio.create_task_group() as group:
            group.start_soon(self._announce_tools)
            group.start_soon(self._announce_resources)
            group.start_soon(self._announce_runs)

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
            await anyio.sleep(RESOURCES_INTERVAL_SECONDS)

    async def _announce_runs(self) -> None:
        while True:
            await self._runs.wait()
            self._runs = anyio.Event()
            due, self._due = self._due, set()
            for run_id in list(self._watched):
                with suppress(StorageError):
                    sight = await self._sight_of(run_id)
                    if run_id in due or _has_changed(self._seen.get(run_id), sight):
                        await self._send_updated(run_id)
                    if run_id in self._watched:
                        self._seen[run_id] = sight

    async def _send_updated(self, run_id: str) -> None:
        for uri in list(self._watched.get(run_id, ())):
            await self.bus.publish(ResourceUpdated(uri=uri))
            for key, connection in list(self._connections.items()):
                if uri in self._of_connection.get(key, ()):
                    await connection.send_resource_updated(uri)

    async def _watch(self, uri: str) -> None:
        run_id = _run_of(uri)
        if run_id is None:
            return
        uris = self._watched.setdefault(run_id, Counter())
        uris[uri] += 1
        if run_id not in self._seen:
            with suppress(StorageError):
                sight = await self._sight_of(run_id)
                if run_id in self._watched:
                    self._seen.setdefault(run_id, sight)

    def _unwatch(self, uri: str) -> None:
        run_id = _run_of(uri)
        if run_id is None or run_id not in self._watched:
            return
        uris = self._watched[run_id]
        uris[uri] -= 1
        if uris[uri] <= 0:
            del uris[uri]
        if not uris:
            del self._watched[run_id]
            self._seen.pop(run_id, None)

    def _forget(self, connection: int) -> None:
        self._connections.pop(connection, None)
        for uri in self._of_connection.pop(connection, set()):
            self._unwatch(uri)


def _connection_of(context: ServerRequestContext[Any]) -> "Connection":
    # The SDK (2.3) hands out no public reference to what can notify a client unasked.
    return context.session._connection  # pyright: ignore[reportPrivateUsage]: see above


def _has_changed(before: RunSight | None, now: RunSight | None) -> bool:
    """Whether a reader of the run would see something else."""
    if before is None or now is None:
        return before is not now
    return (before.status, before.steps) != (now.status, now.steps)


def _run_of(uri: str) -> str | None:
    """The run an address belongs to; other addresses never change unasked."""
    address = parse_uri(uri)
    if address is None or len(address.segments) < 2 or address.segments[0] != "runs":
        return None
    return address.segments[1]
