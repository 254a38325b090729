"""Payloads too large for the database: files of the home, or objects of an S3 bucket.

An address is `file:<name>`, relative to the home so that a home can be moved, or
`s3://bucket/name`. A name is used once: what is written is never written over.
"""

import os
import sqlite3
import uuid
from collections.abc import Awaitable
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import anyio

from storage.errors import StorageError

if TYPE_CHECKING:
    from obstore.store import S3Store

__all__ = ["LARGE_BYTES", "ObjectStore", "take_in"]

T = TypeVar("T")

#: Payloads that are larger than this, compressed, do not go into the database.
LARGE_BYTES = 256 * 1024

_FILE = "file:"
_TIMEOUT_SECONDS = 60.0


class ObjectStore:
    """Large payloads, written to one place and read from wherever they were written.

    `bucket_url` is `s3://bucket[/prefix]`, or None for files in `directory`. Credentials, region
    and endpoint of S3 come from the usual `AWS_…` variables.
    """

    def __init__(self, directory: Path, bucket_url: str | None = None) -> None:
        self.directory = directory
        self._bucket_url = bucket_url.rstrip("/") if bucket_url else None
        self._buckets: dict[str, S3Store] = {}

    async def put(self, digest: str, data: bytes) -> str:
        """Write a payload under a new name; its address. Raises `StorageError`."""
        name = f"{digest[:2]}/{digest}-{uuid.uuid4().hex[:8]}.zst"
        if self._bucket_url is None:
            await anyio.to_thread.run_sync(_write, self.directory / name, data)
            return f"{_FILE}{name}"
        uri = f"{self._bucket_url}/{name}"
        store, key = self._place(uri)
        await _bounded(store.put_async(key, data), uri)
        return uri

    async def get(self, uri: str) -> bytes:
        """The payload at an address. Raises `StorageError`."""
        if uri.startswith(_FILE):
            return await anyio.to_thread.run_sync(_read, self._path(uri))
        store, key = self._place(uri)

        async def read() -> bytes:
            return bytes(await (await store.get_async(key)).bytes_async())

        return await _bounded(read(), uri)

    async def delete(self, uri: str) -> None:
        """Remove what is at an address; nothing there is fine. Raises `StorageError`."""
        if uri.startswith(_FILE):
            await anyio.to_thread.run_sync(_remove, self._path(uri))
            return
        store, key = self._place(uri)
        await _bounded(store.delete_async(key), uri)

    def public_uri(self, uri: str) -> str:
        """The address as other programs can open it: `file:///…` or `s3://…`."""
        return self._path(uri).absolute().as_uri() if uri.startswith(_FILE) else uri

    def files(self) -> list[tuple[str, float]]:
        """The files that are there: address, and seconds since the epoch when it was written."""
        return [
            (f"{_FILE}{path.relative_to(self.directory).as_posix()}", path.stat().st_mtime)
            for path in self.directory.glob("*/*.zst*")
        ]

    def _path(self, uri: str) -> Path:
        return self.directory / uri.removeprefix(_FILE)

    def _place(self, uri: str) -> "tuple[S3Store, str]":
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        store = self._buckets.get(bucket)
        if store is None:
            store = self._buckets[bucket] = _open_bucket(bucket)
        return store, key


async def take_in(database: Path, objects: ObjectStore) -> None:
    """Put every payload that lies outside a database into it, one after the other.

    For a copy that nobody else has open. Raises `sqlite3.Error`, `StorageError`.
    """
    with closing(sqlite3.connect(database)) as connection:
        rows = connection.execute("SELECT blob_id, uri FROM blobs WHERE uri IS NOT NULL").fetchall()
        for blob_id, uri in rows:
            data = await objects.get(uri)
            with connection:
                connection.execute(
                    "UPDATE blobs SET data = ?, uri = NULL, stored_bytes = NULL WHERE blob_id = ?",
                    (data, blob_id),
                )


def _open_bucket(bucket: str) -> "S3Store":
    try:
        from obstore.store import S3Store
    except ImportError as error:
        raise StorageError(
            f"results lie in s3://{bucket}, and the library for that is not installed: "
            "install callslip[s3]"
        ) from error
    return S3Store(
        bucket,
        # A server of one's own speaks plain HTTP more often than not.
        client_options={"allow_http": True, "timeout": timedelta(seconds=30)},
        retry_config={"max_retries": 3, "retry_timeout": timedelta(seconds=30)},
    )


async def _bounded(work: Awaitable[T], uri: str) -> T:
    try:
        with anyio.fail_after(_TIMEOUT_SECONDS):
            return await work
    except TimeoutError as error:
        raise StorageError(f"{uri}: no answer within {_TIMEOUT_SECONDS:g} s") from error
    # obstore raises errors of its own, of OSError's family, and some that are plain.
    except Exception as error:
        raise StorageError(f"{uri}: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:300] or type(error).__name__


def _write(path: Path, data: bytes) -> None:
    partial = path.with_suffix(".zst.part")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.rename(path)
    except OSError as error:
        _remove(partial)
        raise StorageError(f"{path} cannot be written: {error.strerror or error}") from error


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise StorageError(f"{path} cannot be read: {error.strerror or error}") from error


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(f"{path} cannot be removed: {error.strerror or error}") from error
