import copy
import re
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tools.errors import ErrorKind, RunError
from tools.model import ResponseFilter
from tools.response_filters import FilterOutcome, apply_response_filters
from tools.scripts import ScriptEngine

Filter = dict[str, Any]

PEOPLE: list[Any] = [
    {"id": 1, "email": "ann@x.io", "ssn": "123-45-6789", "tags": ["vip", "eu"]},
    {"id": 2, "email": "bob@y.io", "note": "call ann@x.io", "tags": ["eu"]},
]


@pytest.fixture(scope="module")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
async def engine(anyio_backend: str) -> AsyncIterator[ScriptEngine]:
    async with ScriptEngine(workers=1) as engine:
        yield engine


def rule(pattern: str, **fields: Any) -> Filter:
    return {"id": "f1", "target": "VALUES", "action": "REMOVE", "pattern": pattern, **fields}


async def outcome(
    engine: ScriptEngine, data: Any, *filters: Filter, fail_as_mask: bool = False
) -> FilterOutcome:
    before = copy.deepcopy(data)
    try:
        return await apply_response_filters(
            data,
            [ResponseFilter.model_validate(each) for each in filters],
            engine,
            fail_as_mask=fail_as_mask,
        )
    finally:
        assert data == before


@pytest.mark.parametrize(
    ("data", "filters", "value"),
    [
        pytest.param(
            {"Email": 1, "mailing_list": 2, "other": 3},
            [rule("MAIL", target="KEYS")],
            {"other": 3},
            id="a key pattern is unanchored and ignores case",
        ),
        pytest.param(
            {"a": 1, "b": {"c": 2}},
            [rule("", target="KEYS")],
            {},
            id="an empty pattern matches all",
        ),
        pytest.param(
            {"l": ["x1", "y", "x2"]}, [rule("^x")], {"l": ["y"]}, id="a primitive leaves its list"
        ),
        pytest.param(
            {"a": 12.50, "b": True, "c": 1e21, "d": 1},
            [rule(r"^(12\.5|true|1e\+21)$")],
            {"d": 1},
            id="numbers and booleans are matched as JavaScript writes them",
        ),
        pytest.param(
            [None, {"a": None}], [rule("")], [None, {"a": None}], id="null matches no value filter"
        ),
        pytest.param(
            {"a": None, "b": None},
            [rule("^a$", target="KEYS", action="MASK")],
            {"a": "[filtered]", "b": None},
            id="a key filter masks also null",
        ),
        pytest.param(
            {"secret": {"deep": [1, 2]}, "n": 1},
            [rule("secret", target="KEYS", action="MASK", maskValue="***")],
            {"secret": "***", "n": 1},
            id="a key mask replaces the whole value",
        ),
        pytest.param(
            PEOPLE,
            [rule(r"[\w.]+@[\w.]+", action="MASK", maskValue="<mail>")],
            [
                {**PEOPLE[0], "email": "<mail>"},
                {**PEOPLE[1], "email": "<mail>", "note": "call <mail>"},
            ],
            id="a value mask replaces every match inside a text",
        ),
        pytest.param(
            {"v": "123-45 and 678-90"},
            [rule(r"(\d{3})-(\d{2})", action="MASK", maskValue="$2-$1")],
            {"v": "45-123 and 90-678"},
            id="a mask can use groups",
        ),
        pytest.param(
            {"v": 12345},
            [rule("34", action="MASK")],
            {"v": "[filtered]"},
            id="a number is masked whole",
        ),
        pytest.param(
            {"v": "abc"},
            [rule("", action="MASK")],
            {"v": "[filtered]"},
            id="an empty mask hides all",
        ),
        pytest.param(
            {"v": "ann and bob"},
            [
                rule("ann", action="MASK", maskValue="A"),
                rule("bob", action="MASK", maskValue="B", id="f2"),
            ],
            {"v": "A and B"},
            id="masks follow each other in an object",
        ),
        pytest.param(
            ["ann and bob"],
            [
                rule("ann", action="MASK", maskValue="A"),
                rule("bob", action="MASK", maskValue="B", id="f2"),
            ],
            ["A and bob"],
            id="in a list of primitives the first mask alone applies",
        ),
        pytest.param(
            PEOPLE,
            [rule("^vip$", scope="ITEM")],
            [{**PEOPLE[0], "tags": ["eu"]}, PEOPLE[1]],
            id="ITEM is the nearest element of a list",
        ),
        pytest.param(
            PEOPLE,
            [rule("^ssn$", target="KEYS", scope="ITEM")],
            [PEOPLE[1]],
            id="ITEM of a key is the object in its list",
        ),
        pytest.param(
            {"rows": [{"k": [{"s": "bad"}]}, {"k": [{"s": "ok"}]}], "n": 2},
            [rule("^bad$", scope="ENTRY")],
            {"rows": [{"k": [{"s": "ok"}]}], "n": 2},
            id="ENTRY is the element of the outermost list",
        ),
        pytest.param(
            [{"k": [{"s": "bad"}]}, 1],
            [rule("^bad$", scope="ENTRY", action="MASK", maskValue="[gone]")],
            ["[gone]", 1],
            id="ENTRY can be masked",
        ),
        pytest.param(
            {"a": {"b": "bad"}},
            [rule("bad", scope="ITEM")],
            {},
            id="without a list the root is emptied",
        ),
        pytest.param(
            {"a": {"b": "bad"}},
            [rule("bad", scope="ENTRY", action="MASK", maskValue="M")],
            "M",
            id="without a list the root is masked",
        ),
        pytest.param("my secret", [rule("secret")], {}, id="a root that is removed is an object"),
        pytest.param(
            "my secret",
            [rule("secret", action="MASK", maskValue="*")],
            "my *",
            id="a root is masked",
        ),
        pytest.param(
            {"k": "v", "z": 1},
            [
                rule("^k$", target="KEYS", action="MASK"),
                rule("^k$", target="KEYS", id="f2"),
            ],
            {"z": 1},
            id="REMOVE beats MASK",
        ),
        pytest.param(
            {"k": "v1"},
            [
                rule("^k$", target="KEYS", action="MASK", maskValue="v2"),
                rule("v", action="MASK", maskValue="w", id="f2"),
            ],
            {"k": "v2"},
            id="a value mask does not touch what a key mask wrote",
        ),
        pytest.param(
            {"mail": "x", "y": "a mail"},
            [rule("mail", target="BOTH")],
            {},
            id="BOTH is keys and values",
        ),
        pytest.param(
            {"id": 12345678901234567890123, "x": "a"},
            [rule("^a$")],
            {"id": 12345678901234567890123},
            id="integers beyond 2^53 stay exact",
        ),
        pytest.param(
            {"id": 12345678901234567891, "x": "a"},
            [rule("891$")],
            {"x": "a"},
            id="integers beyond 2^53 are matched by all their digits",
        ),
    ],
)
async def test_what_a_filter_matches_is_removed_or_masked(
    engine: ScriptEngine, data: Any, filters: list[Filter], value: Any
) -> None:
    assert (await outcome(engine, data, *filters)).value == value


