from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from tools.json_text import Json
from tools.scripts import Script, ScriptEngine, ScriptForm, ScriptLimits, ScriptValue

Evaluate = Callable[..., Awaitable[ScriptValue]]


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def engine() -> AsyncIterator[ScriptEngine]:
    async with ScriptEngine(workers=2) as engine:
        yield engine


@pytest.fixture(scope="module")
def evaluate(engine: ScriptEngine) -> Evaluate:
    """Evaluates in a session of its own."""

    async def evaluate(
        source: str,
        *arguments: Json,
        form: ScriptForm = ScriptForm.TRANSFORM,
        limits: ScriptLimits | None = None,
    ) -> ScriptValue:
        async with engine.session() as session:
            return await session.evaluate(Script(source, form), *arguments, limits=limits)

    return evaluate
