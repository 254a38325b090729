"""Requests to a server that has a system already: what signs in otherwise gets one of its own."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from server.importing_identity import STDIN
from server.provenance import mark_of
from server.service import Service
from storage.keys import KeyProblemError
from storage.systems import StoredSystem
from tools.auth.missing import set_credential_command
from tools.importers import DocumentError, ImportedSystem, ImportResult
from tools.importers.openapi.words import object_of
from tools.importers.requests.systems import (
    credential_fields,
    names_in_system,
    with_sign_in_of_tools,
    with_system_ids,
)
from tools.json_text import JsonObject
from tools.system import System

__all__ = ["with_own_sign_ins"]

_MOST_OF_ONE_ID = 1_000


@dataclass(frozen=True)
class _Known:
    """A stored system, and its credentials: texts where they are stored, else where they are."""

    system: StoredSystem
    secrets: Mapping[str, str | JsonObject]


async def with_own_sign_ins(
    service: Service, result: ImportResult, source: str, *, wanted_id: str | None
) -> ImportResult:
    """The result with ids of systems under which no request gets the sign-in of another one.

    Whoever names a system, or imports a document again, gets the system as it is; where that one
    signs in nobody, the tools sign in themselves. A secret that is not that of the system is named
    in the notes with the command that sets it. Raises `DocumentError`.
    """
    stored = {one.id: one for one in await service.connections.store.list("prod")}
    found = (result.system, *result.further_systems)
    keeps = wanted_id is not None or await _is_known(service, result, source)
    ids: dict[str, str] = {}
    unsigned: list[str] = []
    for one in found:
        system_id = _id_of(one)
        for candidate in (system_id,) if keeps else _candidates(system_id):
            if candidate in ids.values():
                continue
            known = await _known(service, stored.get(candidate))
            if known is None or keeps or _signs_in_alike(one, known):
                ids[system_id] = candidate
                break
        else:
            raise DocumentError(
                f"there are {_MOST_OF_ONE_ID:,} systems like {system_id}",
                hint="Name the id of its system with --system.",
            )
        if known is not None:
            _note_other_values(one, known, result)
            if one.definition.get("auth") and not known.system.definition.get("auth"):
                unsigned.append(ids[system_id])
        elif ids[system_id] != system_id:
            result.notes.add(f"system {ids[system_id]}", _why_apart(one))
    result = with_system_ids(result, ids)
    for one in (result.system, *result.further_systems):
        if _id_of(one) in unsigned:
            result = _signed(result, one)
    return result


def _signed(result: ImportResult, found: ImportedSystem) -> ImportResult:
    """The result whose tools sign in to a system that has no sign-in, where they can."""
    signed = with_sign_in_of_tools(result, found)
    kind = object_of(found.definition.get("auth")).get("type")
    result.notes.add(
        f"system {_id_of(found)}",
        f"it has no sign-in, and {kind} is none that a tool can make itself: give it one"
        if signed is None
        else f"it has no sign-in and gets none; the tools name its credentials for {kind}",
    )
    return signed or result


async def _is_known(service: Service, result: ImportResult, source: str) -> bool:
    """Whether tools of this very document are stored; commands are no document."""
    if result.format == "curl" or source == STDIN:
        return False
    marks = [mark_of(one.definition) for one in await service.tools.all()]
    return any(
        mark.get("source") == source and mark.get("system") == _id_of(result.system)
        for mark in marks
    )


async def _known(service: Service, stored: StoredSystem | None) -> _Known | None:
    if stored is None:
        return None
    try:
        return _Known(stored, await service.connections.store.secrets(stored.id, "prod"))
    except KeyProblemError:
        # Without the key, nothing tells whether a value is the same.
        return _Known(stored, {one.name: {} for one in stored.credentials})


def _signs_in_alike(found: ImportedSystem, known: _Known) -> bool:
    """Whether a request of the found system may go out as the stored one signs in."""
    definition = known.system.definition
    url = found.definition.get("url")
    if url is not None and url != definition.get("url"):
        return False
    own, other = object_of(found.definition.get("auth")), object_of(definition.get("auth"))
    fields = credential_fields(str(own.get("type", "")))
    if {key: one for key, one in own.items() if key not in fields} != {
        key: one for key, one in other.items() if key not in fields
    }:
        return False
    # A key may be a newer one; another user is somebody else.
    who = fields[0] if len(fields) > 1 else None
    if who is None or who not in own:
        return True
    mine, theirs = found.values.get(own[who]), known.secrets.get(other.get(who, ""))
    return mine is None or not isinstance(theirs, str) or mine == theirs


def _why_apart(found: ImportedSystem) -> str:
    system_id = _id_of(found)
    if found.definition.get("auth") is None:
        return f"it does not sign in as {system_id} does; to use that one: --system {system_id}"
    return f"a system of its own, because {system_id} has not its url and sign-in"


def _note_other_values(found: ImportedSystem, known: _Known, result: ImportResult) -> None:
    system = System.model_validate(known.system.definition)
    for name, there in names_in_system(found, known.system.definition).items():
        value = found.values.get(name)
        if value and there in known.secrets and known.secrets[there] != value:
            result.notes.add(
                f"system {system.id}",
                f"the value of {name} is another one than that of the system, which is kept; "
                f"to change it: {set_credential_command(system, there)}",
            )


def _id_of(system: ImportedSystem) -> str:
    return str(system.definition["id"])


def _candidates(system_id: str) -> Iterator[str]:
    yield system_id
    for number in range(2, _MOST_OF_ONE_ID):
        yield f"{system_id}-{number}"
