"""The body of an answer: the pieces in which it came, until somebody wants it whole."""

from collections import deque
from collections.abc import Iterator
from hashlib import blake2b
from io import BytesIO

__all__ = ["Body"]


class Body:
    """Bytes, decompressed. `take` lets go of them piece by piece; nothing is left then."""

    def __init__(self, *pieces: bytes) -> None:
        self._pieces = deque(pieces)
        self._size = sum(map(len, pieces))

    def __len__(self) -> int:
        """How many bytes there were, taken or not."""
        return self._size

    def __iter__(self) -> Iterator[bytes]:
        """The pieces that were not taken, each of which stays."""
        return iter(self._pieces)

    def append(self, piece: bytes) -> None:
        if piece:
            self._pieces.append(piece)
            self._size += len(piece)

    def whole(self) -> bytes:
        """All that was not taken."""
        if len(self._pieces) > 1:
            # The pieces go as they are written, and the buffer is handed out and not copied.
            buffer = BytesIO()
            buffer.writelines(self.take())
            self._pieces.append(buffer.getvalue())
        return self._pieces[0] if self._pieces else b""

    def head(self, size: int) -> bytes:
        """Up to `size` bytes from the beginning."""
        if size >= self._size or len(self._pieces) == 1:
            return self.whole()[:size]
        head: list[bytes] = []
        for piece in self._pieces:
            if size <= 0:
                break
            head.append(piece[:size])
            size -= len(piece)
        return b"".join(head)

    def digest(self) -> bytes:
        """What tells this body from another one."""
        hashed = blake2b(digest_size=20)
        for piece in self._pieces:
            hashed.update(piece)
        return hashed.digest()

    def take(self) -> Iterator[bytes]:
        """The pieces, each let go as it is given."""
        while self._pieces:
            yield self._pieces.popleft()
