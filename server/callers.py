"""Who calls over HTTP: a key, what it may do, and what it is shown of the home."""

from collections import OrderedDict
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import cast

import anyio

from server.active_run import ActiveRun, JoinedRun, RunRequest
from server.catalog import CatalogEntry
from server.run_facts import list_in, object_in
from server.run_queries import BadParameterError
from server.service import Service, UnknownRunError
from server.tool_library import ToolLibrary, UnknownToolError
from storage.api_keys import ApiKeyStore, Scope, is_same_key
from storage.run_lists import RunFilter, RunPage
from storage.run_record import StoredRun
from storage.tools import PutOutcome, StoredTool, ToolVersion
from storage.watched_runs import RunSight
from tools.check import CheckedTool
from tools.decoders import StoredFile
from tools.json_text import Json, JsonObject
from tools.run import RunStatus

__all__ = ["Authenticator", "Caller", "CallersService", "FailureLimit", "NotAllowedError"]

_ALL = frozenset(Scope)
#: Wrong keys of one address, after which it waits.
_MOST_FAILURES = 20
_FAILURE_WINDOW_SECONDS = 60.0
_MOST_ADDRESSES = 10_000
#: Runs of several tools that are put in order for one page.
_MOST_MERGED = 10_000


class NotAllowedError(Exception):
    """The key is right, and may not do this."""


@dataclass(frozen=True)
class Caller:
    """A key, or whoever comes when no key is asked for. `name` is None without a key."""

    name: str | None
    scopes: frozenset[Scope] = _ALL
    tool_ids: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()

    def may(self, scope: Scope) -> bool:
        return scope in self.scopes or Scope.ADMIN in self.scopes

    @property
    def is_narrowed(self) -> bool:
        """Whether there may be tools that this caller is not shown."""
        return bool(self.tool_ids or self.folders)

    def is_shown(self, tool_id: str, folder: str | None) -> bool:
        """Whether this caller knows of a tool: one of its tools, or in one of its folders."""
        if not self.is_narrowed or tool_id in self.tool_ids:
            return True
        folder = (folder or "").strip("/")
        return any(
            folder == wanted or folder.startswith(f"{wanted}/")
            for wanted in (one.strip("/") for one in self.folders)
        )


class Authenticator:
    """Tells who a key belongs to."""

    def __init__(self, keys: ApiKeyStore, environment_key: str | None, *, needs_key: bool) -> None:
        self._keys = keys
        self._environment_key = environment_key
        self._needs_key = needs_key

    async def identify(self, key: str | None) -> Caller | None:
        """The caller, or None when the key is missing or wrong. Raises `StorageError`."""
        if not self._needs_key:
            return Caller(None)
        if key is None:
            return None
        if self._environment_key is not None and is_same_key(key, self._environment_key):
            return Caller("environment")
        found = await self._keys.find(key)
        if found is None:
            return None
        return Caller(found.name, found.scopes, found.tool_ids, found.folders)


class FailureLimit:
    """Counts wrong keys by address; of the oldest addresses nothing is known any more."""

    def __init__(self, now: Callable[[], float] = anyio.current_time) -> None:
        self._now = now
        self._failures: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def wait_seconds(self, address: str) -> float:
        """How long an address has to wait; 0 when it may try."""
        began, failures = self._failures.get(address, (0.0, 0))
        left = began + _FAILURE_WINDOW_SECONDS - self._now()
        return left if failures >= _MOST_FAILURES and left > 0 else 0.0

    def failed(self, address: str) -> None:
        """Count a wrong key."""
        began, failures = self._failures.pop(address, (self._now(), 0))
        if began + _FAILURE_WINDOW_SECONDS <= self._now():
            began, failures = self._now(), 0
        self._failures[address] = (began, failures + 1)
        while len(self._failures) > _MOST_ADDRESSES:
            self._failures.popitem(last=False)


