"""Definitions of tools, each text once."""

import hashlib
import sqlite3
from typing import cast

from tools.json_text import JsonObject, decode_json, encode_json

__all__ = ["decode_snapshot", "drop_unused_snapshots", "load_snapshot", "store_snapshot"]


def store_snapshot(connection: sqlite3.Connection, definition: JsonObject) -> int:
    """The id of the snapshot with this definition; stored unless it is there."""
    content = encode_json(definition)
    digest = hashlib.blake2b(content, digest_size=20).digest()
    row = connection.execute(
        "SELECT snapshot_id FROM snapshots WHERE hash = ?", (digest,)
    ).fetchone()
    if row is not None:
        return row[0]
    snapshot_id = connection.execute(
        "INSERT INTO snapshots (hash, definition) VALUES (?, ?)", (digest, content.decode())
    ).lastrowid
    if snapshot_id is None:
        raise AssertionError("an insert has a row id")
    return snapshot_id


def load_snapshot(connection: sqlite3.Connection, snapshot_id: int) -> JsonObject:
    """A definition. Raises `sqlite3.DatabaseError` when it is gone or damaged."""
    row = connection.execute(
        "SELECT definition FROM snapshots WHERE snapshot_id = ?", (snapshot_id,)
    ).fetchone()
    if row is None:
        raise sqlite3.DatabaseError(f"snapshot {snapshot_id} is not there")
    return decode_snapshot(snapshot_id, row[0])


def decode_snapshot(snapshot_id: int, text: object) -> JsonObject:
    """The definition that a row holds. Raises `sqlite3.DatabaseError` when it is damaged."""
    try:
        definition = decode_json(str(text).encode())
    except ValueError as error:
        raise sqlite3.DatabaseError(f"snapshot {snapshot_id} is damaged: {error}") from error
    if not isinstance(definition, dict):
        raise sqlite3.DatabaseError(f"snapshot {snapshot_id} is damaged: it is no object")
    return cast("JsonObject", definition)


def drop_unused_snapshots(connection: sqlite3.Connection) -> None:
    """Remove definitions that no version of a tool and no run needs."""
    connection.execute(
        """DELETE FROM snapshots
           WHERE snapshot_id NOT IN (SELECT snapshot_id FROM tool_versions)
             AND json_valid(definition)
             AND NOT EXISTS (
               SELECT 1 FROM runs
               WHERE runs.tool_id = json_extract(definition, '$.id')
                 AND runs.snapshot_id = snapshots.snapshot_id)"""
    )
