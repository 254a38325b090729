"""Fill a home with recorded runs, through the functions that record real ones.

python -m benchmarks.fill_history HOME [--runs 1000000] [--url http://127.0.0.1:9/]

40 tools, seven sources, one run in twenty failed, one in a hundred aborted; each has inputs, a step
with a request and its exchange, and a result that nobody else has. They are searchable afterwards.
"""

import argparse
import random
import sqlite3
import time
from pathlib import Path
from typing import Any

import anyio

from benchmarks.harness import get_items
from server.app import open_service
from server.settings import Settings
from storage.blobs import PackedDocument
from storage.run_record import NewRun
from storage.run_writes import FinishedDetails, finish_run, start_run
from tools.errors import ErrorDetail, ErrorKind
from tools.json_text import encode_json
from tools.run import (
    Cost,
    Exchange,
    RequestRecord,
    RequestSource,
    RunOutcome,
    RunStatus,
    StepRecord,
    now_ms,
)

TOOLS = 40
RUNS_IN_A_COMMIT = 2_000
_SOURCES = (RequestSource.MCP,) * 6 + tuple(RequestSource)
_WORDS = ("whale", "harbour", "lantern", "orchard", "violet", "copper", "meadow", "signal")


async def fill(home: Path, runs: int, url: str) -> None:
    """Record `runs` runs in a home, over the last 60 days."""
    settings = Settings(home=home, retention_days=0, retention_gigabytes=0)
    async with open_service(settings) as service:
        tools = [{**get_items(url), "id": f"tool_{number}"} for number in range(TOOLS)]
        for tool in (get_items(url), *tools):
            await service.tools.put(tool)
        definitions = [(await service.tools.get(tool["id"])).definition for tool in tools]
        database = service._database  # pyright: ignore[reportPrivateUsage]: as above
        began = now_ms() - 60 * 24 * 3600 * 1000
        spacing_ms = (now_ms() - began) / runs
        chooser = random.Random(1)
        for first in range(0, runs, RUNS_IN_A_COMMIT):
            numbers = range(first, min(first + RUNS_IN_A_COMMIT, runs))

            def work(connection: sqlite3.Connection, numbers: range = numbers) -> None:
                for number in numbers:
                    started_at = began + round(number * spacing_ms)
                    _record(connection, number, definitions, started_at, chooser)

            await database.write(work)
        store = service.history._runs  # pyright: ignore[reportPrivateUsage]: as above
        while await store.has_waiting():
            await store.index_waiting()


def _record(
    connection: sqlite3.Connection,
    number: int,
    definitions: list[Any],
    started_at: int,
    chooser: random.Random,
) -> None:
    inputs = {"query": f"{chooser.choice(_WORDS)} {number}", "limit": number % 50}
    new = NewRun(
        f"run-{number}",
        chooser.choice(definitions),
        1,
        inputs,
        {},
        chooser.choice(_SOURCES),
        "filled",
        started_at,
        client_name="benchmark",
        client_version="1",
    )
    seq = start_run(connection, new, PackedDocument.of(encode_json(inputs)))
    outcome = _outcome(number, inputs, started_at, chooser)
    finish_run(connection, seq, outcome, FinishedDetails.of(outcome), [])
    took = chooser.randrange(20, 400)
    connection.execute("UPDATE runs SET completed_at = ? WHERE seq = ?", (started_at + took, seq))


def _outcome(
    number: int, inputs: dict[str, Any], started_at: int, chooser: random.Random
) -> RunOutcome:
    rows = [{"id": number * 10 + n, "name": chooser.choice(_WORDS)} for n in range(5)]
    data = {"items": rows, "total": number}
    body = encode_json(data)
    exchange = Exchange(
        [("accept", "*/*")], None, 200, [("content-type", "application/json")], body
    )
    request = RequestRecord(
        "GET", f"http://upstream/{number}", 200, 30, len(body), exchange=exchange
    )
    step = StepRecord(
        "items", started_at, True, "success", {"data": data, "success": True}, has_data=True
    )
    step.completed_at, step.attempts, step.requests = started_at + 30, 1, [request]
    cost = Cost(1, 1, len(body), 0, 0.0, 1)
    if number % 20 == 7:
        detail = ErrorDetail(kind=ErrorKind.HTTP_STATUS, step_id="items")
        error = f"Step items failed: HTTP 503: no {chooser.choice(_WORDS)}"
        return RunOutcome(
            RunStatus.FAILED, inputs, error=error, error_detail=detail, steps=[step], cost=cost
        )
    if number % 100 == 9:
        detail = ErrorDetail(kind=ErrorKind.CANCELLED)
        return RunOutcome(
            RunStatus.ABORTED, inputs, error="cancelled", error_detail=detail, cost=cost
        )
    return RunOutcome(RunStatus.SUCCESS, inputs, data, body, len(body), steps=[step], cost=cost)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("home", type=Path)
    parser.add_argument("--runs", type=int, default=1_000_000)
    parser.add_argument("--url", default="http://127.0.0.1:9/")
    given = parser.parse_args()
    started = time.perf_counter()
    anyio.run(fill, given.home, given.runs, given.url)
    print(f"{given.runs:,} runs in {time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
