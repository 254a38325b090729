"""Keys typed into a tool are pointed at, and not shown."""

from typing import Any

import pytest

from tools.check import check_definition
from tools.scripts import ScriptEngine

KEY = "sk-" + "aB3" * 10
TOKEN = "eyJhbGciOiJIUzI1NiJ9" + ".eyJzdWIiOiIxMjM0NTY3ODkwIn0" + ".c2lnbmF0dXJl"


async def warnings(scripts: ScriptEngine, **config: Any) -> dict[str, str]:
    config = {"url": "https://api.test", **config}
    checked = await check_definition({"id": "t", "steps": [{"id": "s", "config": config}]}, scripts)
    assert checked.is_valid
    return {one.path.removeprefix("steps[0].config."): str(one) for one in checked.problems}


@pytest.mark.parametrize(
    ("config", "path"),
    [
        ({"headers": {"Authorization": "Bearer abcdef"}}, "headers.Authorization"),
        ({"headers": {"authorization": "Basic YTpi"}}, "headers.authorization"),
        ({"headers": {"X-Api-Key": "abcdef"}}, "headers.X-Api-Key"),
        ({"headers": {"X-Other": f"key {KEY}"}}, "headers.X-Other"),
        ({"headers": f'{{"X-Other": "{TOKEN}"}}'}, "headers"),
        ({"queryParams": {"api_key": "abcdef"}}, "queryParams.api_key"),
        ({"queryParams": {"q": ["x", KEY]}}, "queryParams.q"),
        ({"url": "https://api.test/x?a=1&apikey=abcdef"}, "url"),
        ({"url": f"https://api.test/{KEY}"}, "url"),
        ({"method": "POST", "body": f'{{"a": {{"token": "{TOKEN}"}}}}'}, "body"),
    ],
)
async def test_a_key_in_a_tool_is_pointed_at_and_not_shown(
    config: dict[str, Any], path: str, scripts: ScriptEngine
) -> None:
    found = await warnings(scripts, **config)
    assert list(found) == [path]
    words = found[path]
    assert "credential of a system" in words
    assert KEY not in words
    assert TOKEN not in words


@pytest.mark.parametrize(
    "config",
    [
        {"headers": {"Authorization": "Bearer <<acme_token>>", "Cookie": "a=<<b>>"}},
        {"headers": {"Authorization": "<<s => 'Bearer ' + s.token>>"}},
        {"headers": {"Authorization": "", "Accept": "application/json"}},
        {"queryParams": {"api_key": "<<key>>", "key": "name", "page": 1, "token": None}},
        {"url": "https://api.test/x?access_token=<<t>>&key=name&api_key="},
        {"url": "https://api.test/task-management-of-the-whole-organisation"},
    ],
)
async def test_credentials_that_are_named_and_ordinary_words_are_fine(
    config: dict[str, Any], scripts: ScriptEngine
) -> None:
    assert await warnings(scripts, **config) == {}
