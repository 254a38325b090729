"""`callslip runs rerun | freeze` and `callslip test`, from the terminal."""

import json
import re
import shlex
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.server.helpers import request_tool, script_tool
from tests.server.raw_client import run_command, store_tools
from tests.server.test_cli import as_json, failing
from tests.web import Answer, Web, serve

DOCUMENT = Path(__file__).parents[3] / "docs" / "how-to" / "test-a-tool.md"


async def test_a_run_is_made_again(tmp_path: Path, web: Web) -> None:
    home = tmp_path / "home"
    steps = [
        {"id": "a", "config": {"url": f"{web.url}/a"}},
        {"id": "b", "config": {"url": f"{web.url}/<<x>>"}},
    ]
    await store_tools(home, [{"id": "t", "steps": steps}])
    web.responds(lambda seen: Answer({"at": seen.path}, 404 if seen.path == "/bad" else 200))
    await failing(home, "run", "t", "--inputs", '{"x": "bad"}', "--run-id", "r1", code=1)
    web.seen.clear()

    code, output, errors = await run_command(
        home, "runs", "rerun", "r1", "--from-failed-step", "--inputs", '{"x": "good"}'
    )
    assert (code, json.loads(output)) == (0, {"at": "/good"})
    assert "taken from run r1: a" in errors
    assert [seen.path for seen in web.seen] == ["/good"]

    view = await as_json(home, "runs", "rerun", "r1", "--mode", "replay", "--json", code=1)
    assert (view["sourceRunId"], view["sourceKind"]) == ("r1", "replay")
    assert len(web.seen) == 1
    shown = await as_json(home, "runs", "show", "r1", "--json")
    assert {one["kind"] for one in shown["derivedRuns"]} == {"rerun", "replay"}

    for arguments, words, code in (
        (("r1", "--mode", "sideways"), "valid: live, replay, lenient, dry, limited", 2),
        (("r1", "--version", "oldest"), "valid: snapshot, latest", 2),
        (("r1", "--inputs", "[]"), "valid is a JSON object", 2),
        (("none",), "run none not found", 3),
    ):
        assert words in await failing(home, "runs", "rerun", *arguments, code=code)


async def test_frozen_runs_are_tested_without_home_and_upstream(tmp_path: Path) -> None:
    home, frozen = tmp_path / "home", tmp_path / "tests"
    async with serve() as web:
        web.answers(Answer([{"id": 1, "name": "a"}]))
        await store_tools(home, [request_tool("rows", web.url), script_tool("one", "1")])
        await as_json(home, "run", "rows", "--run-id", "r1")
        await as_json(home, "run", "one", "--run-id", "r2")
    report = await as_json(home, "runs", "freeze", "r1", str(frozen / "rows"), "--json")
    assert report["exchanges"] == 1
    _, output, errors = await run_command(home, "runs", "freeze", "r2", str(frozen / "one"))
    assert (output, "callslip test" in errors) == ("", True)
    words = await failing(home, "runs", "freeze", "r1", str(frozen / "rows"), code=2)
    assert "is not empty" in words

    nowhere = tmp_path / "nowhere"
    code, output, errors = await run_command(nowhere, "test", str(frozen))
    assert (code, output) == (0, "ok     one\nok     rows\n"), errors
    assert "2 of 2" in errors
    assert not nowhere.exists()

    expected = frozen / "rows" / "expected.json"
    changed = {**json.loads(expected.read_text()), "data": [{"id": 1, "name": "b\u0000"}]}
    expected.write_text(json.dumps(changed))
    junit = tmp_path / "reports" / "junit.xml"
    arguments = ("test", str(frozen), "--junit", str(junit), "--json")
    found = await as_json(nowhere, *arguments, code=1)
    assert [(one["name"], one["passed"]) for one in found["runs"]] == [
        ("one", True),
        ("rows", False),
    ]
    (change,) = found["runs"][1]["difference"]["changes"]
    assert (change["path"], change["after"]) == ("$[?@.id==1].name", "a")
    root = ElementTree.parse(junit).getroot()
    suite = root[0]
    assert (root.tag, suite.tag, suite.get("tests"), suite.get("failures")) == (
        "testsuites",
        "testsuite",
        "2",
        "1",
    )
    failures = {case.get("name"): case.find("failure") for case in suite.iter("testcase")}
    assert failures["one"] is None
    failure = failures["rows"]
    assert failure is not None
    assert "$[?@.id==1].name" in (failure.text or "")
    code, output, _ = await run_command(nowhere, "test", str(frozen / "rows"))
    assert (code, output.splitlines()[0]) == (1, "FAILED rows")

    tool = frozen / "rows" / "tool.json"
    tool.write_text(json.dumps({**json.loads(tool.read_text()), "retires": 3}))
    found = await as_json(nowhere, *arguments, code=2)
    assert [one.get("refused") for one in found["runs"]] == [None, True]
    suite = ElementTree.parse(junit).getroot()[0]
    assert (suite.get("failures"), suite.get("errors")) == ("0", "1")
    (error,) = suite.iter("error")
    assert "retires" in (error.text or "")
    code, output, _ = await run_command(nowhere, "test", str(frozen / "rows"))
    assert (code, output.splitlines()[0]) == (2, "ERROR  rows")

    assert "holds no frozen run" in await failing(nowhere, "test", str(home), code=2)
    (frozen / "one" / "tool.json").write_text("{")
    assert "is not JSON" in await failing(nowhere, "test", str(frozen), code=2)


@pytest.mark.skipif(sys.platform == "win32", reason="the commands are for a POSIX shell")
async def test_the_commands_of_the_document_work(tmp_path: Path, web: Web) -> None:
    blocks = re.findall(r"^```sh\n(.*?)^```", DOCUMENT.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    commands = [shlex.split(line) for block in blocks for line in block.splitlines()]
    assert len(commands) > 5
    web.answers(Answer({"rows": [{"id": 7}]}))
    await store_tools(tmp_path / "home", [request_tool("orders", f"{web.url}/<<status>>")])
    for _, *arguments in commands:
        placed = [
            str(tmp_path / one) if one.startswith(("tests", "report.xml")) else one
            for one in arguments
        ]
        code, _, errors = await run_command(tmp_path / "home", *placed)
        assert code == 0, (arguments, errors)
    assert (tmp_path / "report.xml").is_file()
    assert len(web.seen) == 1
    page = DOCUMENT.read_text("utf-8")
    for file in (tmp_path / "tests" / "orders-open").iterdir():
        assert f"`{file.name}`" in page
