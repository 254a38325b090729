"""The record of runs: written before the first request goes out, finished exactly once."""

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import anyio

from storage.blobs import Packed, PackedDocument, load_blob, load_document
from storage.database import Database
from storage.errors import RunExistsError
from storage.snapshots import load_snapshot, store_snapshot
from storage.step_documents import file_blob, pack_steps, steps_with_data
from tools.decoders import StoredFile
from tools.errors import ErrorDetail, ErrorKind
from tools.json_text import Json, JsonObject, decode_json, encode_json, encode_json_text
from tools.run import RequestSource, RunOutcome, RunStatus, now_ms

__all__ = ["NewRun", "RunFilter", "RunPage", "RunStore", "StoredRun"]

_COLUMN_NAMES = (
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
)
_COLUMNS = ", ".join(_COLUMN_NAMES)

_STATUSES = frozenset(RunStatus)
#: The last millisecond that RFC 3339 can say.
_LATEST = 253_402_300_799_999
#: SQLite counts no further.
_MOST = 2**62

#: Results up to this size are packed where they are; a thread would cost more than it gains.
_PACKED_INLINE_BYTES = 64 * 1024

INTERRUPTED = "interrupted: the server stopped during the run"


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
    source_kind: str | None = None
    idempotency_key: str | None = None


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
    tool: JsonObject | None = None
    inputs: JsonObject | None = None
    options: JsonObject | None = None
    error_detail: JsonObject | None = None
    cost: JsonObject | None = None
    logs: list[Json] = field(default_factory=list[Json])
    steps: list[JsonObject] = field(default_factory=list[JsonObject])
    sub_tools: JsonObject | None = None
    #: The JSON text of the result, of a run that succeeded.
    result: bytes | None = None
    #: What could not be read of a damaged record, in words.
    damage: str | None = None


@dataclass(frozen=True)
class RunFilter:
    """Which runs; absent fields do not narrow."""

    tool_id: str | None = None
    status: RunStatus | None = None
    request_sources: tuple[RequestSource, ...] = ()


@dataclass(frozen=True)
class RunPage:
    """Runs, newest first; `total` counts all that match."""

    runs: list[StoredRun]
    total: int
    has_more: bool


