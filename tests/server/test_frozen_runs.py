"""Recorded runs kept as folders: what is in them, what is refused, how they are tested."""

import json
import re
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from server.app import open_service
from server.frozen_runs import FreezeError, FrozenResult, FrozenRun, find_frozen_runs, freeze_run
from server.service import Service
from server.settings import Settings
from storage.run_record import StoredRun
from tests.server.helpers import request_tool, script_tool, start, store
from tests.web import Answer, Seen, serve
from tools.context import Engines
from tools.http import HttpClient
from tools.run import RunStatus
from tools.scripts import ScriptEngine

SECRET = "correct-horse-battery-staple"


@pytest.fixture
async def engines() -> AsyncGenerator[Engines]:
    """Engines that belong to no home."""
    async with HttpClient(user_agent="test") as http, ScriptEngine(workers=1) as scripts:
        yield Engines(http, scripts)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a run is frozen; it is not there yet."""
    return tmp_path / "frozen"


async def run(service: Service, tool_id: str, inputs: Any = None, **fields: Any) -> StoredRun:
    active = await start(service, tool_id, inputs, **fields)
    await active.wait()
    return await service.get_run(active.run_id)


async def came_out(directory: Path, engines: Engines) -> FrozenResult:
    return await FrozenRun(directory).test(engines)


def contents(folder: Path) -> dict[str, str]:
    """What each file of a folder holds."""
    return {file.name: file.read_text("utf-8") for file in folder.iterdir() if file.is_file()}


def edit(file: Path, **fields: Any) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **fields}))


async def frozen_orders(service: Service, directory: Path) -> StoredRun:
    """A run with a system, a sub-tool in a loop, a retry and a binary answer, frozen."""

    async with serve() as web:
        first_attempt = True

        def respond(seen: Seen) -> Answer:
            nonlocal first_attempt
            if seen.target == "/token":
                return Answer({"access_token": "a-token-of-an-hour"})
            if seen.target == "/list" and first_attempt:
                first_attempt = False
                return Answer(status=503)
            if seen.path == "/file":
                headers = {"content-type": "application/octet-stream"}
                return Answer(bytes(range(256)), headers=headers)
            return Answer({"at": seen.target, "you": seen.headers["authorization"]})

        web.responds(respond)
        auth = {
            "type": "oauth2",
            "grant": "client_credentials",
            "tokenUrl": f"{web.url}/token",
            "clientId": "client",
            "clientSecret": "secret",
        }
        credentials = {"client": "the-client", "secret": SECRET}
        system = {"id": "acme", "url": web.url, "auth": auth, "credentials": credentials}
        report = await service.connections.put(system)
        assert report["outcome"] == "added", report
        inner = request_tool("inner", "/item/<<n>>", config={"systemId": "acme"})
        call = {"type": "tool", "toolId": "inner", "inputs": {"n": "<<currentItem>>"}}
        steps = [
            {"id": "list", "config": {"systemId": "acme", "url": "/list"}},
            {"id": "each", "dataSelector": "(s) => s.ids", "config": call},
            {"id": "file", "config": {"systemId": "acme", "url": "/file?t=<<token>>"}},
        ]
        output = "(s) => ({list: s.list.data, each: s.each.map((e) => e.data)})"
        outer = {"id": "orders", "steps": steps, "outputTransform": output, "retryDelayMs": 0}
        await store(service, inner, outer)
        made = await run(service, "orders", {"ids": [1, 2]}, credentials={"token": SECRET + "2"})
        assert made.status is RunStatus.SUCCESS, made.error
    await freeze_run(service, made.run_id, directory)
    return made


async def test_a_frozen_run_comes_out_as_it_did_without_home_and_upstream(
    service: Service, engines: Engines, folder: Path
) -> None:
    await frozen_orders(service, folder)
    result = await came_out(folder, engines)
    assert result.problems == ()


async def test_a_frozen_run_is_readable_and_holds_no_secret(service: Service, folder: Path) -> None:
    made = await frozen_orders(service, folder)
    content = contents(folder)
    assert sorted(content) == [
        "exchanges.json",
        "expected.json",
        "frozen-run.json",
        "inputs.json",
        "sub-tools.json",
        "systems.json",
        "tool.json",
    ]
    for text in content.values():
        assert SECRET not in text
        assert "a-token-of-an-hour" not in text
    assert json.loads(content["inputs.json"]) == {"ids": [1, 2]}
    assert json.loads(content["expected.json"])["data"] == made.data
    (system,) = json.loads(content["systems.json"])
    assert system["credentialNames"] == ["client", "secret"]
    assert "credentials" not in system
    bodies = [one["exchange"] for one in json.loads(content["exchanges.json"])]
    assert sum("responseBodyBase64" in one for one in bodies) == 1
    assert sum("responseBody" in one for one in bodies) == len(bodies) - 1


async def test_a_difference_is_a_failure_that_names_its_place(
    service: Service, engines: Engines, folder: Path
) -> None:
    await store(service, script_tool("t", "(s) => ({n: s.n, at: 1})"))
    await freeze_run(service, (await run(service, "t", {"n": 1})).run_id, folder)
    expected = folder / "expected.json"
    edit(expected, data={"n": 2, "at": 5})
    result = await came_out(folder, engines)
    assert not result.has_passed
    assert {change.path for change in result.changes()} == {"$.n", "$.at"}
    edit(expected, ignore=["$.n", "$.at"])
    assert (await came_out(folder, engines)).has_passed
    edit(expected, ignore=["$["])
    with pytest.raises(FreezeError, match="no JSONPath"):
        await came_out(folder, engines)
    edit(expected, status="failed", ignore=[])
    assert (await came_out(folder, engines)).problems == ("status: expected failed, it is success",)


async def test_a_changed_tool_is_tested_with_the_recorded_answers(
    service: Service, engines: Engines, folder: Path
) -> None:
    await frozen_orders(service, folder)
    edit(folder / "tool.json", outputTransform="(s) => 1")
    assert (await came_out(folder, engines)).problems == ("data: 1 difference",)
    edit(folder / "inputs.json", ids=[3])
    (problem,) = (await came_out(folder, engines)).problems
    assert "/item/3 has no recorded answer" in problem


async def test_a_definition_that_cannot_be_stored_is_not_run(
    service: Service, engines: Engines, folder: Path
) -> None:
    async with serve() as web:
        web.answers(Answer([1]))
        await store(service, request_tool("get", web.url))
        made = await run(service, "get")
    await freeze_run(service, made.run_id, folder)
    file = folder / "tool.json"
    definition = json.loads(file.read_text())
    (step,) = definition["steps"]
    step["config"]["methd"] = "POST"
    cases: list[tuple[dict[str, Any], list[str]]] = [
        ({**definition, "retires": 3, "outptTransform": "$"}, ["config.methd", "retires", "outpt"]),
        ({"id": "x"}, ["steps"]),
        ({}, ["steps"]),
        ({"id": 5, "steps": []}, ["id"]),
    ]
    for changed, places in cases:
        file.write_text(json.dumps(changed))
        result = await came_out(folder, engines)
        assert result.is_refused
        assert not result.has_passed
        for place in places:
            assert any(place in one for one in result.problems), (place, result.problems)
        assert all(one.startswith("tool.json: ") for one in result.problems)
    file.write_text(json.dumps({"id": "x", "outputTransform": "1"}))
    (folder / "sub-tools.json").write_text('{"inner": 1}')
    (problem,) = (await came_out(folder, engines)).problems
    assert problem.startswith("sub-tools.json: inner: (root): a tool is a JSON object")


async def test_a_definition_with_warnings_alone_is_run(
    service: Service, engines: Engines, folder: Path
) -> None:
    call = {"id": "call", "config": {"type": "tool", "toolId": "nowhere"}}
    await store(service, {"id": "t", "steps": [{**call, "failureBehavior": "continue"}]})
    await freeze_run(service, (await run(service, "t")).run_id, folder)
    assert (await came_out(folder, engines)).problems == ()


async def test_a_failed_run_is_frozen_with_its_error(
    service: Service, engines: Engines, folder: Path
) -> None:
    async with serve() as web:
        web.answers(Answer({"message": "no"}, 404))
        await store(service, request_tool("get", web.url))
        made = await run(service, "get")
    await freeze_run(service, made.run_id, folder)
    expected = json.loads((folder / "expected.json").read_text())
    assert (expected["error"], expected["errorKind"]) == (made.error, "http_status")
    assert (await came_out(folder, engines)).has_passed
    edit(folder / "expected.json", error="something else", errorKind="timeout")
    assert len((await came_out(folder, engines)).problems) == 2


async def test_what_cannot_be_replayed_is_not_frozen(
    service: Service, settings: Settings, tmp_path: Path
) -> None:
    async with serve() as web:
        await store(service, request_tool("get", web.url), script_tool("echo", "1"))
        dry = await run(service, "get", options={"execution": "dry"})
        web.answers(Answer("x" * (service.engines.max_recorded_body_bytes + 1)))
        cut = await run(service, "get")
        web.answers(Answer("x"))
        forgets = settings.model_copy(update={"record_exchanges": False})
        async with open_service(forgets) as forgetful:
            absent = await run(forgetful, "get")
    secret = await run(service, "echo", {"x": SECRET}, credentials={"token": SECRET})
    for made, why in (
        (dry, "was dry"),
        (cut, "was cut"),
        (absent, "not recorded"),
        (secret, r"held a secret: \$\.x"),
    ):
        with pytest.raises(FreezeError, match=why):
            await freeze_run(service, made.run_id, tmp_path / "frozen")
    assert not (tmp_path / "frozen").exists()


async def test_a_folder_with_something_in_it_is_left_as_it_is(
    service: Service, tmp_path: Path
) -> None:
    await store(service, script_tool("t", "1"))
    made = await run(service, "t")
    (tmp_path / "mine").write_text("kept")
    before = contents(tmp_path)
    with pytest.raises(FreezeError, match="is not empty"):
        await freeze_run(service, made.run_id, tmp_path)
    assert contents(tmp_path) == before


async def test_frozen_runs_are_found_below_a_folder(service: Service, tmp_path: Path) -> None:
    await store(service, script_tool("t", "1"))
    made = await run(service, "t")
    for place in ("a", "b/c"):
        await freeze_run(service, made.run_id, tmp_path / "tests" / place)
    root = tmp_path / "tests"
    assert find_frozen_runs(root) == [root / "a", root / "b" / "c"]
    assert find_frozen_runs(root / "a") == [root / "a"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(FreezeError, match="holds no frozen run"):
        find_frozen_runs(tmp_path / "empty")


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("frozen-run.json", '{"format": 99}'),
        ("frozen-run.json", "[]"),
        ("frozen-run.json", '{"format": 1, "options": {"timeoutMs": "x"}}'),
        ("tool.json", "{"),
        ("exchanges.json", "{}"),
        ("exchanges.json", '[{"exchange": 1}]'),
        ("exchanges.json", '[{"exchange": {"requestHeaders": [1]}}]'),
        ("sub-tools.json", "[1]"),
        ("systems.json", '[{"auth": 1}]'),
        ("expected.json", '{"ignore": 1}'),
    ],
)
async def test_a_damaged_folder_is_told_by_its_file_or_folder(
    service: Service, folder: Path, file: str, content: str
) -> None:
    await store(service, script_tool("t", "1"))
    await freeze_run(service, (await run(service, "t")).run_id, folder)
    (folder / file).write_text(content)
    with pytest.raises(FreezeError, match=re.escape(str(folder))):
        FrozenRun(folder)


async def test_a_missing_file_is_named(service: Service, folder: Path) -> None:
    await store(service, script_tool("t", "1"))
    await freeze_run(service, (await run(service, "t")).run_id, folder)
    (folder / "inputs.json").unlink()
    with pytest.raises(FreezeError, match=r"it has no inputs\.json"):
        FrozenRun(folder)
