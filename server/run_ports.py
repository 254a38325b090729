"""What a run needs from the service: its progress told, tokens, and runs of other tools."""

from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

import anyio

from server.active_run import RunRequest
from server.tokens import TokenKeeper
from tools.auth.oauth2 import Token
from tools.carriers import Carriers
from tools.context import ChildRun, RunContext, RunEvent
from tools.json_text import JsonObject
from tools.redaction import Redactor
from tools.replay import credential_mark
from tools.system import System, auth_credential_names

__all__ = ["LivePorts", "RunsService"]


class RunsService(Protocol):
    """The part of the service that a run reaches back to."""

    def tell_of_run(self, run_id: str) -> None:
        """A run of this process is not what it was."""
        ...

    async def start_child(
        self,
        tool_id: str,
        inputs: JsonObject,
        parent: RunRequest,
        context: RunContext,
        run_id: str,
        carriers: Carriers,
        began: Callable[[str, JsonObject], None],
    ) -> ChildRun:
        """Run a tool as a step of the run `run_id`. Raises `RunError` of kind `sub_tool`."""
        ...


class LivePorts:
    """The ports of one run (`tools.context.RunPorts`)."""

    def __init__(
        self,
        run_id: str,
        request: RunRequest,
        redactor: Redactor,
        tokens: TokenKeeper,
        service: RunsService,
    ) -> None:
        self._run_id = run_id
        self._request = request
        self._redactor = redactor
        self._tokens = tokens
        self._service = service
        self._step_id: str | None = None
        self._own_tokens: dict[str, Token] = {}
        self._token_lock = anyio.Lock()

    def emit(self, event: RunEvent) -> None:
        if event.step_id != self._step_id:
            self._step_id = event.step_id
            self._service.tell_of_run(self._run_id)
        if self._request.on_event is not None:
            self._request.on_event(event)

    async def access_token(self, system: System, rejected: str | None) -> str:
        derivation = self._request.derivation
        replay = derivation and derivation.replay
        if replay is not None and not replay.is_lenient:
            mark = credential_mark(f"{system.id}.accessToken")
            self._redactor.add(f"{system.id}.accessToken", mark)
            return mark
        if self._brings_credentials_of(system):
            token = await self._own_token(system, rejected)
        else:
            token = await self._tokens.token(system, rejected)
        self._redactor.add(f"{system.id}.accessToken", token.access_token)
        if token.refresh_token is not None:
            self._redactor.add(f"{system.id}.refreshToken", token.refresh_token)
        return token.access_token

    async def start_child(
        self,
        tool_id: str,
        inputs: JsonObject,
        context: RunContext,
        carriers: Carriers,
        began: Callable[[str, JsonObject], None],
    ) -> ChildRun:
        return await self._service.start_child(
            tool_id, inputs, self._request, context, self._run_id, carriers, began
        )

    def _brings_credentials_of(self, system: System) -> bool:
        run_time = self._request.credentials
        names = auth_credential_names(system.auth, optional=True)
        return any(name in run_time or f"{system.id}_{name}" in run_time for name in names)

    async def _own_token(self, system: System, rejected: str | None) -> Token:
        """The token for run-time credentials: of this run alone, and never stored."""
        async with self._token_lock:
            token = self._own_tokens.get(system.id)
            if token is None or not token.is_fresh() or token.access_token == rejected:
                renewed = await self._tokens.ask(system, token)
                if renewed.refresh_token is None and token is not None:
                    renewed = replace(renewed, refresh_token=token.refresh_token)
                token = self._own_tokens[system.id] = renewed
        return token
