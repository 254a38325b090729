"""OpenAPI 3.0 to 3.2, and Swagger 2.0, as tools and a system."""

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from urllib.parse import urljoin

from tools.importers import DocumentError, ImportedSystem, ImportedTool, ImportResult, NoteList
from tools.importers.openapi.document import (
    MAX_DOCUMENT_BYTES,
    format_of,
    read_document,
    reader_of_folder,
)
from tools.importers.openapi.masking import (
    NAME_LEFT_OUT,
    VALUE_LEFT_OUT,
    is_key,
    without_issued_keys,
)
from tools.importers.openapi.naming import operation_ids, system_id_of
from tools.importers.openapi.operations import Operation, OperationReader
from tools.importers.openapi.references import Document, Place, ReferenceProblem
from tools.importers.openapi.schemas import SchemaConverter
from tools.importers.openapi.secret_values import without_secret_parameters
from tools.importers.openapi.security import SignIn, SignIns, choose_sign_ins
from tools.importers.openapi.servers import first_server, swagger_server, without_user
from tools.importers.openapi.words import list_of, object_of, short_text, text_of
from tools.json_text import Json, JsonObject
from tools.urls import origin_of

__all__ = [
    "MAX_DOCUMENT_BYTES",
    "DescribedApi",
    "OpenApiOptions",
    "import_openapi",
    "reader_of_folder",
]

_METHODS = ("get", "query", "put", "post", "delete", "options", "head", "patch", "trace")
#: Methods by the names that are sent, of OpenAPI 3.2.
_OTHER_METHODS = "additionalOperations"
_MOST_LISTED = 100_000
_MOST_CHOSEN = 10_000
_TAGS_SHOWN = 20
_LONGEST_TITLE = 100


@dataclass(frozen=True)
class OpenApiOptions:
    """What to make of a document."""

    #: The id of the system; without it the title gives one.
    system_id: str | None = None
    #: Patterns (`*`, `?`) for paths, `METHOD /path`, or operationIds; none: all operations.
    include: Sequence[str] = ()
    tags: Sequence[str] = ()
    folder: str | None = None
    with_output_schemas: bool = False
    #: Where the document was read from, for addresses that are relative to it.
    base_url: str | None = None


@dataclass(frozen=True)
class DescribedApi:
    """What tells an API from others before its system has an id."""

    #: The id that the title gives.
    system_id: str
    title: str
    url: str | None
    #: What the ids of its systems end with.
    suffixes: frozenset[str]
    #: The keys of all operations, and the operationIds that are unique.
    operations: frozenset[str]


