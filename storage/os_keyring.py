"""The keyring of the operating system, through the optional package `keyring`.

A keyring may wait for a person who is not there: hosts start servers without a session. Every call
has a thread of its own that neither the event loop nor the end of the process waits for.
"""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import TypeVar

import anyio

from storage.errors import HomeError

__all__ = ["KeyringProblemError", "OsKeyring"]

_SERVICE = "callslip"
_READ_SECONDS = 3.0
#: A person who moves or replaces the key may have to unlock the keyring.
_WRITE_SECONDS = 60.0

T = TypeVar("T")


class KeyringProblemError(HomeError):
    """The keyring is not installed, does not answer, or refuses."""


class OsKeyring:
    """Named secrets of this user, kept by the operating system."""

    def __init__(self, *, read_seconds: float = _READ_SECONDS) -> None:
        self._read_seconds = read_seconds
        self._reads: dict[str, Future[str | None]] = {}

    async def get(self, name: str) -> str | None:
        """A secret, or None where there is none. Raises `KeyringProblemError`.

        Those who ask at once share one answer, and later ones join a call that hangs: however long
        that is, one thread a name waits.
        """
        read = self._reads.get(name)
        if read is None or read.done():
            read = self._reads[name] = _begin(lambda: _backend().get_password(_SERVICE, name))
        return await _ended(read, self._read_seconds)

    async def put(self, name: str, secret: str) -> None:
        """Keep a secret, and see that it is kept. Raises `KeyringProblemError`."""
        await _ended(
            _begin(lambda: _backend().set_password(_SERVICE, name, secret)), _WRITE_SECONDS
        )
        if await self.get(name) != secret:
            raise KeyringProblemError("the OS keyring does not give back what was put into it")

    async def forget(self, name: str) -> None:
        """Remove a secret; one that cannot be removed stays."""
        with suppress(KeyringProblemError):
            await _ended(_begin(lambda: _backend().delete_password(_SERVICE, name)), _WRITE_SECONDS)


def _backend():
    try:
        import keyring
    except ImportError:
        raise KeyringProblemError(
            "the OS keyring cannot be used, the package keyring is not installed: "
            "pip install 'callslip[keyring]'"
        ) from None
    return keyring


def _begin(work: Callable[[], T]) -> "Future[T]":
    future: Future[T] = Future()
    # Under way from here on: who stops waiting does not cancel it.
    future.set_running_or_notify_cancel()

    def run() -> None:
        try:
            result = work()
        except BaseException as error:
            future.set_exception(error)
        else:
            future.set_result(result)

    threading.Thread(target=run, name="callslip keyring", daemon=True).start()
    return future


async def _ended(call: "Future[T]", seconds: float) -> T:
    try:
        with anyio.fail_after(seconds):
            return await asyncio.wrap_future(call)
    except KeyringProblemError:
        raise
    except TimeoutError:
        raise KeyringProblemError(
            f"the OS keyring did not answer within {seconds:g} s; unlock it, or give the key in "
            "CALLSLIP_MASTER_KEY where nobody is signed in to the desktop"
        ) from None
    except Exception as error:
        # The words are of the backend, which has seen the secret.
        raise KeyringProblemError(
            f"the OS keyring refuses ({type(error).__name__}); unlock it, or give the key in "
            "CALLSLIP_MASTER_KEY"
        ) from None
