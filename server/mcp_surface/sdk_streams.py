"""Lines as the streams of messages that the SDK's server speaks over."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import anyio
import orjson
from anyio.streams.memory import MemoryObjectSendStream
from mcp import types
from mcp.shared.message import SessionMessage

__all__ = ["SdkStreams", "sdk_streams"]


class SdkStreams:
    """`read` and `write` for `Server.run`; `take` gives it a line, `end` says that none follows."""

    def __init__(self, received: MemoryObjectSendStream[Any], read: Any, write: Any) -> None:
        self._received = received
        self.read = read
        self.write = write

    async def take(self, line: bytes) -> None:
        """Hand over a line; returns when the server has room for more."""
        # A server that has ended takes nothing.
        with suppress(anyio.ClosedResourceError, anyio.BrokenResourceError):
            await self._received.send(_message_of(line))

    def end(self) -> None:
        """No more lines come."""
        self._received.close()


@asynccontextmanager
async def sdk_streams(
    write_line: Callable[[bytes], Awaitable[None]], unanswered: object = None
) -> AsyncGenerator[SdkStreams]:
    """Streams whose messages leave through `write_line`, but for answers to the id `unanswered`."""
    # The buffers are small: what a client does not read must be felt by those who answer.
    received, read = anyio.create_memory_object_stream[SessionMessage | Exception](8)
    write, unsent = anyio.create_memory_object_stream[SessionMessage](0)

    async def give() -> None:
        async with unsent:
            async for sent in unsent:
                if unanswered is None or getattr(sent.message, "id", None) != unanswered:
                    await write_line(_line_of(sent))

    async with anyio.create_task_group() as group:
        group.start_soon(give)
        try:
            yield SdkStreams(received, read, write)
        finally:
            # What was sent is still written; what was not taken never will be.
            received.close()
            read.close()
            write.close()


def _message_of(line: bytes) -> SessionMessage | Exception:
    try:
        message = types.jsonrpc_message_adapter.validate_json(line, by_name=False)
    except ValueError as error:
        try:
            text = line.decode("utf-8", "replace")
            message = types.jsonrpc_message_adapter.validate_json(text, by_name=False)
        except ValueError:
            return error
    return SessionMessage(message)


def _line_of(sent: SessionMessage) -> bytes:
    message = sent.message
    if isinstance(message, types.JSONRPCResponse):
        answer = {"jsonrpc": "2.0", "id": message.id, "result": message.result}
        try:
            return orjson.dumps(answer, option=orjson.OPT_APPEND_NEWLINE)
        except TypeError:
            # Integers of more than 64 bits.
            pass
    return message.model_dump_json(by_alias=True, exclude_unset=True).encode() + b"\n"
