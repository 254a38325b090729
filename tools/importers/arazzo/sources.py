"""The OpenAPI documents that a workflow's steps name operations of."""

import base64
from collections.abc import Callable
from dataclasses import dataclass, replace
from urllib.parse import unquote

from tools.importers import DocumentError, ImportedTool, ImportResult, NoteList
from tools.importers.openapi import OpenApiOptions, import_openapi
from tools.importers.openapi.document import read_document
from tools.importers.openapi.references import Place
from tools.importers.openapi.words import list_of, object_of, text_of
from tools.json_text import Json, JsonObject
from tools.methods import METHODS

__all__ = ["Source", "Sources"]

_METHODS = tuple(method.lower() for method in METHODS)
_MOST_SOURCES = 50
_DATA = "data:"


@dataclass(frozen=True)
class Source:
    """One description: its name, what its import gave, and its operations by operationId."""

    name: str
    result: ImportResult
    operation_keys: dict[str, str]

    def tool(self, key: str) -> ImportedTool | None:
        return next((one for one in self.result.tools if one.key == key), None)


class Sources:
    """All descriptions of a document; what cannot be read is noted."""

    def __init__(
        self,
        root: JsonObject,
        read_bytes: Callable[[str], bytes] | None,
        system_id: str | None,
        notes: NoteList,
    ) -> None:
        self._read_bytes = read_bytes
        self._notes = notes
        self.all: list[Source] = []
        listed = list_of(root.get("sourceDescriptions"))
        if len(listed) > _MOST_SOURCES:
            raise DocumentError(
                f"it names more than {_MOST_SOURCES} documents", place="#/sourceDescriptions"
            )
        for index, one in enumerate(listed):
            place = Place(("sourceDescriptions", index))
            source = self._read(object_of(one), place, None if self.all else system_id)
            if source is not None:
                self.all.append(source)

    def find(self, step: JsonObject) -> tuple[Source, ImportedTool] | None:
        """The operation that a step names; None when no document has it."""
        operation_id, path = text_of(step.get("operationId")), text_of(step.get("operationPath"))
        wanted = None
        if operation_id.startswith("$sourceDescriptions."):
            wanted, _, operation_id = operation_id.split(".", 1)[1].partition(".")
        head, mark, fragment = path.partition("#")
        if mark:
            name = head.strip("{}").removeprefix("$sourceDescriptions.").removesuffix(".url")
            wanted = name if head.startswith("{") else None
        for source in self.all:
            if wanted not in {None, source.name}:
                continue
            key = source.operation_keys.get(operation_id) if operation_id else f"#{fragment}"
            tool = source.tool(key) if key else None
            if tool is not None:
                return source, tool
        return None

    def _read(self, fields: JsonObject, place: Place, system_id: str | None) -> Source | None:
        name, url = text_of(fields.get("name")), text_of(fields.get("url"))
        if text_of(fields.get("type")) not in {"", "openapi"}:
            self._notes.add(place, "only descriptions of type openapi are read")
            return None
        try:
            content = self._content(url)
            result = import_openapi(content, OpenApiOptions(system_id))
        except DocumentError as error:
            self._notes.add(place, f"the description cannot be used: {error}"[:300])
            return None
        taken = {one.result.system.definition["id"] for one in self.all}
        if result.system.definition["id"] in taken:
            result = import_openapi(content, OpenApiOptions(f"{name or 'api'}-{len(taken) + 1}"))
        return Source(name, replace(result), _operation_keys(content))

    def _content(self, url: str) -> bytes:
        if url.startswith(_DATA):
            head, _, data = url[len(_DATA) :].partition(",")
            try:
                encoded = head.endswith(";base64")
                return base64.b64decode(data) if encoded else unquote(data).encode()
            except ValueError:
                raise DocumentError("its data: url cannot be decoded") from None
        if "://" in url or url.startswith("//"):
            raise DocumentError("it is not fetched; save it beside the document and name the file")
        if self._read_bytes is None:
            raise DocumentError("a document from stdin has no files beside it")
        name = unquote(url.removeprefix("./"))
        if not name.isprintable():
            raise DocumentError("its url names no file")
        return self._read_bytes(name)


def _operation_keys(content: bytes) -> dict[str, str]:
    keys: dict[str, str] = {}
    paths: Json = read_document(content).root.get("paths")
    for path, item in object_of(paths).items():
        for method in _METHODS:
            operation = object_of(object_of(item).get(method))
            if operation_id := text_of(operation.get("operationId")):
                keys.setdefault(operation_id, str(Place(("paths", path, method))))
    return keys
