"""Hostile scripts: each ends within its wall limit, others go on, memory stays bounded."""

import time

import anyio
import anyio.lowlevel
import psutil
import pytest

from tools.errors import ErrorKind, RunError
from tools.json_text import Json
from tools.scripts import Script, ScriptEngine, ScriptForm, ScriptLimits, ScriptValue

TIGHT = ScriptLimits(cpu_seconds=0.2, wall_seconds=1.0, memory_bytes=64 << 20)
TWO_PLUS_TWO = Script("s => s.a + 2", ScriptForm.TRANSFORM)

ENDLESS = {
    "a loop": "() => { while (true) {} }",
    "a loop that catches": "() => { for (;;) { try { for (;;); } catch {} } }",
    "a backtracking pattern": "() => /(a+)+$/.test('a'.repeat(40) + 'b')",
    "a native loop that does not poll": "() => Array.prototype.reverse.call({length: 2**53 - 1})",
    "a join of a huge length": "() => Array.prototype.join.call({length: 2**53 - 1})",
    "a loop of microtasks": "async () => { for (;;) await 0 }",
    "a loop after a microtask": "async () => { await 0; for (;;); }",
    "promises that make promises": (
        "() => new Promise(() => { const f = () => Promise.resolve().then(f); f() })"
    ),
    "toJSON": "() => ({ toJSON() { for (;;); } })",
    "a getter": "() => ({ get a() { for (;;); } })",
    "a thenable": "() => ({ then() { for (;;); } })",
    "a proxy": "() => new Proxy({}, { ownKeys() { for (;;); } })",
    "toString of what is thrown": (
        "() => { throw { toString() { for (;;); }, toJSON() { for (;;); } } }"
    ),
    "message of what is thrown": (
        "() => { throw Object.defineProperty(new Error, 'message', { get() { for (;;); } }) }"
    ),
    "console": "() => console.log({ toJSON() { for (;;); } })",
}
GREEDY = {
    "a long string": "() => 'a'.repeat(2**28).length",
    "a growing array": "() => { const a = []; for (;;) a.push('x'.repeat(1000) + a.length) }",
    "a growing array that catches": (
        "() => { const a = []; for (;;) { try { a.push(new Array(1e5).fill(1)) } catch {} } }"
    ),
    "typed arrays": "() => new Uint8Array(500e6).length",
    "many pieces": "() => 'a'.repeat(2**24).split('').length",
    "replaceAll": "() => 'a'.repeat(2**20).replaceAll('a', 'b'.repeat(2**10)).length",
    "recursion": "() => { const f = () => 1 + f(); return f() }",
    "recursion in sort": "() => { const f = () => [2, 1].sort(f); return f() }",
    "recursion in toString": "() => { const o = { toString() { return '' + o } }; return '' + o }",
    "deep source": "(" * 30_000 + "1" + ")" * 30_000,
    "deep JSON": "() => JSON.parse('['.repeat(1e6) + ']'.repeat(1e6))",
    "a deep result": "() => { let a = []; for (let i = 0; i < 1e6; i++) a = [a]; return a }",
}


@pytest.fixture(scope="module")
async def hostile(anyio_backend: str):
    async with ScriptEngine(workers=2, limits=TIGHT) as engine:
        await engine.warm()
        yield engine


async def attempt(engine: ScriptEngine, source: str, data: Json = None) -> ScriptValue | RunError:
    async with engine.session() as session:
        try:
            return await session.evaluate(Script(source, ScriptForm.FUNCTION), data)
        except RunError as error:
            return error


async def test_endless_scripts_end_and_another_session_answers_meanwhile(
    hostile: ScriptEngine,
) -> None:
    for name, source in ENDLESS.items():
        started = time.monotonic()
        answers = 0
        outcome: ScriptValue | RunError | None = None

        async def attack(source: str = source) -> None:
            nonlocal outcome
            outcome = await attempt(hostile, source)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(attack)
            await anyio.lowlevel.checkpoint()
            async with hostile.session() as session:
                while outcome is None:
                    value = await session.evaluate(TWO_PLUS_TWO, {"a": 2})
                    assert value.value == 4
                    answers += 1
        assert answers > 0, name
        assert isinstance(outcome, RunError), name
        assert outcome.kind is ErrorKind.SCRIPT_LIMIT, (name, outcome)
        assert "limit of" in outcome.message, (name, outcome)
        assert time.monotonic() - started < TIGHT.wall_seconds + 3, name


