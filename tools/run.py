"""A run: its sources, options and parts, as values.

Times are milliseconds since the epoch inside the program and RFC 3339 (ms, UTC) on the wire.
"""

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from tools.carriers import NOTHING_CARRIED, TakenCredential
from tools.decoders.result import StoredFile
from tools.errors import ErrorDetail
from tools.json_pieces import LARGE_BYTES, json_length
from tools.json_text import Json, JsonObject, encode_json

__all__ = [
    "RUN_ID_PATTERN",
    "Cost",
    "Exchange",
    "LogLine",
    "RequestRecord",
    "RequestSource",
    "RunOptions",
    "RunOutcome",
    "RunStatus",
    "SourceKind",
    "StepRecord",
    "handled_bytes",
    "may_be_large",
    "milliseconds",
    "now_ms",
    "rfc3339",
    "run_id_problem",
]

#: The id of a run that a caller chooses: it stands in addresses, file names and log lines.
RUN_ID_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9_.:-]{0,127}$"
_SHOWN_ID_CHARACTERS = 80


def now_ms() -> int:
    """Milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


def rfc3339(ms: int) -> str:
    """`2026-01-02T03:04:05.678Z`."""
    return f"{_to_the_second(ms // 1000)}.{ms % 1000:03d}Z"


@lru_cache(maxsize=16)
def _to_the_second(seconds: int) -> str:
    # The parts of a run, and runs at once, are mostly of the same second.
    return datetime.fromtimestamp(seconds, UTC).isoformat().removesuffix("+00:00")


def milliseconds(moment: str) -> int:
    """The milliseconds of a date or an RFC 3339 time; UTC unless it says another zone.

    Raises `ValueError`, with what is valid.
    """
    try:
        parsed = datetime.fromisoformat(moment.strip())
        if parsed.tzinfo is None:
            parsed = parsed.replace(tzinfo=UTC)
        return round(parsed.timestamp() * 1000)
    except (ValueError, OverflowError):
        raise ValueError(
            f"{moment[:40]!r} is no time; valid are 2026-01-31 and 2026-01-31T08:00:00Z"
        ) from None


def run_id_problem(run_id: str) -> str | None:
    """Why a text cannot be the id of a run, with what is valid; None when it can."""
    if re.fullmatch(RUN_ID_PATTERN.removesuffix("$"), run_id):
        return None
    shown = run_id if len(run_id) <= _SHOWN_ID_CHARACTERS else f"{run_id[:_SHOWN_ID_CHARACTERS]}…"
    return (
        f"{shown!r} cannot be the id of a run; "
        "valid is 1 to 128 of A-Z a-z 0-9 _ . : - with a letter or digit first"
    )


class RequestSource(StrEnum):
    """Where a run was started; set by the entry point, never by the caller's word alone."""

    #: `POST /v1/tools/{id}/run`.
    API = "api"
    #: A web page that says so over REST.
    FRONTEND = "frontend"
    #: A stored schedule.
    SCHEDULER = "scheduler"
    #: `tools/call` of an MCP client.
    MCP = "mcp"
    #: A step of another tool, or a `tool:` webhook.
    TOOL_CHAIN = "tool-chain"
    #: An incoming hook.
    WEBHOOK = "webhook"
    #: `callslip run`.
    CLI = "cli"


class RunStatus(StrEnum):
    """The states of a run; the last three are final."""

    RUNNING = "running"
    SUCCESS = "success"
    #: The tool, its inputs or its upstream failed.
    FAILED = "failed"
    #: Ended from outside: cancelled, or the process stopped.
    ABORTED = "aborted"


class SourceKind(StrEnum):
    """How a run was made from another one."""

    #: The same again, because it failed.
    RETRY = "retry"
    #: Again, with other inputs, another version, or from the step that failed.
    RERUN = "rerun"
    #: Answered from the exchanges of the other one; nothing was sent.
    REPLAY = "replay"


