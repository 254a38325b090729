"""The stored tools: checked, stored, versioned, found."""

from collections.abc import Callable, Collection, Sequence
from contextlib import suppress

from server.catalog import Catalog, CatalogEntry
from server.provenance import mark_of, restored_over
from storage.errors import StorageError
from storage.systems import SystemStore
from storage.tools import (
    BOOKKEEPING,
    Author,
    PutOutcome,
    StoredTool,
    ToolChange,
    ToolChangedError,
    ToolRemoval,
    ToolStore,
    ToolVersion,
)
from tools.check import CheckedTool, check_definition
from tools.json_diff import json_diff
from tools.json_text import Json, JsonObject
from tools.scripts import ScriptEngine
from tools.suggestions import did_you_mean

__all__ = ["ArchivedToolError", "ToolLibrary", "UnknownToolError", "UnknownVersionError"]

#: A change is made again when another came between.
_CHANGE_TRIES = 5


class UnknownToolError(Exception):
    """No tool of this id is stored."""


class ArchivedToolError(Exception):
    """The tool is archived: kept, but not to be called."""


class UnknownVersionError(Exception):
    """The tool has no version of this number."""


class ToolLibrary:
    """What the service does with tools; surfaces reach it as `service.tools`."""

    def __init__(
        self,
        store: ToolStore,
        catalog: Catalog,
        systems: SystemStore,
        scripts: ScriptEngine,
        author_name: str | None,
        changed: Callable[[], None],
    ) -> None:
        """`changed` is called when tools have changed, by this process or another."""
        self.catalog = catalog
        self.store = store
        self._systems = systems
        self._scripts = scripts
        self._author_name = author_name
        self._changed = changed

    async def check(self, definition: Json, *, new_tool_ids: Collection[str] = ()) -> CheckedTool:
        """Every problem of a definition; nothing is stored.

        `new_tool_ids` are of tools that are stored with it.
        """
        await self.catalog.refresh()
        return await check_definition(
            definition,
            self._scripts,
            known_tool_ids=frozenset((*self._known_ids(), *new_tool_ids)),
            known_system_ids=await self._systems.ids(),
        )

    def _known_ids(self) -> Collection[str]:
        """The tools that a definition may name without a warning."""
        return self.catalog.ids()

    async def put(
        self,
        definition: Json,
        *,
        client_name: str | None = None,
        new_tool_ids: Collection[str] = (),
    ) -> tuple[CheckedTool, PutOutcome | None]:
        """Check a definition and store it unless it is refused; `client_name` is kept with it."""
        checked = await self.check(definition, new_tool_ids=new_tool_ids)
        if checked.definition is None:
            return checked, None
        outcome = await self.store.put(checked.definition, Author(self._author_name, client_name))
        await self.refresh()
        return checked, outcome

    async def check_all(
        self, definitions: Sequence[Json], *, new_system_ids: Collection[str] = ()
    ) -> list[CheckedTool]:
        """Like `check` for many at once, with systems that are stored before them."""
        await self.catalog.refresh()
        tool_ids = frozenset(self.catalog.ids())
        system_ids = {*await self._systems.ids(), *new_system_ids}
        return [
            await check_definition(
                one, self._scripts, known_tool_ids=tool_ids, known_system_ids=system_ids
            )
            for one in definitions
        ]

    async def change_all(
        self, changes: Sequence[ToolChange], *, client_name: str | None = None
    ) -> None:
        """Make many changes of checked definitions at once, all or none.

        Raises `ToolExistsError`, `ToolChangedError`.
        """
        await self.store.change_all(changes, Author(self._author_name, client_name))
        await self.refresh()

    async def add(self, definition: Json) -> CheckedTool:
        """Check a definition and store it as a new tool unless it is refused.

        Raises `ToolExistsError`.
        """
        checked = await self.check(definition)
        if checked.definition is not None:
            await self.store.add(checked.definition, Author(self._author_name))
            await self.refresh()
        return checked

    async def change(self, tool_id: str, fields: JsonObject) -> CheckedTool:
        """Put fields in place of those of a stored tool, null ones away; stored unless refused.

        Raises `UnknownToolError`, `ToolChangedError` when others change it all the time.
        """
        for _ in range(_CHANGE_TRIES):
            stored = await self.get(tool_id)
            checked = await self.check({**stored.definition, **fields, "id": tool_id})
            if checked.definition is None:
                return checked
            with suppress(ToolChangedError):
                await self.store.replace(
                    checked.definition, stored.version_number, Author(self._author_name)
                )
                await self.refresh()
                return checked
        raise ToolChangedError(f"tool {tool_id} is being changed by others; try again")

    async def rename(self, tool_id: str, new_id: str) -> CheckedTool:
        """Give a tool another id unless that is refused; its runs keep the old one.

        Raises `UnknownToolError`, `ToolExistsError`.
        """
        stored = await self.get(tool_id)
        checked = await self.check({**stored.definition, "id": new_id})
        if checked.definition is not None and new_id != tool_id:
            if not await self.store.rename(tool_id, new_id, Author(self._author_name)):
                raise await self._unknown(tool_id)
            await self.refresh()
        return checked

    async def versions(self, tool_id: str) -> list[ToolVersion]:
        """The versions of a tool, the newest first; of a removed one too.

        Raises `UnknownToolError`.
        """
        versions = await self.store.versions(tool_id)
        if not versions:
            raise await self._unknown(tool_id)
        return versions

    async def removals(self, tool_id: str) -> list[ToolRemoval]:
        """When the tool was removed, the newest first."""
        return await self.store.removals(tool_id)

    async def compare(self, tool_id: str, a: int, b: int) -> JsonObject:
        """What is different between two versions of a tool: `{a, b, changes, total, truncated}`.

        Raises `UnknownToolError`, `UnknownVersionError`.
        """
        found = {one.version_number: one for one in await self.versions(tool_id)}
        definitions: list[JsonObject] = []
        for number in (a, b):
            version = found.get(number)
            if version is None or version.definition is None:
                known = ", ".join(map(str, sorted(found)))
                raise UnknownVersionError(
                    f"version {number} of tool {tool_id} not found; it has: {known}"
                )
            definitions.append(
                {key: one for key, one in version.definition.items() if key not in BOOKKEEPING}
            )
        return {"a": a, "b": b, **json_diff(*definitions).wire()}

    async def restore(self, tool_id: str, version_number: int) -> PutOutcome:
        """Make an earlier version the newest one; brings a removed tool back.

        Imports leave it as it is. Raises `UnknownToolError`, `UnknownVersionError`.
        """
        versions = {one.version_number: one for one in await self.versions(tool_id)}
        numbers = list(versions)
        if version_number not in versions:
            raise UnknownVersionError(
                f"version {version_number} of tool {tool_id} not found; "
                f"there are {min(numbers)} to {max(numbers)}"
            )
        definition = versions[version_number].definition
        author = Author(self._author_name)
        if definition is not None and mark_of(definition):
            await self.catalog.refresh()
            is_removed = tool_id not in self.catalog.ids()
            current = None if is_removed else versions[max(numbers)].definition
            restored = await self.store.put(restored_over(definition, current), author)
        else:
            restored = await self.store.restore(tool_id, version_number, author)
        if restored is None:
            raise await self._unknown(tool_id)
        await self.refresh()
        return restored

    async def get(self, tool_id: str) -> StoredTool:
        """Raises `UnknownToolError`."""
        stored = await self.store.get(tool_id)
        if stored is None:
            raise await self._unknown(tool_id)
        return stored

    async def all(self) -> list[StoredTool]:
        """All tools, archived ones too, by id."""
        await self.refresh()
        return [entry.stored for entry in self.catalog.entries()]

    async def remove(self, tool_id: str, *, client_name: str | None = None) -> None:
        """Raises `UnknownToolError`. The runs of the tool stay."""
        if not await self.store.delete(tool_id, Author(self._author_name, client_name)):
            raise await self._unknown(tool_id)
        await self.refresh()

    async def require(self, tool_id: str) -> CatalogEntry:
        """A tool that can be called.

        Raises `UnknownToolError`, `ArchivedToolError`, `StorageError`.
        """
        entry = self.catalog.get(tool_id)
        if entry is None:
            # Stored a moment ago, perhaps by another process.
            await self.refresh()
            entry = self.catalog.get(tool_id)
        if entry is None:
            raise await self._unknown(tool_id)
        if entry.is_archived:
            raise ArchivedToolError(f"tool {tool_id} is archived and cannot be called")
        try:
            _ = entry.prepared
        except ValueError as error:
            raise StorageError(
                f"tool {tool_id} is stored in a form that cannot be read; "
                "store it again with `callslip tools add`"
            ) from error
        return entry

    async def refresh(self) -> None:
        """Read what others have changed, too."""
        if await self.catalog.refresh():
            self._changed()

    async def _unknown(self, tool_id: str) -> UnknownToolError:
        near = did_you_mean(tool_id, self.catalog.ids())
        return UnknownToolError(
            f"tool {tool_id} not found" + (f"; did you mean {near}?" if near else "")
        )
