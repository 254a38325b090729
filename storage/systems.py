"""Stored systems and their credentials."""

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from storage.database import Database
from storage.secrets import (
    KeyProblemError,
    MasterKey,
    SecretBox,
    find_master_key,
    new_master_key,
    replace_key_file,
    write_key_file,
)
from tools.json_text import JsonObject, decode_json, encode_json_text
from tools.run import now_ms, rfc3339

__all__ = ["KeyPlaces", "StoredCredential", "StoredSystem", "SystemStore"]


#: The place that tokens are bound to; no credential can have this name.
_TOKEN = "\0token"  # noqa: S105 - a name


@dataclass(frozen=True)
class KeyPlaces:
    """Where the master key may be: the environment's text, and the key file."""

    environment_key: str | None
    key_file: Path

    def __repr__(self) -> str:
        return f"KeyPlaces({self.key_file})"


@dataclass(frozen=True)
class StoredCredential:
    """A credential as listed: that it is set, never what it is."""

    name: str
    updated_at: int
    #: Where it is read from at run time, when it is not stored.
    source: JsonObject | None

    def wire(self) -> JsonObject:
        view: JsonObject = {"set": True, "updatedAt": rfc3339(self.updated_at)}
        if self.source is not None:
            view["source"] = next(iter(self.source))
        return view


@dataclass(frozen=True)
class StoredSystem:
    """A system as stored, without its secrets."""

    id: str
    environment: str
    definition: JsonObject
    credentials: tuple[StoredCredential, ...]

    def wire(self) -> JsonObject:
        """The view for people and models: credentials by name only."""
        named = {credential.name: credential.wire() for credential in self.credentials}
        return {**self.definition, "credentials": named}


