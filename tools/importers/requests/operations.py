"""Requests that say themselves which operation of a url they ask for: GraphQL, JSON-RPC, SOAP.

Others have a field for it. What may be an ordinary value is one: requests that differ in values
alone are one operation.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import cast
from urllib.parse import parse_qsl, urlsplit

from tools.importers.requests.seen import BodyOperation, SeenBody, SeenRequest
from tools.importers.secrets import looks_secret
from tools.importers.text import json_with_references
from tools.json_text import Json, JsonObject

__all__ = ["graphql_text", "members_of", "operation_of", "operations_of"]

_NAMED = re.compile(r"\b(?:query|mutation|subscription)\s+([A-Za-z_]\w*)")
_SOAP_BODY = re.compile(r"<(?:[\w.-]+:)?Body\b[^<>]*>\s*<(?:[\w.-]+:)?([A-Za-z_][\w.-]*)")
_SOAP_ACTION = re.compile(r";\s*action=\"?([^\";]+)", re.IGNORECASE)
#: Fields that say what is to be done, whatever else a body has.
_VERBS = ("action", "operation", "op", "command", "cmd")
#: Fields that say so where the other fields are others, too.
_KINDS = ("method", "type", "kind", "event", "function", "func", "task", "request")
_WORD = re.compile(r"[A-Za-z][\w.:/-]{2,79}")
#: More values of one field than this are no operations.
_MOST_OPERATIONS = 20
_QUERY_NAMES = frozenset(["query", "operationName", "extensions"])


def graphql_text(body: Mapping[str, Json]) -> str | None:
    """The program of a GraphQL body; None for any other object, such as one with a search text."""
    query = body.get("query")
    return query if isinstance(query, str) and "{" in query else None


def operation_of(request: SeenRequest) -> BodyOperation | None:
    """The operation that a request names; None when its url says all."""
    headers = {name.lower(): value for name, value in request.headers}
    for name in ("soapaction", "x-amz-target"):
        if action := headers.get(name, "").strip().strip('"'):
            return BodyOperation(action, _last_word(action))
    body = request.body
    # GraphQL that may be cached: the members of the body are parameters.
    parameters: JsonObject = dict(parse_qsl(urlsplit(request.url).query))
    if body is None:
        return _graphql(parameters)
    kind = (body.media_type or "").lower()
    if kind.startswith("application/graphql") and "json" not in kind:
        return _graphql({**parameters, "query": body.text})
    if "xml" in kind:
        named = _SOAP_ACTION.search(body.media_type or "") or _SOAP_BODY.search(body.text)
        return BodyOperation(named[1], _last_word(named[1])) if named else None
    members = members_of(body)
    if isinstance(members, dict):
        return _of_members(cast("JsonObject", members))
    return _of_several(members)


def operations_of(requests: Sequence[SeenRequest]) -> list[BodyOperation | None]:
    """The operations that several requests to one url name.

    Those that name none are told apart by a field with which the other fields change.
    """
    found = [operation_of(one) for one in requests]
    values: dict[frozenset[str], set[str]] = {}
    for one in found:
        if one is not None and one.is_value:
            values.setdefault(one.said_by, set()).add(one.identity)
    found = [
        None if one and one.is_value and len(values[one.said_by]) > _MOST_OPERATIONS else one
        for one in found
    ]
    return found if any(found) else _operations_by_shape(requests)


def _operations_by_shape(requests: Sequence[SeenRequest]) -> list[BodyOperation | None]:
    bodies = [members_of(one.body) if one.body is not None else None for one in requests]
    if not all(isinstance(one, dict) for one in bodies):
        return [None] * len(requests)
    members = [cast("JsonObject", one) for one in bodies]
    for name in _KINDS:
        words = [_word(one.get(name)) for one in members]
        values = dict.fromkeys(words)
        if None in values or not 1 < len(values) <= _MOST_OPERATIONS:
            continue
        shapes: dict[str | None, set[str]] = {}
        for word, one in zip(words, members, strict=True):
            shapes.setdefault(word, set()).update(_shape(one))
        # Of fields that are there or not, none says that the request is another one.
        alike: dict[str | None, str | None] = {}
        for word, shape in shapes.items():
            known = (one for one in alike.values() if shape <= shapes[one] or shapes[one] <= shape)
            alike[word] = next(known, word)
        if len(firsts := set(alike.values())) > 1:
            alone = {one for one in firsts if list(alike.values()).count(one) == 1}
            return [
                BodyOperation(
                    f"{name}={alike[word]}",
                    alike[word],
                    frozenset([name] if alike[word] in alone else []),
                )
                for word in words
            ]
    return [None] * len(requests)


def members_of(body: SeenBody) -> Json:
    """The members of a JSON body or the fields of a form; None for a body that has none."""
    if body.fields is not None:
        return dict(body.fields)
    text = body.text.lstrip()
    if text[:1] in {"{", "["}:
        try:
            return json_with_references(text)
        except ValueError:
            return None
    if "form-urlencoded" in (body.media_type or ""):
        return dict(parse_qsl(text, keep_blank_values=True))
    return None


def _of_members(body: JsonObject) -> BodyOperation | None:
    found = _graphql(body)
    method = body.get("method")
    if found is None and isinstance(method, str) and ("jsonrpc" in body or "params" in body):
        found = BodyOperation(method, method, frozenset(["jsonrpc", "method"]))
    if found is None and isinstance(body.get("operations"), str):
        # Files of GraphQL are parts of a form beside it.
        inner = members_of(SeenBody(None, str(body["operations"])))
        found = _graphql(cast("JsonObject", inner)) if isinstance(inner, dict) else None
    if found is not None:
        return found
    names = {name.lower(): name for name in reversed(body)}
    for verb in _VERBS:
        word = _word(body.get(names.get(verb, "")))
        if word is not None:
            name = names[verb]
            return BodyOperation(f"{name}={word}", word, frozenset([name]), is_value=True)
    return None


def _of_several(value: Json) -> BodyOperation | None:
    """The operations of a batch as one."""
    listed = cast("list[Json]", value) if isinstance(value, list) else []
    found = [_of_members(cast("JsonObject", one)) for one in listed if isinstance(one, dict)]
    known = [one for one in found if one is not None]
    if not known:
        return None
    names = dict.fromkeys(one.name for one in known if one.name)
    return BodyOperation(" ".join(one.identity for one in known), "_".join(list(names)[:3]) or None)


def _graphql(body: Mapping[str, Json]) -> BodyOperation | None:
    given = body.get("operationName")
    name = given if isinstance(given, str) and given else None
    query = graphql_text(body)
    if query is not None:
        named = _NAMED.search(query)
        words = " ".join(query.split())
        identity = f"{name} {_digest(words)}"
        return BodyOperation(identity, name or (named[1] if named else None), _QUERY_NAMES)
    if "extensions" in body and name is not None:
        # The server knows the program by its hash.
        return BodyOperation(name, name, _QUERY_NAMES)
    if "persistedQuery" in str(body.get("extensions", "")):
        return BodyOperation(_digest(str(body["extensions"])), None, _QUERY_NAMES)
    return None


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]


def _word(value: Json) -> str | None:
    """A value that can be the name of an operation."""
    if not isinstance(value, str) or _WORD.fullmatch(value) is None or looks_secret(value):
        return None
    return value


def _last_word(name: str) -> str:
    return re.split(r"[/#:.]", name.rstrip("/#:."))[-1] or name


def _shape(body: JsonObject) -> set[str]:
    """The names of the members, and of theirs."""
    names = set(body)
    for name, value in body.items():
        if isinstance(value, dict):
            names.update(f"{name}.{inner}" for inner in cast("JsonObject", value))
    return names