class CallersTools(ToolLibrary):
    """The tools as one caller sees them."""

    def __init__(self, tools: ToolLibrary, caller: Caller) -> None:
        # Not the constructor of ToolLibrary: these are the same tools.
        vars(self).update(vars(tools))
        self._whole = tools
        self._author_name = caller.name or self._author_name
        self.caller = caller

    async def get(self, tool_id: str) -> StoredTool:
        if not self.caller.is_narrowed:
            return await self._whole.get(tool_id)
        stored = await self._stored(tool_id)
        if stored is None or not self._shows(stored):
            # Without a suggestion, which may be a tool that is not shown.
            raise UnknownToolError(f"tool {tool_id} not found")
        return stored

    async def require(self, tool_id: str) -> CatalogEntry:
        if self.caller.is_narrowed:
            await self.get(tool_id)
        return await self._whole.require(tool_id)

    async def _stored(self, tool_id: str) -> StoredTool | None:
        try:
            return await self._whole.get(tool_id)
        except UnknownToolError:
            return None

    async def all(self) -> list[StoredTool]:
        stored = await self._whole.all()
        return [one for one in stored if self._shows(one)]

    async def check(self, definition: Json, *, new_tool_ids: Collection[str] = ()) -> CheckedTool:
        checked = await super().check(definition, new_tool_ids=new_tool_ids)
        if checked.definition is not None:
            self._require_called(checked.definition)
        return checked

    def _known_ids(self) -> Collection[str]:
        entries = self.catalog.entries()
        return [entry.stored.id for entry in entries if self._shows(entry.stored)]

    async def put(
        self,
        definition: Json,
        *,
        client_name: str | None = None,
        new_tool_ids: Collection[str] = (),
    ) -> tuple[CheckedTool, PutOutcome | None]:
        await self._require_place(definition)
        return await super().put(definition, client_name=client_name, new_tool_ids=new_tool_ids)

    async def add(self, definition: Json) -> CheckedTool:
        await self._require_place(definition)
        return await super().add(definition)

    async def change(self, tool_id: str, fields: JsonObject) -> CheckedTool:
        stored = await self.get(tool_id)
        await self._require_place({**stored.definition, **fields, "id": tool_id})
        return await super().change(tool_id, fields)

    async def rename(self, tool_id: str, new_id: str) -> CheckedTool:
        stored = await self.get(tool_id)
        await self._require_place({**stored.definition, "id": new_id})
        return await super().rename(tool_id, new_id)

    async def remove(self, tool_id: str, *, client_name: str | None = None) -> None:
        await self.get(tool_id)
        await super().remove(tool_id, client_name=client_name)

    async def versions(self, tool_id: str) -> list[ToolVersion]:
        if self.caller.is_narrowed:
            await self.get(tool_id)
        return await self._whole.versions(tool_id)

    async def restore(self, tool_id: str, version_number: int) -> PutOutcome:
        for version in await self.versions(tool_id):
            if version.version_number == version_number:
                await self._require_place(version.definition)
                self._require_called(version.definition or {})
        return await super().restore(tool_id, version_number)

    async def _require_place(self, definition: Json) -> None:
        """A narrowed caller stores where it can see what it stored. Raises `NotAllowedError`."""
        if not self.caller.is_narrowed:
            return
        fields = cast("JsonObject", definition) if isinstance(definition, dict) else {}
        tool_id = str(fields.get("id"))
        if not self.caller.is_shown(tool_id, _folder_of(fields)):
            places = [f"folder {one}" for one in self.caller.folders]
            places += [f"tool {one}" for one in self.caller.tool_ids]
            raise NotAllowedError(f"this key may store only: {', '.join(places)}")
        stored = await self._stored(tool_id)
        if stored is not None and not self._shows(stored):
            raise NotAllowedError(f"the id {tool_id} is taken by a tool this key may not change")

    def _require_called(self, definition: JsonObject) -> None:
        """A narrowed caller stores no tool that starts one it could not start itself.

        Raises `NotAllowedError`, which says the same of a tool that is not stored.
        """
        if not self.caller.is_narrowed:
            return
        known = {*self._known_ids(), *self.caller.tool_ids}
        for step in list_in(definition, "steps"):
            called = object_in(step, "config").get("toolId")
            if called is not None and called not in known:
                raise NotAllowedError(
                    f"tool {called} not found; a step may call only tools that this key is shown"
                )

    def _shows(self, stored: StoredTool) -> bool:
        return self.caller.is_shown(stored.id, _folder_of(stored.definition))


