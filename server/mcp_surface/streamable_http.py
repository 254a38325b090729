"""MCP over streamable HTTP, for clients of both eras: a surface of its own for each caller."""

from collections.abc import Collection
from dataclasses import dataclass, field, fields
from typing import Any, cast

import anyio
import mcp_types as types
from anyio.abc import TaskGroup, TaskStatus
from mcp.server.context import ServerRequestContext
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecuritySettings
from mcp.shared.exceptions import MCPError
from starlette.types import Receive, Scope, Send

from server.callers import Caller, CallersService, NotAllowedError
from server.mcp_surface.published import PublishedTool
from server.mcp_surface.selection import Selection
from server.mcp_surface.surface import McpSurface
from server.mcp_surface.uris import parse_uri
from server.service import Service
from storage.api_keys import Scope as KeyScope
from tools.json_text import JsonObject
from tools.model import Tool

__all__ = ["McpOverHttp"]

#: Variables of templates whose values a narrowed key is not told.
_HIDDEN = ("toolId", "systemId")


@dataclass(frozen=True)
class _CallersSelection(Selection):
    """What the server is narrowed to, and within that what the caller's key is."""

    caller: Caller = field(default_factory=lambda: Caller(None))

    @classmethod
    def of(cls, selection: Selection, caller: Caller) -> "_CallersSelection":
        given = {one.name: getattr(selection, one.name) for one in fields(selection)}
        # What is not stored yet may call anything, so a narrowed key writes over REST only.
        given["authoring"] &= caller.may(KeyScope.WRITE) and not caller.is_narrowed
        return cls(**given, caller=caller)

    @property
    def narrows(self) -> bool:
        return self.caller.is_narrowed or super().narrows

    def includes(self, tool: Tool, published: PublishedTool) -> bool:
        return self.caller.is_shown(tool.id, tool.folder) and super().includes(tool, published)


class McpOverHttp:
    """The ASGI application at `/mcp`, while `run` is under way; a gate has set the caller."""

    def __init__(self, service: Service, selection: Selection, host_names: Collection[str]) -> None:
        self._service = service
        self._selection = selection
        self._security = TransportSecuritySettings(
            enable_dns_rebinding_protection=True,
            allowed_hosts=[pattern for name in host_names for pattern in _with_port(name)],
            allowed_origins=[
                f"{scheme}://{pattern}"
                for scheme in ("http", "https")
                for name in host_names
                for pattern in _with_port(name)
            ],
        )
        self._managers: dict[Caller, StreamableHTTPSessionManager] = {}
        self._starting = anyio.Lock()
        self._closing = anyio.Event()
        self._group: TaskGroup | None = None

    async def run(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Serve until `close`."""
        async with anyio.create_task_group() as group:
            self._group = group
            task_status.started()
            await self._closing.wait()

    def close(self) -> None:
        """End the streams, each with its last frame, and the sessions."""
        self._closing.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Raises `NotAllowedError`."""
        caller: Caller = scope["state"]["caller"]
        for wanted in (KeyScope.READ, KeyScope.RUN):
            if not caller.may(wanted):
                raise NotAllowedError(
                    f"/mcp needs a key with the scopes read and run; {wanted} is missing"
                )
        manager = await self._manager_of(caller)
        await manager.handle_request(scope, receive, send)

    async def _manager_of(self, caller: Caller) -> StreamableHTTPSessionManager:
        async with self._starting:
            if caller not in self._managers:
                if self._group is None:
                    raise AssertionError("`run` is under way while it is used")
                self._managers[caller] = await self._group.start(self._serve, caller)
            return self._managers[caller]

    async def _serve(
        self, caller: Caller, *, task_status: TaskStatus[StreamableHTTPSessionManager]
    ) -> None:
        service = CallersService(self._service, caller)
        surface = McpSurface(service, _CallersSelection.of(self._selection, caller))
        # Streams of events, never single JSON answers: only then does the SDK notice that a client
        # has gone, which cancels its call.
        if caller.is_narrowed:
            surface.server.middleware.append(_hide_the_rest)
        manager = StreamableHTTPSessionManager(
            surface.server, json_response=False, security_settings=self._security
        )
        async with manager.run(), anyio.create_task_group() as group:
            group.start_soon(surface.notifier.run)
            task_status.started(manager)
            await self._closing.wait()
            surface.notifier.close()
            group.cancel_scope.cancel()


async def _hide_the_rest(ctx: ServerRequestContext[Any], call_next: Any) -> Any:
    """Middleware for a narrowed key: of systems, and of ids of tools, it is told nothing."""
    params = ctx.params or {}
    if ctx.method == "resources/read":
        address = parse_uri(str(params.get("uri")))
        if address is not None and address.segments[0] == "systems":
            raise MCPError(types.INVALID_PARAMS, "Resource not found: not with this key")
    if ctx.method == "completion/complete":
        argument = params.get("argument")
        if isinstance(argument, dict) and cast("JsonObject", argument).get("name") in _HIDDEN:
            return types.CompleteResult(completion=types.Completion(values=[]))
    return await call_next(ctx)


def _with_port(name: str) -> tuple[str, str]:
    """The patterns for a host name, at the default port and any other."""
    written = f"[{name}]" if ":" in name else name
    return written, f"{written}:*"
