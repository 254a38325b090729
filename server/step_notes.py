"""The steps of running runs, between processes: asked for, noted by the owner, and seen."""

import logging
from collections.abc import Callable, Collection, Sequence

import anyio

from storage.database import Database
from storage.errors import StorageError
from storage.watched_runs import RunSight, WatchedRuns
from tools.json_text import JsonObject

__all__ = ["StepNotes"]

_log = logging.getLogger(__name__)

#: After a write that failed, of a home that is locked or has no room.
_RETRY_SECONDS = 5.0

#: Of a step under way; its requests and its data are for the record.
_NOTED = ("stepId", "status", "success", "startedAt", "completedAt", "error", "childRunId")


class StepNotes:
    """Notes the steps of this process's runs that others watch, and watches the runs of others.

    `steps_of` gives the steps of a run of this process so far, None when it has ended.
    """

    def __init__(
        self, database: Database, steps_of: Callable[[str], Sequence[JsonObject] | None]
    ) -> None:
        self._runs = WatchedRuns(database)
        self._steps_of = steps_of
        self._watched: frozenset[str] = frozenset()
        self._due: set[str] = set()
        #: Runs of others to be watched from now on.
        self._asked: set[str] = set()
        self._wake = anyio.Event()

    async def sight(self, run_id: str, *, is_own: bool) -> RunSight | None:
        """What there is to see of a run, which is watched from now on. Raises `StorageError`."""
        sight = await self._runs.sight(run_id)
        if sight is not None and sight.status == "running" and not (is_own or sight.is_watched):
            # Not waited for: a home that is locked, or cannot be written, can still be looked at.
            self._asked.add(run_id)
            self._wake.set()
        return sight

    async def of_run(self, run_id: str) -> list[JsonObject]:
        """The steps that the owner of a run has noted. Raises `StorageError`."""
        return await self._runs.noted(run_id)

    async def look(self, own: Collection[str]) -> None:
        """See which of the own runs are watched. Raises `StorageError`."""
        if not own:
            return
        watched = (await self._runs.watched()).intersection(own)
        for run_id in watched - self._watched:
            self._make_due(run_id)
        self._watched = watched

    def step_began(self, run_id: str) -> None:
        """A run of this process is not what it was."""
        if run_id in self._watched:
            self._make_due(run_id)

    async def write_forever(self) -> None:
        """Write what was asked for and what is due, until cancelled."""
        while True:
            await self._wake.wait()
            self._wake = anyio.Event()
            asked, self._asked = self._asked, set()
            due, self._due = self._due, set()
            try:
                if asked:
                    await self._runs.watch(asked)
                for run_id in due:
                    steps = self._steps_of(run_id)
                    if steps is not None:
                        await self._runs.note(run_id, [_noted(step) for step in steps])
            except StorageError as error:
                _log.warning("steps cannot be shown to or by other processes: %s", error)
                self._asked |= asked
                self._due |= due
                await anyio.sleep(_RETRY_SECONDS)
                self._wake.set()

    def _make_due(self, run_id: str) -> None:
        self._due.add(run_id)
        self._wake.set()


def _noted(step: JsonObject) -> JsonObject:
    return {name: step[name] for name in _NOTED if name in step}
