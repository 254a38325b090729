"""Postman collections (2.0 and 2.1) as tools: one for each request, in the folders they are in."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from tools.importers import DocumentError, ImportResult, NoteList
from tools.importers.openapi.references import Place
from tools.importers.openapi.words import list_of, object_of, short_text, text_of
from tools.importers.postman.auth import read_auth
from tools.importers.postman.body import read_body
from tools.importers.postman.variables import as_text, pairs_of, with_references
from tools.importers.requests import BuildOptions, SeenAuth, SeenRequest, build_result
from tools.importers.requests.document import read_json_object
from tools.importers.requests.draft import Variable
from tools.importers.requests.operations import operation_of
from tools.importers.secrets import is_secret_name, looks_secret
from tools.importers.text import filled, reference
from tools.json_text import Json, JsonObject

__all__ = ["import_postman"]

_MOST_ITEMS = 10_000
_SCHEMA = re.compile(r"collection/v2\.[01]\.0")
_PATH_VARIABLE = re.compile(r"(?<=/):([A-Za-z_][\w-]*)")


def import_postman(
    content: bytes,
    *,
    system_id: str | None = None,
    folder: str | None = None,
    literal: bool = False,
) -> ImportResult:
    """The tools and systems of a collection. Raises `DocumentError`."""
    root = read_json_object(content, "a Postman collection, exported as v2.1")
    # Exports of their API wrap the collection.
    root = object_of(root.get("collection")) or root
    info = object_of(root.get("info"))
    if not isinstance(root.get("item"), list) or not info:
        raise DocumentError(
            "this is no Postman collection of version 2: it needs `info` and `item`",
            place="#",
            hint="Export the collection as v2.1.",
        )
    schema = text_of(info.get("schema"))
    notes = NoteList()
    if schema and not _SCHEMA.search(schema):
        raise DocumentError(
            "this version is not known", place="#/info/schema", hint="Valid is v2.1."
        )
    reader = _Reader(notes)
    requests = list(reader.read(root))
    title = short_text(info.get("name"), 100) or "Postman collection"
    options = BuildOptions("postman", title, system_id, folder, literal, reader.variables)
    return build_result(requests, options, notes)


@dataclass
class _Reader:
    """Walks the folders of a collection."""

    notes: NoteList
    variables: dict[str, Variable] = field(default_factory=dict[str, Variable])
    _count: int = 0

    def read(self, root: JsonObject) -> Iterator[SeenRequest]:
        self._take_variables(root, Place())
        self._note_events(root, Place())
        auth = read_auth(root.get("auth"), Place(("auth",)), self.notes, self._filled)
        yield from self._items(root.get("item"), Place(("item",)), (), auth)

    def _items(
        self, items: Json, place: Place, folders: tuple[str, ...], auth: SeenAuth | None
    ) -> Iterator[SeenRequest]:
        for index, item in enumerate(list_of(items)):
            self._count += 1
            if self._count > _MOST_ITEMS:
                raise DocumentError(f"it has more than {_MOST_ITEMS:,} items", place=str(place))
            fields, at = object_of(item), place / index
            name = short_text(fields.get("name"), 100) or ""
            self._note_events(fields, at)
            self._take_variables(fields, at)
            if isinstance(fields.get("item"), list):
                own = fields.get("auth")
                inner = read_auth(own, at / "auth", self.notes, self._filled) if own else auth
                yield from self._items(fields["item"], at / "item", (*folders, name), inner)
            elif fields.get("request"):
                yield self._request(fields["request"], at / "request", name, folders, auth)
            else:
                self.notes.add(at, "it has no request")

    def _request(
        self,
        given: Json,
        place: Place,
        name: str,
        folders: tuple[str, ...],
        inherited: SeenAuth | None,
    ) -> SeenRequest:
        fields = object_of(given) or {"url": given}
        method = as_text(fields.get("method")) or "GET"
        own = fields.get("auth")
        auth = read_auth(own, place / "auth", self.notes, self._filled) if own else inherited
        headers = [
            (key, value)
            for key, value in pairs_of(fields.get("header"))
            # What its own interface adds.
            if key.lower() != "postman-token"
        ]
        body = read_body(fields.get("body"), place / "body", self.notes)
        media_type = next((value for key, value in headers if key.lower() == "content-type"), None)
        if body is not None and media_type and body.fields is None:
            body = type(body)(media_type, body.text)
        url = fields.get("url")
        seen = SeenRequest(
            str(place),
            method,
            self._url(url),
            headers=headers,
            body=body,
            auth=auth,
            name=name or None,
            description=short_text(_description(fields.get("description")), 500),
            folder="/".join(one for one in folders if one) or None,
            key="/".join((*folders, name, method)),
        )
        seen.operation = operation_of(seen)
        return seen

    def _url(self, given: Json) -> str:
        """The url with references; path variables are variables of the request."""
        fields = object_of(given)
        raw = as_text(fields.get("raw")) if fields else as_text(given)
        if fields and (not raw or fields.get("host")):
            raw = _joined(fields)
        variables = {
            as_text(one.get("key") or one.get("id")): as_text(one.get("value"))
            for one in map(object_of, list_of(fields.get("variable")))
        }
        base, mark, rest = raw.partition("?")
        head, separator, path = base.partition("://")
        target = path if separator else head
        target = _PATH_VARIABLE.sub(lambda match: self._path_variable(match[1], variables), target)
        return with_references(f"{head}://{target}" if separator else target) + (
            mark + with_references(rest)
        )

    def _path_variable(self, name: str, values: Mapping[str, str]) -> str:
        value = values.get(name, "")
        if value and "{{" not in value:
            self.variables.setdefault(name, Variable(value))
        return f"{{{{{name}}}}}"

    def _filled(self, text: str, place: Place) -> str:
        """A text with the values that are known of its variables, which may refer to others."""

        def value(name: str) -> str:
            known = self.variables.get(name)
            return reference(name) if known is None or known.value is None else known.value

        for _ in range(5):
            text = filled(text, value, str(place))
        return text

    def _take_variables(self, fields: JsonObject, place: Place) -> None:
        for index, variable in enumerate(list_of(fields.get("variable"))):
            one = object_of(variable)
            name = as_text(one.get("key") or one.get("id"))
            if not name or one.get("disabled") is True:
                continue
            value = as_text(one.get("value"))
            is_secret = one.get("type") == "secret" or is_secret_name(name) or looks_secret(value)
            if name in self.variables:
                self.notes.add(place / "variable" / index, "an outer variable of this name is used")
                continue
            known = with_references(value) if value else None
            self.variables[name] = Variable(known, is_secret)

    def _note_events(self, fields: JsonObject, place: Place) -> None:
        for index, event in enumerate(list_of(fields.get("event"))):
            script = object_of(object_of(event).get("script"))
            lines = script.get("exec")
            has_code = bool(lines) if isinstance(lines, str) else any(list_of(lines))
            if has_code or script.get("src"):
                kind = {"prerequest": "pre-request", "test": "test"}.get(
                    text_of(object_of(event).get("listen")), "other"
                )
                self.notes.add(place / "event" / index, f"{kind} scripts are not carried over")


def _joined(url: JsonObject) -> str:
    """The text of a url that is given in its parts; disabled parameters are left out."""

    def text(key: str, separator: str) -> str:
        value = url.get(key)
        listed = [as_text(object_of(one).get("value") or one) for one in list_of(value)]
        return separator.join(listed) if listed else as_text(value)

    protocol, host, port = as_text(url.get("protocol")), text("host", "."), as_text(url.get("port"))
    path = text("path", "/").lstrip("/")
    base = f"{protocol}://{host}" if protocol and "://" not in host else host
    query = "&".join(
        f"{_escaped(name)}={_escaped(value)}"
        for name, value in pairs_of(url.get("query"), resolved=False)
    )
    return f"{base}{f':{port}' if port else ''}/{path}" + (f"?{query}" if query else "")


def _escaped(text: str) -> str:
    """Safe in a query; what is encoded already stays so."""
    return re.sub(r"[&#+\s]", lambda match: f"%{ord(match[0]):02X}", text)


def _description(value: Json) -> str:
    return text_of(value) or text_of(object_of(value).get("content"))
