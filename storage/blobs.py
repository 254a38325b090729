"""Payloads: small ones as JSON text beside the run, larger ones once each, compressed, by hash."""

import hashlib
import sqlite3
import sys
from dataclasses import dataclass

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd


__all__ = ["INLINE_BYTES", "Packed", "PackedDocument", "load_blob", "load_document", "pack"]

#: Documents up to this size stay in their row, readable with any SQLite program.
INLINE_BYTES = 2048
_LEVEL = 3
#: Compressing less than this gains nothing.
_SHORTEST_COMPRESSED = 256


@dataclass(frozen=True)
class Packed:
    """Bytes ready to be stored: `hash` is of the plain content, `size` its length."""

    hash: bytes
    size: int
    encoding: str
    data: bytes

    def store(self, connection: sqlite3.Connection, seq: int) -> int:
        """The id of the blob with this content, used by run `seq`; stored unless it is there."""
        row = connection.execute(
            "SELECT blob_id FROM blobs WHERE hash = ?", (self.hash,)
        ).fetchone()
        if row is None:
            blob_id = connection.execute(
                "INSERT INTO blobs (hash, size, encoding, data) VALUES (?, ?, ?, ?)",
                (self.hash, self.size, self.encoding, self.data),
            ).lastrowid
            if blob_id is None:
                raise AssertionError("an insert has a row id")
        else:
            blob_id = row[0]
        connection.execute("INSERT OR IGNORE INTO blob_uses VALUES (?, ?)", (seq, blob_id))
        return blob_id


def pack(content: bytes) -> Packed:
    """Compress a content, unless that would not make it smaller."""
    digest = _digest(content)
    if len(content) >= _SHORTEST_COMPRESSED:
        compressed = zstd.compress(content, _LEVEL)
        if len(compressed) < len(content):
            return Packed(digest, len(content), "zstd", compressed)
    return Packed(digest, len(content), "raw", content)


@dataclass(frozen=True)
class PackedDocument:
    """JSON text for a document column: inline, or a blob."""

    inline: str | None
    packed: Packed | None

    @classmethod
    def of(cls, content: bytes) -> "PackedDocument":
        if len(content) <= INLINE_BYTES:
            return cls(content.decode("utf-8", "surrogatepass"), None)
        return cls(None, pack(content))

    def store(self, connection: sqlite3.Connection, seq: int) -> str | int | None:
        """The value of the column."""
        return self.inline if self.packed is None else self.packed.store(connection, seq)


def load_document(connection: sqlite3.Connection, column: str | int | None) -> bytes | None:
    """The JSON text of a document column."""
    if column is None:
        return None
    if isinstance(column, str):
        return column.encode("utf-8", "surrogatepass")
    return load_blob(connection, column)


def load_blob(connection: sqlite3.Connection, blob_id: int) -> bytes:
    """The content of a blob. Raises `sqlite3.DatabaseError` when it is gone or damaged."""
    row = connection.execute(
        "SELECT hash, size, encoding, data FROM blobs WHERE blob_id = ?", (blob_id,)
    ).fetchone()
    if row is None:
        raise sqlite3.DatabaseError(f"blob {blob_id} is not there")
    digest, size, encoding, data = row
    try:
        content = data if encoding == "raw" else _decompressed(data, size)
    except (zstd.ZstdError, TypeError, EOFError) as error:
        raise sqlite3.DatabaseError(f"blob {blob_id} is damaged: {error}") from error
    # The compressed form has no checksum, so damage may decompress to something else.
    if not isinstance(content, bytes) or _digest(content) != digest:
        raise sqlite3.DatabaseError(f"blob {blob_id} is damaged: it does not match its hash")
    return content


def _decompressed(data: bytes, size: int) -> bytes:
    content = zstd.ZstdDecompressor().decompress(data, max_length=size)
    if len(content) != size:
        raise zstd.ZstdError(f"{len(content)} of {size} bytes")
    return content


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=20).digest()
