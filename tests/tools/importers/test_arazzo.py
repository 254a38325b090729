"""Arazzo workflows: what becomes of steps, runtime expressions, criteria and outputs."""

import json
from typing import Any

import pytest

from tools.errors import RunError
from tools.exporters.arazzo import export_arazzo
from tools.importers import DocumentError, ImportResult
from tools.importers.arazzo import import_arazzo
from tools.importers.curl import import_curl
from tools.model import Tool
from tools.scripts import Script, ScriptEngine, ScriptForm
from tools.system import System

PETS: dict[str, Any] = {
    "openapi": "3.0.3",
    "info": {"title": "Pets", "version": "1"},
    "servers": [{"url": "https://pets.test/v1"}],
    "security": [{"token": []}],
    "components": {"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
    "paths": {
        "/pets": {
            "get": {
                "operationId": "findPets",
                "parameters": [
                    {"name": "tag", "in": "query", "schema": {"type": "string"}},
                    {"name": "limit", "in": "query", "schema": {"type": "integer"}},
                ],
                "responses": {"200": {"description": "ok"}},
            },
            "post": {
                "operationId": "addPet",
                "requestBody": {
                    "required": True,
                    "content": {
                        "application/json": {
                            "schema": {
                                "type": "object",
                                "required": ["name", "mother"],
                                "properties": {
                                    "name": {"type": "string"},
                                    "mother": {"type": "integer"},
                                },
                            }
                        }
                    },
                },
                "responses": {"201": {"description": "ok"}},
            },
        },
    },
}
WORKFLOW: dict[str, Any] = {
    "workflowId": "breed",
    "summary": "Add a pup",
    "inputs": {
        "type": "object",
        "properties": {"tag": {"type": "string"}, "name": {"type": "string"}},
        "required": ["name"],
    },
    "steps": [
        {
            "stepId": "find",
            "operationId": "findPets",
            "parameters": [
                {"name": "tag", "in": "query", "value": "$inputs.tag"},
                {"name": "limit", "in": "query", "value": 1},
                {"name": "page", "in": "query", "value": "$statusCode"},
            ],
            "successCriteria": [
                {"condition": "$statusCode == 200"},
                {"condition": "$response.body#/0 != null"},
                {"context": "$response.body", "condition": "$[0]", "type": "jsonpath"},
            ],
            "onFailure": [{"name": "again", "type": "retry", "retryLimit": 3}],
            "outputs": {"mother": "$response.body#/0/id", "rate": "$response.header.X-Rate"},
        },
        {
            "stepId": "add",
            "operationPath": "{$sourceDescriptions.pets.url}#/paths/~1pets/post",
            "requestBody": {
                "payload": {
                    "name": "{$inputs.name} the pup <<",
                    "mother": "$steps.find.outputs.mother",
                }
            },
            "outputs": {"id": "$response.body#/id"},
        },
    ],
    "outputs": {"id": "$steps.add.outputs.id", "mother": "$steps.find.outputs.mother"},
}


def document(**fields: Any) -> bytes:
    return json.dumps(
        {
            "arazzo": "1.0.0",
            "info": {"title": "Breeding", "version": "1"},
            "sourceDescriptions": [{"name": "pets", "url": "./pets.json", "type": "openapi"}],
            "workflows": [WORKFLOW],
            **fields,
        }
    ).encode()


def read(content: bytes) -> ImportResult:
    return import_arazzo(content, read_bytes={"pets.json": json.dumps(PETS).encode()}.__getitem__)


def test_a_workflow_runs_the_tools_of_its_operations() -> None:
    result = read(document())
    find, add, breed = (tool.definition for tool in result.tools)
    assert [find["id"], add["id"], breed["id"]] == ["findPets", "addPet", "breed"]
    assert [step["id"] for step in breed["steps"]] == ["find", "find_check", "add"]
    first, _, second = (step["config"] for step in breed["steps"])
    assert first == {
        "type": "tool",
        "toolId": "findPets",
        "inputs": '<<(s) => ({["tag"]: s["tag"], ["limit"]: 1})>>',
    }
    assert second["inputs"] == {
        "name": '<<name>> the pup <<(s) => "<<">>',
        "mother": "<<find.data.0.id>>",
    }
    assert breed["outputTransform"] == (
        '(s) => ({["id"]: s["add"]?.["data"]?.["id"], '
        '["mother"]: s["find"]?.["data"]?.["0"]?.["id"]})'
    )
    assert result.system.definition["auth"] == {"type": "bearer", "credential": "token"}


@pytest.mark.parametrize(
    ("expression", "script"),
    [
        ("$inputs.nest.k", 's["nest"]?.["k"]'),
        ("$inputs.nest#/k", 's["nest"]?.["k"]'),
        ("$inputs.dotted.name", 's["dotted.name"]'),
        ("$inputs.dotted.name.k", 's["dotted.name"]?.["k"]'),
        ("$inputs.free.k", 's["free"]?.["k"]'),
        ("$steps.find.outputs.mother.id", 's["find"]?.["data"]?.["0"]?.["id"]'),
    ],
)
def test_what_lies_inside_of_an_input_or_output_is_read_there(expression: str, script: str) -> None:
    kinds = {"nest": {"type": "object"}, "dotted.name": {}}
    find = {
        "stepId": "find",
        "operationId": "findPets",
        "parameters": [{"name": "tag", "in": "query", "value": "$inputs.nest.k"}],
        "outputs": {"mother": "$response.body#/0"},
    }
    workflow = {
        "workflowId": "w",
        "inputs": {"type": "object", "properties": kinds, "required": ["nest"]},
        "steps": [find],
        "outputs": {"it": expression},
    }
    tool = read(document(workflows=[workflow])).tools[-1].definition
    assert tool["outputTransform"] == f'(s) => ({{["it"]: {script}}})'
    # What may be missing there is left out.
    assert tool["steps"][0]["config"]["inputs"] == '<<(s) => ({["tag"]: s["nest"]?.["k"]})>>'


@pytest.mark.parametrize(
    ("selector", "kind", "keys"),
    [
        ("/0/id", "jsonpointer", '?.["0"]?.["id"]'),
        ("", "jsonpointer", ""),
        ("$[0].id", "jsonpath", '?.["0"]?.["id"]'),
        ("$[0]['a b'][\"c\"]", {"type": "jsonpath", "version": "rfc9535"},
         '?.["0"]?.["a b"]?.["c"]'),
        ("$", "jsonpath", ""),
    ],
)  # fmt: skip
def test_a_selector_of_one_value_is_read_there(selector: str, kind: Any, keys: str) -> None:
    of_body = {"context": "$response.body", "selector": selector, "type": kind}
    of_output = {"context": "$steps.find.outputs.it", "selector": selector, "type": kind}
    find = {"stepId": "find", "operationId": "findPets", "outputs": {"it": of_body}}
    workflow = {"workflowId": "w", "steps": [find], "outputs": {"it": of_output}}
    result = read(document(arazzo="1.1.0", workflows=[workflow]))
    assert not list(result.notes)
    assert result.format == "arazzo 1.1"
    found = result.tools[-1].definition["outputTransform"]
    assert found == f'(s) => ({{["it"]: s["find"]?.["data"]{keys}{keys}}})'


@pytest.mark.parametrize(
    ("selector", "kind"),
    [("$[*].id", "jsonpath"), ("$..id", "jsonpath"), ("//id", "xpath"), ("id", "jsonpath")],
)
def test_a_selector_of_many_values_is_named(selector: str, kind: str) -> None:
    chosen = {"context": "$response.body", "selector": selector, "type": kind}
    find = {"stepId": "find", "operationId": "findPets", "outputs": {"it": chosen}}
    result = read(document(arazzo="1.1.0", workflows=[{"workflowId": "w", "steps": [find]}]))
    (note,) = result.notes
    assert str(note.place) == "#/workflows/0/steps/0/outputs/it"
    assert note.reason == f"the selector {selector} is not mapped"


def test_an_operation_has_the_time_that_its_step_gives_it() -> None:
    steps: list[dict[str, Any]] = [
        {"stepId": "a", "operationId": "findPets", "timeout": 1500},
        {"stepId": "b", "operationId": "findPets", "timeout": "PT1H", "dependsOn": ["a", "c"]},
    ]
    result = read(document(arazzo="1.1.0", workflows=[{"workflowId": "w", "steps": steps}]))
    assert [tool.definition.get("timeoutMs") for tool in result.tools] == [1500, None, None]
    assert [str(one.place).rpartition("/")[2] for one in result.notes] == ["timeout", "dependsOn"]


def test_what_is_not_mapped_is_named_with_its_place() -> None:
    notes = {one.place: one.reason for one in read(document()).notes}
    step = "#/workflows/0/steps/0"
    assert f"{step}/successCriteria/0" not in notes
    assert f"{step}/successCriteria/1" not in notes
    assert "not mapped" in notes[f"{step}/successCriteria/2"]
    assert "as `retries`" in notes[f"{step}/onFailure"]
    assert notes[f"{step}/outputs/rate"] == "only the body of an answer is mapped"
    assert "no such input" in notes[f"{step}/parameters/2"]


def one_step(**fields: Any) -> ImportResult:
    step = {"stepId": "find", "operationId": "findPets", **fields}
    return read(document(workflows=[{"workflowId": "w", "steps": [step]}]))


@pytest.mark.parametrize(
    ("criterion", "data", "holds"),
    [
        ({"condition": "$response.body#/state == 'DONE'"}, {"state": "done"}, True),
        ({"condition": "$response.body#/state == 'done'"}, {"state": "open"}, False),
        ({"condition": "$response.body#/n > 2 && !($response.body#/off)"}, {"n": 3}, True),
        ({"condition": "$response.body#/n > 2 && $response.body#/on"}, {"n": 3}, False),
        ({"condition": "$response.body#/n == 1 || $response.body#/n == 2"}, {"n": 2}, True),
        ({"condition": "$response.body#/a/0 != null"}, {"a": []}, False),
        ({"condition": "$response.body#/s == 'it''s'"}, {"s": "it's"}, True),
        (
            {"context": "$response.body#/id", "condition": "^a\\d$", "type": "regex"},
            {"id": "a1"},
            True,
        ),
        (
            {"context": "$response.body#/id", "condition": "^a\\d$", "type": "regex"},
            {"id": "b1"},
            False,
        ),
    ],
)
async def test_a_criterion_over_the_body_fails_the_run_unless_it_holds(
    criterion: dict[str, str], data: Any, holds: bool, scripts: ScriptEngine
) -> None:
    result = one_step(successCriteria=[criterion])
    assert not list(result.notes)
    _, check = result.tools[-1].definition["steps"]
    script = Script(check["config"]["transformCode"], ScriptForm.TRANSFORM)
    async with scripts.session() as session:
        if holds:
            assert (await session.evaluate(script, {"find": {"data": data}})).value == data
            return
        with pytest.raises(RunError, match="the criterion 1 of step find does not hold"):
            await session.evaluate(script, {"find": {"data": data}})


@pytest.mark.parametrize(
    "condition",
    ["$statusCode == 500", "$response.header.x == 1", "$url == 'a'", "1 +", "(" * 99, "== 1", "'a"],
)
def test_a_criterion_that_is_not_understood_is_named(condition: str) -> None:
    result = one_step(successCriteria=[{"condition": condition}])
    assert [one.place for one in result.notes] == ["#/workflows/0/steps/0/successCriteria/0"]
    assert len(result.tools[-1].definition["steps"]) == 1


@pytest.mark.parametrize(
    ("operation", "action", "limits"),
    [
        ("findPets", {"retryLimit": 4, "retryAfter": 1.5}, (4, 1500)),
        ("findPets", {"criteria": [{"condition": "$statusCode == 503"}]}, (1, None)),
        ("findPets", {"criteria": [{"condition": "$statusCode == 404"}]}, None),
        ("findPets", {"stepId": "other"}, None),
        ("addPet", {"retryLimit": 4}, None),
        ("addPet", {"criteria": [{"condition": "$statusCode == 429"}]}, (1, None)),
    ],
)
def test_a_retry_is_mapped_where_a_tool_retries_the_same(
    operation: str, action: dict[str, Any], limits: tuple[int, int | None] | None
) -> None:
    failing = [{"name": "again", "type": "retry", **action}]
    result = one_step(operationId=operation, onFailure=failing)
    tool = result.tools[0].definition
    found = (tool["retries"], tool.get("retryDelayMs")) if "retries" in tool else None
    assert found == limits
    (note,) = [one for one in result.notes if one.place == "#/workflows/0/steps/0/onFailure"]
    assert ("not mapped" in note.reason) == (limits is None)


def test_a_workflow_without_its_description_is_refused_with_the_reason() -> None:
    sources = [{"name": "pets", "url": "https://pets.test/openapi.json", "type": "openapi"}]
    with pytest.raises(DocumentError, match="not fetched"):
        read(document(sourceDescriptions=sources))


def test_a_secret_in_a_parameter_becomes_the_credential_of_the_system() -> None:
    secret = "tok-77-planted-value"
    step: dict[str, Any] = {
        **WORKFLOW["steps"][0],
        "parameters": [{"name": "Authorization", "in": "header", "value": f"Bearer {secret}"}],
    }
    workflow: dict[str, Any] = {**WORKFLOW, "steps": [step], "outputs": {}}
    result = read(document(workflows=[workflow]))
    assert result.system.values == {"token": secret}
    assert secret not in repr(result)


def test_an_exported_tool_comes_back() -> None:
    first = import_curl("curl 'https://a.test/users/7?limit=3' -u ann:some-password")
    definition = first.tools[0].definition
    systems = {first.system.definition["id"]: System.model_validate(first.system.definition)}
    exported = export_arazzo([Tool.model_validate(definition)], systems)
    assert not exported.left_out
    result = import_arazzo(json.dumps(exported.content).encode())
    operation, workflow = (tool.definition for tool in result.tools)
    assert operation["steps"][0]["config"]["url"] == "/users/<<user_id>>"
    assert operation["steps"][0]["config"]["queryParams"] == {"limit": "<<limit>>"}
    assert workflow["inputSchema"] == definition["inputSchema"]
    assert workflow["steps"][0]["config"]["inputs"] == {
        "user_id": "<<user_id>>",
        "limit": "<<limit>>",
    }
