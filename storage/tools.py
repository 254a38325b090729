"""Stored tools and their versions."""

import sqlite3
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from storage.database import Database
from storage.errors import StorageError
from storage.snapshots import decode_snapshot, load_snapshot, store_snapshot
from tools.json_text import JsonObject
from tools.run import now_ms, rfc3339

__all__ = [
    "BOOKKEEPING",
    "Author",
    "PutOutcome",
    "StoredTool",
    "ToolChange",
    "ToolChangedError",
    "ToolExistsError",
    "ToolRemoval",
    "ToolStore",
    "ToolVersion",
]

#: Fields that say when and as what a tool was stored, not what it does.
BOOKKEEPING = frozenset({"version", "createdAt", "updatedAt"})


class ToolExistsError(StorageError):
    """A tool of this id is stored already."""


class ToolChangedError(StorageError):
    """The tool is not at the version that a change was made from."""


@dataclass(frozen=True)
class Author:
    """Who changes a tool: a person or a key, and the client that did it for them."""

    user_id: str | None = None
    client_name: str | None = None


_NOBODY = Author()


@dataclass(frozen=True)
class StoredTool:
    """A definition as stored; `version_number` counts its versions from 1."""

    id: str
    version_number: int
    snapshot_id: int
    definition: JsonObject


@dataclass(frozen=True)
class PutOutcome:
    """What `put` did."""

    id: str
    version: str
    version_number: int
    outcome: Literal["added", "updated", "unchanged"]


@dataclass(frozen=True)
class ToolChange:
    """One of many changes: a tool put, or removed where there is no definition.

    `version_number` is the version that it is made from; None for a tool that is new.
    """

    tool_id: str
    version_number: int | None
    definition: JsonObject | None


@dataclass(frozen=True)
class ToolVersion:
    """A version that was stored once; `definition` is absent where it cannot be read."""

    version_number: int
    created_at: int
    definition: JsonObject | None
    changed_by: str | None = None
    client_name: str | None = None


@dataclass(frozen=True)
class ToolRemoval:
    """A time at which a tool was taken away; its versions stay."""

    removed_at: int
    changed_by: str | None = None
    client_name: str | None = None

    def wire(self) -> JsonObject:
        """`{removedAt, changedBy?, clientName?}`."""
        fields = {
            "removedAt": rfc3339(self.removed_at),
            "changedBy": self.changed_by,
            "clientName": self.client_name,
        }
        return {key: value for key, value in fields.items() if value is not None}


