"""One operation as one tool with one request step."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tools.importers import ImportedTool, NoteList, RecognisedPages, RenamedInput
from tools.importers.openapi.bodies import (
    Body,
    BoundField,
    body_template,
    content_type_template,
    media_type_rank,
    read_body,
    swagger_body,
)
from tools.importers.openapi.defaults import without_broken_defaults
from tools.importers.openapi.masking import is_key
from tools.importers.openapi.naming import input_names
from tools.importers.openapi.pagination import PAGE_VARIABLES, Pages, Success, recognise_pages
from tools.importers.openapi.parameters import (
    Parameter,
    UnusableOperationError,
    read_parameters,
)
from tools.importers.openapi.references import Document, Place, ReferenceProblem
from tools.importers.openapi.schemas import Converted, SchemaConverter, is_scalar
from tools.importers.openapi.secret_values import without_secret_values
from tools.importers.openapi.security import Key, SignIns
from tools.importers.openapi.servers import first_server
from tools.importers.openapi.styles import (
    BoundParameter,
    cookie_template,
    header_template,
    inserted_names,
    query_is_plain,
    url_template,
)
from tools.importers.openapi.words import list_of, object_of, short_text, text_of
from tools.json_text import Json, JsonObject
from tools.methods import METHODS, METHODS_WITH_BODY
from tools.schema import check_schema, has_default
from tools.urls import origin_of

__all__ = ["Operation", "OperationReader"]

_LONGEST_NAME = 100
_MOST_INPUTS = 1_000
#: Subschemas of a file.
_FILE_PARTS = 8
_MOST_SUBSCHEMAS = 5_000
_LONGEST_INSTRUCTION = 500


@dataclass(frozen=True)
class Operation:
    """An operation as it stands in the document."""

    method: str
    path: str
    fields: JsonObject
    place: Place
    #: The fields of its path, and where they are.
    shared: JsonObject
    shared_place: Place

    @property
    def key(self) -> str:
        return str(Place(("paths", self.path, self.method.lower())))

    @property
    def label(self) -> str:
        return f"{self.method} {self.path}"

    @property
    def tags(self) -> list[str]:
        given = list_of(self.fields.get("tags"))
        return [one for one in given if isinstance(one, str) and not is_key(one)]


@dataclass(frozen=True)
class OperationReader:
    """Makes tools of the operations of one document."""

    document: Document
    notes: NoteList
    schemas: SchemaConverter
    system_id: str
    system_url: str | None
    base_url: str | None
    sign_ins: SignIns
    is_swagger: bool
    folder: str | None = None
    with_output_schemas: bool = False

    def system_suffix(self, operation: Operation) -> str:
        """What the id of the operation's system ends with, as its sign-in has it."""
        return self.sign_ins.suffix(self._security(operation)[0])

    def read(self, operation: Operation, tool_id: str) -> ImportedTool | None:
        """The tool of an operation; None when it cannot be one, which is noted.

        Raises `DocumentError` when the document as a whole is too large.
        """
        if operation.method not in METHODS:
            self.notes.add(operation.place, f"{operation.method} is no method of a step")
            return None
        success = self._success(operation)
        pages = None
        try:
            parameters, body = self._parameters_and_body(operation)
            if operation.method == "GET" and success is not None:
                place = operation.place
                pages = recognise_pages(self.document, parameters, success, place, self.notes)
            inputs = _Inputs(self, parameters, body, pages)
        except UnusableOperationError as error:
            self.notes.add(operation.place, f"the tool is left out: {error}")
            return None
        config = self._config(operation, inputs, body, pages)
        definition = self._words(operation, tool_id)
        definition["inputSchema"] = inputs.described
        if self.with_output_schemas and success is not None:
            output = self._output_schema(success)
            if output is not None:
                definition["outputSchema"] = output
        definition["steps"] = [{"id": "response", "config": config}]
        self._note_rest(operation)
        return ImportedTool(
            definition,
            operation.key,
            operation.label,
            tuple(inputs.renamed),
            None if pages is None else RecognisedPages(pages.config["type"], pages.because),
            operation.fields.get("deprecated") is True,
        )

    def _words(self, operation: Operation, tool_id: str) -> JsonObject:
        fields = operation.fields
        summary = short_text(fields.get("summary"), _LONGEST_INSTRUCTION)
        description = short_text(fields.get("description"), _LONGEST_INSTRUCTION)
        parts = [summary, description if description != summary else None]
        words = ". ".join(one.rstrip(".") for one in parts if one) or operation.label
        if fields.get("deprecated") is True:
            words = f"Deprecated. {words}"
        definition: JsonObject = {"id": tool_id}
        if summary:
            definition["name"] = summary[:_LONGEST_NAME]
        definition["instruction"] = (short_text(words, _LONGEST_INSTRUCTION) or words).rstrip(
            "."
        ) + "."
        folder = self.folder or next(iter(operation.tags), None)
        if folder:
            definition["folder"] = (short_text(folder, _LONGEST_NAME) or "").strip() or "api"
        return definition

    def _parameters_and_body(self, operation: Operation) -> tuple[list[Parameter], Body | None]:
        levels = [
            (operation.shared.get("parameters"), operation.shared_place / "parameters"),
            (operation.fields.get("parameters"), operation.place / "parameters"),
        ]
        parameters, bodies = read_parameters(
            self.document, levels, self.notes, swagger=self.is_swagger
        )
        if self.is_swagger:
            consumes = operation.fields.get("consumes", self.document.root.get("consumes"))
            body = swagger_body(
                self.document,
                next(iter(bodies), None),
                [one for one in parameters if one.location == "form"],
                [one for one in list_of(consumes) if isinstance(one, str) and not is_key(one)],
                self.notes,
            )
        else:
            given, place = operation.fields.get("requestBody"), operation.place / "requestBody"
            body = read_body(self.document, given, place, self.notes)
        if body is not None and operation.method not in METHODS_WITH_BODY:
            self.notes.add(body.place, f"{operation.method} is sent without a body")
            body = None
        kept = [
            one
            for one in parameters
            if one.location != "form" and not self._is_credential(operation, one)
        ]
        return _with_path_parameters(operation, kept, self.notes), body

    def _is_credential(self, operation: Operation, one: Parameter) -> bool:
        name = one.name.lower() if one.location == "header" else one.name
        sign_in = self.sign_ins.by_suffix[self.system_suffix(operation)]
        return (one.location, name) in sign_in.parameters

    def _config(
        self, operation: Operation, inputs: "_Inputs", body: Body | None, pages: Pages | None
    ) -> JsonObject:
        bound = inputs.parameters
        suffix = self.system_suffix(operation)
        system_id = self.system_id + (f"-{suffix}" if suffix else "")
        self._note_optional(operation, suffix)
        config: JsonObject = {
            "method": operation.method,
            "url": url_template(self._other_server(operation), operation.path, bound),
            "systemId": system_id,
        }
        query: JsonObject = {
            one.parameter.name: f"<<{one.input}>>"
            for one in bound
            if one.parameter.location == "query" and query_is_plain(one)
        }
        query |= inputs.page_parameters
        headers: JsonObject = {
            one.parameter.name: header_template(one)
            for one in bound
            if one.parameter.location == "header"
        }
        cookies = [one for one in bound if one.parameter.location == "cookie"]
        keys = self.sign_ins.by_suffix[suffix].keys
        credentials = {one: f"{system_id}_{one.credential}" for one in keys}
        _add_keys(query, headers, cookies, credentials)
        if (accept := self._accept(operation)) is not None:
            headers.setdefault("Accept", accept)
        if body is not None and inputs.fields:
            if body.media_type.strip().lower() != "application/json":
                headers["Content-Type"] = content_type_template(body, inputs.fields)
            config["body"] = body_template(body, inputs.fields)
        if query:
            config["queryParams"] = query
        if headers:
            config["headers"] = headers
        if pages is not None:
            config["pagination"] = dict(pages.config)
            if inputs.size_input is not None:
                config["pagination"]["pageSize"] = f"<<{inputs.size_input}>>"
        return config

    def _security(self, operation: Operation) -> tuple[Json, Place]:
        if "security" in operation.fields:
            return operation.fields["security"], operation.place / "security"
        return self.document.root.get("security"), Place(("security",))

    def _note_optional(self, operation: Operation, suffix: str) -> None:
        security, place = self._security(operation)
        if suffix and {} in list_of(security):
            self.notes.add(place, "signing in is optional; the tool does not")

    def _other_server(self, operation: Operation) -> str:
        """The url that an operation has of its own; empty where it is the system's."""
        for fields, place in (
            (operation.fields, operation.place),
            (operation.shared, operation.shared_place),
        ):
            if "servers" in fields and not self.is_swagger:
                url = first_server(fields["servers"], place / "servers", self.base_url, self.notes)
                return "" if url is None or url == self.system_url else url
        schemes = list_of(operation.fields.get("schemes")) if self.is_swagger else []
        own = origin_of(self.system_url or "")
        if schemes and own is not None and own.partition(":")[0] not in schemes:
            self.notes.add(operation.place / "schemes", "the scheme of the system is used")
        return ""

    def _success(self, operation: Operation) -> Success | None:
        """The answer of the one success status whose body is JSON."""
        responses = object_of(operation.fields.get("responses"))
        place = operation.place / "responses"
        listed = sorted(str(status) for status in responses if str(status).upper()[:1] == "2")
        for status in listed:
            try:
                value, at = self.document.follow(responses[status], place / status)
            except ReferenceProblem as problem:
                self.notes.add(place / status, f"the answer is not known: {problem}")
                continue
            fields = object_of(value)
            headers = object_of(fields.get("headers"))
            if self.is_swagger:
                if "schema" in fields or headers:
                    return Success(fields.get("schema", {}), at / "schema", headers)
                continue
            content = object_of(fields.get("content"))
            media_type = min(content, key=media_type_rank, default="")
            if media_type and media_type_rank(media_type) < 2:
                value, at = self._media_type(content[media_type], at / "content" / media_type)
                return Success(value.get("schema", {}), at / "schema", headers)
            if headers:
                return Success({}, at, headers)
        return None

    def _media_type(self, value: Json, place: Place) -> tuple[JsonObject, Place]:
        try:
            value, place = self.document.follow(value, place)
        except ReferenceProblem as problem:
            self.notes.add(place, f"the answer is not known: {problem}")
            return {}, place
        return object_of(value), place

    def _accept(self, operation: Operation) -> str | None:
        """The JSON among the kinds of answers, where there are others or a client has to ask."""
        kinds: dict[str, None] = {}
        if self.is_swagger:
            produces = operation.fields.get("produces", self.document.root.get("produces"))
            kinds.update((one, None) for one in list_of(produces) if isinstance(one, str))
        else:
            for status, response in object_of(operation.fields.get("responses")).items():
                if str(status)[:1] == "2":
                    try:
                        value, _ = self.document.follow(response, operation.place)
                    except ReferenceProblem:
                        continue
                    kinds.update(dict.fromkeys(object_of(object_of(value).get("content"))))
        if not kinds or (len(kinds) == 1 and not self._names_accept(operation)):
            return None
        best = min(kinds, key=media_type_rank)
        is_usable = media_type_rank(best) < 2 and "*" not in best and not is_key(best)
        return best if is_usable else None

    def _names_accept(self, operation: Operation) -> bool:
        """Whether `Accept` is one of the parameters, which no input gives."""
        for fields, place in (
            (operation.shared, operation.shared_place),
            (operation.fields, operation.place),
        ):
            for index, given in enumerate(list_of(fields.get("parameters"))):
                try:
                    value, _ = self.document.follow(given, place / "parameters" / index)
                except ReferenceProblem:
                    continue
                one = object_of(value)
                if one.get("in") == "header" and text_of(one.get("name")).lower() == "accept":
                    return True
        return False

    def _output_schema(self, success: Success) -> JsonObject | None:
        if not success.schema:
            return None
        converted = self.schemas.convert(success.schema, success.place, "output")
        schema = _with_definitions(
            converted.schema, self.schemas.definitions([converted], "output")
        )
        if not schema or check_schema(schema, root_must_be_object=False):
            self.notes.add(success.place, "the schema of the answer is not used")
            return None
        return schema

    def _note_rest(self, operation: Operation) -> None:
        for name in object_of(operation.fields.get("callbacks")):
            at = operation.place / "callbacks" / name
            self.notes.add(at, "callbacks are calls of the API, which nobody here answers")


