import gzip
import sys
import tracemalloc
import zlib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.decoders import Decompressor, supported_encodings
from tools.errors import ErrorKind, RunError

brotli: Any = pytest.importorskip("brotli")
zstd: Any = pytest.importorskip(
    "compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd"
)

TEXT = b"".join(b"row %d of the answer\n" % n for n in range(2000))


def raw_deflate(data: bytes) -> bytes:
    stream = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return stream.compress(data) + stream.flush()


CODERS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "gzip": ("gzip", gzip.compress),
    "x-gzip": ("X-GZIP", gzip.compress),
    "zlib deflate": ("deflate", zlib.compress),
    "raw deflate": ("deflate", raw_deflate),
    "br": ("br", lambda data: brotli.compress(data, quality=1)),
    "zstd": ("zstd", zstd.compress),
    "gzip then br": ("gzip, br", lambda data: brotli.compress(gzip.compress(data), quality=1)),
}

every_coding = pytest.mark.parametrize("coding", CODERS)


def decompress(encoding: str | None, data: bytes, limit: int, step: int = 1 << 16) -> bytes:
    stream = Decompressor(encoding, limit)
    pieces = [stream.feed(data[at : at + step]) for at in range(0, len(data), step)]
    return b"".join(pieces) + stream.finish()


@every_coding
@pytest.mark.parametrize("step", [1, 7, 1 << 16])
def test_a_stream_in_pieces_of_any_size_is_decompressed(coding: str, step: int) -> None:
    encoding, compress = CODERS[coding]
    assert decompress(encoding, compress(TEXT), len(TEXT), step) == TEXT


@every_coding
def test_one_byte_over_the_bound_is_a_size_error(coding: str) -> None:
    encoding, compress = CODERS[coding]
    with pytest.raises(RunError) as caught:
        decompress(encoding, compress(TEXT), len(TEXT) - 1)
    assert caught.value.kind is ErrorKind.SIZE_LIMIT


@every_coding
@pytest.mark.parametrize("damage", ["cut", "garbage"])
def test_a_broken_stream_is_a_decode_error(coding: str, damage: str) -> None:
    encoding, compress = CODERS[coding]
    data = compress(TEXT)
    data = data[:-5] if damage == "cut" else b"\x07\xffthis is not compressed" * 20
    with pytest.raises(RunError) as caught:
        decompress(encoding, data, 10**6)
    assert caught.value.kind is ErrorKind.DECODE


@every_coding
def test_an_empty_body_is_empty_in_any_encoding(coding: str) -> None:
    assert decompress(CODERS[coding][0], b"", 10) == b""


@pytest.mark.parametrize("encoding", [None, "", "identity"])
def test_without_an_encoding_bytes_pass_and_are_counted(encoding: str | None) -> None:
    assert decompress(encoding, b"abc", 3) == b"abc"
    with pytest.raises(RunError):
        decompress(encoding, b"abcd", 3)


@pytest.mark.parametrize("coding", ["gzip", "br", "zstd"])
def test_a_bomb_is_stopped_before_it_is_unpacked(coding: str) -> None:
    encoding, compress = CODERS[coding]
    bomb = compress(b"\0" * 50_000_000)
    tracemalloc.start()
    try:
        with pytest.raises(RunError):
            Decompressor(encoding, 1_000_000).feed(bomb)
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()


def test_members_of_a_gzip_stream_and_frames_of_a_zstd_stream_are_joined() -> None:
    assert decompress("gzip", gzip.compress(b"a") + gzip.compress(b"b") + b"\0\0", 10) == b"ab"
    assert decompress("zstd", zstd.compress(b"a") + zstd.compress(b"b"), 10) == b"ab"


@pytest.mark.parametrize("encoding", ["compress", "gzip, sdch", "a, b, c, d, e, f"])
def test_an_encoding_that_is_not_known_is_a_decode_error(encoding: str) -> None:
    with pytest.raises(RunError) as caught:
        Decompressor(encoding, 10)
    assert caught.value.kind is ErrorKind.DECODE


def test_an_encoding_without_its_library_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "brotli", None)
    supported_encodings.cache_clear()
    assert "br" not in supported_encodings()
    supported_encodings.cache_clear()
    with pytest.raises(RunError, match="not installed"):
        Decompressor("br", 10)


@given(st.binary(max_size=300), st.sampled_from(sorted({name for name, _ in CODERS.values()})))
def test_any_bytes_give_bytes_or_a_run_error(data: bytes, encoding: str) -> None:
    kind = None
    try:
        decompress(encoding, data, 1000, step=50)
    except RunError as error:
        kind = error.kind
    assert kind in (None, ErrorKind.DECODE, ErrorKind.SIZE_LIMIT)
