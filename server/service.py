"""The verbs of the product. The only place where storage meets execution.

Surfaces translate to and from these; every run of every surface goes through `Service.start`.
"""

import getpass
import logging
import math
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from typing import cast

import anyio
from anyio.abc import TaskGroup

from server.active_run import (
    ActiveRun,
    Derivation,
    JoinedRun,
    RunRequest,
    outcome_of,
    resumed,
)
from server.catalog import Catalog, CatalogEntry
from server.comparison import compare_runs
from server.connections import Connections
from server.decoded import decoded
from server.explanation import explain_run
from server.history import History
from server.other_processes import OtherProcesses
from server.planning import RunPlanner, SecretInNameError
from server.reruns import (
    Rerun,
    RerunError,
    RerunPlan,
    RerunRequest,
    child_run_ids,
    plan_rerun,
)
from server.run_facts import ran_whole
from server.settings import Settings
from server.step_notes import StepNotes
from server.tool_library import (
    ArchivedToolError,
    ToolLibrary,
    UnknownToolError,
)
from storage.api_keys import ApiKeyStore
from storage.counters import Counters
from storage.database import Database
from storage.errors import DamageError, DiskFullError, HomeError, KeyTakenError, StorageError
from storage.hooks import HookStore
from storage.outbox import Outbox
from storage.owners import Owner
from storage.run_lists import RunFilter, RunPage
from storage.run_queue import RunQueue
from storage.run_record import NewRun, StoredRun
from storage.runs import RunStore
from storage.schedules import ScheduleStore
from storage.systems import SystemStore
from storage.tools import (
    ToolStore,
)
from storage.watched_runs import RunSight
from tools.carriers import Carriers
from tools.context import ChildRun, Engines, RunContext
from tools.decoders import StoredFile
from tools.errors import ErrorDetail, ErrorKind, RunError
from tools.faults import trace_of
from tools.json_text import Json, JsonObject
from tools.run import RequestSource, RunOutcome, RunStatus
from tools.threads import run_in_thread

__all__ = [
    "ArchivedToolError",
    "IdempotencyConflictError",
    "SecretInNameError",
    "Service",
    "UnknownRunError",
    "UnknownToolError",
]

_log = logging.getLogger(__name__)

#: Successes that say little are passed over; a tool with more of them has no last good run.
_LAST_GOOD_TRIES = 10
#: How often accepted runs that nobody has begun are looked for.
_QUEUE_CHECK_SECONDS = 5.0
#: How long closing waits for runs to be recorded as aborted.
_CLOSE_SECONDS = 1.5


class UnknownRunError(Exception):
    """No run of this id is recorded."""


class IdempotencyConflictError(Exception):
    """The idempotency key belongs to a run that another call started."""


