"""Whatever stands in the place of a field, checking names problems and never fails itself."""

import copy
from collections.abc import Iterator
from typing import Any, cast

import anyio
from hypothesis import given, settings
from hypothesis import strategies as st

from tools.check import check_definition
from tools.check_system import check_system
from tools.json_text import decode_json, encode_json
from tools.scripts import ScriptEngine

TOOL: dict[str, Any] = {
    "id": "t",
    "name": "T",
    "version": "1.0.0",
    "instruction": "Does it.",
    "folder": "f",
    "inputSchema": {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]},
    "outputSchema": {"type": "object"},
    "steps": [
        {
            "id": "s",
            "dataSelector": "$.a",
            "failureBehavior": "continue",
            "config": {
                "type": "request",
                "url": "https://h.example/<<a>>",
                "method": "POST",
                "queryParams": {"q": "<<a>>"},
                "headers": {"x": "1"},
                "body": '{"a": "<<a>>"}',
                "systemId": "h",
                "pagination": {"type": "pageBased", "pageSize": 10, "stopCondition": "1"},
            },
        },
        {"id": "x", "config": {"type": "transform", "transformCode": "(s) => s"}},
        {"id": "c", "config": {"type": "tool", "toolId": "other", "inputs": {"a": 1}}},
    ],
    "outputTransform": "(s) => s",
    "responseFilters": [
        {"id": "f", "enabled": True, "target": "KEYS", "pattern": "p", "action": "REMOVE"}
    ],
}
SYSTEM: dict[str, Any] = {
    "id": "h",
    "name": "H",
    "url": "https://h.example",
    "auth": {"type": "apiKey", "in": "header", "name": "X", "credential": "key"},
    "credentials": {"key": {"fromEnv": "KEY"}},
    "allowedOrigins": ["https://other.example"],
    "rateLimit": {"perSecond": 1, "concurrency": 2},
    "environment": "prod",
    "tls": {"ca": "/ca.pem"},
}

VALUES: list[Any] = [
    None,
    True,
    False,
    0,
    -1,
    10**30,
    1.5,
    "",
    "x",
    "<<",
    "\x00",
    "\ud800",
    "1" * 5000,
    [],
    [[]],
    [None],
    {},
    {"type": {}},
    {"": ""},
    {"type": "object", "properties": []},
]
STRANGE = st.sampled_from(VALUES)


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    inner: dict[Any, Any] = {}
    if isinstance(value, dict):
        inner = cast("dict[Any, Any]", value)
    elif isinstance(value, list):
        inner = dict(enumerate(cast("list[Any]", value)))
    for key, one in inner.items():
        yield from places(one, (*path, key))


def changed(value: Any, path: tuple[Any, ...], strange: Any) -> Any:
    if not path:
        return strange
    whole = copy.deepcopy(value)
    inner = whole
    for part in path[:-1]:
        inner = inner[part]
    inner[path[-1]] = strange
    return whole


@settings(max_examples=8, deadline=None)
@given(stranges=st.lists(STRANGE, min_size=1, max_size=3))
def test_no_value_in_any_place_of_a_tool_breaks_the_check(stranges: list[Any]) -> None:
    async def check() -> None:
        async with ScriptEngine(workers=1) as scripts:
            for path in places(TOOL):
                for strange in stranges:
                    definition = changed(TOOL, path, strange)
                    checked = await check_definition(definition, scripts)
                    assert checked.is_valid == (not checked.errors)
                    assert all(str(problem) for problem in checked.problems)

    anyio.run(check)


@settings(max_examples=20, deadline=None)
@given(strange=STRANGE)
def test_no_value_in_any_place_of_a_system_breaks_the_check(strange: Any) -> None:
    for path in places(SYSTEM):
        checked = check_system(changed(SYSTEM, path, strange))
        assert (checked.definition is None) == any(
            problem.severity == "error" for problem in checked.problems
        )


def test_the_definitions_that_are_changed_are_good() -> None:
    assert decode_json(encode_json(TOOL)) == TOOL
    assert check_system(SYSTEM).definition is not None

    async def check() -> None:
        async with ScriptEngine(workers=1) as scripts:
            checked = await check_definition(TOOL, scripts, known_tool_ids=["other"])
            assert checked.is_valid, [str(problem) for problem in checked.problems]

    anyio.run(check)
