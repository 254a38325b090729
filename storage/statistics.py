"""Figures over the history: counts from the counters, durations from the newest runs."""

import sqlite3
from dataclasses import dataclass
from statistics import quantiles

from tools.run import RunStatus

__all__ = ["SAMPLED_RUNS", "ToolStatistics", "tool_statistics"]

#: Durations are those of the newest runs of a tool, up to this many; a replay waits for nobody.
SAMPLED_RUNS = 10_000


@dataclass(frozen=True)
class ToolStatistics:
    """A tool's runs: how many by status, and how long they took."""

    tool_id: str
    running: int
    success: int
    failed: int
    aborted: int
    p50_ms: int | None
    p95_ms: int | None

    @property
    def runs(self) -> int:
        return self.running + self.success + self.failed + self.aborted

    @property
    def success_rate(self) -> float | None:
        """Of the runs that have ended, from 0 to 1."""
        ended = self.runs - self.running
        return self.success / ended if ended else None


def tool_statistics(connection: sqlite3.Connection, tool_id: str | None) -> list[ToolStatistics]:
    """The statistics of each tool, or of one, the most used first."""
    counts: dict[str, dict[str, int]] = {}
    for tool, status, runs in connection.execute(
        "SELECT tool_id, status, sum(runs) FROM run_counts "
        "WHERE ? IS NULL OR tool_id = ? GROUP BY tool_id, status HAVING sum(runs) > 0",
        (tool_id, tool_id),
    ):
        counts.setdefault(tool, {})[status] = runs
    found = [_statistics(connection, tool, by_status) for tool, by_status in counts.items()]
    return sorted(found, key=lambda one: (-one.runs, one.tool_id))


def _statistics(
    connection: sqlite3.Connection, tool_id: str, by_status: dict[str, int]
) -> ToolStatistics:
    durations = [
        max(0, row[0])
        for row in connection.execute(
            """SELECT completed_at - started_at FROM (
                 SELECT completed_at, started_at FROM runs
                 WHERE tool_id = ? AND source_kind IS NOT 'replay' ORDER BY seq DESC LIMIT ?)
               WHERE completed_at IS NOT NULL""",
            (tool_id, SAMPLED_RUNS),
        )
    ]
    p50, p95 = _percentiles(durations)
    return ToolStatistics(
        tool_id,
        *(by_status.get(status, 0) for status in RunStatus),
        p50_ms=p50,
        p95_ms=p95,
    )


def _percentiles(durations: list[int]) -> tuple[int | None, int | None]:
    if len(durations) < 2:
        only = durations[0] if durations else None
        return only, only
    cuts = quantiles(durations, n=20, method="inclusive")
    return round(cuts[9]), round(cuts[18])