def _add_keys(
    query: JsonObject,
    headers: JsonObject,
    cookies: Sequence[BoundParameter],
    credentials: Mapping[Key, str],
) -> None:
    """Add the keys that a step sends itself, and the parameters in cookies beside them."""
    for key, credential in credentials.items():
        if key.place == "query":
            query[key.name] = f"<<{credential}>>"
        elif key.place == "header":
            headers[key.name] = f"<<{credential}>>"
    in_cookies = [
        (key.name, credential) for key, credential in credentials.items() if key.place == "cookie"
    ]
    if not cookies and len(in_cookies) == 1:
        headers["Cookie"] = f"{in_cookies[0][0]}=<<{in_cookies[0][1]}>>"
    elif cookies or in_cookies:
        headers["Cookie"] = cookie_template(cookies, in_cookies)


def _with_path_parameters(
    operation: Operation, parameters: list[Parameter], notes: NoteList
) -> list[Parameter]:
    """The parameters with those that only the path names, and without those it does not."""
    path, _, query = operation.path.partition("?")
    written = inserted_names(operation.path)
    declared = {one.name for one in parameters if one.location == "path"}
    if query:
        in_path = inserted_names(path)
        declared.update(
            one.name for one in parameters if one.location == "query" and one.name not in in_path
        )
    missing = [name for name in written if name not in declared]
    for name in missing:
        notes.add(operation.place, f"the path's parameter {name} is not described; it is a text")
    for one in parameters:
        if one.location == "path" and one.name not in written:
            notes.add(one.place, f"the path has no parameter {one.name[:80]}")
    kept = [one for one in parameters if one.location != "path" or one.name in written]
    place = operation.place / "parameters"
    implied = [
        Parameter("path", name, {"type": "string"}, place, place, True, "simple", False)
        for name in missing
    ]
    return [*implied, *kept]


