"""`tools/list` of 10,000 tools, in both eras, beside a bare SDK server with as many.

python -m benchmarks.list_tools [--rounds 3] [--tools 10000] [--json]

`first page, cold` is the first request after the server said that it is there, and `start` is the
time until it did, so that nothing is hidden in the one or the other. Both give pages of 100.
"""

import argparse
import time
from dataclasses import dataclass, field

from benchmarks.harness import (
    CALLSLIP,
    SETTLE_SECONDS,
    home,
    median,
    numbered_tool,
    rotated,
    show,
)
from benchmarks.peers import BARE, bare_command
from benchmarks.raw_client import Era, RawClient

ERAS: tuple[Era, ...] = ("legacy", "modern")
REPEATED = 20


@dataclass
class Times:
    """Milliseconds, a round each."""

    start: list[float] = field(default_factory=list[float])
    cold: list[float] = field(default_factory=list[float])
    repeated: list[float] = field(default_factory=list[float])
    all_pages: list[float] = field(default_factory=list[float])
    all_pages_cpu: list[float] = field(default_factory=list[float])
    listed: int = 0


def measure(rounds: int, count: int) -> dict[str, dict[str, float]]:
    with home(*map(numbered_tool, range(count))) as path:
        commands: dict[str, tuple[list[str], dict[str, str]]] = {
            BARE: (bare_command("http://127.0.0.1/", count), {}),
            "callslip": ([*CALLSLIP, "serve"], {"CALLSLIP_HOME": str(path)}),
        }
        cases: list[tuple[str, Era]] = [(name, era) for era in ERAS for name in commands]
        found = {case: Times() for case in cases}
        # The first start of each warms the disk's cache.
        for index in range(rounds + 1):
            for name, era in rotated(cases, index):
                times = found[name, era] if index else Times()
                _read(times, *commands[name], era)
    return {
        f"{name}, {era}": {
            "first page, cold ms": median(times.cold),
            "first page ms": median(times.repeated),
            "all pages ms": median(times.all_pages),
            "CPU of all pages ms": median(times.all_pages_cpu),
            "start ms": median(times.start),
            "tools": times.listed,
        }
        for (name, era), times in found.items()
    }


def _read(times: Times, command: list[str], environment: dict[str, str], era: Era) -> None:
    client = RawClient(command, era, environment)
    if era == "modern":
        client.request("server/discover", {})
    times.start.append((time.perf_counter() - client.spawned_at) * 1000)
    times.cold.append(_list_ms(client))
    time.sleep(SETTLE_SECONDS)
    times.repeated.append(median(_list_ms(client) for _ in range(REPEATED)))
    cpu, started = client.cpu_seconds(), time.perf_counter()
    page = client.list_tools()
    times.listed = len(page["tools"])
    while "nextCursor" in page:
        page = client.list_tools(page["nextCursor"])
        times.listed += len(page["tools"])
    times.all_pages.append((time.perf_counter() - started) * 1000)
    times.all_pages_cpu.append((client.cpu_seconds() - cpu) * 1000)
    client.close()


def _list_ms(client: RawClient) -> float:
    started = time.perf_counter()
    client.list_tools()
    return (time.perf_counter() - started) * 1000


def main() -> None:
    parser = argparse.ArgumentParser(description="tools/list of many tools")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tools", type=int, default=10_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    show("list_tools", measure(options.rounds, options.tools), as_json=options.json)


if __name__ == "__main__":
    main()
