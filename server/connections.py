"""The systems of a home as they are used: looked up, opened with their secrets, signed in to."""

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import anyio
from anyio.abc import TaskGroup

from server.credentials import LoadedSystems, load_systems, read_source, redactor_for, system_ids_of
from server.login import sign_in
from server.tokens import TokenKeeper
from storage.errors import StorageError
from storage.systems import StoredSystem, SystemStore
from tools.addresses import AddressPolicy
from tools.auth import authorize
from tools.check_system import check_system
from tools.context import Engines
from tools.errors import RunError
from tools.http import OutgoingRequest
from tools.json_text import Json, JsonObject
from tools.model import Tool
from tools.prepared import PreparedTool
from tools.suggestions import did_you_mean
from tools.system import Environment, System, signs_in_by_browser

__all__ = ["Connections", "PendingSignIn", "UnknownSystemError"]

_log = logging.getLogger(__name__)


class UnknownSystemError(Exception):
    """No system of this id and environment is stored."""


class PendingSignIn:
    """A sign-in under way: the address to open, and when it has ended either way."""

    def __init__(self) -> None:
        self.address: str | None = None
        self.shown = anyio.Event()
        self.done = anyio.Event()


class Connections:
    """What the service does with systems; surfaces reach it as `service.connections`."""

    def __init__(self, store: SystemStore, engines: Engines, locks_directory: Path) -> None:
        self.store = store
        self.tokens = TokenKeeper(store, engines.http, locks_directory, engines.address_policy)
        self._engines = engines
        self._sign_ins: dict[tuple[str, str], PendingSignIn] = {}
        self._group: TaskGroup | None = None

    def open(self, group: TaskGroup) -> None:
        """Sign-ins that outlive the call that began them are tasks of `group`."""
        self._group = group

    async def put(self, definition: Json) -> JsonObject:
        """Check a system and store it unless it is refused: `{id, outcome, problems}`."""
        checked = check_system(definition)
        report: JsonObject = {} if checked.id is None else {"id": checked.id}
        environment = (checked.definition or {}).get("environment", "prod")
        stored = await self.store.get(checked.id, environment) if checked.id else None
        # An update keeps the credentials it does not name.
        kept = {f"credentials.{one.name}" for one in stored.credentials} if stored else set[str]()
        problems = [
            problem
            for problem in checked.problems
            if problem.severity == "error" or problem.path not in kept
        ]
        report["problems"] = [problem.wire() for problem in problems]
        if checked.definition is None:
            return report | {"outcome": "refused"}
        is_new = await self.store.put(checked.definition, checked.credentials)
        return report | {"outcome": "added" if is_new else "updated"}

    async def get(self, system_id: str, environment: Environment) -> StoredSystem:
        """A system without its secrets. Raises `UnknownSystemError`."""
        stored = await self.store.get(system_id, environment)
        if stored is None:
            near = did_you_mean(system_id, await self.store.ids())
            raise UnknownSystemError(
                f"system {system_id} ({environment}) not found"
                + (f"; did you mean {near}?" if near and near != system_id else "")
            )
        return stored

    async def load(self, system_id: str, environment: Environment) -> System:
        """A system with its credentials, in memory.

        Raises `UnknownSystemError`, `RunError`, `StorageError`.
        """
        await self.get(system_id, environment)
        loaded = await load_systems(self.store, [system_id], environment, falls_back=False)
        if loaded.problem is not None:
            # A key that does not open is a problem of the home, as in every other command.
            cause = loaded.problem.__cause__
            raise cause if isinstance(cause, StorageError) else loaded.problem
        return loaded.systems[system_id]

    async def load_for(
        self,
        tool: Tool,
        mode: Environment,
        run_time: Mapping[str, str],
        *,
        marks_only: bool = False,
    ) -> LoadedSystems:
        """The systems of a tool with their credentials, or why they cannot be had.

        With `marks_only` no credential is read.
        """
        ids = system_ids_of(tool)
        if not ids:
            return LoadedSystems({})
        return await load_systems(
            self.store,
            ids,
            mode,
            falls_back=tool.dev_falls_back_to_prod,
            run_time=run_time,
            marks_only=marks_only,
        )

    async def load_for_all(
        self, definitions: Iterable[JsonObject], mode: Environment, run_time: Mapping[str, str]
    ) -> LoadedSystems:
        """The systems of all tools that an earlier run executed."""
        systems: dict[str, System] = {}
        problem: RunError | None = None
        for definition in definitions:
            loaded = await self.load_for(PreparedTool.of(definition).tool, mode, run_time)
            systems |= loaded.systems
            problem = problem or loaded.problem
        return LoadedSystems(systems, problem)

    async def sign_in(self, system: System, show: Callable[[str], None]) -> None:
        """Have a person sign in, and store the tokens; `show` gets the address to open.

        Raises `RunError` of kind `credential`, `StorageError`.
        """
        self.store.require_writable()
        redactor = redactor_for([system], {})
        try:
            token = await sign_in(system, self._engines.http, self.policy_for(system), show)
        except RunError as error:
            # A server that refuses often repeats what it was sent, such as the client id.
            error.message = redactor.text(error.message)
            raise
        await self.tokens.keep(system, token)

    async def waiting_for_sign_in(self, tool: Tool, mode: Environment) -> list[System]:
        """The systems of a tool that a person has to sign in to before it can run."""
        waiting: list[System] = []
        for system_id in system_ids_of(tool):
            stored = await self.store.get(system_id, mode)
            if stored is not None and signs_in_by_browser(System.model_validate(stored.definition)):
                waiting.append(await self.load(system_id, mode))
        return [system for system in waiting if not await self.tokens.has_token(system)]

    async def begin_sign_in(self, system: System) -> PendingSignIn:
        """A sign-in that goes on beside the call that asks for it; one a system at a time."""
        key = (system.id, system.environment)
        pending = self._sign_ins.get(key)
        if pending is None or pending.done.is_set():
            if self._group is None:
                raise AssertionError("the service is open while it is used")
            pending = self._sign_ins[key] = PendingSignIn()
            self._group.start_soon(self._sign_in_pending, system, pending)
        await pending.shown.wait()
        return pending

    async def _sign_in_pending(self, system: System, pending: PendingSignIn) -> None:
        def show(address: str) -> None:
            pending.address = address
            pending.shown.set()

        try:
            await self.sign_in(system, show)
        except (RunError, StorageError) as error:
            # The run that follows says what is missing; here nobody waits for an error.
            _log.warning("%s", error)
        finally:
            pending.shown.set()
            pending.done.set()

    async def test(self, system: System) -> tuple[int, str]:
        """Ask a system's own url, signed in: the status of its answer. Raises `RunError`."""
        redactor = redactor_for([system], {})
        request = await authorize(
            OutgoingRequest("GET", system.url), system, self.tokens.access_token, rejected=None
        )
        request = replace(request, tls=system.tls, holds_credential=redactor.finds)
        try:
            received = await self._engines.http.exchange(
                request, timeout_seconds=30, policy=self.policy_for(system)
            )
        except RunError as error:
            error.message = redactor.text(error.message)
            raise
        return received.status, system.url

    async def all_secrets(self) -> tuple[dict[str, str], list[str]]:
        """Every secret value there is, by name, for the audit.

        The names beside them are of sources that cannot be read now: they have no value that could
        be searched for. Raises `StorageError`.
        """
        secrets: dict[str, str] = {}
        unread: list[str] = []
        for stored in await self.store.list():
            place = f"{stored.id}.{stored.environment}"
            found = await self.store.secrets(stored.id, stored.environment)
            for name, secret in found.items():
                if isinstance(secret, str):
                    secrets[f"{place}.{name}"] = secret
                else:
                    try:
                        secrets[f"{place}.{name}"] = await read_source(secret)
                    except OSError:
                        unread.append(f"{place}.{name}")
            token = await self.store.get_token(stored.id, stored.environment) or {}
            for name in ("accessToken", "refreshToken"):
                if token.get(name):
                    secrets[f"{place}.{name}"] = token[name]
        return secrets, unread

    def policy_for(self, system: System) -> AddressPolicy:
        """How far requests to a system may go."""
        return AddressPolicy.ANY if system.allow_private else self._engines.address_policy
