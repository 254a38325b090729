"""Ids of tools and names of inputs: the same for the same document, in whatever order it is."""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Sequence

__all__ = ["input_names", "operation_ids", "system_id_of"]

#: The longest id under which a tool is published as it is.
_LONGEST_ID = 48
_LONGEST_INPUT = 64
#: Names that stand for something else in a template, or begin a function.
_TAKEN = frozenset({"credentials", "currentItem", "async", "function"})


def operation_ids(operations: Iterable[tuple[str, str, str | None]]) -> dict[tuple[str, str], str]:
    """An id for each (method, path, operationId), by method and path.

    The operationId names the tool, else method and path do; of operations that would have the same
    id, each gets one from its method and path.
    """
    listed = list(operations)
    wanted = {
        (method, path): _plain_id(named or "") or _path_id(method, path)
        for method, path, named in listed
    }
    for fallback in (_path_id, _hashed_id):
        count = Counter(wanted.values())
        wanted = {
            key: fallback(*key) if count[tool_id] > 1 else tool_id
            for key, tool_id in wanted.items()
        }
    return wanted


def _plain_id(text: str) -> str:
    plain = re.sub(r"_{2,}", "_", re.sub(r"[^A-Za-z0-9_-]", "_", text)).strip("_-")
    if len(plain) <= _LONGEST_ID:
        return plain
    return f"{plain[: _LONGEST_ID - 9]}_{_digest(text)}"


def _path_id(method: str, path: str) -> str:
    return _plain_id(f"{method.lower()}_{path.replace('{', '').replace('}', '')}")


def _hashed_id(method: str, path: str) -> str:
    return f"{_path_id(method, path)[: _LONGEST_ID - 9]}_{_digest(f'{method} {path}')}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:8]


def system_id_of(title: str) -> str:
    """The id of a system, from the title of its API."""
    words = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
    return words[:40].strip("-") or "api"


def input_names(
    wanted: Sequence[tuple[str, str]], system_id: str, also_taken: Iterable[str] = ()
) -> list[str]:
    """The input of each (location, name), in the same order.

    Letters, digits, `_` and `-` are kept. The first location that has a name keeps it, the others
    get their location before it; what is left gets a number.
    """
    taken = {*_TAKEN, *also_taken}
    names: list[str] = []
    for location, name in wanted:
        plain = re.sub(r"_{2,}", "_", re.sub(r"[^A-Za-z0-9_-]", "_", name)).strip("_-")
        plain = plain[:_LONGEST_INPUT] or location
        candidate = plain
        if _is_taken(candidate, taken, system_id):
            candidate = f"{location}_{plain}"[:_LONGEST_INPUT]
        number = 2
        while _is_taken(candidate, taken, system_id):
            candidate = f"{location}_{plain}"[: _LONGEST_INPUT - 6] + f"_{number}"
            number += 1
        taken.add(candidate)
        names.append(candidate)
    if names == ["payload"]:
        # An input schema of `payload` alone is read as a wrapper around the inputs.
        return [f"{wanted[0][0]}_payload"]
    return names


def _is_taken(name: str, taken: set[str], system_id: str) -> bool:
    # Templates see a system's credentials under names that begin so.
    begins = name.startswith((f"{system_id}_", "async-", "function-"))
    return name in taken or begins
