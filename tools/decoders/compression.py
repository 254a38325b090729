"""Content encodings: gzip, deflate, br and zstd, piece by piece and with a hard bound."""

import importlib
import zlib
from functools import cache
from typing import Any, Protocol

from tools.errors import ErrorKind, RunError

__all__ = ["Decompressor", "supported_encodings"]

#: Window of a zstd stream, as a power of two: RFC 9659 allows 8 MB in HTTP.
_ZSTD_WINDOW_LOG = 23
#: Encodings stacked on one body.
_MAX_STACKED = 5
#: Bytes asked of a decoder at once.
_PIECE_BYTES = 1 << 20


class _Stage(Protocol):
    """One encoding of the stack."""

    def feed(self, data: bytes, limit: int) -> bytes:
        """The output for `data`, at most `limit + 1` bytes of it."""
        ...

    def finished(self) -> bool:
        """Whether the stream may end here."""
        ...


class Decompressor:
    """Takes the encodings off a body while it arrives.

    `content_encoding` is the header: a list in the order of application, `identity` and absence
    mean none. `max_bytes` bounds the output in bytes: one byte more is a `size_limit` error, and no
    more than that is ever held. A broken stream, an unknown encoding and one whose library is not
    installed are `decode` errors.
    """

    def __init__(self, content_encoding: str | None, max_bytes: int) -> None:
        names = [name.strip().lower() for name in (content_encoding or "").split(",")]
        names = [name for name in names if name not in ("", "identity")]
        if len(names) > _MAX_STACKED:
            raise RunError(ErrorKind.DECODE, f"The answer has {len(names)} content encodings.")
        self._label = ", ".join(names)
        self._stages = [_make_stage(name) for name in reversed(names)]
        self._max_bytes = max_bytes
        # Bytes that each stage may still give: what lies between two of them can be a little
        # larger than the output.
        self._left = [max_bytes + _PIECE_BYTES] * len(self._stages)
        self._left[-1:] = [max_bytes]
        self._fed = False

    def feed(self, chunk: bytes) -> bytes:
        """The decoded bytes that `chunk` completes."""
        data = chunk
        self._fed = self._fed or bool(chunk)
        for number, stage in enumerate(self._stages):
            try:
                data = stage.feed(data, self._left[number]) if data else b""
            except _stream_errors() as error:
                raise RunError(
                    ErrorKind.DECODE,
                    f"The answer is labelled content-encoding {self._label} but cannot be "
                    f"decompressed: {error}",
                ) from None
            self._count(number, len(data))
        if not self._stages:
            self._count(0, len(data))
        return data

    def _count(self, number: int, size: int) -> None:
        self._left[number] -= size
        if self._left[number] < 0:
            raise RunError(
                ErrorKind.SIZE_LIMIT,
                f"The answer is larger than {self._max_bytes} bytes.",
                hint="Ask for fewer rows at once, or raise CALLSLIP_MAX_RESPONSE_BYTES.",
            )

    def finish(self) -> bytes:
        """The last bytes, at the end of the body. An empty body is fine in any encoding."""
        if self._fed and not all(stage.finished() for stage in self._stages):
            raise RunError(
                ErrorKind.DECODE,
                f"The answer is labelled content-encoding {self._label} but ends in the middle "
                "of the stream.",
            )
        return b""


@cache
def supported_encodings() -> tuple[str, ...]:
    """The encodings that can be decoded here, for `Accept-Encoding`."""
    optional = {"br": _brotli() is not None, "zstd": _zstd() is not None}
    return ("gzip", "deflate", *(name for name, there in optional.items() if there))


