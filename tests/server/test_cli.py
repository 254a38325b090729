"""The command line as a program sees it: exit codes, what goes to which stream, what is stored."""

import asyncio
import base64
import importlib
import json
import signal
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from storage.blobs import load_blob
from tests.server.helpers import request_tool, script_tool, silent_upstream, until
from tests.server.raw_client import COMMAND, RawClient, environment, run_command, store_tools
from tests.web import Answer, Web

SECRET = "correct-horse-battery-staple"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


def files_of(home: Path) -> list[bytes]:
    """What every file below a folder holds."""
    return [file.read_bytes() for file in home.rglob("*") if file.is_file()]


async def as_json(home: Path, *arguments: str, code: int = 0, stdin: bytes = b"") -> Any:
    """The JSON document that is all of stdout."""
    found, output, errors = await run_command(home, *arguments, stdin=stdin)
    assert found == code, errors
    assert "Traceback" not in errors
    return json.loads(output)


async def failing(home: Path, *arguments: str, code: int, stdin: bytes = b"") -> str:
    """What stderr says of a command that gives no data."""
    found, output, errors = await run_command(home, *arguments, stdin=stdin)
    assert (found, output) == (code, ""), errors
    assert "Traceback" not in errors
    return errors


async def test_without_an_argument_it_prints_what_it_can_do(home: Path) -> None:
    _, output, errors = await run_command(home)
    for command in ("serve", "run", "tools", "runs", "backup"):
        assert command in output + errors
    assert files_of(home) == []


async def test_it_says_its_version(home: Path) -> None:
    code, output, _ = await run_command(home, "--version")
    assert code == 0
    assert output.startswith("callslip ")
    assert files_of(home) == []


async def test_usage_errors_are_exit_code_2(home: Path) -> None:
    await asyncio.gather(
        failing(home, "nowhere", code=2),
        failing(home, "tools", "add", code=2),
        failing(home, "runs", "list", "--status", "odd", code=2),
        failing(home, "serve", "--log-level", "odd", code=2),
        failing(home, "run", "t", "--run-id", "../../etc", code=2),
    )


async def test_a_setting_that_cannot_be_is_named(home: Path) -> None:
    code, output, errors = await run_command(home, "tools", "list", CALLSLIP_SCRIPT_WORKERS="none")
    assert (code, output) == (2, "")
    assert "CALLSLIP_SCRIPT_WORKERS" in errors
    assert "'none'" in errors


async def test_a_setting_that_is_a_secret_is_named_without_its_value(home: Path) -> None:
    _, output, errors = await run_command(home, "tools", "list", CALLSLIP_WEBHOOK_SECRET="sec-ret")
    assert "CALLSLIP_WEBHOOK_SECRET: " in errors
    assert "sec-ret" not in output + errors


async def test_tools_are_added_listed_shown_exported_and_removed(
    home: Path, tmp_path: Path
) -> None:
    file = tmp_path / "tool.json"
    file.write_text(json.dumps(script_tool("one", "1", instruction="Gives one.")))
    report = await as_json(home, "tools", "add", str(file), "--json")
    assert report == {
        "tools": [{"id": "one", "version": "1.0.0", "outcome": "added", "problems": []}]
    }
    report = await as_json(home, "tools", "add", str(file), "--json")
    assert report["tools"][0]["outcome"] == "unchanged"
    both = [script_tool("one", "2"), script_tool("two", "2")]
    report = await as_json(home, "tools", "add", "-", "--json", stdin=json.dumps(both).encode())
    assert [tool["outcome"] for tool in report["tools"]] == ["updated", "added"]
    assert report["tools"][0]["version"] == "1.0.1"

    listed = await as_json(home, "tools", "list", "--json")
    assert [tool["id"] for tool in listed] == ["one", "two"]
    code, table, _ = await run_command(home, "tools", "list")
    assert code == 0
    assert "one" in table
    shown = await as_json(home, "tools", "show", "one")
    assert shown["outputTransform"] == "2"
    exported = await as_json(home, "tools", "export")
    assert [tool["id"] for tool in exported] == ["one", "two"]
    assert await as_json(home, "tools", "export", "two") == exported[1:]

    again = tmp_path / "again"
    report = await as_json(
        again, "tools", "add", "-", "--json", stdin=json.dumps(exported).encode()
    )
    assert [tool["version"] for tool in report["tools"]] == ["1.0.1", "1.0.0"]

    assert "removed one" in await failing(home, "tools", "remove", "one", code=0)
    for command in (("show", "one"), ("remove", "one"), ("export", "two", "one")):
        assert "tool one not found" in await failing(home, "tools", *command, code=3)
    await failing(home, "run", "one", code=3)


