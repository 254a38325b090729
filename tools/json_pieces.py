"""JSON text written in pieces: that of a large value is never whole beside it.

Between two pieces other threads go on. `tools.json_reader` reads in pieces.
"""

from collections.abc import Iterator
from itertools import islice
from typing import Any, cast

from tools.json_text import Json, JsonObject, encode_json

__all__ = [
    "LARGE_BYTES",
    "PIECE_BYTES",
    "bounded_json",
    "json_head",
    "json_length",
    "json_pieces",
    "weighs_much",
]

#: Texts that are larger are worth pieces: up to here, to be done sooner is worth more.
LARGE_BYTES = 4 * 1024 * 1024
#: What a piece has, about.
PIECE_BYTES = 1024 * 1024

#: Containers with more members, and texts of more characters, are written in pieces.
_MANY_MEMBERS = 10_000
_MANY_CHARACTERS = 256 * 1024
_FEW_MEMBERS = 32
#: Of an object so many members are looked at, by the levels below it that are looked at, too. The
#: views of a run have some twenty members, one of which is its data.
_LOOKED_AT_MEMBERS = (3, 3, 3, 8, 32, 32)
_LOOKED_AT_LEVELS = len(_LOOKED_AT_MEMBERS) - 1
_MEMBER_BYTES = 10
_SCALAR_BYTES = 5
#: Below this level a container is written in one piece.
_OPENED_LEVELS = 6


def weighs_much(value: Json, bound_bytes: int = LARGE_BYTES) -> bool:
    """Whether a value looks large. It is looked at in a few places only, whatever its size."""
    return _weight(value, _LOOKED_AT_LEVELS) > bound_bytes


def _weight(value: Json, levels: int) -> int:
    """About how many bytes the text of a value has, if what is not looked at is like the rest."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, dict):
        members = cast("JsonObject", value)
        some = list(islice(members.values(), _LOOKED_AT_MEMBERS[levels]))
        of_each = _MEMBER_BYTES
    elif isinstance(value, list):
        members = cast("list[Any]", value)
        last = len(members) - 1
        some = [members[0], members[last // 2], members[last]] if last > 1 else members
        of_each = 1
    else:
        return _SCALAR_BYTES
    if not some:
        return 0
    if levels:
        weight = sum([_weight(one, levels - 1) for one in some]) // len(some)
    else:
        weight = sum([len(one) if isinstance(one, str) else _SCALAR_BYTES for one in some])
        weight //= len(some)
    return len(members) * (of_each + weight)


def json_pieces(value: Json, piece_bytes: int = PIECE_BYTES) -> Iterator[bytes]:
    """The compact JSON text of a value, UTF-8, in order.

    Rows that are much larger than those before them make a larger piece. Raises like `encode_json`.
    """
    return _pieces(value, piece_bytes, _OPENED_LEVELS)


def json_head(value: Json, size: int) -> bytes:
    """The first `size` bytes of the JSON text of a value. Raises like `encode_json`."""
    head = b""
    for piece in json_pieces(value):
        head += piece
        if len(head) >= size:
            break
    return head[:size]


def json_length(value: Json) -> int:
    """How many bytes the JSON text of a value has. Raises like `encode_json`."""
    return sum(map(len, json_pieces(value)))


def bounded_json(value: Json, most_bytes: int) -> bytes | None:
    """The JSON text of a value, None where it has more bytes. Raises like `encode_json`."""
    pieces: list[bytes] = []
    length = 0
    for piece in json_pieces(value):
        length += len(piece)
        if length > most_bytes:
            return None
        pieces.append(piece)
    return b"".join(pieces)


def _is_long(value: Json) -> bool:
    if isinstance(value, str):
        return len(value) > _MANY_CHARACTERS
    return isinstance(value, dict | list) and len(cast("list[Any]", value)) > _MANY_MEMBERS


def _pieces(value: Json, piece_bytes: int, levels: int) -> Iterator[bytes]:
    if isinstance(value, str) and len(value) > _MANY_CHARACTERS:
        yield b'"'
        for start in range(0, len(value), _MANY_CHARACTERS):
            yield encode_json(value[start : start + _MANY_CHARACTERS])[1:-1]
        yield b'"'
    elif not levels or not weighs_much(value):
        yield encode_json(value)
    elif isinstance(value, dict):
        members = cast("JsonObject", value)
        yield b"{"
        yield from _members(list(members), members, piece_bytes, levels)
        yield b"}"
    else:
        yield b"["
        yield from _members(cast("list[Any]", value), None, piece_bytes, levels)
        yield b"]"


def _members(
    names: list[Any], values: JsonObject | None, piece_bytes: int, levels: int
) -> Iterator[bytes]:
    """The members of an object by name, or of a list, without brackets."""
    position = 0
    count = 1
    while position < len(names):
        chosen = names[position : position + count]
        members = chosen if values is None else [values[name] for name in chosen]
        separator = b"," if position else b""
        size = 0
        if len(chosen) == 1 or any(map(_is_long, members)):
            for name, member in zip(chosen, members, strict=True):
                key = b"" if values is None else b"%s:" % encode_json(name)
                yield separator + key
                separator = b","
                for piece in _pieces(member, piece_bytes, levels - 1):
                    size += len(piece)
                    yield piece
        else:
            some = chosen if values is None else dict(zip(chosen, members, strict=True))
            piece = separator + encode_json(some)[1:-1]
            size = len(piece)
            yield piece
        position += len(chosen)
        # As many as make a piece, if the next ones are like these; where there are few, any of them
        # may be all there is.
        like_these = len(chosen) * piece_bytes // max(size, 1)
        count = 1 if len(names) <= _FEW_MEMBERS else max(1, min(2 * len(chosen), like_these))
