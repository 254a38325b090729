"""ZIP archives and gzip files: what is in them, unpacked within bounds."""

import io
import zipfile
import zlib
from collections.abc import Iterator
from functools import partial
from pathlib import PurePosixPath

from tools.decoders.compression import Decompressor
from tools.decoders.content import Content, unpacked
from tools.decoders.result import DecodeLimits, undecodable
from tools.errors import ErrorKind, RunError

__all__ = ["check_archive", "gunzip", "inner_name", "zip_entries"]

#: An archive that stays below this size may have any ratio.
_RATIO_FREE_BYTES = 1_000_000
_CHUNK_BYTES = 1 << 16
#: What can turn into a thousand times as much.
_PACKED_CHUNK_BYTES = 1 << 12


def check_archive(body: bytes, label: str, limits: DecodeLimits) -> list[zipfile.ZipInfo]:
    """The entries of a ZIP archive, after its directory was held against the limits.

    Raises `RunError`: decode where it is no ZIP archive, size_limit over a limit.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError) as error:
        raise undecodable(label, "a ZIP archive", str(error), "") from None
    if len(entries) > limits.max_entries:
        raise RunError(
            ErrorKind.SIZE_LIMIT,
            f"The archive has {len(entries)} entries; at most {limits.max_entries} are read.",
        )
    _check_size(sum(entry.file_size for entry in entries), len(body), limits)
    return entries


def zip_entries(
    body: bytes, entries: list[zipfile.ZipInfo], label: str, limits: DecodeLimits
) -> Iterator[tuple[str, Content | None]]:
    """The name and content of each file; None for one that is encrypted or cannot be unpacked.

    A content can be read until the next one is asked for. What is read is counted, whatever the
    directory of the archive says. Raises like `check_archive`.
    """
    total = 0
    with zipfile.ZipFile(io.BytesIO(body)) as archive:

        def unzip(entry: zipfile.ZipInfo) -> Iterator[bytes]:
            size = 0
            with archive.open(entry) as source:
                while chunk := source.read(_CHUNK_BYTES):
                    size += len(chunk)
                    _check_size(total + size, len(body), limits)
                    yield chunk

        for entry in entries:
            if entry.is_dir():
                continue
            try:
                content = unpacked(partial(unzip, entry))
            except (RuntimeError, NotImplementedError):
                yield entry.filename, None
                continue
            except (zipfile.BadZipFile, zlib.error, EOFError, OSError, ValueError) as error:
                raise undecodable(
                    label, "a ZIP archive", f"{entry.filename}: {error}", ""
                ) from None
            yield entry.filename, content
            total += len(content)


def gunzip(body: bytes, label: str, limits: DecodeLimits) -> Content:
    """The content of a gzip file. Raises `RunError` (decode, size_limit)."""

    def unzip() -> Iterator[bytes]:
        stream = Decompressor("gzip", limits.max_bytes)
        for start in range(0, len(body), _PACKED_CHUNK_BYTES):
            yield stream.feed(body[start : start + _PACKED_CHUNK_BYTES])
        yield stream.finish()

    try:
        return unpacked(unzip)
    except RunError as error:
        if error.kind is not ErrorKind.DECODE:
            raise
        raise undecodable(label, "a whole gzip file", "it is broken or cut off", "") from None


def inner_name(filename: str | None) -> str | None:
    """The name of what a gzip file holds: `rows.csv` of `rows.csv.gz`."""
    if filename and PurePosixPath(filename).suffix.lower() == ".gz":
        return filename[:-3]
    return None


def _check_size(unpacked_bytes: int, packed_bytes: int, limits: DecodeLimits) -> None:
    if unpacked_bytes > limits.max_bytes:
        raise RunError(
            ErrorKind.SIZE_LIMIT,
            f"The archive unpacks to more than {limits.max_bytes} bytes.",
            hint="Ask for less at once, or raise CALLSLIP_MAX_RESPONSE_BYTES.",
        )
    if unpacked_bytes > max(_RATIO_FREE_BYTES, packed_bytes * limits.max_ratio):
        raise RunError(
            ErrorKind.SIZE_LIMIT,
            f"The archive unpacks to more than {limits.max_ratio} times its size.",
        )