class RunStore:
    """The runs of a home."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def start(self, run: NewRun) -> int:
        """Record that a run begins; its sequence number.

        Raises `RunExistsError` when the id, or the idempotency key for this tool, is taken.
        """
        inputs = PackedDocument.of(encode_json(run.inputs))
        return await self._database.write(lambda connection: _start(connection, run, inputs))

    async def finish(self, seq: int, outcome: RunOutcome) -> bool:
        """Record how a run ended. False when it had ended before: the first end stays."""
        if len(outcome.data_json or b"") < _PACKED_INLINE_BYTES:
            details = _FinishedDetails.of(outcome)
        else:
            # Compressing lets other threads run.
            details = await anyio.to_thread.run_sync(_FinishedDetails.of, outcome)
        return await self._database.write(
            lambda connection: _finish(connection, seq, outcome, details)
        )

    async def get(self, run_id: str, *, with_steps: bool = True) -> StoredRun | None:
        """A run with its documents, or None."""
        return await self._database.read(lambda connection: _get(connection, run_id, with_steps))

    async def get_file(self, run_id: str, key: str) -> StoredFile | None:
        """A file that a step of the run received, by the key its record shows."""
        return await self._database.read(lambda connection: _get_file(connection, run_id, key))

    async def status(self, run_id: str) -> RunStatus | None:
        return await self._database.read(lambda connection: _status(connection, run_id))

    async def newest_seq(self) -> int:
        """The sequence number of the newest run, 0 when there is none."""
        return await self._database.read(
            lambda connection: connection.execute(
                "SELECT coalesce(max(seq), 0) FROM runs"
            ).fetchone()[0]
        )

    async def owners(self) -> list[str]:
        """Processes that have running runs."""
        return await self._database.read(
            lambda connection: [
                row[0]
                for row in connection.execute(
                    "SELECT DISTINCT owner FROM runs WHERE owner IS NOT NULL"
                )
            ]
        )

    async def interrupt(self, owner: str) -> int:
        """End the running runs of a process that is gone; how many there were."""
        return await self._database.write(lambda connection: _interrupt(connection, owner))

    async def request_cancel(self, run_id: str, reason: str) -> None:
        """Leave a wish for the process that owns the run."""
        await self._database.write(
            lambda connection: connection.execute(
                "INSERT OR REPLACE INTO cancel_requests VALUES (?, ?, ?)",
                (run_id, now_ms(), reason),
            )
        )

    async def cancel_requests(self) -> dict[str, str]:
        """Open wishes: run id to reason."""
        return await self._database.read(
            lambda connection: dict(
                connection.execute("SELECT run_id, reason FROM cancel_requests").fetchall()
            )
        )

    async def list(
        self, wanted: RunFilter, *, limit: int, offset: int = 0, before_seq: int | None = None
    ) -> RunPage:
        """Runs newest first, from `offset`, or those older than `before_seq`."""
        return await self._database.read(
            lambda connection: _list(connection, wanted, limit, offset, before_seq)
        )


@dataclass(frozen=True)
class _FinishedDetails:
    """The documents of an ended run, encoded and compressed before the writer gets them."""

    result: PackedDocument | None
    steps: str
    step_blobs: Mapping[str, Packed]
    error_detail: str | None
    logs: PackedDocument | None
    cost: str
    sub_tools: PackedDocument | None

    @classmethod
    def of(cls, outcome: RunOutcome) -> "_FinishedDetails":
        steps, blobs = pack_steps(outcome.steps)
        detail = outcome.error_detail
        logs = [line.wire() for line in outcome.logs]
        return cls(
            PackedDocument.of(outcome.data_json) if outcome.data_json is not None else None,
            steps,
            blobs,
            encode_json_text(detail.wire()) if detail is not None else None,
            PackedDocument.of(encode_json(logs)) if logs else None,
            encode_json_text(outcome.cost.wire()),
            PackedDocument.of(encode_json(dict(outcome.sub_tools))) if outcome.sub_tools else None,
        )


def _start(connection: sqlite3.Connection, run: NewRun, inputs: PackedDocument) -> int:
    tool_id = run.tool["id"]
    if run.idempotency_key is not None:
        taken = connection.execute(
            "SELECT 1 FROM runs WHERE tool_id = ? AND idempotency_key = ?",
            (tool_id, run.idempotency_key),
        ).fetchone()
        if taken:
            raise RunExistsError("a run with this idempotency key is recorded already")
    snapshot_id = store_snapshot(connection, run.tool)
    if connection.execute("SELECT 1 FROM runs WHERE run_id = ?", (run.run_id,)).fetchone():
        raise RunExistsError(f"run {run.run_id} is recorded already")
    seq = connection.execute(
        """INSERT INTO runs (run_id, tool_id, snapshot_id, version_number, status, request_source,
             started_at, execution_mode, owner, trace_id, user_id, client_name, client_version,
             parent_run_id, source_run_id, source_kind, idempotency_key)
           VALUES (?, ?, ?, ?, 'running', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)""",
        (
            run.run_id,
            tool_id,
            snapshot_id,
            run.version_number,
            run.request_source,
            run.started_at,
            run.execution_mode,
            run.owner,
            run.trace_id,
            run.user_id,
            run.client_name,
            run.client_version,
            run.parent_run_id,
            run.source_run_id,
            run.source_kind,
            run.idempotency_key,
        ),
    ).lastrowid
    if seq is None:
        raise AssertionError("an insert has a row id")
    connection.execute(
        "INSERT INTO run_details (seq, inputs, options) VALUES (?, ?, ?)",
        (seq, inputs.store(connection, seq), encode_json_text(run.options)),
    )
    _count(connection, tool_id, RunStatus.RUNNING, run.request_source, 1)
    return seq


def _finish(
    connection: sqlite3.Connection, seq: int, outcome: RunOutcome, details: _FinishedDetails
) -> bool:
    if not _end(connection, seq, outcome.status, outcome.error):
        return False
    steps = details.steps
    for mark, packed in details.step_blobs.items():
        steps = steps.replace(mark, str(packed.store(connection, seq)))
    connection.execute(
        """UPDATE run_details SET result = ?, error_detail = ?, steps = ?, logs = ?, cost = ?,
             sub_tools = ? WHERE seq = ?""",
        (
            details.result.store(connection, seq) if details.result is not None else None,
            details.error_detail,
            PackedDocument.of(steps.encode("utf-8", "surrogatepass")).store(connection, seq),
            details.logs.store(connection, seq) if details.logs is not None else None,
            details.cost,
            details.sub_tools.store(connection, seq) if details.sub_tools is not None else None,
            seq,
        ),
    )
    return True


def _end(connection: sqlite3.Connection, seq: int, status: RunStatus, error: str | None) -> bool:
    """Give a running run its final status, once."""
    row = connection.execute(
        "SELECT tool_id, request_source, run_id FROM runs WHERE seq = ? AND status = 'running'",
        (seq,),
    ).fetchone()
    if row is None:
        return False
    tool_id, source, run_id = row
    connection.execute(
        "UPDATE runs SET status = ?, completed_at = ?, error = ?, owner = NULL WHERE seq = ?",
        (status, now_ms(), _storable(error), seq),
    )
    _count(connection, tool_id, RunStatus.RUNNING, source, -1)
    _count(connection, tool_id, status, source, 1)
    connection.execute("DELETE FROM cancel_requests WHERE run_id = ?", (run_id,))
    return True


def _storable(text: str | None) -> str | None:
    """Scripts may throw halves of surrogate pairs, which are no Unicode text."""
    return None if text is None else text.encode("utf-8", "replace").decode()


def _interrupt(connection: sqlite3.Connection, owner: str) -> int:
    seqs = [row[0] for row in connection.execute("SELECT seq FROM runs WHERE owner = ?", (owner,))]
    detail = encode_json_text(ErrorDetail(kind=ErrorKind.INTERRUPTED, retryable=True).wire())
    for seq in seqs:
        _end(connection, seq, RunStatus.ABORTED, INTERRUPTED)
        connection.execute("UPDATE run_details SET error_detail = ? WHERE seq = ?", (detail, seq))
    return len(seqs)


def _count(
    connection: sqlite3.Connection, tool_id: str, status: str, source: str, change: int
) -> None:
    connection.execute(
        """INSERT INTO run_counts VALUES (?1, ?2, ?3, ?4)
           ON CONFLICT (tool_id, status, request_source) DO UPDATE SET runs = runs + ?4""",
        (tool_id, status, source, change),
    )


def _status(connection: sqlite3.Connection, run_id: str) -> RunStatus | None:
    row = connection.execute("SELECT status FROM runs WHERE run_id = ?", (run_id,)).fetchone()
    if row is None:
        return None
    return RunStatus(row[0]) if row[0] in _STATUSES else RunStatus.ABORTED


def _get(connection: sqlite3.Connection, run_id: str, with_steps: bool) -> StoredRun | None:
    row = connection.execute(
        f"SELECT {_COLUMNS} FROM runs WHERE run_id = ?",  # noqa: S608 - a constant
        (run_id,),
    ).fetchone()
    if row is None:
        return None
    documents: dict[str, Any] = {}
    damage: list[str] = []
    details: Sequence[Any] | None = connection.execute(
        """SELECT inputs, options, result, error_detail, steps, logs, cost, sub_tools
           FROM run_details WHERE seq = ?""",
        (row[0],),
    ).fetchone()
    names = ("inputs", "options", "result", "error_detail", "steps", "logs", "cost", "sub_tools")
    for name, column in zip(names, details or (None,) * len(names), strict=True):
        if column is None or (name == "steps" and not with_steps):
            continue
        try:
            content = load_document(connection, column) or b"null"
            if name != "result":
                documents[name] = _shaped(name, decode_json(content))
                continue
            if isinstance(column, str):
                # Blobs are proved by their hash; only a text in the row may have been changed.
                decode_json(content)
            documents[name] = content
        except (sqlite3.DatabaseError, ValueError) as error:
            damage.append(f"{name}: {error}")
    try:
        documents["tool"] = load_snapshot(connection, row[3])
    except sqlite3.DatabaseError as error:
        damage.append(f"tool: {error}")
    steps = documents.pop("steps", [])
    if with_steps:
        documents["steps"] = steps_with_data(connection, steps, damage)
    return _stored(row, damage, **documents)


def _shaped(name: str, value: Json) -> Json:
    if name not in {"steps", "logs"}:
        if not isinstance(value, dict):
            raise ValueError("it is no object")
        return cast("JsonObject", value)
    if not isinstance(value, list) or not all(
        isinstance(element, dict) for element in cast("list[Json]", value)
    ):
        raise ValueError("it is no list of objects")
    return cast("list[Json]", value)


def _get_file(connection: sqlite3.Connection, run_id: str, key: str) -> StoredFile | None:
    row = connection.execute(
        "SELECT steps FROM runs JOIN run_details USING (seq) WHERE run_id = ?", (run_id,)
    ).fetchone()
    document = load_document(connection, row[0]) if row is not None else None
    found = file_blob(decode_json(document), key) if document is not None else None
    if found is None:
        return None
    entry, blob_id = found
    return StoredFile(entry["name"], entry["contentType"], load_blob(connection, blob_id))


def _stored(row: Sequence[Any], damage: list[str], **documents: Any) -> StoredRun:
    """A run of a row; what the row cannot hold is named in `damage` and replaced."""
    columns: dict[str, Any] = dict(zip(_COLUMN_NAMES, row, strict=True))
    damage = [*damage]
    for name, value in columns.items():
        if isinstance(value, bytes):
            columns[name] = value.decode("utf-8", "replace")
            damage.append(f"{name}: it is no text")
    if columns["status"] not in _STATUSES:
        damage.append(f"status: {columns['status']!r} is none")
        columns["status"] = RunStatus.ABORTED
    columns["status"] = RunStatus(columns["status"])
    for name, instead in (("started_at", 0), ("completed_at", None)):
        moment = columns[name]
        if moment != instead and not (isinstance(moment, int) and 0 <= moment <= _LATEST):
            damage.append(f"{name}: {moment!r} is no time")
            columns[name] = instead
    return StoredRun(**columns, **documents, damage="; ".join(damage) or None)


def _list(
    connection: sqlite3.Connection,
    wanted: RunFilter,
    limit: int,
    offset: int,
    before_seq: int | None,
) -> RunPage:
    offset = min(offset, _MOST)
    before_seq = None if before_seq is None else min(before_seq, _MOST)
    rows = _newest_rows(connection, wanted, limit + 1, offset, before_seq)
    runs: list[StoredRun] = []
    snapshots: dict[int, JsonObject] = {}
    for row in rows[:limit]:
        snapshot_id = row[3]
        try:
            if snapshot_id not in snapshots:
                snapshots[snapshot_id] = load_snapshot(connection, snapshot_id)
            runs.append(_stored(row, [], tool=snapshots[snapshot_id]))
        except sqlite3.DatabaseError as error:
            # One bad row never breaks a list.
            runs.append(_stored(row, [f"tool: {error}"]))
    return RunPage(runs, _total(connection, wanted), len(rows) > limit)


def _newest_rows(
    connection: sqlite3.Connection,
    wanted: RunFilter,
    limit: int,
    offset: int,
    before_seq: int | None,
) -> list[Sequence[Any]]:
    # One branch a source, each read in index order up to the limit: `IN (…)` would sort them all.
    branches: list[str] = []
    parameters: list[Any] = []
    for source in wanted.request_sources or (None,):
        conditions = ["1"]
        for column, value in (
            ("tool_id", wanted.tool_id),
            ("status", wanted.status),
            ("request_source", source),
        ):
            if value is not None:
                conditions.append(f"{column} = ?")
                parameters.append(value)
        if before_seq is not None:
            conditions.append("seq < ?")
            parameters.append(before_seq)
        branches.append(
            f"SELECT * FROM (SELECT {_COLUMNS} FROM runs WHERE {' AND '.join(conditions)} "  # noqa: S608 - values are bound
            f"ORDER BY seq DESC LIMIT {limit + offset})"
        )
    statement = f"{' UNION ALL '.join(branches)} ORDER BY seq DESC LIMIT ? OFFSET ?"
    return connection.execute(statement, (*parameters, limit, offset)).fetchall()


def _total(connection: sqlite3.Connection, wanted: RunFilter) -> int:
    conditions = ["1"]
    parameters: list[Any] = []
    for column, value in (("tool_id", wanted.tool_id), ("status", wanted.status)):
        if value is not None:
            conditions.append(f"{column} = ?")
            parameters.append(value)
    if wanted.request_sources:
        conditions.append(f"request_source IN ({', '.join('?' * len(wanted.request_sources))})")
        parameters.extend(wanted.request_sources)
    return connection.execute(
        f"SELECT coalesce(sum(runs), 0) FROM run_counts WHERE {' AND '.join(conditions)}",  # noqa: S608 - values are bound
        parameters,
    ).fetchone()[0]