class CallersService(Service):
    """A service as one caller sees it: runs carry its name, and what it is not shown is not there.

    It shares everything with the service it was made from, which owns and closes it.
    """

    def __init__(self, service: Service, caller: Caller) -> None:
        # Not the constructor of Service: this is the same service, and opens nothing of its own.
        vars(self).update(vars(service))
        self._whole = service
        self.tools = CallersTools(service.tools, caller)
        self.caller = caller

    async def start(self, request: RunRequest) -> ActiveRun | JoinedRun:
        if self.caller.is_narrowed and not self._is_given(request):
            # Says not found for what is not shown; the tool may have been stored a moment ago.
            await self.tools.get(request.tool_id)
        request = replace(request, user_id=self.caller.name or request.user_id)
        # The whole service: what a tool calls as a step belongs to the tool.
        return await self._whole.start(request)

    def _is_given(self, request: RunRequest) -> bool:
        derivation = request.derivation
        return derivation is not None and request.tool_id in derivation.recorded_tools

    async def get_run(
        self, run_id: str, *, with_steps: bool = True, with_large: bool = False
    ) -> StoredRun:
        run = await self._whole.get_run(run_id, with_steps=with_steps, with_large=with_large)
        if not await self._shows_runs_of(run.tool_id):
            raise UnknownRunError(f"run {run_id} not found")
        return run

    async def get_file(self, run_id: str, key: str) -> StoredFile:
        await self._require_run(run_id)
        return await self._whole.get_file(run_id, key)

    async def list_runs(
        self, wanted: RunFilter, *, limit: int, offset: int = 0, before_seq: int | None = None
    ) -> RunPage:
        if not self.caller.is_narrowed:
            return await self._whole.list_runs(
                wanted, limit=limit, offset=offset, before_seq=before_seq
            )
        shown = [one.id for one in await self.tools.all()]
        tool_ids = [one for one in shown if wanted.tool_id in (None, one)]
        if len(tool_ids) == 1:
            wanted = replace(wanted, tool_id=tool_ids[0])
            return await self._whole.list_runs(
                wanted, limit=limit, offset=offset, before_seq=before_seq
            )
        if offset + limit > _MOST_MERGED:
            raise BadParameterError(
                f"page: a narrowed key is shown the newest {_MOST_MERGED:,} runs of several tools; "
                "ask for those of one with toolId, or narrow them with startedAfter"
            )
        # A page of each tool, merged: a narrowed key has few tools.
        pages = [
            await self._whole.list_runs(
                replace(wanted, tool_id=tool_id), limit=offset + limit, before_seq=before_seq
            )
            for tool_id in tool_ids
        ]
        runs = sorted((run for page in pages for run in page.runs), key=lambda run: -run.seq)
        has_more = len(runs) > offset + limit or any(page.has_more for page in pages)
        total = sum(page.total for page in pages)
        return RunPage(runs[offset : offset + limit], total, has_more)

    async def run_status(self, run_id: str) -> RunStatus | None:
        try:
            await self._require_run(run_id)
        except UnknownRunError:
            return None
        return await self._whole.run_status(run_id)

    async def sight_of(self, run_id: str) -> RunSight | None:
        try:
            await self._require_run(run_id)
        except UnknownRunError:
            return None
        return await self._whole.sight_of(run_id)

    async def wait_for_run(self, run_id: str, seconds: float) -> None:
        await self._require_run(run_id)
        await self._whole.wait_for_run(run_id, seconds)

    async def cancel_run(self, run_id: str, reason: str) -> bool:
        await self._require_run(run_id)
        return await self._whole.cancel_run(run_id, reason)

    async def _require_run(self, run_id: str) -> None:
        if self.caller.is_narrowed:
            await self.get_run(run_id, with_steps=False)

    async def _shows_runs_of(self, tool_id: str) -> bool:
        """Runs follow their tool: those of a removed one belong to no folder any more."""
        if not self.caller.is_narrowed:
            return True
        try:
            await self.tools.get(tool_id)
        except UnknownToolError:
            return tool_id in self.caller.tool_ids
        return True


def _folder_of(definition: JsonObject) -> str | None:
    folder = definition.get("folder")
    return folder if isinstance(folder, str) else None
