"""Definitions of tools from elsewhere, stored as they are: an export, or a server's list."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import cast
from urllib.parse import urlsplit, urlunsplit

from server.importing import put_system, shown_url
from server.service import Service
from storage.keys import KeyProblemError
from tools.errors import RunError
from tools.http import OutgoingRequest
from tools.importers import DocumentError, ImportedSystem
from tools.importers.openapi.words import list_of, object_of
from tools.importers.superglue import FoundTools, find_tools, listed_tools, systems_used
from tools.json_text import Json, JsonObject, decode_json
from tools.urls import origin_of

__all__ = ["fetch_tools", "store_found_tools"]

_FETCH_SECONDS = 60.0
_PAGE_SIZE = 100
_MOST_PAGES = 100
_MOST_OF_ONE_NAME = 1_000


async def fetch_tools(service: Service, url: str, key: str | None) -> list[Json]:
    """All tools of a server, page by page, with `key` as bearer token. Raises `DocumentError`."""
    place = shown_url(url)
    if origin_of(url) is None:
        raise DocumentError("this is no http or https url", place=place)
    parts = urlsplit(url)
    if "@" in parts.netloc or parts.query:
        raise DocumentError(
            "the url holds more than an address",
            place=place,
            hint="Hand the key over by --key-env.",
        )
    path = parts.path.rstrip("/")
    path = path if path.endswith("/tools") else f"{path.removesuffix('/v1')}/v1/tools"
    listed: list[Json] = []
    for page in range(1, _MOST_PAGES + 1):
        query = f"page={page}&limit={_PAGE_SIZE}"
        address = urlunsplit((parts.scheme, parts.netloc, path, query, ""))
        content = await _fetch(service, address, key)
        tools = listed_tools(content)
        listed.extend(tools)
        if not tools or object_of(decode_json(content)).get("hasMore") is not True:
            return listed
    raise DocumentError(f"it lists more than {_MOST_PAGES * _PAGE_SIZE:,} tools", place=place)


async def _fetch(service: Service, address: str, key: str | None) -> bytes:
    headers = [("Accept", "application/json")]
    if key is not None:
        headers.append(("Authorization", f"Bearer {key}"))
    place = shown_url(address)
    try:
        received = await service.engines.http.exchange(
            OutgoingRequest("GET", address, headers),
            timeout_seconds=_FETCH_SECONDS,
            policy=service.engines.address_policy,
        )
    except RunError as error:
        raise DocumentError(error.message, place=place, hint=error.detail.hint) from None
    if received.status in {401, 403}:
        raise DocumentError(
            f"the server does not take the key: HTTP {received.status}",
            place=place,
            hint="Name the variable that holds it with --key-env, or pipe it in with --key-stdin.",
        )
    if received.status != 200:
        raise DocumentError(f"the answer is HTTP {received.status}", place=place)
    return received.body.whole()


async def _with_names_there(service: Service, found: FoundTools) -> FoundTools:
    """What was found, with other names for credentials that stored systems have otherwise."""
    names: dict[str, str] = {}
    systems: list[ImportedSystem] = []
    for system in found.systems:
        system_id = str(system.definition["id"])
        there: Mapping[str, str | JsonObject]
        try:
            there = await service.connections.store.secrets(system_id, "prod")
        except KeyProblemError:
            # Without the key, nothing tells whether a value is the same.
            stored = await service.connections.store.get(system_id, "prod")
            named = () if stored is None else stored.credentials
            there = dict.fromkeys((one.name for one in named), cast("JsonObject", {}))
        own: dict[str, str] = {}
        for name, value in system.values.items():
            candidates = (name, *(f"{name}_{number}" for number in range(2, _MOST_OF_ONE_NAME)))
            free = (one for one in candidates if there.get(one, value) == value and one not in own)
            own[chosen := next(free, name)] = value
            if chosen != name:
                names[f"{system_id}_{name}"] = f"{system_id}_{chosen}"
        unknown = [one for one in system.credentials if one not in system.values]
        systems.append(replace(system, credentials=(*own, *unknown), values=own))
    if not names:
        return found
    named = re.compile(rf"(<<|s\[\")({'|'.join(map(re.escape, names))})(?=>>|\"\])")

    def renamed(value: Json) -> Json:
        if isinstance(value, dict):
            return {key: renamed(one) for key, one in object_of(value).items()}
        if isinstance(value, list):
            return [renamed(one) for one in list_of(value)]
        if isinstance(value, str):
            return named.sub(lambda match: f"{match[1]}{names[match[2]]}", value)
        return value

    definitions = tuple(object_of(renamed(one)) for one in found.definitions)
    return replace(found, definitions=definitions, systems=tuple(systems))


async def store_found_tools(
    service: Service, listed: Sequence[Json], *, dry_run: bool
) -> JsonObject:
    """Store the valid ones of some definitions, and the systems of their secrets.

    Raises `DocumentError`.
    """
    found = await _with_names_there(service, find_tools(listed))
    # What is refused leaves nothing behind, its secrets neither.
    valid = [
        one.definition
        for one in await service.tools.check_all(found.definitions)
        if one.definition is not None
    ]
    systems = [
        await put_system(service, one, dry_run=dry_run)
        for one in systems_used(found.systems, valid)
    ]
    reports: list[JsonObject] = []
    for definition in found.definitions:
        if dry_run:
            checked, outcome = await service.tools.check(definition), None
        else:
            checked, outcome = await service.tools.put(definition)
        report: JsonObject = {
            "id": checked.id,
            "outcome": "valid" if checked.is_valid else "refused",
        }
        if outcome is not None:
            report |= {"outcome": outcome.outcome, "version": outcome.version}
        reports.append({**report, "problems": [one.wire() for one in checked.problems]})
    return {
        "format": "superglue",
        "dryRun": dry_run,
        "tools": reports,
        "systems": systems,
        "notCarriedOver": [{"place": one.place, "reason": one.reason} for one in found.notes],
    }
