"""Steps that got other ids are read by templates and scripts as they were before."""

import pytest

from tools.json_text import Json
from tools.renamed_steps import renamed_script, renamed_step, renamed_template
from tools.scripts import Script, ScriptEngine, ScriptForm

IDS = {"response": "response2", "get-it": "get-it2"}
#: What a script reads, and the same under the new ids, beside another step of the old id.
STEPS: dict[str, Json] = {"response": {"data": {"n": 1, "response": "r"}}, "get-it": {"data": [7]}}
OTHERS: dict[str, Json] = {"response": {"data": "another one"}, "get-it": "another one"}
RENAMED = {**OTHERS, **{IDS[name]: value for name, value in STEPS.items()}}

SCRIPTS = [
    "$",
    "$.response.data.n",
    ".response.data",
    "(s) => s.response.data.response",
    "s => s['get-it'].data[0];",
    "({ response }) => response.data",
    "function (s) { return s.response.data.n + 1; }",
    "async (s) => s.response.data.n + 1",
    "sourceData.response.data.n + input.response.data.n",
    "(s) => { const { response: mine } = s; return [mine.data, 's.response']; } // why",
    "($.response.data)",
    "(s) => [1].map((s) => `response ${s}`).concat(s['get-it'].data)",
]


@pytest.mark.parametrize("source", SCRIPTS)
async def test_a_script_reads_the_same_of_renamed_steps(source: str, scripts: ScriptEngine) -> None:
    async def value(code: str, state: Json) -> Json:
        async with scripts.session() as session:
            return (await session.evaluate(Script(code, ScriptForm.TRANSFORM), state)).value

    expected = await value(source, {**STEPS, "q": 1})
    given = await value(renamed_script(source, IDS), {**RENAMED, "q": 1})
    if source == "$":
        # All of the state is all of it.
        assert given == {**RENAMED, "q": 1}
    else:
        assert given == expected


@pytest.mark.parametrize(
    ("condition", "stops"),
    [
        ("(response, pageInfo) => response.data === 5", True),
        ("(page, info, s) => s.response.data.n === page.data", False),
        ("(page, info, s) => s.response.data.n === 1", True),
        ("sourceData.response.data.n === 1 && response.data === 5", True),
        ("return sourceData.response.data.n === 1", True),
    ],
)
async def test_a_stop_condition_reads_the_page_and_the_renamed_step(
    condition: str, stops: bool, scripts: ScriptEngine
) -> None:
    pagination = {
        "type": "pageBased",
        "stopCondition": condition,
        "pageSize": "<<response.data.n>>",
    }
    step = {"id": "x", "config": {"url": "https://a.test", "pagination": pagination}}
    renamed = renamed_step(step, IDS)["config"]["pagination"]
    assert renamed["pageSize"] == "<<response2.data.n>>"
    async with scripts.session() as session:
        script = Script(renamed["stopCondition"], ScriptForm.STOP_CONDITION)
        given = await session.evaluate(script, {"data": 5}, {"page": 1}, RENAMED)
    assert given.value is stops


@pytest.mark.parametrize(
    ("template", "renamed"),
    [
        ("/a/<<response.data.n>>?b=<<q>>", "/a/<<response2.data.n>>?b=<<q>>"),
        ("<<raw:response.data>>", "<<raw:response2.data>>"),
        ("<<$.response[0]>>", "<<$.response2[0]>>"),
        ("<<get-it>>", "<<get-it2>>"),
        ("{{response.data}} {{responses}}", "{{response2.data}} {{responses}}"),
        ("<<(s) => s.response.data>>", "<<(s) => s.response2.data>>"),
        (
            "<<(s) => s.response.data + 1>>",
            "<<(s) => ((s) => s.response.data + 1)({ ...s, response: s.response2 })>>",
        ),
        ('{"response": "<<currentItem.response>>"}', '{"response": "<<currentItem.response>>"}'),
    ],
)
def test_a_template_names_renamed_steps(template: str, renamed: str) -> None:
    assert renamed_template(template, IDS) == renamed


def test_every_part_of_a_step_that_reads_others_is_renamed() -> None:
    named = "<<response.data.n>>"
    config = {"type": "tool", "toolId": "response", "inputs": {"a": [named, 1], "b": None}}
    step = {"id": "response", "config": config, "dataSelector": "$.response.data"}
    assert renamed_step(step, IDS) == {
        "id": "response",
        "config": {
            "type": "tool",
            "toolId": "response",
            "inputs": {"a": ["<<response2.data.n>>", 1], "b": None},
        },
        "dataSelector": "(s) => s.response2.data",
    }
