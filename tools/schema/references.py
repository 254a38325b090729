"""Local references: `#/$defs/a`, `#anchor`, and `$id`s of the same document. Nothing is fetched."""

from typing import Any, cast
from urllib.parse import unquote, urldefrag, urljoin

from tools.json_text import Json
from tools.schema.keywords import Location, subschemas

__all__ = ["References"]

#: A direct subschema: the step to it, where it lies, and what it is.
_Child = tuple[Location, Location, Json]


class References:
    """The index of a schema document: which schema a reference in it means."""

    def __init__(self, root: Json) -> None:
        self.root = root
        self._resources: dict[str, tuple[Json, Location]] = {"": (root, ())}
        self._anchors: dict[str, tuple[Json, Location]] = {}
        self._bases: dict[Location, str] = {}
        self._resolved: dict[tuple[str, str], tuple[Json, Location] | None] = {}
        self._children: dict[Location, list[_Child]] = {}
        self._dynamic: dict[str, int] = {}
        #: Whether there are `$id`s below the root, which change what references mean.
        self.is_compound = False
        self._index()

    def _index(self) -> None:
        pending: list[tuple[Json, Location, str]] = [(self.root, (), "")]
        while pending:
            schema, location, base = pending.pop()
            if not isinstance(schema, dict):
                continue
            members = cast(dict[str, Any], schema)
            identity = members.get("$id")
            if isinstance(identity, str):
                base = urldefrag(_join(base, identity)).url
                self.is_compound = self.is_compound or bool(location)
                self._resources.setdefault(base, (members, location))
            for keyword in ("$anchor", "$dynamicAnchor"):
                if isinstance(name := members.get(keyword), str):
                    self._anchors.setdefault(f"{base}#{name}", (members, location))
                    if keyword == "$dynamicAnchor":
                        self._dynamic[name] = self._dynamic.get(name, 0) + 1
            self._bases[location] = base
            self._children[location] = children = _children(members, location)
            pending += [(child, at, base) for _, at, child in children]

    def children(self, schema: Json, location: Location) -> list[_Child]:
        """The direct subschemas of the schema at a location."""
        known = self._children.get(location)
        # A reference may lead to what is no subschema of anything.
        return _children(schema, location) if known is None else known

    def is_ambiguous(self, dynamic_reference: str) -> bool:
        """Whether what a `$dynamicRef` means depends on how the evaluation came to it."""
        return self._dynamic.get(urldefrag(dynamic_reference).fragment, 0) > 1

    def resolve(self, reference: str, location: Location) -> tuple[Json, Location] | None:
        """The schema that a reference at `location` means, and where it lies; None if not here."""
        key = (self._bases.get(location, ""), reference)
        if key not in self._resolved:
            self._resolved[key] = self._resolve(*key)
        return self._resolved[key]

    def _resolve(self, base: str, reference: str) -> tuple[Json, Location] | None:
        if not base and reference.startswith("#"):
            # Most are so, and schemas may have thousands of them.
            uri, fragment = "", reference[1:]
        else:
            uri, fragment = urldefrag(_join(base, reference))
        resource = self._resources.get(uri)
        if resource is None:
            return None
        if not fragment:
            return resource
        if not fragment.startswith("/"):
            return self._anchors.get(f"{uri}#{unquote(fragment)}")
        schema, at = resource
        for part in fragment.split("/")[1:]:
            name = unquote(part).replace("~1", "/").replace("~0", "~")
            if isinstance(schema, dict) and name in schema:
                schema, at = cast(dict[str, Any], schema)[name], (*at, name)
            elif isinstance(schema, list) and name.isdecimal() and len(name) < 8:
                items = cast(list[Any], schema)
                index = int(name)
                if index >= len(items):
                    return None
                schema, at = items[index], (*at, index)
            else:
                return None
        return schema, at


def _children(schema: Json, location: Location) -> list[_Child]:
    return [(step, location + step, child) for step, child in subschemas(schema)]


def _join(base: str, reference: str) -> str:
    if reference.startswith("#"):
        return base + reference
    try:
        return urljoin(base, reference)
    except ValueError:
        return reference
