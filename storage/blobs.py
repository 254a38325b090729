"""Payloads: small ones as JSON text beside the run, larger ones once each, compressed, by hash."""

import hashlib
import sqlite3
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from storage.errors import StorageError
from storage.objects import LARGE_BYTES, ObjectStore

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    import backports.zstd as zstd


__all__ = [
    "INLINE_BYTES",
    "BlobReader",
    "ElsewhereError",
    "Packed",
    "PackedDocument",
    "load_blob",
    "load_document",
    "pack",
    "pack_column",
    "pack_text",
    "place_elsewhere",
    "unpack",
    "unpack_text",
]

#: Documents up to this size stay in their row, readable with any SQLite program.
INLINE_BYTES = 2048
_LEVEL = 3
#: Made once, because that takes longer than compressing a kilobyte. Threads may share it: a frame
#: is one call.
_COMPRESSOR = zstd.ZstdCompressor(
    options={
        zstd.CompressionParameter.compression_level: _LEVEL,
        zstd.CompressionParameter.checksum_flag: 1,
    }
)
#: Compressing less than this gains nothing.
_SHORTEST_COMPRESSED = 256


@dataclass
class Packed:
    """Bytes ready to be stored: `hash` is of the plain content, `size` its length.

    `data` is None once the payload lies elsewhere, at `uri`, where it has `stored_bytes`.
    """

    hash: bytes
    size: int
    encoding: str
    data: bytes | None
    uri: str | None = None
    stored_bytes: int | None = None

    def store(self, connection: sqlite3.Connection, seq: int) -> int:
        """The id of the blob with this content, used by run `seq`; stored unless it is there."""
        row = connection.execute(
            "SELECT blob_id FROM blobs WHERE hash = ?", (self.hash,)
        ).fetchone()
        if row is None:
            blob_id = connection.execute(
                """INSERT INTO blobs (hash, size, encoding, data, uri, stored_bytes)
                   VALUES (?, ?, ?, ?, ?, ?)""",
                (self.hash, self.size, self.encoding, self.data, self.uri, self.stored_bytes),
            ).lastrowid
            if blob_id is None:
                raise AssertionError("an insert has a row id")
        else:
            blob_id = row[0]
        connection.execute("INSERT OR IGNORE INTO blob_uses VALUES (?, ?)", (seq, blob_id))
        return blob_id


async def place_elsewhere(payloads: Iterable[Packed], objects: ObjectStore) -> list[Packed]:
    """Move the large ones to the object store; those that were moved.

    Raises `StorageError`; those moved until then stay moved.
    """
    placed: list[Packed] = []
    for packed in payloads:
        if packed.data is not None and len(packed.data) > LARGE_BYTES:
            packed.uri = await objects.put(packed.hash.hex(), packed.data)
            packed.stored_bytes, packed.data = len(packed.data), None
            placed.append(packed)
    return placed


def pack(content: bytes) -> Packed:
    """Compress a content, unless that would not make it smaller."""
    digest = _digest(content)
    if len(content) >= _SHORTEST_COMPRESSED:
        compressed = pack_text(content)
        if len(compressed) < len(content):
            return Packed(digest, len(content), "zstd", compressed)
    return Packed(digest, len(content), "raw", content)


def pack_text(content: bytes) -> bytes:
    """Compressed bytes that are no blob of their own, with a checksum."""
    return _COMPRESSOR.compress(content, zstd.ZstdCompressor.FLUSH_FRAME)


def pack_column(content: bytes) -> str | bytes:
    """JSON text for a document column of one run alone: compressed, unless it is very short."""
    if len(content) < _SHORTEST_COMPRESSED:
        return content.decode("utf-8", "surrogatepass")
    return pack_text(content)


def unpack_text(data: bytes) -> bytes:
    """What `pack_text` packed. Raises `sqlite3.DatabaseError` when it is damaged."""
    try:
        return zstd.decompress(data)
    except (zstd.ZstdError, TypeError, EOFError) as error:
        raise sqlite3.DatabaseError(f"a compressed text is damaged: {error}") from error


@dataclass(frozen=True)
class PackedDocument:
    """JSON text for a document column: inline, or a blob."""

    inline: str | None
    packed: Packed | None

    @property
    def is_large(self) -> bool:
        """Whether it is to lie outside the database."""
        data = None if self.packed is None else self.packed.data
        return data is not None and len(data) > LARGE_BYTES

    @classmethod
    def of(cls, content: bytes) -> "PackedDocument":
        if len(content) <= INLINE_BYTES:
            return cls(content.decode("utf-8", "surrogatepass"), None)
        return cls(None, pack(content))

    def store(self, connection: sqlite3.Connection, seq: int) -> str | int | None:
        """The value of the column."""
        return self.inline if self.packed is None else self.packed.store(connection, seq)


