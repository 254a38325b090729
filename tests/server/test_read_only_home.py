"""Homes that can only be read: everything recorded is shown, nothing is run, nothing is written."""

import asyncio
import json
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import pytest

from server.app import open_service
from server.settings import Settings
from storage.api_keys import Scope
from storage.orphans import INTERRUPTED
from tests.only_readable import bound, content_of, only_readable
from tests.server.helpers import request_tool, script_tool, silent_upstream, start, store, until
from tests.server.raw_client import COMMAND, RawClient, environment, serving, store_tools
from tests.server.rest.helpers import rest_client
from tests.web import Answer, Web
from tools.run import RunStatus

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no file modes")

KEY = "a-key-for-the-tests"
SECRET = "hidden-away-4711"
REFUSED = ("can only be read", "CALLSLIP_HOME")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


async def run(home: Path, *arguments: str, stdin: bytes = b"") -> tuple[int | None, str, str]:
    """Exit code, stdout and stderr of a command that may not write into the home."""
    process = await asyncio.create_subprocess_exec(
        *bound(*COMMAND, *arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=reading_environment(home),
    )
    with anyio.fail_after(30):
        output, errors = await process.communicate(stdin)
    return process.returncode, output.decode(), errors.decode()


def reading_environment(home: Path) -> dict[str, str]:
    configuration = home.with_name("configuration")
    return environment(home, CALLSLIP_CONFIG_DIRECTORY=str(configuration), CALLSLIP_API_KEY=KEY)


@asynccontextmanager
async def reading_server(home: Path) -> AsyncGenerator[RawClient]:
    """A `callslip serve` that may not write into the home."""
    process = await asyncio.create_subprocess_exec(
        *bound(*COMMAND, "serve"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=reading_environment(home),
    )
    client = RawClient(process, "2025-06-18")
    try:
        await client.hand_shake()
        yield client
    finally:
        await client.stop()


@asynccontextmanager
async def reading_http_server(home: Path, said: list[str]) -> AsyncGenerator[str]:
    """The address of a `callslip serve --http` that may not write into the home."""
    process = await asyncio.create_subprocess_exec(
        *bound(*COMMAND, "serve", "--http", "--port", "0"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env=reading_environment(home),
    )
    assert process.stderr is not None
    try:
        with anyio.fail_after(30):
            while not said or "listening on" not in said[-1]:
                line = (await process.stderr.readline()).decode()
                assert line, said
                said.append(line)
        yield said[-1].split()[-1]
    finally:
        process.terminate()
        with anyio.fail_after(30):
            said += (await process.stderr.read()).decode().splitlines()
            await process.wait()


async def fill(home: Path, web: Web) -> None:
    """Tools, a system, and runs; the last server is killed with a run under way."""
    web.answers(Answer({"animal": "giraffe"}))
    async with silent_upstream() as upstream:
        await store_tools(
            home,
            [
                request_tool("asks", f"{web.url}/x"),
                request_tool("slow", f"{upstream.url}/x"),
                script_tool("fails", "(s) => { throw new Error('a broken elephant') }"),
                script_tool("large", "(s) => Array.from({length: 90000}, () => Math.random())"),
            ],
        )
        async with serving(home) as client:
            await client.call("asks", {"n": 1}, **{"callslip/runId": "one"})
            await client.call("asks", {"n": 2}, **{"callslip/runId": "two"})
            await client.call("fails", {}, **{"callslip/runId": "three"})
            await client.call("large", {}, **{"callslip/runId": "much"})
            await client.begin_call("slow", {"who": "lion"}, **{"callslip/runId": "cut"})
            await until(lambda: upstream.requests == 1, "the request is on its way")
            client.process.kill()
            await client.ended()


async def copied(home: Path) -> None:
    """What copying the home without its index gives."""
    home.joinpath("callslip.db-shm").unlink()


async def closed(home: Path) -> None:
    """What a command that ends in good order leaves."""
    async with open_service(Settings(home=home, proxies={})):
        pass


async def data_of(home: Path, *arguments: str) -> Any:
    """What a command gives that has nothing to complain of."""
    code, output, errors = await run(home, *arguments, "--json")
    assert (code, errors) == (0, ""), (arguments, errors)
    return json.loads(output)


@pytest.mark.parametrize("leave", [None, copied, closed], ids=["killed", "copied", "closed"])
async def test_what_was_recorded_is_shown_however_the_home_was_left(
    home: Path, web: Web, leave: Any
) -> None:
    await fill(home, web)
    if leave is not None:
        await leave(home)
    with only_readable(home):
        before = content_of(home)
        data = partial(data_of, home)
        runs = {one["runId"]: one["status"] for one in (await data("runs", "list"))["data"]}
        assert runs == {
            "one": "success",
            "two": "success",
            "three": "failed",
            "much": "success",
            "cut": "aborted",
        }
        listed = await data("runs", "list", "--status", "aborted")
        assert ([one["runId"] for one in listed["data"]], listed["total"]) == (["cut"], 1)
        assert (await data("runs", "list", "--status", "running"))["total"] == 0
        (counts,) = (
            one for one in (await data("runs", "stats"))["data"] if one["toolId"] == "slow"
        )
        assert (counts["running"], counts["aborted"]) == (0, 1)
        cut = await data("runs", "show", "cut")
        assert "interrupted" in cut["error"]
        assert (await data("runs", "explain", "cut"))["run"]["status"] == "aborted"
        state = (await data("runs", "show", "cut", "--view", "workflow"))["executionState"]["get"]
        assert (state["status"], state["error"].partition(":")[0]) == ("pending", "not known")
        for words, run_ids in (("giraffe", ["two", "one"]), ("elephant", ["three"])):
            found = await data("runs", "list", "--search", words)
            assert [one["runId"] for one in found["data"]] == run_ids
            assert found["total"] == len(run_ids)
        assert (await data("runs", "show", "one"))["data"] == {"animal": "giraffe"}
        assert len(await data("runs", "result", "much")) == 90000
        assert content_of(home) == before


async def test_every_command_that_reads_works(home: Path, web: Web) -> None:
    await fill(home, web)
    with only_readable(home):
        before = content_of(home)
        data = partial(data_of, home)
        assert (await data("runs", "compare", "one", "two"))["a"]["runId"] == "one"
        assert (await data("runs", "explain", "three"))["run"]["runId"] == "three"
        assert len((await data("runs", "stats"))["data"]) == 4
        assert len(await data("tools", "list")) == 4
        assert (await data("tools", "show", "asks"))["id"] == "asks"
        for others in ("systems", "keys", "schedules", "hooks"):
            await data(others, "list")
        code, output, _ = await run(home, "runs", "export")
        assert (code, len(output.splitlines())) == (0, 5)
        assert content_of(home) == before


async def prepared(home: Path, web: Web) -> str:
    """A home in good order with a tool, a run, a system that is signed in to, and a key."""
    settings = Settings(home=home, config_directory=home.with_name("configuration"), proxies={})
    web.answers(Answer({"animal": "giraffe"}))
    async with open_service(settings) as service:
        await service.connections.put(system_of(web))
        await store(service, request_tool("asks", f"{web.url}/x"))
        await (await start(service, "asks", run_id="one")).wait()
        return await service.api_keys.create("reader", (Scope.READ, Scope.RUN))


def system_of(web: Web) -> dict[str, Any]:
    return {
        "id": "acme",
        "url": web.url,
        "auth": {
            "type": "oauth2",
            "grant": "client_credentials",
            "tokenUrl": f"{web.url}/token",
            "clientId": "id",
            "clientSecret": "secret",
        },
        "credentials": {"id": "callslip", "secret": SECRET},
    }


WRITING = (
    ("run", "asks"),
    ("tools", "add", "-"),
    ("tools", "remove", "asks"),
    ("runs", "delete", "one"),
    ("runs", "pin", "one"),
    ("runs", "prune"),
    ("runs", "rerun", "one"),
    ("systems", "set-credential", "acme", "secret"),
    ("systems", "rotate-key"),
    ("keys", "create", "ci"),
)


async def test_a_command_that_would_write_says_why_it_cannot(home: Path, web: Web) -> None:
    await prepared(home, web)
    asked = len(web.seen)
    with only_readable(home):
        before = content_of(home.parent)
        for arguments in WRITING:
            text = json.dumps(script_tool("new", "1")) if "-" in arguments else "another-secret"
            code, output, errors = await run(home, *arguments, stdin=text.encode())
            assert (code, output) == (4, ""), (arguments, errors)
            assert all(words in errors for words in (*REFUSED, str(home))), (arguments, errors)
            assert "Traceback" not in errors
        # A token that cannot be kept is not asked for.
        code, output, errors = await run(home, "systems", "test", "acme")
        assert (code, output) == (1, "")
        assert all(words in errors for words in REFUSED), errors
        assert content_of(home.parent) == before
    assert len(web.seen) == asked


async def test_audit_doctor_and_backup_look_at_it(home: Path, web: Web) -> None:
    await prepared(home, web)
    with only_readable(home):
        before = content_of(home)
        code, output, _ = await run(home, "audit", "--json")
        assert (code, json.loads(output)["hits"]) == (0, 0)
        code, output, errors = await run(home, "doctor", "--json")
        found = {check["name"]: check for check in json.loads(output)["checks"]}
        assert (code, found["home"]["status"], found["database"]["status"]) == (4, "problem", "ok")
        assert "can only be read" in found["home"]["found"]
        assert errors == ""
        copy = home.with_name("copy") / "callslip.db"
        copy.parent.mkdir()
        code, _, errors = await run(home, "backup", str(copy))
        assert code == 0, errors
        assert content_of(home) == before
    code, output, _ = await run(copy.parent, "runs", "show", "one", "--json")
    assert (code, json.loads(output)["data"]) == (0, {"animal": "giraffe"})


async def test_a_host_is_shown_everything_and_told_why_nothing_runs(home: Path, web: Web) -> None:
    await fill(home, web)
    asked = len(web.seen)
    with only_readable(home):
        before = content_of(home)
        async with reading_server(home) as client:
            assert {"asks", "slow", "large", "list_runs", "rerun_run"} <= (
                await client.tools()
            ).keys()
            answer = await client.call("asks", {"n": 3})
            assert answer["isError"]
            message = answer["content"][0]["text"]
            assert "nothing was run" in message
            assert all(words in message for words in REFUSED)
            runs = (await client.call("list_runs", {}))["structuredContent"]
            assert runs["total"] == 5
            found = await client.call("list_runs", {"search": "giraffe"})
            assert [one["runId"] for one in found["structuredContent"]["data"]] == ["two", "one"]
            answer = await client.call("get_run", {"runId": "one"})
            assert answer["structuredContent"]["status"] == "success"
            answer = await client.call("get_run", {"runId": "cut"})
            assert answer["structuredContent"]["status"] == "aborted"
            uri = "callslip://runs/two"
            (content,) = (await client.request("resources/read", {"uri": uri}))["contents"]
            assert json.loads(content["text"])["data"] == {"animal": "giraffe"}
            answer = await client.call("rerun_run", {"runId": "one"})
            assert answer["isError"]
            assert REFUSED[0] in answer["content"][0]["text"]
        assert content_of(home) == before
    (line,) = client.errors.decode().splitlines()
    assert all(words in line for words in (*REFUSED, str(home)))
    assert client.garbage == []
    assert len(web.seen) == asked


async def test_the_http_server_answers_reads_with_a_stored_key(home: Path, web: Web) -> None:
    key = await prepared(home, web)
    said: list[str] = []
    with only_readable(home):
        before = content_of(home)
        async with reading_http_server(home, said) as url, rest_client(url, key) as client:
            assert (await client.get("/runs/one")).json()["data"] == {"animal": "giraffe"}
            assert (await client.get("/runs")).json()["total"] == 1
            answer = await client.post("/tools/asks/run", json={"inputs": {}})
            assert answer.status_code == 503
            assert all(words in answer.text for words in REFUSED)
        assert content_of(home) == before
    warned, listening = said
    assert all(words in warned for words in (*REFUSED, str(home)))
    assert "listening on" in listening


async def test_what_a_server_that_may_write_does_is_seen(home: Path, web: Web) -> None:
    web.answers(Answer({"animal": "giraffe"}))
    await store_tools(home, [request_tool("asks", f"{web.url}/x")])
    settings = Settings(home=home, proxies={})
    async with open_service(settings) as beside, serving(home) as writing:
        await writing.call("asks", {}, **{"callslip/runId": "before"})
        with only_readable(home):
            async with reading_server(home) as client:
                assert "asks" in await client.tools()
                await writing.call("asks", {}, **{"callslip/runId": "meanwhile"})
                runs = (await client.call("list_runs", {}))["structuredContent"]["data"]
                assert [one["runId"] for one in runs] == ["meanwhile", "before"]
                found = await client.call("list_runs", {"search": "giraffe"})
                assert len(found["structuredContent"]["data"]) == 2
                await store(beside, script_tool("new", "1"))
                await client.notified("notifications/tools/list_changed")
                assert "new" in await client.tools()


async def test_a_run_of_another_process_goes_on_until_that_is_gone(home: Path) -> None:
    async with silent_upstream() as upstream:
        await store_tools(home, [request_tool("slow", f"{upstream.url}/x")])
        async with serving(home) as writing:
            await writing.begin_call("slow", {}, **{"callslip/runId": "cut"})
            await until(lambda: upstream.requests == 1, "the request is on its way")
            with only_readable(home):
                async with reading_server(home) as client:
                    seen = partial(client.call, "get_run", {"runId": "cut"})
                    assert (await seen())["structuredContent"]["status"] == "running"
                    answer = await client.call("cancel_run", {"runId": "cut"})
                    assert answer["isError"]
                    assert REFUSED[0] in answer["content"][0]["text"]
                    await client.request("resources/subscribe", {"uri": "callslip://runs/cut"})
                    writing.process.kill()
                    await writing.ended()
                    await client.notified("notifications/resources/updated")
                    run = (await seen())["structuredContent"]
                    assert run["status"] == "aborted"
                    assert "interrupted" in run["error"]
                    listed = await client.call("list_runs", {"status": "aborted"})
                    assert listed["structuredContent"]["total"] == 1
    async with open_service(Settings(home=home, proxies={})) as service:
        run = await service.get_run("cut")
        assert run is not None
        assert (run.status, run.error) == (RunStatus.ABORTED, INTERRUPTED)
