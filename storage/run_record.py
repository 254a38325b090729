"""A run as the store takes it and gives it back."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from storage.blobs import StoredText
from tools.json_text import Json, JsonObject
from tools.run import RequestSource, RunStatus, SourceKind

__all__ = ["COLUMNS", "COLUMN_NAMES", "DerivedRun", "NewRun", "StoredRun", "run_of_row"]

COLUMN_NAMES = (
    "seq",
    "run_id",
    "tool_id",
    "snapshot_id",
    "version_number",
    "status",
    "request_source",
    "started_at",
    "completed_at",
    "execution_mode",
    "owner",
    "trace_id",
    "user_id",
    "client_name",
    "client_version",
    "parent_run_id",
    "source_run_id",
    "source_kind",
    "idempotency_key",
    "error",
    "pinned",
)
#: For a statement over `runs`, which joins give the name `runs` too.
COLUMNS = ", ".join(f"runs.{name}" for name in COLUMN_NAMES)

_STATUSES = frozenset(RunStatus)
#: The last millisecond that RFC 3339 can say.
_LATEST = 253_402_300_799_999


@dataclass(frozen=True)
class NewRun:
    """What is known of a run before it starts. `inputs` hold no secrets any more."""

    run_id: str
    tool: JsonObject
    version_number: int | None
    inputs: JsonObject
    options: JsonObject
    request_source: RequestSource
    owner: str
    started_at: int
    execution_mode: str = "prod"
    trace_id: str | None = None
    user_id: str | None = None
    client_name: str | None = None
    client_version: str | None = None
    parent_run_id: str | None = None
    source_run_id: str | None = None
    source_kind: SourceKind | None = None
    idempotency_key: str | None = None
    #: What is to be told when it has ended, and the tools above that do so.
    webhook_target: str | None = None
    chain: tuple[str, ...] = ()
    #: Of a run that waits for its turn: whether another process can execute it, too.
    queued: Literal["resumable", "bound"] | None = None


@dataclass(frozen=True)
class DerivedRun:
    """A run that was made from another one."""

    run_id: str
    kind: str
    status: str


@dataclass(frozen=True)
class StoredRun:
    """A run as recorded; the documents are there when the run was asked for by its id."""

    seq: int
    run_id: str
    tool_id: str
    snapshot_id: int
    version_number: int | None
    status: RunStatus
    request_source: str
    started_at: int
    completed_at: int | None
    execution_mode: str
    owner: str | None
    trace_id: str | None
    user_id: str | None
    client_name: str | None
    client_version: str | None
    parent_run_id: str | None
    source_run_id: str | None
    source_kind: str | None
    idempotency_key: str | None
    error: str | None
    pinned: bool = False
    #: It is accepted and has not begun.
    waits: bool = False
    tool: JsonObject | None = None
    inputs: JsonObject | None = None
    options: JsonObject | None = None
    error_detail: JsonObject | None = None
    cost: JsonObject | None = None
    logs: list[Json] = field(default_factory=list[Json])
    steps: list[JsonObject] = field(default_factory=list[JsonObject])
    sub_tools: JsonObject | None = None
    #: The JSON text of the result, of a run that succeeded.
    result: StoredText | None = None
    #: Where the result lies when it is too large for the database.
    result_uri: str | None = None
    #: Its length as JSON text.
    result_bytes: int | None = None
    #: The newest runs that were made from this one.
    derived: list[DerivedRun] = field(default_factory=list[DerivedRun])
    #: What could not be read of a damaged record, in words.
    damage: str | None = None

    @property
    def data(self) -> Json:
        """The value of the result; null without one. A large one takes a second to be made."""
        return None if self.result is None else self.result.value


def run_of_row(row: Sequence[Any], damage: list[str], **documents: Any) -> StoredRun:
    """A run of a row; what the row cannot hold is named in `damage` and replaced."""
    columns: dict[str, Any] = dict(zip(COLUMN_NAMES, row, strict=True))
    damage = [*damage]
    for name, value in columns.items():
        if isinstance(value, bytes):
            columns[name] = value.decode("utf-8", "replace")
            damage.append(f"{name}: it is no text")
    if columns["status"] not in _STATUSES:
        damage.append(f"status: {columns['status']!r} is none")
        columns["status"] = RunStatus.ABORTED
    columns["status"] = RunStatus(columns["status"])
    columns["pinned"] = bool(columns["pinned"])
    for name, instead in (("started_at", 0), ("completed_at", None)):
        moment = columns[name]
        if moment != instead and not (isinstance(moment, int) and 0 <= moment <= _LATEST):
            damage.append(f"{name}: {moment!r} is no time")
            columns[name] = instead
    return StoredRun(**columns, **documents, damage="; ".join(damage) or None)
