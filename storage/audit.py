"""Every stored byte, searched for secrets: rows, unpacked payloads, and the files themselves."""

import re
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import anyio

from storage.blobs import ElsewhereError, load_blob, unpack, unpack_text
from storage.objects import ObjectStore
from storage.read_only import reading
from tools.redaction import MINIMUM_SECRET_LENGTH, secret_forms

__all__ = ["AuditReport", "audit"]

_CHUNK_BYTES = 4 * 1024 * 1024
_MAX_LOCATIONS = 100


@dataclass
class AuditReport:
    """What was searched, and where a secret was found; never the secret itself."""

    secrets: int
    not_scanned: list[str]
    bytes_scanned: int = 0
    hits: int = 0
    locations: list[str] = field(default_factory=list[str])

    def wire(self) -> dict[str, object]:
        return {
            "secrets": self.secrets,
            "notScanned": self.not_scanned,
            "bytesScanned": self.bytes_scanned,
            "hits": self.hits,
            "locations": self.locations,
        }


async def audit(
    home: Path,
    database: Path,
    secrets: Mapping[str, str],
    objects: ObjectStore,
    beside: Sequence[Path] = (),
) -> AuditReport:
    """Search a home for secrets, given by name, in all forms that redaction knows.

    `beside` are files elsewhere, such as logs. Raises `sqlite3.Error`, `OSError`, `StorageError`
    when something cannot be read: what was not read is not clean.
    """
    return await anyio.to_thread.run_sync(_audit, home, database, secrets, objects, beside)


def _audit(
    home: Path,
    database: Path,
    secrets: Mapping[str, str],
    objects: ObjectStore,
    beside: Sequence[Path],
) -> AuditReport:
    names: dict[bytes, str] = {}
    short: list[str] = []
    for name, secret in secrets.items():
        if len(secret) < MINIMUM_SECRET_LENGTH:
            short.append(name)
            continue
        for form in secret_forms(secret):
            names.setdefault(form.encode("utf-8", "surrogatepass"), name)
    report = AuditReport(len(secrets) - len(short), short)
    if names:
        search = _Search(names, report, objects)
        search.everything(home, database)
        for path in beside:
            search.file(path, str(path))
    return report


class _Search:
    def __init__(
        self, names: Mapping[bytes, str], report: AuditReport, objects: ObjectStore
    ) -> None:
        self._names = names
        self._report = report
        self._objects = objects
        forms = sorted(names, key=len, reverse=True)
        self._pattern = re.compile(b"|".join(map(re.escape, forms)))
        self._longest = len(forms[0])

    def everything(self, home: Path, database: Path) -> None:
        if database.exists():
            with reading(database) as connection:
                self._tables(connection)
        for path in sorted(home.rglob("*")):
            if path.is_file():
                self.file(path, str(path.relative_to(home)))

    def _tables(self, connection: sqlite3.Connection) -> None:
        tables = connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND sql IS NOT NULL"
        ).fetchall()
        for (table,) in tables:
            columns = [row[1] for row in connection.execute(f'PRAGMA table_info("{table}")')]
            for number, row in enumerate(connection.execute(f'SELECT * FROM "{table}"'), 1):  # noqa: S608 - names from the schema
                for column, value in zip(columns, row, strict=True):
                    where = f"{table}.{column} row {number}"
                    self._look(_bytes_of(value), where)
                    if table == "run_details" and isinstance(value, bytes):
                        self._look(unpack_text(value), where)
        for (blob_id,) in connection.execute("SELECT blob_id FROM blobs").fetchall():
            self._look(self._blob(connection, blob_id), f"blob {blob_id}")

    def _blob(self, connection: sqlite3.Connection, blob_id: int) -> bytes:
        try:
            return load_blob(connection, blob_id)
        except ElsewhereError as error:
            digest, size, encoding = connection.execute(
                "SELECT hash, size, encoding FROM blobs WHERE blob_id = ?", (blob_id,)
            ).fetchone()
            data = anyio.from_thread.run(self._objects.get, error.uri)
            return unpack(error.uri, digest, size, encoding, data)

    def file(self, path: Path, name: str) -> None:
        """The raw bytes: the log, and pages that no table shows any more."""
        position = 0
        for chunk in _overlapping(path, self._longest):
            self._look(chunk, f"{name} near byte {position}")
            position += _CHUNK_BYTES

    def _look(self, data: bytes, where: str) -> None:
        self._report.bytes_scanned += len(data)
        for match in self._pattern.finditer(data):
            self._report.hits += 1
            if len(self._report.locations) < _MAX_LOCATIONS:
                self._report.locations.append(f"{self._names[match[0]]}: {where}")


def _bytes_of(value: object) -> bytes:
    if isinstance(value, bytes):
        return value
    return b"" if value is None else str(value).encode("utf-8", "surrogatepass")


def _overlapping(path: Path, overlap: int) -> Iterator[bytes]:
    tail = b""
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            yield tail + chunk
            tail = chunk[-overlap + 1 :] if overlap > 1 else b""


def named(values: Iterable[str]) -> dict[str, str]:
    """Secrets that have no name of their own."""
    return {f"given {number}": value for number, value in enumerate(values, 1)}
