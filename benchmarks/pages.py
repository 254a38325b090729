"""Pages of 500 rows merged: the time a row must not grow with the number of pages.

python -m benchmarks.pages [--rounds 5] [--json]

A stop condition that reads `pageInfo.mergedResult` is handed everything read so far with each page;
that one is quadratic, as the documents say.
"""

import argparse
from typing import Any

from benchmarks.harness import home, median, rotated, serve, show, upstream
from benchmarks.upstream import PAGE_ROWS

PAGES = (25, 50, 100, 200)
STOP_CONDITIONS = {
    "plain": None,
    "stop": f"(response) => response.data.rows.length < {PAGE_ROWS}",
    "merged": f"(response, pageInfo) => pageInfo.mergedResult.rows.length % {PAGE_ROWS} !== 0",
}
#: Pages of the quadratic one.
MERGED_PAGES = (25, 50, 100)


def measure(rounds: int) -> dict[str, dict[str, float]]:
    cases = [
        (kind, pages)
        for kind in STOP_CONDITIONS
        for pages in (MERGED_PAGES if kind == "merged" else PAGES)
    ]
    micros: dict[tuple[str, int], list[float]] = {case: [] for case in cases}
    cpu: dict[tuple[str, int], list[float]] = {case: [] for case in cases}
    with upstream(100) as origin:
        tools = [_tool(origin, kind, condition) for kind, condition in STOP_CONDITIONS.items()]
        with home(*tools) as path, serve(path, soft_deadline_seconds=600) as client:
            for kind in STOP_CONDITIONS:
                client.call(kind, 1, 1, {"of": PAGES[0]})
            for index in range(rounds):
                for kind, pages in rotated(cases, index * 3):
                    series = client.call(kind, 1, 1, {"of": pages})
                    rows = pages * PAGE_ROWS - 1
                    micros[kind, pages].append(series.seconds * 1e6 / rows)
                    cpu[kind, pages].append(series.cpu_ms_a_call * 1e3 / rows)
    figures: dict[str, dict[str, float]] = {}
    for kind, pages in cases:
        label = {"plain": "no stopCondition", "stop": "stopCondition"}.get(kind, "mergedResult")
        a_row = median(micros[kind, pages])
        figures[f"{label}, {pages} pages"] = {
            "seconds": a_row * pages * PAGE_ROWS / 1e6,
            "us a row": a_row,
            "CPU us a row": median(cpu[kind, pages]),
            "of 25 pages": a_row / median(micros[kind, PAGES[0]]),
        }
    return figures


def _tool(origin: str, kind: str, stop_condition: str | None) -> dict[str, Any]:
    pagination = {"type": "pageBased", "pageSize": PAGE_ROWS, "dataPath": "rows"}
    if stop_condition:
        pagination["stopCondition"] = stop_condition
    query = {"page": "<<page>>", "of": "<<of>>"}
    return {
        "id": kind,
        "instruction": "All pages",
        "inputSchema": {"type": "object", "properties": {"of": {"type": "integer"}}},
        "steps": [
            {
                "id": "rows",
                "config": {
                    "url": f"{origin}/pages",
                    "queryParams": query,
                    "pagination": pagination,
                },
            }
        ],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="many pages merged")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    show("pages", measure(options.rounds), as_json=options.json)


if __name__ == "__main__":
    main()
