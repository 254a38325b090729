"""aiohttp's connections, opened only to addresses that a policy includes.

`benchmarks/README.md` has the figures: the httpx API on top costs twice the CPU a request.
"""

import ipaddress
import re
import socket
import ssl
from collections.abc import Sequence
from functools import lru_cache

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver
from yarl import URL

from tools.addresses import AddressPolicy, check_address

__all__ = ["ConnectionPool"]

#: Seconds an idle connection is kept.
_KEEPALIVE_SECONDS = 30
#: A url that goes out as it stands; any other is encoded first, its dot segments taken out.
_CLEAN_URL = re.compile(
    r"https?://[a-z0-9.-]+(?::\d{1,5})?(?:[/?](?:[A-Za-z0-9._~!$&()*+,;=:@/?-]|%[0-9A-Fa-f]{2})*)?"
)


class ConnectionPool:
    """One pool with one address policy and one TLS context; opened by the first request."""

    def __init__(
        self, policy: AddressPolicy, tls: ssl.SSLContext, *, connect_timeout_seconds: float
    ) -> None:
        self._policy = policy
        self._tls = tls
        self._connect_timeout_seconds = connect_timeout_seconds
        self._session: aiohttp.ClientSession | None = None

    async def request(
        self,
        method: str,
        url: str,
        headers: Sequence[tuple[str, str]],
        body: bytes | None,
        *,
        proxy: str | None,
        digest: tuple[str, str] | None,
    ) -> aiohttp.ClientResponse:
        """Send a request; its answer so far as the headers. Redirects are not followed.

        `digest` are the name and password that answer a challenge (RFC 7616). Raises `RunError` of
        kind `blocked_address`, and what aiohttp raises.
        """
        if _CLEAN_URL.fullmatch(url) is None or "/." in url:
            url = _encoded(url)
        target = URL(url, encoded=True)
        if target.host and _is_address(target.host):
            check_address(target.host, target.host, self._policy)
        return await self._open_session().request(
            method,
            target,
            headers=headers,
            data=body or None,
            allow_redirects=False,
            proxy=proxy,
            middlewares=None if digest is None else (aiohttp.DigestAuthMiddleware(*digest),),
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


def _encoded(url: str) -> str:
    import httpx

    try:
        return str(httpx.URL(url))
    except httpx.InvalidURL as error:
        raise aiohttp.InvalidURL(url, str(error)) from None


@lru_cache(maxsize=256)
def _is_address(host: str) -> bool:
    """Whether a host is an address as it stands; any other text goes through the resolver."""
    if host[-1].isalpha() and ":" not in host:
        return False
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
