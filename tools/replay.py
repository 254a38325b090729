"""A run answered from what was recorded: nothing is sent, and no credential is needed.

Records are redacted, so requests are compared in redacted form, and every credential of a replay is
its own mark. Scripts that read the clock or draw random numbers do not give the same again: a
request that depends on them is not found.
"""

import base64
import re
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Protocol

import anyio.lowlevel

from tools.addresses import AddressPolicy
from tools.body import Body
from tools.errors import ErrorDetail, ErrorKind, HttpFailure, RunError
from tools.http import NotSentError, OutgoingRequest, Received
from tools.json_text import JsonObject
from tools.methods import READING_METHODS
from tools.redaction import Redactor
from tools.system import System, auth_credential_names

__all__ = [
    "Exchanger",
    "RecordedExchange",
    "Recording",
    "ReplayClient",
    "UnansweredDetail",
    "credential_mark",
    "marked_system",
]

_MARK = re.compile(
    r"(?:\[|%5B)(?:redacted|credential(?: |\+|%20)(?:(?!\]|%5D).)+)(?:\]|%5D)", re.IGNORECASE
)
#: What all marks are in a comparison: the same value may be known under several names.
_ANY_MARK = "[*]"
#: A credential of fewer than 8 characters is not redacted; escaped it is no longer than this.
_SHORT_CHARACTERS = 72
_BOUNDARY = re.compile(r'boundary="?([^";,]+)', re.IGNORECASE)
_SHOWN_REQUESTS = 5


class Exchanger(Protocol):
    """What sends a request, or answers it in another way."""

    async def exchange(
        self, request: OutgoingRequest, *, timeout_seconds: float, policy: AddressPolicy
    ) -> Received:
        """The answer. Raises `RunError`."""
        ...


class UnansweredDetail(ErrorDetail):
    """The facts of a request that the record has no answer to, and of the calls around it.

    The run that was recorded did not fail of it: something else ended it meanwhile, or the tool is
    not what it was. In a loop the failures that were recorded therefore go first.
    """

    @classmethod
    def mark(cls, error: RunError) -> RunError:
        """The same error with these facts."""
        error.detail = cls.model_validate(error.detail.model_dump())
        return error


_CREDENTIAL_MARK = re.compile(rb"\[credential [^\]\n]{1,200}\]")


def credential_mark(name: str) -> str:
    """What stands for a credential (`<system>.<name>`, `run.<name>`) in records."""
    return f"[credential {name}]"


def marked_system(definition: JsonObject, names: Iterable[str]) -> System:
    """A system whose credentials are their own marks, `names` and those its sign-in needs."""
    system = System.model_validate({**definition, "credentials": {}})
    all_names = {*names, *auth_credential_names(system.auth, optional=True)}
    marks = {name: credential_mark(f"{system.id}.{name}") for name in sorted(all_names)}
    return system.model_copy(update={"credentials": marks})


@dataclass(frozen=True)
class RecordedExchange:
    """A request of a record with its answer, or with the failure in place of one."""

    method: str
    url: str
    body: bytes | None
    boundary: str | None
    answer: Received | None = None
    failure: RunError | None = None
    #: Why it cannot be answered again, where neither is there.
    problem: str | None = None
    #: Response filters changed what is there of the answer, or took it out.
    altered: bool = False

    @property
    def is_redacted(self) -> bool:
        """Whether the answer is there with a mark in the place of a credential."""
        return (
            self.answer is not None
            and _CREDENTIAL_MARK.search(self.answer.body.whole()) is not None
        )

    @classmethod
    def of(cls, request: JsonObject) -> "RecordedExchange":
        """Read a request of a step as it is stored.

        Raises `ValueError`, `TypeError`, `KeyError` or `AttributeError` when it is damaged.
        """
        method, url = str(request.get("method", "")), str(request.get("url", ""))
        exchange: JsonObject | None = request.get("exchange")
        if exchange is None:
            return cls(method, url, None, None, problem="its exchange was not recorded")
        headers = _headers(exchange, "requestHeaders")
        body = _body(exchange, "requestBody")
        boundary = _boundary_of(headers)
        failure = _failure_of(request)
        if failure is not None:
            return cls(method, url, body, boundary, failure=failure)
        if exchange.get("responseStatus") is None:
            return cls(method, url, body, boundary, problem="no answer to it was recorded")
        altered = bool(exchange.get("altered"))
        if exchange.get("truncated"):
            problem = "its answer was cut when recorded"
            if altered:
                problem = "the response filters of the tool took its answer out of the record"
            return cls(method, url, body, boundary, problem=problem, altered=altered)
        content = _body(exchange, "responseBody")
        if content is None:
            return cls(method, url, body, boundary, problem="the body of its answer is not there")
        answer = Received(
            int(exchange["responseStatus"]),
            str(exchange.get("responseUrl", "")),
            _headers(exchange, "responseHeaders"),
            Body(content),
        )
        return cls(method, url, body, boundary, answer=answer, altered=altered)