class ToolStore:
    """The tools of a home."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, definition: JsonObject, author: Author = _NOBODY) -> PutOutcome:
        """Add a checked definition, or make it the newest version of the tool of its id.

        The same content makes no new version; another one raises the patch number, unless the
        definition brings a higher version itself.
        """
        return await self._database.write(lambda connection: _put(connection, definition, author))

    async def add(self, definition: JsonObject, author: Author = _NOBODY) -> PutOutcome:
        """Add a checked definition. Raises `ToolExistsError`."""
        return await self._database.write(lambda connection: _add(connection, definition, author))

    async def replace(
        self, definition: JsonObject, version_number: int, author: Author = _NOBODY
    ) -> PutOutcome:
        """Like `put`, for a change made from this version. Raises `ToolChangedError`."""
        return await self._database.write(
            lambda connection: _replace(connection, definition, version_number, author)
        )

    async def change_all(self, changes: Sequence[ToolChange], author: Author = _NOBODY) -> None:
        """Make all changes, or none. Raises `ToolExistsError`, `ToolChangedError`."""
        await self._database.write(lambda connection: _change_all(connection, changes, author))

    async def rename(self, tool_id: str, new_id: str, author: Author = _NOBODY) -> bool:
        """Give a tool another id; its runs keep the old one. False when there was none.

        Raises `ToolExistsError`.
        """
        return await self._database.write(
            lambda connection: _rename(connection, tool_id, new_id, author)
        )

    async def versions(self, tool_id: str) -> list[ToolVersion]:
        """All versions of a tool, the newest first; those of a removed tool too."""
        return await self._database.read(lambda connection: _versions(connection, tool_id))

    async def removals(self, tool_id: str) -> list[ToolRemoval]:
        """When a tool was removed, the newest first."""
        return await self._database.read(lambda connection: _removals(connection, tool_id))

    async def restore(
        self, tool_id: str, version_number: int, author: Author = _NOBODY
    ) -> PutOutcome | None:
        """Make an earlier version the newest one again. None when there is no such version."""
        return await self._database.write(
            lambda connection: _restore(connection, tool_id, version_number, author)
        )

    async def get(self, tool_id: str) -> StoredTool | None:
        return await self._database.read(lambda connection: _get(connection, tool_id))

    async def list(self, known: Collection[StoredTool] = ()) -> list[StoredTool]:
        """All tools, archived ones too, by id; the same objects for `known` unchanged ones."""
        return await self._database.read(lambda connection: _list(connection, known))

    async def delete(self, tool_id: str, author: Author = _NOBODY) -> bool:
        """Remove a tool; its runs and their snapshots stay. False when there was none."""
        return await self._database.write(lambda connection: _delete(connection, tool_id, author))

    async def revision(self) -> int:
        """A number that grows with each change of any tool, by any process."""
        return await self._database.read(tools_revision)


def tools_revision(connection: sqlite3.Connection) -> int:
    """See `ToolStore.revision`."""
    row = connection.execute("SELECT number FROM revisions WHERE subject = 'tools'").fetchone()
    return row[0]


def _put(
    connection: sqlite3.Connection, definition: JsonObject, author: Author = _NOBODY
) -> PutOutcome:
    tool_id = definition["id"]
    now = now_ms()
    try:
        stored = _get(connection, tool_id)
    except sqlite3.DatabaseError:
        stored = None
    if stored is not None and not stored.definition.keys() >= BOOKKEEPING:
        # What is damaged is replaced.
        stored = None
    if stored is not None and _content(stored.definition) == _content(definition):
        return PutOutcome(tool_id, stored.definition["version"], stored.version_number, "unchanged")
    created_at = (
        definition.get("createdAt") or rfc3339(now)
        if stored is None
        else stored.definition["createdAt"]
    )
    version = _next_version(
        _newest_version(connection, tool_id) if stored is None else stored.definition["version"],
        definition.get("version"),
    )
    snapshot = {**definition, "version": version, "createdAt": created_at}
    snapshot["updatedAt"] = rfc3339(now)
    snapshot_id = store_snapshot(connection, snapshot)
    # Numbers go on after a tool was removed and added again: old runs name them.
    number = connection.execute(
        "SELECT coalesce(max(version_number), 0) + 1 FROM tool_versions WHERE tool_id = ?",
        (tool_id,),
    ).fetchone()[0]
    connection.execute(
        """INSERT INTO tools (tool_id, version_number, snapshot_id, created_at, updated_at)
           VALUES (?, ?, ?, ?, ?)
           ON CONFLICT (tool_id) DO UPDATE SET
             version_number = excluded.version_number, snapshot_id = excluded.snapshot_id,
             updated_at = excluded.updated_at""",
        (tool_id, number, snapshot_id, now, now),
    )
    connection.execute(
        "INSERT INTO tool_versions VALUES (?, ?, ?, ?, ?, ?)",
        (tool_id, number, snapshot_id, now, author.user_id, author.client_name),
    )
    _bump_revision(connection)
    return PutOutcome(tool_id, version, number, "added" if stored is None else "updated")


def _add(connection: sqlite3.Connection, definition: JsonObject, author: Author) -> PutOutcome:
    if _is_stored(connection, definition["id"]):
        raise ToolExistsError(f"tool {definition['id']} is stored already")
    return _put(connection, definition, author)


def _replace(
    connection: sqlite3.Connection, definition: JsonObject, version_number: int, author: Author
) -> PutOutcome:
    row = connection.execute(
        "SELECT version_number FROM tools WHERE tool_id = ?", (definition["id"],)
    ).fetchone()
    if row is None or row[0] != version_number:
        raise ToolChangedError(f"tool {definition['id']} was changed by another at this moment")
    return _put(connection, definition, author)


def _change_all(
    connection: sqlite3.Connection, changes: Sequence[ToolChange], author: Author
) -> None:
    for change in changes:
        if change.definition is None:
            _delete(connection, change.tool_id, author)
        elif change.version_number is None:
            _add(connection, change.definition, author)
        else:
            _replace(connection, change.definition, change.version_number, author)


def _rename(connection: sqlite3.Connection, tool_id: str, new_id: str, author: Author) -> bool:
    stored = _get(connection, tool_id)
    if stored is None:
        return False
    if _is_stored(connection, new_id):
        raise ToolExistsError(f"tool {new_id} is stored already")
    _put(connection, {**stored.definition, "id": new_id}, author)
    return _delete(connection, tool_id, author)


def _versions(connection: sqlite3.Connection, tool_id: str) -> list[ToolVersion]:
    rows = connection.execute(
        "SELECT version_number, created_at, snapshot_id, changed_by, client_name "
        "FROM tool_versions WHERE tool_id = ? ORDER BY version_number DESC",
        (tool_id,),
    ).fetchall()
    versions: list[ToolVersion] = []
    for number, created_at, snapshot_id, changed_by, client_name in rows:
        try:
            definition = load_snapshot(connection, snapshot_id)
        except sqlite3.DatabaseError:
            definition = None
        versions.append(ToolVersion(number, created_at, definition, changed_by, client_name))
    return versions


def _removals(connection: sqlite3.Connection, tool_id: str) -> list[ToolRemoval]:
    rows = connection.execute(
        "SELECT removed_at, changed_by, client_name FROM tool_removals WHERE tool_id = ? "
        "ORDER BY removal_id DESC",
        (tool_id,),
    )
    return [ToolRemoval(*row) for row in rows]


def _restore(
    connection: sqlite3.Connection, tool_id: str, version_number: int, author: Author
) -> PutOutcome | None:
    row = connection.execute(
        "SELECT snapshot_id FROM tool_versions WHERE tool_id = ? AND version_number = ?",
        (tool_id, version_number),
    ).fetchone()
    return None if row is None else _put(connection, load_snapshot(connection, row[0]), author)


def _is_stored(connection: sqlite3.Connection, tool_id: str) -> bool:
    row = connection.execute("SELECT 1 FROM tools WHERE tool_id = ?", (tool_id,)).fetchone()
    return row is not None


def _get(connection: sqlite3.Connection, tool_id: str) -> StoredTool | None:
    row = connection.execute(
        "SELECT tool_id, version_number, snapshot_id FROM tools WHERE tool_id = ?", (tool_id,)
    ).fetchone()
    return None if row is None else _stored(connection, *row)


def _stored(
    connection: sqlite3.Connection, tool_id: str, version_number: int, snapshot_id: int
) -> StoredTool:
    definition = load_snapshot(connection, snapshot_id)
    return StoredTool(tool_id, version_number, snapshot_id, definition)


def _list(connection: sqlite3.Connection, known: Collection[StoredTool]) -> list[StoredTool]:
    # Decoding takes longer than reading: of many tools few change at once.
    decoded = {(one.id, one.version_number, one.snapshot_id): one for one in known}
    # One statement: a home with many tools is read whole before the first answer.
    rows = connection.execute(
        """SELECT tool_id, version_number, snapshot_id, definition
           FROM tools JOIN snapshots USING (snapshot_id) ORDER BY tool_id"""
    )
    tools: list[StoredTool] = []
    for tool_id, version_number, snapshot_id, definition in rows:
        stored = decoded.get((tool_id, version_number, snapshot_id))
        if stored is None:
            try:
                content = decode_snapshot(snapshot_id, definition)
            except sqlite3.DatabaseError:
                # One damaged definition must not hide the others; `callslip doctor` names it.
                continue
            stored = StoredTool(tool_id, version_number, snapshot_id, content)
        tools.append(stored)
    return tools


def _delete(connection: sqlite3.Connection, tool_id: str, author: Author) -> bool:
    removed = connection.execute("DELETE FROM tools WHERE tool_id = ?", (tool_id,)).rowcount > 0
    if removed:
        connection.execute(
            "INSERT INTO tool_removals (tool_id, removed_at, changed_by, client_name) "
            "VALUES (?, ?, ?, ?)",
            (tool_id, now_ms(), author.user_id, author.client_name),
        )
        _bump_revision(connection)
    return removed


def _bump_revision(connection: sqlite3.Connection) -> None:
    connection.execute("UPDATE revisions SET number = number + 1 WHERE subject = 'tools'")


def _content(definition: JsonObject) -> JsonObject:
    return {key: value for key, value in definition.items() if key not in BOOKKEEPING}


def _newest_version(connection: sqlite3.Connection, tool_id: str) -> str | None:
    """Of a tool that was removed: a version means one content."""
    row = connection.execute(
        "SELECT snapshot_id FROM tool_versions WHERE tool_id = ? "
        "ORDER BY version_number DESC LIMIT 1",
        (tool_id,),
    ).fetchone()
    try:
        return None if row is None else load_snapshot(connection, row[0]).get("version")
    except sqlite3.DatabaseError:
        return None


def _next_version(before: str | None, given: str | None) -> str:
    if before is None:
        return given or "1.0.0"
    major, minor, patch = _numbers(before)
    if given is not None and _numbers(given) > (major, minor, patch):
        return given
    return f"{major}.{minor}.{patch + 1}"


def _numbers(version: str) -> tuple[int, int, int]:
    major, minor, patch = version.split(".")
    return int(major), int(minor), int(patch)