class SystemStore:
    """The systems of a home. The master key is read when a secret is first needed."""

    def __init__(self, database: Database, places: KeyPlaces) -> None:
        self._database = database
        self._places = places

    async def put(self, definition: JsonObject, values: Mapping[str, str | JsonObject]) -> bool:
        """Store a checked definition and credentials; True when the system is new.

        Credentials that are not named keep what they have. Raises `KeyProblemError`.
        """
        box = await self._box_for_writing() if _has_text(values) else None
        return await self._database.write(
            lambda connection: _put(connection, definition, values, box)
        )

    async def get(self, system_id: str, environment: str) -> StoredSystem | None:
        return await self._database.read(
            lambda connection: _get(connection, system_id, environment)
        )

    async def delete(self, system_id: str, environment: str) -> bool:
        """Remove a system with its credentials. False when there was none."""
        return await self._database.write(
            lambda connection: _delete(connection, system_id, environment)
        )

    async def set_credential(
        self, system_id: str, environment: str, name: str, value: str | JsonObject
    ) -> None:
        """Store a value sealed, or where to read it. Raises `KeyProblemError`."""
        box = await self._box_for_writing() if isinstance(value, str) else None
        await self._database.write(
            lambda connection: _set(connection, system_id, environment, name, value, box)
        )

    async def unset_credential(self, system_id: str, environment: str, name: str) -> bool:
        """Forget a credential. False when there was none."""
        return await self._database.write(
            lambda connection: (
                connection.execute(
                    "DELETE FROM credentials WHERE system_id = ? AND environment = ? AND name = ?",
                    (system_id, environment, name),
                ).rowcount
                > 0
            )
        )

    async def secrets(self, system_id: str, environment: str) -> dict[str, str | JsonObject]:
        """The credentials of a system: values opened, sources as they are.

        Raises `KeyProblemError`.
        """
        rows = await self._database.read(
            lambda connection: connection.execute(
                """SELECT name, sealed, source FROM credentials
                   WHERE system_id = ? AND environment = ?""",
                (system_id, environment),
            ).fetchall()
        )
        box = await self._box() if any(sealed is not None for _, sealed, _ in rows) else None
        return {
            name: decode_json(source.encode())
            if box is None or sealed is None
            else box.open(sealed, (system_id, environment, name))
            for name, sealed, source in rows
        }

    async def get_token(self, system_id: str, environment: str) -> JsonObject | None:
        """The token of a system, opened. Raises `KeyProblemError`."""
        sealed = await self._database.read(
            lambda connection: connection.execute(
                "SELECT sealed FROM tokens WHERE system_id = ? AND environment = ?",
                (system_id, environment),
            ).fetchone()
        )
        if sealed is None:
            return None
        opened = (await self._box()).open(sealed[0], (system_id, environment, _TOKEN))
        return decode_json(opened.encode())

    async def put_token(self, system_id: str, environment: str, token: JsonObject) -> None:
        """Store a token sealed, in place of the one before. Raises `KeyProblemError`."""
        box = await self._box_for_writing()
        sealed = box.seal(encode_json_text(token), (system_id, environment, _TOKEN))
        fingerprint = box.key.fingerprint
        await self._database.write(
            lambda connection: _put_token(connection, system_id, environment, sealed, fingerprint)
        )

    async def list(self, environment: str | None = None) -> list[StoredSystem]:
        """All systems, by id and environment."""
        return await self._database.read(lambda connection: _list(connection, environment))

    async def ids(self) -> set[str]:
        """The ids of all systems."""
        return await self._database.read(
            lambda connection: {
                row[0] for row in connection.execute("SELECT DISTINCT system_id FROM systems")
            }
        )

    async def rotate_key(self) -> int:
        """Seal everything with a new key; how many secrets there were.

        The new key is written beside the old one first, the database changes in one transaction,
        then the new key takes the old one's place: whichever step a crash comes after, one of the
        two files opens the database. Raises `KeyProblemError`.
        """
        if self._places.environment_key:
            raise KeyProblemError(
                "the key comes from CALLSLIP_MASTER_KEY, which callslip cannot change; "
                "unset it to use a key file, or set the credentials again with another key"
            )
        old = await self._box()
        new = new_master_key("the new key")
        replace_key_file(new, self._next_key_file)
        box = SecretBox(new)
        count = await self._database.write(lambda connection: _reseal(connection, old, box))
        self._next_key_file.replace(self._places.key_file)
        return count

    @property
    def _next_key_file(self) -> Path:
        return self._places.key_file.with_name(self._places.key_file.name + ".next")

    async def _box(self) -> SecretBox:
        """The box that opens what is stored. Raises `KeyProblemError`."""
        fingerprint = await self._database.read(_fingerprint)
        key = self._current_key(fingerprint)
        if key is None:
            raise KeyProblemError(
                f"the credentials need a key, and there is none: neither CALLSLIP_MASTER_KEY nor "
                f"the key file {self._places.key_file}; restore it, or set the credentials again"
            )
        if fingerprint is not None and key.fingerprint != fingerprint:
            raise KeyProblemError(
                f"the credentials were sealed with another key than the one from {key.origin}; "
                "restore the right key, or set the credentials again"
            )
        return SecretBox(key)

    async def _box_for_writing(self) -> SecretBox:
        """The box for a new secret; makes a key file where there is no key yet."""
        fingerprint = await self._database.read(_fingerprint)
        if fingerprint is None and self._current_key(None) is None:
            write_key_file(new_master_key("a new key"), self._places.key_file)
        return await self._box()

    def _current_key(self, fingerprint: str | None) -> MasterKey | None:
        key = find_master_key(self._places.environment_key, self._places.key_file)
        if key is not None and key.fingerprint == fingerprint:
            return key
        # A rotation that was cut off after its transaction left the key under its next name.
        following = find_master_key(None, self._next_key_file)
        if following is not None and following.fingerprint == fingerprint:
            self._next_key_file.replace(self._places.key_file)
            return following
        return key


def _has_text(values: Mapping[str, str | JsonObject]) -> bool:
    return any(isinstance(value, str) for value in values.values())


def _fingerprint(connection: sqlite3.Connection) -> str | None:
    # Without a sealed value no key is needed, so losing one is mended by setting all again.
    row = connection.execute(
        """SELECT fingerprint FROM master_key
           WHERE EXISTS (SELECT 1 FROM credentials WHERE sealed IS NOT NULL)
              OR EXISTS (SELECT 1 FROM tokens)"""
    ).fetchone()
    return None if row is None else row[0]


def _put(
    connection: sqlite3.Connection,
    definition: JsonObject,
    values: Mapping[str, str | JsonObject],
    box: SecretBox | None,
) -> bool:
    system_id, environment = definition["id"], definition.get("environment", "prod")
    now = now_ms()
    is_new = _get(connection, system_id, environment) is None
    connection.execute(
        """INSERT INTO systems VALUES (?1, ?2, ?3, ?4, ?4)
           ON CONFLICT (system_id, environment) DO UPDATE SET definition = ?3, updated_at = ?4""",
        (system_id, environment, encode_json_text(definition), now),
    )
    for name, value in values.items():
        _set(connection, system_id, environment, name, value, box)
    _bump_revision(connection)
    return is_new


