"""The history over MCP: lists, pages, records and totals, with few runs and with many.

python -m benchmarks.history [--runs 1000000] [--home DIR] [--rounds 30] [--json]

Each home is filled by `benchmarks.fill_history`; DIR keeps the filled one for the next time. The
server is `callslip serve` on stdio, the client a raw one. What a call costs is measured on both.
"""

import argparse
import json
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio

from benchmarks.fill_history import fill
from benchmarks.harness import SETTLE_SECONDS, get_items, median, serve, show, upstream
from benchmarks.raw_client import RawClient
from server.app import open_service
from server.settings import Settings

FEW = 1_000

#: What is asked for, as parameters of `callslip://runs`.
LISTS = {
    "newest 50": "",
    "of a tool": "?toolId=tool_7",
    "of a status": "?status=failed",
    "of a source": "?requestSources=webhook",
    "of two sources": "?requestSources=webhook,cli",
    "tool and status": "?toolId=tool_7&status=failed",
    "tool and source": "?toolId=tool_7&requestSources=cli",
    "status and source": "?status=aborted&requestSources=cli",
    "all three": "?toolId=tool_7&status=failed&requestSources=mcp",
    "running": "?status=running",
    "since a moment": "?startedAfter=2026-11-01",
    "a rare word": "?search=73421",
    "two words": "?search=whale+harbour",
    "a common word": "?search=whale",
}


def measure(homes: dict[str, Path], rounds: int, url: str) -> dict[str, dict[str, float]]:
    rows: dict[str, dict[str, float]] = {}
    for name, path in homes.items():
        anyio.run(_point_at, path, url)
        with serve(path, retention_days=0, retention_gigabytes=0) as client:
            client.request("resources/list", {})
            time.sleep(SETTLE_SECONDS)
            for what, ask in _questions(client).items():
                rows.setdefault(what, {})[f"{name}, ms"] = _median_ms(ask, rounds)
            client.call("get_items", 100, 1)
            series = [client.call("get_items", 200, 1) for _ in range(5)]
            rows.setdefault("a call", {})[f"{name}, ms"] = median(
                one.percentile_ms(0.5) for one in series
            )
    return rows


def _questions(client: RawClient) -> dict[str, Callable[[], Any]]:
    def read(uri: str) -> Any:
        answer = client.request("resources/read", {"uri": uri})["result"]["contents"][0]
        return json.loads(answer["text"])

    def page(parameters: str) -> Callable[[], Any]:
        return lambda: client.request("resources/read", {"uri": f"callslip://runs{parameters}"})

    total = read("callslip://runs?limit=1")["total"]
    middle = f"run-{total // 2}"
    questions = {what: page(parameters) for what, parameters in LISTS.items()}
    deep = _cursor_after(client, 20)
    return questions | {
        "page 20 by cursor": lambda: client.request("resources/list", {"cursor": deep}),
        "one record": lambda: client.request(
            "resources/read", {"uri": f"callslip://runs/{middle}"}
        ),
        "a part of a result": lambda: client.request(
            "tools/call",
            {"name": "read_result", "arguments": {"runId": middle, "path": "$.items[0]"}},
        ),
        "list_runs": lambda: client.request(
            "tools/call", {"name": "list_runs", "arguments": {"status": "failed"}}
        ),
    }


def _cursor_after(client: RawClient, pages: int) -> str:
    cursor = ""
    for _ in range(pages):
        parameters = {"cursor": cursor} if cursor else {}
        cursor = client.request("resources/list", parameters)["result"].get("nextCursor", cursor)
    return cursor


def _median_ms(ask: Callable[[], Any], rounds: int) -> float:
    ask()
    times: list[float] = []
    for _ in range(rounds):
        started = time.perf_counter()
        ask()
        times.append((time.perf_counter() - started) * 1000)
    return median(times)


async def _point_at(path: Path, url: str) -> None:
    """The tool that is called asks an upstream that is there now."""
    async with open_service(Settings(home=path, retention_days=0, retention_gigabytes=0)) as home:
        await home.tools.put(get_items(url))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--runs", type=int, default=1_000_000)
    parser.add_argument("--home", type=Path, help="a home that is filled, or will be")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    scratch = Path(tempfile.mkdtemp(prefix="callslip-bench-"))
    try:
        many = given.home or scratch / "many"
        homes = {f"{FEW:,}": scratch / "few", f"{given.runs:,}": many}
        with upstream(1000) as origin:
            for path, runs in zip(homes.values(), (FEW, given.runs), strict=True):
                if not (path / "callslip.db").exists():
                    anyio.run(fill, path, runs, origin)
            figures = measure(homes, given.rounds, f"{origin}/items")
        figures["database, MB"] = {
            f"{name}, ms": (path / "callslip.db").stat().st_size / 1e6
            for name, path in homes.items()
        }
        show("history", figures, as_json=given.json)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


if __name__ == "__main__":
    main()
