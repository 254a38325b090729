"""A stored tool: the JSON program, as typed values.

The wire form is camelCase JSON. These models read a definition that `tools.check` has accepted;
they do not word errors for people. Unknown keys are kept, so a definition survives a round trip.
"""

from typing import Annotated, Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag
from pydantic.alias_generators import to_camel

from tools.json_text import Json, JsonObject

__all__ = [
    "Limits",
    "Pagination",
    "RequestConfig",
    "ResponseFilter",
    "Step",
    "SubToolConfig",
    "Tool",
    "TransformConfig",
]


class Wire(BaseModel):
    """Base of everything that is read from and written to camelCase JSON."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="allow", frozen=True
    )


class Limits(Wire):
    """Limits of a request, on the tool or on a step; absent ones come from the level above."""

    #: One request, in milliseconds.
    timeout_ms: Annotated[int, Field(gt=0)] | None = None
    #: Further attempts after the first.
    retries: Annotated[int, Field(ge=0, le=100)] | None = None
    #: Wait before the first further attempt; doubles with each one.
    retry_delay_ms: Annotated[int, Field(ge=0)] | None = None
    #: Items of a loop that run at once.
    concurrency: Annotated[int, Field(ge=1, le=64)] | None = None


class Pagination(Wire):
    """How a request step asks for the next page."""

    type: Literal[
        "offsetBased", "pageBased", "cursorBased", "linkHeader", "nextUrl", "disabled"
    ] = "disabled"
    #: Rows a page; a number, its text, or a template.
    page_size: int | str = 50
    cursor_path: str = "next_cursor"
    #: Where the rows lie in the body.
    data_path: str | None = None
    next_url_path: str | None = None
    next_url_header: str | None = None
    stop_condition: str | None = None
    max_pages: Annotated[int, Field(ge=1)] = 500
    on_max_pages: Literal["fail", "stop"] = "fail"


class RequestConfig(Wire):
    """One HTTP request, with its pages."""

    type: Literal["request"] = "request"
    url: str
    method: str = "GET"
    #: An object, or one template that yields a JSON object.
    query_params: JsonObject | str | None = None
    headers: JsonObject | str | None = None
    body: str | None = None
    pagination: Pagination | None = None
    system_id: str | None = None


class TransformConfig(Wire):
    """JavaScript over the state of the run."""

    type: Literal["transform"]
    transform_code: str


class SubToolConfig(Wire):
    """Another stored tool as a child run; `inputs` is an object of templates, or one template."""

    type: Literal["tool"]
    tool_id: str
    inputs: JsonObject | str | None = None


def _config_kind(value: Any) -> str:
    kind: Any = (
        cast("JsonObject", value).get("type", "request")
        if isinstance(value, dict)
        else getattr(value, "type", "request")
    )
    return kind if kind in ("request", "transform", "tool") else "request"


StepConfig = Annotated[
    Annotated[RequestConfig, Tag("request")]
    | Annotated[TransformConfig, Tag("transform")]
    | Annotated[SubToolConfig, Tag("tool")],
    Discriminator(_config_kind),
]


class Step(Limits):
    """One step of a tool."""

    id: str
    config: StepConfig
    instruction: str | None = None
    #: Whether the step changes something upstream; derived from the method when absent.
    modify: bool | None = None
    data_selector: str | None = None
    failure_behavior: Literal["fail", "continue"] = "fail"
    #: The upstream takes the same request twice without a second effect.
    idempotent: bool = False


class ResponseFilter(Wire):
    """Removes, masks or refuses what matches `pattern`, a JavaScript regular expression."""

    id: str
    name: str | None = None
    enabled: bool = True
    target: Literal["KEYS", "VALUES", "BOTH"]
    pattern: str
    action: Literal["REMOVE", "MASK", "FAIL"]
    mask_value: str = "[filtered]"
    scope: Literal["FIELD", "ITEM", "ENTRY"] = "FIELD"


class Tool(Limits):
    """A stored tool."""

    id: str
    name: str | None = None
    version: str = "1.0.0"
    #: What the tool does; the description that an agent reads.
    instruction: str | None = None
    input_schema: JsonObject | None = None
    output_schema: Json = None
    steps: tuple[Step, ...] = ()
    output_transform: str | None = None
    response_filters: tuple[ResponseFilter, ...] = ()
    #: A run in mode `dev` may use the `prod` form of a system that has no `dev` one.
    dev_falls_back_to_prod: bool = False
    folder: str | None = None
    archived: bool = False
    created_at: str | None = None
    updated_at: str | None = None
