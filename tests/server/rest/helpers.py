"""A real server on a real port, in this process, and clients of it."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, cast

import anyio
import httpx

from server.http_server import HttpOptions, HttpServer
from server.mcp_surface.selection import Selection
from server.service import Service
from storage.api_keys import Scope


@asynccontextmanager
async def http_server(
    service: Service,
    selection: Selection | None = None,
    *,
    needs_key: bool = False,
    allowed_hosts: tuple[str, ...] = (),
) -> AsyncGenerator[str]:
    """The address of a server over an open service."""
    options = HttpOptions(port=0, allowed_hosts=allowed_hosts, needs_key=needs_key)
    server = HttpServer(service, selection or Selection(), options)
    async with anyio.create_task_group() as group:
        url = await group.start(server.serve)
        try:
            yield url
        finally:
            with anyio.CancelScope(shield=True):
                await server.stop()


@asynccontextmanager
async def rest_client(url: str, key: str | None = None) -> AsyncGenerator[httpx.AsyncClient]:
    """A client of `/v1`."""
    headers = {"authorization": f"Bearer {key}"} if key is not None else {}
    async with httpx.AsyncClient(
        base_url=f"{url}/v1", headers=headers, timeout=20, trust_env=False
    ) as client:
        yield client


async def make_key(service: Service, name: str, *scopes: Scope, **narrowed: Any) -> str:
    return await service.api_keys.create(name, scopes or (Scope.READ, Scope.RUN), **narrowed)


def nulls_in(value: Any, path: str = "") -> list[str]:
    """Where null stands in a JSON value, where clients want nothing."""
    if isinstance(value, dict):
        entries = cast("dict[str, Any]", value).items()
        return [
            found
            for key, one in entries
            for found in ([f"{path}.{key}"] if one is None else nulls_in(one, f"{path}.{key}"))
        ]
    if isinstance(value, list):
        return [found for one in cast("list[Any]", value) for found in nulls_in(one, f"{path}[]")]
    return []


def message_of(answer: httpx.Response, status: int) -> str:
    """The message of an error, which has the one shape of all errors."""
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert body.keys() == {"error"}
    assert body["error"].keys() <= {"message", "code", "details"}
    assert answer.headers["x-trace-id"]
    return body["error"]["message"]
