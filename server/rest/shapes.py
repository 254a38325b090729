"""The shapes of REST, one model each. The OpenAPI document is made from them.

Answers are built from records, not from these models: what they say of an answer the tests check.
"""

from collections.abc import Collection
from typing import Annotated, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    RootModel,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic.json_schema import JsonSchemaValue, SkipJsonSchema
from pydantic_core import CoreSchema, PydanticCustomError

from tools.json_text import Json, JsonObject
from tools.model import Tool
from tools.run import RUN_ID_PATTERN, RequestSource, RunOptions, RunStatus
from tools.suggestions import did_you_mean
from tools.system import System

__all__ = [
    "Deleted",
    "ErrorBody",
    "FileDownload",
    "FileList",
    "Health",
    "RenameBody",
    "RerunBody",
    "RunBody",
    "RunList",
    "RunOptionsBody",
    "RunResultsAnswer",
    "RunView",
    "StepView",
    "SystemDefinition",
    "SystemList",
    "SystemPatch",
    "SystemView",
    "ToolDefinition",
    "ToolFields",
    "ToolList",
    "ToolVersionView",
    "ToolVersions",
    "UnsavedRunBody",
    "WorkflowEnvelope",
]

#: In answers an absent field is left out; in requests null is the same as absent.
Absent = SkipJsonSchema[None]
#: Printable ASCII, as a header can carry it.
TraceId = Annotated[str, Field(pattern=r"^[\x21-\x7e]{1,128}$")]
RunId = Annotated[str, Field(pattern=RUN_ID_PATTERN)]
Milliseconds = Annotated[int, Field(gt=0)]


