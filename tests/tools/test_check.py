"""Every problem of a definition is found at once, and says where, what and what is valid."""

from typing import Any

import pytest

from tools.check import check_definition
from tools.scripts import ScriptEngine

GOOD: dict[str, Any] = {"id": "t", "steps": [{"id": "s", "config": {"url": "https://api.test/x"}}]}


def step(**config: Any) -> dict[str, Any]:
    return {"id": "t", "steps": [{"id": "s", "config": {"url": "https://api.test", **config}}]}


async def problems(scripts: ScriptEngine, definition: Any) -> dict[str, str]:
    checked = await check_definition(definition, scripts)
    assert checked.is_valid == (not checked.errors)
    return {problem.path: str(problem) for problem in checked.errors}


async def test_a_good_tool_has_no_problems(scripts: ScriptEngine) -> None:
    checked = await check_definition(GOOD, scripts)
    assert checked.problems == ()
    assert checked.definition == GOOD


PROBLEMS: list[tuple[Any, str, str]] = [
    ([], "", "a tool is a JSON object"),
    ({**GOOD, "id": "-x"}, "id", "letter or digit first"),
    ({**GOOD, "id": 5}, "id", "string"),
    ({"id": "t"}, "steps", "at least one step, or an outputTransform"),
    ({**GOOD, "version": "1.0"}, "version", "1.0.0"),
    ({**GOOD, "instructions": "x"}, "instructions", "did you mean `instruction`?"),
    ({**GOOD, "steps": {}}, "steps", "input should be a list; seen: {}"),
    ({**GOOD, "inputSchema": []}, "inputSchema", "input should be an object; seen: []"),
    ({**GOOD, "steps": ["x"]}, "steps[0]", "input should be an object"),
    ({**GOOD, "steps": [*GOOD["steps"], *GOOD["steps"]]}, "steps[1].id", "steps[0].id"),
    ({"id": "t", "steps": [{"id": "s"}]}, "steps[0].config", "required"),
    ({"id": "t", "steps": [{"id": "s", "config": {}}]}, "steps[0].config.url", "required"),
    (step(method="GTE"), "steps[0].config.method", "did you mean `GET`?"),
    (step(url=""), "steps[0].config.url", "empty"),
    (step(url="api.test/x"), "steps[0].config.url", "did you mean https://api.test/x?"),
    (step(url="/x"), "steps[0].config.url", "systemId"),
    (step(body={"a": 1}), "steps[0].config.body", "a body is text"),
    (step(url="https://h/<<(s) => s..a>>"), "steps[0].config.url", "Invalid transform code"),
    (step(headers={"A": "<<(s) => (>>"}), "steps[0].config.headers.A", "Invalid transform"),
    (step(url="https://h/<<>>"), "steps[0].config.url", "a placeholder is empty"),
    (step(pagination={"type": "pages"}), "steps[0].config.pagination.type", "pageBased"),
    (
        step(pagination={"type": "pageBased", "pageSize": "many"}),
        "steps[0].config.pagination.pageSize",
        "whole number from 1",
    ),
    (step(pagination={"type": "nextUrl"}), "steps[0].config.pagination", "nextUrlPath"),
    (
        step(pagination={"type": "pageBased", "stopCondition": "return ("}),
        "steps[0].config.pagination.stopCondition",
        "Invalid transform code",
    ),
    ({**GOOD, "outputTransform": "(s) => {"}, "outputTransform", "Invalid transform code"),
    ({**GOOD, "inputSchema": {"type": "array"}}, "inputSchema.type", "object"),
    (
        {**GOOD, "inputSchema": {"type": "object", "properties": {"a": {"type": "strng"}}}},
        "inputSchema.properties.a.type",
        "string",
    ),
    (
        {**GOOD, "outputSchema": {"$ref": "https://evil.test/schema.json"}},
        "outputSchema.$ref",
        "",
    ),
    (
        {
            **GOOD,
            "responseFilters": [
                {"id": "f", "target": "KEYS", "pattern": "a(b", "action": "REMOVE"}
            ],
        },
        "responseFilters[0].pattern",
        "Invalid regular expression",
    ),
    (
        {
            **GOOD,
            "responseFilters": [{"id": "f", "target": "KEY", "pattern": "", "action": "MASK"}],
        },
        "responseFilters[0].target",
        "did you mean `KEYS`?",
    ),
    ({**GOOD, "retries": -1}, "retries", "greater than or equal to 0"),
    ({**GOOD, "concurrency": 65}, "concurrency", "64"),
]


