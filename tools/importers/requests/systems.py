"""The systems that requests went to: one for each origin and way to sign in to it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import cast
from urllib.parse import urlsplit

from tools.importers import ImportedSystem, ImportResult
from tools.importers.openapi.naming import system_id_of
from tools.importers.openapi.words import object_of
from tools.importers.requests.seen import SeenAuth
from tools.json_text import Json, JsonObject

__all__ = [
    "FoundSystem",
    "Systems",
    "auth_definition",
    "credential_fields",
    "names_in_system",
    "signature_of",
    "with_sign_in_of_tools",
    "with_system_ids",
]

#: The names of the fields in a system's auth that name a credential, by kind.
_FIELDS = {
    "bearer": ("credential",),
    "apiKey": ("credential",),
    "basic": ("username", "password"),
    "digest": ("username", "password"),
    "oauth2": ("clientId", "clientSecret"),
    "aws_sigv4": ("accessKeyId", "secretAccessKey", "sessionToken"),
}


@dataclass
class FoundSystem:
    """A system under construction; `values` has None for credentials that are not known."""

    id: str
    url: str | None
    auth: JsonObject | None = None
    values: dict[str, str | None] = field(default_factory=dict[str, str | None], repr=False)

    def credential(self, wanted: str, value: str | None) -> str:
        """The name of a credential with this value."""
        name, number = wanted, 2
        while name in self.values and self.values[name] != value:
            name, number = f"{wanted}_{number}", number + 1
        self.values[name] = value
        return name

    def result(self) -> ImportedSystem:
        definition: JsonObject = {"id": self.id}
        if self.url:
            definition["url"] = self.url
        if self.auth is not None:
            definition["auth"] = self.auth
        known = {name: value for name, value in self.values.items() if value}
        return ImportedSystem(definition, tuple(self.values), known)


def signature_of(auth: SeenAuth | None, *, by_value: bool) -> tuple[object, ...] | None:
    """Equal for sign-ins that one system can make."""
    if auth is None:
        return None
    values = sorted(auth.values.items()) if by_value else ()
    return (auth.kind, *values, repr(sorted(auth.settings.items())))


def auth_definition(auth: SeenAuth, system: FoundSystem) -> JsonObject:
    """The auth of a system; its credentials get names in the system."""
    fields: JsonObject = {"type": auth.kind, **auth.settings}
    names = _FIELDS[auth.kind]
    for name, (wanted, value) in zip(names, auth.values.items(), strict=False):
        fields[name] = system.credential(wanted, value or None)
    return fields


class Systems:
    """All systems of one import, by origin and sign-in."""

    def __init__(self, wanted_id: str | None, *, by_value: bool) -> None:
        """Without `by_value`, sign-ins that differ in their values alone are one that changed."""
        self._wanted_id = wanted_id
        self._by_value = by_value
        self._taken: set[str] = set()
        self._found: dict[tuple[object, ...], FoundSystem] = {}

    def all(self) -> list[FoundSystem]:
        return list(self._found.values())

    def get(self, origin: str, title: str, auth: SeenAuth | None) -> FoundSystem:
        """The system for an origin (empty when it is not known) and a sign-in."""
        key = (origin, signature_of(auth, by_value=self._by_value))
        found = self._found.get(key)
        if found is None:
            host = urlsplit(origin).netloc if origin else title
            found = FoundSystem(
                self._free_id(self._wanted_id or system_id_of(host)), origin or None
            )
            if auth is not None:
                found.auth = auth_definition(auth, found)
            self._found[key] = found
        return found

    def _free_id(self, wanted: str) -> str:
        candidate, number = wanted, 2
        while candidate in self._taken:
            candidate, number = f"{wanted}-{number}", number + 1
        self._taken.add(candidate)
        return candidate


def credential_fields(kind: str) -> tuple[str, ...]:
    """The fields of an auth that name credentials; of several, the first says who signs in."""
    return _FIELDS.get(kind, ())


def names_in_system(found: ImportedSystem, stored: JsonObject) -> dict[str, str]:
    """The name that each credential of a found system has in a stored one.

    Those of a sign-in that the stored system makes in another way are none of its.
    """
    own, other = object_of(found.definition.get("auth")), object_of(stored.get("auth"))
    names = {name: name for name in found.credentials}
    if not other:
        return names
    is_alike = own.get("type") == other.get("type")
    signing_in = {
        str(other[key]) for key in credential_fields(str(other.get("type"))) if key in other
    }
    for key in credential_fields(str(own.get("type", ""))):
        if key in own:
            names.pop(str(own[key]), None)
            if is_alike and key in other:
                names[str(own[key])] = str(other[key])
                signing_in.discard(str(other[key]))
    # What signs in there is never what a request had elsewhere, though it is called so.
    return {name: there for name, there in names.items() if there not in signing_in}


def with_sign_in_of_tools(result: ImportResult, found: ImportedSystem) -> ImportResult | None:
    """The result with tools that sign in themselves, for a system that does not.

    None for a sign-in that a single request cannot make.
    """
    system_id, auth = str(found.definition["id"]), object_of(found.definition.get("auth"))
    named = [
        f"<<{system_id}_{auth[key]}>>"
        for key in credential_fields(str(auth["type"]))
        if key in auth
    ]
    place, name = "headers", "Authorization"
    match auth["type"], named:
        case "bearer", [token]:
            value = f"Bearer {token}"
        case "basic", [user, password]:
            value = f"Basic {user}:{password}"
        case "apiKey", [value] if auth.get("in") in {"header", "query"}:
            place = "headers" if auth["in"] == "header" else "queryParams"
            name = str(auth["name"])
        case _:
            return None

    def signed(step: JsonObject) -> JsonObject:
        config = object_of(step["config"])
        if config.get("systemId") != system_id:
            return step
        fields = {**object_of(config.get(place)), name: value}
        return {**step, "config": {**config, place: fields}}

    return replace(
        result,
        tools=tuple(
            replace(
                one,
                definition={**one.definition, "steps": list(map(signed, one.definition["steps"]))},
            )
            for one in result.tools
        ),
    )


def with_system_ids(result: ImportResult, ids: Mapping[str, str]) -> ImportResult:
    """The result with other ids of its systems, also where its tools name them."""
    changed = {old: new for old, new in ids.items() if old != new}
    if not changed:
        return result
    named = re.compile(rf"(<<|s\[\")({'|'.join(map(re.escape, changed))})_")

    def renamed(value: Json) -> Json:
        if isinstance(value, dict):
            members = cast("JsonObject", value).items()
            return {
                key: changed.get(str(one), one) if key == "systemId" else renamed(one)
                for key, one in members
            }
        if isinstance(value, list):
            return [renamed(one) for one in cast("list[Json]", value)]
        if isinstance(value, str):
            return named.sub(lambda match: f"{match[1]}{changed[match[2]]}_", value)
        return value

    def system(one: ImportedSystem) -> ImportedSystem:
        system_id = str(one.definition["id"])
        return replace(one, definition={**one.definition, "id": ids.get(system_id, system_id)})

    return replace(
        result,
        system=system(result.system),
        further_systems=tuple(map(system, result.further_systems)),
        tools=tuple(
            replace(one, definition={**one.definition, "steps": renamed(one.definition["steps"])})
            for one in result.tools
        ),
    )
