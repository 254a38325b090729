"""What is written of a run, within one transaction: when it begins, and when it ends."""

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from storage.blobs import Packed, PackedDocument, pack_column, pack_text
from storage.errors import KeyTakenError
from storage.orphans import INTERRUPTED, interrupted_detail
from storage.outbox import add_delivery
from storage.run_queue import enqueue_run, forget_queued, release_of
from storage.run_reads import run_id_by_key
from storage.run_record import NewRun
from storage.search import SEARCHED_BYTES, enqueue
from storage.snapshots import store_snapshot
from storage.step_documents import pack_steps, with_blob_ids
from storage.watched_runs import forget_watched
from tools.json_pieces import json_head
from tools.json_text import encode_json, encode_json_text
from tools.run import RunOutcome, RunStatus, may_be_large, now_ms

__all__ = ["FinishedDetails", "finish_run", "interrupt_runs", "start_run"]


#: Ends with no more than this are written in a moment.
_BRIEF_BYTES = 64 * 1024
_FEW_PAYLOADS = 20


@dataclass(frozen=True)
class FinishedDetails:
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
    def is_brief(self) -> bool:
        """Whether writing it takes a moment only: a few small payloads."""
        payloads = self.payloads()
        stored_bytes = len(self.steps) + sum(len(one.data or b"") for one in payloads)
        return len(payloads) <= _FEW_PAYLOADS and stored_bytes < _BRIEF_BYTES

    @classmethod
    def of(cls, outcome: RunOutcome) -> "FinishedDetails":
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


def start_run(connection: sqlite3.Connection, run: NewRun, inputs: PackedDocument) -> int:
    """Write that a run begins, or waits; its sequence number. Raises `KeyTakenError`."""
    tool_id = run.tool["id"]
    if run.idempotency_key is not None:
        taken = run_id_by_key(connection, tool_id, run.idempotency_key)
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


def finish_run(
    connection: sqlite3.Connection,
    seq: int,
    outcome: RunOutcome,
    details: FinishedDetails,
    placed: Sequence[Packed],
) -> tuple[bool, list[str]]:
    """Whether this was the first end, and the addresses that turned out not to be needed."""
    if not end_run(connection, seq, outcome.status, outcome.error):
        return False, [str(one.uri) for one in placed]
    ids = {mark: str(packed.store(connection, seq)) for mark, packed in details.step_blobs.items()}
    steps = with_blob_ids(details.steps, ids)
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


def end_run(connection: sqlite3.Connection, seq: int, status: RunStatus, error: str | None) -> bool:
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


def interrupt_runs(connection: sqlite3.Connection, owner: str) -> int:
    """End the running runs of a process that is gone; how many there were."""
    release_of(connection, owner)
    owned = "SELECT seq FROM runs WHERE owner = ? AND status = 'running'"
    seqs = [row[0] for row in connection.execute(owned, (owner,))]
    detail = interrupted_detail()
    for seq in seqs:
        end_run(connection, seq, RunStatus.ABORTED, INTERRUPTED)
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
        """INSERT INTO run_counts VALUES (?, ?, ?, -1), (?, ?, ?, 1)
           ON CONFLICT (tool_id, status, request_source) DO UPDATE SET runs = runs + excluded.runs
        """,
        (tool_id, before, source, tool_id, after, source),
    )
