"""Workers: started late, shared fairly, killed at once, never left behind."""

import asyncio
import sys
import time
from importlib.util import find_spec

import anyio
import anyio.lowlevel
import psutil
import pytest

from tools.errors import ErrorKind, RunError
from tools.scripts import Script, ScriptEngine, ScriptForm, ScriptLimits

SLOW = Script("() => { for (;;); }", ScriptForm.FUNCTION)
TINY = Script("s => s.a + 1", ScriptForm.TRANSFORM)


def gone(pids: tuple[int, ...]) -> bool:
    return not any(psutil.pid_exists(pid) for pid in pids)


async def test_nothing_is_spawned_before_it_is_needed() -> None:
    async with ScriptEngine() as engine:
        async with engine.session() as session:
            value = await session.evaluate(Script("s => s.a", ScriptForm.FUNCTION), {"a": 1})
            assert value.value == 1
            assert engine.worker_pids == ()
            await session.evaluate(TINY, {"a": 1})
        assert len(engine.worker_pids) == 1
        await engine.warm()
        assert len(engine.worker_pids) == 1
        pids = engine.worker_pids
    assert gone(pids)


async def test_warm_spawns_a_worker() -> None:
    async with ScriptEngine() as engine:
        await engine.warm()
        pids = engine.worker_pids
        assert len(pids) == 1
        async with engine.session() as session:
            assert (await session.evaluate(TINY, {"a": 1})).value == 2
        assert engine.worker_pids == pids
    assert gone(pids)


async def test_a_worker_sees_nothing_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CALLSLIP_SECRET", "s3cret")
    async with ScriptEngine(workers=1) as engine:
        await engine.warm()
        process = psutil.Process(engine.worker_pids[0])
        assert not process.environ().keys() - {"SYSTEMROOT", "LD_LIBRARY_PATH", "TZ"}


async def test_cancelling_an_evaluation_kills_its_worker_at_once() -> None:
    async with ScriptEngine(workers=1) as engine:
        await engine.warm()
        pids = engine.worker_pids
        async with engine.session() as session:
            started = time.monotonic()
            with anyio.move_on_after(0.1):
                await session.evaluate(SLOW, limits=ScriptLimits(60, 60))
            value = await session.evaluate(TINY, {"a": 1})
            assert value.value == 2
            assert time.monotonic() - started < 10
        assert engine.worker_pids != pids
    assert gone(pids)


async def test_cancelling_at_any_moment_leaves_the_answers_in_step() -> None:
    async with ScriptEngine(workers=2) as engine, engine.session() as session:
        for round_ in range(60):
            task = asyncio.create_task(session.evaluate(TINY, {"a": -1}))
            for _ in range(round_ % 6):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            if round_ % 5 == 0:
                value = await session.evaluate(TINY, {"a": round_})
                assert value.value == round_ + 1
        pids = engine.worker_pids
    assert gone(pids)


async def test_cancelling_who_waits_in_the_queue_does_not_lose_the_worker() -> None:
    async with ScriptEngine(workers=1) as engine, engine.session() as session:
        busy = asyncio.create_task(
            session.evaluate(SLOW, limits=ScriptLimits(cpu_seconds=0.3, wall_seconds=5))
        )
        waiting = [asyncio.create_task(session.evaluate(TINY, {"a": n})) for n in range(4)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        waiting[2].cancel()
        results = await asyncio.gather(busy, *waiting, return_exceptions=True)
        assert isinstance(results[0], RunError)
        assert [type(result).__name__ for result in results[1:]] == [
            "CancelledError",
            "ScriptValue",
            "CancelledError",
            "ScriptValue",
        ]


async def test_waiting_does_not_count_as_evaluation() -> None:
    limits = ScriptLimits(cpu_seconds=0.4, wall_seconds=0.8)
    async with ScriptEngine(workers=1, limits=limits) as engine:
        await engine.warm()
        outcomes: list[str] = []

        async def slow() -> None:
            async with engine.session() as session:
                with pytest.raises(RunError, match="CPU limit"):
                    await session.evaluate(SLOW)
                outcomes.append("slow")

        async with anyio.create_task_group() as tasks:
            for _ in range(4):
                tasks.start_soon(slow)
        assert outcomes == ["slow"] * 4


async def test_one_session_with_many_evaluations_does_not_hold_up_another() -> None:
    async with ScriptEngine(workers=1) as engine:
        await engine.warm()
        order: list[str] = []

        async def run(name: str) -> None:
            async with engine.session() as session:

                async def one() -> None:
                    await session.evaluate(TINY, {"a": 1})
                    order.append(name)

                async with anyio.create_task_group() as tasks:
                    for _ in range(100 if name == "many" else 1):
                        tasks.start_soon(one)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run, "many")
            await anyio.lowlevel.checkpoint()
            await anyio.lowlevel.checkpoint()
            tasks.start_soon(run, "few")
        assert len(order) == 101
        assert order.index("few") < 20


