"""A server for each test, and its client."""

from collections.abc import AsyncGenerator

import httpx
import pytest

from server.service import Service
from tests.server.rest.helpers import http_server, rest_client


@pytest.fixture
async def url(service: Service) -> AsyncGenerator[str]:
    async with http_server(service) as url:
        yield url


@pytest.fixture
async def rest(url: str) -> AsyncGenerator[httpx.AsyncClient]:
    async with rest_client(url) as client:
        yield client
