"""OAuth access tokens: kept sealed, renewed before they end, once for all processes of a home."""

from pathlib import Path
from typing import TypeGuard

import anyio
from filelock import AsyncFileLock, Timeout

from storage.errors import StorageError
from storage.systems import SystemStore
from tools.addresses import AddressPolicy
from tools.auth.missing import missing_credential
from tools.auth.oauth2 import Token, request_token
from tools.errors import ErrorKind, RunError
from tools.http import HttpClient
from tools.system import OAuth2Auth, System

__all__ = ["TokenKeeper"]

_LOCK_SECONDS = 60.0


class TokenKeeper:
    """Gives access tokens; a renewal is one at a time, over all processes."""

    def __init__(
        self, store: SystemStore, http: HttpClient, locks: Path, policy: AddressPolicy
    ) -> None:
        self._store = store
        self._http = http
        self._locks = locks
        self._policy = policy

    async def access_token(self, system: System, rejected: str | None) -> str:
        """A fresh token that is not the rejected one. Raises `RunError` of kind `credential`."""
        return (await self.token(system, rejected)).access_token

    async def token(self, system: System, rejected: str | None) -> Token:
        """Like `access_token`, with the refresh token beside it."""
        try:
            token = await self._stored(system)
            if _is_good(token, rejected):
                return token
            return await self._renewed(system, rejected)
        except StorageError as error:
            raise RunError(ErrorKind.CREDENTIAL, str(error)) from None

    async def has_token(self, system: System) -> bool:
        """Whether somebody has signed in. Raises `StorageError`."""
        return await self._stored(system) is not None

    async def keep(self, system: System, token: Token) -> None:
        """Store a token. Raises `StorageError`."""
        await self._store.put_token(system.id, system.environment, token.wire())

    async def _stored(self, system: System) -> Token | None:
        wire = await self._store.get_token(system.id, system.environment)
        return None if wire is None else Token.of(wire)

    async def _renewed(self, system: System, rejected: str | None) -> Token:
        # A token that replaces the one before must be kept.
        self._store.require_writable()
        self._locks.mkdir(parents=True, exist_ok=True)
        lock = AsyncFileLock(self._locks / f"token-{system.id}-{system.environment}.lock")
        try:
            await lock.acquire(timeout=_LOCK_SECONDS)
        except Timeout:
            raise RunError(
                ErrorKind.CREDENTIAL,
                f"system {system.id}: another process has been renewing the token for a minute",
                retryable=True,
            ) from None
        try:
            # Another process may have renewed it while this one waited.
            token = await self._stored(system)
            if _is_good(token, rejected):
                return token
            # A run that is cancelled meanwhile must not lose the refresh token that the server has
            # put in the place of the one it was sent. The request has a time limit of its own.
            with anyio.CancelScope(shield=_uses_refresh_token(system)):
                return await self._ask_and_keep(system, token)
            raise AssertionError("nothing cancels this scope")
        finally:
            with anyio.CancelScope(shield=True):
                await lock.release()

    async def _ask_and_keep(self, system: System, token: Token | None) -> Token:
        renewed = await self.ask(system, token)
        if renewed.refresh_token is None and token is not None:
            # Servers that do not rotate it leave it out.
            renewed = Token(renewed.access_token, renewed.expires_at, token.refresh_token)
        # Before its first use: a rotated refresh token that is lost cannot be had again.
        await self.keep(system, renewed)
        return renewed

    async def ask(self, system: System, token: Token | None) -> Token:
        """A new token from the token endpoint; nothing is stored. Raises `RunError`."""
        auth = system.auth
        if not isinstance(auth, OAuth2Auth):
            raise AssertionError("only OAuth systems have tokens")
        if auth.grant == "client_credentials":
            form = {"grant_type": "client_credentials"}
            if auth.scopes:
                form["scope"] = " ".join(auth.scopes)
        else:
            form = {"grant_type": "refresh_token", "refresh_token": _refresh_token(system, token)}
        policy = AddressPolicy.ANY if system.allow_private else self._policy
        return await request_token(system, auth, self._http, form, policy)


def _uses_refresh_token(system: System) -> bool:
    return isinstance(system.auth, OAuth2Auth) and system.auth.grant != "client_credentials"


def _is_good(token: Token | None, rejected: str | None) -> TypeGuard[Token]:
    return token is not None and token.is_fresh() and token.access_token != rejected


def _refresh_token(system: System, token: Token | None) -> str:
    if token is not None and token.refresh_token is not None:
        return token.refresh_token
    auth = system.auth
    if isinstance(auth, OAuth2Auth) and auth.refresh_token is not None:
        if value := system.credentials.get(auth.refresh_token):
            return value
        raise missing_credential(system, auth.refresh_token)
    raise RunError(
        ErrorKind.CREDENTIAL,
        f"nobody has signed in to system {system.id} yet",
        hint=f"callslip systems login {system.id}",
    )
