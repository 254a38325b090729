"""Writing tools over MCP: checked, tried, stored, mended, made of runs; in both eras."""

import json
import re
from importlib.resources import files
from typing import Any

import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError

from server.mcp_surface.authoring import AUTHORING_TOOLS
from server.mcp_surface.authoring.tool import EXAMPLE, FIELD_EXAMPLES
from server.mcp_surface.names import RESERVED_NAMES
from server.mcp_surface.selection import Selection
from server.mcp_surface.surface import McpSurface
from server.service import Service
from tests.server.helpers import request_tool, script_tool, store
from tests.server.test_mcp import ERAS, MODERN, call, connected, listed, text
from tests.web import Answer, Web


def authoring(service: Service, era: str, **selection: bool) -> Client:
    surface = McpSurface(service, Selection(authoring=True, **selection))  # pyright: ignore[reportArgumentType]: flags only
    return Client(surface.server, mode=era)  # pyright: ignore[reportArgumentType]: the fixture's eras are valid


async def ask(client: Client, name: str, **arguments: Any) -> Any:
    answer = await call(client, name, arguments)
    assert not answer.get("isError"), text(answer)
    return answer["structuredContent"]


@ERAS
async def test_without_authoring_no_tool_can_be_written(era: str, service: Service) -> None:
    async with connected(service, era) as client:
        assert not set(AUTHORING_TOOLS) & set(await listed(client))
        with pytest.raises(MCPError, match="Unknown tool: save_tool"):
            await client.call_tool("save_tool", {"definition": EXAMPLE})


def test_the_names_of_authoring_tools_are_reserved() -> None:
    assert set(AUTHORING_TOOLS) < RESERVED_NAMES


@ERAS
async def test_a_model_mends_its_definition_by_the_problems_it_is_told(
    era: str, service: Service, web: Web
) -> None:
    web.responds(lambda seen: Answer({"rows": [{"id": 1, "name": "a"}]}))
    wrong = {"id": "rows", "steps": [{"id": "get", "config": {"uri": web.url, "methd": "GET"}}]}
    async with authoring(service, era) as client:
        checked = await ask(client, "check_tool", definition=wrong)
        assert not checked["valid"]
        assert {one["path"] for one in checked["problems"]} >= {"steps[0].config.uri"}
        assert checked["example"] == EXAMPLE
        example = {one["path"]: one.get("example") for one in checked["problems"]}
        assert example["steps[0].config.url"] == "https://api.example.com/items/<<id>>"
        refused = await call(client, "save_tool", {"definition": wrong})
        assert refused["isError"]
        assert json.loads(text(refused))["outcome"] == "refused"
        assert service.catalog.get("rows") is None
        answer = await call(client, "try_tool", {"definition": wrong})
        assert answer["isError"]
        assert "steps[0].config.uri" in text(answer)

        mended = {"id": "rows", "steps": [{"id": "get", "config": {"url": f"{web.url}/<<day>>"}}]}
        checked = await ask(client, "check_tool", definition=mended)
        assert checked["valid"]
        assert checked["touches"][0]["method"] == "GET"
        dry = await call(client, "try_tool", {"definition": mended, "inputs": {"day": "mon"}})
        assert dry["structuredContent"]["result"][0]["url"] == f"{web.url}/mon"
        assert web.seen == []
        live = await call(
            client, "try_tool", {"definition": mended, "inputs": {"day": "mon"}, "mode": "limited"}
        )
        assert live["structuredContent"] == {"rows": [{"id": 1, "name": "a"}]}
        assert [seen.path for seen in web.seen] == ["/mon"]
        assert service.catalog.get("rows") is None
        run = await service.get_run(live["_meta"]["callslip/runId"])
        assert (run.tool_id, run.status) == ("rows", "success")

        saved = await ask(client, "save_tool", definition=mended)
        assert (saved["outcome"], saved["name"], saved["version"]) == ("added", "rows", "1.0.0")
        assert "rows" in await listed(client)
        changed = {**mended, "instruction": "Rows of a day."}
        saved = await ask(client, "save_tool", definition=changed)
        assert (saved["outcome"], saved["version"]) == ("updated", "1.0.1")
        assert saved["changes"] == [
            {"path": "$.instruction", "change": "added", "after": "Rows of a day."}
        ]
        assert (await ask(client, "save_tool", definition=changed))["outcome"] == "unchanged"
        assert (await ask(client, "remove_tool", toolId="rows"))["removed"]
        assert "rows" not in await listed(client)
        assert (await call(client, "remove_tool", {"toolId": "rows"}))["isError"]