class Service:
    """The product behind every surface; made by `server.app.open_service`."""

    def __init__(
        self,
        database: Database,
        tools: ToolStore,
        runs: RunStore,
        systems: SystemStore,
        api_keys: ApiKeyStore,
        owner: Owner,
        engines: Engines,
        settings: Settings,
    ) -> None:
        self.settings = settings
        self.api_keys = api_keys
        self.engines = engines
        self.catalog = Catalog(tools)
        self.connections = Connections(systems, engines, settings.locks_directory)
        self.history = History(runs, settings)
        #: Called after tools or runs have changed, by this process or another.
        self.tools_changed: list[Callable[[], None]] = []
        self.runs_changed: list[Callable[[], None]] = []
        #: Called with the id of a run of this process that began a step or ended.
        self.run_updated: list[Callable[[str], None]] = []
        #: Called after the home was written to, whatever it was.
        self.home_changed: list[Callable[[], None]] = []
        self._database = database
        self._runs = runs
        self._owner = owner
        self.counters = Counters(database)
        self._queue = RunQueue(database)
        self.hooks = HookStore(database)
        self.schedules = ScheduleStore(database)
        self.outbox = Outbox(database)
        self._slots = anyio.CapacityLimiter(settings.async_runs)
        self._active: dict[str, ActiveRun] = {}
        self._step_notes = StepNotes(database, self._steps_of)
        self._group: TaskGroup | None = None
        #: Ends that the disk had no room for.
        self._unrecorded: list[tuple[int, RunOutcome]] = []
        user = _operating_system_user()
        self._planner = RunPlanner(runs, self.connections, engines, owner.id, user, self)
        self.tools = ToolLibrary(
            tools,
            self.catalog,
            systems,
            engines.scripts,
            user,
            lambda: _tell(self.tools_changed),
        )
        self._others = OtherProcesses(
            database,
            runs,
            owner,
            self.tools,
            self._step_notes,
            self._active,
            lambda: _tell(self.runs_changed),
            lambda: _tell(self.home_changed),
        )

    @property
    def why_read_only(self) -> HomeError | None:
        """What all that would write is refused with, or left undone for, in such a home."""
        return self._database.why_read_only

    @property
    def is_read_only(self) -> bool:
        return self._database.is_read_only

    async def open(self, group: TaskGroup) -> None:
        """Read what is there, end orphans and start watching for other processes."""
        self._group = group
        self.connections.open(group)
        # A damaged page of one table must not close the history of the others.
        with _told("runs of processes that are gone cannot be ended"):
            if not self.is_read_only:
                await self._others.end_orphans()
        with _told("the stored tools cannot be read"):
            await self.catalog.refresh()
        with _told("changes of other processes cannot be seen"):
            await self._others.look_first()
        group.start_soon(self._others.watch_forever, self.settings.poll_seconds, self._record_late)
        if self.is_read_only:
            return
        group.start_soon(self._step_notes.write_forever)
        group.start_soon(self._others.end_orphans_forever)
        group.start_soon(self.history.index_forever)
        group.start_soon(self.history.prune_forever)
        self.history.runs_ended()

    async def warm(self) -> None:
        """Have ready what the first run would wait for: imports, and a worker for scripts."""
        await anyio.to_thread.run_sync(self.engines.http.warm, abandon_on_cancel=True)
        await self.engines.scripts.warm()

    async def close(self) -> None:
        """End the runs under way; returns when that is recorded, or after a moment."""
        with anyio.CancelScope(shield=True), anyio.move_on_after(_CLOSE_SECONDS):
            active = list(self._active.values())
            for run in active:
                run.is_left = run.waits and run.is_resumable
                run.scope.cancel()
            for run in active:
                await run.done.wait()
            with suppress(StorageError):
                await self._record_late()
                await self._queue.release(self._owner.id)

    # Runs

    async def start(self, request: RunRequest) -> ActiveRun | JoinedRun:
        """Record a run and start it; returns once the record is committed.

        With the idempotency key of a run that is there, that run is joined. Raises
        `UnknownToolError`, `ArchivedToolError`, `IdempotencyConflictError`, `RunExistsError`,
        `SecretInNameError`, `StorageError`.
        """
        derivation = request.derivation or Derivation(None, None)
        entry = derivation.recorded_tools.get(request.tool_id)
        entry = entry or await self.tools.require(request.tool_id)
        execution, new_run = await self._planner.plan(request, derivation, entry)
        if self._group is None:
            raise AssertionError("the service is open while it is used")
        # Between the commit and the task there must be no way out: the run would never end.
        active = ActiveRun(new_run.run_id, entry, execution)
        active.waits = request.is_async
        active.is_resumable = new_run.queued == "resumable"
        with anyio.CancelScope(shield=True):
            try:
                active.seq = request.resumes or await self._runs.start(new_run)
            except KeyTakenError as taken:
                return await self._join(taken.run_id, new_run, entry)
            self._active[active.run_id] = active
            self._others.newest_own_seq = active.seq
            self._group.start_soon(self._drive, active)
        return active

    async def serve_queue(self) -> None:
        """Execute the runs that other processes accepted and did not begin, until cancelled."""
        claimed: list[str] = []
        while not self.is_read_only:
            try:
                claimed += await self._queue.claim(self._owner.id)
                while claimed:
                    await self._resume(claimed[0])
                    claimed.pop(0)
            except StorageError as error:
                # What is claimed is this process's to begin, and tried again.
                _log.warning("cannot look for accepted runs: %s", error)
            await anyio.sleep(_QUEUE_CHECK_SECONDS)

    async def _resume(self, run_id: str) -> None:
        run = await self._runs.get(run_id, with_steps=False)
        if run is None:
            return
        try:
            await self.start(resumed(run))
        except (SecretInNameError, StorageError, ValueError) as error:
            _log.error("run %s was accepted and cannot be executed: %s", run_id, error)
            outcome = RunOutcome(
                RunStatus.ABORTED,
                run.inputs or {},
                error=f"interrupted: the run was accepted, and cannot be executed: {error}",
                error_detail=ErrorDetail(kind=ErrorKind.INTERRUPTED, retryable=True),
            )
            await self._runs.finish(run.seq, outcome)

    async def rerun(self, wanted: RerunRequest) -> Rerun:
        """Make a run from a recorded one, and start it.

        Raises `RerunError`, `UnknownRunError`, and what `start` raises.
        """
        plan = await self.plan_rerun(wanted)
        return Rerun(await self.start(plan.request), plan)

    async def plan_rerun(self, wanted: RerunRequest) -> RerunPlan:
        """What a rerun would run; nothing is started. Raises like `rerun`."""
        run = await self.get_run(wanted.run_id, with_large=True)
        latest = await self.tools.require(run.tool_id) if wanted.version == "latest" else None
        recorded = await self.recorded_runs(run) if wanted.is_replay else []
        return plan_rerun(run, wanted, latest, recorded)

    async def recorded_runs(self, run: StoredRun) -> list[StoredRun]:
        """The child runs of a run, and theirs, in the order in which they were started.

        Raises `RerunError` when one is not in the history any more.
        """
        found: list[StoredRun] = []
        for child_run_id in child_run_ids(run):
            try:
                child = await self.get_run(child_run_id, with_large=True)
            except UnknownRunError:
                raise RerunError(
                    f"the child run {child_run_id} of run {run.run_id} is not recorded any more, "
                    "so its requests cannot be answered"
                ) from None
            found += [child, *await self.recorded_runs(child)]
        return found

    async def _join(self, run_id: str, wanted: NewRun, entry: CatalogEntry) -> JoinedRun:
        there = await self._runs.get(run_id, with_steps=False)
        if there is None:
            raise StorageError(f"run {run_id} was deleted at this moment; call again")
        if (other := _difference(there, wanted)) is not None:
            raise IdempotencyConflictError(
                f"the idempotency key belongs to run {run_id}, which has {other}; "
                "use another key, or make the same call"
            )
        if self._group is None:
            raise AssertionError("the service is open while it is used")
        joined = JoinedRun(run_id, entry)
        self._group.start_soon(self._follow, joined)
        return joined

    async def _follow(self, joined: JoinedRun) -> None:
        try:
            await self.wait_for_run(joined.run_id, math.inf)
            run = await self.get_run(joined.run_id, with_steps=False, with_large=True)
            joined.outcome = outcome_of(await decoded(run))
        except StorageError as error:
            joined.failure = error
        except UnknownRunError as error:
            joined.failure = StorageError(str(error))
        finally:
            joined.done.set()

    async def get_run(
        self, run_id: str, *, with_steps: bool = True, with_large: bool = False
    ) -> StoredRun:
        """The record of a run; `with_large` also what lies outside the database.

        Raises `UnknownRunError`, `StorageError`.
        """
        run = await self._runs.get(run_id, with_steps=with_steps, with_large=with_large)
        if run is None:
            raise UnknownRunError(f"run {run_id} not found")
        if run.status is RunStatus.RUNNING and with_steps:
            # The record gets its steps at the end; until then they are in the owner's memory.
            steps = self._steps_of(run_id)
            run = replace(run, steps=steps or await self._step_notes.of_run(run_id))
        return run

    def _steps_of(self, run_id: str) -> list[JsonObject] | None:
        """The steps of a run of this process so far; None for every other run."""
        active = self._active.get(run_id)
        return None if active is None else active.execution.steps_so_far()

    async def get_file(self, run_id: str, key: str) -> StoredFile:
        """A binary answer that a run kept. Raises `UnknownRunError`."""
        file = await self._runs.get_file(run_id, key)
        if file is None:
            raise UnknownRunError(f"file {key} of run {run_id} not found")
        return file

    async def list_runs(
        self, wanted: RunFilter, *, limit: int, offset: int = 0, before_seq: int | None = None
    ) -> RunPage:
        """Runs, newest first. Raises `SearchError`, `StorageError`."""
        return await self.history.list(wanted, limit=limit, offset=offset, before_seq=before_seq)

    async def compare_runs(self, a: str, b: str) -> JsonObject:
        """What differs between two runs. Raises `UnknownRunError`, `StorageError`."""
        before = await self.get_run(a)
        after = await self.get_run(b)
        if before.result_uri is None or before.result_uri != after.result_uri:
            before = await self._with_large_result(before)
            after = await self._with_large_result(after)
        # Two large results take a second or more; other calls go on meanwhile.
        return await run_in_thread(partial(compare_runs, before, after))

    async def _with_large_result(self, run: StoredRun) -> StoredRun:
        """The record with its result wherever that lies; large data of steps stays there."""
        if run.result_uri is None:
            return run
        whole = await self.get_run(run.run_id, with_steps=False, with_large=True)
        return replace(run, result=whole.result)

    async def explain_run(self, run_id: str) -> JsonObject:
        """Why a run failed, and what changed since it last worked.

        Raises `UnknownRunError`, `StorageError`.
        """
        run = await self.get_run(run_id)
        last_good = await self._last_good_before(run)
        return await run_in_thread(partial(explain_run, run, last_good))

    async def _last_good_before(self, run: StoredRun) -> StoredRun | None:
        """The newest earlier run of the tool that succeeded against its upstream."""
        if run.status not in (RunStatus.FAILED, RunStatus.ABORTED):
            return None
        succeeded = RunFilter(tool_id=run.tool_id, status=RunStatus.SUCCESS)
        page = await self.list_runs(succeeded, limit=_LAST_GOOD_TRIES, before_seq=run.seq)
        for candidate in page.runs:
            found = await self._runs.get(candidate.run_id)
            if found is not None and ran_whole(found):
                return found
        return None

    async def run_status(self, run_id: str) -> RunStatus | None:
        """The status of a run, None when there is none. Raises `StorageError`."""
        return await self._runs.status(run_id)

    async def sight_of(self, run_id: str) -> RunSight | None:
        """What is to be seen of a run, None when there is none. Raises `StorageError`.

        A running run of another process is watched from now on: its owner notes its steps.
        """
        return await self._step_notes.sight(run_id, is_own=run_id in self._active)

    def tell_of_run(self, run_id: str) -> None:
        """A run of this process is not what it was."""
        self._step_notes.step_began(run_id)
        for listener in self.run_updated:
            listener(run_id)

    async def wait_for_run(self, run_id: str, seconds: float) -> None:
        """Return when the run has ended, in any process, or after `seconds`."""
        with anyio.move_on_after(seconds):
            active = self._active.get(run_id)
            if active is not None:
                await active.done.wait()
                return
            # Another process executes it: its record is all there is to watch.
            while await self._runs.status(run_id) is RunStatus.RUNNING:  # noqa: ASYNC110
                await anyio.sleep(self.settings.poll_seconds)

    async def cancel_run(self, run_id: str, reason: str) -> bool:
        """End a running run, of any process; False when it had ended.

        A run of another process ends when that process sees the wish, within a second. Raises
        `UnknownRunError`, `StorageError`.
        """
        active = self._active.get(run_id)
        if active is not None:
            active.cancel(reason)
            await active.done.wait()
            return True
        status = await self._runs.status(run_id)
        if status is None:
            raise UnknownRunError(f"run {run_id} not found")
        if status is not RunStatus.RUNNING:
            return False
        await self._runs.request_cancel(run_id, reason)
        return True

    async def start_child(
        self,
        tool_id: str,
        inputs: JsonObject,
        parent: RunRequest,
        context: RunContext,
        run_id: str,
        carriers: Carriers,
        began: Callable[[str, JsonObject], None],
    ) -> ChildRun:
        """Run a tool as a step of another run. Raises `RunError` of kind `sub_tool`."""
        options = context.options.model_copy(update={"trace_id": context.trace_id})
        request = RunRequest(
            tool_id,
            inputs,
            RequestSource.TOOL_CHAIN,
            options,
            parent.credentials,
            user_id=parent.user_id,
            parent_run_id=run_id,
            ancestors=(*context.ancestors, context.tool.id),
            redactor_above=context.redactor,
            systems_above={system.id: system for system in context.guarded_systems},
            carriers=carriers,
            traceparent=context.traceparent,
            derivation=parent.derivation and parent.derivation.for_child(tool_id),
        )
        try:
            child = await self.start(request)
        except (UnknownToolError, ArchivedToolError, SecretInNameError, StorageError) as error:
            raise RunError(ErrorKind.SUB_TOOL, str(error)) from None
        began(child.run_id, child.entry.stored.definition)
        outcome = await child.wait("cancelled with the run that started it")
        return ChildRun(child.run_id, outcome)

    async def _drive(self, active: ActiveRun) -> None:
        """Execute a run and record its end, whatever happens: a fault ends this run alone."""
        outcome: RunOutcome | None = None
        has_slot = False
        try:
            with active.scope:
                if active.waits:
                    await self._slots.acquire_on_behalf_of(active)
                    has_slot = True
                    await self._queue.begin(active.seq)
                    active.waits = False
                outcome = await active.execution.run()
        except Exception as fault:
            outcome = _fault_outcome(active, fault)
        finally:
            with anyio.CancelScope(shield=True):
                if has_slot:
                    self._slots.release_on_behalf_of(active)
                if active.is_left:
                    self._active.pop(active.run_id, None)
                    active.done.set()
                else:
                    await self._record_end(active, outcome)

    async def _record_end(self, active: ActiveRun, outcome: RunOutcome | None) -> None:
        try:
            outcome = outcome or await _cut_off(active)
            await self._finish(active, outcome)
        except Exception as fault:
            # What cannot be encoded is left out; that the run has ended is not.
            outcome = _fault_outcome(active, fault)
            await self._finish(active, outcome)
        active.outcome = outcome
        self._active.pop(active.run_id, None)
        active.done.set()
        self.tell_of_run(active.run_id)
        self.history.runs_ended()
        _tell(self.runs_changed)

    async def _finish(self, active: ActiveRun, outcome: RunOutcome) -> None:
        try:
            await self._runs.finish(active.seq, outcome)
        except StorageError as error:
            _log.error("the end of run %s is not recorded yet: %s", active.run_id, error)
            active.failure = error
            self._unrecorded.append((active.seq, outcome))

    async def _record_late(self) -> None:
        """Record the ends that could not be recorded when they came. Raises `StorageError`."""
        while self._unrecorded:
            first = self._unrecorded[0]
            await self._runs.finish(*first)
            # Closing may have done the same meanwhile.
            if self._unrecorded and self._unrecorded[0] is first:
                self._unrecorded.pop(0)
            _tell(self.runs_changed)


