"""Many clients of one tool over HTTP, beside a bare Starlette app that makes the same request.

python -m benchmarks.load [--seconds 60] [--clients 64] [--json]

Half of the time each, in turns. callslip records every run; afterwards all of them must be there,
ended once and well.
"""

import argparse
import os
import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import anyio

from benchmarks.harness import CALLSLIP, get_items, home, median, rotated, show, upstream
from benchmarks.peers import bare_starlette_command
from server.app import open_service
from server.settings import Settings
from storage.run_lists import RunFilter
from tools.run import RunStatus

KEY = "a-key-for-the-benchmark"
ROUNDS = 4


@contextmanager
def _server(command: list[str], environment: dict[str, str]) -> Generator[str]:
    """The origin that a server prints as the last word of a line, on stderr."""
    process = subprocess.Popen(
        command, env={**os.environ, **environment}, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    try:
        for line in process.stderr:
            if "http://" in line:
                yield line.split()[-1].strip("'\"")
                return
        raise RuntimeError("the server ended before it listened")
    finally:
        process.terminate()
        process.wait(20)


async def _load(url: str, clients: int, seconds: float) -> tuple[list[float], int]:
    """Latencies in milliseconds, and how many answers were no success."""
    latencies: list[float] = []
    errors = 0
    ends = time.perf_counter() + seconds
    headers = {"authorization": f"Bearer {KEY}"}
    connector = aiohttp.TCPConnector(limit=clients)
    async with aiohttp.ClientSession(connector=connector, headers=headers) as session:

        async def client() -> None:
            nonlocal errors
            while time.perf_counter() < ends:
                started = time.perf_counter()
                async with session.post(url, json={}) as answer:
                    body = await answer.json()
                latencies.append((time.perf_counter() - started) * 1000)
                if answer.status != 200 or body.get("status") != "success":
                    errors += 1

        async with anyio.create_task_group() as group:
            for _ in range(clients):
                group.start_soon(client)
    return latencies, errors


async def _recorded(path: Path) -> dict[str, int]:
    async with open_service(Settings(home=path)) as service:
        counts = {
            str(status): (await service.list_runs(RunFilter(status=status), limit=1)).total
            for status in RunStatus
        }
    return counts


def measure(seconds: float, clients: int) -> dict[str, dict[str, float]]:
    figures: dict[str, list[tuple[list[float], int]]] = {"bare Starlette": [], "callslip": []}
    with upstream(1000) as origin, home(get_items(f"{origin}/items")) as path:
        settings = {
            "CALLSLIP_HOME": str(path),
            "CALLSLIP_API_KEY": KEY,
            "CALLSLIP_ALLOW_PRIVATE": "1",
        }
        bare = bare_starlette_command(f"{origin}/items")
        ours = [*CALLSLIP, "serve", "--http", "--port", "0"]
        with _server(bare, {}) as bare_url, _server(ours, settings) as our_url:
            urls = {
                "bare Starlette": f"{bare_url}/run",
                "callslip": f"{our_url}/v1/tools/get_items/run",
            }
            for index in range(ROUNDS):
                for name in rotated(list(urls), index):
                    figures[name].append(
                        anyio.run(_load, urls[name], clients, seconds / ROUNDS / 2)
                    )
        counts = anyio.run(_recorded, path)
    answered = sum(len(latencies) for latencies, _ in figures["callslip"])
    rows = {name: _row(found, seconds / 2) for name, found in figures.items()}
    rows["callslip"]["lost runs"] = answered - counts["success"]
    rows["callslip"]["not ended"] = counts["running"]
    return rows


def _row(rounds: list[tuple[list[float], int]], seconds: float) -> dict[str, float]:
    def percentile(latencies: list[float], share: float) -> float:
        return sorted(latencies)[int(len(latencies) * share)]

    p50 = median(percentile(latencies, 0.5) for latencies, _ in rounds)
    p99 = median(percentile(latencies, 0.99) for latencies, _ in rounds)
    return {
        "calls/s": sum(len(latencies) for latencies, _ in rounds) / seconds,
        "p50 ms": p50,
        "p99 ms": p99,
        "p99 / p50": p99 / p50,
        "errors": sum(errors for _, errors in rounds),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--json", action="store_true")
    given: Any = parser.parse_args()
    show("load", measure(given.seconds, given.clients), as_json=given.json)


if __name__ == "__main__":
    main()
