"""`tools/call` of a stored tool beside its peers (`scripts/bench` builds them), in turns.

python -m benchmarks.tool_calls [--rounds 7] [--calls 200] [--answer-bytes 1000]
"""

import argparse
import json
import subprocess
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from benchmarks.harness import CALLSLIP, get_items, home, median, ratio, rotated, upstream
from benchmarks.peers import BARE, peer_commands
from benchmarks.raw_client import Era, RawClient, Series

OURS = "callslip"
#: Calls under way in the second half of a round.
AT_ONCE = 32


def measure(rounds: int, calls: int, answer_bytes: int, era: Era) -> dict[str, Any]:
    with upstream(answer_bytes) as origin, home(get_items(f"{origin}/items")) as path:
        url = f"{origin}/items"
        # The whole answer, as the peer gives it: a preview would be an unfair advantage.
        settings = {"CALLSLIP_HOME": str(path), "CALLSLIP_INLINE_LIMIT_CHARACTERS": "100000000"}
        peers = peer_commands(url) if era == "legacy" else {BARE: peer_commands(url)[BARE]}
        commands: dict[str, tuple[list[str], dict[str, str]]] = {
            **{name: (command, {}) for name, command in peers.items()},
            OURS: ([*CALLSLIP, "serve"], settings),
        }
        clients: dict[str, RawClient] = {}
        try:
            for name, (command, environment) in commands.items():
                clients[name] = RawClient(command, era, environment)
                clients[name].call("get_items", calls // 2, 1)
            one: dict[str, list[Series]] = {name: [] for name in clients}
            many: dict[str, list[Series]] = {name: [] for name in clients}
            for index in range(rounds):
                for name in rotated(list(clients), index):
                    one[name].append(clients[name].call("get_items", calls, 1))
                    many[name].append(clients[name].call("get_items", calls, AT_ONCE))
            figures = {name: _figures(clients[name], one[name], many[name]) for name in clients}
            ratios = {
                f"{peer}, {how}": _ratio(series, peer)
                for peer in peers
                for how, series in (("one at a time", one), (f"{AT_ONCE} at once", many))
            }
            return figures | {"ratios": ratios}
        finally:
            for client in clients.values():
                with suppress(OSError, subprocess.TimeoutExpired):
                    client.close()


def _figures(client: RawClient, one: list[Series], many: list[Series]) -> dict[str, float]:
    return {
        "p50 ms": _median(series.percentile_ms(0.5) for series in one),
        "p99 ms": _median(series.percentile_ms(0.99) for series in one),
        "calls/s": _median(series.calls_a_second for series in one),
        f"calls/s, {AT_ONCE} at once": _median(series.calls_a_second for series in many),
        "CPU ms a call": _median(series.cpu_ms_a_call for series in one),
        "memory MB": client.memory_megabytes(),
        "start ms": client.started_ms,
    }


def _ratio(series: dict[str, list[Series]], peer: str) -> float:
    ours, theirs = ([one.calls_a_second for one in series[name]] for name in (OURS, peer))
    return round(ratio(ours, theirs), 3)


def _median(values: Iterable[float]) -> float:
    return round(median(values), 3)


def main() -> None:
    parser = argparse.ArgumentParser(description="tools/call beside its peers")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--calls", type=int, default=200)
    parser.add_argument("--answer-bytes", type=int, default=1000)
    parser.add_argument("--era", choices=["legacy", "modern"], default="legacy")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    figures = measure(options.rounds, options.calls, options.answer_bytes, options.era)
    if options.json:
        print(json.dumps(figures, indent=2))
        return
    names = [name for name in figures if name != "ratios"]
    print(f"{'':24}" + "".join(f"{name:>18}" for name in names))
    for row in figures[names[0]]:
        print(f"{row:24}" + "".join(f"{figures[name][row]:18.2f}" for name in names))
    for name, times in figures["ratios"].items():
        print(f"callslip answers {times:.2f} times as many calls as {name}")


if __name__ == "__main__":
    main()
