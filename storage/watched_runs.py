"""Running runs that another process watches: their owner notes each step as it begins.

The steps of a run are recorded when it ends. Noting them before costs a commit each, so that is
done only for runs that somebody has asked for.
"""

import sqlite3
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import cast

from storage.database import Database
from tools.json_text import JsonObject, decode_json, encode_json_text

__all__ = ["RunSight", "WatchedRuns", "forget_watched"]


@dataclass(frozen=True)
class RunSight:
    """What other processes see of a run; `steps` is JSON, None until its owner has noted some."""

    status: str
    is_watched: bool
    steps: str | None


class WatchedRuns:
    """The watched runs of a home. A watch ends with its run."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def watch(self, run_ids: Collection[str]) -> None:
        """Ask the owners of running runs to note their steps; of others there is nothing more."""
        await self._database.write(
            lambda connection: connection.executemany(
                "INSERT OR IGNORE INTO watched_runs (run_id) "
                "SELECT run_id FROM runs WHERE run_id = ? AND status = 'running'",
                [(run_id,) for run_id in run_ids],
            )
        )

    async def watched(self) -> frozenset[str]:
        """The ids of all watched runs."""
        return await self._database.read(
            lambda connection: frozenset(
                row[0] for row in connection.execute("SELECT run_id FROM watched_runs")
            )
        )

    async def note(self, run_id: str, steps: Sequence[JsonObject]) -> None:
        """Keep what the steps of a watched run have done; one that has ended is left alone."""
        text = encode_json_text(list(steps))
        await self._database.write(
            lambda connection: connection.execute(
                "UPDATE watched_runs SET steps = ? WHERE run_id = ?", (text, run_id)
            )
        )

    async def noted(self, run_id: str) -> list[JsonObject]:
        """The steps of a running run that its owner has noted."""
        sight = await self.sight(run_id)
        if sight is None or sight.steps is None:
            return []
        return cast("list[JsonObject]", decode_json(sight.steps.encode()))

    async def sight(self, run_id: str) -> RunSight | None:
        """What there is to see of a run; None when there is no such run."""
        return await self._database.read(lambda connection: _sight(connection, run_id))


def forget_watched(connection: sqlite3.Connection, run_id: str) -> None:
    """End the watch over a run; one that is not watched is fine."""
    connection.execute("DELETE FROM watched_runs WHERE run_id = ?", (run_id,))


def _sight(connection: sqlite3.Connection, run_id: str) -> RunSight | None:
    row = connection.execute(
        "SELECT status, watched_runs.run_id IS NOT NULL, steps FROM runs "
        "LEFT JOIN watched_runs USING (run_id) WHERE runs.run_id = ?",
        (run_id,),
    ).fetchone()
    if row is None:
        return None
    status, is_watched, steps = row
    return RunSight(status, bool(is_watched), steps)