def _headers(exchange: JsonObject, name: str) -> list[tuple[str, str]]:
    return [(str(header), str(value)) for header, value in exchange.get(name, ())]


def _body(exchange: JsonObject, name: str) -> bytes | None:
    if name in exchange:
        return str(exchange[name]).encode("utf-8", "surrogatepass")
    encoded = exchange.get(f"{name}Base64")
    return None if encoded is None else base64.b64decode(encoded)


def _failure_of(request: JsonObject) -> RunError | None:
    fields: JsonObject | None = request.get("errorDetail")
    if fields is None:
        return None
    kind = NotSentError if fields.get("notSent") else RunError
    detail = ErrorDetail.model_validate(fields)
    error = kind(detail.kind, str(request.get("error", "")))
    error.detail = detail
    return error


def _boundary_of(headers: Iterable[tuple[str, str]]) -> str | None:
    for name, value in headers:
        if name.lower() == "content-type" and (found := _BOUNDARY.search(value)):
            return found[1]
    return None


@dataclass(frozen=True)
class _Key:
    """A request as it is compared: marks are alike, and so are the boundaries of multipart."""

    method: str
    url: str
    body: str

    @classmethod
    def of(cls, method: str, url: str, body: bytes | None, boundary: str | None) -> "_Key":
        text = (body or b"").decode("utf-8", "surrogateescape")
        if boundary is not None:
            text = text.replace(boundary, "boundary")
        return cls(method, _MARK.sub(_ANY_MARK, url), _MARK.sub(_ANY_MARK, text))

    @property
    def holds_mark(self) -> bool:
        return _ANY_MARK in self.url or _ANY_MARK in self.body

    def fits(self, recorded: "_Key") -> bool:
        """Whether the other one is this one with a short credential in the place of each mark."""
        return (
            self.method == recorded.method
            and _fits(self.url, recorded.url)
            and _fits(self.body, recorded.body)
        )


def _fits(marked: str, text: str) -> bool:
    first, *pieces = marked.split(_ANY_MARK)
    if not pieces or not text.startswith(first):
        return marked == text
    position = len(first)
    for piece in pieces[:-1]:
        position = text.find(piece, position, position + _SHORT_CHARACTERS + len(piece))
        if position < 0:
            return False
        position += len(piece)
    gap = len(text) - len(pieces[-1]) - position
    return 0 <= gap <= _SHORT_CHARACTERS and text.endswith(pieces[-1])