STEP: dict[str, Any] = {"id": "get", "config": {"url": "https://a.test/x"}}


def request_step(**config: Any) -> dict[str, Any]:
    return {**STEP, "config": {**STEP["config"], **config}}


WRONG_SCHEMAS: list[Any] = [
    [],
    {"type": "array"},
    {"query": {"type": "string"}},
    {"$schema": "http://json-schema.org/draft-04/schema#"},
    {"properties": {"a": 5, "b": {"type": "text"}, "c": {"required": True}}},
    {"properties": {"a": {"pattern": "("}, "b": {"minLength": -1}, "c": {"enum": "x"}}},
    {
        "properties": {
            "a": {"items": [{}]},
            "b": {"$ref": "#/$defs/no"},
            "c": {"minimum": ""},
        }
    },
    {"properties": {"a": {"type": "array", "x-mcp-header": "A"}, "b": {"allOf": {}}}},
    {"properties": {"a": {"type": "string", "x-mcp-header": "no header"}}},
    {"properties": {n: {"type": "string", "x-mcp-header": "A"} for n in ("a", "b")}},
    {"properties": {"a": {"default": "\ud800"}}},
]

WRONG: list[Any] = [
    {},
    {"id": "not an id!"},
    {"id": "t", "steps": "get"},
    {"id": "t", "steps": [STEP, STEP], "colour": "red", "x-own": 1},
    {"id": "t", "steps": [{"id": "get", "config": {"type": "fetch"}}]},
    {"id": "t", "steps": [{"id": "me", "config": {"type": "tool", "toolId": "t"}}]},
    {"id": "t", "steps": [{"id": "no", "config": {"type": "tool", "toolId": "nowhere"}}]},
    {
        "id": "t",
        "steps": [{"id": "no", "config": {"type": "transform", "transformCode": "(s) =>"}}],
    },
    {"id": "t", "steps": [request_step(method="FETCH", url="ftp://a.test", systemId="nowhere")]},
    {"id": "t", "steps": [request_step(url="/path", body="<<open", headers=["a"])]},
    {"id": "t", "steps": [request_step(headers={"Authorization": "Bearer 0123456789abcdef0123"})]},
    {"id": "t", "steps": [request_step(pagination={"type": "pages", "pageSize": 0})]},
    {"id": "t", "steps": [request_step(pagination={"type": "nextUrl"}), {**STEP, "retries": "3"}]},
    {
        "id": "t",
        "steps": [{**STEP, "timeoutMs": -1, "dataSelector": "s.x", "failureBehavior": "go"}],
    },
    {"id": "t", "steps": [STEP], "responseFilters": [{"pattern": "(", "action": "HIDE"}]},
    {"id": "t", "steps": [STEP], "outputTransform": "return 1", "outputSchema": 5},
    *({"id": "t", "steps": [STEP], "inputSchema": schema} for schema in WRONG_SCHEMAS),
]


@pytest.mark.parametrize("definition", WRONG, ids=str)
async def test_every_problem_has_a_place_what_is_valid_there_and_an_example(
    definition: Any, service: Service
) -> None:
    async with authoring(service, MODERN) as client:
        problems = (await ask(client, "check_tool", definition=definition))["problems"]
    assert problems
    for problem in problems:
        assert {"path", "message", "valid", "example"} <= problem.keys(), problem


