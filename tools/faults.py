"""Faults of callslip in the log: where they happened, without the values they speak of."""

import traceback
from collections.abc import Iterator
from typing import cast

__all__ = ["trace_of"]

#: The innermost frames of each exception; endless recursion has thousands.
_MAX_FRAMES = 60
_MAX_EXCEPTIONS = 20


def trace_of(fault: BaseException) -> str:
    """The traceback of an exception and its causes: files, lines, functions and types.

    The messages are left out: they may quote what a run saw, and logs go to others.
    """
    lines: list[str] = []
    for number, one in enumerate(_all_of(fault)):
        if number == _MAX_EXCEPTIONS:
            lines.append("and more exceptions")
            break
        kind = type(one)
        lines.append(f"{kind.__module__}.{kind.__qualname__} (the message is left out)")
        frames = traceback.extract_tb(one.__traceback__, limit=-_MAX_FRAMES)
        lines.extend(
            f'  File "{frame.filename}", line {frame.lineno}, in {frame.name}' for frame in frames
        )
    return "\n".join(lines)


def _all_of(fault: BaseException) -> Iterator[BaseException]:
    """An exception, those in it and those before it, each once."""
    waiting, seen = [fault], set[int]()
    while waiting:
        one = waiting.pop(0)
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        if isinstance(one, BaseExceptionGroup):
            waiting.extend(cast("BaseExceptionGroup[BaseException]", one).exceptions)
        before = one.__cause__ or (None if one.__suppress_context__ else one.__context__)
        if before is not None:
            waiting.append(before)