def _make_stage(name: str) -> _Stage:
    match name:
        case "gzip" | "x-gzip":
            return _Zlib(16 + zlib.MAX_WBITS)
        case "deflate":
            return _Deflate()
        case "br":
            library = _brotli()
            if library is not None:
                return _Brotli(library)
        case "zstd":
            library = _zstd()
            if library is not None:
                return _Zstd(library)
        case _:
            raise RunError(
                ErrorKind.DECODE,
                f"The answer has the content encoding {name!r}, which is not known here.",
                hint=f"Known: {', '.join(supported_encodings())}.",
            )
    raise RunError(
        ErrorKind.DECODE,
        f"The answer has the content encoding {name!r}, whose library is not installed.",
        hint=f"Send `Accept-Encoding: {', '.join(supported_encodings())}`.",
    )


class _Zlib:
    """gzip (all members) and zlib streams."""

    def __init__(self, wbits: int) -> None:
        self._wbits = wbits
        self._stream = zlib.decompressobj(wbits)

    def feed(self, data: bytes, limit: int) -> bytes:
        out = bytearray()
        while data and len(out) <= limit:
            if self._stream.eof:
                # Another gzip member, or padding after the last one.
                data = data.lstrip(b"\0") if self._wbits > 16 else b""
                if not data.startswith(b"\x1f"):
                    break
                self._stream = zlib.decompressobj(self._wbits)
            out += self._stream.decompress(data, limit + 1 - len(out))
            data = self._stream.unused_data or self._stream.unconsumed_tail
        return bytes(out)

    def finished(self) -> bool:
        return self._stream.eof


class _Deflate:
    """`deflate`: a zlib stream, or the raw one that some servers send."""

    def __init__(self) -> None:
        self._head = b""
        self._stage: _Zlib | None = None

    def feed(self, data: bytes, limit: int) -> bytes:
        if self._stage is None:
            data = self._head + data
            if len(data) < 2:
                self._head = data
                return b""
            is_zlib = data[0] & 0x0F == 8 and int.from_bytes(data[:2], "big") % 31 == 0
            self._stage = _Zlib(zlib.MAX_WBITS if is_zlib else -zlib.MAX_WBITS)
        return self._stage.feed(data, limit)

    def finished(self) -> bool:
        return self._stage is not None and self._stage.finished()


class _Brotli:
    def __init__(self, library: Any) -> None:
        self._stream = library.Decompressor()

    def feed(self, data: bytes, limit: int) -> bytes:
        out = bytearray()
        while len(out) <= limit:
            piece: bytes = self._stream.process(
                data, output_buffer_limit=min(_PIECE_BYTES, limit + 1 - len(out))
            )
            out += piece
            data = b""
            if self._stream.is_finished() or (not piece and self._stream.can_accept_more_data()):
                break
        return bytes(out)

    def finished(self) -> bool:
        return bool(self._stream.is_finished())


class _Zstd:
    def __init__(self, library: Any) -> None:
        self._library = library
        self._stream = self._new_stream()

    def _new_stream(self) -> Any:
        key = self._library.DecompressionParameter.window_log_max
        return self._library.ZstdDecompressor(options={key: _ZSTD_WINDOW_LOG})

    def feed(self, data: bytes, limit: int) -> bytes:
        out = bytearray()
        while len(out) <= limit:
            if self._stream.eof:
                if not data:
                    break
                self._stream = self._new_stream()
            piece: bytes = self._stream.decompress(data, limit + 1 - len(out))
            out += piece
            data = self._stream.unused_data if self._stream.eof else b""
            if not data and (self._stream.eof or self._stream.needs_input):
                break
        return bytes(out)

    def finished(self) -> bool:
        return bool(self._stream.eof)


def _brotli() -> Any:
    return _import_first("brotli")


def _zstd() -> Any:
    return _import_first("compression.zstd", "backports.zstd")


def _import_first(*names: str) -> Any:
    for name in names:
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    return None


def _stream_errors() -> tuple[type[Exception], ...]:
    errors: list[type[Exception]] = [zlib.error]
    brotli, zstd = _brotli(), _zstd()
    if brotli is not None:
        errors.append(brotli.error)
    if zstd is not None:
        errors.append(zstd.ZstdError)
    return tuple(errors)