async def test_what_problems_show_as_an_example_is_valid(service: Service) -> None:
    examples = FIELD_EXAMPLES
    step = {"id": examples["id"], "config": {**examples["config"], "method": examples["method"]}}
    definition = {
        "id": examples["id"],
        "version": examples["version"],
        "inputSchema": examples["inputSchema"],
        "outputSchema": examples["outputSchema"],
        "outputTransform": examples["outputTransform"],
        "responseFilters": examples["responseFilters"],
        "timeoutMs": examples["timeoutMs"],
        "steps": [
            *examples["steps"],
            {
                **step,
                "dataSelector": examples["dataSelector"],
                "failureBehavior": examples["failureBehavior"],
                "retries": examples["retries"],
                "config": {
                    **step["config"],
                    "url": examples["url"],
                    "headers": examples["headers"],
                    "body": examples["body"],
                    "pagination": {
                        **examples["pagination"],
                        "stopCondition": examples["stopCondition"],
                    },
                },
            },
            {
                "id": "open",
                "config": {"type": "transform", "transformCode": examples["transformCode"]},
            },
        ],
    }
    assert (await service.tools.check(definition)).problems == ()


@pytest.mark.parametrize(
    ("definition", "path", "example"),
    [
        ({"steps": [{"id": "s", "config": {"type": "nope"}}]}, "steps[0].config.type", "request"),
        ({"inputSchema": {"type": "nope"}, "steps": []}, "inputSchema.type", "object"),
        (
            {"inputSchema": {"properties": {"url": 5}}, "steps": []},
            "inputSchema.properties.url",
            {"type": "string"},
        ),
        ({"instruction": 5, "steps": []}, "instruction", EXAMPLE["instruction"]),
    ],
)
async def test_an_example_is_one_for_the_place_of_its_problem(
    definition: dict[str, Any], path: str, example: Any, service: Service
) -> None:
    async with authoring(service, MODERN) as client:
        checked = await ask(client, "check_tool", definition={"id": "t", **definition})
    examples = [one.get("example") for one in checked["problems"] if one["path"] == path]
    assert example in examples


@ERAS
async def test_each_version_says_who_made_it_and_from_which_client(
    era: str, service: Service
) -> None:
    async with authoring(service, era) as client:
        await ask(client, "save_tool", definition=script_tool("t", "1"))
        await ask(client, "remove_tool", toolId="t")
    [removal] = await service.tools.removals("t")
    assert removal.client_name is not None
    await store(service, script_tool("t", "2"))
    second, first = await service.tools.versions("t")
    assert first.client_name is not None
    assert second.client_name is None
    assert first.changed_by == second.changed_by is not None


@ERAS
async def test_a_definition_that_is_tried_writes_only_when_it_is_to(
    era: str, service: Service, web: Web
) -> None:
    web.responds(lambda seen: Answer({"made": True}))
    definition = request_tool("make", web.url, config={"method": "POST"}, retries=0)
    async with authoring(service, era) as client:
        for mode in ("dry", "limited"):
            await call(client, "try_tool", {"definition": definition, "mode": mode})
        assert web.seen == []
        await call(client, "try_tool", {"definition": definition, "mode": "live"})
        assert [seen.method for seen in web.seen] == ["POST"]


@ERAS
@pytest.mark.parametrize("flag", ["read_only", "confirm_writes"])
async def test_a_trial_obeys_what_holds_for_calls(
    flag: str, era: str, service: Service, web: Web
) -> None:
    definition = request_tool("make", web.url, config={"method": "POST"}, retries=0)
    async with authoring(service, era, **{flag: True}) as client:
        answer = await call(client, "try_tool", {"definition": definition, "mode": "live"})
        assert answer["isError"]
        assert {"read_only": "read-only", "confirm_writes": "cannot ask"}[flag] in text(answer)
    assert web.seen == []


