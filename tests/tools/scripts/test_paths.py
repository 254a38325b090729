"""The native path reader says what the engine says, or leaves it to the engine."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tools.errors import RunError
from tools.scripts import (
    NOT_SIMPLE,
    UNDEFINED,
    Script,
    ScriptEngine,
    ScriptForm,
    compile_path,
    read_path,
)

FUNCTION, TRANSFORM, STOP = ScriptForm.FUNCTION, ScriptForm.TRANSFORM, ScriptForm.STOP_CONDITION

names = st.sampled_from(
    ["a", "b", "c", "length", "__proto__", "constructor", "toString", "é", "0", "1", "a b", ""]
)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(-2, 2) | st.text(max_size=3),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(names, children, max_size=4),
    max_leaves=15,
)
gaps = st.sampled_from(["", "", "", " ", "\n", "\t"])
positions = st.sampled_from(["0", "1", "2", "00", "01", "9"])
steps = st.one_of(
    st.builds(
        "{}{}{}{}".format,
        gaps,
        st.sampled_from([".", "?."]),
        gaps,
        st.sampled_from(["a", "b", "c", "length", "__proto__", "constructor", "toString", "if"]),
    ),
    st.builds("{}{}[{}{}]".format, gaps, st.sampled_from(["", "?."]), gaps, positions),
    st.builds(
        "{}[{}{}{}]".format,
        st.sampled_from(["", "?."]),
        st.just('"'),
        names,
        st.just('"'),
    ),
    st.builds("[{!r}]".format, names),
)
paths = st.lists(steps, max_size=4).map("".join)
heads = st.sampled_from(
    [
        ("s => s", ""),
        ("(s) => s", ";"),
        (" ( $x ) =>\n$x", " ; "),
        ("s\n=> s", ""),
        ("(s) => { return s", " }"),
        ("(s) => { return s", "; };"),
        ("(s) => { return\ns", "; }"),
        ("(if) => if", ""),
        ("(async) => async", ""),
        ("(let) => let", ""),
        ("(yield) => yield", ""),
        ("(undefined) => undefined", ""),
        ("s => t", ""),
        ("$", ""),
        ("sourceData", ""),
        ("input", ";"),
        ("", ""),
        ("sourceDatas", ""),
    ]
)


@given(head=heads, path=paths, form=st.sampled_from([FUNCTION, TRANSFORM]), value=values)
@settings(max_examples=1500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
async def test_what_is_read_natively_is_what_the_engine_gives(
    engine: ScriptEngine, head: tuple[str, str], path: str, form: ScriptForm, value: Any
) -> None:
    source = head[0] + path + head[1]
    compiled = compile_path(Script(source, form))
    native = NOT_SIMPLE if compiled is None else read_path(compiled, value)
    if native is NOT_SIMPLE:
        return
    # A comment keeps the engine's copy of the script from being read natively as well.
    script = Script(source.rstrip(" ;") + " // engine", form)
    assert compile_path(script) is None
    async with engine.session() as session:
        outcome = await session.evaluate(script, value)
    assert outcome.is_undefined is (native is UNDEFINED)
    if native is not UNDEFINED:
        assert outcome.value == native


@pytest.mark.parametrize(
    ("source", "form", "steps"),
    [
        ("(s) => s.a.b", FUNCTION, (("a", False), ("b", False))),
        ("s=>s?.a?.[0]", FUNCTION, (("a", True), (0, True))),
        ("(s) => { return s['a b'].if; }", FUNCTION, (("a b", False), ("if", False))),
        ("$", TRANSFORM, ()),
        ("  $.a ;", TRANSFORM, (("a", False),)),
        (".a[1]", TRANSFORM, (("a", False), (1, False))),
        ("input", TRANSFORM, ()),
        ("$", FUNCTION, None),
        ("s => s.a", STOP, None),
        ("s => s.a()", FUNCTION, None),
        ("s => s.a + 1", FUNCTION, None),
        ("s => s[01]", FUNCTION, None),
        ("s => s['\\n']", FUNCTION, None),
        ("s => s.constructor", FUNCTION, None),
        ("s\n=> s", FUNCTION, None),
        ("async s => s.a", FUNCTION, None),
        (".5", TRANSFORM, None),
        ("", TRANSFORM, None),
    ],
)
def test_only_simple_paths_are_compiled(source: str, form: ScriptForm, steps: Any) -> None:
    assert compile_path(Script(source, form)) == steps


def test_texts_that_are_no_path_are_refused_quickly() -> None:
    for tail in (" ", ".a", "\n.a", "[0]", " [ 0 ] ", "$", ";", "['", "?. "):
        for length in (900, 200_000):
            source = "s => s" + tail * (length // len(tail)) + "!"
            assert compile_path(Script(source, TRANSFORM)) is None


async def test_integers_beyond_2_53_stay_exact_when_read_natively(engine: ScriptEngine) -> None:
    async with engine.session() as session:
        value = await session.evaluate(Script("s => s.id", FUNCTION), {"id": 2**63 + 1})
        assert (value.value, value.text) == (2**63 + 1, str(2**63 + 1))


async def test_a_property_of_null_is_worded_by_the_engine(engine: ScriptEngine) -> None:
    async with engine.session() as session:
        for source in ("s => s.a.b", "(s) => s.gone.b", "s => s.a?.b.c.d"):
            if "?." in source:
                value = await session.evaluate(Script(source, FUNCTION), {"a": None})
                assert value.is_undefined
                continue
            with pytest.raises(RunError, match="cannot read property"):
                await session.evaluate(Script(source, FUNCTION), {"a": None})
