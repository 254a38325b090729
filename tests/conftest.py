"""What every test may ask for."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from server.app import open_service
from server.service import Service
from server.settings import Settings
from tests.web import Web, serve


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A home of its own, and a watch that looks often."""
    return Settings(
        home=tmp_path / "home",
        config_directory=tmp_path / "config",
        poll_seconds=0.05,
        proxies={},
    )


@pytest.fixture
async def service(settings: Settings) -> AsyncGenerator[Service]:
    async with open_service(settings) as service:
        yield service


@pytest.fixture
async def web() -> AsyncGenerator[Web]:
    """The outside world: a real HTTP server on loopback whose answers the test sets."""
    async with serve() as web:
        yield web
