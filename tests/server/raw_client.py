"""A `callslip` process, and a client of its standard streams that knows nothing of any SDK."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio

from server.app import open_service
from server.settings import Settings
from tests.server.helpers import WAIT_SECONDS, store

#: As the console script does it, wherever the scripts lie.
COMMAND = (sys.executable, "-m", "server")
_LEGACY = "2025-06-18"
_MODERN = "2026-07-28"
_CLIENT = {"name": "raw", "version": "1.0"}


def environment(home: Path, **settings: str) -> dict[str, str]:
    """The environment of a process on a home; no setting of this one reaches it."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("CALLSLIP_")}
    return {
        **kept,
        "CALLSLIP_HOME": str(home),
        "NO_PROXY": "*",
        "PYTHONUTF8": "1",
        "CALLSLIP_POLL_SECONDS": "0.05",
        **settings,
    }


class ProtocolError(Exception):
    """The server answered with a JSON-RPC error."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(str(error))
        self.code: int = error["code"]
        self.data: Any = error.get("data")


class RawClient:
    """Speaks JSON lines; keeps every byte that the server wrote."""

    def __init__(self, process: asyncio.subprocess.Process, era: str) -> None:
        self.process = process
        self.era = era
        self.output = b""
        self.errors = b""
        #: Lines that are no JSON-RPC message.
        self.garbage: list[bytes] = []
        self.notifications: list[dict[str, Any]] = []
        self._news = anyio.Event()
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._next_id = 0
        self._readers = [
            asyncio.create_task(self._read_output()),
            asyncio.create_task(self._read_errors()),
        ]

    async def _read_output(self) -> None:
        assert self.process.stdout is not None
        rest = b""
        while chunk := await self.process.stdout.read(65536):
            self.output += chunk
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                self._take(line)
        if rest:
            self.garbage.append(rest)
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(ConnectionError(f"the server ended: {self.errors.decode()}"))
                # Nobody need have asked.
                answer.exception()

    async def _read_errors(self) -> None:
        assert self.process.stderr is not None
        while chunk := await self.process.stderr.read(65536):
            self.errors += chunk

    def _take(self, line: bytes) -> None:
        message: dict[str, Any] = {}
        try:
            message = json.loads(line)
            is_message = message["jsonrpc"] == "2.0"
        except (ValueError, KeyError, TypeError):
            is_message = False
        if not is_message:
            self.garbage.append(line)
        elif "method" in message:
            self.notifications.append(message)
        elif message.get("id") in self._answers:
            answer = self._answers[message["id"]]
            if not answer.done():
                answer.set_result(message)
        self._news.set()
        self._news = anyio.Event()

    async def send_bytes(self, data: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(data)
        await self.process.stdin.drain()

    async def send(self, message: dict[str, Any]) -> None:
        text = json.dumps({"jsonrpc": "2.0", **message}, ensure_ascii=False)
        await self.send_bytes(text.encode() + b"\n")

    async def begin(self, method: str, params: dict[str, Any] | None = None) -> int:
        """Send a request; its id, for `answer`."""
        self._next_id += 1
        self._answers[self._next_id] = asyncio.get_running_loop().create_future()
        params = dict(params or {})
        if self.era == _MODERN:
            params["_meta"] = {
                "io.modelcontextprotocol/protocolVersion": _MODERN,
                "io.modelcontextprotocol/clientCapabilities": {},
                "io.modelcontextprotocol/clientInfo": _CLIENT,
                **params.get("_meta", {}),
            }
        await self.send({"id": self._next_id, "method": method, "params": params})
        return self._next_id

    async def answer(self, request_id: int) -> dict[str, Any]:
        """The result of a request. Raises `ProtocolError`."""
        with anyio.fail_after(WAIT_SECONDS):
            message = await self._answers[request_id]
        if "error" in message:
            raise ProtocolError(message["error"])
        return message["result"]

    def is_answered(self, request_id: int) -> bool:
        return self._answers[request_id].done()

    async def request(self, method: str, params: dict[str, Any] | None = None) -> dict[str, Any]:
        return await self.answer(await self.begin(method, params))

    async def call(
        self, tool: str, arguments: dict[str, Any] | None = None, **meta: Any
    ) -> dict[str, Any]:
        return await self.answer(await self.begin_call(tool, arguments, **meta))

    async def begin_call(
        self, tool: str, arguments: dict[str, Any] | None = None, **meta: Any
    ) -> int:
        params: dict[str, Any] = {"name": tool, "arguments": arguments or {}}
        if meta:
            params["_meta"] = meta
        return await self.begin("tools/call", params)

    async def tools(self) -> dict[str, dict[str, Any]]:
        """All listed tools by name."""
        found: dict[str, dict[str, Any]] = {}
        params: dict[str, Any] = {}
        while True:
            page = await self.request("tools/list", params)
            found.update({tool["name"]: tool for tool in page["tools"]})
            if "nextCursor" not in page:
                return found
            params = {"cursor": page["nextCursor"]}

    async def notified(self, method: str, after: int = 0) -> dict[str, Any]:
        """Wait for a notification beyond the first `after` ones."""
        with anyio.fail_after(WAIT_SECONDS):
            while True:
                news = self._news
                for message in self.notifications[after:]:
                    if message["method"] == method:
                        return message
                await news.wait()

    async def hand_shake(self) -> dict[str, Any]:
        """Open as a client of 2025-06-18 does."""
        result = await self.request(
            "initialize",
            {"protocolVersion": _LEGACY, "capabilities": {}, "clientInfo": _CLIENT},
        )
        await self.send({"method": "notifications/initialized"})
        return result

    async def close_input(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()

    async def ended(self) -> int:
        """The exit code, once the process has ended and all it wrote is read."""
        with anyio.fail_after(WAIT_SECONDS):
            code = await self.process.wait()
            await asyncio.gather(*self._readers)
        return code

    async def stop(self) -> None:
        if self.process.returncode is None:
            await self.close_input()
            try:
                await self.ended()
            except TimeoutError:
                self.process.kill()
                await self.ended()


@asynccontextmanager
async def serving(
    home: Path, *arguments: str, era: str = _LEGACY, **settings: str
) -> AsyncGenerator[RawClient]:
    """A `callslip serve` process and its client, opened in the way of its era."""
    process = await asyncio.create_subprocess_exec(
        *COMMAND,
        "serve",
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment(home, **settings),
    )
    client = RawClient(process, era)
    try:
        if era == _LEGACY:
            await client.hand_shake()
        else:
            await client.request("server/discover")
        yield client
    finally:
        await client.stop()


async def run_command(
    home: Path, *arguments: str, stdin: bytes = b"", **settings: str
) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a command."""
    process = await asyncio.create_subprocess_exec(
        *COMMAND,
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment(home, **settings),
    )
    with anyio.fail_after(WAIT_SECONDS * 2):
        output, errors = await process.communicate(stdin)
    assert process.returncode is not None
    return process.returncode, output.decode(), errors.decode()


async def store_tools(home: Path, definitions: Sequence[dict[str, Any]]) -> None:
    """Store tools from this process, which is another one than any server."""
    async with open_service(Settings(home=home, proxies={})) as service:
        await store(service, *definitions)
