"""Large answers through `callslip serve`: time, the longest stall of its event loop, peak memory.

python -m benchmarks.large_answers [--megabytes 1 10 50] [--shape rows] [--rounds 3]
                                   [--work none] [--whole] [--json]

Each call has a server of its own, so that no memory is left over from the one before. While it runs
the client sends `ping` after `ping`: the longest answer is the longest time in which the server did
nothing else. With `--shape` the answer is another one (`benchmarks.upstream`) than a list of rows,
with `--work` the tool does something with it, with `--whole` the client is sent the answer itself
and not its preview.
"""

import argparse
import threading
import time
from dataclasses import dataclass
from typing import Any

from benchmarks.harness import (
    SETTLE_SECONDS,
    get_items,
    home,
    median,
    serve,
    show,
    upstream,
)
from benchmarks.raw_client import RawClient

#: Seconds between an answer to a ping and the next ping.
PING_PAUSE_SECONDS = 0.002
SAMPLE_SECONDS = 0.01

#: What a tool does with its answer, as parts of its definition; for the shape `rows`.
WORKS: dict[str, dict[str, Any]] = {
    "none": {},
    "remove": {
        "responseFilters": [{"id": "f", "target": "KEYS", "action": "REMOVE", "pattern": "^price$"}]
    },
    "mask": {
        "responseFilters": [{"id": "f", "target": "VALUES", "action": "MASK", "pattern": "item 1"}]
    },
    "schema": {
        "outputSchema": {
            "properties": {"items": {"items": {"properties": {"name": {"type": "string"}}}}}
        }
    },
    "transform": {"outputTransform": "(s) => s.items.data.items.map(({ id, name }) => [id, name])"},
}


@dataclass(frozen=True)
class Call:
    seconds: float
    cpu_seconds: float
    longest_ping_ms: float
    idle_ping_ms: float
    idle_memory: float
    peak_memory: float


class PeakMemory:
    """The largest memory of the server and its workers, in megabytes, looked at in a thread."""

    def __init__(self, client: RawClient) -> None:
        self._client = client
        self._ended = threading.Event()
        self.megabytes = client.memory_megabytes()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> "PeakMemory":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(SAMPLE_SECONDS):
            self.megabytes = max(self.megabytes, self._client.memory_megabytes())


def measure(
    sizes: list[int], rounds: int, shape: str, work: str, whole: bool
) -> dict[str, dict[str, float]]:
    settings: dict[str, object] = {"max_response_bytes": 2 * max(sizes) * 1_000_000}
    if whole:
        settings["inline_limit_characters"] = 1_000_000_000
    calls: dict[int, list[Call]] = {size: [] for size in sizes}
    for _ in range(rounds):
        for size in sizes:
            with (
                upstream(size * 1_000_000, shape) as origin,
                home(get_items(f"{origin}/items") | WORKS[work]) as path,
                serve(path, soft_deadline_seconds=600, **settings) as client,
            ):
                calls[size].append(_call(client))
    figures: dict[str, dict[str, float]] = {}
    for size, series in calls.items():
        figures[f"{size} MB"] = {
            "seconds": median(one.seconds for one in series),
            "CPU seconds": median(one.cpu_seconds for one in series),
            "longest ping ms": median(one.longest_ping_ms for one in series),
            "worst of all ms": max(one.longest_ping_ms for one in series),
            "idle ping ms": median(one.idle_ping_ms for one in series),
            "idle MB": median(one.idle_memory for one in series),
            "peak MB": median(one.peak_memory for one in series),
            "growth / size": median((one.peak_memory - one.idle_memory) / size for one in series),
        }
    return figures


def _call(client: RawClient) -> Call:
    # What the server readies after its first answers is no part of the call.
    time.sleep(SETTLE_SECONDS)
    idle = [_ping(client, None)[0] for _ in range(100)]
    idle_memory = client.memory_megabytes()
    pings: list[float] = []
    cpu = client.cpu_seconds()
    with PeakMemory(client) as peak:
        started = time.perf_counter()
        call = client.send("tools/call", {"name": "get_items", "arguments": {}})
        answered: float | None = None
        while answered is None:
            ping, answered = _ping(client, call)
            pings.append(ping)
            time.sleep(PING_PAUSE_SECONDS)
    return Call(
        answered - started,
        client.cpu_seconds() - cpu,
        max(pings),
        median(idle),
        idle_memory,
        peak.megabytes,
    )


def _ping(client: RawClient, call: int | None) -> tuple[float, float | None]:
    """Milliseconds until the answer, and when the call was answered, if it was before."""
    started = time.perf_counter()
    # The method of the earlier era; 2026-07-28 has none.
    ping = client.send("ping", {})
    answered: float | None = None
    while True:
        message: dict[str, Any] = client.receive()
        now = time.perf_counter()
        if message["id"] == ping:
            return (now - started) * 1000, answered
        if message["id"] == call:
            answered = now


def main() -> None:
    parser = argparse.ArgumentParser(description="large answers: time, stalls, memory")
    parser.add_argument("--megabytes", type=int, nargs="+", default=[1, 10, 50])
    shapes = ["rows", "by-id", "file", "text", "table", "zip"]
    parser.add_argument("--shape", choices=shapes, default="rows")
    parser.add_argument("--work", choices=list(WORKS), default="none")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--whole", action="store_true")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    figures = measure(options.megabytes, options.rounds, options.shape, options.work, options.whole)
    show("large_answers", figures, as_json=options.json)


if __name__ == "__main__":
    main()
