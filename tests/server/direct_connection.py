"""A client's end of one stdio connection, without pipes: lines in, lines out."""

import json
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import anyio

from server.mcp_surface.direct import DirectAnswers
from server.mcp_surface.greeting import MODERN_VERSION
from server.mcp_surface.sdk_connection import SdkConnection
from server.mcp_surface.selection import Selection
from server.mcp_surface.shown_tools import ShownTools
from server.service import Service
from tests.server.helpers import WAIT_SECONDS

__all__ = ["Connection", "connected", "envelope", "hello"]

_RUN_ID = re.compile("[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}")
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


class Connection:
    """A client's view of one connection."""

    def __init__(self, taker: Any, sdk: SdkConnection, version: str) -> None:
        self._taker = taker
        self.sdk = sdk
        self.version = version
        self.written: list[dict[str, Any]] = []
        self.news = anyio.Event()
        self.has_room = anyio.Event()
        self.has_room.set()

    async def write(self, line: bytes) -> None:
        assert line.endswith(b"\n")
        assert line.count(b"\n") == 1
        self.written.append(json.loads(line))
        self.news.set()
        self.news = anyio.Event()
        await self.has_room.wait()

    async def send(self, message: Any) -> None:
        await self.take(json.dumps(message).encode())

    async def take(self, line: bytes) -> None:
        await self._taker.take(line)

    async def ask(self, method: str, params: Any = None, request_id: Any = 1) -> Any:
        """The answer to a request, without what is different each time."""
        answer = json.dumps(await self.answer(method, params, request_id))
        return json.loads(_TIME.sub("TIME", _RUN_ID.sub("RUN", answer)))

    async def answer(self, method: str, params: Any = None, request_id: Any = 1) -> Any:
        """The answer to a request."""
        before = len(self.written)
        message = {"jsonrpc": "2.0", "id": request_id, "method": method}
        await self.send(message if params is None else {**message, "params": params})
        with anyio.fail_after(WAIT_SECONDS):
            while all("method" in one for one in self.written[before:]):
                await self.news.wait()
        return next(one for one in self.written[before:] if "method" not in one)

    def with_envelope(self, params: dict[str, Any]) -> dict[str, Any]:
        if self.version != MODERN_VERSION:
            return params
        return {**params, "_meta": {**envelope(), **params.get("_meta", {})}}

    async def open(self, capabilities: Any = None) -> None:
        if self.version != MODERN_VERSION:
            await self.ask("initialize", hello(self.version, capabilities=capabilities or {}))
            await self.send({"jsonrpc": "2.0", "method": "notifications/initialized"})


def hello(version: str, **fields: Any) -> dict[str, Any]:
    client = {"name": "test", "version": "1"}
    return {"protocolVersion": version, "capabilities": {}, "clientInfo": client, **fields}


def envelope() -> dict[str, Any]:
    return {
        "io.modelcontextprotocol/protocolVersion": MODERN_VERSION,
        "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    }


@asynccontextmanager
async def connected(
    service: Service, version: str, *, direct: bool, selection: Selection | None = None
) -> AsyncGenerator[Connection]:
    """A connection that answers directly what it can, or leaves everything to the SDK."""
    tools = ShownTools(service, selection or Selection())
    async with anyio.create_task_group() as group:
        connection: Connection

        async def write(line: bytes) -> None:
            await connection.write(line)

        sdk = SdkConnection(service, tools, write, group)
        taker = DirectAnswers(service, tools, write, sdk, group) if direct else sdk
        connection = Connection(taker, sdk, version)
        yield connection
        await sdk.end()
        sdk.close()
        group.cancel_scope.cancel()