@ERAS
async def test_runs_become_a_tool(era: str, service: Service, web: Web) -> None:
    web.responds(
        lambda seen: Answer(
            {"id": 7, "owner": "ann"} if seen.path == "/item/7" else {"name": "Ann"}
        )
    )
    item = {
        "id": "item",
        "inputSchema": {"type": "object", "properties": {"number": {"type": "integer"}},
                        "required": ["number"]},
        "steps": [{"id": "item", "config": {"url": f"{web.url}/item/<<number>>"}}],
        "outputTransform": "(s) => s.item.data.owner",
    }  # fmt: skip
    owner = {
        "id": "owner",
        "steps": [{"id": "owner", "config": {"url": f"{web.url}/owner/<<who>>"}}],
        "outputTransform": "(s) => s.owner.data.name",
    }
    async with authoring(service, era) as client:
        made: list[str] = []
        for definition, inputs in ((item, {"number": 7}), (owner, {"who": "ann"})):
            answer = await call(
                client, "try_tool", {"definition": definition, "inputs": inputs, "mode": "live"}
            )
            made.append(answer["_meta"]["callslip/runId"])
        saved = await ask(client, "save_runs_as_tool", runIds=made, id="both", instruction="Both.")
        assert saved["outcome"] == "added", saved["problems"]
        definition = saved["definition"]
        assert [step["id"] for step in definition["steps"]] == ["item", "owner"]
        assert any("names item_result" in one for one in saved["notes"])
        properties = definition["inputSchema"]["properties"]
        assert properties["number"] == {"type": "integer", "examples": [7]}
        assert properties["who"] == {"type": "string", "examples": ["ann"]}
        assert definition["inputSchema"]["required"] == ["number"]
        answer = await call(client, "both", {"number": 7, "who": "ann"})
        assert answer["structuredContent"] == {"result": "Ann"}
        reading = {"outputTransform": "(s) => [s.item_result, s.owner.data.name]"}
        saved = await ask(client, "save_runs_as_tool", runIds=made, id="pair", **reading)
        ids = [step["id"] for step in saved["definition"]["steps"]]
        assert ids == ["item", "item_result", "owner"]
        again = await call(client, "save_runs_as_tool", {"runIds": [made[0], "nobody"], "id": "x"})
        assert "nobody not found" in text(again)


@ERAS
async def test_runs_that_do_not_fit_together_are_refused_with_the_reason(
    era: str, service: Service
) -> None:
    def tool(code: str, kind: str) -> dict[str, Any]:
        step = {"id": "same", "config": {"type": "transform", "transformCode": code}}
        properties = {"x": {"type": kind}}
        schema = {"type": "object", "properties": properties}
        return {"id": "t", "inputSchema": schema, "steps": [step]}

    async with authoring(service, era) as client:
        made = [await tried(client, tool("(s) => 1", kind), {}) for kind in ("string", "integer")]
        answer = await call(client, "save_runs_as_tool", {"runIds": made, "id": "x"})
        assert "input x is integer" in text(answer)


async def tried(client: Client, definition: Any, inputs: Any, mode: str = "live") -> str:
    """The id of the run of a trial."""
    arguments = {"definition": definition, "inputs": inputs, "mode": mode}
    return (await call(client, "try_tool", arguments))["_meta"]["callslip/runId"]


@ERAS
async def test_steps_of_one_id_get_ids_of_their_own_and_are_read_under_them(
    era: str, service: Service, web: Web
) -> None:
    web.responds(lambda seen: Answer({"path": seen.path, "next": f"{seen.path}/x"}))

    def imported(name: str, *further: dict[str, Any]) -> dict[str, Any]:
        first = {"id": "response", "config": {"url": f"{web.url}/{name}"}}
        return {"id": name, "steps": [first, *further]}

    follow = {"id": "follow", "config": {"url": f"{web.url}<<raw:response.data.next>>"}}
    both = {"id": "both", "config": {"type": "transform", "transformCode":
            "({ response, follow }) => [response.data.path, follow.data.path]"}}  # fmt: skip
    async with authoring(service, era) as client:
        made = [
            await tried(client, imported("a"), {}),
            await tried(client, imported("b", follow, both), {}),
            await tried(client, imported("a"), {}),
        ]
        saved = await ask(client, "save_runs_as_tool", runIds=made, id="joined")
        assert saved["outcome"] == "added", saved["problems"]
        ids = [step["id"] for step in saved["definition"]["steps"]]
        assert ids == ["response", "response2", "follow", "both"]
        assert f"step response of run {made[1]} is the step response2" in saved["notes"]
        assert any(made[2] in one and "there once" in one for one in saved["notes"])
        answer = await call(client, "joined", {})
        assert answer["structuredContent"] == {"result": ["/b", "/b/x"]}


