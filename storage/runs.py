"""The record of runs: written before the first request goes out, finished exactly once."""

import logging
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import anyio

from storage.blobs import (
    BlobReader,
    Packed,
    PackedDocument,
    pack_column,
    pack_text,
    place_elsewhere,
)
from storage.database import Database
from storage.errors import KeyTakenError, RunExistsError, StorageError
from storage.objects import ObjectStore
from storage.outbox import add_delivery
from storage.retention import (
    BATCH_RUNS,
    RetentionPolicy,
    delete_runs,
    expired,
    give_back_space,
    home_bytes,
    oldest,
    unused_space_pages,
)
from storage.run_lists import RunFilter, RunPage, list_runs
from storage.run_queue import enqueue_run, forget_queued, is_queued, release_of
from storage.run_record import COLUMNS, DerivedRun, NewRun, StoredRun, run_of_row
from storage.search import SEARCHED_BYTES, drop_forgotten_words, enqueue, index_waiting
from storage.snapshots import load_snapshot, store_snapshot
from storage.statistics import ToolStatistics, tool_statistics
from storage.step_documents import file_blob, pack_steps, steps_with_data
from storage.watched_runs import forget_watched
from tools.decoders import StoredFile
from tools.errors import ErrorDetail, ErrorKind
from tools.json_pieces import json_head
from tools.json_text import Json, JsonObject, decode_json, encode_json, encode_json_text
from tools.run import RunOutcome, RunStatus, handled_bytes, may_be_large, now_ms

__all__ = ["INTERRUPTED", "ListMark", "Pruned", "RunStore"]

_log = logging.getLogger(__name__)

_STATUSES = frozenset(RunStatus)

#: Results up to this size are packed where they are; a thread would cost more than it gains.
_PACKED_INLINE_BYTES = 64 * 1024
#: Ends with less than this are written in a moment.
_BRIEF_BYTES = 64 * 1024
_INDEXED_AT_ONCE = 100
_DERIVED_SHOWN = 20
#: The words of pruned runs are dropped at once when there are so many of those that are left.
_GAPS_WORTH_REWRITING = 0.1

INTERRUPTED = "interrupted: the server stopped during the run"


@dataclass(frozen=True)
class Pruned:
    """What pruning took out, or would: runs, and bytes of the home before and after."""

    runs: int
    bytes_before: int
    bytes_after: int


@dataclass(frozen=True)
class ListMark:
    """What differs when the list of runs does: the newest, the running ones, and deletions."""

    newest_seq: int
    running_elsewhere: frozenset[int]
    deletions: int


