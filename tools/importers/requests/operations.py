"""Bodies that say themselves which operation of a url they ask for: GraphQL and JSON-RPC."""

import hashlib
import re
from dataclasses import dataclass
from typing import cast

from tools.json_text import Json, JsonObject, decode_json

__all__ = ["BodyOperation", "graphql_text", "operation_of", "operation_of_members"]

_NAMED = re.compile(r"\b(?:query|mutation|subscription)\s+([A-Za-z_]\w*)")


@dataclass(frozen=True)
class BodyOperation:
    """What is asked for; `identity` is equal for bodies that differ in values alone."""

    identity: str
    name: str | None


def graphql_text(body: JsonObject) -> str | None:
    """The program of a GraphQL body; None for any other object, such as one with a search text."""
    query = body.get("query")
    return query if isinstance(query, str) and "{" in query else None


def operation_of(text: str) -> BodyOperation | None:
    """The operation that the text of a body names; None when its url says all."""
    if text.lstrip()[:1] not in {"{", "["}:
        return None
    try:
        value = decode_json(text.encode("utf-8", "surrogatepass"))
    except ValueError:
        return None
    listed = cast("list[Json]", value) if isinstance(value, list) else [value]
    found = [
        operation_of_members(cast("JsonObject", one)) for one in listed if isinstance(one, dict)
    ]
    known = [one for one in found if one is not None]
    if not known:
        return None
    names = dict.fromkeys(one.name for one in known if one.name)
    return BodyOperation(" ".join(one.identity for one in known), "_".join(list(names)[:3]) or None)


def operation_of_members(body: JsonObject) -> BodyOperation | None:
    """The operation that the members of a body name; None when its url says all."""
    given = body.get("operationName")
    name = given if isinstance(given, str) and given else None
    query = graphql_text(body)
    if query is not None:
        named = _NAMED.search(query)
        words = " ".join(query.split())
        digest = hashlib.sha256(words.encode("utf-8", "surrogatepass")).hexdigest()[:8]
        return BodyOperation(f"{name} {digest}", name or (named[1] if named else None))
    if name is not None and "extensions" in body:
        # The server knows the program by its hash.
        return BodyOperation(name, name)
    method = body.get("method")
    if "jsonrpc" in body and isinstance(method, str):
        return BodyOperation(method, method)
    return None
