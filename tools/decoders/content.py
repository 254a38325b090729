"""What is decoded: bytes in pieces, which may be read again and again until they are taken."""

from collections.abc import Callable, Iterator
from typing import Protocol

from tools.body import Body
from tools.json_pieces import LARGE_BYTES

__all__ = ["Content", "first_bytes", "unpacked"]


class Content(Protocol):
    """Where the pieces are: to be looked at, and to be taken, each let go as it is given."""

    def __len__(self) -> int: ...

    def __iter__(self) -> Iterator[bytes]: ...

    def take(self) -> Iterator[bytes]: ...

    def whole(self) -> bytes: ...


class _Unpacked:
    """What is unpacked anew each time it is read, so that it is nowhere whole."""

    def __init__(self, unpack: Callable[[], Iterator[bytes]], size: int) -> None:
        self._unpack = unpack
        self._size = size

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[bytes]:
        return self._unpack()

    def take(self) -> Iterator[bytes]:
        return self._unpack()

    def whole(self) -> bytes:
        return b"".join(self._unpack())


def unpacked(unpack: Callable[[], Iterator[bytes]]) -> Content:
    """The content that `unpack` gives each time it is called.

    All of it is unpacked once to begin with: what `unpack` raises is raised here.
    """
    content = _Unpacked(unpack, sum(map(len, unpack())))
    return content if len(content) > LARGE_BYTES else Body(content.whole())


def first_bytes(content: Content, size: int) -> bytes:
    """Up to `size` bytes from the beginning."""
    head = b""
    for piece in content:
        head += piece[: size - len(head)]
        if len(head) == size:
            break
    return head
