"""The text of natively read values is that of JavaScript."""

import math
import struct
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tools.scripts import Script, ScriptEngine, ScriptForm, js_text

TEXT = Script(
    "values => values.map(v => (Object(v) === v || v === null ? JSON.stringify : String)(v))",
    ScriptForm.FUNCTION,
)
doubles = st.integers(0, 2**64 - 1).map(lambda bits: struct.unpack("d", struct.pack("Q", bits))[0])
numbers = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False),
    doubles.filter(lambda value: value - value == 0),
    st.integers(-(2**53), 2**53),
    st.integers(-330, 308).map(lambda power: float(f"1e{power}")),
    st.integers(-(10**6), 10**6).map(lambda value: value / 100),
    # At powers of two QuickJS may write one digit more than the shortest text ECMA-262 asks for.
).filter(lambda value: isinstance(value, int) or abs(math.frexp(value)[0]) != 0.5)
# JavaScript moves keys that look like integers to the front.
keys = st.text(max_size=5).filter(lambda key: not key.isdecimal())
nested = st.recursive(
    st.none() | st.booleans() | numbers | st.text(st.characters(), max_size=8),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(keys, children, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1e21, "1e+21"),
        (1e20, "100000000000000000000"),
        (123456789012345680000.0, "123456789012345680000"),
        (3.0, "3"),
        (0.1, "0.1"),
        (1e-6, "0.000001"),
        (1e-7, "1e-7"),
        (1.5e-10, "1.5e-10"),
        (-0.0, "0"),
        (-12.5, "-12.5"),
        (5e-324, "5e-324"),
        (1.7976931348623157e308, "1.7976931348623157e+308"),
        (2**53 + 1, "9007199254740993"),
        (12345678901234567890123, "12345678901234567890123"),
        (True, "true"),
        (False, "false"),
        (None, "null"),
        ("é", "é"),
        ([], "[]"),
        ({}, "{}"),
        ({"b": 1, "a": [True, None, "é"]}, '{"b":1,"a":[true,null,"é"]}'),
        (
            {"f": 3.0, "n": 2**64, "s": '\ud800"\n\x1f/'},
            '{"f":3,"n":18446744073709551616,"s":"\\ud800\\"\\n\\u001f/"}',
        ),
    ],
)
def test_a_value_has_the_text_of_javascript(value: Any, text: str) -> None:
    assert js_text(value) == text


def test_depth_is_no_matter() -> None:
    value: Any = []
    for _ in range(50_000):
        value = [value]
    assert js_text(value) == "[" * 50_001 + "]" * 50_001
    while value:
        value = value.pop()


@given(values=st.lists(nested, min_size=1, max_size=20))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
async def test_texts_equal_those_of_the_engine(engine: ScriptEngine, values: list[Any]) -> None:
    async with engine.session() as session:
        expected = await session.evaluate(TEXT, values)
    assert [js_text(value) for value in values] == expected.value
