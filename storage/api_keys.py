"""Keys of the HTTP server: made once, shown once, kept as hashes."""

import hashlib
import hmac
import secrets
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from storage.database import Database
from tools.json_text import decode_json, encode_json_text
from tools.run import now_ms

__all__ = ["ApiKey", "ApiKeyExistsError", "ApiKeyStore", "Scope", "is_same_key"]

#: Tells people and scanners of secrets what it is.
_PREFIX = "callslip_"
_SECRET_BYTES = 32
_USED_INTERVAL_MS = 60_000
_COLUMNS = "key_id, name, scopes, tool_ids, folders, created_at, last_used_at, revoked_at"


class Scope(StrEnum):
    """What a key may do."""

    #: Read tools, runs, systems.
    READ = "read"
    #: Start, cancel and repeat runs of stored tools.
    RUN = "run"
    #: Store tools, and run tools that are not stored.
    WRITE = "write"
    #: Everything, systems and their credentials too.
    ADMIN = "admin"


class ApiKeyExistsError(Exception):
    """A key of this name is there, or was."""


@dataclass(frozen=True)
class ApiKey:
    """A key as stored; times are milliseconds since the epoch."""

    key_id: int
    name: str
    scopes: frozenset[Scope]
    #: Only these tools, and those in these folders; both empty: all tools.
    tool_ids: tuple[str, ...]
    folders: tuple[str, ...]
    created_at: int
    last_used_at: int | None
    revoked_at: int | None


class ApiKeyStore:
    """The keys of a home."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(
        self,
        name: str,
        scopes: Sequence[Scope],
        tool_ids: Sequence[str] = (),
        folders: Sequence[str] = (),
    ) -> str:
        """Make a key; its text, which is nowhere afterwards. Raises `ApiKeyExistsError`."""
        key = _PREFIX + secrets.token_urlsafe(_SECRET_BYTES)
        row = (
            name,
            _hash(key),
            encode_json_text(sorted(scopes)),
            encode_json_text(list(tool_ids)),
            encode_json_text(list(folders)),
            now_ms(),
        )
        await self._database.write(lambda connection: _create(connection, name, row))
        return key

    async def list(self) -> list[ApiKey]:
        """All keys by name, revoked ones too."""
        return await self._database.read(_list)

    async def revoke(self, name: str) -> bool:
        """Make a key useless at once. False when no valid key has this name."""
        return await self._database.write(
            lambda connection: (
                connection.execute(
                    "UPDATE api_keys SET revoked_at = ? WHERE name = ? AND revoked_at IS NULL",
                    (now_ms(), name),
                ).rowcount
                > 0
            )
        )

    async def has_any(self) -> bool:
        """Whether there is a key that is not revoked."""
        return any(key.revoked_at is None for key in await self.list())

    async def find(self, key: str) -> ApiKey | None:
        """The stored key with this text, unless it is revoked; that it was used is noted."""
        digest = _hash(key)
        found = await self._database.read(lambda connection: _find(connection, digest))
        if found is None or self._database.is_read_only:
            return found
        if now_ms() - (found.last_used_at or 0) >= _USED_INTERVAL_MS:
            await self._database.write(
                lambda connection: connection.execute(
                    "UPDATE api_keys SET last_used_at = ? WHERE key_id = ?",
                    (now_ms(), found.key_id),
                )
            )
        return found


def is_same_key(given: str, expected: str) -> bool:
    """Whether two keys are the same, in a time that says nothing of where they differ."""
    return hmac.compare_digest(_hash(given), _hash(expected))


def _hash(key: str) -> bytes:
    # One round of SHA-256: a slow hash protects passwords, which can be guessed; 256 random bits
    # cannot, and every request waits for this.
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()


def _create(connection: sqlite3.Connection, name: str, row: Sequence[Any]) -> None:
    if connection.execute("SELECT 1 FROM api_keys WHERE name = ?", (name,)).fetchone():
        raise ApiKeyExistsError(
            f"a key named {name} is there, or was; runs name it, so choose another name"
        )
    connection.execute(
        "INSERT INTO api_keys (name, hash, scopes, tool_ids, folders, created_at) "
        "VALUES (?, ?, ?, ?, ?, ?)",
        row,
    )


def _list(connection: sqlite3.Connection) -> list[ApiKey]:
    rows = connection.execute(f"SELECT {_COLUMNS} FROM api_keys ORDER BY name")  # noqa: S608 - a constant
    return [_key(row) for row in rows]


def _find(connection: sqlite3.Connection, digest: bytes) -> ApiKey | None:
    row = connection.execute(
        f"SELECT {_COLUMNS}, hash FROM api_keys WHERE hash = ? AND revoked_at IS NULL",  # noqa: S608 - a constant
        (digest,),
    ).fetchone()
    # The index compares hashes, of which a caller cannot choose the bytes; the last word is here.
    return _key(row[:-1]) if row is not None and hmac.compare_digest(row[-1], digest) else None


def _key(row: Sequence[Any]) -> ApiKey:
    key_id, name, scopes, tool_ids, folders, created_at, last_used_at, revoked_at = row
    return ApiKey(
        key_id,
        name,
        frozenset(map(Scope, decode_json(scopes.encode()))),
        tuple(decode_json(tool_ids.encode())),
        tuple(decode_json(folders.encode())),
        created_at,
        last_used_at,
        revoked_at,
    )