@ERAS
async def test_a_step_does_not_hide_an_input_of_a_later_run(era: str, service: Service) -> None:
    first = {"id": "word", "config": {"type": "transform", "transformCode": "(s) => 'step'"}}
    second = {"id": "told", "config": {"type": "transform", "transformCode": "(s) => s.word"}}
    async with authoring(service, era) as client:
        made = [
            await tried(client, {"id": "a", "steps": [first]}, {}),
            await tried(client, {"id": "b", "steps": [second]}, {"word": "input"}),
        ]
        await ask(client, "save_runs_as_tool", runIds=made, id="joined")
        answer = await call(client, "joined", {"word": "mine"})
        assert answer["structuredContent"] == {"result": "mine"}
        made.append(await tried(client, {"id": "b", "steps": [second]}, {"word": "other"}))
        saved = await ask(client, "save_runs_as_tool", runIds=made[1:], id="twice")
        assert any("input word was another one in run" in one for one in saved["notes"])


SECRET_INPUTS: dict[str, Any] = {
    "password": "CCCC1111bbbb2222",
    "api_key": "AAAA1111bbbb2222",
    "q": f"ghp_{'a1B2' * 9}",
    "deep": {"list": [{"token": "DDDD1111"}]},
    "database": "postgres://ann:EEEE1111@db.test/x",
    "hook": "https://hooks.slack.com/services/T0000/B0000/FFFFeeeeDDDDccccBBBBaaaa",
}


@ERAS
async def test_a_secret_input_is_no_example_of_the_tool_and_named_in_the_notes(
    era: str, service: Service
) -> None:
    inputs = {**SECRET_INPUTS, "limit": 5, "written": "x"}
    declared = {"written": {"type": "string", "format": "password", "default": "GGGG1111"}}
    definition = script_tool("t", "(s) => 1", inputSchema={
        "type": "object", "properties": declared
    })  # fmt: skip
    async with authoring(service, era) as client:
        run_id = await tried(client, definition, inputs)
        saved = await ask(client, "save_runs_as_tool", runIds=[run_id], id="joined")
        properties = saved["definition"]["inputSchema"]["properties"]
        assert properties == {
            **{name: {"type": "string"} for name in SECRET_INPUTS},
            "deep": {"type": "object"},
            "limit": {"type": "integer", "examples": [5]},
            "written": {"type": "string", "format": "password"},
        }
        told = " ".join(saved["notes"])
        assert all(f"input {name} " in told for name in (*SECRET_INPUTS, "written"))
        assert "1111" not in json.dumps(saved)
        assert "1111" not in json.dumps((await service.tools.get("joined")).definition)


@ERAS
async def test_a_run_that_failed_or_sent_nothing_is_refused(
    era: str, service: Service, web: Web
) -> None:
    web.responds(lambda seen: Answer({}, status=404))
    async with authoring(service, era) as client:
        failed = await tried(client, request_tool("a", web.url), {})
        answer = await call(client, "save_runs_as_tool", {"runIds": [failed], "id": "x"})
        assert answer["isError"]
        assert f"run {failed} did not succeed" in text(answer)
        assert service.catalog.get("x") is None
        dry = await tried(client, request_tool("a", web.url), {}, "dry")
        answer = await call(client, "save_runs_as_tool", {"runIds": [dry], "id": "x"})
        assert answer["isError"]
        assert f"run {dry} was a dry one: its requests were never sent" in text(answer)
        assert "mode limited or live" in text(answer)
        assert service.catalog.get("x") is None


