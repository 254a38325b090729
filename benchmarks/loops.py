"""A loop of requests against an upstream that takes 20 ms, at several concurrencies.

python -m benchmarks.loops [--items 1000] [--rounds 3] [--json]

One at a time takes most of the time, so it has its turn in the middle round only.
"""

import argparse
from typing import Any

from benchmarks.harness import home, median, rotated, serve, show, upstream

CONCURRENCIES: tuple[int, ...] = (4, 16, 64)
# The call is to be answered with its end, however long it takes.
SETTINGS: dict[str, object] = {"soft_deadline_seconds": 600}


def measure(items: int, rounds: int) -> dict[str, dict[str, float]]:
    seconds: dict[int, list[float]] = {one: [] for one in (1, *CONCURRENCIES)}
    cpu: dict[int, list[float]] = {one: [] for one in seconds}
    with upstream(300) as origin, home(_tool(origin)) as path, serve(path, **SETTINGS) as client:
        arguments = {"ids": list(range(items))}
        client.call("loop", 1, 1, {"ids": list(range(64))})
        for index in range(rounds):
            turns: list[int] = rotated(CONCURRENCIES, index)
            if index == rounds // 2:
                turns.append(1)
            for concurrency in turns:
                meta = {"callslip/options": {"concurrency": concurrency}}
                series = client.call("loop", 1, 1, arguments, meta)
                seconds[concurrency].append(series.seconds)
                cpu[concurrency].append(series.cpu_ms_a_call / items)
    alone = median(seconds[1])
    return {
        f"{concurrency} at once": {
            "seconds": median(series),
            "items/s": items / median(series),
            "CPU ms an item": median(cpu[concurrency]),
            "times as fast": alone / median(series),
        }
        for concurrency, series in seconds.items()
    }


def _tool(origin: str) -> dict[str, Any]:
    return {
        "id": "loop",
        "instruction": "One request an item",
        "inputSchema": {"type": "object", "properties": {"ids": {"type": "array"}}},
        "steps": [
            {
                "id": "item",
                "dataSelector": "(s) => s.ids",
                "config": {"url": f"{origin}/slow", "queryParams": {"id": "<<currentItem>>"}},
            }
        ],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="loops of requests, some at once")
    parser.add_argument("--items", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    show("loops", measure(options.items, options.rounds), as_json=options.json)


if __name__ == "__main__":
    main()
