"""Drafts become tools: systems get ids, secrets and inputs names, texts become templates."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import cast
from urllib.parse import unquote

from tools.importers import (
    DocumentError,
    ImportedSystem,
    ImportedTool,
    ImportResult,
    NoteList,
    RenamedInput,
)
from tools.importers.openapi.naming import input_names, operation_ids
from tools.importers.openapi.words import short_text
from tools.importers.requests.draft import (
    VARYING,
    Draft,
    Input,
    Variable,
    take_apart,
    typed,
)
from tools.importers.requests.operations import graphql_text
from tools.importers.requests.seen import SeenPart, SeenRequest
from tools.importers.requests.systems import FoundSystem, Systems
from tools.importers.secrets import MOST_SECRETS, too_many_secrets
from tools.importers.text import (
    changed_expression,
    has_bare_references,
    joined_template,
    json_template,
    only_reference,
    plain_template,
    readable,
    references,
    split_change,
    url_path_template,
)
from tools.json_text import Json, JsonObject
from tools.methods import METHODS, METHODS_WITH_BODY
from tools.redaction import Redactor

__all__ = ["BuildOptions", "build_result"]

_MOST_REQUESTS = 10_000
_LONGEST_NAME = 100
_LONGEST_INSTRUCTION = 500
_MOST_INPUT_TEXT = 2_000


@dataclass(frozen=True)
class BuildOptions:
    """What to make of the requests of a document."""

    format: str
    title: str
    #: The id of the first system; without it the host gives one.
    system_id: str | None = None
    folder: str | None = None
    #: Keep the values as they were seen: no inputs but those that are variables.
    literal: bool = False
    variables: Mapping[str, Variable] = field(default_factory=dict[str, Variable], repr=False)
    #: A later import of the document says which tools are gone.
    is_whole: bool = True
    #: All requests were made by one user: a token that differs is a newer one.
    is_one_session: bool = False


def build_result(
    requests: Sequence[SeenRequest], options: BuildOptions, notes: NoteList
) -> ImportResult:
    """The tools and systems of some requests. Raises `DocumentError`."""
    if len(requests) > _MOST_REQUESTS:
        raise DocumentError(f"it has more than {_MOST_REQUESTS:,} requests")
    drafts = [
        draft
        for one in requests
        if _is_method(one, notes)
        and (draft := take_apart(one, options.variables, notes)) is not None
    ]
    if not drafts:
        why = next(reversed(notes.notes), None)
        raise DocumentError(
            "it has no request that a tool could make",
            place=why and why.place,
            hint=why and f"{why.reason[:1].upper()}{why.reason[1:]}.",
        )
    known: dict[str, str] = {}
    for draft in drafts:
        known |= draft.known_secrets()
        if len(known) > MOST_SECRETS:
            raise too_many_secrets(draft.request.place)
    # Before ids are made of them: an id keeps letters and digits of whatever it is made of.
    redactor = _redactor_for(known)
    title = redactor.text(options.title)
    for draft in drafts:
        draft.replace_secrets(known)
        if draft.request.name is not None:
            draft.request.name = redactor.text(draft.request.name)
    systems = Systems(options.system_id, by_value=not options.is_one_session)
    placed = _place(drafts, systems, title)
    if not options.literal:
        for draft in drafts:
            _find_inputs(draft)
    paths = [readable(draft.path, lambda name, one=draft: _shown(one, name)) for draft in drafts]
    keys = _unique(
        [one.request.key or _key_of(one, path) for one, path in zip(drafts, paths, strict=True)]
    )
    ids = operation_ids(
        (draft.request.method, key, draft.request.name or _id_of(draft, path))
        for draft, key, path in zip(drafts, keys, paths, strict=True)
    )
    tools = [
        _tool(draft, system, ids[draft.request.method, key], key, path, options)
        for draft, system, key, path in zip(drafts, placed, keys, paths, strict=True)
    ]
    found = [one.result() for one in systems.all()]
    result = ImportResult(
        options.format,
        options.title,
        found[0],
        tuple(tools),
        frozenset(keys),
        notes,
        tuple(found[1:]),
        options.is_whole,
    )
    return without_secrets(result, known)


def _redactor_for(known: Mapping[str, str]) -> Redactor:
    redactor = Redactor({})
    for value, name in known.items():
        redactor.add(name, value)
    return redactor


def without_secrets(result: ImportResult, known: Mapping[str, str]) -> ImportResult:
    """The result with none of the secrets in any text, whatever place it got to."""
    redactor = _redactor_for(known)
    if not redactor:
        return result
    notes = NoteList(left_out=result.notes.left_out)
    for one in result.notes:
        notes.add(redactor.text(one.place), redactor.text(one.reason))
    return replace(
        result,
        title=redactor.text(result.title),
        system=_clean_system(result.system, redactor),
        further_systems=tuple(_clean_system(one, redactor) for one in result.further_systems),
        tools=tuple(_clean_tool(one, redactor) for one in result.tools),
        all_keys=frozenset(map(redactor.text, result.all_keys)),
        notes=notes,
    )


def _clean_system(system: ImportedSystem, redactor: Redactor) -> ImportedSystem:
    return replace(system, definition=redactor.json(system.definition))


def _clean_tool(tool: ImportedTool, redactor: Redactor) -> ImportedTool:
    definition = cast("JsonObject", redactor.json(tool.definition))
    plain_id = re.sub(r"[^A-Za-z0-9_.-]+", "_", str(definition["id"])).strip("_") or "request"
    return replace(
        tool,
        definition={**definition, "id": plain_id},
        key=redactor.text(tool.key),
        label=redactor.text(tool.label),
        renamed=tuple(
            RenamedInput(redactor.text(one.place), redactor.text(one.name), one.input)
            for one in tool.renamed
        ),
    )


def _is_method(request: SeenRequest, notes: NoteList) -> bool:
    request.method = request.method.upper()
    if request.method in METHODS:
        return True
    notes.add(request.place, "left out: its method is none that a step can use")
    return False


def _place(drafts: Sequence[Draft], systems: Systems, title: str) -> list[FoundSystem | None]:
    """The system of each draft; None for one that goes without, beside others that sign in."""
    signed = {one.origin for one in drafts if one.auth is not None or one.secrets}
    return [
        None
        if draft.auth is None and not draft.secrets and draft.origin and draft.origin in signed
        else systems.get(draft.origin, title, draft.auth)
        for draft in drafts
    ]


def _unique(names: Sequence[str]) -> list[str]:
    seen: Counter[str] = Counter()
    unique: list[str] = []
    for name in names:
        seen[name] += 1
        unique.append(name if seen[name] == 1 else f"{name} #{seen[name]}")
    return unique


def _key_of(draft: Draft, path: str) -> str:
    operation = draft.request.operation
    key = f"{draft.request.method} {draft.origin}{path}"
    return key if operation is None else f"{key} {operation.identity}"


def _id_of(draft: Draft, path: str) -> str:
    words = re.sub(r"[^A-Za-z0-9]+", "_", unquote(path)).strip("_")
    return f"{draft.request.method.lower()}_{words or 'root'}"


def _shown(draft: Draft, name: str) -> str:
    name = split_change(name)[1]
    if name in draft.inputs:
        return f"{{{draft.inputs[name].name}}}"
    return f"{{{draft.secrets[name].wanted}}}" if name in draft.secrets else "{value}"


# Inputs


def _find_inputs(draft: Draft) -> None:
    """Values of the path and query and the fields of the body become inputs."""
    draft.path = _path_inputs(draft)
    optional = draft.request.optional
    operation = draft.request.operation
    said_by = frozenset[str]() if operation is None else operation.said_by
    once = Counter(name for name, _ in draft.query)
    draft.query = [
        (name, _input_for(draft, "query", name, value, optional=name in optional))
        if once[name] == 1 and name not in said_by
        else (name, value)
        for name, value in draft.query
    ]
    if draft.form is not None:
        once = Counter(name for name, _ in draft.form)
        draft.form = [
            (name, _input_for(draft, "body", name, value))
            if once[name] == 1 and name not in said_by
            else (name, value)
            for name, value in draft.form
        ]
    body: Json = draft.json
    if isinstance(body, dict):
        fields = cast("JsonObject", body)
        # Its query is the program, the variables are what it is asked.
        asked = "params" if "jsonrpc" in fields else "variables"
        inner = fields.get(asked)
        if graphql_text(fields) is None:
            draft.json = _json_inputs(draft, fields, said_by)
        if isinstance(inner, dict) and said_by:
            asking = _json_inputs(draft, cast("JsonObject", inner), frozenset())
            draft.json = {**cast("JsonObject", draft.json), asked: asking}


def _path_inputs(draft: Draft) -> str:
    segments = draft.path.split("/")
    for index, segment in enumerate(segments):
        if VARYING.fullmatch(segment):
            before = segments[index - 1] if index else ""
            name = before if before and not any(references(before)) else ""
            name = re.sub(r"[^A-Za-z0-9]+", "_", unquote(name)).strip("_")
            singular = (
                re.sub(r"ies$", "y", name) if name.endswith("ies") else name.removesuffix("s")
            )
            schema: JsonObject = {"type": "string", "default": segment}
            if isinstance(typed(segment), int):
                schema = {"type": "integer", "default": typed(segment)}
            name = f"{singular}_id" if singular else "id"
            segments[index] = draft.input(Input("path", name, schema))
    return "/".join(segments)


def _input_for(
    draft: Draft, location: str, name: str, value: str, *, optional: bool = False
) -> str:
    if not value or any(references(value)) or any(references(name)):
        return value
    if len(value) > _MOST_INPUT_TEXT or name.startswith("__"):
        return value
    seen = typed(value)
    schema: JsonObject = {"type": _type_of(seen)}
    if not optional:
        schema["default"] = seen
    return draft.input(Input(location, name, schema))


def _json_inputs(draft: Draft, fields: JsonObject, kept: frozenset[str]) -> JsonObject:
    return {
        name: value if name in kept or any(references(name)) else _json_input(draft, name, value)
        for name, value in fields.items()
    }


def _json_input(draft: Draft, name: str, value: Json) -> Json:
    if isinstance(value, str):
        if any(references(value)) or len(value) > _MOST_INPUT_TEXT:
            return value
    elif not isinstance(value, int | float):
        return value
    schema: JsonObject = {"type": _type_of(value), "default": value}
    return draft.input(Input("body", name, schema), bare=not isinstance(value, str))


def _type_of(value: Json) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "integer" if isinstance(value, int) else "number"
    return "string"


# Tools


def _tool(
    draft: Draft,
    system: FoundSystem | None,
    tool_id: str,
    key: str,
    path: str,
    options: BuildOptions,
) -> ImportedTool:
    system_id = system.id if system is not None else ""
    expressions = _Expressions()
    if system is not None:
        for name, secret in draft.secrets.items():
            credential = system.credential(secret.wanted, secret.value)
            expressions[name] = f"{system_id}_{credential}"
    used = _used_inputs(draft)
    names = input_names([(one.location, one.name) for one in used.values()], system_id)
    for name, given in zip(used, names, strict=True):
        expressions[name] = expressions[f"={name}"] = given
    request = draft.request
    label = f"{request.method} {path}"
    definition: JsonObject = {"id": tool_id}
    title = short_text(request.name, _LONGEST_NAME)
    if title:
        definition["name"] = title
    words = short_text(request.description, _LONGEST_INSTRUCTION)
    where = draft.origin.partition("://")[2]
    seen = f"{label} of {where}" if where else label
    words = words or (f"{title}: {seen}" if title else seen)
    definition["instruction"] = words.rstrip(".") + "."
    folder = options.folder or short_text(request.folder, _LONGEST_NAME)
    if folder:
        definition["folder"] = folder
    properties = {given: one.schema for given, one in zip(names, used.values(), strict=True)}
    schema: JsonObject = {"type": "object", "properties": properties}
    required = [
        given
        for given, one in zip(names, used.values(), strict=True)
        if "default" not in one.schema and not _is_optional(draft, one)
    ]
    if required:
        schema["required"] = required
    definition["inputSchema"] = schema
    config = _config(draft, system, expressions)
    definition["steps"] = [{"id": "response", "config": config, **request.limits}]
    renamed = tuple(
        RenamedInput(request.place, one.name, given)
        for given, one in zip(names, used.values(), strict=True)
        if given != one.name
    )
    return ImportedTool(definition, key, label, renamed)


class _Expressions(dict[str, str]):
    """What each reference is inside `<<…>>`; a function stands for itself."""

    def get(self, name: str, default: str | None = None) -> str | None:  # pyright: ignore[reportIncompatibleMethodOverride]: narrower on purpose
        change, name = split_change(name)
        if name.removeprefix("=").startswith("(s) =>"):
            return name.removeprefix("=")
        expression = super().get(name, default)
        if not change or expression is None:
            return expression
        return changed_expression(change.removeprefix("="), expression)


def _is_optional(draft: Draft, one: Input) -> bool:
    return one.location == "query" and one.name in draft.request.optional


def _used_inputs(draft: Draft) -> dict[str, Input]:
    """The inputs in the order in which a reader meets them: path, query, headers, body."""
    order = {"path": 0, "query": 1, "variable": 2, "header": 3, "body": 4}
    return dict(sorted(draft.inputs.items(), key=lambda item: order[item[1].location]))


def _config(draft: Draft, system: FoundSystem | None, expressions: "_Expressions") -> JsonObject:
    path = url_path_template(draft.path, expressions) or "/"
    if draft.bare_query:
        path += "?" + url_path_template("&".join(draft.bare_query), expressions)
    config: JsonObject = {
        "method": draft.request.method,
        "url": path if system is not None else f"{draft.origin}{path}",
    }
    if system is not None:
        config["systemId"] = system.id
    if query := _fields(draft.query, expressions):
        config["queryParams"] = query
    if headers := _fields(draft.headers, expressions):
        config["headers"] = headers
    if draft.request.method not in METHODS_WITH_BODY:
        return config
    if draft.form is not None:
        config["body"] = json_template(_form(draft.form, draft.parts), expressions)
    elif draft.json is not None:
        config["body"] = json_template(draft.json, expressions)
    elif draft.text is not None:
        write = joined_template if _is_joined(draft) else plain_template
        config["body"] = write(draft.text, expressions)
    return config


def _is_joined(draft: Draft) -> bool:
    """Whether a text that is sent as JSON is not the template of a JSON value."""
    text, body = draft.text or "", draft.request.body
    kind = (body.media_type or "" if body is not None else "").partition(";")[0].strip().lower()
    is_json = kind == "application/json" or kind.endswith("+json")
    # A text that is one string of JSON would lose its quotes.
    is_apart = has_bare_references(text) or text.lstrip().startswith('"')
    return is_json and is_apart and only_reference(text) is None


def _fields(pairs: Sequence[tuple[str, str]], expressions: "_Expressions") -> JsonObject:
    fields: JsonObject = {}
    for name, value in _grouped(pairs).items():
        listed = [value] if isinstance(value, str) else cast("list[str]", value)
        texts = [plain_template(one, expressions) for one in listed]
        fields[plain_template(name, expressions)] = texts if len(texts) > 1 else texts[0]
    return fields


def _form(pairs: Sequence[tuple[str, str]], parts: Mapping[int, SeenPart]) -> JsonObject:
    """The fields of a form; those that are more than a text as the tool format writes parts."""
    return _grouped(
        [
            (name, _part(name, value, parts[index]) if index in parts else value)
            for index, (name, value) in enumerate(pairs)
        ]
    )


def _part(name: str, value: str, part: SeenPart) -> JsonObject:
    described: JsonObject = {"file": value if part.is_file else {"text": value}}
    if part.is_file:
        described["name"] = part.file_name or readable(name, str)
    elif part.file_name:
        described["name"] = part.file_name
    if part.content_type:
        described["contentType"] = part.content_type
    return described


def _grouped(pairs: Sequence[tuple[str, Json]]) -> JsonObject:
    """Names with their value, or the list of them."""
    grouped: dict[str, list[Json]] = {}
    for name, value in pairs:
        grouped.setdefault(name, []).append(value)
    fields: JsonObject = {}
    for name, values in grouped.items():
        fields[name] = values if len(values) > 1 else values[0]
    return fields
