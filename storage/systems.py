"""Stored systems and their credentials."""

import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from storage.database import Database
from storage.keys import KeyKeeper
from storage.secrets import KeyProblemError, SecretBox
from tools.json_text import JsonObject, decode_json, encode_json_text
from tools.run import now_ms, rfc3339

__all__ = [
    "StoredCredential",
    "StoredSystem",
    "SystemStore",
    "key_fingerprint",
    "opened_secrets",
    "stored_systems",
]


#: The place that tokens are bound to; no credential can have this name.
_TOKEN = "\0token"  # noqa: S105 - a name


#: How often work is done again because another process replaced the key meanwhile.
_ATTEMPTS = 50

T = TypeVar("T")


class _KeyReplacedError(Exception):
    """The stored secrets were sealed anew since the key was read."""


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

    def __init__(self, database: Database, keys: KeyKeeper) -> None:
        self._database = database
        self._keys = keys

    def require_writable(self) -> None:
        """For what comes before a change and cannot be undone. Raises `HomeError`."""
        self._database.require_writable()

    async def put(self, definition: JsonObject, values: Mapping[str, str | JsonObject]) -> bool:
        """Store a checked definition and credentials; True when the system is new.

        Credentials that are not named keep what they have. Raises `KeyProblemError`.
        """
        if not _has_text(values):
            return await self._database.write(
                lambda connection: _put(connection, definition, values, None)
            )
        return await self._sealing(
            lambda connection, box: _put(connection, definition, values, box)
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
        if isinstance(value, str):
            await self._sealing(
                lambda connection, box: _set(connection, system_id, environment, name, value, box)
            )
            return
        await self._database.write(
            lambda connection: _set(connection, system_id, environment, name, value, None)
        )

    async def unset_credential(self, system_id: str, environment: str, name: str) -> bool:
        """Forget a credential. False when there was none."""
        return await self._database.write(
            lambda connection: _unset(connection, system_id, environment, name)
        )

    async def secrets(self, system_id: str, environment: str) -> dict[str, str | JsonObject]:
        """The credentials of a system: values opened, sources as they are.

        Raises `KeyProblemError`.
        """
        rows, box = await self._opening(
            lambda connection: _credential_rows(connection, system_id, environment),
            lambda rows: any(sealed is not None for _, sealed, _ in rows),
        )
        return _opened(rows, system_id, environment, box)

    async def get_token(self, system_id: str, environment: str) -> JsonObject | None:
        """The token of a system, opened. Raises `KeyProblemError`."""
        sealed, box = await self._opening(
            lambda connection: connection.execute(
                "SELECT sealed FROM tokens WHERE system_id = ? AND environment = ?",
                (system_id, environment),
            ).fetchone(),
            lambda sealed: sealed is not None,
        )
        if box is None:
            return None
        return decode_json(box.open(sealed[0], (system_id, environment, _TOKEN)).encode())

    async def put_token(self, system_id: str, environment: str, token: JsonObject) -> None:
        """Store a token sealed, in place of the one before. Raises `KeyProblemError`."""
        text = encode_json_text(token)
        await self._sealing(
            lambda connection, box: _put_token(connection, system_id, environment, text, box)
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
        """Seal everything with a new key, in one transaction; how many secrets there were.

        Raises `KeyProblemError`, `KeyringProblemError`.
        """
        self.require_writable()
        with self._keys.exclusively():
            old = await self._box()
            async with self._keys.replacement(old.key) as new:
                box = SecretBox(new)
                return await self._database.write(lambda connection: _reseal(connection, old, box))

    async def use_keyring(self) -> None:
        """Move the key to the OS keyring; a home without a key gets one there.

        Raises `KeyProblemError`, `KeyringProblemError`.
        """
        with self._keys.exclusively():
            box = await self._box_for_writing()
            await self._keys.move_to_keyring(box.key)

    async def _opening(
        self, read: Callable[[sqlite3.Connection], T], is_sealed: Callable[[T], bool]
    ) -> tuple[T, SecretBox | None]:
        """What is stored, and the box that opens it when it is sealed.

        Both are of one moment: a rotation between two reads would give a box that opens nothing.
        """
        for attempt in range(_ATTEMPTS):
            found, fingerprint = await self._database.read(
                lambda connection: (read(connection), key_fingerprint(connection))
            )
            if not is_sealed(found):
                return found, None
            try:
                return found, await self._keys.box(fingerprint)
            except KeyProblemError:
                # The key was replaced after the read: read again what it opens.
                if attempt + 1 == _ATTEMPTS or await self._is_current(fingerprint):
                    raise
        raise AssertionError("the last attempt returns or raises")

    async def _is_current(self, fingerprint: str | None) -> bool:
        return await self._database.read(key_fingerprint) == fingerprint

    async def _sealing(self, write: Callable[[sqlite3.Connection, SecretBox], T]) -> T:
        """Write with a box for new secrets, again when the key was replaced meanwhile."""

        def claimed(connection: sqlite3.Connection, box: SecretBox) -> T:
            fingerprint = key_fingerprint(connection)
            if fingerprint not in {None, box.key.fingerprint}:
                # Sealed with another key, all that is there would no longer open.
                raise _KeyReplacedError
            connection.execute(
                "INSERT OR REPLACE INTO master_key VALUES (1, ?)", (box.key.fingerprint,)
            )
            return write(connection, box)

        self.require_writable()
        for _ in range(_ATTEMPTS):
            box = await self._box_for_writing()
            try:
                return await self._database.write(partial(claimed, box=box))
            except _KeyReplacedError:
                continue
        raise KeyProblemError("the key is being replaced by other processes; try again")

    async def _box(self) -> SecretBox:
        """The box that opens what is stored. Raises `KeyProblemError`."""
        for attempt in range(_ATTEMPTS):
            fingerprint = await self._database.read(key_fingerprint)
            try:
                return await self._keys.box(fingerprint)
            except KeyProblemError:
                if attempt + 1 == _ATTEMPTS or await self._is_current(fingerprint):
                    raise
        raise AssertionError("the last attempt returns or raises")

    async def _box_for_writing(self) -> SecretBox:
        """The box for a new secret; makes a key where there is none yet."""
        fingerprint = await self._database.read(key_fingerprint)
        if fingerprint is None and await self._keys.find(None) is None:
            await self._keys.make()
        return await self._box()


def stored_systems(connection: sqlite3.Connection) -> list[StoredSystem]:
    """All systems, for those who look at a home without opening it."""
    return _list(connection, None)


def opened_secrets(
    connection: sqlite3.Connection, system: StoredSystem, box: SecretBox
) -> dict[str, str | JsonObject]:
    """The credentials of a system: values opened, sources as they are. Raises `KeyProblemError`."""
    rows = _credential_rows(connection, system.id, system.environment)
    return _opened(rows, system.id, system.environment, box)


def _credential_rows(
    connection: sqlite3.Connection, system_id: str, environment: str
) -> list[tuple[str, bytes | None, str]]:
    return connection.execute(
        "SELECT name, sealed, source FROM credentials WHERE system_id = ? AND environment = ?",
        (system_id, environment),
    ).fetchall()


def _opened(
    rows: list[tuple[str, bytes | None, str]],
    system_id: str,
    environment: str,
    box: SecretBox | None,
) -> dict[str, str | JsonObject]:
    return {
        name: decode_json(source.encode())
        if box is None or sealed is None
        else box.open(sealed, (system_id, environment, name))
        for name, sealed, source in rows
    }


def _has_text(values: Mapping[str, str | JsonObject]) -> bool:
    return any(isinstance(value, str) for value in values.values())


def key_fingerprint(connection: sqlite3.Connection) -> str | None:
    """Of the key that opens what is sealed, or None when nothing is."""
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
    before = _get(connection, system_id, environment)
    if before is not None and before.definition.get("auth") != definition.get("auth"):
        _forget_tokens(connection, system_id, environment)
    connection.execute(
        """INSERT INTO systems VALUES (?, ?, ?, ?, ?)
           ON CONFLICT (system_id, environment) DO UPDATE SET
             definition = excluded.definition, updated_at = excluded.updated_at""",
        (system_id, environment, encode_json_text(definition), now, now),
    )
    for name, value in values.items():
        _set(connection, system_id, environment, name, value, box)
    _bump_revision(connection)
    return before is None


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
    else:
        source = encode_json_text(value)
    connection.execute(
        "INSERT OR REPLACE INTO credentials VALUES (?, ?, ?, ?, ?, ?)",
        (system_id, environment, name, sealed, source, now_ms()),
    )
    _forget_tokens_of(connection, system_id, environment, name)
    _bump_revision(connection)


def _unset(connection: sqlite3.Connection, system_id: str, environment: str, name: str) -> bool:
    removed = connection.execute(
        "DELETE FROM credentials WHERE system_id = ? AND environment = ? AND name = ?",
        (system_id, environment, name),
    ).rowcount
    _forget_tokens_of(connection, system_id, environment, name)
    _bump_revision(connection)
    return removed > 0


def _forget_tokens_of(
    connection: sqlite3.Connection, system_id: str, environment: str, name: str
) -> None:
    """Forget tokens that another client, or another refresh token, was given."""
    stored = _get(connection, system_id, environment)
    auth: JsonObject = (stored.definition.get("auth") if stored else None) or {}
    if name in {auth.get("clientId"), auth.get("refreshToken")}:
        _forget_tokens(connection, system_id, environment)


def _forget_tokens(connection: sqlite3.Connection, system_id: str, environment: str) -> None:
    connection.execute(
        "DELETE FROM tokens WHERE system_id = ? AND environment = ?", (system_id, environment)
    )


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
    text: str,
    box: SecretBox,
) -> None:
    sealed = box.seal(text, (system_id, environment, _TOKEN))
    connection.execute(
        "INSERT OR REPLACE INTO tokens VALUES (?, ?, ?, ?)",
        (system_id, environment, sealed, now_ms()),
    )


def _bump_revision(connection: sqlite3.Connection) -> None:
    connection.execute("UPDATE revisions SET number = number + 1 WHERE subject = 'systems'")
