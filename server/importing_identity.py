"""Which system an API gets: that of its last import, or one that no other API has.

A title alone says little: many frameworks give every API the same one.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from server.provenance import mark_of
from server.service import Service
from storage.systems import StoredSystem
from storage.tools import StoredTool
from tools.importers import DocumentError
from tools.importers.openapi import DescribedApi
from tools.json_text import JsonObject
from tools.urls import origin_of

__all__ = ["STDIN", "Systems"]

#: The source that says nothing about the document.
STDIN = "stdin"
_MOST_OF_ONE_TITLE = 1_000


class Systems:
    """The systems that are stored, and which documents their tools came from."""

    def __init__(
        self, source: str, stored: Sequence[StoredSystem], tools: Sequence[StoredTool]
    ) -> None:
        self._source = source
        self._urls: Mapping[str, Any] = {one.id: one.definition.get("url") for one in stored}
        self._marks: dict[str, list[JsonObject]] = {}
        for tool in tools:
            mark = mark_of(tool.definition)
            if mark:
                self._marks.setdefault(str(mark.get("system")), []).append(mark)
        #: The id that the title gave, where another API has it.
        self.taken_id: str | None = None

    @classmethod
    async def load(cls, service: Service, source: str) -> "Systems":
        """What there is before a document from `source` is imported."""
        stored = await service.connections.store.list()
        return cls(source, stored, await service.tools.all())

    def id_for(self, api: DescribedApi) -> str:
        """The id of the system of an API that nobody has named.

        The same API is what came from the same place and has its url or an operation that it had,
        or what has its title, its url and half of its operations. Raises `DocumentError`.
        """
        chosen = self._own(api) or self._free(api)
        for suffix in sorted(api.suffixes):
            if suffix and (other := f"{chosen}-{suffix}") in self._marks:
                raise DocumentError(
                    f"it needs a system {other}, which is of another API",
                    hint="Name another id for its systems with --system.",
                )
        if chosen != api.system_id and (
            api.system_id in self._marks or api.system_id in self._urls
        ):
            self.taken_id = api.system_id
        return chosen

    def _own(self, api: DescribedApi) -> str | None:
        """The system of the last import of the same API."""
        family = re.compile(rf"{re.escape(api.system_id)}(?:-\d+)?")
        known = [one for one in sorted(self._marks, key=_by_number) if family.fullmatch(one)]
        for is_same in (self._is_of_source, self._is_at_url):
            for system_id in known:
                if is_same(api, self._marks[system_id]):
                    return system_id
        return None

    def _is_of_source(self, api: DescribedApi, marks: Sequence[JsonObject]) -> bool:
        own = [one for one in marks if one.get("source") == self._source]
        # A file may be written anew with another API.
        is_alike = any(one.get("url") == api.url for one in own) or _in_common(api, own) > 0
        return self._source != STDIN and bool(own) and is_alike

    def _is_at_url(self, api: DescribedApi, marks: Sequence[JsonObject]) -> bool:
        is_alike = api.url is not None and all(
            one.get("url") == api.url and one.get("title") == api.title for one in marks
        )
        return is_alike and _in_common(api, marks) * 2 >= len(marks)

    def _free(self, api: DescribedApi) -> str:
        for candidate in _candidates(api.system_id):
            if self._may_have(api, candidate) and not any(
                f"{candidate}-{suffix}" in self._urls or f"{candidate}-{suffix}" in self._marks
                for suffix in api.suffixes
                if suffix
            ):
                return candidate
        raise DocumentError(
            f"there are {_MOST_OF_ONE_TITLE:,} systems of its title",
            hint="Name the id of its system with --system.",
        )

    def _may_have(self, api: DescribedApi, system_id: str) -> bool:
        """Whether an id is free, or that of a system which somebody made by hand for this API."""
        if any(f"{system_id}-".startswith(f"{one}-") for one in self._marks):
            # Of another API: its system, or a further one.
            return system_id not in self._urls and system_id not in self._marks
        url = self._urls.get(system_id)
        return not url or (api.url is not None and origin_of(url) == origin_of(api.url))


def _in_common(api: DescribedApi, marks: Sequence[JsonObject]) -> int:
    """How many of the operations that were imported the document has."""
    return sum(
        not api.operations.isdisjoint((one.get("operation"), one.get("operationId")))
        for one in marks
    )


def _candidates(system_id: str) -> Iterator[str]:
    yield system_id
    for number in range(2, _MOST_OF_ONE_TITLE):
        yield f"{system_id}-{number}"


def _by_number(system_id: str) -> tuple[int, str]:
    return len(system_id), system_id
