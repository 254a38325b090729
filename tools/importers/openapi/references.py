"""Places in a document, and what a `$ref` at one of them means. Nothing is fetched."""

from collections.abc import Callable
from dataclasses import dataclass
from posixpath import join, normpath
from typing import Any, cast
from urllib.parse import unquote, urldefrag, urljoin

from tools.importers.openapi.masking import without_issued_keys
from tools.importers.openapi.words import shown_url, text_of
from tools.json_text import Json, JsonObject

__all__ = ["Document", "Place", "ReferenceProblem"]

#: References that lead to references; more is taken for a loop.
_LONGEST_CHAIN = 50
_LONGEST_SHOWN = 200


class ReferenceProblem(Exception):  # noqa: N818 - it is told, not fatal: the reference is left out
    """A reference that leads nowhere, in a circle, or out of what may be read."""


@dataclass(frozen=True)
class Place:
    """A JSON pointer into a file of the document; the document itself is the file without name.

    As text it shows no key of an issuer.
    """

    path: tuple[str | int, ...] = ()
    file: str = ""

    def __truediv__(self, step: str | int) -> "Place":
        return Place((*self.path, step), self.file)

    def __str__(self) -> str:
        parts = (without_issued_keys(str(part)) for part in self.path)
        escaped = (part.replace("~", "~0").replace("/", "~1") for part in parts)
        return f"{self.file}#{''.join(f'/{part}' for part in escaped)}"


class Document:
    """A description with the files beside it that it may refer to.

    `read_file` gives the value of a file by its path below the document's folder; it raises
    `ReferenceProblem` for files that may not be read.
    """

    def __init__(self, root: JsonObject, read_file: Callable[[str], Json] | None = None) -> None:
        self.root = root
        #: `$self` of OpenAPI 3.2: its own address, against which others are relative.
        self.own_url = _own_url(root)
        self._read_file = read_file
        self._files: dict[str, Json] = {"": root}
        self._resolved: dict[tuple[str, str], tuple[Json, Place]] = {}

    def follow(self, value: Json, place: Place) -> tuple[Json, Place]:
        """The value, or what its `$ref` leads to in the end, and where that is.

        Raises `ReferenceProblem`.
        """
        for _ in range(_LONGEST_CHAIN):
            if not isinstance(value, dict):
                return value, place
            reference = cast("JsonObject", value).get("$ref")
            if not isinstance(reference, str):
                return cast("JsonObject", value), place
            value, place = self.resolve(reference, place)
        raise ReferenceProblem("its references lead in a circle, or through more than 50 others")

    def resolve(self, reference: str, place: Place) -> tuple[Json, Place]:
        """What a reference written at a place means. Raises `ReferenceProblem`."""
        # Documents have hundreds of thousands of references to a few thousand schemas.
        key = (place.file, reference)
        found = self._resolved.get(key)
        if found is None:
            try:
                found = self._resolve(reference, place)
            except ReferenceProblem:
                if (found := self._resolve_around(reference, place)) is None:
                    raise
                return found
            self._resolved[key] = found
        return found

    def _resolve_around(self, reference: str, place: Place) -> tuple[Json, Place] | None:
        """What a reference into `$defs` means in the innermost schema around it that has it.

        Generators put schemas with their own definitions into a document as they are.
        """
        if not reference.startswith(("#/$defs/", "#/definitions/")):
            return None
        around: list[Json] = [self._files[place.file]]
        for step in place.path:
            try:
                around.append(around[-1][step])
            except (KeyError, IndexError, TypeError):
                break
        for depth in range(len(around) - 1, 0, -1):
            root = around[depth]
            if isinstance(root, dict) and not root.keys().isdisjoint(("$defs", "definitions")):
                try:
                    return _follow_pointer(root, reference, Place(place.path[:depth], place.file))
                except ReferenceProblem:
                    continue
        return None

    def _resolve(self, reference: str, place: Place) -> tuple[Json, Place]:
        is_local = reference.startswith("#")
        target, fragment = ("", reference[1:]) if is_local else urldefrag(reference)
        file = self._file(unquote(target), place, reference) if target else place.file
        found = Place((), file)
        value = self._files[file]
        if fragment and not fragment.startswith("/"):
            raise ReferenceProblem(
                f"{_shown(reference)} names an anchor; only JSON pointers are followed"
            )
        return _follow_pointer(value, reference, found)

    def _file(self, target: str, place: Place, reference: str) -> str:
        """The name of the file that a reference means, read if it was not yet."""
        if self._is_own(target, place):
            return ""
        if "://" in target or target.startswith(("//", "/", "\\")) or target[1:2] == ":":
            raise ReferenceProblem(
                f"{_shown(reference)} is in another document, which is not fetched; "
                "put it into this one"
            )
        name = normpath(join(place.file, "..", target) if place.file else target)
        if name.startswith("../") or name == "..":
            raise ReferenceProblem(f"{_shown(reference)} leads out of the document's folder")
        if name not in self._files:
            if self._read_file is None:
                raise ReferenceProblem(
                    f"{_shown(reference)} is another file, "
                    "and only a document in a folder has files beside it"
                )
            self._files[name] = self._read_file(name)
        return name

    def _is_own(self, target: str, place: Place) -> bool:
        """Whether a target, as it is written at a place, is the document itself."""
        if self.own_url is None:
            return False
        try:
            return urljoin("" if place.file else self.own_url, target) == self.own_url
        except ValueError:
            return False


def _own_url(root: JsonObject) -> str | None:
    try:
        return urldefrag(text_of(root.get("$self")))[0] or None
    except ValueError:
        return None


def _shown(reference: str) -> str:
    if reference.startswith("#"):
        return without_issued_keys(reference)[:_LONGEST_SHOWN]
    return shown_url(reference)


def _follow_pointer(value: Json, reference: str, found: Place) -> tuple[Json, Place]:
    """What the pointer of a reference leads to below a value that is found at a place."""
    fragment = reference.partition("#")[2]
    for part in fragment.split("/")[1:]:
        name = unquote(part) if "%" in part else part
        name = name.replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict) and name in value:
            value, found = cast("JsonObject", value)[name], found / name
        elif isinstance(value, list) and name.isdecimal() and len(name) < 8:
            items, index = cast("list[Any]", value), int(name)
            if index >= len(items):
                raise ReferenceProblem(f"{_shown(reference)} leads nowhere")
            value, found = items[index], found / index
        else:
            raise ReferenceProblem(f"{_shown(reference)} leads nowhere")
    return value, found
