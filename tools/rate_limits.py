"""How fast a system is asked: limits shared by all runs of the process."""

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext

import anyio

from tools.system import RateLimit, System

__all__ = ["RateLimiter"]

#: Waits shorter than this are not worth a word.
_SPOKEN_SECONDS = 1.0


class _Gate:
    """One system's limits: requests start evenly spaced, and so many are under way."""

    def __init__(self, limit: RateLimit) -> None:
        self.limit = limit
        self._interval = 1 / limit.per_second if limit.per_second else 0.0
        self._next_start = 0.0
        self._places = anyio.CapacityLimiter(limit.concurrency) if limit.concurrency else None

    @asynccontextmanager
    async def pass_through(self, on_wait: Callable[[str], None]) -> AsyncGenerator[None]:
        if self._places is None:
            await self._wait_for_turn(on_wait)
            yield
            return
        if self._places.available_tokens == 0:
            on_wait("waiting for other requests to the system to end")
        async with self._places:
            await self._wait_for_turn(on_wait)
            yield

    async def _wait_for_turn(self, on_wait: Callable[[str], None]) -> None:
        if not self._interval:
            return
        now = anyio.current_time()
        start = max(now, self._next_start)
        # Taken before waiting, so that those who come meanwhile line up behind.
        self._next_start = start + self._interval
        if start - now >= _SPOKEN_SECONDS:
            on_wait(f"waiting {start - now:.0f} s for the system's rate limit")
        await anyio.sleep(start - now)


class RateLimiter:
    """The gates of all systems; one for the process."""

    def __init__(self) -> None:
        self._gates: dict[tuple[str, str], _Gate] = {}

    def slot(
        self, system: System | None, on_wait: Callable[[str], None]
    ) -> AbstractAsyncContextManager[None]:
        """A place for one request to a system; `on_wait` is told why it is waited."""
        if system is None or system.rate_limit is None:
            return nullcontext()
        key = (system.id, system.environment)
        gate = self._gates.get(key)
        if gate is None or gate.limit != system.rate_limit:
            gate = self._gates[key] = _Gate(system.rate_limit)
        return gate.pass_through(on_wait)