class _Inputs:
    """The inputs of one tool: their names, their schema, and what they are bound to."""

    def __init__(
        self,
        reader: OperationReader,
        parameters: Sequence[Parameter],
        body: Body | None,
        pages: Pages | None,
    ) -> None:
        self._reader = reader
        self._properties: JsonObject = {}
        self._required: list[str] = []
        self._converted: list[Converted] = []
        self._places: dict[str, Place] = {}
        self.renamed: list[RenamedInput] = []
        variables: Mapping[str, str] = pages.variables if pages is not None else {}
        taken_over = [
            one for one in parameters if one.location == "query" and one.name in variables
        ]
        kept = [one for one in parameters if one not in taken_over]
        self.page_parameters: JsonObject = {
            one.name: f"<<{variables[one.name]}>>" for one in taken_over if variables[one.name]
        }
        size_name = pages.size_parameter if pages is not None else None
        fields = list(body.fields) if body is not None else []
        fields = [one for one in fields if not self._is_hidden(one.schemas)]
        wanted = [(one.location, one.name) for one in kept]
        wanted += [("body", one.name) for one in fields]
        if len(wanted) > _MOST_INPUTS:
            raise UnusableOperationError(f"it has more than {_MOST_INPUTS:,} inputs")
        # The input of the page size has the value of its page variable.
        reserved = PAGE_VARIABLES - {size_name} if pages is not None else frozenset[str]()
        names = input_names(wanted, reader.system_id, reserved)
        self.size_input: str | None = None
        bound: list[tuple[Parameter, str, Converted]] = []
        for one, name in zip(kept, names, strict=False):
            given = self._without_secrets(one.name, one.schema, one.schema_place)
            converted = reader.schemas.convert(*given, "input", with_defaults=True)
            fitting = self._with_fitting_defaults(converted, given[1])
            schema = _described(fitting, one.description, one.is_deprecated)
            if size_name is not None and one.location == "query" and one.name == size_name:
                self.size_input = name
                schema = {**schema, "default": pages.size if pages is not None else None}
            self._add(one.name, name, schema, converted, one.place, one.required)
            bound.append((one, name, converted))
        bound_fields: list[tuple[Any, str, Converted]] = []
        for one, name in zip(fields, names[len(kept) :], strict=True):
            is_file = one.part is not None and one.part.kind == "file"
            converted = (
                Converted(one.schemas[0][0], (), _FILE_PARTS)
                if is_file
                else self._field_schema(one.name, one.schemas)
            )
            schema = _described(converted.schema, one.description, deprecated=False)
            self._add(one.name, name, schema, converted, one.place, one.required)
            bound_fields.append((one, name, converted))
        if sum(one.size for one in self._converted) > _MOST_SUBSCHEMAS:
            raise UnusableOperationError(f"its inputs have more than {_MOST_SUBSCHEMAS:,} parts")
        self.definitions = reader.schemas.definitions(self._converted, "input")
        self.described = self._schema()
        self.parameters = [
            BoundParameter(one, name, is_scalar(converted.schema, self.definitions))
            for one, name, converted in bound
        ]
        self.fields = [
            BoundField(
                one,
                name,
                is_scalar(converted.schema, self.definitions),
                _may_be_text(converted.schema),
            )
            for one, name, converted in bound_fields
        ]

    def _with_fitting_defaults(self, converted: Converted, place: Place) -> Any:
        """A schema without the defaults that it refuses itself: no call could leave them out."""
        if not has_default(converted.schema):
            return converted.schema
        definitions: JsonObject = {}
        if converted.targets:
            definitions = self._reader.schemas.definitions([converted], "input")
        schema, broken = without_broken_defaults(converted.schema, definitions)
        for path in broken:
            at = place
            for step in path:
                at /= step
            self._reader.notes.add(at / "default", "the default is not a value of its schema")
        return schema

    def _is_hidden(self, schemas: Sequence[tuple[Json, Place]]) -> bool:
        converter = self._reader.schemas
        return any(converter.is_hidden(schema, place, "input") for schema, place in schemas)

    def _without_secrets(self, name: str, schema: Json, place: Place) -> tuple[Json, Place]:
        reader = self._reader
        return without_secret_values(name, schema, place, reader.document, reader.notes)

    def _field_schema(self, name: str, schemas: Sequence[tuple[Json, Place]]) -> Converted:
        reader = self._reader
        converted = [
            reader.schemas.convert(*self._without_secrets(name, schema, place), "input")
            for schema, place in schemas
        ]
        if len(converted) == 1:
            return converted[0]
        targets = tuple(target for one in converted for target in one.targets)
        size = sum(one.size for one in converted)
        return Converted({"allOf": [one.schema for one in converted]}, targets, size)

    def _add(
        self,
        name: str,
        input_name: str,
        schema: JsonObject,
        converted: Converted,
        place: Place,
        required: bool,
    ) -> None:
        if input_name != name and name != "body":
            self.renamed.append(RenamedInput(str(place), name, input_name))
        self._properties[input_name] = schema
        self._places[input_name] = place
        self._converted.append(converted)
        if required:
            self._required.append(input_name)

    def _schema(self) -> JsonObject:
        """The input schema, in which `check_schema` finds no problem."""
        schema = self._whole(self._properties, self.definitions)
        if not check_schema(schema, root_must_be_object=True):
            return schema
        properties: JsonObject = {}
        for name, one in self._properties.items():
            alone = {"type": "object", "properties": {name: one}, "$defs": self.definitions}
            problems = check_schema(alone, root_must_be_object=True)
            if problems:
                self._reader.notes.add(
                    self._places[name], f"any value is accepted: {problems[0].message}"
                )
                one = {key: one[key] for key in ("description",) if key in one}
            properties[name] = one
        schema = self._whole(properties, self.definitions)
        if check_schema(schema, root_must_be_object=True):
            raise UnusableOperationError("its inputs cannot be described")
        return schema

    def _whole(self, properties: JsonObject, definitions: JsonObject) -> JsonObject:
        schema: JsonObject = {"type": "object", "properties": properties}
        if self._required:
            schema["required"] = self._required
        schema["additionalProperties"] = False
        return _with_definitions(schema, definitions)


def _with_definitions(schema: Any, definitions: JsonObject) -> JsonObject:
    members = object_of(schema)
    return {**members, "$defs": definitions} if definitions else members


def _described(schema: Any, description: Json, deprecated: bool) -> JsonObject:
    result = dict(object_of(schema))
    if words := short_text(description, 300):
        default = text_of(result.get("description")).partition("Default: ")[2]
        result["description"] = f"{words} Default: {default}" if default else words
    if deprecated:
        result["deprecated"] = True
    return result


def _may_be_text(schema: Any) -> bool:
    kind = object_of(schema).get("type")
    return kind is None or "string" in (list_of(kind) or [kind])
