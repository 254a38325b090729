"""What the programs share: upstreams, homes with stored tools, medians and tables."""

import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import anyio

from benchmarks.raw_client import RawClient
from server.app import open_service
from server.settings import Settings
from storage.tools import ToolChange

CALLSLIP = [sys.executable, "-m", "server"]

#: The input of `numbered_tool`.
NUMBERED_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "query": {"type": "string", "description": "What to look for"},
        "limit": {"type": "integer", "minimum": 1, "default": 20},
    },
    "required": ["query"],
}
#: After the first answers a server readies what the first call needs; it is idle after this.
SETTLE_SECONDS = 2.0
_TOOLS_IN_A_COMMIT = 1_000

T = TypeVar("T")


@contextmanager
def upstream(size: int, shape: str = "rows") -> Generator[str]:
    """The origin of an upstream (`benchmarks.upstream`) whose documents have about `size` bytes."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.upstream", str(size), shape], stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.terminate()
        process.wait()


def get_items(url: str) -> dict[str, Any]:
    """The tool of one request."""
    return {
        "id": "get_items",
        "instruction": "Items",
        "inputSchema": {"type": "object"},
        "steps": [{"id": "items", "config": {"url": url}}],
    }


def numbered_tool(number: int) -> dict[str, Any]:
    """One of many tools, with a schema as tools have it."""
    return {
        **get_items(f"http://127.0.0.1/items/{number}?q=<<query>>&n=<<limit>>"),
        "id": f"get_items_{number}",
        "inputSchema": NUMBERED_SCHEMA,
    }


@contextmanager
def home(*tools: Mapping[str, Any]) -> Generator[Path]:
    """A home in which these tools are stored, removed afterwards."""
    path = Path(tempfile.mkdtemp(prefix="callslip-bench-"))
    try:
        anyio.run(_store, path, tools)
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


async def _store(path: Path, tools: Sequence[Mapping[str, Any]]) -> None:
    async with open_service(Settings(home=path)) as service:
        for first in range(0, len(tools), _TOOLS_IN_A_COMMIT):
            some = tools[first : first + _TOOLS_IN_A_COMMIT]
            changes: list[ToolChange] = []
            for checked in await service.tools.check_all([dict(tool) for tool in some]):
                if checked.definition is None:
                    raise RuntimeError(f"the tool is refused: {checked.problems}")
                changes.append(ToolChange(checked.definition["id"], None, checked.definition))
            await service.tools.change_all(changes)


@contextmanager
def serve(path: Path, **settings: object) -> Generator[RawClient]:
    """A client of `callslip serve` over a home."""
    environment = {f"CALLSLIP_{name.upper()}": str(value) for name, value in settings.items()}
    client = RawClient([*CALLSLIP, "serve"], "legacy", {**environment, "CALLSLIP_HOME": str(path)})
    try:
        yield client
    finally:
        with suppress(OSError, subprocess.TimeoutExpired):
            client.close()


def median(values: Iterable[float]) -> float:
    return statistics.median(values)


def ratio(over: Sequence[float], under: Sequence[float]) -> float:
    """The median of the ratios, round by round."""
    return median(a / b for a, b in zip(over, under, strict=True))


def rotated(values: Sequence[T], by: int) -> list[T]:
    """Another order each round, so that nobody always comes first."""
    by %= len(values)
    return [*values[by:], *values[:by]]


def show(part: str, rows: Mapping[str, Mapping[str, float]], *, as_json: bool) -> None:
    """A table with a line a row; or one line of JSON to keep, with when and where it was made."""
    if as_json:
        kept = {
            "part": part,
            "measuredAt": datetime.now(UTC).isoformat(timespec="seconds"),
            "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors",
            "python": platform.python_version(),
            "rows": {
                name: {column: _rounded(value) for column, value in row.items()}
                for name, row in rows.items()
            },
        }
        print(json.dumps(kept, ensure_ascii=False))
        return
    columns = list(dict.fromkeys(name for row in rows.values() for name in row))
    width = max(len(name) for name in rows) + 2
    widths = [max(len(name) + 2, 12) for name in columns]
    heads = zip(columns, widths, strict=True)
    print(" " * width + "".join(f"{name:>{size}}" for name, size in heads))
    for name, row in rows.items():
        cells = (
            f"{row[column]:>{size}.{_decimals(row[column])}f}" if column in row else " " * size
            for column, size in zip(columns, widths, strict=True)
        )
        print(f"{name:{width}}" + "".join(cells))


def _rounded(value: float) -> float:
    """To five digits: no figure here is worth more."""
    return float(f"{value:.5g}")


def _decimals(value: float) -> int:
    return 0 if abs(value) >= 1000 else 1 if abs(value) >= 100 else 2 if abs(value) >= 1 else 4
