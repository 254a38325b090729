"""aiohttp under the httpx API.

httpx's own transport costs more than twice the CPU a request (`benchmarks/README.md` has the
figures). `httpx-aiohttp` does the same as this module, but it words a dropped connection as a
connect timeout, which retries must tell apart, and it re-quotes URLs.
"""

import ipaddress
import socket
import ssl
from collections.abc import AsyncIterator, Generator
from contextlib import contextmanager
from typing import Any

import aiohttp
import httpx
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver
from yarl import URL

from tools.addresses import AddressPolicy, check_address

__all__ = ["AiohttpTransport", "CertificateError"]

_CHUNK_BYTES = 64 * 1024
#: Seconds an idle connection is kept.
_KEEPALIVE_SECONDS = 30


class CertificateError(httpx.ConnectError):
    """The certificate of the upstream, or of the proxy, is not accepted."""


# First match wins: subclasses stand before their bases.
_ERRORS: tuple[tuple[type[Exception], type[httpx.TransportError]], ...] = (
    (aiohttp.ClientConnectorCertificateError, CertificateError),
    (aiohttp.ConnectionTimeoutError, httpx.ConnectTimeout),
    (aiohttp.SocketTimeoutError, httpx.ReadTimeout),
    (aiohttp.ServerTimeoutError, httpx.ReadTimeout),
    (aiohttp.ClientHttpProxyError, httpx.ProxyError),
    (aiohttp.ClientProxyConnectionError, httpx.ProxyError),
    (aiohttp.ClientConnectorError, httpx.ConnectError),
    (aiohttp.ServerDisconnectedError, httpx.RemoteProtocolError),
    (aiohttp.ClientPayloadError, httpx.RemoteProtocolError),
    (aiohttp.ClientResponseError, httpx.RemoteProtocolError),
    (aiohttp.InvalidURL, httpx.UnsupportedProtocol),
    (aiohttp.NonHttpUrlClientError, httpx.UnsupportedProtocol),
    (aiohttp.ClientError, httpx.ReadError),
    (OSError, httpx.ReadError),
)


@contextmanager
def _httpx_errors(request: httpx.Request) -> Generator[None]:
    try:
        yield
    except Exception as error:
        for seen, raised in _ERRORS:
            if isinstance(error, seen):
                raise raised(str(error) or type(error).__name__, request=request) from error
        raise


class _GuardedResolver(AbstractResolver):
    """Resolves names and refuses addresses; the connection is made to what was checked."""

    def __init__(self, policy: AddressPolicy) -> None:
        self._policy = policy
        self._resolver = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        results = await self._resolver.resolve(host, port, family)
        for result in results:
            check_address(host, result["host"], self._policy)
        return results

    async def close(self) -> None:
        await self._resolver.close()


class _BodyStream(httpx.AsyncByteStream):
    def __init__(self, response: aiohttp.ClientResponse, request: httpx.Request) -> None:
        self._response = response
        self._request = request

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _httpx_errors(self._request):
            async for chunk in self._response.content.iter_chunked(_CHUNK_BYTES):
                yield chunk

    async def aclose(self) -> None:
        # `release` keeps the connection when the body was read and closes it when it was not.
        self._response.release()


class AiohttpTransport(httpx.AsyncBaseTransport):
    """One connection pool with one address policy and one TLS context."""

    def __init__(
        self, policy: AddressPolicy, tls: ssl.SSLContext, *, connect_timeout_seconds: float
    ) -> None:
        self._policy = policy
        self._tls = tls
        self._connect_timeout_seconds = connect_timeout_seconds
        self._session: aiohttp.ClientSession | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        proxy: str | None = request.extensions.get("callslip_proxy")
        if _is_address(request.url.host):
            check_address(request.url.host, request.url.host, self._policy)
        with _httpx_errors(request):
            response = await self._open_session().request(
                request.method,
                URL(str(request.url), encoded=True),
                headers=request.headers,
                data=request.content or None,
                allow_redirects=False,
                proxy=proxy,
            )
        extensions: dict[str, Any] = {"http_version": b"HTTP/1.1"}
        if response.reason:
            extensions["reason_phrase"] = response.reason.encode("latin-1", "replace")
        return httpx.Response(
            response.status,
            headers=list(response.raw_headers),
            stream=_BodyStream(response, request),
            extensions=extensions,
            request=request,
        )

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    resolver=_GuardedResolver(self._policy),
                    ssl=self._tls,
                    limit=0,
                    limit_per_host=128,
                    keepalive_timeout=_KEEPALIVE_SECONDS,
                ),
                auto_decompress=False,
                cookie_jar=aiohttp.DummyCookieJar(),
                skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
                # The whole exchange is bounded by its caller; only connecting has its own limit.
                timeout=aiohttp.ClientTimeout(
                    total=None, sock_connect=self._connect_timeout_seconds
                ),
                # A body is limited in size, a header block by these.
                max_line_size=16 * 1024,
                max_field_size=64 * 1024,
            )
        return self._session

    async def aclose(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None


def _is_address(host: str) -> bool:
    """Whether a host is an address as it stands; any other text goes through the resolver."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
