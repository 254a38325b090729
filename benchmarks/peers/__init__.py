"""Servers to be measured beside ours, and how those that are installed are started."""

import shutil
import sys
from pathlib import Path

__all__ = ["BARE", "peer_commands"]

BARE = "bare SDK server"
_HERE = Path(__file__).parent
#: Where `scripts/bench` puts what is no part of our own environment.
_BENCH = _HERE.parents[1] / ".bench"


def peer_commands(url: str) -> dict[str, list[str]]:
    """The command of each peer that can be started here, by its name."""
    commands = {BARE: [sys.executable, "-m", "benchmarks.peers.bare_sdk", url]}
    for folder in ("bin", "Scripts"):
        python = _BENCH / "venv" / folder / "python"
        if python.exists():
            commands["FastMCP, OpenAPI"] = [str(python), str(_HERE / "fastmcp_openapi.py"), url]
    node = shutil.which("node")
    script = _BENCH / "typescript.mjs"
    if node is not None and script.exists():
        commands["TypeScript SDK"] = [node, str(script), url]
    return commands
