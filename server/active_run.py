"""A run of this process: the wish for it, and the run while it is under way."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import anyio

from server.catalog import CatalogEntry
from storage.errors import StorageError
from storage.run_record import StoredRun
from tools.context import RunEvent
from tools.errors import ErrorDetail, ErrorKind
from tools.execution import Execution
from tools.json_text import JsonObject, decode_json
from tools.redaction import Redactor
from tools.run import RequestSource, RunOptions, RunOutcome
from tools.system import System

__all__ = ["ActiveRun", "JoinedRun", "RunRequest", "outcome_of"]

#: How long a cancelled waiter waits for its run to be recorded as aborted.
_CANCEL_SECONDS = 1.5


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
    parent_run_id: str | None = None
    #: Ids of the tools above this one in a chain.
    ancestors: tuple[str, ...] = ()
    #: What the run above knows: its inputs for this one may hold its systems' credentials.
    redactor_above: Redactor | None = field(default=None, repr=False)
    systems_above: Mapping[str, System] = field(default_factory=dict[str, System], repr=False)
    on_event: Callable[[RunEvent], None] | None = None


class ActiveRun:
    """A run of this process, from its record's first commit to its last."""

    def __init__(self, run_id: str, entry: CatalogEntry, execution: Execution) -> None:
        self.run_id = run_id
        #: Its number in the record, once that is committed.
        self.seq = 0
        self.entry = entry
        self.execution = execution
        self.done = anyio.Event()
        self.outcome: RunOutcome | None = None
        #: Why the end could not be recorded; such a run is not acknowledged.
        self.failure: StorageError | None = None
        self.scope = anyio.CancelScope()
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

    def ended(self) -> RunOutcome:
        """The outcome of a run that is done. Raises `StorageError`."""
        if self.failure is not None:
            raise self.failure
        if self.outcome is None:
            raise AssertionError("the run has not ended")
        return self.outcome


class JoinedRun:
    """A run that was there already, by its idempotency key; it may be another process's."""

    def __init__(self, run_id: str, entry: CatalogEntry) -> None:
        self.run_id = run_id
        self.entry = entry
        self.done = anyio.Event()
        self.outcome: RunOutcome | None = None
        self.failure: StorageError | None = None

    def cancel(self, reason: str) -> None:
        """Do nothing: the run belongs to the call that started it."""

    async def wait(self, when_cancelled: str = "") -> RunOutcome:
        """The outcome. Raises `StorageError` when it cannot be read."""
        await self.done.wait()
        return self.ended()

    def ended(self) -> RunOutcome:
        """The outcome of a run that is done. Raises `StorageError`."""
        if self.failure is not None:
            raise self.failure
        if self.outcome is None:
            raise AssertionError("the run has not ended")
        return self.outcome


def outcome_of(run: StoredRun) -> RunOutcome:
    """How a recorded run ended, without its steps."""
    detail = run.error_detail
    return RunOutcome(
        run.status,
        run.inputs or {},
        data=decode_json(run.result) if run.result is not None else None,
        data_json=run.result,
        error=run.error,
        error_detail=ErrorDetail.model_validate(detail) if detail is not None else None,
    )
