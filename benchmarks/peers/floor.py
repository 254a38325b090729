"""The least that a recording server can do, for others to be measured by; it is no MCP server.

A line of JSON-RPC in, one GET over a kept connection, one row in a SQLite database in one commit
(WAL, `synchronous=NORMAL`, as ours; with two commits the row is there before the GET), a line out.
Nothing is validated, limited, redacted or looked up, and an upstream that answers otherwise than
the one of the benchmarks breaks it.

python floor.py URL [COMMITS]
"""

import asyncio
import os
import sqlite3
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson

PIPE_BYTES = 64 << 20


class Get(asyncio.Protocol):
    """One kept connection; one request at a time."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are of no class of asyncio.
        self.transport: Any = transport

    def ask(self, request: bytes) -> "asyncio.Future[bytes]":
        self.received = b""
        self.answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return self.answer

    def data_received(self, data: bytes) -> None:
        self.received += data
        head, separator, body = self.received.partition(b"\r\n\r\n")
        if separator and len(body) >= int(head.lower().rpartition(b"content-length: ")[2]):
            self.answer.set_result(body)


class Floor:
    """Answers `tools/call`, and says what clients must hear before."""

    def __init__(self, url: str, commits: int, home: str) -> None:
        parts = urlsplit(url)
        self.host, self.port = parts.hostname or "", parts.port or 80
        self.request = f"GET {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n".encode()
        self.commits = commits
        self.idle: list[Get] = []
        self.database = sqlite3.connect(Path(home) / "floor.db", isolation_level=None)
        self.database.execute("PRAGMA journal_mode=WAL")
        self.database.execute("PRAGMA synchronous=NORMAL")
        self.database.execute("CREATE TABLE runs (seq INTEGER PRIMARY KEY, status, answer)")

    async def call(self, request_id: Any) -> None:
        execute = self.database.execute
        seq: int | None = None
        if self.commits > 1:
            seq = execute("INSERT INTO runs (status) VALUES ('running')").lastrowid
        connection = self.idle.pop() if self.idle else await self.connect()
        body = await connection.ask(self.request)
        self.idle.append(connection)
        execute("INSERT OR REPLACE INTO runs VALUES (?, 'success', ?)", (seq, body))
        content = [{"type": "text", "text": body.decode()}]
        result = {"content": content, "structuredContent": orjson.Fragment(body)}
        answer = {"jsonrpc": "2.0", "id": request_id, "result": result}
        write(answer)

    async def connect(self) -> Get:
        _, connection = await asyncio.get_running_loop().create_connection(
            Get, self.host, self.port
        )
        return connection

    async def serve(self) -> None:
        loop = asyncio.get_running_loop()
        lines = asyncio.StreamReader(limit=PIPE_BYTES)
        stdin = os.fdopen(os.dup(sys.stdin.fileno()), "rb", 0)
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), stdin)
        tasks: set[asyncio.Task[None]] = set()
        while line := await lines.readline():
            message = orjson.loads(line)
            if message["method"] == "tools/call":
                task = loop.create_task(self.call(message["id"]))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
            elif "id" in message:
                write({"jsonrpc": "2.0", "id": message["id"], "result": {}})


def write(message: dict[str, Any]) -> None:
    # Without a transport: the client of the benchmarks always reads.
    os.write(sys.stdout.fileno(), orjson.dumps(message) + b"\n")


def main() -> None:
    commits = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    if find_spec("uvloop") is not None:
        import uvloop

        run: Any = uvloop.run
    else:
        run = asyncio.run
    with tempfile.TemporaryDirectory() as home:
        run(Floor(sys.argv[1], commits, home).serve())


if __name__ == "__main__":
    main()
