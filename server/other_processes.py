"""What other processes on the home do, as this one notices it."""

import logging
from collections.abc import Awaitable, Callable, Mapping

import anyio

from server.active_run import ActiveRun
from server.step_notes import StepNotes
from server.tool_library import ToolLibrary
from storage.database import Database
from storage.errors import DamageError, StorageError
from storage.owners import Owner, end_orphans
from storage.run_reads import ListMark
from storage.runs import RunStore

__all__ = ["OtherProcesses"]

_log = logging.getLogger(__name__)

#: How often runs of processes that are gone are looked for.
_ORPHAN_CHECK_SECONDS = 30.0


class OtherProcesses:
    """Watches the home for what others write, and acts on it."""

    def __init__(
        self,
        database: Database,
        runs: RunStore,
        owner: Owner,
        tools: ToolLibrary,
        step_notes: StepNotes,
        active: Mapping[str, ActiveRun],
        runs_changed: Callable[[], None],
        home_changed: Callable[[], None],
    ) -> None:
        """`active` are the runs of this process, which others may ask to cancel or to watch.

        `runs_changed` is called after others have changed the list of runs, `home_changed` after
        anybody has written to the home.
        """
        self._database = database
        self._runs = runs
        self._owner = owner
        self._tools = tools
        self._step_notes = step_notes
        self._active = active
        self._list_mark = ListMark(0, frozenset(), 0)
        #: The newest run that this process has started.
        self.newest_own_seq = 0
        self._runs_changed = runs_changed
        self._home_changed = home_changed

    async def look_first(self) -> None:
        """Remember what is there, so that only what changes is told. Raises `StorageError`."""
        self._list_mark = await self._runs.list_mark(self._owner.id)

    async def end_orphans(self) -> None:
        """End the runs of processes that are gone. Raises `StorageError`."""
        if await end_orphans(self._runs, self._owner):
            self._runs_changed()

    async def end_orphans_forever(self) -> None:
        """Look for such runs again and again, until cancelled."""
        while True:
            await anyio.sleep(_ORPHAN_CHECK_SECONDS)
            try:
                await self.end_orphans()
            except StorageError as error:
                _log.warning("cannot look for interrupted runs: %s", error)

    async def watch_forever(
        self, poll_seconds: float, record_late: Callable[[], Awaitable[None]]
    ) -> None:
        """Notice what is written, until cancelled; `record_late` is tried each time before."""
        seen = -1
        while True:
            await anyio.sleep(poll_seconds)
            try:
                await record_late()
            except StorageError as error:
                _log.warning("the ends of some runs cannot be recorded yet: %s", error)
            try:
                version = await self._database.data_version()
                if version == seen:
                    continue
                seen = version
                await self._look_around()
            except StorageError as error:
                _log.warning("cannot look for changes: %s", error)
                if not isinstance(error, DamageError):
                    seen = -1

    async def _look_around(self) -> None:
        """Act on what others wrote. The tools come last: damage to them hides nothing else."""
        await self._cancel_on_request()
        await self._step_notes.look(self._active)
        mark = await self._runs.list_mark(self._owner.id)
        self._home_changed()
        if self._others_changed_list(mark):
            self._runs_changed()
        await self._tools.refresh()

    def _others_changed_list(self, mark: ListMark) -> bool:
        before, self._list_mark = self._list_mark, mark
        known = max(before.newest_seq, self.newest_own_seq)
        elsewhere = (mark.running_elsewhere, mark.deletions)
        return mark.newest_seq > known or elsewhere != (before.running_elsewhere, before.deletions)

    async def _cancel_on_request(self) -> None:
        if not self._active:
            return
        for run_id, reason in (await self._runs.cancel_requests()).items():
            active = self._active.get(run_id)
            if active is not None:
                active.cancel(reason)
