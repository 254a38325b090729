"""What tests of the core may ask for."""

from collections.abc import AsyncGenerator

import pytest

from tools.scripts import ScriptEngine


@pytest.fixture(scope="package")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="package")
async def scripts(anyio_backend: str) -> AsyncGenerator[ScriptEngine]:
    """One engine for all tests of the core that evaluate something."""
    async with ScriptEngine() as engine:
        yield engine