LIMITS: dict[str, Any] = {"timeoutMs": 9000, "retries": 1, "retryDelayMs": 5, "concurrency": 2}
FILTERS = [{"id": "f", "enabled": True, "target": "KEYS", "pattern": "^secret$",
            "action": "REMOVE"}]  # fmt: skip
LISTED = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}


@ERAS
async def test_what_a_tool_has_beside_its_steps_is_carried_over_where_it_holds(
    era: str, service: Service
) -> None:
    def made(step: str, **fields: Any) -> dict[str, Any]:
        config = {"type": "transform", "transformCode": "(s) => ({a: 1, secret: 2})"}
        return {"id": step, "steps": [{"id": step, "config": config}], **fields}

    whole = {**LIMITS, "responseFilters": FILTERS, "outputSchema": LISTED}
    async with authoring(service, era) as client:
        first = await tried(client, made("one", **whole), {})
        again = await tried(client, made("one", **whole), {})
        saved = await ask(client, "save_runs_as_tool", runIds=[first, again], id="same")
        assert {key: saved["definition"].get(key) for key in whole} == whole
        assert (await call(client, "same", {}))["structuredContent"] == {"a": 1}
        own = {"outputTransform": "(s) => 1"}
        saved = await ask(client, "save_runs_as_tool", runIds=[first], id="own", **own)
        assert "outputSchema" not in saved["definition"]
        assert any("outputSchema of the tool" in one for one in saved["notes"])
        other = await tried(client, made("two", timeoutMs=5), {})
        saved = await ask(client, "save_runs_as_tool", runIds=[first, other], id="both")
        steps = saved["definition"]["steps"]
        assert {key: steps[0][key] for key in LIMITS} == LIMITS
        assert (steps[1]["timeoutMs"], "retries" in steps[1]) == (5, False)
        assert not {*LIMITS, "responseFilters", "outputSchema"} & set(saved["definition"])
        told = " ".join(saved["notes"])
        assert f"responseFilters of the tool of run {first} is left out" in told
        assert f"outputSchema of the tool of run {first} is left out" in told


@ERAS
async def test_prompts_are_listed_and_made_of_their_arguments(era: str, service: Service) -> None:
    async with authoring(service, era) as client:
        found = {one.name: one for one in (await client.list_prompts()).prompts}
        assert set(found) == {"create_tool", "diagnose_run"}
        message = await client.get_prompt("create_tool", {"task": "list issues", "api": "GitHub"})
        assert "list issues" in message.messages[0].content.text  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
        message = await client.get_prompt("diagnose_run", {"runId": "r1"})
        assert "run r1" in message.messages[0].content.text  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
        with pytest.raises(MCPError, match="needs the argument task"):
            await client.get_prompt("create_tool", {})
        with pytest.raises(MCPError, match="valid: create_tool, diagnose_run"):
            await client.get_prompt("other", {})
    async with connected(service, era) as client:
        assert [one.name for one in (await client.list_prompts()).prompts] == ["diagnose_run"]


@ERAS
async def test_the_tool_format_is_a_resource(era: str, service: Service) -> None:
    async with authoring(service, era) as client:
        uris = [str(one.uri) for one in (await client.list_resources()).resources]
        assert "callslip://tool-format" in uris
    async with connected(service, era) as client:
        [content] = (await client.read_resource("callslip://tool-format")).contents
        assert content.mime_type == "text/markdown"


async def test_what_prompts_and_the_format_show_is_valid_and_there(service: Service) -> None:
    shown = (files("server.mcp_surface") / "tool_format.md").read_text("utf-8")
    [example] = re.findall(r"^```json\n(.*?)^```", shown, re.M | re.S)
    assert json.loads(example) == EXAMPLE
    checked = await service.tools.check(EXAMPLE)
    assert checked.problems == ()