class RunStore:
    """The runs of a home."""

    def __init__(self, database: Database, objects: ObjectStore) -> None:
        self._database = database
        self._objects = objects

    async def start(self, run: NewRun) -> int:
        """Record that a run begins, or waits in the queue; its sequence number.

        Raises `RunExistsError` when the id is taken, `KeyTakenError` when the idempotency key is
        for this tool.
        """
        inputs = PackedDocument.of(encode_json(run.inputs))
        try:
            return await self._database.write(
                lambda connection: _start(connection, run, inputs), is_brief=inputs.packed is None
            )
        except RunExistsError:
            raise RunExistsError(f"run {run.run_id} is recorded already") from None

    async def finish(self, seq: int, outcome: RunOutcome) -> bool:
        """Record how a run ended. False when it had ended before: the first end stays."""
        if max(outcome.data_bytes or 0, handled_bytes(outcome.steps)) < _PACKED_INLINE_BYTES:
            details = _FinishedDetails.of(outcome)
        else:
            # Compressing lets other threads run.
            details = await anyio.to_thread.run_sync(_FinishedDetails.of, outcome)
        try:
            placed = await place_elsewhere(details.payloads(), self._objects)
        except StorageError as error:
            # The database has room for it, if not the best one.
            _log.warning("a large result is kept in the database: %s", error)
            placed = []
        try:
            is_first, unused = await self._database.write(
                lambda connection: _finish(connection, seq, outcome, details, placed),
                is_brief=details.stored_bytes < _BRIEF_BYTES,
            )
        except StorageError:
            await self._delete_objects([str(one.uri) for one in placed])
            raise
        await self._delete_objects(unused)
        return is_first

    async def get(
        self, run_id: str, *, with_steps: bool = True, with_large: bool = False
    ) -> StoredRun | None:
        """A run with its documents, or None.

        `with_large` also gets what lies outside the database; otherwise a large result is absent,
        and `result_uri` says where it is.
        """
        reader = BlobReader(self._objects)
        found = await self._get(run_id, reader, with_steps, with_large)
        if with_large and reader.wanted:
            await reader.fetch()
            found = await self._get(run_id, reader, with_steps, with_large)
        return found

    async def _get(
        self, run_id: str, reader: BlobReader, with_steps: bool, with_large: bool
    ) -> StoredRun | None:
        def read(connection: sqlite3.Connection) -> StoredRun | None:
            return _get(connection, run_id, reader, with_steps, with_large)

        return await self._database.read(read)

    async def get_file(self, run_id: str, key: str) -> StoredFile | None:
        """A file that a step of the run received, by the key its record shows."""
        reader = BlobReader(self._objects)

        def read(connection: sqlite3.Connection) -> StoredFile | None:
            return _get_file(connection, run_id, key, reader)

        try:
            return await self._database.read(read)
        except StorageError:
            if not reader.wanted:
                raise
        await reader.fetch()
        return await self._database.read(read)

    async def by_idempotency_key(self, tool_id: str, key: str) -> str | None:
        """The id of the run that was started with this key."""
        return await self._database.read(lambda connection: _by_key(connection, tool_id, key))

    async def status(self, run_id: str) -> RunStatus | None:
        return await self._database.read(lambda connection: _status(connection, run_id))

    async def list_mark(self, owner: str) -> ListMark:
        """What tells the process `owner` whether others changed the list of runs."""
        return await self._database.read(lambda connection: _list_mark(connection, owner))

    async def owners(self) -> list[str]:
        """Processes that have running runs."""
        return await self._database.read(
            lambda connection: [
                row[0]
                for row in connection.execute(
                    "SELECT DISTINCT owner FROM runs WHERE status = 'running' AND owner IS NOT NULL"
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
        """Runs newest first, from `offset`, or those older than `before_seq`.

        Raises `storage.search.SearchError`.
        """
        return await self._database.read(
            lambda connection: list_runs(connection, wanted, limit, offset, before_seq)
        )

    async def index_waiting(self) -> bool:
        """Make some ended runs searchable; whether more wait."""
        indexed = await self._database.write(
            lambda connection: index_waiting(connection, _INDEXED_AT_ONCE)
        )
        return indexed == _INDEXED_AT_ONCE

    async def has_waiting(self) -> bool:
        """Whether ended runs wait to be searchable."""
        return await self._database.read(
            lambda connection: bool(
                connection.execute("SELECT EXISTS (SELECT 1 FROM search_queue)").fetchone()[0]
            )
        )

    async def statistics(self, tool_id: str | None = None) -> Sequence[ToolStatistics]:
        """Counts and durations by tool, the most used first."""
        return await self._database.read(lambda connection: tool_statistics(connection, tool_id))

    async def pin(self, run_id: str, *, pinned: bool) -> bool:
        """Keep a run whatever its age, or no longer. False when there is no such run."""
        return await self._database.write(
            lambda connection: (
                connection.execute(
                    "UPDATE runs SET pinned = ? WHERE run_id = ?", (int(pinned), run_id)
                ).rowcount
                > 0
            )
        )

    async def delete(self, run_id: str) -> bool:
        """Take a run that has ended out of the history. False when there is none."""

        def work(connection: sqlite3.Connection) -> tuple[int, list[str]]:
            row = connection.execute("SELECT seq FROM runs WHERE run_id = ?", (run_id,)).fetchone()
            return delete_runs(connection, [row[0]] if row is not None else [])

        deleted, addresses = await self._database.write(work)
        await self._delete_objects(addresses)
        if deleted:
            await self._drop_forgotten_words()
        return deleted > 0

    async def prune(self, policy: RetentionPolicy) -> Pruned:
        """Take out what the policy does not keep, and give the space back.

        In small transactions: other writers wait for milliseconds. Raises `StorageError`.
        """
        before = await self._database.read(home_bytes)
        runs = 0
        while seqs := await self._database.read(
            lambda connection: expired(connection, policy, now_ms(), BATCH_RUNS)
        ):
            runs += await self._delete_batch(seqs)
        size = await self._database.read(home_bytes)
        while policy.max_bytes is not None and size > policy.max_bytes:
            seqs = await self._database.read(lambda connection: oldest(connection, BATCH_RUNS))
            if not seqs:
                break
            runs += await self._delete_batch(seqs)
            size = await self._database.read(home_bytes)
        if runs:
            left = await self._database.read(lambda connection: _all_runs(connection))
            # Rewriting the index takes as long as it is large, however few its gaps are.
            if runs >= left * _GAPS_WORTH_REWRITING:
                await self._drop_forgotten_words()
            await self._give_back_space()
        return Pruned(runs, before, await self._database.read(home_bytes))

    async def would_prune(self, policy: RetentionPolicy) -> Pruned:
        """What `prune` would take out; its bytes are an estimate from the average run."""
        return await self._database.read(lambda connection: _would_prune(connection, policy))

    async def sweep_objects(self, older_than_seconds: float) -> int:
        """Remove files of large results that no run has, left by a process that was killed."""
        files = await anyio.to_thread.run_sync(self._objects.files)
        latest = now_ms() / 1000 - older_than_seconds
        old = [uri for uri, written_at in files if written_at < latest]
        known = await self._database.read(
            lambda connection: {
                row[0] for row in connection.execute("SELECT uri FROM blobs WHERE uri IS NOT NULL")
            }
        )
        left = [uri for uri in old if uri not in known]
        await self._delete_objects(left)
        return len(left)

    async def announce_once(self, name: str) -> bool:
        """Whether this is said for the first time in this home; it is said then."""
        return await self._database.write(
            lambda connection: (
                connection.execute(
                    "INSERT OR IGNORE INTO announcements VALUES (?, ?)", (name, now_ms())
                ).rowcount
                > 0
            )
        )

    async def _delete_batch(self, seqs: Sequence[int]) -> int:
        deleted, addresses = await self._database.write(
            lambda connection: delete_runs(connection, seqs)
        )
        await self._delete_objects(addresses)
        return deleted

    async def _delete_objects(self, addresses: Sequence[str]) -> None:
        for address in addresses:
            try:
                await self._objects.delete(address)
            except StorageError as error:
                # Nothing refers to it any more; it only takes room.
                _log.warning("%s", error)

    async def _drop_forgotten_words(self) -> None:
        begins = True
        while await self._database.write(
            lambda connection, begins=begins: drop_forgotten_words(connection, begins=begins)
        ):
            begins = False

    async def _give_back_space(self) -> None:
        left = await self._database.read(unused_space_pages)
        while left:
            now_left = await self._database.write(give_back_space)
            if now_left >= left:
                return
            left = now_left


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
    #: The searched part of a result that will lie elsewhere.
    result_head: bytes | None

    def payloads(self) -> list[Packed]:
        """Everything that is stored as a blob."""
        documents = (self.result, self.logs, self.sub_tools)
        packed = [one.packed for one in documents if one is not None and one.packed is not None]
        return [*packed, *self.step_blobs.values()]

    @property
    def stored_bytes(self) -> int:
        """What the database gets, but for small documents."""
        return sum(len(one.data or b"") for one in self.payloads())

    @classmethod
    def of(cls, outcome: RunOutcome) -> "_FinishedDetails":
        result = head = None
        if outcome.data_bytes is not None:
            result = PackedDocument.of_json(outcome.data, outcome.data_json)
            if result.is_large:
                head = pack_text(json_head(outcome.data, SEARCHED_BYTES))
        steps, blobs = pack_steps(
            outcome.steps,
            outcome.data,
            result.packed if result is not None else None,
            may_be_large=may_be_large(outcome.steps, outcome.cost, outcome.sub_tools),
        )
        detail = outcome.error_detail
        logs = [line.wire() for line in outcome.logs]
        return cls(
            result,
            steps,
            blobs,
            encode_json_text(detail.wire()) if detail is not None else None,
            PackedDocument.of(encode_json(logs)) if logs else None,
            encode_json_text(outcome.cost.wire()),
            PackedDocument.of(encode_json(dict(outcome.sub_tools))) if outcome.sub_tools else None,
            head,
        )


def _start(connection: sqlite3.Connection, run: NewRun, inputs: PackedDocument) -> int:
    tool_id = run.tool["id"]
    if run.idempotency_key is not None:
        taken = _by_key(connection, tool_id, run.idempotency_key)
        if taken is not None:
            raise KeyTakenError(taken)
    snapshot_id = store_snapshot(connection, run.tool)
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
    _count(connection, tool_id, run.request_source, RunStatus.RUNNING)
    if run.queued is not None:
        enqueue_run(connection, seq, resumable=run.queued == "resumable")
    if run.webhook_target is not None:
        add_delivery(connection, run.run_id, run.webhook_target, run.chain)
    return seq


def _finish(
    connection: sqlite3.Connection,
    seq: int,
    outcome: RunOutcome,
    details: _FinishedDetails,
    placed: Sequence[Packed],
) -> tuple[bool, list[str]]:
    """Whether this was the first end, and the addresses that turned out not to be needed."""
    if not _end(connection, seq, outcome.status, outcome.error):
        return False, [str(one.uri) for one in placed]
    steps = details.steps
    for mark, packed in details.step_blobs.items():
        steps = steps.replace(mark, str(packed.store(connection, seq)))
    result = details.result.store(connection, seq) if details.result is not None else None
    connection.execute(
        """UPDATE run_details SET result = ?, error_detail = ?, steps = ?, logs = ?, cost = ?,
             sub_tools = ?, result_head = ? WHERE seq = ?""",
        (
            result,
            details.error_detail,
            pack_column(steps.encode("utf-8", "surrogatepass")),
            details.logs.store(connection, seq) if details.logs is not None else None,
            details.cost,
            details.sub_tools.store(connection, seq) if details.sub_tools is not None else None,
            details.result_head,
            seq,
        ),
    )
    return True, [str(one.uri) for one in placed if not _is_stored(connection, one)]


def _is_stored(connection: sqlite3.Connection, packed: Packed) -> bool:
    """Whether the blob of this content is the one at this address."""
    row = connection.execute("SELECT uri FROM blobs WHERE hash = ?", (packed.hash,)).fetchone()
    return row is not None and row[0] == packed.uri


def _end(connection: sqlite3.Connection, seq: int, status: RunStatus, error: str | None) -> bool:
    """Give a running run its final status, once."""
    row = connection.execute(
        """UPDATE runs SET status = ?, completed_at = ?, error = ?, owner = NULL
           WHERE seq = ? AND status = 'running' RETURNING tool_id, request_source, run_id""",
        (status, now_ms(), _storable(error), seq),
    ).fetchone()
    if row is None:
        return False
    tool_id, source, run_id = row
    _move_count(connection, tool_id, source, RunStatus.RUNNING, status)
    enqueue(connection, seq)
    forget_queued(connection, seq)
    connection.execute("DELETE FROM cancel_requests WHERE run_id = ?", (run_id,))
    forget_watched(connection, run_id)
    return True


def _storable(text: str | None) -> str | None:
    """Scripts may throw halves of surrogate pairs, which are no Unicode text."""
    return None if text is None else text.encode("utf-8", "replace").decode()


def _interrupt(connection: sqlite3.Connection, owner: str) -> int:
    release_of(connection, owner)
    owned = "SELECT seq FROM runs WHERE owner = ? AND status = 'running'"
    seqs = [row[0] for row in connection.execute(owned, (owner,))]
    detail = encode_json_text(ErrorDetail(kind=ErrorKind.INTERRUPTED, retryable=True).wire())
    for seq in seqs:
        _end(connection, seq, RunStatus.ABORTED, INTERRUPTED)
        connection.execute("UPDATE run_details SET error_detail = ? WHERE seq = ?", (detail, seq))
    return len(seqs)


def _count(connection: sqlite3.Connection, tool_id: str, source: str, status: str) -> None:
    connection.execute(
        """INSERT INTO run_counts VALUES (?, ?, ?, 1)
           ON CONFLICT (tool_id, status, request_source) DO UPDATE SET runs = runs + 1""",
        (tool_id, status, source),
    )


def _move_count(
    connection: sqlite3.Connection, tool_id: str, source: str, before: str, after: str
) -> None:
    connection.execute(
        """INSERT INTO run_counts VALUES (?1, ?2, ?4, -1), (?1, ?3, ?4, 1)
           ON CONFLICT (tool_id, status, request_source) DO UPDATE SET runs = runs + excluded.runs
        """,
        (tool_id, before, after, source),
    )


def _status(connection: sqlite3.Connection, run_id: str) -> RunStatus | None:
    row = connection.execute("SELECT status FROM runs WHERE run_id = ?", (run_id,)).fetchone()
    if row is None:
        return None
    return RunStatus(row[0]) if row[0] in _STATUSES else RunStatus.ABORTED


def _list_mark(connection: sqlite3.Connection, owner: str) -> ListMark:
    newest_seq = connection.execute("SELECT coalesce(max(seq), 0) FROM runs").fetchone()[0]
    running = connection.execute(
        "SELECT seq FROM runs WHERE status = 'running' AND owner IS NOT ?", (owner,)
    )
    deletions = connection.execute(
        "SELECT number FROM revisions WHERE subject = 'deleted runs'"
    ).fetchone()
    return ListMark(newest_seq, frozenset(row[0] for row in running), deletions[0])


def _by_key(connection: sqlite3.Connection, tool_id: str, key: str) -> str | None:
    row = connection.execute(
        "SELECT run_id FROM runs WHERE tool_id = ? AND idempotency_key = ?", (tool_id, key)
    ).fetchone()
    return None if row is None else row[0]


_DOCUMENTS = ("inputs", "options", "result", "error_detail", "steps", "logs", "cost", "sub_tools")


def _get(
    connection: sqlite3.Connection,
    run_id: str,
    reader: BlobReader,
    with_steps: bool,
    with_large: bool,
) -> StoredRun | None:
    row = _row_of(connection, run_id)
    if row is None:
        return None
    documents: dict[str, Any] = {}
    damage: list[str] = []
    details: Sequence[Any] = connection.execute(
        f"SELECT {', '.join(_DOCUMENTS)} FROM run_details WHERE seq = ?",  # noqa: S608 - a constant
        (row[0],),
    ).fetchone() or (None,) * len(_DOCUMENTS)
    columns = dict(zip(_DOCUMENTS, details, strict=True))
    documents |= _place_of_result(connection, columns["result"], reader.objects)
    if "result_uri" in documents and not with_large:
        columns["result"] = None
    if not with_steps:
        columns["steps"] = None
    for name, column in columns.items():
        if column is None:
            continue
        try:
            if name != "result":
                content = reader.document(connection, column) or b"null"
                documents[name] = _shaped(name, decode_json(content))
                continue
            text = reader.text(connection, column)
            if isinstance(column, str):
                # Blobs are proved by their hash; only a text in the row may have been changed.
                text.decode()
            documents[name] = text
        except (sqlite3.DatabaseError, ValueError) as error:
            damage.append(f"{name}: {error}")
    try:
        documents["tool"] = load_snapshot(connection, row[3])
    except sqlite3.DatabaseError as error:
        damage.append(f"tool: {error}")
    steps = documents.pop("steps", [])
    if with_steps:
        documents["steps"] = steps_with_data(connection, reader, steps, damage)
    try:
        documents["derived"] = _derived(connection, run_id)
        documents["waits"] = is_queued(connection, row[0])
    except sqlite3.DatabaseError as error:
        damage.append(f"what belongs to it: {error}")
    return run_of_row(row, damage, **documents)


def _row_of(connection: sqlite3.Connection, run_id: str) -> Sequence[Any] | None:
    statement = "SELECT {} FROM {} WHERE run_id = ?"
    try:
        return connection.execute(statement.format(COLUMNS, "runs"), (run_id,)).fetchone()
    except sqlite3.DatabaseError as error:
        if not getattr(error, "sqlite_errorname", "").startswith("SQLITE_CORRUPT"):
            raise
        # Without the index it only takes longer.
        plainly = statement.format(COLUMNS, "runs NOT INDEXED")
        return connection.execute(plainly, (run_id,)).fetchone()


def _place_of_result(
    connection: sqlite3.Connection, column: str | int | None, objects: ObjectStore
) -> dict[str, Any]:
    if not isinstance(column, int):
        return (
            {"result_bytes": len(column.encode("utf-8", "replace"))}
            if isinstance(column, str)
            else {}
        )
    found = connection.execute(
        "SELECT uri, size FROM blobs WHERE blob_id = ?", (column,)
    ).fetchone()
    if found is None:
        return {}
    place = {"result_uri": objects.public_uri(found[0])} if found[0] is not None else {}
    return {**place, "result_bytes": found[1]}


def _derived(connection: sqlite3.Connection, run_id: str) -> list[DerivedRun]:
    rows = connection.execute(
        "SELECT run_id, source_kind, status FROM runs WHERE source_run_id = ? "
        "ORDER BY seq DESC LIMIT ?",
        (run_id, _DERIVED_SHOWN),
    )
    return [DerivedRun(str(run), str(kind), str(status)) for run, kind, status in rows]


def _all_runs(connection: sqlite3.Connection) -> int:
    return connection.execute("SELECT coalesce(sum(runs), 0) FROM run_counts").fetchone()[0]


def _would_prune(connection: sqlite3.Connection, policy: RetentionPolicy) -> Pruned:
    before = home_bytes(connection)
    all_runs = _all_runs(connection)
    average = before / all_runs if all_runs else 0.0
    runs = len(expired(connection, policy, now_ms(), all_runs))
    after = before - round(runs * average)
    if policy.max_bytes is not None and after > policy.max_bytes and average:
        too_many = -(-(after - policy.max_bytes) // average)
        more = min(int(too_many), max(0, len(oldest(connection, all_runs)) - runs))
        runs += more
        after -= round(more * average)
    return Pruned(runs, before, max(after, 0))


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


def _get_file(
    connection: sqlite3.Connection, run_id: str, key: str, reader: BlobReader
) -> StoredFile | None:
    row = connection.execute(
        "SELECT steps FROM runs JOIN run_details USING (seq) WHERE run_id = ?", (run_id,)
    ).fetchone()
    document = reader.document(connection, row[0]) if row is not None else None
    found = file_blob(decode_json(document), key) if document is not None else None
    if found is None:
        return None
    entry, blob_id = found
    return StoredFile(entry["name"], entry["contentType"], reader.blob(connection, blob_id))
