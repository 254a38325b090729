"""The SDK's server behind a connection whose frequent requests are answered without it."""

from collections.abc import Awaitable, Callable
from importlib import import_module
from typing import TYPE_CHECKING

import anyio
from anyio.abc import TaskGroup, TaskStatus

from server.mcp_surface.greeting import RESOURCES_INTERVAL_SECONDS
from server.mcp_surface.plain_requests import notification_line
from server.mcp_surface.shown_tools import ShownTools
from server.service import Service

if TYPE_CHECKING:
    from server.mcp_surface.notifications import Notifier
    from server.mcp_surface.sdk_streams import SdkStreams

__all__ = ["REPLAYED_ID", "SdkConnection"]

#: The id of the request that opened the connection when the SDK is told of it; nobody awaits that
#: answer any more.
REPLAYED_ID = "callslip:opening"


class SdkConnection:
    """Starts with the first line that it is given, or with `start`, and serves until `end`."""

    def __init__(
        self,
        service: Service,
        tools: ShownTools,
        write_line: Callable[[bytes], Awaitable[None]],
        group: TaskGroup,
    ) -> None:
        self._service = service
        self._tools = tools
        self._write_line = write_line
        self._group = group
        self._starting = anyio.Lock()
        self._streams: SdkStreams | None = None
        self._opening: list[bytes] = []
        #: Whether the client has done the handshake, and is to be told of changes unasked.
        self.announces_changes = False
        self._tools_have_changed = False
        self._runs_have_changed = False
        self._ended = anyio.Event()
        service.tools_changed.append(self._remember_change)
        if service.settings.announce_runs:
            service.runs_changed.append(self._remember_runs)

    @property
    def has_started(self) -> bool:
        """Whether the SDK has a part in the connection."""
        return self._streams is not None

    def remember(self, line: bytes) -> None:
        """Keep a line that opened the connection, for the start."""
        self._opening.append(line)

    async def take(self, line: bytes) -> None:
        """Hand over a line; returns when there is room for more."""
        await (await self.start()).take(line)

    async def start(self) -> "SdkStreams":
        """Import the SDK and have it serve, from what opened the connection on."""
        async with self._starting:
            if self._streams is not None:
                return self._streams
            # Half a second of imports; other calls go on meanwhile.
            await anyio.to_thread.run_sync(import_module, "server.mcp_surface.surface")
            streams: SdkStreams = await self._group.start(self._serve)
            # A request that is cancelled now must not leave a server that was told half.
            with anyio.CancelScope(shield=True):
                for line in self._opening:
                    await streams.take(line)
            self._streams = streams
            return streams

    async def end(self) -> None:
        """Let it end what is under way; returns when it has."""
        if self._streams is not None:
            self._streams.end()
            await self._ended.wait()

    def close(self) -> None:
        """Hear of no change any more: runs that end after the connection have nobody to tell."""
        self._service.tools_changed.remove(self._remember_change)
        if self._service.settings.announce_runs:
            self._service.runs_changed.remove(self._remember_runs)

    async def _serve(self, *, task_status: "TaskStatus[SdkStreams]") -> None:
        from server.mcp_surface.sdk_streams import sdk_streams
        from server.mcp_surface.surface import McpSurface

        surface = McpSurface(self._service, self._tools.selection, self._tools)
        async with (
            sdk_streams(self._write_line, REPLAYED_ID) as streams,
            anyio.create_task_group() as group,
        ):
            group.start_soon(surface.notifier.run)
            group.start_soon(self._tell_of_change, surface.notifier)
            task_status.started(streams)
            options = surface.server.create_initialization_options()
            await surface.server.run(streams.read, streams.write, options)
            surface.notifier.close()
            group.cancel_scope.cancel()
        self._ended.set()

    def _remember_change(self) -> None:
        self._tools_have_changed = True
        if self.announces_changes and self._streams is None:
            # Somebody has to say so.
            self._group.start_soon(self.start)

    def _remember_runs(self) -> None:
        if self.announces_changes and self._streams is None and not self._runs_have_changed:
            self._runs_have_changed = True
            self._group.start_soon(self._announce_runs)

    async def _announce_runs(self) -> None:
        """What the SDK would say, which is not imported for this; a list at most once a second."""
        await anyio.sleep(RESOURCES_INTERVAL_SECONDS)
        self._runs_have_changed = False
        await self._write_line(notification_line("notifications/resources/list_changed", {}))

    async def _tell_of_change(self, notifier: "Notifier") -> None:
        """A client that listed the tools before the SDK was there has not been told."""
        if self._tools_have_changed:
            await notifier.has_met_client.wait()
            notifier.tools_changed()