def import_openapi(
    content: bytes,
    options: OpenApiOptions,
    read_file: Callable[[str], Json] | None = None,
    name_system: Callable[[DescribedApi], str] | None = None,
) -> ImportResult:
    """The tools and the system of a document. `read_file` reads the files it refers to.

    `name_system` gives the id of the system where the options have none; without it the title
    does. Raises `DocumentError`; nothing is fetched.
    """
    document = read_document(content, read_file)
    options = replace(options, base_url=without_user(_base_url(document, options.base_url)))
    kind = format_of(document)
    notes = _MaskedNotes()
    title = short_text(object_of(document.root.get("info")).get("title"), _LONGEST_TITLE) or "API"
    operations = _operations(document, notes)
    chosen = [one for one in operations if _is_chosen(one, options)]
    if operations and not chosen:
        raise DocumentError(
            "none of its operations was chosen",
            place="#/paths",
            hint=f"There are {len(operations)}, such as {operations[0].label}"
            f" with the tags {', '.join(operations[0].tags) or '(none)'}.",
        )
    if not operations:
        raise DocumentError("it has no operations", place="#/paths")
    if len(chosen) > _MOST_CHOSEN:
        tags = ", ".join(_tags(chosen)[:_TAGS_SHOWN])
        raise DocumentError(
            f"it has {len(chosen):,} operations; at most {_MOST_CHOSEN:,} become tools at once",
            place="#/paths",
            hint=f"Choose some with --tag or --include. Its tags: {tags or '(none)'}.",
        )
    is_swagger = kind.startswith("swagger")
    url = _server(document, options.base_url, is_swagger, notes)
    sign_ins = _sign_ins(document, chosen, url or options.base_url, is_swagger, notes)
    unique_ids = _unique_ids(operations)
    system_id = options.system_id or system_id_of(title)
    if options.system_id is None and name_system is not None:
        everywhere = document.root.get("security")
        suffixes = {sign_ins.suffix(one.fields.get("security", everywhere)) for one in chosen}
        names = {*(one.key for one in operations), *unique_ids.values()}
        system_id = name_system(
            DescribedApi(system_id, title, url, frozenset(suffixes), frozenset(names))
        )
    reader = OperationReader(
        document,
        notes,
        SchemaConverter(document, notes, has_nullable=kind in {"swagger 2.0", "openapi 3.0"}),
        system_id,
        url,
        options.base_url,
        sign_ins,
        is_swagger,
        options.folder,
        options.with_output_schemas,
    )
    ids = operation_ids(
        (one.method, one.path, text_of(one.fields.get("operationId")) or None) for one in operations
    )
    tools = [
        replace(tool, operation_id=unique_ids.get(tool.key))
        for one in chosen
        if (tool := reader.read(one, ids[one.method, one.path])) is not None
    ]
    if not tools:
        last = list(notes)[-1]
        raise DocumentError(f"no tool can be made of it: {last.reason}", place=last.place)
    _note_rest(document, notes)
    by_suffix: dict[str, list[ImportedTool]] = {"": []}
    for tool in tools:
        used = _system_id_of(tool).removeprefix(system_id).removeprefix("-")
        by_suffix.setdefault(used, []).append(tool)
    systems = [
        _system(
            f"{system_id}-{suffix}" if suffix else system_id,
            f"{title} ({suffix})" if suffix else title,
            url,
            sign_ins.by_suffix[suffix],
            listed,
        )
        for suffix, listed in by_suffix.items()
    ]
    return ImportResult(
        kind,
        title,
        systems[0],
        tuple(tools),
        frozenset(one.key for one in operations),
        notes,
        tuple(systems[1:]),
        operation_ids=unique_ids,
    )


def _base_url(document: Document, read_from: str | None) -> str | None:
    """What the addresses of a document are relative to: its own, else where it was read from."""
    if document.own_url is None:
        return read_from
    with suppress(ValueError):
        url = urljoin(read_from or "", document.own_url)
        if origin_of(url) is not None:
            return url
    return read_from


class _MaskedNotes(NoteList):
    """Notes in whose reasons no key of an issuer is quoted."""

    def add(self, place: object, reason: str) -> None:
        super().add(place, without_issued_keys(reason))


def _unique_ids(operations: Sequence[Operation]) -> dict[str, str]:
    """The operationId of each key whose operationId no other operation has."""
    named = {one.key: text_of(one.fields.get("operationId")) for one in operations}
    count = Counter(named.values())
    return {key: name for key, name in named.items() if name and count[name] == 1}


def _system_id_of(tool: ImportedTool) -> str:
    return tool.definition["steps"][0]["config"]["systemId"]


