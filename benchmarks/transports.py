"""The same GETs through httpx's own transport, through `tools.http`, and through aiohttp alone.

python -m benchmarks.transports [--rounds 5] [--requests 400] [--answer-bytes 1000] [--json]
"""

import argparse
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import aiohttp
import anyio
import httpx

from benchmarks.harness import median, ratio, rotated, show, upstream
from tools.addresses import AddressPolicy
from tools.http import HttpClient, OutgoingRequest

AT_ONCE = 32
Get = Callable[[], Awaitable[bytes]]


@dataclass
class Series:
    """A round each: milliseconds a request."""

    wall: list[float] = field(default_factory=list[float])
    cpu: list[float] = field(default_factory=list[float])


async def measure(url: str, requests: int, rounds: int) -> dict[str, dict[str, float]]:
    async with (
        httpx.AsyncClient(trust_env=False) as own_transport,
        HttpClient(user_agent="benchmark") as ours,
        aiohttp.ClientSession() as alone,
    ):
        outgoing = OutgoingRequest("GET", url)

        async def through_httpx() -> bytes:
            return (await own_transport.get(url)).content

        async def through_ours() -> bytes:
            received = await ours.exchange(outgoing, timeout_seconds=60, policy=AddressPolicy.ANY)
            return received.body.whole()

        async def through_aiohttp() -> bytes:
            async with alone.get(url) as response:
                return await response.read()

        ways: dict[str, Get] = {
            "httpx, its own transport": through_httpx,
            "tools.http": through_ours,
            "aiohttp alone": through_aiohttp,
        }
        if len({await get() for get in ways.values()}) != 1:
            raise RuntimeError("the ways do not give the same answer")
        one = {name: Series() for name in ways}
        many = {name: Series() for name in ways}
        for get in ways.values():
            await _series(get, requests, AT_ONCE, Series())
        for index in range(rounds):
            for name in rotated(list(ways), index):
                await _series(ways[name], requests, 1, one[name])
                await _series(ways[name], requests, AT_ONCE, many[name])
    base = next(iter(ways))
    return {
        f"{name}, {label}": {
            "wall ms": median(series[name].wall),
            "CPU ms": median(series[name].cpu),
            "CPU of httpx's": ratio(series[name].cpu, series[base].cpu),
            "requests/s of httpx's": ratio(series[base].wall, series[name].wall),
        }
        for label, series in (("one at a time", one), (f"{AT_ONCE} at once", many))
        for name in ways
    }


async def _series(get: Get, requests: int, at_once: int, series: Series) -> None:
    left = iter(range(requests))

    async def work() -> None:
        for _ in left:
            await get()

    cpu, started = time.process_time(), time.perf_counter()
    async with anyio.create_task_group() as group:
        for _ in range(at_once):
            group.start_soon(work)
    series.wall.append((time.perf_counter() - started) * 1000 / requests)
    series.cpu.append((time.process_time() - cpu) * 1000 / requests)


def main() -> None:
    parser = argparse.ArgumentParser(description="the HTTP transports beside each other")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--requests", type=int, default=400)
    parser.add_argument("--answer-bytes", type=int, default=1000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with upstream(options.answer_bytes) as origin:
        figures = anyio.run(measure, f"{origin}/items", options.requests, options.rounds)
    show("transports", figures, as_json=options.json)


if __name__ == "__main__":
    main()
