"""What scripts and names cost, through the engine's session.

python -m benchmarks.scripts [--rounds 7] [--json]
"""

import argparse
import time
from collections.abc import Awaitable, Callable
from typing import Any

import anyio

from benchmarks.harness import median, rotated, show
from tools.json_text import encode_json
from tools.scope import Scope
from tools.scripts import Script, ScriptEngine, ScriptForm
from tools.templates import Resolver, render_text

PATH = Script("(s) => s.order.customer.id", ScriptForm.TRANSFORM)
CALL = Script("(s) => s.order.lines.length * 2 + 1", ScriptForm.TRANSFORM)
MAP = Script(
    "(s) => s.rows.map((row) => ({ ...row, double: row.price * 2 }))", ScriptForm.TRANSFORM
)
STATE: dict[str, Any] = {
    "query": "garden chairs",
    "order": {"customer": {"id": 4711}, "lines": [{"sku": f"A{i}", "n": i} for i in range(20)]},
}
MAP_BYTES = 5_000_000


async def measure(rounds: int) -> dict[str, dict[str, float]]:
    rows: list[dict[str, Any]] = []
    large: dict[str, Any] = {"rows": rows}
    for number in range(MAP_BYTES // 49):
        rows.append({"id": number, "name": f"item {number}", "price": number * 1.25})
    async with ScriptEngine() as engine, engine.session() as session:
        resolver = Resolver(Scope(STATE), session, "step")

        async def path() -> None:
            await session.evaluate(PATH, STATE)

        async def name() -> None:
            await render_text("<<query>>", resolver, "url")

        async def dotted_name() -> None:
            await render_text("<<order.customer.id>>", resolver, "url")

        # No worker runs up to here: these start none.
        for native in (path, name, dotted_name):
            await native()
        workers_before = len(engine.worker_pids)

        async def call() -> None:
            await session.evaluate(CALL, STATE)

        async def fresh() -> None:
            async with engine.session() as one:
                await one.evaluate(CALL, STATE)

        async def idle() -> None:
            # The worker makes the next context after each answer, and has it by then.
            await anyio.sleep(0.005)

        async def large_map() -> None:
            assert len((await session.evaluate(MAP, large)).value) == len(rows)

        cases: dict[str, tuple[Callable[[], Awaitable[None]], int]] = {
            "property path": (path, 20_000),
            "<<query>>": (name, 20_000),
            "<<order.customer.id>>": (dotted_name, 20_000),
            "small call, 1 kB": (call, 500),
            "… in a fresh session, one after the other": (fresh, 50),
            "… in a fresh session, now and then": (fresh, 50),
            f"map of {len(encode_json(large)) / 1e6:.1f} MB": (large_map, 1),
        }
        await call()
        micros: dict[str, list[float]] = {label: [] for label in cases}
        for index in range(rounds):
            for label in rotated(list(cases), index):
                work, count = cases[label]
                pause = idle if label.endswith("now and then") else None
                micros[label].append(await _once(work, count, pause))
        figures: dict[str, dict[str, float]] = {
            label: {"median us": median(values), "best us": min(values)}
            for label, values in micros.items()
        }
    figures["workers started by paths and names"] = {"median us": workers_before}
    return figures


async def _once(
    work: Callable[[], Awaitable[None]], count: int, pause: Callable[[], Awaitable[None]] | None
) -> float:
    """Microseconds a call, without the pauses before each."""
    paused = 0.0
    started = time.perf_counter()
    for _ in range(count):
        if pause is not None:
            before = time.perf_counter()
            await pause()
            paused += time.perf_counter() - before
        await work()
    return (time.perf_counter() - started - paused) / count * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description="the cost of scripts and names")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    show("scripts", anyio.run(measure, options.rounds), as_json=options.json)


if __name__ == "__main__":
    main()
