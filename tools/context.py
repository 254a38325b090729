"""What the parts of one run share."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from tools.addresses import AddressPolicy
from tools.carriers import Carriers, TakenCredential
from tools.decoders import DecodeLimits
from tools.http import HttpClient
from tools.json_text import JsonObject
from tools.model import Step, Tool
from tools.rate_limits import RateLimiter
from tools.redaction import Redactor
from tools.replay import Exchanger, ReplayClient
from tools.run import Cost, LogLine, RunOptions, RunOutcome, now_ms
from tools.scripts import ScriptEngine, ScriptSession
from tools.system import System
from tools.tracing import NO_SPANS, Spans

__all__ = ["ChildRun", "Engines", "RunContext", "RunEvent", "RunPorts", "StepLimits"]

_MAX_LOG_LINES = 200
_MAX_LOG_CHARACTERS = 2000

_DEFAULT_TIMEOUT_MS = 60_000
_DEFAULT_RETRIES = 3
_DEFAULT_RETRY_DELAY_MS = 500


@dataclass(frozen=True)
class RunEvent:
    """Something a watcher of the run sees: `progress` of `total` steps, and a sentence."""

    step_id: str
    message: str
    #: Steps done so far; the fraction is the part of the current one.
    progress: float
    total: int


@dataclass(frozen=True)
class ChildRun:
    """A run that a step started."""

    run_id: str
    outcome: RunOutcome


class RunPorts(Protocol):
    """What a run needs from above; `server.run_ports` provides it."""

    def emit(self, event: RunEvent) -> None:
        """Told about progress; must not block or raise."""
        ...

    async def access_token(self, system: System, rejected: str | None) -> str:
        """The OAuth access token of a system; `rejected` is one the upstream did not take.

        Raises `RunError` of kind `credential`.
        """
        ...

    async def start_child(
        self,
        tool_id: str,
        inputs: JsonObject,
        context: "RunContext",
        carriers: Carriers,
        began: Callable[[str, JsonObject], None],
    ) -> ChildRun:
        """Run another stored tool as a child of this run and wait for its end.

        `carriers` are the inputs that hold short credentials. `began` is told the id of the run and
        the definition that it executes, before anything is waited for. Raises `RunError` of kind
        `sub_tool` when there is no such tool.
        """
        ...


@dataclass(frozen=True)
class Engines:
    """The long-lived machinery that runs share."""

    http: HttpClient
    scripts: ScriptEngine
    #: How far requests may go when the system says nothing.
    address_policy: AddressPolicy = AddressPolicy.PRIVATE
    #: Whether exchanges are kept in the record, and how much of each body.
    record_exchanges: bool = True
    max_recorded_body_bytes: int = 5 * 1024 * 1024
    #: What an answer may turn into.
    decode_limits: DecodeLimits = field(default_factory=DecodeLimits)
    rate_limits: RateLimiter = field(default_factory=RateLimiter)
    spans: Spans = NO_SPANS


@dataclass(frozen=True)
class StepLimits:
    """The limits of a step's requests after options, step, tool and defaults."""

    timeout_seconds: float
    retries: int
    retry_delay_seconds: float


@dataclass
class RunContext:
    """One run while it is under way."""

    tool: Tool
    options: RunOptions
    engines: Engines
    ports: RunPorts
    systems: Mapping[str, System]
    run_time_credentials: Mapping[str, str]
    redactor: Redactor
    #: The run's own systems and those of the runs above it, whose credentials its inputs may hold.
    guarded_systems: tuple[System, ...] = ()
    #: The systems of called tools whose results this run takes over from an earlier one.
    systems_below: Mapping[str, System] = field(default_factory=dict[str, System], repr=False)
    #: Ids of the tools above this one in a chain, the outermost first.
    ancestors: tuple[str, ...] = ()
    trace_id: str | None = None
    spans: Spans = NO_SPANS
    #: The span that is the innermost one now, for those below it and for upstreams.
    traceparent: str | None = None
    cost: Cost = field(default_factory=Cost)
    logs: list[LogLine] = field(default_factory=list[LogLine])
    sub_tools: dict[str, JsonObject] = field(default_factory=dict[str, JsonObject])
    #: Names of the state that hold short credentials.
    carriers: dict[str, frozenset[TakenCredential]] = field(
        default_factory=dict[str, frozenset[TakenCredential]], repr=False
    )
    steps_done: int = 0
    #: Answers the requests of a replay.
    replay: ReplayClient | None = None

    @property
    def http(self) -> Exchanger:
        """What answers the requests of this run."""
        return self.replay or self.engines.http

    @property
    def sends(self) -> bool:
        """Whether requests may go out. Where none can, nothing is waited for and nothing costs."""
        return self.replay is None or self.replay.may_send

    def limits(self, step: Step) -> StepLimits:
        """Options win over the step, the step over the tool."""
        layers = (self.options, step, self.tool)
        timeout_ms = _first(*(layer.timeout_ms for layer in layers), _DEFAULT_TIMEOUT_MS)
        delay_ms = _first(*(layer.retry_delay_ms for layer in layers), _DEFAULT_RETRY_DELAY_MS)
        return StepLimits(
            timeout_ms / 1000,
            _first(*(layer.retries for layer in layers), _DEFAULT_RETRIES),
            delay_ms / 1000,
        )

    def carry(self, name: str, credentials: frozenset[TakenCredential]) -> None:
        """Remember that a name of the state holds these, too."""
        if credentials:
            self.carriers[name] = self.carriers.get(name, credentials) | credentials

    def script_session(self, step_id: str | None) -> ScriptSession:
        """Fresh JavaScript globals; their console becomes the run's log."""
        return self.engines.scripts.session(
            lambda level, message: self._log(level, message, step_id)
        )

    def progress(self, step_id: str, message: str, fraction: float = 0.0) -> None:
        """Tell the watcher."""
        total = max(len(self.tool.steps), 1)
        self.ports.emit(RunEvent(step_id, message, self.steps_done + min(fraction, 0.99), total))

    def _log(self, level: str, message: str, step_id: str | None) -> None:
        if len(self.logs) < _MAX_LOG_LINES:
            text = self.redactor.text(message)[:_MAX_LOG_CHARACTERS]
            self.logs.append(LogLine(now_ms(), level, step_id, text))


def _first(*values: int | None) -> int:
    return next(value for value in values if value is not None)
