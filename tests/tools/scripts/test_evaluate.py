"""What scripts give for their arguments, in each form."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tools.errors import ErrorKind, RunError
from tools.scripts import Script, ScriptEngine, ScriptForm, ScriptValue

Evaluate = Callable[..., Awaitable[ScriptValue]]

FUNCTION, TRANSFORM, STOP = ScriptForm.FUNCTION, ScriptForm.TRANSFORM, ScriptForm.STOP_CONDITION


@pytest.mark.parametrize(
    ("source", "data", "expected"),
    [
        ("$", {"a": 1}, {"a": 1}),
        (".a.b", {"a": {"b": 5}}, 5),
        ("$.a.b", {"a": {"b": 5}}, 5),
        (".xs.map(x => x + 1)", {"xs": [1, 2]}, [2, 3]),
        ("$.xs.length * 2", {"xs": [1, 2]}, 4),
        ("$[1]", [1, 2], 2),
        (".5 + 1", {}, 1.5),
        ("sourceData.a", {"a": 4}, 4),
        ("input.a + sourceData.a", {"a": 4}, 8),
        ("{ k: input.a }", {"a": 4}, {"k": 4}),
        ("(s) => s.zz", {"a": 4}, None),
        ("async (s) => s.a", {"a": 1}, 1),
        ("async (s) => { await null; return s.a; }", {"a": 1}, 1),
        ("function (s) { return s.a }", {"a": 1}, 1),
        ("(s) => ({ then: (done) => done(s.a) })", {"a": 1}, 1),
        ("(s) => s?.q?.r ?? 'dflt'", {}, "dflt"),
        ("(s) => structuredClone(s.o)", {"o": {"k": [1]}}, {"k": [1]}),
        ("(s) => typeof Deno", {}, "undefined"),
        ("(s) => typeof require", {}, "undefined"),
        ("(s) => typeof Buffer", {}, "function"),
        ("(s) => typeof _", {}, "undefined"),
        ("(s) => [...s.xs].sort((a,b)=>b-a).slice(0,2)", {"xs": [1, 9, 3]}, [9, 3]),
        (
            "(s) => s.xs.reduce((m,v)=>({...m,[v.k]:v.v}),{})",
            {"xs": [{"k": "a", "v": 1}, {"k": "b", "v": 2}]},
            {"a": 1, "b": 2},
        ),
        ("(s) => s.a // why", {"a": 1}, 1),
        ("(s) => s.a + 1; // why", {"a": 1}, 2),
        ("(s) => { return s.a + 1 };;\n// one\n// two", {"a": 1}, 2),
        ("(s) => 'http://x' + s.a;", {"a": 1}, "http://x1"),
        ("(s) => s.rows.map(r => r.k)", {"rows": [{"k": "x"}]}, ["x"]),
        ("() => NaN", {}, None),
        ("() => Symbol('a')", {}, None),
        ("() => () => 1", {}, None),
        ("() => [undefined, () => 1, NaN]", {}, [None, None, None]),
        ("() => new Date(0)", {}, "1970-01-01T00:00:00.000Z"),
        ("() => new Map([[1, 2]])", {}, {}),
        ("(s) => Object.keys(s)", {"__proto__": 1, "constructor": 2}, ["__proto__", "constructor"]),
        ("(s) => s.big", {"big": 12345678901234567890}, 12345678901234567890),
        ("(s) => s.big + 0", {"big": 12345678901234567890}, 12345678901234567000),
        ("() => 'v' + 'x'.repeat(10000)", {}, "v" + "x" * 10000),
        ("() => '\\ud800'", {}, "\ud800"),
        ("(s) => s.t.charCodeAt(0)", {"t": "\ud800"}, 0xD800),
        ("(s) => s.t + ''", {"t": "\x00é😀"}, "\x00é😀"),
    ],
)
async def test_a_transform_is_a_path_an_expression_or_a_function(
    evaluate: Evaluate, source: str, data: Any, expected: Any
) -> None:
    assert (await evaluate(source, data)).value == expected


@pytest.mark.parametrize(
    ("source", "data", "text"),
    [
        ("(sourceData) => sourceData.user.name", {"user": {"name": "Bo"}}, "Bo"),
        ("({a, b}) => a * b", {"a": 6, "b": 7}, "42"),
        ("(s) => s.rows.map(r => r.k)", {"rows": [{"k": "x"}, {"k": "y"}]}, '["x","y"]'),
        ("(s) => ''", {}, ""),
        ("(s) => Number('x')", {}, "NaN"),
        ("(s) => -1/0", {}, "-Infinity"),
        ("(s) => -0", {}, "0"),
        ("(s) => 1e21", {}, "1e+21"),
        ("(s) => new Date(s.ms).toISOString().slice(0,10)", {"ms": 86400000}, "1970-01-02"),
        ("async (s) => s.a", {"a": 1}, "1"),
        ("(s) => s.n > 3 ? 'big' : 'small'", {"n": 8}, "big"),
        ("(s) => s.u + ':' + s.p", {"u": "u", "p": "p"}, "u:p"),
        ("(s) => crypto.randomUUID().length", {}, "36"),
        ("(s) => encodeURIComponent(s.q)", {"q": "a b/ü"}, "a%20b%2F%C3%BC"),
        ("(s) => new Set([1])", {}, "{}"),
        ("(s) => null", {}, "null"),
        ("(s) => undefined", {}, "undefined"),
        ("(s) => Symbol('q')", {}, "Symbol(q)"),
        ("(s) => 10n ** 20n", {}, "100000000000000000000"),
        ("(s) => s.f", {"f": 3.0}, "3"),
        ("(s) => ({ é: '\\ud800', f: s.f })", {"f": 3.0}, '{"é":"\\ud800","f":3}'),
    ],
)
async def test_the_text_of_a_function_result_is_that_of_javascript(
    evaluate: Evaluate, source: str, data: Any, text: str
) -> None:
    assert (await evaluate(source, data, form=FUNCTION)).text == text


@pytest.mark.parametrize("source", ["1 + 1", "'a'", "({})"])
async def test_a_template_expression_must_be_a_function(evaluate: Evaluate, source: str) -> None:
    with pytest.raises(RunError, match="the expression is not a function"):
        await evaluate(source, {}, form=FUNCTION)


@pytest.mark.parametrize(
    "source",
    [
        "(response) => response.n === 1",
        "(response, pageInfo) => pageInfo.page === 2",
        "response.n === 1 && pageInfo.page === 2 && sourceData.x === 3",
        "return response.n === 1",
        "return response.n === 1; // done",
        "return [response, pageInfo, sourceData].length === 3;",
        "return(pageInfo.page > 1)",
        "returned === undefined ? 0 : 1".replace("returned", "response.gone"),
    ],
)
async def test_a_stop_condition_is_a_function_an_expression_or_a_body(
    evaluate: Evaluate, source: str
) -> None:
    value = await evaluate(source, {"n": 1}, {"page": 2}, {"x": 3}, form=STOP)
    assert value.value in (True, 0)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("() => { throw new Error('boom') }", "boom"),
        ("() => { throw new TypeError('boom') }", "boom"),
        ("() => Promise.reject(new Error('nope'))", "nope"),
        ("async () => { await 0; throw 'text' }", "text"),
        ("() => { throw { code: 7 } }", '{"code":7}'),
        ("() => { throw null }", "null"),
        ("() => { throw undefined }", "undefined"),
        ("() => { throw new RangeError }", "RangeError"),
        ("missing.name", "missing is not defined"),
        ("() => new Promise(() => {})", "never settles"),
        ("() => import('fs')", "fs"),
        ("() => { const a = {}; a.a = a; return a }", "circular"),
        ("() => 1n", "BigInt"),
        ("(s", "Invalid transform code: "),
        ("", "Invalid transform code: "),
        ("(s) => s..a", "Invalid transform code: "),
        ("let x = 1", "Invalid transform code: "),
    ],
)
async def test_what_is_thrown_becomes_the_message(
    evaluate: Evaluate, source: str, message: str
) -> None:
    with pytest.raises(RunError, match=message) as caught:
        await evaluate(source, {"a": 1})
    assert caught.value.kind is ErrorKind.SCRIPT_ERROR


async def test_a_value_knows_undefined_from_null(evaluate: Evaluate) -> None:
    for source in ("(s) => s.a", "(s) => s.a ?? undefined"):
        value = await evaluate(source, {})
        assert (value.is_undefined, value.value, value.json) == (True, None, b"null")
        value = await evaluate(source.replace("?? undefined", "|| null"), {"a": None})
        assert (value.is_undefined, value.value, value.json) == (False, None, b"null")


async def test_each_evaluation_works_on_its_own_copy(engine: ScriptEngine) -> None:
    data = {"xs": [3, 1, 2]}
    async with engine.session() as session:
        value = await session.evaluate(Script("s => (s.xs.sort(), s.xs)", TRANSFORM), data)
        assert value.value == [1, 2, 3]
        value = await session.evaluate(Script("s => s.xs.concat([])", TRANSFORM), data)
        assert value.value == [3, 1, 2]
    assert data == {"xs": [3, 1, 2]}


async def test_patched_globals_neither_break_results_nor_reach_another_session(
    engine: ScriptEngine,
) -> None:
    vandal = """() => {
        Object.prototype.z = 1;
        Object.defineProperty(Object.prototype, 'value', { set() { throw 1 }, configurable: true });
        JSON.parse = JSON.stringify = () => '"hacked"';
        for (const kind of [Array, String, RegExp, Promise, Function, Map]) {
            for (const name of Object.getOwnPropertyNames(kind.prototype)) {
                try { kind.prototype[name] = () => 'hacked' } catch {}
            }
        }
        Array.prototype[Symbol.iterator] = () => { throw 1 };
        globalThis.String = globalThis.Error = globalThis.Promise = () => 'hacked';
        globalThis.eval = () => 'hacked';
        return 1;
    }"""
    async with engine.session() as session, engine.session() as other:
        assert (await session.evaluate(Script(vandal, TRANSFORM), {})).value == 1
        value = await session.evaluate(Script("s => ({ k: s.a + 1 })", TRANSFORM), {"a": [1, "é"]})
        assert value.value == {"k": "hacked1"}
        value = await session.evaluate(Script("async s => s.a + 1", FUNCTION), {"a": 1})
        assert value.text == "2"
        with pytest.raises(RunError, match=r"^gone is not defined$"):
            await session.evaluate(Script("gone + 1", TRANSFORM), {})
        value = await other.evaluate(Script("s => [({}).z, [1].map(y => y + 1)]", TRANSFORM), {})
        assert value.value == [None, [2]]


async def test_a_promise_of_an_earlier_evaluation_does_not_answer_a_later_one(
    engine: ScriptEngine,
) -> None:
    async with engine.session() as session:
        with pytest.raises(RunError, match="never settles"):
            await session.evaluate(
                Script("() => new Promise(r => { globalThis.r = r })", FUNCTION), {}
            )
        source = "async () => { globalThis.r?.('old'); await 0; await 0; return 'new' }"
        assert (await session.evaluate(Script(source, FUNCTION), {})).value == "new"


async def test_the_log_has_levels_and_is_bounded(engine: ScriptEngine) -> None:
    lines: list[tuple[str, str]] = []
    async with engine.session(lambda level, text: lines.append((level, text))) as session:
        source = "() => { console.log('a', {b: [1]}, undefined, 1n); console.warn(new Error('e')) }"
        await session.evaluate(Script(source, FUNCTION), {})
        assert lines == [("log", 'a {"b":[1]} undefined 1'), ("warn", "Error: e")]
        throws = "() => { console.error('before'); throw new Error('late') }"
        with pytest.raises(RunError, match="late"):
            await session.evaluate(Script(throws, FUNCTION), {})
        assert lines[-1] == ("error", "before")
        many = "() => { for (let i = 0; i < 1000; i++) console.log('x'.repeat(5000)) }"
        await session.evaluate(Script(many, FUNCTION), {})
        await session.evaluate(Script(many, FUNCTION), {})
    assert len(lines) == 200
    assert len(lines[-1][1]) == 2000


async def test_engine_time_adds_up_and_paths_use_none(engine: ScriptEngine) -> None:
    async with engine.session() as session:
        await session.evaluate(Script("s => s.a.b", TRANSFORM), {"a": {"b": 1}})
        assert session.script_ms == 0
        await session.evaluate(Script("s => s.a.b + 1", TRANSFORM), {"a": {"b": 1}})
        once = session.script_ms
        assert once > 0
        await session.evaluate(Script("s => s.a.b + 1", TRANSFORM), {"a": {"b": 1}})
        assert session.script_ms > once


async def test_a_5_mb_payload_comes_through(evaluate: Evaluate) -> None:
    rows = [{"id": i, "title": f"Item {i} é", "text": "lorem ipsum " * 8} for i in range(40_000)]
    value = await evaluate("s => s.rows.map(r => ({ ...r, n: 1 }))", {"rows": rows})
    assert value.value[-1] == {**rows[-1], "n": 1}
    assert len(value.value) == len(rows)


async def test_check_compiles_and_never_runs(engine: ScriptEngine) -> None:
    good = [
        Script("s => s.a + 1", FUNCTION),
        Script("$", TRANSFORM),
        Script(".a.map(x => x)", TRANSFORM),
        Script("s => s.a; // why", TRANSFORM),
        Script("return response.a", STOP),
        Script("if (1) return 1".replace("if (1) ", ""), STOP),
        Script("(() => { for (;;); })()", TRANSFORM),
        Script("globalThis.ran = 1", TRANSFORM),
    ]
    assert await engine.check_all(good) == [None] * len(good)
    escapes = [
        Script("0), (globalThis.ran = 1), (0", TRANSFORM),
        Script("0)}, (globalThis.ran = 1), () => {return (0", TRANSFORM),
        Script("0); }); globalThis.ran = 1; (() => { (0", TRANSFORM),
        Script("0]; globalThis.ran = 1; [0", TRANSFORM),
        Script("return 1}, (globalThis.ran = 1), () => {", STOP),
        Script("return 1}}]; globalThis.ran = 1; [() => {{", STOP),
        Script("(s", TRANSFORM),
        Script("", FUNCTION),
        Script("x" * 70_000, TRANSFORM),
    ]
    for message in await engine.check_all(escapes):
        assert message
    assert await engine.check(Script("typeof ran === 'undefined' ? 1 : )", TRANSFORM))
    async with engine.session() as session:
        value = await session.evaluate(Script("typeof ran", TRANSFORM), {})
        assert value.value == "undefined"


async def test_a_source_too_large_is_refused_with_its_limit(evaluate: Evaluate) -> None:
    with pytest.raises(RunError, match=r"70,002 bytes; at most 65,536") as caught:
        await evaluate("'" + "x" * 70_000 + "'", {})
    assert caught.value.kind is ErrorKind.SCRIPT_LIMIT


@pytest.mark.parametrize(
    "name",
    [
        "Deno",
        "process",
        "std",
        "os",
        "fetch",
        "setTimeout",
        "setInterval",
        "bjson",
        "WebAssembly",
        "SharedArrayBuffer",
        "Atomics",
        "Worker",
        "navigator",
        "print",
        "scriptArgs",
    ],
)
async def test_nothing_of_the_host_is_in_sight(evaluate: Evaluate, name: str) -> None:
    assert (await evaluate(f"typeof {name}", {})).value == "undefined"
