"""What the tests of the server share: definitions, waiting, an upstream that never answers."""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio

from server.active_run import ActiveRun, RunRequest
from server.service import Service
from tests.web import listening
from tools.run import RequestSource, RunOptions

#: No wait of a test is longer.
WAIT_SECONDS = 15.0


async def until(check: Callable[[], bool], what: str) -> None:
    """Wait until `check` holds, looking often; fails after a while."""
    ends = time.monotonic() + WAIT_SECONDS
    while not check():
        assert time.monotonic() < ends, f"waited in vain until {what}"
        await anyio.sleep(0.01)


async def until_async(check: Callable[[], Awaitable[bool]], what: str) -> None:
    """Like `until`, for what has to be asked for."""
    ends = time.monotonic() + WAIT_SECONDS
    while not await check():
        assert time.monotonic() < ends, f"waited in vain until {what}"
        await anyio.sleep(0.01)


def request_tool(tool_id: str, url: str, **fields: Any) -> dict[str, Any]:
    """A tool of one GET request; `config` and `step` fields may be given."""
    config = {"url": url, **fields.pop("config", {})}
    step = {"id": "get", "config": config, **fields.pop("step", {})}
    return {"id": tool_id, "steps": [step], **fields}


def script_tool(tool_id: str, code: str, **fields: Any) -> dict[str, Any]:
    """A tool that only computes."""
    return {"id": tool_id, "outputTransform": code, **fields}


async def store(service: Service, *definitions: dict[str, Any]) -> None:
    """Store tools that must be valid."""
    for definition in definitions:
        checked, outcome = await service.tools.put(definition)
        assert outcome is not None, [str(problem) for problem in checked.problems]


async def start(service: Service, tool_id: str, inputs: Any = None, **fields: Any) -> ActiveRun:
    """Start a run as a program would."""
    options = RunOptions.model_validate(fields.pop("options", {}))
    run = await service.start(
        RunRequest(tool_id, inputs or {}, RequestSource.API, options, **fields)
    )
    assert isinstance(run, ActiveRun), "the run was there already"
    return run


class SilentUpstream:
    """Takes requests and never answers; knows when its clients have gone."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.requests = 0
        self.closed = 0


@asynccontextmanager
async def silent_upstream() -> AsyncGenerator[SilentUpstream]:
    """An upstream whose every answer is waited for in vain."""
    upstream: SilentUpstream

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while (await reader.readline()).strip():
                pass
            upstream.requests += 1
            await reader.read()
        except ConnectionError:
            pass
        finally:
            upstream.closed += 1
            writer.close()

    async with listening(handle) as port:
        upstream = SilentUpstream(port)
        yield upstream
