"""The systems of a run, with their credentials read from where they are."""

import os
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import anyio

from storage.errors import StorageError
from storage.systems import StoredSystem, SystemStore
from tools.errors import ErrorKind, RunError
from tools.json_text import JsonObject
from tools.model import RequestConfig, Tool
from tools.redaction import Redactor
from tools.replay import marked_system
from tools.run import LogLine, now_ms
from tools.system import ApiKeyAuth, Environment, System

__all__ = ["LoadedSystems", "load_systems", "read_source", "redactor_for", "system_ids_of"]

_COMMAND_SECONDS = 20.0
_MAX_SECRET_CHARACTERS = 64 * 1024


def system_ids_of(tool: Tool) -> list[str]:
    """The systems that the steps of a tool name."""
    ids = (
        step.config.system_id
        for step in tool.steps
        if isinstance(step.config, RequestConfig) and step.config.system_id is not None
    )
    return list(dict.fromkeys(ids))


@dataclass(frozen=True)
class LoadedSystems:
    """The systems of a run by id, with the credentials that could be read.

    `problem`, of kind `credential`, is why the run cannot begin. What was read is there all the
    same: the record of the refused run must not hold it either.
    """

    systems: dict[str, System]
    problem: RunError | None = None
    #: Ids that steps name and nothing is stored under.
    missing: tuple[str, ...] = ()

    def mode_used(self, asked: Environment) -> Environment:
        """Whose credentials the run uses: `prod` also where every system fell back to it."""
        used = {system.environment for system in self.systems.values()}
        return asked if asked in used or not used else "prod"

    def log(self, asked: Environment) -> list[LogLine]:
        """A line for each system that fell back, or is not there."""
        lines = [
            f"system {system.id} is not stored for {asked}; "
            f"its definition and credentials for {system.environment} are used"
            for system in self.systems.values()
            if system.environment != asked
        ]
        lines += [
            f"system {system_id} is not stored: requests of steps that name it are not signed in"
            for system_id in self.missing
        ]
        return [LogLine(now_ms(), "warn", None, line) for line in lines]


async def load_systems(
    store: SystemStore,
    system_ids: Iterable[str],
    environment: Environment,
    *,
    falls_back: bool,
    run_time: Mapping[str, str] | None = None,
    marks_only: bool = False,
) -> LoadedSystems:
    """The stored systems of these ids with their credentials; other ids are `missing`.

    With `falls_back` a system that has no such environment is taken from `prod`; without, its lack
    is a problem. Sources of credentials that the run brings itself are not asked. With `marks_only`
    no credential is read: each is its mark.
    """
    systems: dict[str, System] = {}
    problems: list[RunError] = []
    missing: list[str] = []
    for system_id in system_ids:
        stored = await store.get(system_id, environment)
        other: Environment = "dev" if environment == "prod" else "prod"
        elsewhere = await store.get(system_id, other) if stored is None else None
        if elsewhere is not None:
            if environment == "prod" or not falls_back:
                problems.append(_not_in(environment, elsewhere))
            else:
                stored = elsewhere
        if stored is not None:
            systems[system_id] = (
                marked_system(stored.definition, [one.name for one in stored.credentials])
                if marks_only
                else await _with_credentials(store, stored, run_time or {}, problems)
            )
        elif elsewhere is None:
            missing.append(system_id)
    return LoadedSystems(systems, problems[0] if problems else None, tuple(missing))


def _not_in(environment: Environment, stored: StoredSystem) -> RunError:
    hint = f'store it for {environment}: callslip systems add FILE, "environment": "{environment}"'
    if environment == "dev":
        hint += "; or set devFallsBackToProd on the tool"
    return RunError(
        ErrorKind.CREDENTIAL,
        f"system {stored.id} is stored for {stored.environment} and not for {environment}",
        hint=hint,
    )


async def _with_credentials(
    store: SystemStore, stored: StoredSystem, run_time: Mapping[str, str], problems: list[RunError]
) -> System:
    secrets: Mapping[str, str | JsonObject] = {}
    try:
        secrets = await store.secrets(stored.id, stored.environment)
    except StorageError as error:
        problem = RunError(ErrorKind.CREDENTIAL, str(error))
        problem.__cause__ = error
        problems.append(problem)
    flag = "" if stored.environment == "prod" else f" --environment {stored.environment}"
    values: dict[str, str] = {}
    for name, secret in secrets.items():
        if isinstance(secret, str):
            values[name] = secret
            continue
        own = run_time.get(f"{stored.id}_{name}", run_time.get(name))
        if own is not None:
            values[name] = own
            continue
        try:
            values[name] = await read_source(secret)
        except OSError as error:
            problems.append(
                RunError(
                    ErrorKind.CREDENTIAL,
                    f"the credential {stored.id}.{name} cannot be read: {error}",
                    hint="mend what its source names, or set another: "
                    f"callslip systems set-credential {stored.id} {name}{flag}",
                )
            )
    return System.model_validate({**stored.definition, "credentials": values})


async def read_source(source: JsonObject) -> str:
    """The value that a source names; the line break at its end is not part of it.

    Raises `OSError` in words that hold no secret.
    """
    if (name := source.get("fromEnv")) is not None:
        value = os.environ.get(name)
        if value is None:
            raise OSError(f"the environment variable {name} is not set")
    elif (path := source.get("fromFile")) is not None:
        try:
            value = await (await anyio.Path(path).expanduser()).read_text("utf-8")
        except UnicodeDecodeError:
            raise OSError(f"{path} is not text") from None
    else:
        value = await _run_command(source["fromCommand"])
    value = value.rstrip("\r\n")
    if not value or len(value) > _MAX_SECRET_CHARACTERS:
        raise OSError("the value is empty" if not value else "the value is far too long")
    return value


async def _run_command(command: list[str]) -> str:
    program = command[0]
    try:
        with anyio.fail_after(_COMMAND_SECONDS):
            ended = await anyio.run_process(
                command, check=False, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
    except TimeoutError:
        raise OSError(f"{program} did not end within {_COMMAND_SECONDS:g} s") from None
    if ended.returncode != 0:
        raise OSError(f"{program} ended with exit code {ended.returncode}")
    return ended.stdout.decode("utf-8", "replace")


def redactor_for(
    systems: Iterable[System], run_time: Mapping[str, str], above: Redactor | None = None
) -> Redactor:
    """A redactor that knows every secret that a run could see, and what the run above it knows."""
    secrets = {f"run.{name}": value for name, value in run_time.items()}
    headers: list[str] = []
    parameters: list[str] = []
    for system in systems:
        secrets.update({f"{system.id}.{name}": value for name, value in system.credentials.items()})
        if isinstance(system.auth, ApiKeyAuth):
            (headers if system.auth.place == "header" else parameters).append(system.auth.name)
    return Redactor(secrets, headers, parameters, above=above)
