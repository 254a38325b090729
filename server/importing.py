"""A document becomes stored tools and a system; the next import of it updates them.

A tool that came from a document says so in `x-callslip-import`: which document, which operation,
and the hash of what was stored, so that a tool that was edited since is left as it is.
"""

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from server.importing_identity import STDIN, Systems
from server.provenance import PROVENANCE, content_hash, is_edited, mark_of
from server.service import Service
from storage.systems import StoredSystem
from storage.tools import BOOKKEEPING, StoredTool, ToolChange
from tools.auth.missing import set_credential_command
from tools.check_system import check_system
from tools.errors import RunError
from tools.http import OutgoingRequest
from tools.importers import DocumentError, ImportedSystem, ImportedTool, ImportResult
from tools.importers.openapi import OpenApiOptions, import_openapi
from tools.importers.openapi.words import list_of, object_of
from tools.importers.requests.systems import names_in_system
from tools.json_text import Json, JsonObject
from tools.system import System, auth_credential_names
from tools.urls import origin_of

__all__ = [
    "FetchedDocument",
    "ImportReport",
    "fetch_document",
    "import_document",
    "is_url",
    "put_system",
    "store_import",
]

_FETCH_SECONDS = 60.0
_LONGEST_ID = 48


@dataclass(frozen=True)
class FetchedDocument:
    """A document from the network; `url` is where it was in the end."""

    content: bytes
    url: str


@dataclass
class ImportReport:
    """What an import did, or would do."""

    source: str
    result: ImportResult
    dry_run: bool
    system: JsonObject = field(default_factory=dict[str, Any])
    further_systems: list[JsonObject] = field(default_factory=list[JsonObject])
    added: list[JsonObject] = field(default_factory=list[JsonObject])
    changed: list[JsonObject] = field(default_factory=list[JsonObject])
    removed: list[JsonObject] = field(default_factory=list[JsonObject])
    unchanged: list[JsonObject] = field(default_factory=list[JsonObject])
    #: Tools that were edited since they were imported; they are left as they are.
    edited: list[JsonObject] = field(default_factory=list[JsonObject])
    pagination: list[JsonObject] = field(default_factory=list[JsonObject])
    renamed: list[JsonObject] = field(default_factory=list[JsonObject])

    def wire(self) -> JsonObject:
        notes = self.result.notes
        return {
            "source": self.source,
            "format": self.result.format,
            "title": self.result.title,
            "dryRun": self.dry_run,
            "counts": self.counts(),
            "system": self.system,
            "furtherSystems": self.further_systems,
            "added": self.added,
            "changed": self.changed,
            "removed": self.removed,
            "unchanged": self.unchanged,
            "edited": self.edited,
            "pagination": self.pagination,
            "renamedInputs": self.renamed,
            "notCarriedOver": [{"place": one.place, "reason": one.reason} for one in notes],
            "notCarriedOverLeftOut": notes.left_out,
        }

    def counts(self) -> JsonObject:
        return {
            "added": len(self.added),
            "changed": len(self.changed),
            "removed": len(self.removed),
            "unchanged": len(self.unchanged),
            "edited": len(self.edited),
            "notCarriedOver": len(self.result.notes.notes) + self.result.notes.left_out,
        }


def is_url(source: str) -> bool:
    """Whether a source is fetched."""
    return re.match(r"https?://", source, re.IGNORECASE) is not None


async def fetch_document(service: Service, url: str) -> FetchedDocument:
    """The document at a url, through the client and the addresses of every request.

    Raises `DocumentError`.
    """
    if origin_of(url) is None:
        raise DocumentError("this is no http or https url", place=shown_url(url))
    request = OutgoingRequest(
        "GET", url, [("Accept", "application/json, application/yaml, */*;q=0.5")]
    )
    try:
        received = await service.engines.http.exchange(
            request, timeout_seconds=_FETCH_SECONDS, policy=service.engines.address_policy
        )
    except RunError as error:
        raise DocumentError(error.message, place=shown_url(url), hint=error.detail.hint) from None
    if received.status != 200:
        raise DocumentError(f"the answer is HTTP {received.status}", place=shown_url(url))
    return FetchedDocument(received.body.whole(), received.url)