@pytest.mark.parametrize(
    "filters",
    [[], [rule("ann", enabled=False)], [rule("no such text")], [rule("zz", target="KEYS")]],
)
async def test_data_without_a_match_is_the_same_object(
    engine: ScriptEngine, filters: list[Filter]
) -> None:
    result = await outcome(engine, PEOPLE, *filters)
    assert result.value is PEOPLE
    assert not result.changed


async def test_parts_without_a_match_are_not_copied(engine: ScriptEngine) -> None:
    result = await outcome(engine, PEOPLE, rule("ssn", target="KEYS"))
    assert result.changed
    assert result.value[1] is PEOPLE[1]
    assert result.value[0]["tags"] is PEOPLE[0]["tags"]


@pytest.mark.parametrize(
    ("data", "filters", "message"),
    [
        (
            PEOPLE,
            [rule("^ssn$", target="KEYS", action="FAIL", name="No SSN")],
            'Filter "No SSN" matched at "[0].ssn"',
        ),
        (
            {"email": "a@b.c", "x": "d@e.f"},
            [rule("^email$", target="KEYS"), rule("@", action="FAIL", id="f2")],
            'Filter "f2" matched at "x"',
        ),
        (
            {"a": "@", "b": ["@"]},
            [rule("@", action="FAIL")],
            'Filter "f1" matched at "a"; Filter "f1" matched at "b[0]"',
        ),
        ("@", [rule("@", action="FAIL")], 'Filter "f1" matched at "(root)"'),
        (
            {"rows": [{"s": "ok"}, {"s": "bad"}], "bad": 1},
            [rule("^bad$", target="BOTH", scope="ENTRY", action="FAIL", name="Bad ones")],
            'Filter "Bad ones" matched at "rows[1].s"; Filter "Bad ones" matched at "bad"',
        ),
    ],
)
async def test_a_fail_filter_names_every_match(
    engine: ScriptEngine, data: Any, filters: list[Filter], message: str
) -> None:
    with pytest.raises(RunError) as caught:
        await outcome(engine, data, *filters)
    assert caught.value.message == f"Output filter validation failed: {message}"
    assert caught.value.kind is ErrorKind.RESPONSE_FILTER


async def test_the_message_of_many_matches_is_bounded(engine: ScriptEngine) -> None:
    with pytest.raises(RunError, match="and at 950 more places"):
        await outcome(engine, ["@"] * 1000, rule("@", action="FAIL"))


async def test_for_stored_data_a_fail_filter_masks(engine: ScriptEngine) -> None:
    result = await outcome(
        engine, {"a": "x@y", "ssn": 1}, rule("@", action="FAIL"), fail_as_mask=True
    )
    assert result.value == {"a": "x[filtered]y", "ssn": 1}


