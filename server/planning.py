"""What a wish for a run comes to: the execution, and what is recorded of it before it begins."""

import secrets
import uuid
from typing import Literal

from server.active_run import Derivation, Replay, RunRequest
from server.catalog import CatalogEntry
from server.connections import Connections
from server.credentials import LoadedSystems, redactor_for
from server.run_ports import LivePorts, RunsService
from storage.run_record import NewRun
from storage.runs import RunStore
from tools.carriers import Carriers, shown_in
from tools.context import Engines, RunContext
from tools.execution import Execution
from tools.json_text import JsonObject
from tools.redaction import Redactor
from tools.replay import ReplayClient
from tools.run import now_ms
from tools.scope import short_credentials
from tools.scripts import js_text
from tools.tracing import is_traceparent, trace_id_of

__all__ = ["RunPlanner", "SecretInNameError"]


class SecretInNameError(Exception):
    """A name that the caller gave the run holds a credential."""


class RunPlanner:
    """Plans runs: credentials are read, inputs checked, and nothing is written or sent."""

    def __init__(
        self,
        runs: RunStore,
        connections: Connections,
        engines: Engines,
        owner_id: str,
        user: str | None,
        service: RunsService,
    ) -> None:
        """`owner_id` is that of this process, `user` who asks unless a wish says so.

        `service` is what runs reach back to.
        """
        self._runs = runs
        self._connections = connections
        self._engines = engines
        self._owner_id = owner_id
        self._service = service
        self._user = user

    async def plan(
        self, request: RunRequest, derivation: Derivation, entry: CatalogEntry
    ) -> tuple[Execution, NewRun]:
        """What will run, and what is recorded of it before. Raises `SecretInNameError`."""
        loaded, below = await self._load_systems(request, derivation, entry)
        systems = {**request.systems_above, **loaded.systems}
        run_id = request.run_id or str(uuid.uuid4())
        traceparent = request.traceparent if is_traceparent(request.traceparent or "") else None
        trace_id = request.options.trace_id or (
            secrets.token_hex(16) if traceparent is None else trace_id_of(traceparent)
        )
        redactor = redactor_for(systems.values(), request.credentials, request.redactor_above)
        if redactor.finds("\n".join((run_id, trace_id, request.idempotency_key or ""))):
            raise SecretInNameError(
                "the run id, the trace id or the idempotency key holds a credential, and all of "
                "them are recorded and shown; choose another"
            )
        context = RunContext(
            entry.prepared.tool,
            request.options,
            self._engines,
            LivePorts(run_id, request, redactor, self._connections.tokens, self._service),
            systems=loaded.systems,
            guarded_systems=tuple(systems.values()),
            systems_below=below.systems,
            run_time_credentials=request.credentials,
            redactor=redactor,
            carriers={**request.carriers, **await self._handed_over(request)},
            ancestors=request.ancestors,
            trace_id=trace_id,
            spans=self._engines.spans,
            traceparent=traceparent,
            logs=loaded.log(request.options.mode),
            replay=self._replay_client(derivation.replay, redactor),
        )
        execution = Execution(
            entry.prepared,
            request.inputs,
            context,
            refused=loaded.problem or below.problem,
            taken=derivation.taken,
        )
        inputs = redactor.json(execution.inputs)
        new_run = NewRun(
            run_id,
            entry.prepared.definition,
            entry.stored.version_number or None,
            inputs,
            redactor.json(_recorded_options(request)),
            request.source,
            self._owner_id,
            now_ms(),
            execution_mode=loaded.mode_used(request.options.mode),
            trace_id=trace_id,
            user_id=request.user_id or self._user,
            client_name=request.client_name,
            client_version=request.client_version,
            parent_run_id=request.parent_run_id,
            source_run_id=derivation.source_run_id,
            source_kind=derivation.kind,
            idempotency_key=request.idempotency_key,
            queued=_queued(request, derivation, inputs == execution.inputs),
            webhook_target=request.webhook_target,
            chain=request.ancestors,
        )
        return execution, new_run

    async def _load_systems(
        self, request: RunRequest, derivation: Derivation, entry: CatalogEntry
    ) -> tuple[LoadedSystems, LoadedSystems]:
        """The systems of the tool, and those of the called tools whose results are taken over."""
        mode, replay = request.options.mode, derivation.replay
        is_offline = replay is not None and not replay.is_lenient
        loaded = await self._connections.load_for(
            entry.prepared.tool, mode, request.credentials, marks_only=is_offline
        )
        if derivation.taken is None or is_offline:
            return loaded, LoadedSystems({})
        called = derivation.taken.sub_tools.values()
        return loaded, await self._connections.load_for_all(called, mode, request.credentials)

    async def _handed_over(self, request: RunRequest) -> Carriers:
        """Those of the inputs that show short credentials of the run whose result they are."""
        if not request.is_async or request.parent_run_id is None:
            return {}
        above = await self._runs.get(request.parent_run_id, with_steps=False)
        if above is None or above.tool is None:
            return {}
        definitions = (above.tool, *(above.sub_tools or {}).values())
        loaded = await self._connections.load_for_all(definitions, request.options.mode, {})
        short = short_credentials(loaded.systems, {})
        if not short:
            return {}
        shown = {name: shown_in(js_text(value), short) for name, value in request.inputs.items()}
        return {name: held for name, held in shown.items() if held}

    def _replay_client(self, replay: Replay | None, redactor: Redactor) -> ReplayClient | None:
        if replay is None:
            return None
        return ReplayClient(
            replay.recording,
            redactor,
            self._engines.max_recorded_body_bytes,
            self._engines.http if replay.is_lenient else None,
        )


def _queued(
    request: RunRequest, derivation: Derivation, has_all_inputs: bool
) -> Literal["resumable", "bound"] | None:
    """Whether a run waits for its turn, and whether another process could execute it then."""
    if not request.is_async:
        return None
    # What no record holds, only this process has.
    is_whole = has_all_inputs and not request.credentials and derivation.source_run_id is None
    return "resumable" if is_whole else "bound"


def _recorded_options(request: RunRequest) -> JsonObject:
    """The options as given, and the names of run-time credentials, which a replay needs."""
    options = request.options.wire()
    if request.credentials:
        options["credentialNames"] = sorted(request.credentials)
    return options