class Shape(BaseModel):
    """Base of all shapes: camelCase on the wire; what is not known is ignored or passed on."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, extra="allow")


class Closed(Shape):
    """A shape of a request that refuses what it does not know: a slip must not go unnoticed."""

    model_config = ConfigDict(json_schema_extra={"additionalProperties": False})

    @model_validator(mode="after")
    def _refuse_unknown(self) -> Self:
        for name in self.model_extra or {}:
            raise _unknown_field(name, names_of(type(self)))
        return self


def names_of(shape: type[BaseModel]) -> list[str]:
    """The fields of a shape that mean something here, as they are on the wire."""
    names = [field.alias or name for name, field in shape.model_fields.items()]
    return [name for name in names if name not in _PASSED_OVER]


#: Fields of the published client that mean nothing here.
_PASSED_OVER = frozenset({"files", "includeStepResultData", "pinnedCredentials"})
#: What callers of other programs write, and what it is here.
_BY_ANOTHER_NAME = {
    "dryrun": 'execution "dry"',
    "dry": 'execution "dry"',
    "limited": 'execution "limited"',
}


def _meant(name: str, known: Collection[str]) -> str | None:
    """What was probably meant by a name that is none of `known`."""
    plain = name.lower().replace("_", "").replace("-", "")
    if "execution" in known and plain in _BY_ANOTHER_NAME:
        return _BY_ANOTHER_NAME[plain]
    return did_you_mean(name, known)


def _unknown_field(name: str, known: Collection[str]) -> PydanticCustomError:
    meant = _meant(name, known)
    message = f"{name[:60]!r} is no field here; " + (f"did you mean {meant}? " if meant else "")
    return _refusal(f"{message}valid: {', '.join(known)}")


def _refusal(message: str) -> PydanticCustomError:
    # As a value: in the template braces would be read.
    return PydanticCustomError("unknown_field", "{message}", {"message": message})


class ToolDefinition(RootModel[JsonObject]):
    """A tool as JSON. It is checked as a whole, so that every problem is named at once."""

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return handler(Tool.__pydantic_core_schema__)


class SystemDefinition(RootModel[JsonObject]):
    """A system as JSON, with `credentials: {name: value}` beside its own fields."""

    @classmethod
    def __get_pydantic_json_schema__(
        cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return handler(System.__pydantic_core_schema__)


class ToolFields(RootModel[JsonObject]):
    """Fields of a tool to put in place of those it has; null takes one away."""


class SystemPatch(RootModel[JsonObject]):
    """Fields of a system to put in place of those it has; null takes one away.

    So do the entries of `credentials`; those that are not named stay.
    """


class ErrorDetails(Shape):
    """One error."""

    message: str
    code: str | Absent = None
    details: list[JsonObject] | Absent = None


class ErrorBody(Shape):
    """The shape of every error."""

    error: ErrorDetails


class Health(Shape):
    """That the server serves."""

    status: Literal["ok"]
    version: str


class Deleted(Shape):
    """That something is gone."""

    success: bool
    #: What needed it.
    warnings: list[str] | Absent = None


class RenameBody(Closed):
    """Another id for a tool."""

    new_id: str


class ClientInfo(Shape):
    """The program that calls."""

    name: str | None = None
    version: str | None = None


class RunOptionsBody(Closed):
    """What a caller may set for one run."""

    run_async: Annotated[bool | None, Field(alias="async")] = None
    #: One request, in milliseconds.
    timeout: Milliseconds | None = None
    run_timeout_ms: Milliseconds | None = None
    webhook_url: str | None = None
    trace_id: TraceId | None = None
    #: `frontend`, `mcp` or `cli`; anything else becomes `api`.
    request_source: str | None = None
    client_info: ClientInfo | None = None
    mode: Literal["prod", "dev"] | None = None
    execution: Literal["live", "dry", "limited"] | None = None
    retries: Annotated[int, Field(ge=0, le=100)] | None = None
    retry_delay_ms: Annotated[int, Field(ge=0)] | None = None
    concurrency: Annotated[int, Field(ge=1, le=64)] | None = None
    #: Of the published client, and passed over: a system has one set of credentials a mode.
    pinned_credentials: Json = None

    def options(self) -> RunOptions:
        """The options of the run itself."""
        given = {
            "timeout_ms": self.timeout,
            "run_timeout_ms": self.run_timeout_ms,
            "trace_id": self.trace_id,
            "mode": self.mode,
            "execution": self.execution,
            "retries": self.retries,
            "retry_delay_ms": self.retry_delay_ms,
            "concurrency": self.concurrency,
        }
        return RunOptions.model_validate(
            {name: value for name, value in given.items() if value is not None}
        )

    def source(self) -> RequestSource:
        """Where the run was started, as far as the caller may say that."""
        named = (RequestSource.FRONTEND, RequestSource.MCP, RequestSource.CLI)
        return next((one for one in named if one == self.request_source), RequestSource.API)


class RunBody(Shape):
    """A wish to run a tool; unknown keys are ignored, unless they look like slips."""

    run_id: RunId | None = None
    inputs: JsonObject | None = None
    #: Run-time credentials: used for this run and never stored.
    credentials: dict[str, str] | None = None
    options: RunOptionsBody | None = None

    @model_validator(mode="after")
    def _refuse_slips(self) -> Self:
        options = names_of(RunOptionsBody)
        for name in self.model_extra or {}:
            if name in _PASSED_OVER:
                continue
            if name in options:
                raise _refusal(f'{name} is an option: write {{"options": {{"{name}": …}}}}')
            if _meant(name, names_of(type(self))) is not None:
                raise _unknown_field(name, names_of(type(self)))
            if (meant := _meant(name, options)) is not None:
                raise _refusal(f"{name[:60]!r} is no field here; did you mean {meant} in options?")
        return self


class UnsavedRunBody(RunBody, Closed):
    """A wish to run a tool that is not stored."""

    tool: ToolDefinition


class RerunBody(Closed):
    """A wish to make a recorded run again."""

    #: Put over the recorded inputs, by top-level key.
    inputs: JsonObject | None = None
    from_failed_step: bool | None = None
    version: Literal["snapshot", "latest"] | None = None
    mode: Literal["live", "replay", "lenient", "dry", "limited"] | None = None
    credentials: dict[str, str] | None = None
    options: RunOptionsBody | None = None


class RunMetadata(Shape):
    """When a run was; times are RFC 3339."""

    started_at: str
    completed_at: str | Absent = None
    duration_ms: int | Absent = None


class StepView(Shape):
    """What a step did."""

    step_id: str
    success: bool
    data: Json = None
    error: str | Absent = None


class RunView(Shape):
    """A run."""

    run_id: str
    tool_id: str
    status: RunStatus
    metadata: RunMetadata
    tool: ToolDefinition | Absent = None
    tool_payload: JsonObject | Absent = None
    data: Json = None
    error: str | Absent = None
    error_detail: JsonObject | Absent = None
    step_results: list[StepView] | Absent = None
    options: JsonObject | Absent = None
    request_source: str | Absent = None
    trace_id: str | Absent = None
    user_id: str | Absent = None
    execution_mode: Literal["prod", "dev"] | Absent = None
    result_storage_uri: str | Absent = None


class Listed(Shape):
    """A page of a list."""

    page: int
    limit: int
    total: int
    has_more: bool


class RunList(Listed):
    """Runs, newest first, without results and step results."""

    data: list[RunView]


class ToolList(Listed):
    """Tools, by id."""

    data: list[ToolDefinition]


class ToolVersionView(Shape):
    """A version of a tool; `definition` is left out where it cannot be read."""

    version_number: int
    created_at: str
    version: str | Absent = None
    changed_by: str | Absent = None
    client_name: str | Absent = None
    definition: ToolDefinition | Absent = None


class ToolRemovalView(Shape):
    """A time at which a tool was removed."""

    removed_at: str
    changed_by: str | Absent = None
    client_name: str | Absent = None


class ToolVersions(Shape):
    """The versions of a tool, and when it was removed, the newest first."""

    data: list[ToolVersionView]
    removals: list[ToolRemovalView]


class ToolDifference(Shape):
    """What is different between two versions; of many changes the first ones."""

    a: int
    b: int
    changes: list[JsonObject]
    total: int
    truncated: bool


class SystemView(Shape):
    """A system; of its credentials only that they are set."""

    id: str
    credentials: dict[str, JsonObject]


class SystemList(Listed):
    """Systems, by id and environment."""

    data: list[SystemView]


class WorkflowRun(Shape):
    """A run as a workflow."""

    id: str
    workflow_id: str
    status: Literal["running", "waiting", "success", "failure", "cancelled"]


class WorkflowEnvelope(Shape):
    """What the workflow view comes in, errors too."""

    code: int
    message: str
    request_id: str
    data: WorkflowRun | Absent = None


class RunResults(Shape):
    """The result of a run that has ended, in full."""

    run_id: str
    success: bool
    data: Json = None
    error: str | Absent = None
    step_results: list[StepView]
    tool_payload: JsonObject
    stored_at: str


class RunResultsAnswer(Shape):
    """Results, or a message why there are none yet."""

    success: bool
    data: RunResults | Absent = None
    message: str | Absent = None


class FileEntry(Shape):
    """A binary answer that a run kept."""

    file_key: str
    filename: str
    content_type: str
    size: int
    download_url: str


class FileList(Shape):
    """The files of a run."""

    file_artifacts: list[FileEntry]


class FileDownload(FileEntry):
    """Where a file can be had, with the same key."""

    success: bool


class Accepted(Shape):
    """That an event is accepted: a run, or a challenge said back."""

    run_id: str | None = None
    status: Literal["accepted"] | None = None
    tool_id: str | None = None
    challenge: str | None = None


class ScheduleBody(Closed):
    """A tool at certain times."""

    tool_id: str
    #: Five fields: minute, hour, day of the month, month, day of the week.
    cron: str
    #: `Europe/Berlin`; UTC when absent.
    time_zone: str | None = None
    inputs: JsonObject | None = None
    enabled: bool | None = None


class SchedulePatch(Closed):
    """Fields to put in place of those of a schedule."""

    tool_id: str | None = None
    cron: str | None = None
    time_zone: str | None = None
    inputs: JsonObject | None = None
    enabled: bool | None = None


class ScheduleView(Shape):
    """A schedule as stored."""

    id: str
    tool_id: str
    cron: str
    time_zone: str
    inputs: JsonObject
    enabled: bool
    next_at: str | None = None
    last_at: str | None = None
    last_run_id: str | None = None
    created_at: str
    updated_at: str


class ScheduleList(Shape):
    """A page of schedules."""

    data: list[ScheduleView]
    page: int
    limit: int
    total: int
    has_more: bool