async def test_a_worker_that_dies_is_reported_and_replaced() -> None:
    async with ScriptEngine(workers=1) as engine, engine.session() as session:
        await engine.warm()
        task = asyncio.create_task(session.evaluate(SLOW, limits=ScriptLimits(60, 60)))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        psutil.Process(engine.worker_pids[0]).kill()
        with pytest.raises(RunError, match="worker ended") as caught:
            await task
        assert caught.value.kind is ErrorKind.SCRIPT_LIMIT
        assert (await session.evaluate(TINY, {"a": 1})).value == 2


async def test_a_worker_that_died_idle_is_replaced_silently() -> None:
    async with ScriptEngine(workers=1) as engine, engine.session() as session:
        await engine.warm()
        psutil.Process(engine.worker_pids[0]).kill()
        with anyio.fail_after(10):
            while engine.worker_pids:
                await anyio.lowlevel.checkpoint()
        assert (await session.evaluate(TINY, {"a": 1})).value == 2


async def test_leaving_the_engine_ends_running_and_waiting_evaluations() -> None:
    async with ScriptEngine(workers=1) as engine:
        await engine.warm()
        pids = engine.worker_pids
        limits = ScriptLimits(60, 60)
        session = engine.session()
        tasks = [asyncio.create_task(session.evaluate(SLOW, limits=limits)) for _ in range(2)]
        for _ in range(10):  # one evaluates, the other waits for the worker
            await asyncio.sleep(0)
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(result, Exception) for result in results)
    assert gone(pids)


async def test_cancelling_the_block_of_the_engine_leaves_no_process() -> None:
    pids: tuple[int, ...] = ()
    with anyio.move_on_after(1.0):
        async with ScriptEngine(workers=2) as engine, engine.session() as session:
            await engine.warm()
            pids = engine.worker_pids
            await session.evaluate(SLOW, limits=ScriptLimits(60, 60))
    assert pids
    assert gone(pids)


@pytest.mark.skipif(find_spec("py_mini_racer") is not None, reason="mini-racer is installed")
async def test_a_worker_that_cannot_start_is_an_internal_error() -> None:
    async with ScriptEngine(backend="mini_racer") as engine, engine.session() as session:
        await engine.warm()
        with pytest.raises(RunError, match="could not be started") as caught:
            await session.evaluate(TINY, {"a": 1})
    assert caught.value.kind is ErrorKind.INTERNAL


async def test_contexts_do_not_add_up() -> None:
    async with ScriptEngine(workers=1) as engine:
        await engine.warm()
        process = psutil.Process(engine.worker_pids[0])
        before = 0
        for number in range(600):
            async with engine.session() as session:
                source = f"s => ({{ n: s.a + {number} }})"
                await session.evaluate(Script(source, ScriptForm.TRANSFORM), {"a": 1})
            if number == 100:
                before = process.memory_info().rss
        assert process.memory_info().rss < before + (20 << 20)


async def test_a_worker_is_replaced_after_ten_thousand_evaluations() -> None:
    async with ScriptEngine(workers=1) as engine, engine.session() as session:
        await session.evaluate(TINY, {"a": 1})
        first = engine.worker_pids
        for number in range(10_005):
            assert (await session.evaluate(TINY, {"a": number})).value == number + 1
        assert engine.worker_pids != first


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a process starts with no memory")
async def test_a_server_that_once_took_much_memory_keeps_its_workers() -> None:
    code = (
        "import anyio\n"
        "taken = b'x' * 1_200_000_000\n"
        "del taken\n"
        "from tools.scripts import Script, ScriptEngine, ScriptForm\n"
        "async def main():\n"
        "    async with ScriptEngine(workers=1) as engine:\n"
        "        seen = set()\n"
        "        for number in range(5):\n"
        "            async with engine.session() as session:\n"
        "                script = Script(f's => s.a + {number}', ScriptForm.TRANSFORM)\n"
        "                await session.evaluate(script, {'a': 1})\n"
        "            seen.update(engine.worker_pids)\n"
        "        print(len(seen))\n"
        "anyio.run(main)\n"
    )
    done = await anyio.run_process([sys.executable, "-c", code])
    assert done.stdout.strip() == b"1"
