"""What the programs share: upstreams, homes with stored tools, medians and tables."""

import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import anyio

from benchmarks.raw_client import RawClient
from server.app import open_service
from server.settings import Settings

CALLSLIP = [sys.executable, "-c", "from server.cli import main; main()"]

T = TypeVar("T")


@contextmanager
def upstream(size: int) -> Generator[str]:
    """The origin of an upstream (`benchmarks.upstream`) whose documents have about `size` bytes."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.upstream", str(size)], stdout=subprocess.PIPE
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
        for tool in tools:
            checked, outcome = await service.tools.put(dict(tool))
            if outcome is None:
                raise RuntimeError(f"the tool is refused: {checked.problems}")


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


def show(rows: Mapping[str, Mapping[str, float]], *, as_json: bool) -> None:
    """A table with a line a row, or JSON."""
    if as_json:
        print(json.dumps(rows, indent=2))
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


def _decimals(value: float) -> int:
    return 0 if abs(value) >= 1000 else 1 if abs(value) >= 100 else 2 if abs(value) >= 1 else 4
