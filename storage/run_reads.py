"""What is read of one run, within one snapshot; damage to a part of it hides nothing else."""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from storage.blobs import BlobReader
from storage.objects import ObjectStore
from storage.run_queue import is_queued
from storage.run_record import COLUMNS, DerivedRun, StoredRun, run_of_row
from storage.snapshots import load_snapshot
from storage.step_documents import file_blob, steps_with_data
from tools.decoders import StoredFile
from tools.json_text import Json, JsonObject, decode_json
from tools.run import RunStatus

__all__ = ["ListMark", "read_file", "read_list_mark", "read_run", "read_status", "run_id_by_key"]

_STATUSES = frozenset(RunStatus)
_DERIVED_SHOWN = 20
_DOCUMENTS = ("inputs", "options", "result", "error_detail", "steps", "logs", "cost", "sub_tools")


@dataclass(frozen=True)
class ListMark:
    """What differs when the list of runs does: the newest, the running ones, and deletions."""

    newest_seq: int
    running_elsewhere: frozenset[int]
    deletions: int


def read_run(
    connection: sqlite3.Connection,
    run_id: str,
    reader: BlobReader,
    with_steps: bool,
    with_large: bool,
) -> StoredRun | None:
    """A run with its documents; what is damaged of it is named instead.

    What lies outside the database has to be fetched by `reader` before, `with_large`.
    """
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


def read_file(
    connection: sqlite3.Connection, run_id: str, key: str, reader: BlobReader
) -> StoredFile | None:
    """A file that a step of the run received. Raises `StorageError` when it has to be fetched."""
    row = connection.execute(
        "SELECT steps FROM runs JOIN run_details USING (seq) WHERE run_id = ?", (run_id,)
    ).fetchone()
    document = reader.document(connection, row[0]) if row is not None else None
    found = file_blob(decode_json(document), key) if document is not None else None
    if found is None:
        return None
    entry, blob_id = found
    return StoredFile(entry["name"], entry["contentType"], reader.blob(connection, blob_id))


def read_status(connection: sqlite3.Connection, run_id: str) -> RunStatus | None:
    """The status of a run; one that is none any more counts as aborted."""
    row = connection.execute("SELECT status FROM runs WHERE run_id = ?", (run_id,)).fetchone()
    if row is None:
        return None
    return RunStatus(row[0]) if row[0] in _STATUSES else RunStatus.ABORTED


def read_list_mark(connection: sqlite3.Connection, owner: str) -> ListMark:
    """What tells the process `owner` whether others changed the list of runs."""
    newest_seq = connection.execute("SELECT coalesce(max(seq), 0) FROM runs").fetchone()[0]
    # By the table's own index: in a home that can only be read `runs` is a view.
    running = connection.execute(
        "SELECT seq FROM runs WHERE seq IN (SELECT seq FROM main.runs WHERE status = 'running') "
        "AND status = 'running' AND owner IS NOT ?",
        (owner,),
    )
    deletions = connection.execute(
        "SELECT number FROM revisions WHERE subject = 'deleted runs'"
    ).fetchone()
    return ListMark(newest_seq, frozenset(row[0] for row in running), deletions[0])


def run_id_by_key(connection: sqlite3.Connection, tool_id: str, key: str) -> str | None:
    """The id of the run of a tool that has this idempotency key."""
    row = connection.execute(
        "SELECT run_id FROM runs WHERE tool_id = ? AND idempotency_key = ?", (tool_id, key)
    ).fetchone()
    return None if row is None else row[0]
