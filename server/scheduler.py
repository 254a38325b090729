"""Schedules: tools that run at the times of a cron expression, in a time zone."""

import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import anyio

from server.active_run import RunRequest
from server.service import (
    ArchivedToolError,
    IdempotencyConflictError,
    SecretInNameError,
    Service,
    UnknownToolError,
)
from storage.errors import StorageError
from storage.schedules import DueTick, Schedule, ScheduleStore
from tools.faults import trace_of
from tools.problems import Problem
from tools.run import RequestSource, now_ms

__all__ = ["ScheduleError", "Scheduler", "next_after", "next_time"]

_log = logging.getLogger(__name__)

#: Other processes on the home may have changed something.
_LONGEST_WAIT_SECONDS = 5.0
#: So long a tick is tried whose run cannot be recorded: its time is claimed, and comes once.
_TRIED_FOR_MS = 10 * 60 * 1000
_RETRY_SECONDS = 0.5

#: The library would take a sixth for seconds.
_FIELDS = 5


class ScheduleError(ValueError):
    """A schedule that could not run; the message says what is valid, `problems` name each place."""

    def __init__(self, message: str, problems: Sequence[Problem] = ()) -> None:
        super().__init__(message)
        self.problems = list(problems)


def next_time(cron: str, time_zone: str, after_ms: int) -> int | None:
    """When an expression is due next, in milliseconds since the epoch; None when never again.

    Raises `ScheduleError`.
    """
    from cronsim import CronSim, CronSimError

    try:
        zone = ZoneInfo(time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ScheduleError(
            f"timeZone is {time_zone[:60]!r}; valid are names such as UTC and Europe/Berlin"
        ) from None
    try:
        if len(cron.split()) != _FIELDS:
            raise CronSimError("Wrong number of fields")
        times = CronSim(cron, datetime.fromtimestamp(after_ms / 1000, zone))
        return round(next(times).astimezone(UTC).timestamp() * 1000)
    except CronSimError as error:
        raise ScheduleError(
            f"cron is {cron[:60]!r}: {error}; valid are five fields: minute, hour, day of the "
            "month, month, day of the week, such as 0 8 * * 1-5"
        ) from None
    except StopIteration:
        return None


def next_after(schedule: Schedule, after_ms: int) -> int | None:
    """When a stored schedule is due next. What cannot be read any more is never due."""
    try:
        return next_time(schedule.cron, schedule.time_zone, after_ms)
    except ScheduleError as error:
        _log.error("schedule %s: %s", schedule.schedule_id, error)
        return None


class Scheduler:
    """Starts the scheduled runs of a home, until cancelled; times that were missed count once."""

    def __init__(self, service: Service, schedules: ScheduleStore) -> None:
        self._service = service
        self._schedules = schedules

    async def run(self) -> None:
        """Start what is due, and wait for what is next."""
        #: With the time at which each was claimed.
        ticks: list[tuple[DueTick, int]] = []
        while True:
            wait_seconds = _LONGEST_WAIT_SECONDS
            try:
                ticks += [(tick, now_ms()) for tick in await self._due()]
                ticks = [one for one in ticks if not await self._start(*one)]
                if ticks:
                    wait_seconds = _RETRY_SECONDS
                due = await self._schedules.next_due()
                if due is not None:
                    wait_seconds = min(wait_seconds, max((due - now_ms()) / 1000, 0.05))
            except StorageError as error:
                _log.warning("cannot look for schedules: %s", error)
            await anyio.sleep(wait_seconds)

    async def _due(self) -> Sequence[DueTick]:
        due = await self._schedules.next_due()
        if due is None or due > now_ms():
            return []
        return await self._schedules.claim_due(next_after)

    async def _start(self, tick: DueTick, claimed_at: int) -> bool:
        """Start the run of a tick. False when it is to be tried again."""
        schedule = tick.schedule
        request = RunRequest(
            schedule.tool_id,
            schedule.inputs,
            RequestSource.SCHEDULER,
            # Of one tick there is one run, whatever the clock does.
            idempotency_key=f"schedule-{schedule.schedule_id}-{tick.due_at}",
            is_async=True,
        )
        try:
            run = await self._service.start(request)
            await self._schedules.started(schedule.schedule_id, run.run_id)
        except StorageError as error:
            _log.warning("schedule %s: %s", schedule.schedule_id, error)
            return now_ms() - claimed_at > _TRIED_FOR_MS
        except (
            UnknownToolError,
            ArchivedToolError,
            IdempotencyConflictError,
            SecretInNameError,
        ) as error:
            _log.error("schedule %s: %s", schedule.schedule_id, error)
        except Exception as fault:
            # A fault of one schedule ends neither the others nor the server.
            _log.error("a fault ended schedule %s\n%s", schedule.schedule_id, trace_of(fault))
        return True
