"""`tools/call` of a stored one-request tool beside its peers, in turns.

python -m benchmarks.tool_calls [--rounds 5] [--calls 256] [--at-once 1 32 256] [--era legacy]
    [--answer-bytes 1000] [--json]

All servers stay up, and each has its turn in every round: so many calls one at a time, as many with
32 under way, and with 256. Peers answer each call with one request and record nothing; callslip
records every run. Two floors are there to be measured by: a loop without MCP that makes the request
and one commit, or two. The last rows are ratios to each peer of the same era, round by round.
"""

import argparse
import subprocess
from collections.abc import Callable
from contextlib import suppress

from benchmarks.harness import CALLSLIP, get_items, home, median, ratio, rotated, show, upstream
from benchmarks.peers import floor_commands, peer_commands
from benchmarks.raw_client import Era, RawClient, Series

OURS = "callslip"
ERAS: tuple[Era, ...] = ("legacy", "modern")

Server = tuple[str, Era]
#: A series for each number of calls under way.
Round = dict[int, Series]


def columns(at_once: list[int]) -> dict[str, Callable[[Round], float]]:
    """What is read off a round."""
    first, last = at_once[0], at_once[-1]
    found: dict[str, Callable[[Round], float]] = {
        "p50 ms": lambda one: one[first].percentile_ms(0.5),
        "p99 ms": lambda one: one[first].percentile_ms(0.99),
        "CPU ms a call": lambda one: one[first].cpu_ms_a_call,
    }
    for level in at_once:
        found[f"calls/s, {level}"] = lambda one, level=level: one[level].calls_a_second
    found[f"p99 ms, {last}"] = lambda one: one[last].percentile_ms(0.99)
    return found


def measure(
    rounds: int, calls: int, levels: list[int], answer_bytes: int, eras: tuple[Era, ...]
) -> dict[str, dict[str, float]]:
    with upstream(answer_bytes) as origin, home(get_items(f"{origin}/items")) as path:
        url = f"{origin}/items"
        # The whole answer, as the peer gives it: a preview would be an unfair advantage.
        settings = {"CALLSLIP_HOME": str(path), "CALLSLIP_INLINE_LIMIT_CHARACTERS": "100000000"}
        clients: dict[Server, RawClient] = {}
        try:
            for era in eras:
                peers = peer_commands(url, era)
                for name, command in (peers | floor_commands(url)).items():
                    clients[name, era] = RawClient(command, era, {})
                clients[OURS, era] = RawClient([*CALLSLIP, "serve"], era, settings)
            series: dict[Server, list[Round]] = {server: [] for server in clients}
            # In the first round they import what they need and open their connections.
            for index in range(rounds + 1):
                for server in rotated(list(clients), index):
                    client = clients[server]
                    found = {
                        at_once: client.call("get_items", calls, at_once) for at_once in levels
                    }
                    if index:
                        series[server].append(found)
            read_off = columns(levels)
            figures = {
                f"{name}, {era}": {
                    column: median(map(read, series[name, era]))
                    for column, read in read_off.items()
                }
                for name, era in clients
            }
            for (name, era), client in clients.items():
                figures[f"{name}, {era}"]["memory MB"] = client.memory_megabytes()
        finally:
            for client in clients.values():
                with suppress(OSError, subprocess.TimeoutExpired):
                    client.close()
    floors = floor_commands(url)
    for measured in (OURS, *floors):
        for name, era in clients:
            if name == OURS or (name in floors and measured != OURS):
                continue
            figures[f"{measured} / {name}, {era}"] = {
                column: ratio(
                    list(map(read, series[measured, era])), list(map(read, series[name, era]))
                )
                for column, read in read_off.items()
            }
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description="tools/call beside its peers")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--calls", type=int, default=256)
    parser.add_argument("--at-once", type=int, nargs="+", default=[1, 32, 256])
    parser.add_argument("--answer-bytes", type=int, default=1000)
    parser.add_argument("--era", choices=ERAS, help="one era alone, in place of both")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    eras = ERAS if options.era is None else (options.era,)
    figures = measure(options.rounds, options.calls, options.at_once, options.answer_bytes, eras)
    show("tool_calls", figures, as_json=options.json)


if __name__ == "__main__":
    main()
