"""From spawn to the first answer of `tools/list`, with 1 and 1,000 stored tools.

python -m benchmarks.cold_start [--runs 6] [--era legacy] [--json]

The bare SDK server beside it has one tool. Both start with compiled bytecode, which the first run
of each writes aside. Memory is read when the server has been idle a moment.
"""

import argparse
import sys
import tempfile
import time
from contextlib import ExitStack
from typing import Any

from benchmarks.harness import (
    CALLSLIP,
    get_items,
    home,
    median,
    ratio,
    rotated,
    show,
)
from benchmarks.raw_client import Era, RawClient

BARE = "bare SDK server"
IDLE_SECONDS = 0.4


def measure(runs: int, many: int, era: Era) -> dict[str, dict[str, float]]:
    with ExitStack() as stack:
        bytecode = stack.enter_context(tempfile.TemporaryDirectory(prefix="callslip-bench-"))
        as_installed = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": bytecode}
        commands: dict[str, tuple[list[str], dict[str, str]]] = {
            BARE: (
                [sys.executable, "-m", "benchmarks.peers.bare_sdk", "http://127.0.0.1/"],
                as_installed,
            )
        }
        for count in (1, many):
            path = stack.enter_context(home(*(_tool(number) for number in range(count))))
            settings = {**as_installed, "CALLSLIP_HOME": str(path)}
            commands[f"callslip, {count:,} tools"] = ([*CALLSLIP, "serve"], settings)
        started: dict[str, list[float]] = {name: [] for name in commands}
        cpu: dict[str, list[float]] = {name: [] for name in commands}
        memory: dict[str, list[float]] = {name: [] for name in commands}
        # The first run of each writes bytecode and warms the disk's cache.
        for index in range(runs + 1):
            for name in rotated(list(commands), index):
                command, environment = commands[name]
                client = RawClient(command, era, environment)
                used = client.cpu_seconds() * 1000
                time.sleep(IDLE_SECONDS)
                megabytes = client.memory_megabytes()
                client.close()
                if index:
                    started[name].append(client.started_ms)
                    cpu[name].append(used)
                    memory[name].append(megabytes)
    return {
        name: {
            "median ms": median(started[name]),
            "best ms": min(started[name]),
            "CPU ms": median(cpu[name]),
            "of the bare server": ratio(started[name], started[BARE]),
            "memory MB": median(memory[name]),
        }
        for name in commands
    }


def _tool(number: int) -> dict[str, Any]:
    properties = {
        "query": {"type": "string", "description": "What to look for"},
        "limit": {"type": "integer", "minimum": 1, "default": 20},
    }
    return {
        **get_items(f"http://127.0.0.1/items/{number}?q=<<query>>&n=<<limit>>"),
        "id": f"get_items_{number}",
        "inputSchema": {"type": "object", "properties": properties, "required": ["query"]},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="from spawn to the first answer")
    parser.add_argument("--runs", type=int, default=6)
    parser.add_argument("--tools", type=int, default=1000)
    parser.add_argument("--era", choices=["legacy", "modern"], default="legacy")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    show(measure(options.runs, options.tools, options.era), as_json=options.json)


if __name__ == "__main__":
    main()
