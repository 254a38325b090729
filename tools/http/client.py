"""One HTTP client for the process.

`HttpClient.exchange` sends one request, follows its redirects and reads the whole answer, within a
time and a size. It never decodes and never retries: `tools.decoders` and `tools.retries` do. Only
where a kept connection turns out to be closed does aiohttp send an idempotent request again.
"""

import ssl
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self
from urllib.parse import urljoin, urlsplit

import anyio

from tools.addresses import AddressPolicy
from tools.body import Body
from tools.decoders import Decompressor, supported_encodings
from tools.errors import ErrorKind, HttpFailure, RunError
from tools.urls import origin_of

if TYPE_CHECKING:
    import aiohttp

    from tools.http.pool import ConnectionPool
    from tools.system import TlsFiles

__all__ = ["CONNECT_TIMEOUT_SECONDS", "HttpClient", "NotSentError", "OutgoingRequest", "Received"]

CONNECT_TIMEOUT_SECONDS = 10.0
_MAX_REDIRECTS = 20
#: RFC 9110 §15.4.4: what is asked for is elsewhere, to be got.
_SEE_OTHER = 303
# RFC 9110 §15.4: these turn any method that may write into GET, as every browser and client does.
_MOVED = frozenset({301, 302})
_REDIRECTS = _MOVED | {_SEE_OTHER, 307, 308}
#: Never sent on to another origin.
_CREDENTIAL_HEADERS = frozenset({"authorization", "cookie", "proxy-authorization"})


@dataclass(frozen=True)
class OutgoingRequest:
    """A rendered request. `url` is absolute and encoded, header names are as the author wrote."""

    method: str
    url: str
    headers: Sequence[tuple[str, str]] = ()
    body: bytes | None = None
    #: Names (lower case) of headers that hold credentials beside the well-known ones.
    credential_headers: frozenset[str] = frozenset()
    body_holds_credentials: bool = False
    #: Whether the system's sign-in goes with it; not with a next page at another origin.
    is_signed: bool = True
    #: PEM files of the system's own: a CA, a client certificate and its key.
    tls: "TlsFiles | None" = None
    #: Name and password that answer a digest challenge; never used for another origin.
    digest: tuple[str, str] | None = field(default=None, repr=False)
    #: Whether a text holds a credential; no redirect takes one to another origin in its url.
    holds_credential: "Callable[[str], bool] | None" = field(
        default=None, repr=False, compare=False
    )


@dataclass
class Received:
    """An answer: all of the body is there, header names are lower case."""

    status: int
    url: str
    headers: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    body: Body = field(default_factory=Body)
    #: Bytes read from the connection, before decompression.
    bytes_in: int = 0
    #: It comes from a record, in which response filters had changed it.
    altered: bool = False

    def header(self, name: str) -> str | None:
        """The first value of a header, by lower-case name."""
        return next((value for key, value in self.headers if key == name), None)


