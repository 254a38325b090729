"""JavaScript regular expressions of response filters, bounded in time."""

import pytest

from tools.errors import ErrorKind, RunError
from tools.scripts import ScriptEngine, ScriptLimits


async def test_patterns_are_unanchored_and_ignore_case(engine: ScriptEngine) -> None:
    rows = await engine.match_patterns(["MAIL", "^vip$", r"(?<=a)\d"], ["Email", "vip", "xA1", ""])
    assert rows == [
        [True, False, False],
        [False, True, False],
        [False, False, True],
        [False, False, False],
    ]
    assert await engine.match_patterns(["x"], []) == []
    assert await engine.match_patterns([], ["x"]) == [[]]


async def test_every_match_is_replaced_as_string_replace_does(engine: ScriptEngine) -> None:
    texts = ["ann@x.io, BOB@y.io", "none", "\ud800@x.io"]
    replaced = await engine.replace_matches(texts, r"([\w\ud800]+)@(\w)", "<$1 at $2>$$")
    assert replaced == ["<ann at x>$.io, <BOB at y>$.io", "none", "<\ud800 at x>$.io"]
    # The same expression again: it starts at the beginning of each text.
    assert await engine.replace_matches(["aa", "a"], "a", "b") == ["bb", "b"]


async def test_a_pattern_is_checked(engine: ScriptEngine) -> None:
    assert await engine.check_pattern("(a|b)+") is None
    assert await engine.check_pattern("(")
    with pytest.raises(RunError, match=r"Pattern /\[/: ") as caught:
        await engine.match_patterns(["a", "["], ["a"])
    assert caught.value.kind is ErrorKind.SCRIPT_ERROR
    with pytest.raises(RunError, match=r"Pattern /\(\?/: "):
        await engine.replace_matches(["a"], "(?", "")


async def test_a_pattern_that_backtracks_is_stopped_and_named() -> None:
    async with ScriptEngine(limits=ScriptLimits(cpu_seconds=0.2, wall_seconds=2)) as engine:
        text = "a" * 40 + "b"
        with pytest.raises(RunError, match=r"Pattern /\(a\+\)\+\$/: .*CPU limit") as caught:
            await engine.match_patterns(["x", "(a+)+$", "y"], ["ok", text])
        assert caught.value.kind is ErrorKind.SCRIPT_LIMIT
        with pytest.raises(RunError, match=r"Pattern /\(a\+\)\+\$/: .*CPU limit"):
            await engine.replace_matches([text], "(a+)+$", "")
        assert await engine.match_patterns(["b$"], [text]) == [[True]]


async def test_many_texts_take_one_round_trip(engine: ScriptEngine) -> None:
    rows = await engine.match_patterns(["9$", "1"], [str(n) for n in range(20_000)])
    assert sum(row[0] for row in rows) == 2000
