"""Servers to be measured beside ours, and how those that are installed are started."""

import shutil
import sys
from pathlib import Path

from benchmarks.raw_client import Era

__all__ = [
    "BARE",
    "TYPESCRIPT",
    "bare_command",
    "bare_starlette_command",
    "floor_commands",
    "peer_commands",
]

BARE = "bare SDK server"
FASTMCP = "FastMCP, OpenAPI"
TYPESCRIPT = "TypeScript SDK"
_HERE = Path(__file__).parent
#: Where `scripts/bench` puts what is no part of our own environment.
_BENCH = _HERE.parents[1] / ".bench"


def bare_command(url: str, tools: int = 1) -> list[str]:
    """The bare SDK server with this many tools."""
    return [sys.executable, str(_HERE / "bare_sdk.py"), url, str(tools)]


def bare_starlette_command(url: str) -> list[str]:
    """The bare Starlette app."""
    return [sys.executable, str(_HERE / "bare_starlette.py"), url]


def floor_commands(url: str) -> dict[str, list[str]]:
    """What records with one commit a call, or with two as ours, and does nothing else."""
    script = str(_HERE / "floor.py")
    return {
        "floor, 1 commit": [sys.executable, script, url, "1"],
        "floor, 2 commits": [sys.executable, script, url, "2"],
    }


def peer_commands(url: str, era: Era) -> dict[str, list[str]]:
    """The command of each peer that can be started here and speaks the era, by its name."""
    commands = {BARE: bare_command(url)}
    if era == "modern":
        return commands
    for folder in ("bin", "Scripts"):
        programs = _BENCH / "venv" / folder
        if shutil.which("fastmcp", path=str(programs)):
            commands[FASTMCP] = [
                str(programs / "python"),
                str(_HERE / "fastmcp_openapi.py"),
                url,
            ]
    node = shutil.which("node")
    script = _BENCH / "typescript.mjs"
    if node is not None and script.exists():
        commands[TYPESCRIPT] = [node, str(script), url]
    return commands
