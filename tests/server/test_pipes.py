"""Lines over pipes that arrive in pieces, are giant, broken or never read."""

import asyncio
import io
import json
import os
import subprocess
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import types
from mcp.server.stdio import stdio_server
from mcp.shared.message import SessionMessage

from server.mcp_surface.pipes import open_pipes
from server.mcp_surface.sdk_streams import sdk_streams
from tests.server.helpers import WAIT_SECONDS, until
from tests.server.raw_client import COMMAND, environment

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the SDK's transport is used there")


class Client:
    """The other ends of both pipes."""

    def __init__(self) -> None:
        self.server_reads, self._input = os.pipe()
        self._output, self.server_writes = os.pipe()
        self._unread = b""

    async def write(self, data: bytes) -> None:
        await anyio.to_thread.run_sync(os.write, self._input, data)

    async def read_line(self) -> bytes:
        def read() -> bytes:
            while b"\n" not in self._unread:
                self._unread += os.read(self._output, 65536) or b"\n"
            line, _, self._unread = self._unread.partition(b"\n")
            return line

        return await anyio.to_thread.run_sync(read)

    def close_input(self) -> None:
        os.close(self._input)
        self._input = -1

    def close_output(self) -> None:
        os.close(self._output)
        self._output = -1

    def close(self) -> None:
        for fd in (self._input, self._output, self.server_reads, self.server_writes):
            if fd >= 0:
                with suppress(OSError):
                    os.close(fd)


@asynccontextmanager
async def served(client: Client) -> AsyncGenerator[tuple[Any, Any]]:
    """The SDK's streams over the pipes, as the server has them."""
    async with (
        open_pipes(client.server_reads, client.server_writes) as pipes,
        sdk_streams(pipes.write) as streams,
        anyio.create_task_group() as group,
    ):

        async def take() -> None:
            async for line in pipes:
                await streams.take(line)
            streams.end()

        group.start_soon(take)
        yield streams.read, streams.write
        group.cancel_scope.cancel()


@asynccontextmanager
async def connected() -> AsyncGenerator[tuple[Client, Any, Any]]:
    client = Client()
    try:
        with anyio.fail_after(WAIT_SECONDS):
            async with served(client) as (read, write):
                yield client, read, write
    finally:
        client.close()


def request(number: int, **params: Any) -> bytes:
    message = {"jsonrpc": "2.0", "id": number, "method": "ping", "params": params}
    return json.dumps(message).encode() + b"\n"


def answer(number: int, result: Any) -> SessionMessage:
    return SessionMessage(types.JSONRPCResponse(jsonrpc="2.0", id=number, result=result))


def described(received: SessionMessage | Exception) -> Any:
    if isinstance(received, Exception):
        return "not a message"
    return received.message.model_dump(by_alias=True, exclude_unset=True)


PIECES: dict[str, list[bytes]] = {
    "a line in one piece": [request(1)],
    "several lines in one piece": [request(1) + request(2) + request(3)],
    "a line in pieces": [request(1)[:9], request(1)[9:20], request(1)[20:]],
    "a piece with the end of one and the start of another": [
        request(1) + request(2)[:7],
        request(2)[7:],
    ],
    "Windows' line ends": [request(1).replace(b"\n", b"\r\n") + request(2)],
    "a last line without its end": [request(1) + request(2).rstrip()],
    "no JSON": [b"hello\n" + request(1)],
    "JSON that is no message": [b'{"id": 1}\n[]\nnull\n' + request(1)],
    "bytes that are no UTF-8": [request(1, text="X").replace(b"X", b"\xff\xfe") + request(2)],
    "half of a surrogate pair": [request(1, text="\ud83d")],
    "a large number": [request(1, big=10**30)],
    "deep nesting": [b'{"jsonrpc": "2.0", "id": 1, "method": "m", "params": {"a": '
                     + b"[" * 500 + b"]" * 500 + b"}}\n"],
    "nothing": [],
}  # fmt: skip


@pytest.mark.parametrize("pieces", PIECES.values(), ids=PIECES)
async def test_lines_are_received_as_the_sdks_own_transport_receives_them(
    pieces: list[bytes], tmp_path: Path
) -> None:
    async with connected() as (client, read, _):
        for piece in pieces:
            await client.write(piece)
            await asyncio.sleep(0)
        client.close_input()
        ours = [described(one) async for one in read]
    source = tmp_path / "input"
    source.write_bytes(b"".join(pieces))
    async with (
        await anyio.open_file(source, encoding="utf-8", errors="replace") as stdin,
        await anyio.open_file(tmp_path / "output", "w") as stdout,
        stdio_server(stdin, stdout) as (read, write),
    ):
        theirs = [described(one) async for one in read]
        await write.aclose()
        await read.aclose()
    assert ours == theirs


async def test_a_giant_line_arrives_whole_and_a_giant_answer_leaves_whole() -> None:
    text = "x" * 20_000_000
    async with connected() as (client, read, write), anyio.create_task_group() as group:
        group.start_soon(_write_all, client, request(1, text=text))
        received = await read.receive()
        assert received.message.params["text"] == text
        group.start_soon(write.send, answer(1, {"text": text}))
        assert json.loads(await client.read_line())["result"]["text"] == text


async def _write_all(client: Client, data: bytes) -> None:
    for start in range(0, len(data), 60_000):
        await client.write(data[start : start + 60_000])


@pytest.mark.parametrize(
    "result", [{"n": 10**30}, {"text": "über \u2028"}, {"n": 1.5, "none": None}], ids=str
)
async def test_answers_are_json_in_one_line(result: Any) -> None:
    line = b""
    async with connected() as (client, _, write), anyio.create_task_group() as group:
        group.start_soon(write.send, answer(1, result))
        line = await client.read_line()
    assert json.loads(line) == {"jsonrpc": "2.0", "id": 1, "result": result}