@pytest.mark.parametrize(("definition", "path", "words"), PROBLEMS)
async def test_a_problem_is_named_with_its_place(
    scripts: ScriptEngine, definition: Any, path: str, words: str
) -> None:
    found = await problems(scripts, definition)
    assert path in found, found
    assert words in found[path]


async def test_all_problems_are_named_at_once(scripts: ScriptEngine) -> None:
    definition = {
        "id": "t",
        "steps": [
            {"id": "a", "config": {"url": "https://h", "method": "FETCH"}},
            {
                "id": "a",
                "dataSelector": "(s",
                "config": {"type": "transform", "transformCode": ")"},
            },
        ],
        "outputTransform": "}",
    }
    assert set(await problems(scripts, definition)) == {
        "steps[0].config.method",
        "steps[1].id",
        "steps[1].dataSelector",
        "steps[1].config.transformCode",
        "outputTransform",
    }


async def test_warnings_do_not_refuse(scripts: ScriptEngine) -> None:
    definition = {
        **GOOD,
        "x-own": 1,
        "createdByUserId": "u",
        "steps": [
            {"id": "s", "config": {"url": "https://h/<< b", "systemId": "acme"}},
            {"id": "o", "config": {"url": "postgres://h/db"}},
            {"id": "c", "config": {"type": "tool", "toolId": "other"}},
        ],
    }
    checked = await check_definition(definition, scripts)
    assert checked.is_valid
    assert {problem.path for problem in checked.problems} == {
        "x-own",
        "createdByUserId",
        "steps[0].config.url",
        "steps[0].config.systemId",
        "steps[1].config.url",
        "steps[2].config.toolId",
    }


@pytest.mark.parametrize("url", ["<<h>>", "http://<<h>>/x", "<<(s) => s.h>>/x", "<<s.data.url>>"])
async def test_a_url_whose_host_only_a_value_could_name_is_warned_of(
    scripts: ScriptEngine, url: str
) -> None:
    schema = {"type": "object", "properties": {"h": {"type": "string"}}}
    checked = await check_definition({**step(url=url), "inputSchema": schema}, scripts)
    (problem,) = checked.problems
    assert (problem.path, problem.severity) == ("steps[0].config.url", "warning")
    assert checked.is_valid
    assert "runs fail here" in problem.message
    assert "systemId" in (problem.valid or "")
    named = {**step(url=url, systemId="acme"), "inputSchema": schema}
    assert not (await check_definition(named, scripts, known_system_ids=["acme"])).problems


