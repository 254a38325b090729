"""Payloads: small ones as JSON text beside the run, larger ones once each, compressed, by hash."""

import hashlib
import sqlite3
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from io import BytesIO

from storage.errors import StorageError
from storage.objects import LARGE_BYTES, ObjectStore
from tools.json_pieces import LARGE_BYTES as LARGE_JSON_BYTES
from tools.json_pieces import PIECE_BYTES, json_pieces
from tools.json_reader import decode_json_pieces
from tools.json_text import Json, decode_json

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
    "StoredText",
    "load_blob",
    "load_document",
    "pack",
    "pack_column",
    "pack_pieces",
    "pack_text",
    "place_elsewhere",
    "unpack",
    "unpack_text",
]

#: Documents up to this size stay in their row, readable with any SQLite program.
INLINE_BYTES = 2048
_LEVEL = 3
_OPTIONS: Mapping[int, int] = {
    zstd.CompressionParameter.compression_level: _LEVEL,
    zstd.CompressionParameter.checksum_flag: 1,
}
#: Made once, because that takes longer than compressing a kilobyte. Threads may share it: a frame
#: is one call.
_COMPRESSOR = zstd.ZstdCompressor(options=_OPTIONS)
#: Compressing less than this gains nothing.
_SHORTEST_COMPRESSED = 256
_DIGEST_BYTES = 20


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


async def place_elsewhere(
    payloads: Iterable[Packed], objects: ObjectStore, placed: list[Packed]
) -> None:
    """Move the large ones to the object store, and add each that was moved to `placed`.

    Raises `StorageError`; those moved until then stay moved.
    """
    for packed in payloads:
        if packed.data is not None and len(packed.data) > LARGE_BYTES:
            packed.uri = await objects.put(packed.hash.hex(), packed.data)
            packed.stored_bytes, packed.data = len(packed.data), None
            placed.append(packed)


def pack(content: bytes) -> Packed:
    """Compress a content, unless that would not make it smaller."""
    digest = _digest(content)
    if len(content) >= _SHORTEST_COMPRESSED:
        compressed = pack_text(content)
        if len(compressed) < len(content):
            return Packed(digest, len(content), "zstd", compressed)
    return Packed(digest, len(content), "raw", content)


def pack_pieces(pieces: Iterable[bytes]) -> Packed:
    """Compress a large content that is made while it is compressed."""
    digest, size = hashlib.blake2b(digest_size=_DIGEST_BYTES), 0
    compressor = zstd.ZstdCompressor(options=_OPTIONS)
    compressed = BytesIO()
    for piece in pieces:
        digest.update(piece)
        size += len(piece)
        compressed.write(compressor.compress(piece))
    compressed.write(compressor.flush())
    return Packed(digest.digest(), size, "zstd", compressed.getvalue())


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

    @classmethod
    def of_json(cls, value: Json, text: bytes | None) -> "PackedDocument":
        """The document of a value; without its `text` that is made in pieces, and never whole."""
        return cls(None, pack_pieces(json_pieces(value))) if text is None else cls.of(text)

    def store(self, connection: sqlite3.Connection, seq: int) -> str | int | None:
        """The value of the column."""
        return self.inline if self.packed is None else self.packed.store(connection, seq)


@dataclass(frozen=True)
class StoredText:
    """A JSON text of the database, proved to be what was stored; `size` is its length.

    A large one stays compressed until its value is asked for.
    """

    data: bytes = field(repr=False)
    size: int
    is_compressed: bool = False

    @cached_property
    def value(self) -> Json:
        """Its value, made once: whoever shares it must not change it. Raises `ValueError`."""
        if self.is_compressed:
            return decode_json_pieces(_plain_pieces(self.data))
        return decode_json(self.data)

    def decode(self) -> Json:
        """The same, to be done in a thread."""
        return self.value


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
    _texts: dict[int, StoredText] = field(default_factory=dict[int, StoredText])

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

    def text(self, connection: sqlite3.Connection, column: str | bytes | int) -> StoredText:
        """The JSON text of a document column, or of a blob. Raises like `blob`."""
        if isinstance(column, int):
            if column not in self._texts:
                self._texts[column] = _stored_text(connection, column, self._elsewhere)
            return self._texts[column]
        plain = self.document(connection, column) or b""
        return StoredText(plain, len(plain))

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


@dataclass(frozen=True)
class _BlobRow:
    """A blob as it is stored, wherever that is."""

    name: str
    digest: bytes
    size: int
    encoding: str
    data: bytes


def _blob_row(
    connection: sqlite3.Connection, blob_id: int, elsewhere: Callable[[str], bytes]
) -> _BlobRow:
    row = connection.execute(
        "SELECT hash, size, encoding, data, uri FROM blobs WHERE blob_id = ?", (blob_id,)
    ).fetchone()
    if row is None:
        raise sqlite3.DatabaseError(f"blob {blob_id} is not there")
    digest, size, encoding, data, uri = row
    if uri is not None:
        data = elsewhere(uri)
    return _BlobRow(f"blob {blob_id}", digest, size, encoding, data)


def _blob(connection: sqlite3.Connection, blob_id: int, elsewhere: Callable[[str], bytes]) -> bytes:
    row = _blob_row(connection, blob_id, elsewhere)
    return unpack(row.name, row.digest, row.size, row.encoding, row.data)


def _stored_text(
    connection: sqlite3.Connection, blob_id: int, elsewhere: Callable[[str], bytes]
) -> StoredText:
    row = _blob_row(connection, blob_id, elsewhere)
    if row.encoding == "raw" or row.size <= LARGE_JSON_BYTES:
        plain = unpack(row.name, row.digest, row.size, row.encoding, row.data)
        return StoredText(plain, row.size)
    digest, size = hashlib.blake2b(digest_size=_DIGEST_BYTES), 0
    try:
        for piece in _plain_pieces(row.data):
            digest.update(piece)
            size += len(piece)
            if size > row.size:
                break
    except (zstd.ZstdError, TypeError, EOFError) as error:
        raise sqlite3.DatabaseError(f"{row.name} is damaged: {error}") from error
    if size != row.size or digest.digest() != row.digest:
        raise sqlite3.DatabaseError(f"{row.name} is damaged: it does not match its hash")
    return StoredText(row.data, size, is_compressed=True)


def _plain_pieces(data: bytes) -> Iterator[bytes]:
    """A compressed content in pieces. Raises `zstd.ZstdError`, `TypeError`, `EOFError`."""
    decompressor = zstd.ZstdDecompressor()
    piece = decompressor.decompress(data, max_length=PIECE_BYTES)
    while piece or not decompressor.eof:
        if not piece and decompressor.needs_input:
            raise EOFError("it ends in the middle")
        yield piece
        piece = b"" if decompressor.eof else decompressor.decompress(b"", max_length=PIECE_BYTES)


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
    return hashlib.blake2b(content, digest_size=_DIGEST_BYTES).digest()
