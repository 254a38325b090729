"""Everything that can go wrong in a run.

A failed run is a value, not an exception: inside the core a failure travels as one `RunError`,
and `tools.execution` turns it into the `error` and `errorDetail` of the record.

  RunError
    kind             one of `ErrorKind`, a closed list
    message          where, what was seen, what is valid
    hint             what to do
    retryable        whether the same call can succeed later
"""

from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

__all__ = [
    "LACKING_KINDS",
    "ErrorDetail",
    "ErrorKind",
    "HttpFailure",
    "LackingDetail",
    "RunError",
]


class ErrorKind(StrEnum):
    """What kind of thing went wrong; the closed list that agents and scripts may switch on."""

    #: The inputs break the tool's `inputSchema`; nothing was sent.
    INVALID_INPUT = "invalid_input"
    #: A template names a value that the scope does not have; nothing was sent.
    UNRESOLVED_VARIABLE = "unresolved_variable"
    #: JavaScript of the tool threw or could not be compiled.
    SCRIPT_ERROR = "script_error"
    #: JavaScript of the tool used up its time, memory, stack or output.
    SCRIPT_LIMIT = "script_limit"
    #: The upstream answered with a status of 400 or above.
    HTTP_STATUS = "http_status"
    #: The upstream answered 429 and the retries or the time were used up.
    RATE_LIMITED = "rate_limited"
    #: A request, a step or the run took longer than it may.
    TIMEOUT = "timeout"
    #: The upstream could not be reached, or the connection broke.
    CONNECTION = "connection"
    #: The address is private, loopback or link-local and the settings do not allow it.
    BLOCKED_ADDRESS = "blocked_address"
    #: The answer is not what its content type says.
    DECODE = "decode"
    #: Pages repeat, never end, or their stop condition is wrong.
    PAGINATION = "pagination"
    #: The result breaks the tool's `outputSchema`.
    OUTPUT_SCHEMA = "output_schema"
    #: A response filter of action FAIL matched.
    RESPONSE_FILTER = "response_filter"
    #: An answer, a list of items or a result is larger than allowed.
    SIZE_LIMIT = "size_limit"
    #: A tool called by a step failed.
    SUB_TOOL = "sub_tool"
    #: A replay asked for an exchange that was not recorded.
    REPLAY = "replay"
    #: The caller ended the run.
    CANCELLED = "cancelled"
    #: The process that ran it stopped.
    INTERRUPTED = "interrupted"
    #: A credential is missing, or would have gone where it must not.
    CREDENTIAL = "credential"
    #: A fault of callslip itself.
    INTERNAL = "internal"


class HttpFailure(BaseModel):
    """The exchange that failed: `url` is redacted, `body_excerpt` at most 500 characters."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)

    status: int | None = None
    method: str
    url: str
    body_excerpt: str | None = None


class ErrorDetail(BaseModel):
    """`errorDetail` of a run: the failure in a form a program can act on."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)

    kind: ErrorKind
    step_id: str | None = None
    #: Position of the item in the loop, from 0.
    iteration: int | None = None
    #: Page that failed, from 1.
    page: int | None = None
    #: JSON path in the tool or in the inputs.
    path: str | None = None
    http: HttpFailure | None = None
    retryable: bool = False
    hint: str | None = None

    def wire(self) -> dict[str, Any]:
        """The camelCase form, absent fields omitted."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


#: What fails so in a dry run may lack the data of requests that were not sent.
LACKING_KINDS = frozenset({ErrorKind.SCRIPT_ERROR, ErrorKind.UNRESOLVED_VARIABLE})


class LackingDetail(ErrorDetail):
    """The facts of a child run that failed in a dry run, most likely for want of data."""


class RunError(Exception):
    """A run cannot go on; `str(error)` is the text shown to the caller, `detail` its facts.

    The positions in the detail (step, item, page) are filled in by the part of the core that knows
    them, on the way up.
    """

    def __init__(
        self,
        kind: ErrorKind,
        message: str,
        *,
        hint: str | None = None,
        retryable: bool = False,
        http: HttpFailure | None = None,
        path: str | None = None,
        page: int | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.detail = ErrorDetail(
            kind=kind, hint=hint, retryable=retryable, http=http, path=path, page=page
        )

    @property
    def kind(self) -> ErrorKind:
        return self.detail.kind

    def prefixed(self, prefix: str) -> "RunError":
        """The same failure with words put before its message."""
        error = RunError(self.kind, prefix + self.message)
        error.detail = self.detail
        return error
