"""`callslip runs compare | explain | show --view`: for people, and as JSON."""

import re
import shlex
import sys
from pathlib import Path

import pytest

from tests.server.helpers import request_tool
from tests.server.raw_client import run_command, store_tools
from tests.server.test_cli import as_json, failing
from tests.web import Answer, Web

DOCUMENT = Path(__file__).parents[3] / "docs" / "how-to" / "read-the-history.md"


async def printed(home: Path, *arguments: str) -> str:
    code, output, errors = await run_command(home, *arguments)
    assert code == 0, errors
    return output


async def test_a_list_tells_runs_that_sent_nothing_or_little(tmp_path: Path, web: Web) -> None:
    home = tmp_path / "home"
    web.responds(lambda seen: Answer([1]))
    await store_tools(home, [request_tool("t", web.url)])
    for flags in ((), ("--dry-run",), ("--limited",)):
        await as_json(home, "run", "t", *flags)
    text = await printed(home, "runs", "list")
    assert re.findall(r"success(?: \(\w+\))?", text) == [
        "success (limited)",
        "success (dry)",
        "success",
    ]
    listed = (await as_json(home, "runs", "list", "--json"))["data"]
    assert [run.get("options") for run in listed] == [
        {"execution": "limited"},
        {"execution": "dry"},
        None,
    ]


async def test_runs_are_compared_explained_and_viewed(tmp_path: Path, web: Web) -> None:
    home = tmp_path / "home"
    web.responds(
        lambda seen: (
            Answer({"rows": [{"id": 1, "name": "a"}]})
            if seen.path == "/1"
            else Answer("\x1b[31mnothing here\x1b[0m", 404)
        )
    )
    await store_tools(home, [request_tool("t", f"{web.url}/<<n>>", retries=0)])
    await as_json(home, "run", "t", "--inputs", '{"n": 1}', "--run-id", "good")
    await failing(home, "run", "t", "--inputs", '{"n": 2}', "--run-id", "bad", code=1)

    compared = await as_json(home, "runs", "compare", "good", "bad", "--json")
    assert (compared["a"]["runId"], compared["b"]["runId"]) == ("good", "bad")
    text = await printed(home, "runs", "compare", "good", "bad")
    for words in ("a succeeded, b failed", "inputs (1 change)", "$.n", "get", "the same: tool"):
        assert words in text

    explained = await as_json(home, "runs", "explain", "bad", "--json")
    assert explained["lastGood"]["runId"] == "good"
    text = await printed(home, "runs", "explain", "bad")
    for words in ("failed at step get", "what to do:", "/2 -> 404", "nothing here", "last good"):
        assert words in text
    assert "\x1b" not in text
    text = await printed(home, "runs", "explain", "good")
    assert "no failure to explain" in text
    assert text.endswith(", 1 request\n")

    view = await as_json(home, "runs", "show", "bad", "--view", "workflow", "--json")
    assert view["executionState"]["get"]["status"] == "failure"
    text = await printed(home, "runs", "show", "bad", "--view", "workflow")
    for words in ("root", "manual", "get", "failure"):
        assert words in text
    same = await as_json(home, "runs", "show", "bad", "--view", "tool", "--json")
    assert same == await as_json(home, "runs", "show", "bad", "--json")

    await failing(home, "runs", "show", "bad", "--view", "odd", code=2)
    assert "run x not found" in await failing(home, "runs", "explain", "x", code=3)
    assert "run x not found" in await failing(home, "runs", "compare", "bad", "x", code=3)
    assert "B" in await failing(home, "runs", "compare", "bad", code=2)


@pytest.mark.skipif(sys.platform == "win32", reason="the commands are for a POSIX shell")
async def test_the_commands_of_the_document_work(tmp_path: Path, web: Web) -> None:
    home = tmp_path / "home"
    blocks = re.findall(r"^```sh\n(.*?)^```", DOCUMENT.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    commands = [shlex.split(line) for block in blocks for line in block.splitlines()]
    assert len(commands) > 10
    rows = {"rows": [{"id": n} for n in range(20)]}
    web.answers(Answer(rows), Answer("gone", 404), Answer(rows))
    await store_tools(home, [request_tool("orders", f"{web.url}/orders", retries=0)])
    await as_json(home, "run", "orders", "--run-id", "monday")
    await failing(home, "run", "orders", "--run-id", "tuesday", code=1)
    for _, *arguments in commands:
        code, _, errors = await run_command(home, *arguments)
        assert code == 0, (arguments, errors)
