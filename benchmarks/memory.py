"""Memory of idle servers with 1,000 tools, and with one.

python -m benchmarks.memory [--rounds 3] [--tools 1000] [--json]

Each is read two seconds after an answer, when what is made ready in the background is there: after
the client has listed tools, resources and prompts, as hosts do, and again after one that subscribed
to a resource, which is the SDK's. Workers count; what processes share is counted in each.
"""

import argparse
import time
from contextlib import ExitStack
from dataclasses import dataclass, field

from benchmarks.harness import (
    CALLSLIP,
    SETTLE_SECONDS,
    home,
    median,
    numbered_tool,
    ratio,
    rotated,
    show,
)
from benchmarks.peers import BARE, bare_command, peer_commands
from benchmarks.raw_client import RawClient


@dataclass
class Megabytes:
    """A round each."""

    listed: list[float] = field(default_factory=list[float])
    workers: list[float] = field(default_factory=list[float])
    with_sdk: list[float] = field(default_factory=list[float])


def measure(rounds: int, many: int) -> dict[str, dict[str, float]]:
    with ExitStack() as stack:
        commands: dict[str, tuple[list[str], dict[str, str]]] = {
            name: (command, {})
            for name, command in peer_commands("http://127.0.0.1/", "legacy").items()
        }
        commands[f"{BARE}, {many:,} tools"] = (bare_command("http://127.0.0.1/", many), {})
        ours: list[str] = []
        for count in (1, many):
            path = stack.enter_context(home(*map(numbered_tool, range(count))))
            ours.append(f"callslip, {count:,} tools")
            commands[ours[-1]] = ([*CALLSLIP, "serve"], {"CALLSLIP_HOME": str(path)})
        found = {name: Megabytes() for name in commands}
        for index in range(rounds):
            for name in rotated(list(commands), index):
                _read(found[name], *commands[name], is_ours=name in ours)
    bare = found[BARE].listed
    figures: dict[str, dict[str, float]] = {}
    for name, megabytes in found.items():
        figures[name] = {
            "all listed, MB": median(megabytes.listed),
            "of it workers, MB": median(megabytes.workers),
            "of the bare server": ratio(megabytes.listed, bare),
        }
        if megabytes.with_sdk:
            figures[name] |= {
                "SDK in use, MB": median(megabytes.with_sdk),
                "of the bare server too": ratio(megabytes.with_sdk, bare),
            }
    return figures


def _read(
    found: Megabytes, command: list[str], environment: dict[str, str], *, is_ours: bool
) -> None:
    client = RawClient(command, "legacy", environment)
    client.list_tools()
    if is_ours:
        client.request("resources/list", {})
        client.request("prompts/list", {})
    time.sleep(SETTLE_SECONDS)
    found.listed.append(client.memory_megabytes())
    found.workers.append(client.worker_megabytes())
    if is_ours:
        client.request("resources/subscribe", {"uri": "callslip://runs"})
        time.sleep(SETTLE_SECONDS)
        found.with_sdk.append(client.memory_megabytes())
    client.close()


def main() -> None:
    parser = argparse.ArgumentParser(description="memory of idle servers")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tools", type=int, default=1000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    show("memory", measure(options.rounds, options.tools), as_json=options.json)


if __name__ == "__main__":
    main()