def _operations(document: Document, notes: NoteList) -> list[Operation]:
    """All operations by path and method. Raises `DocumentError`."""
    paths = document.root.get("paths")
    if paths is None:
        paths = {}
    if not isinstance(paths, dict):
        raise DocumentError("`paths` is no object", place="#/paths")
    if len(object_of(paths)) > _MOST_LISTED:
        raise DocumentError(f"it has more than {_MOST_LISTED:,} paths", place="#/paths")
    found: list[Operation] = []
    seen: set[str] = set()
    for written in sorted(object_of(paths)):
        path = without_secret_parameters(written)
        at = Place(("paths", path))
        if path != written:
            notes.add(at, "a value of its query may be a secret and is left out")
            if path in seen or path in object_of(paths):
                notes.add(at, "the path is left out: without that value it is another one")
                continue
            seen.add(path)
        if path.startswith("x-"):
            continue
        if is_key(path):
            notes.add(at, NAME_LEFT_OUT)
            continue
        if not path.startswith("/"):
            notes.add(at, "a path begins with /; its operations are left out")
            continue
        try:
            value, at = document.follow(object_of(paths)[written], at)
        except ReferenceProblem as problem:
            notes.add(at, f"the path is left out: {problem}")
            continue
        if not isinstance(value, dict):
            notes.add(at, "the path is left out: this is no object of operations")
            continue
        item = object_of(value)
        for key in item:
            is_known = key in _METHODS or key == _OTHER_METHODS or key.startswith("x-")
            if isinstance(item[key], dict) and not is_known:
                notes.add(at / key, "this is no method; methods are written in lower case")
        for name in object_of(item.get(_OTHER_METHODS)):
            notes.add(at / _OTHER_METHODS / name, "no step can send this method")
        for method in _METHODS:
            if method not in item:
                continue
            if not isinstance(item[method], dict):
                notes.add(at / method, "this is no operation")
                continue
            fields = _without_secret_id(object_of(item[method]), at / method, notes)
            found.append(Operation(method.upper(), path, fields, at / method, item, at))
        if len(found) > _MOST_LISTED:
            raise DocumentError(f"it has more than {_MOST_LISTED:,} operations", place="#/paths")
    return found


def _without_secret_id(fields: JsonObject, place: Place, notes: NoteList) -> JsonObject:
    """An operation that is named by method and path where its operationId is somebody's key."""
    if not is_key(text_of(fields.get("operationId"))):
        return fields
    notes.add(place / "operationId", VALUE_LEFT_OUT)
    return {key: one for key, one in fields.items() if key != "operationId"}


def _tags(operations: Sequence[Operation]) -> list[str]:
    """The tags of operations, the most frequent first."""
    count = Counter(tag for one in operations for tag in one.tags)
    return [tag for tag, _ in count.most_common()]


def _is_chosen(operation: Operation, options: OpenApiOptions) -> bool:
    names = (operation.path, operation.label, text_of(operation.fields.get("operationId")))
    if options.include and not any(
        fnmatchcase(name, pattern) for pattern in options.include for name in names if name
    ):
        return False
    wanted = {tag.lower() for tag in options.tags}
    return not wanted or any(tag.lower() in wanted for tag in operation.tags)


def _server(
    document: Document, base_url: str | None, is_swagger: bool, notes: NoteList
) -> str | None:
    if is_swagger:
        return swagger_server(document.root, base_url, notes)
    servers = document.root.get("servers")
    if list_of(servers):
        return first_server(servers, Place(("servers",)), base_url, notes)
    if base_url is not None:
        # The specification: without servers it is where the document is, at the root.
        return origin_of(base_url)
    notes.add(Place(), "it names no server; set the url of the system")
    return None


def _sign_ins(
    document: Document,
    operations: Sequence[Operation],
    base_url: str | None,
    is_swagger: bool,
    notes: NoteList,
) -> SignIns:
    if is_swagger:
        schemes, place = document.root.get("securityDefinitions"), Place(("securityDefinitions",))
    else:
        components = object_of(document.root.get("components"))
        schemes, place = components.get("securitySchemes"), Place(("components", "securitySchemes"))
    everywhere = document.root.get("security")
    requirements = [one.fields.get("security", everywhere) for one in operations]
    return choose_sign_ins(document, schemes, place, requirements, base_url, notes)


def _system(
    system_id: str, title: str, url: str | None, sign_in: SignIn, tools: Sequence[ImportedTool]
) -> ImportedSystem:
    definition: JsonObject = {"id": system_id, "name": title}
    if url is not None:
        definition["url"] = url
    if sign_in.auth is not None:
        definition["auth"] = sign_in.auth
    origins = {origin_of(tool.definition["steps"][0]["config"]["url"]) for tool in tools}
    others = sorted(one for one in origins if one is not None and one != origin_of(url or ""))
    if others:
        definition["allowedOrigins"] = others
    return ImportedSystem(definition, sign_in.credentials, purposes=sign_in.purposes)


def _note_rest(document: Document, notes: NoteList) -> None:
    for name in object_of(document.root.get("webhooks")):
        notes.add(Place(("webhooks", name)), "webhooks are calls of the API, not to it")
