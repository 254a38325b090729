"""Lines over this process's standard input and output, without a thread.

A transport that hops to a thread for each line, each write and each flush takes half as many
calls. Windows' pipes, files and terminals are left to the SDK's: no event loop can wait for them.
"""

import asyncio
import os
import stat
import sys
from collections import deque
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, cast

import anyio

__all__ = ["Pipes", "can_wait_for_pipes", "open_pipes", "standard_pipes"]

#: Lines that wait to be handled before reading pauses; what the client writes waits in the pipe.
_MOST_WAITING = 64
#: How long what was written last may take to leave.
_LAST_LINES_SECONDS = 1.0


class Pipes:
    """Both directions: iterate over the lines that arrive, `write` those that leave."""

    def __init__(
        self,
        reader: "_Reader",
        writer: "_Writer",
        writing: asyncio.WriteTransport,
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._writing = writing

    def __aiter__(self) -> "_Reader":
        return self._reader

    async def write(self, line: bytes) -> None:
        """Write a line with its end; returns when the client has room for more.

        What nobody can read any more is dropped.
        """
        await self._writer.write(self._writing, line)


@asynccontextmanager
async def standard_pipes() -> AsyncGenerator[Pipes]:
    """The pipes of this process.

    Meanwhile descriptor 0 is empty and 1 is standard error, so that nothing printed reaches the
    client. Reading ends at the end of input, and when the client has closed the other pipe.
    """
    with _moved_aside() as (reading_fd, writing_fd):
        async with open_pipes(reading_fd, writing_fd) as pipes:
            yield pipes


def can_wait_for_pipes() -> bool:
    """Whether an event loop can wait for both pipes, and nobody else is disturbed by that."""
    if sys.platform == "win32":
        return False
    try:
        modes = [os.fstat(fd).st_mode for fd in (0, 1)]
        return (
            all(stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) for mode in modes)
            # Waiting makes a pipe non-blocking for all who share it.
            and not os.path.sameopenfile(0, 1)
            and not os.path.sameopenfile(1, 2)
        )
    except OSError:
        return False


@contextmanager
def _moved_aside() -> Generator[tuple[int, int]]:
    """The pipes under other numbers; in their place stand the null device and standard error."""
    reading_fd, writing_fd = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    os.dup2(2, 1)
    try:
        yield reading_fd, writing_fd
    finally:
        os.dup2(reading_fd, 0)
        os.dup2(writing_fd, 1)
        for fd in (reading_fd, writing_fd):
            os.set_blocking(fd, True)
            os.close(fd)


@asynccontextmanager
async def open_pipes(reading_fd: int, writing_fd: int) -> AsyncGenerator[Pipes]:
    """The pipes of two descriptors, which stay open; what was written last still leaves."""
    loop = asyncio.get_running_loop()
    # The transports close what they are given; the numbers themselves go back to their places.
    writing, writer = await loop.connect_write_pipe(_Writer, _handed_over(writing_fd, "wb"))
    reading, reader = await loop.connect_read_pipe(_Reader, _handed_over(reading_fd, "rb"))
    writer.on_lost = reader.end
    try:
        yield Pipes(reader, writer, writing)
    finally:
        reader.end()
        reading.close()
        with anyio.CancelScope(shield=True), anyio.move_on_after(_LAST_LINES_SECONDS):
            await writer.flush(writing)
        if not writer.is_lost:
            writing.abort()


def _handed_over(fd: int, mode: str) -> Any:
    """The pipe of a descriptor under a number of its own, which the transport closes.

    uvloop closes the number and after that the object. In between another thread may have opened a
    file that got the number, and SQLite loses its database that way
    (https://www.sqlite.org/howtocorrupt.html, section 2.1); its object closes nothing.
    """
    is_uvloop = type(asyncio.get_running_loop()).__module__.partition(".")[0] == "uvloop"
    return os.fdopen(os.dup(fd), mode, 0, closefd=not is_uvloop)


class _Reader(asyncio.Protocol):
    """Lines as they arrive, the last one also without its end."""

    def __init__(self) -> None:
        self._lines: deque[bytes] = deque()
        self._partial: list[bytes] = []
        self._arrived = asyncio.Event()
        self._has_ended = False
        self._transport: asyncio.ReadTransport | None = None
        self._is_paused = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are none of asyncio's classes.
        self._transport = cast("asyncio.ReadTransport", transport)

    def data_received(self, data: bytes) -> None:
        first, *others = data.split(b"\n")
        self._partial.append(first)
        if not others:
            return
        self._lines.append(b"".join(self._partial))
        self._lines.extend(others[:-1])
        self._partial = [others[-1]]
        self._arrived.set()
        if len(self._lines) > _MOST_WAITING and self._transport is not None:
            self._transport.pause_reading()
            self._is_paused = True

    def connection_lost(self, exc: Exception | None) -> None:
        self.end()

    def eof_received(self) -> None:
        self.end()

    def end(self) -> None:
        """No more lines come."""
        if not self._has_ended:
            self._has_ended = True
            if last := b"".join(self._partial):
                self._lines.append(last)
            self._arrived.set()

    def __aiter__(self) -> "_Reader":
        return self

    async def __anext__(self) -> bytes:
        while not self._lines:
            if self._has_ended:
                raise StopAsyncIteration
            self._arrived.clear()
            if self._is_paused and self._transport is not None:
                self._is_paused = False
                self._transport.resume_reading()
            await self._arrived.wait()
        return self._lines.popleft()


class _Writer(asyncio.Protocol):
    """Writes lines, and waits while the client does not read."""

    def __init__(self) -> None:
        self._can_write = asyncio.Event()
        self._can_write.set()
        self.is_lost = False
        self.on_lost: Callable[[], None] | None = None

    def pause_writing(self) -> None:
        self._can_write.clear()

    def resume_writing(self) -> None:
        self._can_write.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.is_lost = True
        self._can_write.set()
        if self.on_lost is not None:
            self.on_lost()

    async def write(self, transport: asyncio.WriteTransport, line: bytes) -> None:
        """Write a line; what nobody can read any more is dropped."""
        if not self.is_lost:
            transport.write(line)
        await self._can_write.wait()

    async def flush(self, transport: asyncio.WriteTransport) -> None:
        """Wait until everything is in the pipe."""
        if not self.is_lost:
            transport.set_write_buffer_limits(0)
        await self._can_write.wait()