def shown_url(url: str) -> str:
    """A url without what may be secret in it: user, password and query."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return re.sub(r"//.*@", "//", re.split(r"[?#]", url, maxsplit=1)[0])
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


async def import_document(
    service: Service,
    content: bytes,
    options: OpenApiOptions,
    source: str,
    read_file: Callable[[str], Json] | None = None,
    *,
    dry_run: bool,
    client_name: str | None = None,
) -> ImportReport:
    """Store what an OpenAPI document gives, without a name in a system that no other API has.

    Raises as `store_import` does.
    """
    systems = await Systems.load(service, source)
    result = import_openapi(content, options, read_file, systems.id_for)
    report = await store_import(service, result, source, dry_run=dry_run, client_name=client_name)
    if systems.taken_id is not None:
        report.system["takenId"] = systems.taken_id
    return report


async def store_import(
    service: Service,
    result: ImportResult,
    source: str,
    *,
    dry_run: bool,
    client_name: str | None = None,
) -> ImportReport:
    """Store what a document gave, all of it or nothing; a dry run only says what would be.

    Raises `DocumentError`, and `ToolExistsError` or `ToolChangedError` when tools are changed by
    others meanwhile.
    """
    for one in (result.system, *result.further_systems):
        problems = check_system(one.definition).problems
        if refused := [problem for problem in problems if problem.severity == "error"]:
            raise DocumentError(f"its system cannot be stored: {refused[0]}")
    report = ImportReport(source, result, dry_run)
    system_id = result.system.definition["id"]
    origin = _Origin(
        system_id, source, result.title, result.format, result.system.definition.get("url")
    )
    stored = await service.tools.all()
    by_id = {one.id: one for one in stored}
    placement = _Placement(origin, stored, result)
    placed = _with_new_ids(placement.place(result.tools))
    checked = await service.tools.check_all(
        [definition for _, definition in placed],
        new_system_ids=[system_id, *(one.definition["id"] for one in result.further_systems)],
    )
    if placed and all(one.definition is None for one in checked):
        raise DocumentError(
            f"none of its tools can be stored: {'; '.join(map(str, checked[0].errors[:3]))}",
            place=placed[0][0].key,
        )
    changes: list[ToolChange] = []
    for (tool, _), one in zip(placed, checked, strict=True):
        if one.definition is None:
            problems = "; ".join(map(str, one.errors[:3]))
            result.notes.add(tool.key, f"the tool is left out: {problems}")
            continue
        change = _compare(report, origin, tool, one.definition, by_id.get(str(one.id)))
        if change is not None:
            changes.append(change)
        _describe(report, tool, str(one.id))
    if result.is_whole:
        changes.extend(_removals(report, placement.gone()))
    report.system = await put_system(service, result.system, dry_run=dry_run)
    for one in result.further_systems:
        report.further_systems.append(await put_system(service, one, dry_run=dry_run))
    if not dry_run:
        await service.tools.change_all(changes, client_name=client_name)
    return report


@dataclass(frozen=True)
class _Origin:
    """A document, as the tools that came from it know it."""

    system_id: str
    source: str
    title: str
    format: str
    url: str | None

    def owns(self, definition: JsonObject) -> bool:
        """Whether a tool came from this document, wherever the document was then."""
        mark = mark_of(definition)
        is_of_source = self.source != STDIN and mark.get("source") == self.source
        return mark.get("system") == self.system_id and (
            is_of_source or mark.get("title") == self.title
        )

    def marked(self, definition: JsonObject, tool: ImportedTool) -> JsonObject:
        mark = {
            "format": self.format,
            "source": self.source,
            "title": self.title,
            "url": self.url,
            "system": self.system_id,
            "operation": tool.key,
            "operationId": tool.operation_id,
            "label": tool.label,
            "hash": content_hash(definition),
        }
        return {
            **definition,
            PROVENANCE: {key: value for key, value in mark.items() if value is not None},
        }


class _Placement:
    """Gives each tool its id: the one it has, the one it wants, or one that is free.

    An operation is known again by its operationId, where that is unique then and now; else by
    method and path.
    """

    def __init__(self, origin: _Origin, stored: Sequence[StoredTool], result: ImportResult) -> None:
        self._origin = origin
        self._result = result
        self._taken = {one.id for one in stored}
        self._all_owned = [one for one in stored if origin.owns(one.definition)]
        operation_ids = set(result.operation_ids.values())
        self._by_operation_id: dict[str, StoredTool] = {}
        self._by_key: dict[str, StoredTool] = {}
        for one in self._all_owned:
            mark = mark_of(one.definition)
            operation_id = mark.get("operationId")
            if operation_id in operation_ids:
                known, key = self._by_operation_id, operation_id
            else:
                known, key = self._by_key, mark.get("operation")
            # Of copies, the one that is as it was imported.
            if key not in known or not is_edited(one.definition):
                known[str(key)] = one

    def _owned(self, key: str, operation_id: str | None) -> StoredTool | None:
        return self._by_operation_id.get(operation_id or "") or self._by_key.get(key)

    def gone(self) -> list[StoredTool]:
        """The tools of operations that the document has no more."""
        result = self._result
        operation_ids = set(result.operation_ids.values())
        keys = {
            key
            for key in result.all_keys
            if result.operation_ids.get(key) not in self._by_operation_id
        }
        marks = ((one, mark_of(one.definition)) for one in self._all_owned)
        return [
            one
            for one, mark in marks
            if mark.get("operationId") not in operation_ids and mark.get("operation") not in keys
        ]

    def place(self, tools: Sequence[ImportedTool]) -> list[tuple[ImportedTool, JsonObject]]:
        placed: list[tuple[ImportedTool, JsonObject]] = []
        for tool in tools:
            owned = self._owned(tool.key, tool.operation_id)
            tool_id = owned.id if owned is not None else self._free_id(tool)
            self._taken.add(tool_id)
            placed.append((tool, {**tool.definition, "id": tool_id}))
        return placed

    def _free_id(self, tool: ImportedTool) -> str:
        wanted = str(tool.definition["id"])
        # JSON can hold halves of surrogate pairs.
        key = f"{self._origin.system_id} {tool.key}".encode("utf-8", "surrogatepass")
        digest = hashlib.sha256(key).hexdigest()[:8]
        prefixed = f"{self._origin.system_id}_{wanted}"
        for candidate in (wanted, prefixed, f"{prefixed[: _LONGEST_ID - 9]}_{digest}"):
            if candidate not in self._taken and len(candidate) <= _LONGEST_ID:
                return candidate
        return f"{prefixed[: _LONGEST_ID - 9]}_{digest}"


def _with_new_ids(
    placed: list[tuple[ImportedTool, JsonObject]],
) -> list[tuple[ImportedTool, JsonObject]]:
    """Steps that run tools of the same document name them by the ids that those got."""
    ids = {tool.definition["id"]: definition["id"] for tool, definition in placed}

    def renamed(step: JsonObject) -> JsonObject:
        config = step["config"]
        if config.get("type") != "tool" or config["toolId"] not in ids:
            return step
        return {**step, "config": {**config, "toolId": ids[config["toolId"]]}}

    return [
        (tool, {**definition, "steps": list(map(renamed, definition["steps"]))})
        for tool, definition in placed
    ]


def _compare(
    report: ImportReport,
    origin: _Origin,
    tool: ImportedTool,
    definition: JsonObject,
    before: StoredTool | None,
) -> ToolChange | None:
    """The change that makes the stored tool the imported one, if there is one to make."""
    entry: JsonObject = {"id": definition["id"], "operation": tool.label}
    if tool.is_deprecated:
        entry["deprecated"] = True
    marked = origin.marked(definition, tool)
    if before is None:
        report.added.append(entry)
        return ToolChange(definition["id"], None, marked)
    if content_hash(before.definition) == content_hash(definition):
        report.unchanged.append(entry)
        return None
    if not origin.owns(before.definition) or is_edited(before.definition):
        given = mark_of(before.definition).get("hash")
        is_new = given is not None and given != content_hash(definition)
        report.edited.append({**entry, "documentChanged": is_new})
        return None
    report.changed.append({**entry, **_what_changes(before, definition)})
    return ToolChange(definition["id"], before.version_number, marked)


def _what_changes(before: StoredTool, after: JsonObject) -> JsonObject:
    """The inputs that a tool gains, loses and has otherwise, and its other parts that change."""
    old, new = _inputs_of(before.definition), _inputs_of(after)
    inputs = {
        "added": [name for name in new if name not in old],
        "removed": [name for name in old if name not in new],
        "changed": [name for name in new if name in old and new[name] != old[name]],
    }
    apart = BOOKKEEPING | {PROVENANCE, "inputSchema", "steps"}
    tops = [
        key
        for key in dict.fromkeys((*before.definition, *after))
        if key not in apart and before.definition.get(key) != after.get(key)
    ]
    steps = (_steps_of(before.definition), _steps_of(after))
    parts = [
        key
        for key in dict.fromkeys((*steps[0], *steps[1]))
        if steps[0].get(key) != steps[1].get(key)
    ]
    return {
        "versionBefore": before.version_number,
        "inputs": {kind: names for kind, names in inputs.items() if names},
        "parts": [*tops, *parts],
    }


def _inputs_of(definition: JsonObject) -> JsonObject:
    return object_of(object_of(definition.get("inputSchema")).get("properties"))


def _steps_of(definition: JsonObject) -> JsonObject:
    """What each step has, by a path: the fields of its configuration, and its own."""
    found: JsonObject = {}
    for step in map(object_of, list_of(definition.get("steps"))):
        fields = {**object_of(step.get("config")), **step}
        fields.pop("config", None)
        found |= {f"{step.get('id')}.{key}": value for key, value in fields.items()}
    return found


def _removals(report: ImportReport, gone: Sequence[StoredTool]) -> list[ToolChange]:
    """Tools of operations that the document has no more; those that were edited stay."""
    changes: list[ToolChange] = []
    for one in gone:
        mark = mark_of(one.definition)
        entry: JsonObject = {"id": one.id, "operation": str(mark.get("label"))}
        if is_edited(one.definition):
            report.edited.append({**entry, "gone": True})
        else:
            report.removed.append(entry)
            changes.append(ToolChange(one.id, one.version_number, None))
    return changes


def _describe(report: ImportReport, tool: ImportedTool, tool_id: str) -> None:
    if tool.pages is not None:
        report.pagination.append(
            {"id": tool_id, "type": tool.pages.type, "because": tool.pages.because}
        )
    report.renamed.extend(
        {"id": tool_id, "place": one.place, "name": one.name, "input": one.input}
        for one in tool.renamed
    )


async def put_system(service: Service, found: ImportedSystem, *, dry_run: bool) -> JsonObject:
    """Store a system, or in the one of its id the credentials that it has not yet.

    What that one has is kept. Raises `DocumentError` when it is refused.
    """
    wanted = found.definition
    stored = await service.connections.store.get(wanted["id"], "prod")
    definition = wanted if stored is None else stored.definition
    system = System.model_validate(definition)
    # Its own way to sign in counts, not the document's.
    own = auth_credential_names(system.auth)
    if stored is None:
        names = dict.fromkeys((*found.credentials, *own))
        known, taken = set[str](), dict(found.values)
    else:
        there = names_in_system(found, stored.definition)
        names = dict.fromkeys((*own, *there.values()))
        known = {one.name for one in stored.credentials}
        taken = _missing_values(found, stored, there)
    view: JsonObject = {
        "id": system.id,
        "outcome": "added" if stored is None else "kept",
        "url": system.url or None,
        "auth": system.auth.type if system.auth is not None else None,
        "credentials": [
            {
                "name": name,
                **({"for": found.purposes[name]} if name in found.purposes else {}),
                "isSet": name in known or name in taken,
                **({"isTaken": True} if name in taken else {}),
                "command": set_credential_command(system, name),
            }
            for name in names
        ],
    }
    if stored is not None:
        view["differs"] = [
            key
            for key in ("url", "auth", "allowedOrigins")
            if wanted.get(key) != stored.definition.get(key)
        ]
        if "url" in view["differs"]:
            view["documentUrl"] = wanted.get("url")
        if not dry_run:
            for name, value in taken.items():
                await service.connections.store.set_credential(system.id, "prod", name, value)
    elif not dry_run:
        put = await service.connections.put({**definition, "credentials": taken})
        if put["outcome"] == "refused":
            problems = "; ".join(f"{one['path']}: {one['message']}" for one in put["problems"])
            raise DocumentError(f"its system {system.id} is refused: {problems}")
    return {key: value for key, value in view.items() if value is not None}


def _missing_values(
    found: ImportedSystem, stored: StoredSystem, names: Mapping[str, str]
) -> dict[str, str]:
    """The found values that a stored system has no credential for, if they were sent to it."""
    url = found.definition.get("url")
    if url is not None and origin_of(url) != origin_of(str(stored.definition.get("url") or "")):
        return {}
    known = {one.name for one in stored.credentials}
    return {
        names[name]: value
        for name, value in found.values.items()
        if value and name in names and names[name] not in known
    }
