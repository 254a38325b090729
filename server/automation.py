"""What starts runs without a caller, or goes on after them: hooks, schedules, webhooks."""

import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace

import anyio

from server.active_run import ActiveRun, JoinedRun, RunRequest
from server.hooks import DEFAULT_HEADERS, proves
from server.scheduler import ScheduleError, Scheduler, next_time
from server.service import Service
from server.webhooks import WebhookSender
from storage.hooks import Hook, Scheme
from storage.outbox import Delivery
from storage.schedules import Schedule
from tools.auth import missing_credential
from tools.check_system import check_credential
from tools.errors import RunError
from tools.json_text import JsonObject
from tools.prepared import PreparedTool
from tools.problems import Problem, render_problems
from tools.run import RequestSource, now_ms
from tools.system import Environment

__all__ = ["Automation", "UnknownHookError", "UnknownScheduleError"]

#: Whose credentials prove senders.
_ENVIRONMENT: Environment = "prod"


class UnknownHookError(Exception):
    """The tool has no hook."""


class UnknownScheduleError(Exception):
    """No schedule of this id is stored."""


class Automation:
    """Hooks, schedules and webhooks of a home; `run` starts what is due, `serve --http` does."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._hooks = service.hooks
        self._schedules = service.schedules
        self._outbox = service.outbox

    async def run(self) -> None:
        """Start what is due, and deliver, until cancelled; nothing where it cannot be noted."""
        if self._service.is_read_only:
            return
        secret = self._service.settings.webhook_secret
        async with anyio.create_task_group() as group:
            group.start_soon(WebhookSender(self._service, self._outbox, secret).run)
            group.start_soon(Scheduler(self._service, self._schedules).run)

    # Hooks

    async def put_hook(
        self, tool_id: str, system_id: str, credential: str, scheme: Scheme, header: str | None
    ) -> tuple[Hook, list[Problem]]:
        """Let senders that know a system's credential start a tool; what to mind of its secret.

        Raises `UnknownToolError`, `UnknownSystemError`, `RunError` when the credential is not set.
        """
        await self._service.tools.get(tool_id)
        hook = Hook(tool_id, system_id, credential, scheme, header or DEFAULT_HEADERS[scheme])
        secret = await self._secret_of(hook)
        await self._hooks.put(hook)
        return hook, list(check_credential(credential, secret, f"{system_id}.{credential}"))

    async def hooks(self) -> list[Hook]:
        """All hooks, by tool."""
        return await self._hooks.list()

    async def hook(self, tool_id: str) -> Hook | None:
        """The hook of a tool."""
        return await self._hooks.get(tool_id)

    async def warnings_without(self, system_id: str, environment: Environment) -> list[str]:
        """What to say of the hooks whose secret was a credential of a system that is gone."""
        if environment != _ENVIRONMENT:
            return []
        return [
            f"the hook of tool {hook.tool_id} asks for {system_id}.{hook.credential}, which is "
            "gone: no sender is let in by it until the credential is stored again"
            for hook in await self._hooks.list()
            if hook.system_id == system_id
        ]

    async def remove_hook(self, tool_id: str) -> None:
        """Raises `UnknownHookError`."""
        if not await self._hooks.delete(tool_id):
            raise UnknownHookError(f"hook of tool {tool_id} not found")

    async def admits(
        self, tool_id: str, headers: Mapping[str, str], query: Mapping[str, str], body: bytes
    ) -> bool:
        """Whether a request without a key proves that it may start the tool."""
        hook = await self._hooks.get(tool_id)
        if hook is None:
            return False
        try:
            secret = await self._secret_of(hook)
        except RunError:
            return False
        return proves(hook, secret, headers, query, body, time.time())

    async def start_from_hook(self, tool_id: str, inputs: JsonObject) -> ActiveRun | JoinedRun:
        """Accept a run; it is executed whoever waits. Raises as `Service.start`."""
        request = RunRequest(tool_id, inputs, RequestSource.WEBHOOK, is_async=True)
        return await self._service.start(request)

    async def _secret_of(self, hook: Hook) -> str:
        system = await self._service.connections.load(hook.system_id, _ENVIRONMENT)
        secret = system.credentials.get(hook.credential)
        if secret is None:
            raise missing_credential(system, hook.credential)
        return secret

    # Schedules

    async def put_schedule(self, wanted: Schedule) -> Schedule:
        """Store a schedule; its next time is counted from now.

        Raises `UnknownToolError`, `server.scheduler.ScheduleError`.
        """
        stored = await self._service.tools.get(wanted.tool_id)
        if wanted.enabled:
            _require_inputs(PreparedTool.of(stored.definition), wanted.inputs)
        due = next_time(wanted.cron, wanted.time_zone, now_ms())
        schedule_id = wanted.schedule_id or uuid.uuid4().hex[:12]
        return await self._schedules.put(
            replace(wanted, schedule_id=schedule_id, next_at=due if wanted.enabled else None)
        )

    async def schedule(self, schedule_id: str) -> Schedule:
        """Raises `UnknownScheduleError`."""
        found = await self._schedules.get(schedule_id)
        if found is None:
            raise UnknownScheduleError(f"schedule {schedule_id} not found")
        return found

    async def schedules(self) -> list[Schedule]:
        """All schedules, by id."""
        return await self._schedules.list()

    async def remove_schedule(self, schedule_id: str) -> None:
        """Raises `UnknownScheduleError`."""
        if not await self._schedules.delete(schedule_id):
            raise UnknownScheduleError(f"schedule {schedule_id} not found")

    # Deliveries

    async def deliveries(self, status: str | None, limit: int) -> Sequence[Delivery]:
        """Deliveries, the newest first."""
        return await self._outbox.list(status, limit)

    async def redeliver(self, delivery_id: int) -> bool:
        """Have a dead delivery made again. False when there is none of this number."""
        return await self._outbox.revive(delivery_id)


def _require_inputs(tool: PreparedTool, inputs: JsonObject) -> None:
    """Raises `ScheduleError` for inputs with which every run would fail."""
    if tool.input_schema is None:
        return
    found = tool.input_schema.problems(tool.with_defaults(inputs))
    if found:
        problems = [replace(one, path=f"inputs{one.path}") for one in found]
        raise ScheduleError(
            f"the inputs break the inputSchema of {tool.tool.id}: {render_problems(problems)}",
            problems,
        )
