"""`/v1/systems`: upstreams; credentials go in and never come out."""

from typing import Annotated, cast

from fastapi import APIRouter, Query

from server.automation import Automation
from server.callers import CallersService
from server.connections import UnknownSystemError
from server.rest.answers import (
    BadRequestError,
    JsonAnswer,
    error_answer,
    list_answer,
    without_nulls,
)
from server.rest.asking import Asked, JsonRoute, Page, needs
from server.rest.shapes import Deleted, SystemDefinition, SystemList, SystemPatch, SystemView
from storage.api_keys import Scope
from tools.json_text import Json, JsonObject
from tools.system import Environment

__all__ = ["systems"]

systems = APIRouter(prefix="/v1/systems", tags=["systems"], route_class=JsonRoute)

# Systems serve all tools; a key that is narrowed to some has no part in them.
_reads = needs(Scope.READ, whole=True, parameters=("environment", "page", "limit"))
_writes = needs(Scope.ADMIN, whole=True, parameters=("environment",))
In = Annotated[Environment, Query(description="Whose credentials: prod or dev.")]


@systems.get("", dependencies=[_reads], response_model=SystemList)
async def list_systems(
    asked: Asked,
    page: Annotated[Page, Page.of(default=100, most=1000)],
    environment: Environment | None = None,
) -> JsonAnswer:
    """List the systems, by id and environment."""
    found = await asked.connections.store.list(environment)
    shown = found[page.offset : page.offset + page.limit]
    data = [without_nulls(system.wire()) for system in shown]
    return list_answer(data, page.page, page.limit, len(found))


@systems.post("", dependencies=[_writes], response_model=SystemView, status_code=201)
async def add_system(asked: Asked, body: SystemDefinition, environment: In = "prod") -> JsonAnswer:
    """Store a new system, with its credentials."""
    definition = {"environment": environment, **without_nulls(body.root)}
    system_id = definition.get("id")
    place = cast("Environment", definition["environment"])
    if isinstance(system_id, str) and place in ("prod", "dev"):
        try:
            await asked.connections.get(system_id, place)
        except UnknownSystemError:
            pass
        else:
            message = f"system {system_id} ({place}) is stored already"
            return error_answer(409, message, "conflict")
    _refuse_files(definition)
    return await _put(asked, definition, 201)


@systems.get("/{system_id}", dependencies=[_reads], response_model=SystemView)
async def get_system(asked: Asked, system_id: str, environment: In = "prod") -> JsonAnswer:
    """A system; of its credentials that they are set, and when."""
    return await _shown(asked, system_id, environment)


@systems.patch("/{system_id}", dependencies=[_writes], response_model=SystemView)
async def change_system(
    asked: Asked, system_id: str, body: SystemPatch, environment: In = "prod"
) -> JsonAnswer:
    """Put the fields given in place of those of a system; credentials one by one."""
    fields = dict(body.root)
    _refuse_files(fields)
    stored = await asked.connections.get(system_id, environment)
    for name, value in (("id", system_id), ("environment", environment)):
        if fields.pop(name, value) != value:
            raise BadRequestError(f"{name} of a system cannot be changed; store another system")
    credentials: Json = fields.pop("credentials", None)
    given = cast("JsonObject", credentials) if isinstance(credentials, dict) else {}
    if credentials is not None and not isinstance(credentials, dict):
        raise BadRequestError("credentials is no object; valid: {name: value}")
    definition = without_nulls({**stored.definition, **fields})
    if given:
        definition["credentials"] = without_nulls(given)
    answer = await _put(asked, definition, 200)
    if answer.status_code != 200:
        return answer
    for name in (name for name, value in given.items() if value is None):
        await asked.connections.store.unset_credential(system_id, environment, name)
    return await _shown(asked, system_id, environment)


@systems.delete("/{system_id}", dependencies=[_writes], response_model=Deleted)
async def remove_system(asked: Asked, system_id: str, environment: In = "prod") -> JsonAnswer:
    """Remove a system with its credentials; `warnings` name the hooks that needed one of them."""
    await asked.connections.get(system_id, environment)
    await asked.connections.store.delete(system_id, environment)
    warnings = await Automation(asked).warnings_without(system_id, environment)
    return JsonAnswer(without_nulls({"success": True, "warnings": warnings or None}))


async def _put(asked: CallersService, definition: JsonObject, status: int) -> JsonAnswer:
    _refuse_sources(definition.get("credentials"))
    report = await asked.connections.put(definition)
    if report["outcome"] == "refused":
        problems = cast("list[JsonObject]", report["problems"])
        first = "; ".join(f"{one['path']}: {one['message']}" for one in problems[:3])
        return error_answer(400, f"the system is refused: {first}", "invalid_system", problems)
    place = cast("Environment", definition.get("environment", "prod"))
    return await _shown(asked, str(report["id"]), place, status)


def _refuse_files(fields: JsonObject) -> None:
    """The files of `tls` are files of this machine, too."""
    if fields.get("tls") is not None:
        message = "its files are files of this machine and set on the command line only"
        hint = "use `callslip systems add`"
        details = [{"path": "tls", "message": message, "hint": hint}]
        raise BadRequestError(f"tls: {message}", details)


def _refuse_sources(credentials: Json) -> None:
    """A source starts a program or reads a file of this machine: no key of ours gives that away."""
    given = cast("JsonObject", credentials) if isinstance(credentials, dict) else {}
    details = [
        {
            "path": f"credentials.{name}",
            "message": "where a credential is read from is set on the command line only",
            "hint": "send its value, or use `callslip systems add`",
        }
        for name, value in given.items()
        if isinstance(value, dict)
    ]
    if details:
        raise BadRequestError(f"{details[0]['path']}: {details[0]['message']}", details)


async def _shown(
    asked: CallersService, system_id: str, environment: Environment, status: int = 200
) -> JsonAnswer:
    stored = await asked.connections.get(system_id, environment)
    return JsonAnswer(without_nulls(stored.wire()), status)