class RunOptions(BaseModel):
    """What a caller may set for one run; what else a record has is ignored."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="ignore", frozen=True
    )

    #: One request, in milliseconds.
    timeout_ms: Annotated[int, Field(gt=0)] | None = None
    retries: Annotated[int, Field(ge=0, le=100)] | None = None
    retry_delay_ms: Annotated[int, Field(ge=0)] | None = None
    concurrency: Annotated[int, Field(ge=1, le=64)] | None = None
    #: The whole run, in milliseconds.
    run_timeout_ms: Annotated[int, Field(gt=0)] | None = None
    #: Whose credentials are used.
    mode: Literal["prod", "dev"] = "prod"
    #: `dry`: requests are rendered, nothing is sent. `limited`: one page, one item, reading only.
    execution: Literal["live", "dry", "limited"] = "live"
    trace_id: str | None = None

    def wire(self) -> dict[str, Any]:
        """The camelCase form of what was given."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)


@dataclass
class Exchange:
    """One HTTP request and its answer as kept in the record; redacted before it gets here.

    Bodies are decoded from their transfer encoding and cut at the recording cap.
    """

    request_headers: list[tuple[str, str]]
    request_body: bytes | None = None
    response_status: int | None = None
    response_headers: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    response_body: bytes | None = None
    #: Where the answer came from, when redirects led elsewhere.
    response_url: str | None = None
    #: The response body was longer than what is kept.
    truncated: bool = False
    #: Response filters changed the response body; with `truncated`, they took it out.
    altered: bool = False


@dataclass
class RequestRecord:
    """One HTTP exchange inside a step."""

    method: str
    url: str
    status: int | None = None
    duration_ms: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    page: int | None = None
    iteration: int | None = None
    attempt: int = 1
    error: str | None = None
    #: The facts of a request that got no answer; `notSent` when nothing had left.
    error_detail: JsonObject | None = None
    exchange: Exchange | None = None

    def unsent(self) -> dict[str, Any]:
        """What a dry run would have sent; redacted, as everything in a record is."""
        fields: dict[str, Any] = {"method": self.method, "url": self.url}
        if self.exchange is not None:
            fields["headers"] = dict(self.exchange.request_headers)
            if self.exchange.request_body is not None:
                fields["body"] = self.exchange.request_body.decode("utf-8", "replace")
        return fields

    def wire(self) -> dict[str, Any]:
        """The camelCase form without the exchange, absent fields omitted."""
        fields = {
            "method": self.method,
            "url": self.url,
            "status": self.status,
            "ms": self.duration_ms,
            "bytes": self.bytes_in,
            "page": self.page,
            "iteration": self.iteration,
            "attempt": self.attempt,
            "error": self.error,
            "errorDetail": self.error_detail,
        }
        return {key: value for key, value in fields.items() if value is not None}


@dataclass
class StepRecord:
    """What a step did.

    `data` is its envelope, or the list of envelopes of a loop; a failed single step has none.
    """

    step_id: str
    started_at: int
    success: bool = False
    status: Literal["running", "success", "failure", "skipped", "aborted"] = "running"
    data: Json = None
    has_data: bool = False
    error: str | None = None
    completed_at: int | None = None
    attempts: int = 0
    requests: list[RequestRecord] = field(default_factory=list[RequestRecord])
    #: Binary answers, whole.
    files: list[StoredFile] = field(default_factory=list[StoredFile])
    #: What a reader of the record should know, such as a page without rows.
    warnings: list[str] = field(default_factory=list[str])
    #: The child runs, of a step that calls a tool, as they began; a loop has one an item. One that
    #: failed comes last: it is the one to look at.
    child_run_ids: list[str] = field(default_factory=list[str])
    #: What its child runs would have sent, in a dry run.
    unsent: list[JsonObject] = field(default_factory=list[JsonObject])
    #: The run whose record the data was taken from; the step itself was not executed.
    taken_from: str | None = None
    #: The stored data is not what later steps saw: filters or redaction changed it.
    altered: bool = False

    def wire(self) -> dict[str, Any]:
        """The camelCase form without data, files and exchanges."""
        fields: dict[str, Any] = {
            "stepId": self.step_id,
            "success": self.success,
            "status": self.status,
            "startedAt": rfc3339(self.started_at),
            "attempts": self.attempts,
        }
        if self.completed_at is not None:
            fields["completedAt"] = rfc3339(self.completed_at)
        if self.error is not None:
            fields["error"] = self.error
        if self.child_run_ids:
            fields["childRunId"] = self.child_run_ids[-1]
        if len(self.child_run_ids) > 1:
            fields["childRunIds"] = list(self.child_run_ids)
        if self.taken_from is not None:
            fields["takenFrom"] = self.taken_from
        if self.altered:
            fields["altered"] = True
        if self.warnings:
            fields["warnings"] = list(self.warnings)
        fields["requests"] = [request.wire() for request in self.requests]
        return fields


