"""What goes out: JSON without nulls, errors of one shape."""

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response, StreamingResponse

from server.automation import UnknownScheduleError
from server.callers import NotAllowedError
from server.connections import UnknownSystemError
from server.reruns import RerunError
from server.run_queries import BadParameterError
from server.service import (
    ArchivedToolError,
    IdempotencyConflictError,
    SecretInNameError,
    UnknownRunError,
    UnknownToolError,
)
from server.tool_library import UnknownVersionError
from storage.errors import RunExistsError, StorageError
from storage.search import SearchError
from storage.tools import ToolChangedError, ToolExistsError
from tools.errors import RunError
from tools.json_pieces import json_pieces, weighs_much
from tools.json_text import Json, JsonObject, encode_json
from tools.shapes import shape_message

__all__ = [
    "ERROR_HANDLERS",
    "BadRequestError",
    "JsonAnswer",
    "error_answer",
    "error_body",
    "list_answer",
    "run_answer",
    "without_nulls",
]

#: Status and code of what a service raises; of a class and its parents the nearest counts.
_STATUSES: Mapping[type[Exception], tuple[int, str]] = {
    UnknownToolError: (404, "not_found"),
    UnknownRunError: (404, "not_found"),
    UnknownSystemError: (404, "not_found"),
    UnknownVersionError: (404, "not_found"),
    UnknownScheduleError: (404, "not_found"),
    NotAllowedError: (403, "forbidden"),
    ArchivedToolError: (400, "archived"),
    RerunError: (400, "cannot_rerun"),
    SearchError: (400, "invalid_request"),
    BadParameterError: (400, "invalid_request"),
    RunError: (400, "invalid_request"),
    IdempotencyConflictError: (409, "conflict"),
    SecretInNameError: (400, "invalid_request"),
    RunExistsError: (409, "conflict"),
    ToolExistsError: (409, "conflict"),
    ToolChangedError: (409, "conflict"),
    StorageError: (503, "storage"),
}
_CODES = {
    400: "invalid_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
}


class BadRequestError(Exception):
    """The request cannot be served as it is; `details` name each problem."""

    def __init__(self, message: str, details: Sequence[JsonObject] = (), status: int = 400) -> None:
        super().__init__(message)
        self.details = list(details)
        self.status = status


class JsonAnswer(Response):
    """A JSON answer; integers of any size keep all their digits."""

    media_type = "application/json"

    def render(self, content: Json) -> bytes:
        return encode_json(content)


def run_answer(content: JsonObject, status: int = 200) -> Response:
    """An answer with the data of a run: sent in pieces where it is large."""
    if weighs_much(content):
        return StreamingResponse(json_pieces(content), status, media_type=JsonAnswer.media_type)
    return JsonAnswer(content, status)


def list_answer(
    data: Sequence[JsonObject], page: int, limit: int, total: int, *, has_more: bool | None = None
) -> JsonAnswer:
    """A page of a list of `total`; `has_more` where it is known otherwise."""
    return JsonAnswer(
        {
            "data": list(data),
            "page": page,
            "limit": limit,
            "total": total,
            "hasMore": page * limit < total if has_more is None else has_more,
        }
    )


def without_nulls(fields: JsonObject) -> JsonObject:
    """The fields that are there: an absent one is left out, never null."""
    return {name: value for name, value in fields.items() if value is not None}


def error_body(
    message: str, code: str | None = None, details: Sequence[JsonObject] = ()
) -> JsonObject:
    """The one shape of errors."""
    error: JsonObject = {"message": message}
    if code is not None:
        error["code"] = code
    if details:
        error["details"] = list(details)
    return {"error": error}


def error_answer(
    status: int, message: str, code: str | None = None, details: Sequence[JsonObject] = ()
) -> JsonAnswer:
    """An error as an answer."""
    return JsonAnswer(error_body(message, code, details), status)


async def _raised_by_service(request: Request, error: Exception) -> Response:
    kinds = (kind for kind in type(error).__mro__ if kind in _STATUSES)
    status, code = _STATUSES[next(kinds)]
    return error_answer(status, str(error), code)


async def _bad_request(request: Request, error: Exception) -> Response:
    assert isinstance(error, BadRequestError)
    return error_answer(error.status, str(error), "invalid_request", error.details)


async def _wrong_shape(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    # What was sent is not repeated: it may be a credential.
    details = [
        {"path": ".".join(map(str, one["loc"])), "message": shape_message(one["type"], one["msg"])}
        for one in error.errors()
    ]
    content_type = request.headers.get("content-type", "")
    if any(one["path"] == "body" for one in details) and "json" not in content_type:
        message = "the body is sent as JSON, with the header content-type: application/json"
        return error_answer(400, message, "invalid_request", details)
    problems = "; ".join(f"{one['path']}: {one['message']}" for one in details)
    return error_answer(400, f"the request is not valid: {problems}", "invalid_request", details)


async def _refused_by_router(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    message = str(error.detail)
    if error.status_code == 404:
        message = f"not found: nothing is at {request.method} {request.url.path}"
    if error.status_code == 405:
        message = f"{request.method} is no method of {request.url.path}"
    answer = error_answer(error.status_code, message, _CODES.get(error.status_code))
    answer.headers.update(error.headers or {})
    return answer


async def _fault(request: Request, error: Exception) -> Response:
    return error_answer(
        500, "callslip itself failed; the log of the server has the trace", "internal"
    )


ERROR_HANDLERS: dict[int | type[Exception], Any] = {
    **dict.fromkeys(_STATUSES, _raised_by_service),
    BadRequestError: _bad_request,
    RequestValidationError: _wrong_shape,
    HTTPException: _refused_by_router,
    Exception: _fault,
}
