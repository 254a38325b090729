"""The history as something to keep in order: search, retention, pins, statistics."""

import logging
from collections.abc import Sequence

import anyio

from server.settings import Settings
from storage.errors import StorageError
from storage.retention import Pruned, RetentionPolicy
from storage.run_lists import RunFilter, RunPage
from storage.runs import RunStore
from storage.statistics import ToolStatistics
from tools.run import RunStatus

__all__ = ["History", "retention_policy"]

_log = logging.getLogger(__name__)

_DAY_MS = 24 * 60 * 60 * 1000
_GIGABYTE = 1024**3
#: The answer goes out first, and runs that end together are indexed together.
_INDEX_DELAY_SECONDS = 0.5
#: A search makes so many waiting runs findable before it looks.
_INDEXED_BEFORE_SEARCH = 20
_FIRST_PRUNE_SECONDS = 60.0
_PRUNE_SECONDS = 3600.0
_LEFT_OBJECTS_SECONDS = 24 * 3600.0


def retention_policy(settings: Settings) -> RetentionPolicy:
    """The policy that the settings describe."""
    days = {
        RunStatus.SUCCESS: settings.retention_days_success,
        RunStatus.FAILED: settings.retention_days_failed,
        RunStatus.ABORTED: settings.retention_days_aborted,
    }
    ages: dict[RunStatus, int | None] = {}
    for status, given in days.items():
        chosen = settings.retention_days if given is None else given
        ages[status] = round(chosen * _DAY_MS) or None
    return RetentionPolicy(ages, round(settings.retention_gigabytes * _GIGABYTE) or None)


class History:
    """The runs of a home beside their execution. `index_forever` and `prune_forever` keep house."""

    def __init__(self, runs: RunStore, settings: Settings) -> None:
        self._runs = runs
        self.policy = retention_policy(settings)
        self._wake = anyio.Event()

    async def list(
        self, wanted: RunFilter, *, limit: int, offset: int = 0, before_seq: int | None = None
    ) -> RunPage:
        """Runs, newest first. Raises `SearchError`, `StorageError`."""
        if wanted.search:
            for _ in range(_INDEXED_BEFORE_SEARCH):
                if not await self._runs.has_waiting() or not await self._runs.index_waiting():
                    break
        return await self._runs.list(wanted, limit=limit, offset=offset, before_seq=before_seq)

    async def pin(self, run_id: str, *, pinned: bool) -> bool:
        """Keep a run whatever its age, or no longer. False when there is no such run."""
        return await self._runs.pin(run_id, pinned=pinned)

    async def delete(self, run_id: str) -> bool:
        """Take an ended run out of the history. False when there is no such run."""
        return await self._runs.delete(run_id)

    async def statistics(self, tool_id: str | None = None) -> Sequence[ToolStatistics]:
        """Counts and durations by tool, the most used first."""
        return await self._runs.statistics(tool_id)

    async def prune(self) -> Pruned:
        """Take out what the policy does not keep. Raises `StorageError`."""
        pruned = await self._runs.prune(self.policy)
        await self._runs.sweep_objects(_LEFT_OBJECTS_SECONDS)
        return pruned

    async def would_prune(self) -> Pruned:
        """What `prune` would take out."""
        return await self._runs.would_prune(self.policy)

    def runs_ended(self) -> None:
        """There may be runs to index."""
        self._wake.set()

    async def index_forever(self) -> None:
        """Make ended runs searchable, after their answers have gone out."""
        while True:
            await self._wake.wait()
            await anyio.sleep(_INDEX_DELAY_SECONDS)
            self._wake = anyio.Event()
            try:
                while await self._runs.has_waiting():
                    await self._runs.index_waiting()
            except StorageError as error:
                _log.warning("runs cannot be made searchable now: %s", error)

    async def prune_forever(self) -> None:
        """Keep the history within its policy, and say once that there is one."""
        if self.policy.keeps_all:
            return
        await anyio.sleep(_FIRST_PRUNE_SECONDS)
        while True:
            try:
                await self._prune_and_say()
            except StorageError as error:
                _log.warning("old runs cannot be deleted now: %s", error)
            await anyio.sleep(_PRUNE_SECONDS)

    async def _prune_and_say(self) -> None:
        if await self._runs.announce_once("retention"):
            _log.warning(
                "runs are deleted by age and size (see `callslip runs prune --dry-run`); "
                "CALLSLIP_RETENTION_DAYS and CALLSLIP_RETENTION_GIGABYTES change that, 0 keeps all"
            )
        pruned = await self.prune()
        if pruned.runs:
            _log.info(
                "%d old runs deleted, %d bytes freed",
                pruned.runs,
                pruned.bytes_before - pruned.bytes_after,
            )