async def test_greedy_scripts_are_stopped_and_memory_stays_bounded(hostile: ScriptEngine) -> None:
    for name, source in GREEDY.items():
        started = time.monotonic()
        outcome = await attempt(hostile, source)
        assert isinstance(outcome, RunError), (name, outcome)
        assert outcome.kind in (ErrorKind.SCRIPT_LIMIT, ErrorKind.SCRIPT_ERROR), (name, outcome)
        assert time.monotonic() - started < TIGHT.wall_seconds + 3, name
        for pid in hostile.worker_pids:
            assert psutil.Process(pid).memory_info().rss < 400 << 20, name
        assert isinstance(await attempt(hostile, "s => s.a + 2", {"a": 2}), ScriptValue)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("() => { for (;;); }", "CPU limit of 0.2 s"),
        ("() => Array.prototype.reverse.call({length: 2**53 - 1})", "time limit of 1 s"),
        ("() => new Uint8Array(500e6)", "memory limit of 64 MiB"),
        ("() => { const f = () => f() + 1; f() }", "stack limit"),
        ("() => 'x'.repeat(5000)", "limit of 1,000 bytes"),
        ("() => 'é'.repeat(600)", "limit of 1,000 bytes"),
    ],
)
async def test_a_limit_error_says_which_limit_and_what_to_do(
    hostile: ScriptEngine, source: str, words: str
) -> None:
    limits = ScriptLimits(0.2, 1.0, 64 << 20, output_bytes=1000)
    async with hostile.session() as session:
        with pytest.raises(RunError, match=words) as caught:
            await session.evaluate(Script(source, ScriptForm.FUNCTION), None, limits=limits)
        assert caught.value.kind is ErrorKind.SCRIPT_LIMIT
        assert caught.value.detail.hint
        # The session goes on with a fresh global.
        assert (await session.evaluate(TWO_PLUS_TWO, {"a": 2})).value == 4


async def test_the_global_is_fresh_after_a_limit_error(hostile: ScriptEngine) -> None:
    async with hostile.session() as session:
        source = "() => { Array.prototype.map = 1; for (;;); }"
        with pytest.raises(RunError):
            await session.evaluate(Script(source, ScriptForm.FUNCTION), None)
        value = await session.evaluate(Script("[1].map(x => x)", ScriptForm.TRANSFORM), None)
        assert value.value == [1]


def test_limits_grow_with_the_payload() -> None:
    limits = ScriptLimits()
    assert limits.for_payload(1000) is limits
    grown = limits.for_payload(50_000_000)
    assert (grown.cpu_seconds, grown.wall_seconds) == (7.0, 10.0)
    assert grown.memory_bytes == 600_000_000
    assert limits.for_payload(10**9).memory_bytes == 2 << 30


async def test_data_nested_too_deeply_is_an_error_of_its_own(hostile: ScriptEngine) -> None:
    data: Json = []
    for _ in range(100_000):
        data = [data]
    async with hostile.session() as session:
        with pytest.raises(RunError, match="nested too deeply") as caught:
            await session.evaluate(Script("s => s.length + 1", ScriptForm.FUNCTION), data)
    assert caught.value.kind is ErrorKind.SCRIPT_LIMIT
    # Taken apart level by level: the collector must not recurse through it.
    while data:
        data = data.pop()
    outcome = await attempt(
        hostile, "() => { let a = []; for (let i = 0; i < 3000; i++) a = [a]; return a }"
    )
    assert isinstance(outcome, ScriptValue)
    with pytest.raises(RunError, match="nested too deeply"):
        _ = outcome.value