class Recording:
    """The exchanges of a run and its child runs; each answers one request, the oldest first."""

    def __init__(self, exchanges: Iterable[RecordedExchange]) -> None:
        self._waiting: dict[_Key, deque[RecordedExchange]] = {}
        for one in exchanges:
            key = _Key.of(one.method, one.url, one.body, one.boundary)
            self._waiting.setdefault(key, deque()).append(one)

    def take(
        self, method: str, url: str, body: bytes | None, boundary: str | None = None
    ) -> RecordedExchange | None:
        """The next exchange of this request, which is redacted; None when there is none left."""
        key = _Key.of(method, url, body, boundary)
        queue = self._waiting.get(key)
        if not queue and key.holds_mark:
            queue = self._with_short_credential(key)
        return queue.popleft() if queue else None

    def _with_short_credential(self, wanted: _Key) -> "deque[RecordedExchange] | None":
        found = (queue for key, queue in self._waiting.items() if queue and wanted.fits(key))
        return next(found, None)

    def why_not(self, method: str, url: str, body: bytes | None, boundary: str | None) -> str:
        """Why a request has no exchange, and what is recorded instead."""
        key = _Key.of(method, url, body, boundary)
        if key in self._waiting:
            return "it is asked for more often than it was recorded"
        if any((one.method, one.url) == (key.method, key.url) for one in self._waiting):
            return "it was recorded with another body"
        left = [f"{one.method} {one.url}" for one, queue in self._waiting.items() if queue]
        if not left:
            return "no recorded request is left"
        more = f" and {len(left) - _SHOWN_REQUESTS} more" if len(left) > _SHOWN_REQUESTS else ""
        return f"recorded and not asked for yet: {', '.join(left[:_SHOWN_REQUESTS])}{more}"


class ReplayClient:
    """Answers the requests of one run from a recording.

    `sender`, of a lenient replay, sends what is not recorded; without it that is an error. What
    response filters and redaction left of an answer is not what the upstream said, and would be
    sent on there: the request is sent again, if it only reads.
    """

    def __init__(
        self,
        recording: Recording,
        redactor: Redactor,
        max_recorded_body_bytes: int,
        sender: Exchanger | None = None,
    ) -> None:
        self._recording = recording
        self._redactor = redactor
        self._max_recorded_body_bytes = max_recorded_body_bytes
        self._sender = sender

    @property
    def may_send(self) -> bool:
        """Whether a request may really be sent."""
        return self._sender is not None

    async def exchange(
        self, request: OutgoingRequest, *, timeout_seconds: float, policy: AddressPolicy
    ) -> Received:
        """The recorded answer, or the recorded failure.

        Raises `RunError` of kind `replay` when there is none; where nothing can be sent its facts
        are an `UnansweredDetail`.
        """
        # A replay of many pages is as long as it takes: others go on, and it can be cancelled.
        await anyio.lowlevel.checkpoint()
        url, body = self._redactor.url(request.url), request.body
        if body is not None:
            body = self._redactor.data(body)[: self._max_recorded_body_bytes]
        boundary = _boundary_of(request.headers)
        found = self._recording.take(request.method, url, body, boundary)
        is_lenient = self._sender is not None
        altered = found is not None and (found.altered or (is_lenient and found.is_redacted))
        is_asked_again = is_lenient and altered
        if found is not None and found.answer is not None and not is_asked_again:
            # Whoever reads an answer may take it apart, and this one may be given again.
            body = Body(found.answer.body.whole())
            answer_url = found.answer.url or request.url
            return replace(found.answer, url=answer_url, body=body, altered=found.altered)
        if found is not None and found.failure is not None:
            raise _again(found.failure)
        may_be_sent = not altered or request.method in READING_METHODS
        if self._sender is not None and may_be_sent:
            return await self._sender.exchange(
                request, timeout_seconds=timeout_seconds, policy=policy
            )
        http = HttpFailure(method=request.method, url=url)
        if self._sender is not None:
            raise RunError(
                ErrorKind.REPLAY,
                f"{request.method} {url} has no recorded answer that may be sent on: the response "
                "filters of the tool, or the redaction of credentials, changed it or took it out; "
                "and the request may write upstream, so that it is not sent again",
                hint="a strict replay takes what was left; a rerun sends all requests",
                http=http,
            )
        why = found and found.problem
        why = why or self._recording.why_not(request.method, url, body, boundary)
        error = RunError(
            ErrorKind.REPLAY,
            f"{request.method} {url} has no recorded answer: {why}",
            hint="a lenient replay sends such a request; a rerun sends all of them"
            if may_be_sent
            else "a rerun sends all requests",
            http=http,
        )
        raise UnansweredDetail.mark(error)


def _again(failure: RunError) -> RunError:
    """A failure of its own, because those who pass it on write into it."""
    error = type(failure)(failure.kind, failure.message)
    error.detail = failure.detail.model_copy(deep=True)
    return error
