"""One worker process as the engine sees it: a request in, a reply out, killed at any moment."""

import asyncio
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from tools.body import Body
from tools.scripts import worker as frames

__all__ = ["Reply", "Request", "WallLimitError", "WorkerDiedError", "WorkerProcess"]

# Copied from our own environment: what the operating system needs to start Python, and the time
# zone that dates are shown in. Nothing else of it reaches a script's process.
_KEPT_VARIABLES = frozenset({"SYSTEMROOT", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "TZ"})
_CREATE_NO_WINDOW = 0x08000000
_START_SECONDS = 30.0
#: A payload of more is not copied to be sent with its header.
_MAX_JOINED_BYTES = 65_536
_WORKER_FILE = str(Path(frames.__file__).resolve())


class WorkerDiedError(Exception):
    """The worker ended while it worked."""


class WallLimitError(Exception):
    """The worker was killed because the wall limit had passed."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request frame; limits as in `ScriptLimits`."""

    op: int
    form: int
    context: int
    cpu_seconds: float
    wall_seconds: float
    memory_bytes: int
    output_bytes: int
    source: bytes
    #: Let go of as it is sent.
    payload: Body


@dataclass(frozen=True, slots=True)
class Reply:
    """One reply frame; `body`, `text`, `logs` and `names_read` are JSON texts or empty."""

    status: int
    retire: bool
    elapsed_ms: float
    body: Body
    text: bytes
    logs: bytes
    names_read: bytes


class _Incoming:
    """A reply that is on its way."""

    def __init__(self) -> None:
        self._head: tuple[Any, ...] | None = None
        self._body = Body()
        #: What is no part of the body, as far as it has come.
        self._buffer = b""

    def take(self, data: bytes) -> Reply | None:
        """The reply, once its last bytes have come."""
        if self._head is None:
            self._buffer += data
            if len(self._buffer) < frames.REPLY.size:
                return None
            self._head = frames.REPLY.unpack_from(self._buffer)
            data, self._buffer = self._buffer[frames.REPLY.size :], b""
        status, retire, elapsed, body_size, text_size, logs_size, names_size = self._head
        lacking = body_size - len(self._body)
        self._body.append(data[:lacking])
        self._buffer += data[lacking:]
        if len(data) < lacking or len(self._buffer) < text_size + logs_size + names_size:
            return None
        logs_at, names_at = text_size, text_size + logs_size
        return Reply(
            status,
            bool(retire),
            elapsed,
            self._body,
            self._buffer[:logs_at],
            self._buffer[logs_at:names_at],
            self._buffer[names_at:],
        )


class WorkerProcess(asyncio.SubprocessProtocol):
    """A running worker. At most one request is under way; the pool sees to that."""

    def __init__(self, on_spawn: Callable[["WorkerProcess"], None]) -> None:
        loop = asyncio.get_running_loop()
        self._loop = loop
        self._on_spawn = on_spawn
        self._transport: asyncio.SubprocessTransport | None = None
        self._stdin: asyncio.WriteTransport | None = None
        self._incoming = _Incoming()
        self._reply: asyncio.Future[Reply] | None = None
        self.alive = False
        self.closed: asyncio.Future[None] = loop.create_future()

    @classmethod
    async def start(
        cls, backend: str, memory_cap: int, on_spawn: Callable[["WorkerProcess"], None]
    ) -> "WorkerProcess":
        """Spawns a worker and waits until it is ready.

        `on_spawn` is called as soon as there is a process. Raises `WorkerDiedError`, `OSError`.
        """
        loop = asyncio.get_running_loop()
        worker = cls(on_spawn)
        worker._reply = loop.create_future()
        environment = {
            name: value for name, value in os.environ.items() if name.upper() in _KEPT_VARIABLES
        }
        options: dict[str, Any] = (
            {"creationflags": _CREATE_NO_WINDOW}
            if sys.platform == "win32"
            else {"start_new_session": True}
        )
        try:
            await loop.subprocess_exec(
                lambda: worker,
                sys.executable,
                "-I",
                _WORKER_FILE,
                backend,
                str(memory_cap),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.DEVNULL,
                env=environment,
                cwd=Path(sys.executable).anchor or None,
                **options,
            )
        except BaseException:
            # Nobody will ask for the answer of a worker that was not started to the end.
            worker._reply.cancel()
            worker.kill()
            raise
        try:
            ready = await worker._wait(_START_SECONDS)
        except WallLimitError:
            raise WorkerDiedError("it was not ready in time") from None
        if ready.status != frames.READY:
            worker.kill()
            raise WorkerDiedError(ready.body.whole().decode(errors="replace"))
        return worker

    @property
    def pid(self) -> int | None:
        return self._transport.get_pid() if self._transport else None

    async def request(self, request: Request) -> Reply:
        """Send a request and wait for its reply.

        Raises `WallLimitError` or `WorkerDiedError`; the process is gone then, as it is when the
        caller is cancelled.
        """
        if not self.alive:
            raise WorkerDiedError("it has ended")
        self._reply = self._loop.create_future()
        self._send(request)
        return await self._wait(request.wall_seconds)

    def post(self, request: Request) -> None:
        """Send a request that has no reply."""
        if self.alive:
            self._send(request)

    def kill(self) -> None:
        """End the process at once; `closed` is done when it is gone."""
        self.alive = False
        if self._transport is not None:
            # Closing the transport here would reap the process before asyncio's own watcher does,
            # which Python 3.11 reports as an unknown child; `process_exited` closes it.
            with suppress(ProcessLookupError):
                self._transport.kill()

    def _send(self, request: Request) -> None:
        assert self._stdin is not None
        header = frames.REQUEST.pack(
            request.op,
            request.form,
            request.context,
            request.cpu_seconds,
            request.wall_seconds,
            request.memory_bytes,
            request.output_bytes,
            len(request.source),
            len(request.payload),
        )
        if len(request.payload) < _MAX_JOINED_BYTES:
            self._stdin.write(header + request.source + request.payload.whole())
        else:
            self._stdin.write(header + request.source)
            for piece in request.payload.take():
                self._stdin.write(piece)

    async def _wait(self, seconds: float) -> Reply:
        reply = self._reply
        assert reply is not None
        timer = self._loop.call_later(seconds, self._expire)
        try:
            return await reply
        finally:
            timer.cancel()
            self._reply = None
            if not reply.done() or reply.cancelled():
                # Cancelled half-way: what the worker says next belongs to nobody.
                self.kill()

    def _expire(self) -> None:
        self._fail(WallLimitError())
        self.kill()

    def _fail(self, error: Exception) -> None:
        if self._reply is not None and not self._reply.done():
            self._reply.set_exception(error)

    # ---- callbacks of asyncio ---------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.SubprocessTransport, transport)
        self._stdin = cast(asyncio.WriteTransport, self._transport.get_pipe_transport(0))
        self.alive = True
        self._on_spawn(self)

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        reply = self._incoming.take(data)
        if reply is None:
            return
        self._incoming = _Incoming()
        if self._reply is not None and not self._reply.done():
            self._reply.set_result(reply)

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        # Either pipe: without it there is no answer any more.
        self.alive = False
        self._fail(WorkerDiedError("it ended"))

    def process_exited(self) -> None:
        self.alive = False
        self._fail(WorkerDiedError("it ended"))
        if self._transport is not None:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.closed.done():
            self.closed.set_result(None)