class HttpClient:
    """Owner of the connections; use as `async with`.

    Heavy imports and pools come into being with the first request (or `warm`).
    """

    def __init__(
        self,
        *,
        user_agent: str,
        proxies: Mapping[str, str] | None = None,
        max_response_bytes: int = 50 * 1024 * 1024,
        connect_timeout_seconds: float = CONNECT_TIMEOUT_SECONDS,
    ) -> None:
        self._user_agent = user_agent
        self._proxies = dict(proxies or {})
        self._max_response_bytes = max_response_bytes
        self._connect_timeout_seconds = connect_timeout_seconds
        self._pools: dict[tuple[AddressPolicy, TlsFiles | None], ConnectionPool] = {}
        self._tls: ssl.SSLContext | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with anyio.CancelScope(shield=True):
            pools, self._pools = list(self._pools.values()), {}
            for pool in pools:
                await pool.aclose()

    def warm(self) -> None:
        """Import what the first request would import."""
        self._pool(AddressPolicy.PUBLIC, None)

    async def exchange(
        self, request: OutgoingRequest, *, timeout_seconds: float, policy: AddressPolicy
    ) -> Received:
        """Send a request and read its answer.

        Raises `RunError`: `timeout`, `connection` (its detail says whether nothing had been
        sent), `blocked_address`, `size_limit`, `decode` (a broken compression).
        """
        try:
            with anyio.fail_after(timeout_seconds):
                return await self._follow(request, policy)
        except TimeoutError:
            raise RunError(
                ErrorKind.TIMEOUT,
                f"Request timed out after {round(timeout_seconds * 1000)}ms",
                hint="raise timeoutMs on the step or the call, or ask for less",
                http=_failure(request),
            ) from None

    async def _follow(self, request: OutgoingRequest, policy: AddressPolicy) -> Received:
        for _ in range(_MAX_REDIRECTS + 1):
            received = await self._send(request, policy)
            location = received.header("location")
            if received.status not in _REDIRECTS or not location:
                return received
            request = _redirected(request, received.status, location)
        raise RunError(
            ErrorKind.CONNECTION,
            f"more than {_MAX_REDIRECTS} redirects, the last one to {request.url}",
            http=_failure(request),
        )

    async def _send(self, outgoing: OutgoingRequest, policy: AddressPolicy) -> Received:
        from aiohttp import ClientError

        headers = list(outgoing.headers)
        names = {name.lower() for name, _ in headers}
        headers += [own for own in self._own_headers if own[0].lower() not in names]
        try:
            for _, value in headers:
                # aiohttp leaves out what is no Unicode text.
                value.encode()
            response = await self._pool(policy, outgoing.tls).request(
                outgoing.method,
                outgoing.url,
                headers,
                outgoing.body,
                proxy=self._proxy_for(outgoing.url),
                digest=outgoing.digest,
            )
            try:
                return await self._read(response, outgoing)
            finally:
                # Keeps the connection when the body was read and closes it when it was not.
                response.release()
        except (ClientError, OSError, ValueError) as error:
            from tools.http.failures import failure_of

            raise failure_of(error, outgoing, self._connect_timeout_seconds) from None

    @cached_property
    def _own_headers(self) -> tuple[tuple[str, str], ...]:
        """What every request has unless it brings its own."""
        return (
            ("User-Agent", self._user_agent),
            ("Accept", "*/*"),
            ("Accept-Encoding", ", ".join(supported_encodings())),
        )

    async def _read(
        self, response: "aiohttp.ClientResponse", outgoing: OutgoingRequest
    ) -> Received:
        received = Received(
            response.status,
            outgoing.url,
            [(_text(name).lower(), _text(value)) for name, value in response.raw_headers],
        )
        decompressor = Decompressor(
            received.header("content-encoding"), max_bytes=self._max_response_bytes
        )
        if outgoing.method != "HEAD":
            async for chunk in response.content.iter_any():
                received.bytes_in += len(chunk)
                received.body.append(decompressor.feed(chunk))
            received.body.append(decompressor.finish())
        return received

    def _pool(self, policy: AddressPolicy, tls: "TlsFiles | None") -> "ConnectionPool":
        """The pool of this policy and these TLS files; no connection is shared between pools."""
        pool = self._pools.get((policy, tls))
        if pool is None:
            from tools.http.pool import ConnectionPool

            pool = ConnectionPool(
                policy,
                self._tls_context(tls),
                connect_timeout_seconds=self._connect_timeout_seconds,
            )
            self._pools[policy, tls] = pool
        return pool

    def _tls_context(self, tls: "TlsFiles | None") -> ssl.SSLContext:
        import truststore

        if tls is None:
            if self._tls is None:
                self._tls = truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            return self._tls
        try:
            context = truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            if tls.ca is not None:
                context.load_verify_locations(cafile=str(Path(tls.ca).expanduser()))
            if tls.cert is not None:
                key = None if tls.key is None else str(Path(tls.key).expanduser())
                context.load_cert_chain(str(Path(tls.cert).expanduser()), key)
        except (OSError, ssl.SSLError) as error:
            raise RunError(
                ErrorKind.CREDENTIAL,
                f"the system's TLS files cannot be used: {error}",
                hint="check ca, cert and key in the system's tls; they are paths of PEM files",
            ) from None
        return context

    def _proxy_for(self, url: str) -> str | None:
        if not self._proxies:
            return None
        parts = urlsplit(url)
        proxy = self._proxies.get(parts.scheme) or self._proxies.get("all")
        exempt = self._proxies.get("no", "")
        return None if proxy is None or _is_exempt(parts.hostname or "", exempt) else proxy


class NotSentError(RunError):
    """The connection was refused before anything was sent, so sending again is always safe."""


def _redirected(request: OutgoingRequest, status: int, location: str) -> OutgoingRequest:
    try:
        target = urljoin(request.url, location)
    except ValueError:
        raise RunError(
            ErrorKind.CONNECTION,
            f"{_origin(request.url)} redirects to {location!r}, which is no url",
            http=_failure(request),
        ) from None
    to_get = (status == _SEE_OTHER and request.method not in {"GET", "HEAD"}) or (
        status in _MOVED and request.method not in {"GET", "HEAD", "QUERY"}
    )
    same_origin = _origin(target) == _origin(request.url)
    dropped = frozenset[str]() if same_origin else _CREDENTIAL_HEADERS | request.credential_headers
    if to_get:
        dropped |= {"content-type", "content-length"}
    elif request.body_holds_credentials and not same_origin:
        raise RunError(
            ErrorKind.CREDENTIAL,
            f"{_origin(request.url)} redirects a body that holds credentials to {_origin(target)}",
            hint="call the new origin directly, if it is meant to have the credentials",
            http=_failure(request),
        )
    if not same_origin and request.holds_credential and request.holds_credential(target):
        raise RunError(
            ErrorKind.CREDENTIAL,
            f"{_origin(request.url)} redirects to {_origin(target)} with a credential in the url",
            hint="call the new origin directly, if it is meant to have the credentials",
            http=_failure(request),
        )
    return OutgoingRequest(
        method="GET" if to_get else request.method,
        url=target,
        headers=[(name, value) for name, value in request.headers if name.lower() not in dropped],
        body=None if to_get else request.body,
        credential_headers=request.credential_headers,
        body_holds_credentials=request.body_holds_credentials,
        digest=request.digest if same_origin else None,
        holds_credential=request.holds_credential,
        tls=request.tls if same_origin else None,
    )


def _is_exempt(host: str, no_proxy: str) -> bool:
    """Whether `NO_PROXY` names a host: `*`, the host itself, or a domain it lies in."""
    for pattern in no_proxy.lower().split(","):
        domain = pattern.strip().partition(":")[0].lstrip(".")
        if domain == "*" or (domain and (host == domain or host.endswith(f".{domain}"))):
            return True
    return False


def _text(header: bytes) -> str:
    try:
        return header.decode()
    except UnicodeDecodeError:
        return header.decode("latin-1")


def _origin(url: str) -> str:
    return origin_of(url) or url


def _failure(request: OutgoingRequest) -> HttpFailure:
    return HttpFailure(method=request.method, url=request.url)
