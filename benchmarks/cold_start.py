"""From spawn to the first answer of `tools/list`, with 1 and 1,000 stored tools.

python -m benchmarks.cold_start [--rounds 6] [--tools 1000] [--era legacy] [--json]

The bare SDK server beside them has one tool. All start with compiled bytecode, which the first
start of each writes aside.
"""

import argparse
import tempfile
import time
from contextlib import ExitStack

from benchmarks.harness import CALLSLIP, home, median, numbered_tool, ratio, rotated, show
from benchmarks.peers import BARE, peer_commands
from benchmarks.raw_client import Era, RawClient


def measure(rounds: int, many: int, era: Era) -> dict[str, dict[str, float]]:
    with ExitStack() as stack:
        bytecode = stack.enter_context(tempfile.TemporaryDirectory(prefix="callslip-bench-"))
        as_installed = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": bytecode}
        commands: dict[str, tuple[list[str], dict[str, str]]] = {
            name: (command, as_installed)
            for name, command in peer_commands("http://127.0.0.1/", era).items()
        }
        for count in (1, many):
            path = stack.enter_context(home(*map(numbered_tool, range(count))))
            settings = {**as_installed, "CALLSLIP_HOME": str(path)}
            commands[f"callslip, {count:,} tools"] = ([*CALLSLIP, "serve"], settings)
        started_ms: dict[str, list[float]] = {name: [] for name in commands}
        cpu_ms: dict[str, list[float]] = {name: [] for name in commands}
        # The first start of each writes bytecode and warms the disk's cache.
        for index in range(rounds + 1):
            for name in rotated(list(commands), index):
                command, environment = commands[name]
                client = RawClient(command, era, environment)
                client.list_tools()
                took_ms = (time.perf_counter() - client.spawned_at) * 1000
                if index:
                    started_ms[name].append(took_ms)
                    cpu_ms[name].append(client.cpu_seconds() * 1000)
                client.close()
    return {
        name: {
            "median ms": median(started_ms[name]),
            "best ms": min(started_ms[name]),
            "CPU ms": median(cpu_ms[name]),
            "of the bare server": ratio(started_ms[name], started_ms[BARE]),
        }
        for name in commands
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="from spawn to the first answer")
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--tools", type=int, default=1000)
    parser.add_argument("--era", choices=["legacy", "modern"], default="legacy")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    show("cold_start", measure(options.rounds, options.tools, options.era), as_json=options.json)


if __name__ == "__main__":
    main()