async def test_legacy_spellings_are_rewritten(scripts: ScriptEngine) -> None:
    checked = await check_definition(
        {
            "id": "old",
            "inputSchema": {
                "type": "object",
                "properties": {
                    "payload": {"type": "object", "properties": {"a": {"type": "string"}}},
                    "credentials": {"type": "object"},
                },
            },
            "outputSchema": None,
            "responseSchema": {"type": "object"},
            "finalTransform": "$",
            "steps": [
                {
                    "id": "s",
                    "integrationId": "acme",
                    "loopSelector": "(s) => s.xs",
                    "failureBehavior": "CONTINUE",
                    "apiConfig": {
                        "urlHost": "https://api.test/",
                        "urlPath": "/v1/x",
                        "method": "post",
                        "pagination": {
                            "type": "OFFSET_BASED",
                            "pageSize": "10",
                            "cursorPath": None,
                        },
                    },
                }
            ],
        },
        scripts,
    )
    assert not checked.errors
    assert checked.definition == {
        "id": "old",
        "inputSchema": {"type": "object", "properties": {"a": {"type": "string"}}},
        "outputSchema": {"type": "object"},
        "outputTransform": "$",
        "steps": [
            {
                "id": "s",
                "dataSelector": "(s) => s.xs",
                "failureBehavior": "continue",
                "config": {
                    "url": "https://api.test/v1/x",
                    "method": "POST",
                    "systemId": "acme",
                    "pagination": {"type": "offsetBased", "pageSize": "10"},
                },
            }
        ],
    }


async def test_a_tool_without_an_id_gets_one(scripts: ScriptEngine) -> None:
    checked = await check_definition({"outputTransform": "1"}, scripts)
    assert checked.id is not None
    assert len(checked.id) == 36


async def test_code_is_compiled_and_not_run(scripts: ScriptEngine) -> None:
    definition = {"id": "t", "outputTransform": "(() => { for (;;); })()"}
    assert await problems(scripts, definition) == {}


async def test_a_wrong_shape_hides_no_other_problem(scripts: ScriptEngine) -> None:
    definition = {
        "id": "t",
        "oops": 1,
        "retries": "many",
        "steps": [
            {"id": "a", "config": {"url": "https://h", "pagination": {"type": "pages"}}},
            {"id": "b", "config": {"url": "https://h", "method": "GTE"}},
        ],
        "outputTransform": "}",
    }
    assert set(await problems(scripts, definition)) == {
        "oops",
        "retries",
        "steps[0].config.pagination.type",
        "steps[1].config.method",
        "outputTransform",
    }


async def test_what_has_a_wrong_shape_hides_no_other_problem(scripts: ScriptEngine) -> None:
    checked = await check_definition(
        {
            "id": "h",
            "steps": [
                {
                    "id": "a",
                    "failureBehavior": "cont",
                    "dataSelector": "((",
                    "config": {"url": "nope"},
                },
                {"id": "a", "config": {"url": "http://h", "method": "X", "queryParams": [1]}},
                7,
                {"id": "t", "config": {"type": "http", "transformCode": "("}},
            ],
            "responseFilters": [{"pattern": "("}],
            "timeoutMs": "long",
        },
        scripts,
    )
    found = {one.path: one for one in checked.problems}
    assert found.keys() >= {
        "steps[0].failureBehavior",
        "steps[0].dataSelector",
        "steps[0].config.url",
        "steps[1].id",
        "steps[1].config.method",
        "steps[1].config.queryParams",
        "steps[2]",
        "steps[3].config.type",
        "responseFilters[0].id",
        "responseFilters[0].target",
        "responseFilters[0].action",
        "responseFilters[0].pattern",
        "timeoutMs",
    }
    assert found["steps[3].config.type"].valid == "request, transform, tool"
    assert found["steps[1].config.queryParams"].seen == "[1]"
    assert all(one.valid for path, one in found.items() if "transformCode" not in path), found
    assert not any("stand-in" in str(one) for one in checked.problems)


async def test_properties_in_the_place_of_a_schema_are_told(scripts: ScriptEngine) -> None:
    step = {"id": "a", "config": {"url": "http://h.test"}}
    wrong = {"id": "t", "inputSchema": {"a": {"type": "string"}}, "steps": [step]}
    [problem] = (await check_definition(wrong, scripts)).problems
    assert (problem.path, problem.severity) == ("inputSchema", "warning")
    assert problem.valid == '{"type": "object", "properties": {…}}'
    right: dict[str, Any] = {"id": "t", "inputSchema": {"properties": {"a": {}}}, "steps": [step]}
    assert (await check_definition(right, scripts)).problems == ()