@dataclass(frozen=True)
class LogLine:
    """One line a script wrote to its console."""

    at: int
    level: str
    step_id: str | None
    message: str

    def wire(self) -> dict[str, Any]:
        return {
            "at": rfc3339(self.at),
            "level": self.level,
            **({"stepId": self.step_id} if self.step_id else {}),
            "message": self.message,
        }


@dataclass
class Cost:
    """What a run used: counts, bytes and milliseconds."""

    requests: int = 0
    pages: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    script_ms: float = 0.0
    #: One a request and one a script evaluation of more than 10 ms.
    units: float = 0.0

    def wire(self) -> dict[str, Any]:
        return {
            "requests": self.requests,
            "pages": self.pages,
            "bytesIn": self.bytes_in,
            "bytesOut": self.bytes_out,
            "scriptMs": round(self.script_ms, 3),
            "units": self.units,
        }


def handled_bytes(steps: Sequence[StepRecord]) -> int:
    """How many bytes the answers had that steps read, decompressed; at least about.

    Data that was taken from a record, which nobody has measured, counts as large.
    """
    if any(step.taken_from is not None for step in steps):
        return LARGE_BYTES + 1
    return sum(request.bytes_in for step in steps for request in step.requests)


def may_be_large(
    steps: Sequence[StepRecord], cost: Cost, sub_tools: Mapping[str, JsonObject]
) -> bool:
    """Whether a run can have made large data: scripts and other tools make much of little."""
    return cost.script_ms > 0 or bool(sub_tools) or handled_bytes(steps) > LARGE_BYTES


@dataclass
class RunOutcome:
    """How a run ended: always in exactly one of `success | failed | aborted`."""

    status: RunStatus
    #: The inputs as validated, defaults filled in.
    inputs: JsonObject
    #: The result, when `status` is success.
    data: Json = None
    #: Its JSON text, unless that is large: it is then made in pieces, where it is needed.
    data_json: bytes | None = None
    #: How many bytes the text has; None without a result.
    data_bytes: int | None = None
    error: str | None = None
    error_detail: ErrorDetail | None = None
    steps: list[StepRecord] = field(default_factory=list[StepRecord])
    logs: list[LogLine] = field(default_factory=list[LogLine])
    cost: Cost = field(default_factory=Cost)
    #: Definitions of the tools that steps called, by id.
    sub_tools: Mapping[str, JsonObject] = field(default_factory=dict[str, JsonObject])
    #: The short credentials that the result holds.
    carried: frozenset[TakenCredential] = field(default=NOTHING_CARRIED, repr=False)

    def set_data(self, data: Json, *, is_large: bool) -> None:
        """Set the result and its text, or the length alone. Raises like `encode_json`."""
        self.data = data
        self.data_json = None if is_large else encode_json(data)
        self.data_bytes = json_length(data) if self.data_json is None else len(self.data_json)

    def text(self) -> bytes:
        """The JSON text of the result, whole."""
        return encode_json(self.data) if self.data_json is None else self.data_json
