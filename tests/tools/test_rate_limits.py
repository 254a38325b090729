"""A system is not asked faster than it allows."""

import itertools

import anyio

from tools.rate_limits import RateLimiter
from tools.system import System


def limited(**limit: float) -> System:
    return System.model_validate({"id": "acme", "rateLimit": limit})


async def test_no_more_requests_are_under_way_than_allowed() -> None:
    limiter = RateLimiter()
    under_way = most = 0
    words: list[str] = []

    async def ask() -> None:
        nonlocal under_way, most
        async with limiter.slot(limited(concurrency=2), words.append):
            under_way += 1
            most = max(most, under_way)
            await anyio.lowlevel.checkpoint()
            under_way -= 1

    async with anyio.create_task_group() as group:
        for _ in range(10):
            group.start_soon(ask)
    assert most == 2
    assert "waiting for other requests" in words[0]


async def test_requests_start_evenly_spaced() -> None:
    limiter = RateLimiter()
    starts: list[float] = []

    async def ask() -> None:
        async with limiter.slot(limited(perSecond=100), lambda _: None):
            starts.append(anyio.current_time())

    async with anyio.create_task_group() as group:
        for _ in range(6):
            group.start_soon(ask)
    gaps = [later - earlier for earlier, later in itertools.pairwise(starts)]
    assert sum(gaps) >= 0.049


async def test_a_long_wait_is_said() -> None:
    limiter = RateLimiter()
    words: list[str] = []
    system = limited(perSecond=0.1)
    async with limiter.slot(system, words.append):
        pass
    with anyio.move_on_after(0.01):
        async with limiter.slot(system, words.append):
            raise AssertionError("its turn is ten seconds away")
    assert words == ["waiting 10 s for the system's rate limit"]


async def test_systems_do_not_wait_for_each_other() -> None:
    limiter = RateLimiter()
    other = System.model_validate({"id": "other", "rateLimit": {"concurrency": 1}})
    with anyio.fail_after(5):
        async with (
            limiter.slot(limited(concurrency=1), lambda _: None),
            limiter.slot(other, lambda _: None),
            limiter.slot(None, lambda _: None),
        ):
            pass
