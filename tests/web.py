"""The outside world of the tests: a real HTTP server on loopback with answers made to order.

It speaks plain HTTP/1.1 on a socket, so that answers can be broken in ways no framework allows.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import anyio

REASONS = {200: "OK", 302: "Found", 404: "Not Found", 429: "Too Many Requests"}


@dataclass(frozen=True)
class Seen:
    """A request as it arrived; header names are lower case."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> str:
        return urlsplit(self.target).query


@dataclass(frozen=True)
class Answer:
    """What the server says. A `body` that is no text or bytes is sent as JSON."""

    body: Any = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    #: Wait before answering, until cancelled or released.
    delay_seconds: float = 0.0
    #: Wait for this event before answering.
    release: anyio.Event | None = None
    #: Close the connection after this many bytes of the body.
    cut_after: int | None = None
    #: Raw bytes in place of everything.
    raw: bytes | None = None

    def encoded(self) -> bytes:
        if self.raw is not None:
            return self.raw
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = self.body
        if isinstance(body, str):
            body = body.encode()
        elif not isinstance(body, bytes):
            body = json.dumps(body).encode()
            headers.setdefault("content-type", "application/json")
        headers.setdefault("content-length", str(len(body)))
        lines = [f"HTTP/1.1 {self.status} {REASONS.get(self.status, 'Status')}"]
        lines.extend(f"{name}: {value}" for name, value in headers.items())
        head = ("\r\n".join(lines) + "\r\n\r\n").encode()
        return head + (body if self.cut_after is None else body[: self.cut_after])


Respond = Callable[[Seen], Answer]


class Web:
    """A running server: `url`, what it has seen, and what it answers next."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.seen: list[Seen] = []
        self.closed_connections = 0
        #: Set anew for each request that arrives.
        self.arrived = anyio.Event()
        self._respond: Respond = lambda _: Answer(status=404)

    def answers(self, *answers: Answer) -> None:
        """Answer in this order; the last answer repeats."""
        queue: Sequence[Answer] = answers
        served = 0

        def respond(_: Seen) -> Answer:
            nonlocal served
            served += 1
            return queue[min(served, len(queue)) - 1]

        self._respond = respond

    def responds(self, respond: Respond) -> None:
        """Answer each request with what a function makes of it."""
        self._respond = respond

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while (seen := await _read_request(reader)) is not None:
                self.seen.append(seen)
                self.arrived.set()
                self.arrived = anyio.Event()
                answer = self._respond(seen)
                if answer.delay_seconds:
                    await anyio.sleep(answer.delay_seconds)
                if answer.release is not None:
                    await answer.release.wait()
                writer.write(answer.encoded())
                await writer.drain()
                if answer.cut_after is not None or answer.raw is not None:
                    return
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.closed_connections += 1
            writer.close()


async def _read_request(reader: asyncio.StreamReader) -> Seen | None:
    line = await reader.readline()
    if not line:
        return None
    method, target, _ = line.decode().split(" ", 2)
    headers: dict[str, str] = {}
    while (line := await reader.readline()) not in (b"\r\n", b""):
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.strip().lower()] = value.strip()
    body = b""
    if length := headers.get("content-length"):
        body = await reader.readexactly(int(length))
    elif headers.get("transfer-encoding") == "chunked":
        while size := int(await reader.readline(), 16):
            body += await reader.readexactly(size)
            await reader.readline()
        await reader.readline()
    return Seen(method, target, headers, body)


@asynccontextmanager
async def serve() -> AsyncGenerator[Web]:
    """A server on a free port of loopback."""
    web: Web

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await web.handle(reader, writer)

    async with listening(handle) as port:
        web = Web(port)
        yield web


@asynccontextmanager
async def listening(
    handle: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]],
) -> AsyncGenerator[int]:
    """A port on which each connection is handled in a task that ends with the block."""
    tasks: set[asyncio.Task[None]] = set()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(handle(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await server.wait_closed()