async def test_a_client_that_does_not_read_makes_those_who_answer_wait() -> None:
    sent = 0
    async with connected() as (client, _, write):

        async def send() -> None:
            nonlocal sent
            for number in range(200):
                await write.send(answer(number, {"text": "x" * 100_000}))
                sent += 1

        async with anyio.create_task_group() as group:
            group.start_soon(send)
            await until(lambda: sent > 0, "the first answer is taken")
            for _ in range(50):
                await anyio.lowlevel.checkpoint()
            assert sent < 20
            for number in range(200):
                assert json.loads(await client.read_line())["id"] == number


async def test_a_client_that_sends_faster_than_it_is_served_is_held_up() -> None:
    numbers: list[int] = []
    async with connected() as (client, read, _):
        written = 0

        async def write() -> None:
            nonlocal written
            for number in range(2_000):
                await client.write(request(number, text="x" * 1000))
                written += 1
            client.close_input()

        async with anyio.create_task_group() as group:
            group.start_soon(write)
            await until(lambda: written > 100, "lines are under way")
            for _ in range(50):
                await anyio.lowlevel.checkpoint()
            assert written < 1_000
            numbers = [one.message.id async for one in read]
        assert numbers == list(range(2_000))


async def test_when_the_client_closes_its_end_reading_ends_and_answers_are_dropped() -> None:
    async with connected() as (client, read, write):
        client.close_output()
        for number in range(3):
            await write.send(answer(number, {}))
        assert [one async for one in read] == []
        await write.send(answer(9, {}))


async def test_what_was_answered_last_is_written_before_the_end() -> None:
    client = Client()
    try:
        async with served(client) as (_, write):
            await write.send(answer(7, {}))
        assert json.loads(await client.read_line())["id"] == 7
    finally:
        client.close()


def test_input_from_a_file_is_served_too(tmp_path: Path) -> None:
    hello = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "initialize",
        "params": {
            "protocolVersion": "2025-06-18",
            "capabilities": {},
            "clientInfo": {"name": "file", "version": "1"},
        },
    }
    source = tmp_path / "input"
    source.write_text(json.dumps(hello) + "\n")
    with source.open() as stdin:
        found = subprocess.run(
            [*COMMAND, "serve"],
            stdin=stdin,
            capture_output=True,
            env=environment(tmp_path / "home"),
            timeout=60,
            check=False,
        )
    assert found.returncode == 0, found.stderr
    assert json.loads(found.stdout)["result"]["serverInfo"]["name"] == "callslip"


HELLO = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-06-18",
        "capabilities": {},
        "clientInfo": {"name": "pipe", "version": "1"},
    },
}
LOOPS = pytest.mark.parametrize("has_uvloop", [False, True])


def serving(has_uvloop: bool, home: Path) -> subprocess.Popen[bytes]:
    if has_uvloop:
        pytest.importorskip("uvloop")
    hide = "" if has_uvloop else "sys.modules['uvloop'] = None; "
    code = f"import sys; {hide}from server.__main__ import main; main()"
    return subprocess.Popen(
        [sys.executable, "-c", code, "serve"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(home),
    )


@LOOPS
def test_a_server_speaks_with_and_without_uvloop(has_uvloop: bool, tmp_path: Path) -> None:
    with serving(has_uvloop, tmp_path / "home") as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(json.dumps(HELLO).encode() + b"\n")
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["id"] == 1
        process.stdin.write(b'{"jsonrpc": "2.0", "id": 2, "method": "ping"}\n')
        process.stdin.flush()
        assert json.loads(process.stdout.readline()) == {"jsonrpc": "2.0", "id": 2, "result": {}}
        process.stdin.close()
        assert process.stdout.read() == b""
    assert process.returncode == 0


@LOOPS
def test_a_server_whose_client_closes_the_output_ends_without_a_fault(
    has_uvloop: bool, tmp_path: Path
) -> None:
    with serving(has_uvloop, tmp_path / "home") as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdin.write(json.dumps(HELLO).encode() + b"\n")
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["id"] == 1
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


@LOOPS
@pytest.mark.parametrize("first", [b"", b"\n"], ids=["without the SDK", "with the SDK"])
def test_a_server_ends_after_its_input_although_nobody_reads_its_answers(
    first: bytes, has_uvloop: bool, tmp_path: Path
) -> None:
    with serving(has_uvloop, tmp_path / "home") as process:
        assert process.stdin is not None
        assert process.stdout is not None
        lists = [{"jsonrpc": "2.0", "id": number, "method": "tools/list"} for number in range(400)]
        for message in (HELLO, {"jsonrpc": "2.0", "method": "notifications/initialized"}, *lists):
            first += json.dumps(message).encode() + b"\n"
        process.stdin.write(first)
        process.stdin.close()
        assert process.wait(WAIT_SECONDS * 2) == 0


def test_no_number_is_closed_twice_when_uvloop_closes_a_pipe() -> None:
    uvloop = pytest.importorskip("uvloop")
    closed_twice: list[bool] = []

    class Watched(io.FileIO):
        def close(self) -> None:
            if not self.closed:
                closed_twice.append(self.closefd and not is_open(self.fileno()))
            super().close()

    async def serve() -> None:
        client = Client()
        async with open_pipes(client.server_reads, client.server_writes) as pipes:
            client.close_input()
            assert [line async for line in pipes] == []
        client.close()

    def watched(fd: int, mode: str, _: int, *, closefd: bool) -> Watched:
        return Watched(fd, mode, closefd)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fdopen", watched)
        uvloop.run(serve())
    assert closed_twice == [False, False]


def is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True
