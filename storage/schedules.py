"""Schedules: which tool runs when."""

import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from storage.database import Database
from tools.json_text import JsonObject, decode_json, encode_json_text
from tools.run import now_ms

__all__ = ["DueTick", "Schedule", "ScheduleStore"]

_COLUMNS = (
    "schedule_id, tool_id, cron, time_zone, inputs, enabled, next_at, last_at, last_run_id, "
    "created_at, updated_at"
)


@dataclass(frozen=True)
class Schedule:
    """A tool at the times of a cron expression; times in milliseconds since the epoch."""

    schedule_id: str
    tool_id: str
    cron: str
    time_zone: str
    inputs: JsonObject
    enabled: bool = True
    #: The next time it is due; None when its expression has none, or it is disabled.
    next_at: int | None = None
    last_at: int | None = None
    last_run_id: str | None = None
    created_at: int = 0
    updated_at: int = 0


@dataclass(frozen=True)
class DueTick:
    """A schedule that is due: the time it was due at; missed times before it are one with it."""

    schedule: Schedule
    due_at: int


class ScheduleStore:
    """The schedules of a home."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, schedule: Schedule) -> Schedule:
        """Add a schedule, or put it in place of the one of its id."""
        now = now_ms()
        schedule = replace(schedule, created_at=schedule.created_at or now, updated_at=now)

        def work(connection: sqlite3.Connection) -> None:
            connection.execute(
                "INSERT OR REPLACE INTO schedules VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    schedule.schedule_id,
                    schedule.tool_id,
                    schedule.cron,
                    schedule.time_zone,
                    encode_json_text(schedule.inputs),
                    int(schedule.enabled),
                    schedule.next_at,
                    schedule.last_at,
                    schedule.last_run_id,
                    schedule.created_at,
                    schedule.updated_at,
                ),
            )

        await self._database.write(work)
        return schedule

    async def get(self, schedule_id: str) -> Schedule | None:
        found = await self._database.read(
            lambda connection: _select(connection, "WHERE schedule_id = ?", schedule_id)
        )
        return found[0] if found else None

    async def list(self) -> list[Schedule]:
        """All schedules, by id."""
        return await self._database.read(
            lambda connection: _select(connection, "ORDER BY schedule_id")
        )

    async def delete(self, schedule_id: str) -> bool:
        """Remove a schedule. False when there was none."""
        return await self._database.write(
            lambda connection: (
                connection.execute(
                    "DELETE FROM schedules WHERE schedule_id = ?", (schedule_id,)
                ).rowcount
                > 0
            )
        )

    async def next_due(self) -> int | None:
        """When the next schedule is due."""
        return await self._database.read(
            lambda connection: connection.execute(
                "SELECT min(next_at) FROM schedules WHERE enabled"
            ).fetchone()[0]
        )

    async def claim_due(
        self, next_after: Callable[[Schedule, int], int | None]
    ) -> Sequence[DueTick]:
        """The schedules that are due, each moved on to its next time: nobody else gets them.

        `next_after` gives the time after a moment at which a schedule is due again.
        """

        def work(connection: sqlite3.Connection) -> Sequence[DueTick]:
            now = now_ms()
            due = _select(connection, "WHERE enabled AND next_at <= ?", now)
            for one in due:
                connection.execute(
                    "UPDATE schedules SET next_at = ?, last_at = ? WHERE schedule_id = ?",
                    (next_after(one, now), one.next_at, one.schedule_id),
                )
            return [DueTick(one, one.next_at or now) for one in due]

        return await self._database.write(work)

    async def started(self, schedule_id: str, run_id: str) -> None:
        """Remember the run that a schedule started."""
        await self._database.write(
            lambda connection: connection.execute(
                "UPDATE schedules SET last_run_id = ? WHERE schedule_id = ?", (run_id, schedule_id)
            )
        )


def _select(connection: sqlite3.Connection, clause: str, *parameters: Any) -> list[Schedule]:
    statement = f"SELECT {_COLUMNS} FROM schedules {clause}"  # noqa: S608 - constants
    return [_schedule(row) for row in connection.execute(statement, parameters)]


def _schedule(row: Sequence[Any]) -> Schedule:
    schedule_id, tool_id, cron, time_zone, inputs, enabled, *times = row
    decoded = cast("JsonObject", decode_json(inputs.encode()))
    return Schedule(schedule_id, tool_id, cron, time_zone, decoded, bool(enabled), *times)