async def test_a_pattern_that_takes_too_long_is_a_script_limit(engine: ScriptEngine) -> None:
    with pytest.raises(RunError) as caught:
        await outcome(engine, {"v": "x" * 40 + "!"}, rule("^(x+x+)+y$"))
    assert caught.value.kind is ErrorKind.SCRIPT_LIMIT


async def test_a_pattern_that_is_no_regular_expression_is_a_script_error(
    engine: ScriptEngine,
) -> None:
    with pytest.raises(RunError) as caught:
        await outcome(engine, {"v": "x"}, rule("a(b"))
    assert caught.value.kind is ErrorKind.SCRIPT_ERROR


async def test_depth_is_no_matter(engine: ScriptEngine) -> None:
    nested: list[Any] = [{"s": "bad", "t": 1}]
    for _ in range(20_000):
        nested = [nested]
    result = await apply_response_filters(
        nested, [ResponseFilter.model_validate(rule("bad"))], engine
    )
    value: Any = result.value
    for _ in range(20_001):
        value = value[0]
    assert value == {"t": 1}


@pytest.mark.parametrize(
    "filters",
    [
        [rule("^price$", target="KEYS")],
        [rule("em 1", action="MASK", maskValue="*"), rule("9$", action="MASK", id="f2")],
        [rule("^77777$", scope="ITEM"), rule("^item .*9$", scope="ENTRY", id="f2")],
    ],
)
async def test_large_data_is_filtered_like_its_rows(
    engine: ScriptEngine, filters: list[Filter]
) -> None:
    rows = [{"id": n, "name": f"item {n}", "price": n * 1.25} for n in range(80_000)]
    whole = await outcome(engine, rows, *filters)
    parts = [await outcome(engine, rows[n : n + 4000], *filters) for n in range(0, len(rows), 4000)]
    assert whole.value == [row for part in parts for row in part.value]
    assert whole.value != rows


async def test_an_object_that_appears_twice_is_filtered_by_its_place(engine: ScriptEngine) -> None:
    shared = {"s": "bad"}
    result = await outcome(engine, {"a": shared, "l": [shared, 1]}, rule("bad"))
    assert result.value == {"a": {}, "l": [{}, 1]}


class PythonMatcher:
    """The same patterns with Python's `re`, for properties that need no engine."""

    async def match_patterns(self, patterns: Any, texts: Any) -> list[list[bool]]:
        return [[re.search(p, text, re.IGNORECASE) is not None for p in patterns] for text in texts]

    async def replace_matches(self, texts: Any, pattern: str, replacement: str) -> list[str]:
        return [re.sub(pattern, replacement, t, flags=re.IGNORECASE) for t in texts]


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(st.sampled_from("abX\ud800é1"), max_size=4),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.sampled_from("abX"), max_size=3), inner, max_size=4)
    ),
    max_leaves=20,
)
RULES = st.lists(
    st.builds(
        rule,
        st.sampled_from(["a", "b$", "^X", "", "1", "a|b"]),
        target=st.sampled_from(["KEYS", "VALUES", "BOTH"]),
        action=st.sampled_from(["REMOVE", "MASK", "FAIL"]),
        scope=st.sampled_from(["FIELD", "ITEM", "ENTRY"]),
        enabled=st.booleans(),
        maskValue=st.sampled_from(["#", "[filtered]"]),
    ),
    max_size=4,
)
thorough = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


def keys_of(value: Any) -> list[str]:
    if isinstance(value, dict):
        members = cast(dict[str, Any], value)
        return [*members, *(key for member in members.values() for key in keys_of(member))]
    if isinstance(value, list):
        items = cast(list[Any], value)
        return [key for item in items for key in keys_of(item)]
    return []


@thorough
@given(JSON, RULES)
async def test_any_filters_on_any_data_only_ever_fail_as_a_fail_filter(
    data: Any, filters: list[Filter]
) -> None:
    models = [ResponseFilter.model_validate(each) for each in filters]
    before = copy.deepcopy(data)
    kind = None
    try:
        result = await apply_response_filters(data, models, PythonMatcher())
        assert result.changed is (result.value is not data)
    except RunError as error:
        kind = error.kind
    assert kind in (None, ErrorKind.RESPONSE_FILTER)
    assert data == before
    await apply_response_filters(data, models, PythonMatcher(), fail_as_mask=True)


@thorough
@given(JSON)
async def test_after_removing_keys_no_matching_key_is_left(data: Any) -> None:
    models = [ResponseFilter.model_validate(rule("a", target="KEYS"))]
    result = await apply_response_filters(data, models, PythonMatcher())
    assert not any("a" in key.lower() for key in keys_of(result.value))


@thorough
@given(JSON)
async def test_masking_twice_is_masking_once(data: Any) -> None:
    models = [ResponseFilter.model_validate(rule("a|X", action="MASK", maskValue="#"))]
    once = await apply_response_filters(data, models, PythonMatcher())
    twice = await apply_response_filters(once.value, models, PythonMatcher())
    assert twice.value is once.value
