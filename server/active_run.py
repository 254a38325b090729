"""A run of this process: the wish for it, and the run while it is under way."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import anyio

from server.catalog import CatalogEntry
from storage.errors import StorageError
from storage.run_record import StoredRun
from storage.tools import StoredTool
from tools.carriers import Carriers, TakenCredential
from tools.context import RunEvent
from tools.errors import ErrorDetail, ErrorKind
from tools.execution import Execution, TakenSteps
from tools.json_text import JsonObject
from tools.redaction import Redactor
from tools.replay import Recording
from tools.run import RequestSource, RunOptions, RunOutcome, SourceKind
from tools.system import System

__all__ = ["ActiveRun", "Derivation", "JoinedRun", "Replay", "RunRequest", "outcome_of", "resumed"]

#: How long a cancelled waiter waits for its run to be recorded as aborted.
_CANCEL_SECONDS = 1.5


@dataclass(frozen=True)
class Replay:
    """Recorded answers for a run and its child runs."""

    recording: Recording
    #: What is not recorded is sent.
    is_lenient: bool
    #: The recorded child runs by tool, in order; each is the source of one child of the replay.
    child_run_ids: Mapping[str, list[str]] = field(default_factory=dict[str, list[str]])


@dataclass(frozen=True)
class Derivation:
    """How a run is made from a recorded one. Child runs are made the same way."""

    source_run_id: str | None
    kind: SourceKind | None
    #: Tools in the form in which they were executed, by id, in place of the stored ones.
    recorded_tools: Mapping[str, CatalogEntry] = field(default_factory=dict[str, CatalogEntry])
    taken: TakenSteps | None = None
    replay: Replay | None = None

    def for_child(self, tool_id: str) -> "Derivation":
        """The same for a run that a step starts."""
        source: str | None = None
        if self.replay is not None and (ids := self.replay.child_run_ids.get(tool_id)):
            source = ids.pop(0)
        return replace(
            self,
            source_run_id=source,
            kind=SourceKind.REPLAY if self.replay is not None else None,
            taken=None,
        )


@dataclass(frozen=True)
class RunRequest:
    """A wish to run a stored tool. `credentials` are run-time credentials: never written."""

    tool_id: str
    inputs: JsonObject
    source: RequestSource
    options: RunOptions = field(default_factory=lambda: RunOptions())
    credentials: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    run_id: str | None = None
    #: Calls of one tool with the same key are one run.
    idempotency_key: str | None = None
    client_name: str | None = None
    client_version: str | None = None
    #: The trace that the caller brought, as W3C Trace Context has it.
    traceparent: str | None = None
    #: Who asks; the operating system's user when absent.
    user_id: str | None = None
    parent_run_id: str | None = None
    #: Who is told when it has ended: `http(s)://…`, or `tool:<id>`.
    webhook_target: str | None = None
    #: Ids of the tools above this one in a chain.
    ancestors: tuple[str, ...] = ()
    #: What the run above knows: its inputs for this one may hold its systems' credentials.
    redactor_above: Redactor | None = field(default=None, repr=False)
    systems_above: Mapping[str, System] = field(default_factory=dict[str, System], repr=False)
    #: The inputs that hold short credentials of the run above.
    carriers: Carriers = field(default_factory=dict[str, frozenset[TakenCredential]], repr=False)
    on_event: Callable[[RunEvent], None] | None = None
    #: It is accepted now and executed when its turn comes, by the next process if need be.
    is_async: bool = False
    #: The number of the record that this run has already, of a run that another process accepted.
    resumes: int | None = None
    #: Of a run that is made from another one.
    derivation: Derivation | None = None


class _StartedRun:
    """A run whose end can be waited for."""

    def __init__(self, run_id: str, entry: CatalogEntry) -> None:
        self.run_id = run_id
        self.entry = entry
        self.done = anyio.Event()
        self.outcome: RunOutcome | None = None
        #: Why the end could not be recorded, or read; such a run is not acknowledged.
        self.failure: StorageError | None = None

    def ended(self) -> RunOutcome:
        """The outcome of a run that is done. Raises `StorageError`."""
        if self.failure is not None:
            raise self.failure
        if self.outcome is None:
            raise AssertionError("the run has not ended")
        return self.outcome


class ActiveRun(_StartedRun):
    """A run of this process, from its record's first commit to its last."""

    def __init__(self, run_id: str, entry: CatalogEntry, execution: Execution) -> None:
        super().__init__(run_id, entry)
        #: Its number in the record, once that is committed.
        self.seq = 0
        self.execution = execution
        self.scope = anyio.CancelScope()
        #: It is accepted and waits for its turn; one that is resumable any process can execute.
        self.waits = False
        self.is_resumable = False
        #: It still waited when this process stopped, and is left to the next one.
        self.is_left = False
        self._reason = (ErrorKind.INTERRUPTED, "interrupted: the server stopped during the run")

    def cancel(self, reason: str) -> None:
        """End the run as `aborted`; `done` is set once that is recorded."""
        if not self.done.is_set():
            self._reason = (ErrorKind.CANCELLED, reason)
            self.scope.cancel()

    def cut_off(self) -> RunOutcome:
        """The outcome of a run that was cancelled."""
        return self.execution.cut_off(*self._reason)

    async def wait(self, when_cancelled: str = "cancelled by the client") -> RunOutcome:
        """The outcome. Raises `StorageError` when it could not be recorded.

        When the waiter is cancelled, the run is cancelled with it, for this reason.
        """
        try:
            await self.done.wait()
        except anyio.get_cancelled_exc_class():
            if not self.scope.cancel_called:
                self.cancel(when_cancelled)
            with anyio.CancelScope(shield=True), anyio.move_on_after(_CANCEL_SECONDS):
                await self.done.wait()
            raise
        return self.ended()


class JoinedRun(_StartedRun):
    """A run that was there already, by its idempotency key; it may be another process's."""

    def cancel(self, reason: str) -> None:
        """Do nothing: the run belongs to the call that started it."""

    async def wait(self, when_cancelled: str = "") -> RunOutcome:
        """The outcome. Raises `StorageError` when it cannot be read."""
        await self.done.wait()
        return self.ended()


def outcome_of(run: StoredRun) -> RunOutcome:
    """How a recorded run ended, without its steps."""
    detail = run.error_detail
    return RunOutcome(
        run.status,
        run.inputs or {},
        data=run.data,
        data_bytes=run.result.size if run.result is not None else None,
        error=run.error,
        error_detail=ErrorDetail.model_validate(detail) if detail is not None else None,
    )


def resumed(run: StoredRun) -> RunRequest:
    """The wish behind a run that was accepted and has not begun. Raises `ValueError`: damaged."""
    if run.tool is None or run.inputs is None or run.options is None:
        raise ValueError(run.damage or "its record cannot be read")
    stored = StoredTool(run.tool_id, run.version_number or 0, run.snapshot_id, run.tool)
    return RunRequest(
        run.tool_id,
        run.inputs,
        RequestSource(run.request_source),
        RunOptions.model_validate({**run.options, "traceId": run.trace_id}),
        run_id=run.run_id,
        client_name=run.client_name,
        client_version=run.client_version,
        user_id=run.user_id,
        parent_run_id=run.parent_run_id,
        derivation=Derivation(None, None, {run.tool_id: CatalogEntry(stored)}),
        is_async=True,
        resumes=run.seq,
    )