async def test_broken_files_are_refused_and_the_others_are_stored(
    home: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "tools"
    (folder / "below").mkdir(parents=True)
    (folder / "a.json").write_text(json.dumps(script_tool("good", "1")))
    (folder / "b.json").write_text("{ this is no JSON")
    (folder / "c.json").write_text(json.dumps({"id": "bad", "steps": [{"id": "s"}]}))
    (folder / "d.json").write_bytes(b"\xff\xfe\x00")
    (folder / "e.json").write_text("")
    (folder / "f.json").write_text("[" * 5000)
    (folder / "g.json").write_text(
        json.dumps([script_tool("listed", "1"), 7, None, "x", script_tool("broken", "(")])
    )
    (folder / "h.json").write_bytes(b"\xef\xbb\xbf" + json.dumps(script_tool("bom", "1")).encode())
    (folder / "below" / "i.json").write_text(json.dumps(script_tool("below", "1")))
    (folder / "notes.txt").write_text("not a tool")
    report = await as_json(home, "tools", "add", str(folder), "--json", code=2)
    outcomes = {tool.get("id"): tool["outcome"] for tool in report["tools"]}
    for tool_id in ("good", "listed", "bom", "below"):
        assert outcomes[tool_id] == "added"
    assert outcomes["bad"] == outcomes["broken"] == "refused"
    for tool in report["tools"]:
        assert (tool["outcome"] == "refused") == bool(
            [one for one in tool["problems"] if one.get("severity") != "warning"]
        )
    listed = await as_json(home, "tools", "list", "--json")
    assert [tool["id"] for tool in listed] == ["below", "bom", "good", "listed"]
    code, output, errors = await run_command(home, "tools", "add", str(folder))
    assert code == 2
    assert "b.json" in errors
    assert "good" in output


async def test_a_check_stores_nothing(home: Path) -> None:
    tool = json.dumps(script_tool("t", "1")).encode()
    report = await as_json(home, "tools", "check", "-", "--json", stdin=tool)
    assert report["tools"][0]["outcome"] == "valid"
    assert await as_json(home, "tools", "list", "--json") == []
    await as_json(home, "tools", "check", "-", "--json", stdin=b"{}", code=2)


@pytest.mark.parametrize("command", ["check", "add"])
async def test_tools_that_come_together_know_each_other(command: str, home: Path) -> None:
    def calls(tool_id: str, called: str) -> dict[str, Any]:
        return {"id": tool_id, "steps": [{"id": "s", "config": {"type": "tool", "toolId": called}}]}

    both = json.dumps([calls("outer", "inner"), script_tool("inner", "1")]).encode()
    report = await as_json(home, "tools", command, "-", "--json", stdin=both)
    assert [one["problems"] for one in report["tools"]] == [[], []]
    itself = json.dumps([calls("loop", "loop"), calls("other", "nobody")]).encode()
    report = await as_json(home, "tools", command, "-", "--json", stdin=itself, code=2)
    first, second = ([one["message"] for one in each["problems"]] for each in report["tools"])
    assert first == ["a tool cannot call itself"]
    assert second == ["no tool of this id is stored yet"]


async def test_a_short_secret_of_a_hook_is_warned_of(home: Path) -> None:
    await store_tools(home, [script_tool("t", "1")])
    sender = {"id": "sender", "credentials": {"short": "12345", "long": SECRET}}
    await as_json(home, "systems", "add", "-", "--json", stdin=json.dumps(sender).encode())
    create = ("hooks", "create", "t", "--secret")
    warned = await failing(home, *create, "sender.short", code=0)
    assert "warning: sender.short: values of fewer than 8 characters" in warned
    assert "12345" not in warned
    assert "warning" not in await failing(home, *create, "sender.long", code=0)


async def test_a_source_without_tools_is_an_error(home: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "no tools" in await failing(home, "tools", "add", str(tmp_path / "empty"), code=2)
    assert "not there" in await failing(home, "tools", "add", str(tmp_path / "nowhere"), code=2)
    await failing(home, "tools", "add", "-", code=2)


async def test_a_run_prints_its_result_and_says_the_rest_beside_it(home: Path, web: Web) -> None:
    web.responds(lambda seen: Answer({"at": seen.target}, 500 if seen.path == "/bad" else 200))
    schema = {"type": "object", "properties": {"p": {"type": "string"}}, "required": ["p"]}
    tool = request_tool("t", f"{web.url}/<<p>>", inputSchema=schema, retries=0)
    await store_tools(home, [tool])
    code, output, errors = await run_command(
        home, "run", "t", "--inputs", '{"p": "x"}', "--run-id", "mine"
    )
    assert (code, json.loads(output)) == (0, {"at": "/x"})
    assert "success: run mine" in errors

    view = await as_json(home, "run", "t", "--inputs", '{"p": "y"}', "--json")
    assert (view["status"], view["requestSource"], view["data"]) == (
        "success",
        "cli",
        {"at": "/y"},
    )
    view = await as_json(home, "run", "t", "--inputs", '{"p": "bad"}', "--json", code=1)
    assert (view["status"], view["errorDetail"]["http"]["status"]) == ("failed", 500)
    errors = await failing(home, "run", "t", "--inputs", '{"p": "bad"}', code=1)
    assert "HTTP 500" in errors
    before = len(web.seen)
    assert "p" in await failing(home, "run", "t", code=2)
    refused = (
        ("--inputs", "{"),
        ("--inputs", "[1]"),
        ("--inputs", "@nowhere.json"),
        ("--option", "odd=1"),
        ("--option", "retries=many"),
        ("--option", "novalue"),
        ("--credentials", '{"token": "on the command line"}'),
        ("--dry-run", "--limited"),
        ("--mode", "odd"),
        ("--run-id", "mine", "--inputs", '{"p": "x"}'),
    )
    await asyncio.gather(*(failing(home, "run", "t", *arguments, code=2) for arguments in refused))
    assert len(web.seen) == before
    assert "did you mean" in await failing(home, "run", "tt", code=3)
    code, output, _ = await run_command(home, "run", "t", "--inputs", "-", stdin=b'{"p": "z"}')
    assert (code, json.loads(output)) == (0, {"at": "/z"})


async def test_the_history_is_listed_shown_and_read(home: Path) -> None:
    await store_tools(
        home,
        [
            script_tool("rows", "() => [{a: 1}, {a: 2}, {a: 3}]"),
            script_tool("fails", "() => { throw new Error('broken') }"),
        ],
    )
    assert await as_json(home, "runs", "list", "--json") == {
        "data": [],
        "page": 1,
        "limit": 20,
        "total": 0,
        "hasMore": False,
    }
    for number in range(2):
        await as_json(home, "run", "rows", "--run-id", f"r{number}")
    await failing(home, "run", "fails", "--run-id", "f", code=1)
    listed = await as_json(home, "runs", "list", "--limit", "2", "--json")
    assert [run["runId"] for run in listed["data"]] == ["f", "r1"]
    assert (listed["total"], listed["hasMore"]) == (3, True)
    listed = await as_json(home, "runs", "list", "--limit", "2", "--page", "2", "--json")
    assert [run["runId"] for run in listed["data"]] == ["r0"]
    listed = await as_json(home, "runs", "list", "--page", "9" * 30, "--json")
    assert listed["data"] == []
    listed = await as_json(home, "runs", "list", "--status", "failed", "--source", "cli", "--json")
    assert [run["runId"] for run in listed["data"]] == ["f"]
    listed = await as_json(home, "runs", "list", "--tool", "rows", "--json")
    assert listed["total"] == 2
    code, table, _ = await run_command(home, "runs", "list")
    assert code == 0
    assert "broken" in table

    shown = await as_json(home, "runs", "show", "r0", "--json")
    assert shown["data"] == [{"a": 1}, {"a": 2}, {"a": 3}]
    code, text, _ = await run_command(home, "runs", "show", "f")
    assert code == 0
    assert "broken" in text
    assert await as_json(home, "runs", "result", "r0") == [{"a": 1}, {"a": 2}, {"a": 3}]
    assert await as_json(home, "runs", "result", "r0", "--path", "$[*].a") == [1, 2, 3]
    said = await failing(home, "runs", "result", "r0", "--path", "$..[", code=2)
    assert len(said.strip().splitlines()) == 1
    assert "path '$..[' is no JSONPath: unexpected end of query after character 4; valid" in said
    assert "broken" in await failing(home, "runs", "result", "f", code=1)
    for command in ("show", "result"):
        assert "run x not found" in await failing(home, "runs", command, "x", code=3)


async def test_arguments_that_are_no_text_are_refused_in_words(home: Path) -> None:
    if sys.platform == "win32":
        pytest.skip("arguments are always text on Windows")
    odd = "\udcff"
    await store_tools(home, [script_tool("t", "1")])
    commands = (
        ("runs", "show", odd),
        ("runs", "list", "--tool", odd),
        ("run", "t", "--run-id", odd),
        ("tools", "show", odd),
        ("tools", "remove", odd),
    )

    async def refused(command: tuple[str, ...]) -> None:
        code, _, errors = await run_command(home, *command)
        assert code in {2, 3, 4}, (command, errors)
        assert "Traceback" not in errors, command

    await asyncio.gather(*map(refused, commands))


async def test_a_home_that_cannot_be_used_is_exit_code_4(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    text = tmp_path / "text"
    text.mkdir()
    (text / "callslip.db").write_text("no database, just text. " * 100)
    commands = (("tools", "list", "--json"), ("run", "t"), ("serve",))
    homes = (tmp_path / "file" / "home", tmp_path / "file", text)

    async def refused(home: Path, command: tuple[str, ...]) -> None:
        errors = await failing(home, *command, code=4)
        assert str(home) in errors
        assert "CALLSLIP_HOME" in errors or "backup" in errors

    await asyncio.gather(*map(refused, homes, commands), refused(text, commands[0]))


async def test_a_backup_is_a_database_that_opens(home: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy" / "callslip.db"
    assert "nothing has been stored" in await failing(home, "backup", str(copy), code=4)
    await store_tools(home, [script_tool("t", "1")])
    await as_json(home, "run", "t", "--run-id", "mine")
    assert "cannot be copied" in await failing(home, "backup", str(copy), code=4)
    copy.parent.mkdir()
    assert "bytes" in await failing(home, "backup", str(copy), code=0)
    assert "never overwrites" in await failing(home, "backup", str(copy), code=2)
    with sqlite3.connect(copy) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()
    assert (await as_json(copy.parent, "runs", "show", "mine", "--json"))["data"] == 1
    assert [tool["id"] for tool in await as_json(copy.parent, "tools", "list", "--json")] == ["t"]
    (home / "callslip.db").write_text("overwritten by accident " * 100)
    other = tmp_path / "other.db"
    await failing(home, "backup", str(other), code=4)
    assert not other.exists()


async def test_run_time_credentials_are_written_nowhere(
    home: Path, tmp_path: Path, web: Web
) -> None:
    echoed: list[str] = []

    def respond(seen: Any) -> Answer:
        echoed.append(seen.headers.get("authorization", "") + seen.target + seen.body.decode())
        status = 500 if seen.path == "/fail" else 200
        body = {"you sent": dict(seen.headers), "target": seen.target, "body": seen.body.decode()}
        return Answer(body, status, {"x-echo": seen.headers.get("authorization", "")})

    web.responds(respond)
    request: dict[str, Any] = {
        "url": f"{web.url}/<<path>>",
        "method": "POST",
        "queryParams": {"key": "<<token>>", "packed": "(s) => btoa(s.token)"},
        "headers": {"Authorization": "Basic user:<<token>>", "X-Token": "<<credentials.token>>"},
        "body": '{"token": "<<token>>"}',
    }
    request["queryParams"]["packed"] = "<<(s) => btoa('user:' + s.token)>>"
    script = "(s) => { console.log(s.token); return { a: s.token, b: [btoa(s.token)] } }"
    steps = [
        {"id": "ask", "config": request},
        {"id": "think", "config": {"type": "transform", "transformCode": script}},
    ]
    await store_tools(home, [{"id": "t", "steps": steps, "outputTransform": "$"}])
    file = tmp_path / "credentials.json"
    file.write_text(json.dumps({"token": SECRET}))
    printed = ""
    for path, expected, extra in (("ok", 0, ()), ("ok", 0, ("--json",)), ("fail", 1, ("--json",))):
        code, output, errors = await run_command(
            home,
            *("run", "t", "--inputs", json.dumps({"path": path})),
            *("--credentials", f"@{file}", "--run-id", f"{path}{len(extra)}", *extra),
            CALLSLIP_SCRIPT_WORKERS="1",
        )
        assert code == expected, errors
        printed += output + errors
    code, output, errors = await run_command(
        home, "run", "t", "--credentials", "-", "--dry-run", stdin=file.read_bytes()
    )
    printed += output + errors
    views = [
        run_command(home, "runs", "show", "ok0"),
        run_command(home, "runs", "show", "fail1", "--json"),
        run_command(home, "runs", "result", "ok0"),
    ]
    for _, output, errors in await asyncio.gather(*views):
        printed += output + errors
    assert all(SECRET in text for text in echoed)
    with sqlite3.connect(home / "callslip.db") as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        _check_blobs(connection)
    connection.close()
    contents = files_of(home)
    assert contents
    for needle in _needles():
        assert needle not in printed
        for content in contents:
            assert needle.encode() not in content


def _needles() -> list[str]:
    forms = [SECRET, base64.b64encode(SECRET.encode()).decode().rstrip("=")]
    forms.append(base64.b64encode(f"user:{SECRET}".encode()).decode().rstrip("=")[8:-2])
    return forms


def _check_blobs(connection: sqlite3.Connection) -> None:
    for (blob_id,) in connection.execute("SELECT blob_id FROM blobs").fetchall():
        content = load_blob(connection, blob_id)
        for needle in _needles():
            assert needle.encode() not in content


@pytest.mark.parametrize("how", ["SIGINT", "SIGTERM"])
async def test_a_run_that_is_interrupted_ends_aborted(how: str, home: Path) -> None:
    if sys.platform == "win32":
        pytest.skip("Windows has no such signals")
    async with silent_upstream() as upstream:
        await store_tools(home, [request_tool("slow", f"{upstream.url}/x")])
        process = await asyncio.create_subprocess_exec(
            *COMMAND,
            *("run", "slow", "--run-id", "mine", "--json"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=environment(home),
        )
        client = RawClient(process, "")
        await until(lambda: upstream.requests == 1, "the request is on its way")
        process.send_signal(getattr(signal, how))
        assert await client.ended() == 130
        await until(lambda: upstream.closed == 1, "the connection is closed")
    view = json.loads(client.output)
    assert (view["runId"], view["status"]) == ("mine", "aborted")
    assert "aborted: run mine" in client.errors.decode()
    assert "Traceback" not in client.errors.decode()
    record = await as_json(home, "runs", "show", "mine", "--json")
    assert (record["status"], record["error"]) == ("aborted", "interrupted from the keyboard")


async def test_a_definition_that_cannot_be_read_is_named_and_harms_no_other(home: Path) -> None:
    await store_tools(home, [script_tool(tool_id, f"'{tool_id}'") for tool_id in "abc"])
    with sqlite3.connect(home / "callslip.db") as connection:
        for tool_id, definition in (("a", "{"), ("b", '{"id": "b"}')):
            connection.execute(
                "UPDATE snapshots SET definition = ? WHERE snapshot_id ="
                " (SELECT snapshot_id FROM tools WHERE tool_id = ?)",
                (definition, tool_id),
            )
    connection.close()
    listed = await as_json(home, "tools", "list", "--json")
    assert "c" in [tool["id"] for tool in listed]
    code, _, errors = await run_command(home, "tools", "list")
    assert code == 0, errors
    assert "damaged" in await failing(home, "tools", "show", "a", code=4)
    assert (await as_json(home, "run", "c")) == "c"
    await store_tools(home, [script_tool("a", "'mended'"), script_tool("b", "'mended'")])
    for tool_id in "ab":
        assert await as_json(home, "run", tool_id) == "mended"


def commands_below(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    for name, inner in command.commands.items():
        if hasattr(inner, "commands"):
            yield from commands_below(inner, (*path, name))
        else:
            yield " ".join((*path, name)), inner


def test_every_command_can_answer_in_json() -> None:
    cli: Any = importlib.import_module("server.cli")
    if not cli.app.registered_groups:
        cli._add_commands()
    without = {
        name
        for name, command in commands_below(typer.main.get_command(cli.app))
        if not any("--json" in parameter.opts for parameter in command.params)
    }
    # A server speaks its protocol; exports are JSON, or what `--format` says.
    assert without == {"serve", "tools export", "runs export"}


async def test_what_was_done_is_said_in_json(home: Path) -> None:
    await store_tools(home, [script_tool("one", "1")])
    acme = json.dumps({"id": "acme", "url": "https://acme.test"}).encode()
    await as_json(home, "systems", "add", "-", "--json", stdin=acme)
    token = b"correct horse battery"
    assert await as_json(
        home, "systems", "set-credential", "acme", "token", "--json", stdin=token
    ) == {"id": "acme", "environment": "prod", "credential": "token", "outcome": "set"}
    assert (await as_json(home, "systems", "rotate-key", "--json"))["sealed"] == 1
    assert (await as_json(home, "systems", "show", "acme", "--json"))["id"] == "acme"
    assert (await as_json(home, "systems", "unset-credential", "acme", "token", "--json"))[
        "outcome"
    ] == "forgotten"
    run_id = (await as_json(home, "run", "one", "--json"))["runId"]
    assert await as_json(home, "runs", "result", run_id, "--json") == 1
    assert await as_json(home, "runs", "pin", run_id, "--json") == {
        "runId": run_id,
        "pinned": True,
    }
    assert not (await as_json(home, "runs", "cancel", run_id, "--json"))["wasRunning"]
    assert (await as_json(home, "runs", "delete", run_id, "--json"))["outcome"] == "deleted"
    assert (await as_json(home, "tools", "remove", "one", "--json"))["outcome"] == "removed"
    restored = await as_json(home, "tools", "restore", "one", "1", "--json")
    assert restored["outcome"] == "added"
    copied = await as_json(home, "backup", str(home.parent / "copy.db"), "--json")
    assert copied["bytes"] > 0


async def test_what_is_no_text_is_refused_and_never_shown(home: Path) -> None:
    acme = json.dumps({"id": "acme", "url": "https://acme.test"}).encode()
    await as_json(home, "systems", "add", "-", "--json", stdin=acme)
    await store_tools(home, [script_tool("one", "1")])
    bad = b"correct horse\xff battery"
    for arguments in (
        ("systems", "set-credential", "acme", "token"),
        ("run", "one", "--credentials", "-"),
        ("audit", "--secrets", "-"),
    ):
        errors = await failing(home, *arguments, code=2, stdin=bad)
        assert "stdin is no UTF-8 text; byte 14 cannot be read" in errors
        assert "correct" not in errors
    for text in (b'"correct horse"', b'["correct horse"]', b"1234567890123"):
        errors = await failing(home, "run", "one", "--credentials", "-", code=2, stdin=text)
        assert "valid is a JSON object such as" in errors
        assert not any(part in errors for part in ("correct", "1234567890"))
    half = b'{"token": "correct horse \\ud800"}'
    code, _, errors = await run_command(home, "run", "one", "--credentials", "-", stdin=half)
    assert "Traceback" not in errors
    assert "correct" not in errors
    assert code in {0, 2}