def _set(
    connection: sqlite3.Connection,
    system_id: str,
    environment: str,
    name: str,
    value: str | JsonObject,
    box: SecretBox | None,
) -> None:
    sealed: bytes | None = None
    source: str | None = None
    if isinstance(value, str):
        if box is None:
            raise AssertionError("a value needs a box")
        sealed = box.seal(value, (system_id, environment, name))
        connection.execute(
            "INSERT OR REPLACE INTO master_key VALUES (1, ?)", (box.key.fingerprint,)
        )
    else:
        source = encode_json_text(value)
    connection.execute(
        "INSERT OR REPLACE INTO credentials VALUES (?, ?, ?, ?, ?, ?)",
        (system_id, environment, name, sealed, source, now_ms()),
    )
    _bump_revision(connection)


def _get(connection: sqlite3.Connection, system_id: str, environment: str) -> StoredSystem | None:
    row = connection.execute(
        "SELECT definition FROM systems WHERE system_id = ? AND environment = ?",
        (system_id, environment),
    ).fetchone()
    return None if row is None else _stored(connection, system_id, environment, row[0])


def _list(connection: sqlite3.Connection, environment: str | None) -> list[StoredSystem]:
    rows = connection.execute(
        """SELECT system_id, environment, definition FROM systems
           WHERE environment = coalesce(?, environment) ORDER BY system_id, environment""",
        (environment,),
    ).fetchall()
    return [_stored(connection, *row) for row in rows]


def _stored(
    connection: sqlite3.Connection, system_id: str, environment: str, definition: str
) -> StoredSystem:
    rows = connection.execute(
        """SELECT name, updated_at, source FROM credentials
           WHERE system_id = ? AND environment = ? ORDER BY name""",
        (system_id, environment),
    ).fetchall()
    credentials = tuple(
        StoredCredential(name, updated_at, decode_json(source.encode()) if source else None)
        for name, updated_at, source in rows
    )
    return StoredSystem(system_id, environment, decode_json(definition.encode()), credentials)


def _delete(connection: sqlite3.Connection, system_id: str, environment: str) -> bool:
    key = (system_id, environment)
    removed = connection.execute(
        "DELETE FROM systems WHERE system_id = ? AND environment = ?", key
    ).rowcount
    connection.execute("DELETE FROM credentials WHERE system_id = ? AND environment = ?", key)
    connection.execute("DELETE FROM tokens WHERE system_id = ? AND environment = ?", key)
    _bump_revision(connection)
    return removed > 0


def _reseal(connection: sqlite3.Connection, old: SecretBox, new: SecretBox) -> int:
    rows = connection.execute(
        "SELECT system_id, environment, name, sealed FROM credentials WHERE sealed IS NOT NULL"
    ).fetchall()
    for system_id, environment, name, sealed in rows:
        place = (system_id, environment, name)
        connection.execute(
            """UPDATE credentials SET sealed = ?
               WHERE system_id = ? AND environment = ? AND name = ?""",
            (new.seal(old.open(sealed, place), place), *place),
        )
    connection.execute("INSERT OR REPLACE INTO master_key VALUES (1, ?)", (new.key.fingerprint,))
    tokens = connection.execute("SELECT system_id, environment, sealed FROM tokens").fetchall()
    for system_id, environment, sealed in tokens:
        place = (system_id, environment, _TOKEN)
        connection.execute(
            "UPDATE tokens SET sealed = ? WHERE system_id = ? AND environment = ?",
            (new.seal(old.open(sealed, place), place), system_id, environment),
        )
    return len(rows) + len(tokens)


def _put_token(
    connection: sqlite3.Connection,
    system_id: str,
    environment: str,
    sealed: bytes,
    fingerprint: str,
) -> None:
    connection.execute("INSERT OR REPLACE INTO master_key VALUES (1, ?)", (fingerprint,))
    connection.execute(
        "INSERT OR REPLACE INTO tokens VALUES (?, ?, ?, ?)",
        (system_id, environment, sealed, now_ms()),
    )


def _bump_revision(connection: sqlite3.Connection) -> None:
    connection.execute("UPDATE revisions SET number = number + 1 WHERE subject = 'systems'")