class ElsewhereError(sqlite3.DatabaseError):
    """The payload lies outside the database, at `uri`, and was not fetched."""

    def __init__(self, uri: str) -> None:
        super().__init__(f"it lies at {uri}")
        self.uri = uri


@dataclass
class BlobReader:
    """Reads payloads, those that lie elsewhere in a second pass.

    The first pass names what it lacks in `wanted`; `fetch` gets that, and the second finds it.
    """

    objects: ObjectStore
    fetched: dict[str, bytes | StorageError] = field(
        default_factory=dict[str, "bytes | StorageError"]
    )
    wanted: set[str] = field(default_factory=set[str])

    async def fetch(self) -> None:
        """Get what the first pass wanted; what cannot be had is named when it is read."""
        for uri in sorted(self.wanted):
            try:
                self.fetched[uri] = await self.objects.get(uri)
            except StorageError as error:
                self.fetched[uri] = error
        self.wanted.clear()

    def document(
        self, connection: sqlite3.Connection, column: str | bytes | int | None
    ) -> bytes | None:
        """The JSON text of a document column. Raises `sqlite3.DatabaseError`."""
        return _document(connection, column, self._elsewhere)

    def blob(self, connection: sqlite3.Connection, blob_id: int) -> bytes:
        """The content of a blob.

        Raises `sqlite3.DatabaseError` when it is gone or damaged, `ElsewhereError` when it has not
        been fetched.
        """
        return _blob(connection, blob_id, self._elsewhere)

    def _elsewhere(self, uri: str) -> bytes:
        found = self.fetched.get(uri)
        if found is None:
            self.wanted.add(uri)
            raise ElsewhereError(self.objects.public_uri(uri))
        if isinstance(found, StorageError):
            raise sqlite3.DatabaseError(str(found)) from found
        return found


def load_document(connection: sqlite3.Connection, column: str | bytes | int | None) -> bytes | None:
    """The JSON text of a document column in the database. Raises as `load_blob`."""
    return _document(connection, column, _raise_elsewhere)


def load_blob(connection: sqlite3.Connection, blob_id: int) -> bytes:
    """The content of a blob in the database. Raises `sqlite3.DatabaseError`, `ElsewhereError`."""
    return _blob(connection, blob_id, _raise_elsewhere)


def _raise_elsewhere(uri: str) -> bytes:
    raise ElsewhereError(uri)


def _document(
    connection: sqlite3.Connection,
    column: str | bytes | int | None,
    elsewhere: Callable[[str], bytes],
) -> bytes | None:
    if column is None:
        return None
    if isinstance(column, str):
        return column.encode("utf-8", "surrogatepass")
    if isinstance(column, bytes):
        return unpack_text(column)
    return _blob(connection, column, elsewhere)


def _blob(connection: sqlite3.Connection, blob_id: int, elsewhere: Callable[[str], bytes]) -> bytes:
    row = connection.execute(
        "SELECT hash, size, encoding, data, uri FROM blobs WHERE blob_id = ?", (blob_id,)
    ).fetchone()
    if row is None:
        raise sqlite3.DatabaseError(f"blob {blob_id} is not there")
    digest, size, encoding, data, uri = row
    if uri is not None:
        data = elsewhere(uri)
    return unpack(f"blob {blob_id}", digest, size, encoding, data)


def unpack(name: str, digest: bytes, size: int, encoding: str, data: bytes) -> bytes:
    """The plain content of stored bytes. Raises `sqlite3.DatabaseError` when it is damaged."""
    try:
        content = data if encoding == "raw" else _decompressed(data, size)
    except (zstd.ZstdError, TypeError, EOFError) as error:
        raise sqlite3.DatabaseError(f"{name} is damaged: {error}") from error
    # What is not compressed has no checksum of its own.
    if _digest(content) != digest:
        raise sqlite3.DatabaseError(f"{name} is damaged: it does not match its hash")
    return content


def _decompressed(data: bytes, size: int) -> bytes:
    content = zstd.ZstdDecompressor().decompress(data, max_length=size)
    if len(content) != size:
        raise zstd.ZstdError(f"{len(content)} of {size} bytes")
    return content


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=20).digest()
