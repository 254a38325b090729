"""Counts over the history that cost no look at a run."""

import sqlite3
from dataclasses import dataclass

from storage.database import Database

__all__ = ["Counters", "RunCount"]


@dataclass(frozen=True)
class RunCount:
    """How many runs of a tool there are in a state, of those started this way."""

    tool_id: str
    status: str
    request_source: str
    runs: int


class Counters:
    """The counters of a home."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def runs(self) -> list[RunCount]:
        """The runs in the history by tool, status and source."""
        return await self._database.read(_runs)

    async def waiting(self) -> int:
        """Accepted runs that have not begun."""
        return await self._database.read(
            lambda connection: connection.execute("SELECT count(*) FROM run_queue").fetchone()[0]
        )


def _runs(connection: sqlite3.Connection) -> list[RunCount]:
    rows = connection.execute(
        "SELECT tool_id, status, request_source, runs FROM run_counts WHERE runs > 0 "
        "ORDER BY tool_id, status, request_source"
    )
    return [RunCount(*row) for row in rows]
