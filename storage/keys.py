"""Which master key an installation uses: `CALLSLIP_MASTER_KEY`, the OS keyring, or the key file.

The variable comes first. Then a mark beside the key file decides: where it is, the key is in the
keyring and the key file is not read; where it is not, the keyring is not asked. In the keyring a
key has its fingerprint as its name, so the one that the database was sealed with is always found.
"""

from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from storage.os_keyring import OsKeyring
from storage.secrets import (
    KeyProblemError,
    MasterKey,
    SecretBox,
    decode_key,
    encode_key,
    new_master_key,
    read_key_file,
    replace_file,
    replace_key_file,
    write_key_file,
)

__all__ = ["KeyKeeper", "KeyPlaces"]

_IN_THE_KEYRING = "the OS keyring"


@dataclass(frozen=True)
class KeyPlaces:
    """Where the master key may be: the environment's text, and the key file with its mark."""

    environment_key: str | None
    key_file: Path

    def __repr__(self) -> str:
        return f"KeyPlaces({self.key_file})"

    @property
    def mark(self) -> Path:
        """The file that says the key is in the keyring: it holds the fingerprint."""
        return self.key_file.with_name(f"{self.key_file.name}.keyring")

    @property
    def following_key_file(self) -> Path:
        """Where the key of a rotation waits until the database has taken it."""
        return self.key_file.with_name(f"{self.key_file.name}.next")


class KeyKeeper:
    """Finds the master key, makes the first one, replaces it, and moves it to the keyring."""

    def __init__(self, places: KeyPlaces, keyring: OsKeyring | None = None) -> None:
        self.places = places
        self._keyring = keyring or OsKeyring()
        #: From the keyring, by fingerprint: a run does not ask it again.
        self._known: dict[str, MasterKey] = {}

    async def find(self, fingerprint: str | None) -> MasterKey | None:
        """The key in use, or None when there is none yet.

        Of two that a rotation is between, it is the one with this fingerprint. Raises
        `KeyProblemError` when what is there is no key, `KeyringProblemError`.
        """
        if self.places.environment_key:
            return decode_key(self.places.environment_key, "CALLSLIP_MASTER_KEY")
        marked = self._marked()
        if marked is None:
            key = self._in_files(fingerprint)
            # The file may have been moved between the two looks.
            marked = self._marked() if key is None else None
            if marked is None:
                return key
        return await self._in_keyring(fingerprint, marked)

    async def box(self, fingerprint: str | None) -> SecretBox:
        """The box that opens what was sealed with the key of this fingerprint.

        Raises `KeyProblemError`, `KeyringProblemError`.
        """
        key = await self.find(fingerprint)
        if key is None:
            raise KeyProblemError(
                f"the credentials need a key, and there is none in {self.where()}; restore it or "
                "set CALLSLIP_MASTER_KEY, or forget each credential (callslip systems "
                "unset-credential) and set it anew"
            )
        if fingerprint is not None and key.fingerprint != fingerprint:
            raise KeyProblemError(
                f"the credentials were sealed with another key than the one from {key.origin}; "
                "restore the right key, or forget each credential (callslip systems "
                "unset-credential) and set it anew"
            )
        return SecretBox(key)

    async def make(self) -> None:
        """Make a key where there is none. Raises `KeyProblemError`, `KeyringProblemError`."""
        key = new_master_key("a new key")
        if self._marked() is None:
            write_key_file(key, self.places.key_file)
        else:
            await self._keyring.put(key.fingerprint, encode_key(key))
            self._mark(key)

    def where(self) -> str:
        """Which of the three places is in use, in words. Raises `KeyProblemError`."""
        if self.places.environment_key:
            return "CALLSLIP_MASTER_KEY"
        if self._marked() is not None:
            return f"{_IN_THE_KEYRING} (as {self.places.mark} says)"
        return f"the key file {self.places.key_file}"

    @contextmanager
    def exclusively(self) -> Generator[None]:
        """Alone among all processes: two that replace the key would lose each other's.

        Raises `KeyProblemError`, also for the variable, which is not ours to change.
        """
        if self.places.environment_key:
            raise KeyProblemError(
                "the key comes from CALLSLIP_MASTER_KEY, which callslip cannot change; unset it "
                "to use a key file or the keyring, or set the credentials again with another key"
            )
        key_file = self.places.key_file
        try:
            key_file.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(key_file.with_name(f"{key_file.name}.lock"), blocking=False):
                yield
        except Timeout:
            raise KeyProblemError("another process is replacing the key; try again") from None
        except OSError as error:
            raise KeyProblemError(f"the key file {key_file} cannot be written: {error}") from error

    @asynccontextmanager
    async def replacement(self, old: MasterKey) -> AsyncGenerator[MasterKey]:
        """A new key, kept beside the old one until the block has committed what it seals.

        Whichever step a crash comes after, the key that opens the database is found. Raises
        `KeyProblemError`, `KeyringProblemError`, `OSError`.
        """
        new = new_master_key("the new key")
        if self._marked() is None:
            replace_key_file(new, self.places.following_key_file)
            yield new
            # A reader that saw the transaction may have moved it already.
            with suppress(FileNotFoundError):
                self.places.following_key_file.replace(self.places.key_file)
            return
        await self._keyring.put(new.fingerprint, encode_key(new))
        yield new
        self._mark(new)
        self._known.clear()
        await self._keyring.forget(old.fingerprint)

    async def move_to_keyring(self, key: MasterKey) -> None:
        """Have the key in the keyring alone. Raises `KeyringProblemError`, `OSError`."""
        await self._keyring.put(key.fingerprint, encode_key(key))
        self._mark(key)
        # A file with another key is not ours to remove: something else may need it.
        with suppress(KeyProblemError):
            left = self._in_files(key.fingerprint)
            if left is not None and left.value == key.value:
                self.places.key_file.unlink(missing_ok=True)
                self.places.following_key_file.unlink(missing_ok=True)

    def _marked(self) -> str | None:
        try:
            return self.places.mark.read_text("ascii").strip()
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise KeyProblemError(f"{self.places.mark} cannot be read: {error}") from error

    def _mark(self, key: MasterKey) -> None:
        replace_file(self.places.mark, key.fingerprint.encode())

    def _in_files(self, fingerprint: str | None) -> MasterKey | None:
        places = self.places
        key = read_key_file(places.key_file)
        if key is not None and key.fingerprint == fingerprint:
            return key
        # A rotation that was cut off after its transaction left the key under its next name.
        following = read_key_file(places.following_key_file)
        if following is None or following.fingerprint != fingerprint:
            return key
        with suppress(OSError):
            # Another process may be first, and a directory may be read-only; the key is the same.
            places.following_key_file.replace(places.key_file)
        return following

    async def _in_keyring(self, fingerprint: str | None, marked: str) -> MasterKey | None:
        for name in dict.fromkeys((fingerprint or marked, marked)):
            if name not in self._known:
                text = await self._keyring.get(name)
                if text is None:
                    continue
                key = decode_key(text, _IN_THE_KEYRING)
                if key.fingerprint != name:
                    return key
                self._known[name] = key
            return self._known[name]
        return None
