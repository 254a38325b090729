"""What the record of a run costs: the same service with its two commits, and with neither.

python -m benchmarks.record [--rounds 7] [--calls 200] [--answer-bytes 1000] [--json]

The service runs in this process. Half of the rounds `RunStore.start` and `RunStore.finish` do
nothing, here and nowhere else.
"""

import argparse
import itertools
import time
from pathlib import Path
from typing import Any

import anyio

from benchmarks.harness import get_items, home, median, rotated, show, upstream
from server.active_run import RunRequest
from server.app import open_service
from server.service import Service
from server.settings import Settings
from storage.runs import RunStore
from tools.run import RequestSource, RunStatus

AT_ONCE = 32
_NUMBERS = itertools.count(1)


async def _start_nothing(*_: Any) -> int:
    return next(_NUMBERS)


async def _finish_nothing(*_: Any) -> bool:
    return True


# `Any`: methods are put in the place of methods.
WAYS: dict[str, tuple[Any, Any]] = {
    "recorded": (RunStore.start, RunStore.finish),
    "not recorded": (_start_nothing, _finish_nothing),
}


async def measure(
    path: Path, durability: Any, calls: int, rounds: int
) -> dict[str, dict[str, float]]:
    one: dict[str, list[list[float]]] = {name: [] for name in WAYS}
    many: dict[str, list[float]] = {name: [] for name in WAYS}
    cpu: dict[str, list[float]] = {name: [] for name in WAYS}
    async with open_service(Settings(home=path, durability=durability)) as service:
        await _calls(service, calls, 1)
        for index in range(rounds):
            for name in rotated(list(WAYS), index):
                RunStore.start, RunStore.finish = WAYS[name]
                try:
                    used = time.process_time()
                    one[name].append(await _calls(service, calls, 1))
                    cpu[name].append((time.process_time() - used) * 1000 / calls)
                    started = time.perf_counter()
                    await _calls(service, calls, AT_ONCE)
                    many[name].append((time.perf_counter() - started) * 1000 / calls)
                finally:
                    RunStore.start, RunStore.finish = WAYS["recorded"]
    figures = {
        name: {
            "p50 ms": median(median(series) for series in one[name]),
            "p99 ms": median(sorted(series)[int(len(series) * 0.99)] for series in one[name]),
            "CPU ms": median(cpu[name]),
            f"ms a call, {AT_ONCE} at once": median(many[name]),
        }
        for name in WAYS
    }
    recorded, without = figures.values()
    return {
        **figures,
        "the record": {column: recorded[column] - without[column] for column in recorded},
    }


async def _calls(service: Service, calls: int, at_once: int) -> list[float]:
    left = iter(range(calls))
    latencies: list[float] = []

    async def work() -> None:
        for _ in left:
            started = time.perf_counter()
            active = await service.start(RunRequest("get_items", {}, RequestSource.MCP))
            outcome = await active.wait()
            if outcome.status is not RunStatus.SUCCESS:
                raise RuntimeError(outcome.error)
            latencies.append((time.perf_counter() - started) * 1000)

    async with anyio.create_task_group() as group:
        for _ in range(at_once):
            group.start_soon(work)
    return latencies


def main() -> None:
    parser = argparse.ArgumentParser(description="the cost of the record")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--calls", type=int, default=200)
    parser.add_argument("--answer-bytes", type=int, default=1000)
    parser.add_argument("--durability", choices=["normal", "full"], default="normal")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    with upstream(options.answer_bytes) as origin, home(get_items(f"{origin}/items")) as path:
        figures = anyio.run(measure, path, options.durability, options.calls, options.rounds)
    show("record", figures, as_json=options.json)


if __name__ == "__main__":
    main()
