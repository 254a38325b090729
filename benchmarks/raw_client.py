"""A neutral MCP client: raw JSON-RPC lines over pipes, so that no SDK is measured with a server."""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

import orjson
import psutil

if sys.platform == "linux":
    import fcntl

#: How a connection is opened: with a handshake (2025-06-18), or not at all (2026-07-28).
Era = Literal["legacy", "modern"]

#: Room for the requests that are sent at once before an answer is read: a client that waits to
#: write must not meet a server that waits for it to read.
_PIPE_BYTES = 1024 * 1024
_CLIENT = {"name": "benchmark", "version": "1"}
_META: dict[str, Any] = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": _CLIENT,
    "io.modelcontextprotocol/clientCapabilities": {},
}


@dataclass(frozen=True)
class Series:
    """Latencies in milliseconds, and the CPU time of the server's processes a call."""

    latencies_ms: list[float]
    seconds: float
    cpu_ms_a_call: float

    @property
    def calls_a_second(self) -> float:
        return len(self.latencies_ms) / self.seconds

    def percentile_ms(self, share: float) -> float:
        ordered = sorted(self.latencies_ms)
        return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


class RawClient:
    """A server on stdio, and a connection to it; an earlier one has shaken hands."""

    def __init__(self, command: Sequence[str], era: Era, environment: dict[str, str]) -> None:
        self.spawned_at = time.perf_counter()
        self._era = era
        self._next_id = 0
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **environment},
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._in, self._out = self._process.stdin, self._process.stdout
        if sys.platform == "linux":
            fcntl.fcntl(self._in, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        if era == "legacy":
            hello: dict[str, Any] = {
                "protocolVersion": "2025-06-18",
                "capabilities": {},
                "clientInfo": _CLIENT,
            }
            self.request("initialize", hello)
            self._send({"jsonrpc": "2.0", "method": "notifications/initialized"})

    def list_tools(self, cursor: str | None = None) -> dict[str, Any]:
        """A page of `tools/list`: `{tools, nextCursor?}`."""
        return self.request("tools/list", {} if cursor is None else {"cursor": cursor})["result"]

    def request(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """One request and its result."""
        self.send(method, params)
        return self.receive()

    def send(self, method: str, params: dict[str, Any]) -> int:
        self._next_id += 1
        sent = dict(params)
        if self._era == "modern":
            sent["_meta"] = _META | sent.get("_meta", {})
        self._send({"jsonrpc": "2.0", "id": self._next_id, "method": method, "params": sent})
        return self._next_id

    def receive(self) -> dict[str, Any]:
        """The next answer; notifications are passed over."""
        while line := self._out.readline():
            message = orjson.loads(line)
            if "id" in message and "method" not in message:
                result = message.get("result")
                if result is None or result.get("isError"):
                    raise RuntimeError(f"the server answered with an error: {message}")
                return message
        raise RuntimeError("the server closed its output")

    def call(
        self,
        name: str,
        count: int,
        at_once: int,
        arguments: dict[str, Any] | None = None,
        meta: dict[str, Any] | None = None,
    ) -> Series:
        """Call a tool `count` times, `at_once` calls under way."""
        params: dict[str, Any] = {"name": name, "arguments": arguments or {}}
        if meta:
            params["_meta"] = meta
        sent_at: dict[int, float] = {}
        latencies: list[float] = []
        cpu, started = self.cpu_seconds(), time.perf_counter()
        sent = 0
        while len(latencies) < count:
            while sent < count and len(sent_at) < at_once:
                sent_at[self.send("tools/call", params)] = time.perf_counter()
                sent += 1
            answer = self.receive()
            latencies.append((time.perf_counter() - sent_at.pop(answer["id"])) * 1000)
        seconds = time.perf_counter() - started
        return Series(latencies, seconds, (self.cpu_seconds() - cpu) * 1000 / count)

    def memory_megabytes(self) -> float:
        """Of the server and its workers; what they share is counted in each."""
        return sum(_memory(process) for process in self._tree()) / 1e6

    def worker_megabytes(self) -> float:
        """Of its workers alone."""
        return sum(_memory(process) for process in self._tree()[1:]) / 1e6

    def cpu_seconds(self) -> float:
        """Of the server and its workers that still run."""
        return sum(sum(process.cpu_times()[:2]) for process in self._tree())

    def close(self) -> None:
        self._in.close()
        self._process.wait(10)

    def _send(self, message: dict[str, Any]) -> None:
        self._in.write(orjson.dumps(message) + b"\n")
        self._in.flush()

    def _tree(self) -> list[psutil.Process]:
        process = psutil.Process(self._process.pid)
        return [process, *process.children(recursive=True)]


def _memory(process: psutil.Process) -> float:
    with suppress(psutil.NoSuchProcess):
        return process.memory_info().rss
    return 0
