"""A JSON value in a few characters: whole when it is short, else its beginning or a description."""

from collections.abc import Mapping
from typing import cast

from tools.json_text import Json, encode_json_text

__all__ = ["abridged", "abridged_text"]

#: Keys that a description names.
_NAMED_KEYS = 8


def abridged(value: Json, characters: int) -> Json:
    """The value itself when its JSON text is this short, else a text that tells what it is.

    Takes time by the number of characters, not by the size of the value.
    """
    if isinstance(value, str):
        return abridged_text(value, characters)
    if value is None or isinstance(value, bool | float) or _is_short(value, characters):
        return value
    if isinstance(value, int):
        return f"an integer of {value.bit_length():,} bits"
    if isinstance(value, list):
        return f"a list of {len(cast('list[Json]', value)):,} elements"
    entries = cast("Mapping[str, Json]", value)
    names = [abridged_text(name, 40) for name, _ in zip(entries, range(_NAMED_KEYS), strict=False)]
    more = ", …" if len(entries) > _NAMED_KEYS else ""
    return f"an object of {len(entries):,} keys: {', '.join(names)}{more}"


def abridged_text(text: str, characters: int) -> str:
    """The text, or its beginning and its length."""
    if len(text) <= characters:
        return text
    return f"{text[:characters]}… ({len(text):,} characters)"


def _is_short(value: Json, characters: int) -> bool:
    """Whether a value is worth encoding, and its text short enough.

    Every element takes a character or more, so that many elements are enough to say no.
    """
    left = characters
    level: list[Json] = [value]
    while level:
        left -= len(level)
        if left < 0:
            return False
        inner: list[Json] = []
        for one in level:
            if isinstance(one, dict):
                entries = cast("Mapping[str, Json]", one)
                left -= len(entries)
                if left < 0 or any(len(name) > characters for name in entries):
                    return False
                inner.extend(entries.values())
            elif isinstance(one, list):
                elements = cast("list[Json]", one)
                if len(elements) > characters:
                    return False
                inner.extend(elements)
            elif _is_long(one, characters):
                return False
        level = inner
    return len(encode_json_text(value)) <= characters


def _is_long(scalar: Json, characters: int) -> bool:
    if isinstance(scalar, str):
        return len(scalar) > characters
    return isinstance(scalar, int) and scalar.bit_length() > characters * 4