def _difference(there: StoredRun, wanted: NewRun) -> str | None:
    """What of a call is other than of the run with its key; None for the same call."""
    if not _are_same(there.inputs, wanted.inputs):
        return "other inputs"
    is_unsaved = None in (there.version_number, wanted.version_number)
    if is_unsaved and there.tool != wanted.tool:
        return "another definition"
    given = there.options or {}
    for name, default in (("execution", "live"), ("mode", "prod")):
        before, now = given.get(name, default), wanted.options.get(name, default)
        if before != now:
            return f"options.{name} {before}, where this call has {now}"
    return None


def _are_same(one: Json, other: Json) -> bool:
    """Whether two values are the same JSON; Python takes 1 and true for equal."""
    if one != other:
        return False
    waiting: list[tuple[Json, Json]] = [(one, other)]
    while waiting:
        one, other = waiting.pop()
        if isinstance(one, bool) is not isinstance(other, bool):
            return False
        if isinstance(one, dict):
            members, others = cast("JsonObject", one), cast("JsonObject", other)
            waiting += [(value, others[name]) for name, value in members.items()]
        elif isinstance(one, list):
            waiting += zip(cast("list[Json]", one), cast("list[Json]", other), strict=True)
    return True


async def _cut_off(active: ActiveRun) -> RunOutcome:
    """The outcome of a run that was cancelled."""
    if active.execution.has_large_data:
        # Secrets are looked for in all of it; other runs go on meanwhile.
        return await run_in_thread(active.cut_off)
    return active.cut_off()


def _fault_outcome(active: ActiveRun, fault: Exception) -> RunOutcome:
    """The outcome of a run that a fault of ours ended; its steps may be the fault."""
    _log.error("a fault of callslip ended run %s\n%s", active.run_id, trace_of(fault))
    return RunOutcome(
        RunStatus.FAILED,
        {},
        error=f"callslip itself failed: {type(fault).__name__}",
        error_detail=ErrorDetail(
            kind=ErrorKind.INTERNAL,
            hint="the log of the server has the trace; please report it",
        ),
    )


@contextmanager
def _told(what: str) -> Generator[None]:
    """Damage or a full disk is an error in the log, and the program goes on without that part."""
    try:
        yield
    except (DamageError, DiskFullError) as error:
        _log.error("%s: %s", what, error)


def _tell(listeners: list[Callable[[], None]]) -> None:
    for listener in listeners:
        listener()


def _operating_system_user() -> str | None:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return None
