"""Secrets at rest: AES-256-GCM, its key, and the key as a file (mode 0600, apart from the data).

What is sealed is bound to its place: a sealed value that is moved to another name does not open.
Which key is used, `storage.keys` says.
"""

import base64
import binascii
import hashlib
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from storage.errors import HomeError

__all__ = [
    "KeyProblemError",
    "MasterKey",
    "SecretBox",
    "decode_key",
    "encode_key",
    "new_master_key",
    "read_key_file",
    "replace_file",
    "replace_key_file",
    "write_key_file",
]

_KEY_BYTES = 32
_NONCE_BYTES = 12


class KeyProblemError(HomeError):
    """The key is missing, malformed, or not the one the secrets were sealed with."""


@dataclass(frozen=True)
class MasterKey:
    """A key and where it was found, in words."""

    value: bytes
    origin: str

    @property
    def fingerprint(self) -> str:
        """Tells keys apart without saying anything about them."""
        return hashlib.blake2b(self.value, digest_size=8, person=b"callslip-key").hexdigest()

    def __repr__(self) -> str:
        return f"MasterKey({self.origin})"


class SecretBox:
    """Seals and opens texts with one key."""

    def __init__(self, key: MasterKey) -> None:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        self.key = key
        self._cipher = AESGCM(key.value)

    def seal(self, text: str, place: Sequence[str]) -> bytes:
        """The sealed form of a text, for this place only."""
        nonce = os.urandom(_NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, text.encode(), _bound(place))

    def open(self, sealed: bytes, place: Sequence[str]) -> str:
        """The text. Raises `KeyProblemError` when the key, or the place, is another."""
        from cryptography.exceptions import InvalidTag

        nonce, content = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
        try:
            return self._cipher.decrypt(nonce, content, _bound(place)).decode()
        except (InvalidTag, ValueError):
            name = ".".join(place).replace("\0", "")
            raise KeyProblemError(
                f"the credential {name} does not open with the key from "
                f"{self.key.origin}; it was sealed with another key, or changed"
            ) from None


def _bound(place: Sequence[str]) -> bytes:
    return "\0".join(place).encode()


def new_master_key(origin: str) -> MasterKey:
    """A random key."""
    return MasterKey(os.urandom(_KEY_BYTES), origin)


def encode_key(key: MasterKey) -> str:
    """A key as text: base64."""
    return base64.b64encode(key.value).decode()


def decode_key(text: str, origin: str) -> MasterKey:
    """The key that a text of this origin holds. Raises `KeyProblemError` when it is none."""
    try:
        value = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):
        value = b""
    if len(value) != _KEY_BYTES:
        raise KeyProblemError(f"{origin} is no key; valid is base64 of {_KEY_BYTES} random bytes")
    return MasterKey(value, origin)


def read_key_file(path: Path) -> MasterKey | None:
    """The key in a file, or None when there is no file. Raises `KeyProblemError`."""
    try:
        text = path.read_text("ascii")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise KeyProblemError(f"the key file {path} cannot be read: {error}") from error
    return decode_key(text, f"the key file {path}")


def write_key_file(key: MasterKey, path: Path) -> MasterKey:
    """Write a key where only its owner reads it. Raises `KeyProblemError`.

    When another process was first, its key is the answer.
    """
    temporary = _temporary_beside(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(encode_key(key).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            # A link fails where the name is taken; a rename would take the other's place.
            os.link(temporary, path)
        except FileExistsError:
            found = read_key_file(path)
            if found is None:
                raise
            return found
    except OSError as error:
        raise KeyProblemError(f"the key file {path} cannot be written: {error}") from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
    return MasterKey(key.value, f"the key file {path}")


def replace_key_file(key: MasterKey, path: Path) -> None:
    """Put a new key in the place of the old one, whole or not at all."""
    replace_file(path, encode_key(key).encode() + b"\n")


def replace_file(path: Path, content: bytes) -> None:
    """Write a file that only its owner reads, whole or not at all. Raises `OSError`."""
    temporary = _temporary_beside(path)
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
    _sync_directory(path.parent)


def _temporary_beside(path: Path) -> Path:
    # Not by process id alone: one process may have two services, and a crashed one leaves its file.
    return path.with_name(f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}")


def _sync_directory(directory: Path) -> None:
    """Have the name of a new file survive a power cut; what it opens is committed after it."""
    if os.name != "nt":
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
