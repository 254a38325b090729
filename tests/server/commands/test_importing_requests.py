"""`callslip import curl | har | postman | superglue`: what was copied runs, and nothing leaks."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from anyio.from_thread import start_blocking_portal
from typer.testing import CliRunner, Result

from server.commands.audit import audit
from server.commands.importing_requests import COMMANDS
from server.commands.run import run
from server.commands.systems import app as systems_app
from server.commands.tools import app as tools_app
from tests.web import Answer, Web, serve

TOKEN = "tok-3f9A-planted-77"
COOKIE = "sid=planted-cookie-4411"
PASSWORD = "planted-password-99"
SECRETS = (TOKEN, COOKIE, PASSWORD)

Callslip = Callable[..., Result]


@pytest.fixture
def callslip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callslip:
    """The command on a home of its own; every output is checked for the secrets."""
    monkeypatch.setenv("CALLSLIP_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CALLSLIP_CONFIG_DIRECTORY", str(tmp_path / "config"))
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.delenv("CALLSLIP_MASTER_KEY", raising=False)
    imports = typer.Typer()
    for name, command in COMMANDS.items():
        imports.command(name)(command)
    app = typer.Typer()
    app.add_typer(imports, name="import")
    app.add_typer(tools_app, name="tools")
    app.add_typer(systems_app, name="systems")
    app.command()(audit)
    app.command()(run)

    def call(*arguments: str, code: int = 0, stdin: str = "") -> Result:
        result = CliRunner().invoke(app, arguments, input=stdin)
        assert result.exit_code == code, (result.output, result.exception)
        assert not any(secret in result.output for secret in SECRETS)
        return result

    return call


@pytest.fixture
def outside() -> Iterator[Web]:
    """The outside world in a thread of its own: a command has the main one."""
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(serve()) as web:
        yield web


def test_a_curl_command_becomes_a_tool_that_runs_and_leaks_nothing(
    callslip: Callslip, outside: Web
) -> None:
    outside.answers(Answer({"ok": True}))
    command = (
        f"curl -sS '{outside.url}/users/7?limit=5' -H 'Authorization: Bearer {TOKEN}' "
        f"-b '{COOKIE}' "
        f"""--json '{{"name": "ann", "deep": {{"password": "{PASSWORD}"}}}}' -X PUT"""
    )
    report = callslip("import", "curl", "--json", stdin=command)
    (tool,) = json.loads(report.stdout)["added"]
    system = json.loads(report.stdout)["system"]
    assert {one["name"]: one["isSet"] for one in system["credentials"]} == {
        "token": True,
        "cookie": True,
        "password": True,
    }
    ran = callslip("run", tool["id"], "--inputs", '{"name": "bob"}')
    assert json.loads(ran.stdout) == {"ok": True}
    (seen,) = outside.seen
    assert (seen.method, seen.target) == ("PUT", "/users/7?limit=5")
    assert seen.headers["authorization"] == f"Bearer {TOKEN}"
    assert seen.headers["cookie"] == COOKIE
    assert json.loads(seen.body) == {"name": "bob", "deep": {"password": PASSWORD}}
    audit = callslip("audit", "--json", "--secrets", "-", stdin="\n".join(SECRETS))
    assert json.loads(audit.stdout)["hits"] == 0


def test_a_system_that_is_there_keeps_its_credentials(callslip: Callslip) -> None:
    command = f"curl https://api.example.com/a -H 'X-Api-Key: {TOKEN}'"
    callslip("import", "curl", command)
    again = callslip("import", "curl", command.replace("com/a", "com/b").replace(TOKEN, PASSWORD))
    assert "system api-example-com kept" in again.output
    listed = json.loads(callslip("tools", "list", "--json").stdout)
    assert [one["id"] for one in listed] == ["get_a", "get_b"]


def imported(callslip: Callslip, *arguments: str, stdin: str = "") -> dict[str, Any]:
    return json.loads(callslip("import", *arguments, "--json", stdin=stdin).stdout)


@pytest.mark.parametrize(
    ("options", "system", "authorization"),
    [
        ("", "127-0-0-1-{port}-2", None),
        (f"-H 'Authorization: Bearer {TOKEN}'", "127-0-0-1-{port}", f"Bearer {TOKEN}"),
        (f"-H 'Authorization: Bearer {PASSWORD}'", "127-0-0-1-{port}", f"Bearer {TOKEN}"),
        ("-u ann:x", "127-0-0-1-{port}-2", "Basic YW5uOng="),
        ('--oauth2-bearer "$LATER"', "127-0-0-1-{port}", f"Bearer {TOKEN}"),
        ("-H 'X-Key: k-123456'", "127-0-0-1-{port}-2", None),
    ],
)
def test_a_later_command_signs_in_as_it_says_itself(
    options: str, system: str, authorization: str | None, callslip: Callslip, outside: Web
) -> None:
    outside.answers(Answer({"ok": True}))
    port = outside.url.rpartition(":")[2]
    bearer = f"-H 'Authorization: Bearer {TOKEN}'"
    imported(callslip, "curl", f"curl {outside.url}/a {bearer}")
    report = imported(callslip, "curl", stdin=f"curl {outside.url}/b {options}")
    assert report["system"]["id"] == system.format(port=port)
    callslip("run", report["added"][0]["id"])
    assert outside.seen[-1].headers.get("authorization") == authorization
    notes = " ".join(one["reason"] for one in report["notCarriedOver"])
    command = f"callslip systems set-credential 127-0-0-1-{port} token"
    assert (command in notes) == (PASSWORD in options)
    again = imported(callslip, "curl", stdin=f"curl {outside.url}/b {options}")
    assert again["system"]["id"] == report["system"]["id"]
    assert again["counts"]["unchanged"] == 1


def test_another_operation_of_a_url_does_not_replace_the_one_before(callslip: Callslip) -> None:
    for name in ("Orders", "Pets", "Orders"):
        body = json.dumps({"query": f"query {name} {{ all {{ id }} }}"})
        imported(callslip, "curl", stdin=f"curl https://a.test/graphql --json '{body}'")
    listed = json.loads(callslip("tools", "list", "--json").stdout)
    assert [one["id"] for one in listed] == ["Orders", "Pets"]


def test_another_user_of_a_server_gets_a_system_of_its_own(callslip: Callslip) -> None:
    for user, system in (("ann", "a-test"), ("bob", "a-test-2"), ("bob", "a-test-2")):
        command = f'curl https://a.test/x -u {user}:{PASSWORD} --json \'{{"token": "{TOKEN}"}}\''
        report = imported(callslip, "curl", stdin=command)
        assert report["system"]["id"] == system
        assert all(one["isSet"] for one in report["system"]["credentials"])
    shown = json.loads(callslip("tools", "show", "a-test-2_post_x").stdout)
    config = shown["steps"][0]["config"]
    assert (config["systemId"], config["body"]) == ("a-test-2", '{"token": "<<a-test-2_token>>"}')


def test_who_names_a_system_or_imports_a_document_again_gets_the_system_as_it_is(
    callslip: Callslip, tmp_path: Path
) -> None:
    request = {"method": "GET", "url": "https://a.test/x"}
    answer = {"status": 200, "content": {"mimeType": "application/json"}}
    recorded = tmp_path / "session.har"
    recorded.write_text(
        json.dumps({"log": {"entries": [{"request": request, "response": answer}]}})
    )
    assert imported(callslip, "har", str(recorded))["system"]["id"] == "a-test"
    system = {"id": "a-test", "url": "https://a.test", "auth": {
        "type": "bearer", "credential": "token"
    }, "credentials": {"token": TOKEN}}  # fmt: skip
    callslip("systems", "add", "-", stdin=json.dumps(system))
    assert imported(callslip, "har", str(recorded))["counts"]["unchanged"] == 1
    command = "curl https://a.test/y"
    named = imported(callslip, "curl", command, "--system", "a-test")
    assert named["system"]["id"] == "a-test"
    unnamed = imported(callslip, "curl", "curl https://a.test/z")
    assert unnamed["system"]["id"] == "a-test-2"
    assert "to use that one: --system a-test" in unnamed["notCarriedOver"][0]["reason"]


@pytest.mark.parametrize(
    ("options", "names", "sent"),
    [
        (f"-b '{COOKIE}'", ["cookie"], ("cookie", COOKIE)),
        (f"-H 'Cookie: {COOKIE}' -H 'X-A: 1'", ["cookie"], ("cookie", COOKIE)),
        (f"-H 'X-Api-Key: {TOKEN}'", ["api_key"], ("x-api-key", TOKEN)),
        (f"-H 'Authorization: Bearer {TOKEN}'", ["token"], ("authorization", f"Bearer {TOKEN}")),
        ("-u ann:x1y2", ["username", "password"], ("authorization", "Basic YW5uOngxeTI=")),
        (f"-G -d api_key={TOKEN}", ["api_key"], None),
        (f"-H 'X-A-Token: {TOKEN}' -b '{COOKIE}'", ["a_token", "cookie"], ("cookie", COOKIE)),
    ],
)
@pytest.mark.parametrize("first", ["", "-u bob:other"])
@pytest.mark.parametrize("is_named", [False, True])
def test_no_secret_of_a_later_command_is_lost(
    is_named: bool,
    first: str,
    options: str,
    names: list[str],
    sent: tuple[str, str] | None,
    callslip: Callslip,
    outside: Web,
) -> None:
    outside.answers(Answer({"ok": True}))
    there = imported(callslip, "curl", stdin=f"curl {outside.url}/a {first}")["system"]["id"]
    if is_named and first:
        # Whoever names a system that signs in has its way to sign in.
        return
    chosen = ("--system", there) if is_named else ()
    report = imported(callslip, "curl", *chosen, stdin=f"curl {outside.url}/b {options}")
    system = report["system"]
    assert (system["id"] == there) or not is_named
    taken = {one["name"] for one in system["credentials"] if one.get("isTaken")}
    assert taken == set(names)
    assert all(one["isSet"] for one in system["credentials"])
    callslip("run", report["added"][0]["id"])
    seen = outside.seen[-1]
    if sent is None:
        assert seen.target == f"/b?api_key={TOKEN}"
    else:
        assert seen.headers.get(sent[0]) == sent[1]
    again = callslip("import", "curl", *chosen, stdin=f"curl {outside.url}/b {options}")
    assert "stored sealed" not in again.output
    audit = callslip("audit", "--json", "--secrets", "-", stdin="\n".join(SECRETS))
    assert json.loads(audit.stdout)["hits"] == 0


def test_a_sign_in_that_no_request_can_make_is_named_for_a_system_without_one(
    callslip: Callslip,
) -> None:
    callslip("import", "curl", "curl https://a.test/x")
    command = f"curl https://a.test/y --digest -u ann:{PASSWORD}"
    report = imported(callslip, "curl", "--system", "a-test", stdin=command)
    said = [one["reason"] for one in report["notCarriedOver"]]
    assert said == [
        "it has no sign-in, and digest is none that a tool can make itself: give it one"
    ]


def test_no_secret_is_stored_in_a_named_system_at_another_address(callslip: Callslip) -> None:
    callslip("import", "curl", "curl https://a.test/x")
    command = f"curl https://b.test/y -b '{COOKIE}'"
    report = imported(callslip, "curl", "--system", "a-test", stdin=command)
    (cookie,) = report["system"]["credentials"]
    assert (cookie["name"], cookie["isSet"]) == ("cookie", False)


def test_an_import_that_changes_a_tool_says_what_changes_and_how_to_undo_it(
    callslip: Callslip,
) -> None:
    url = "https://a.test/orders"
    callslip("import", "curl", stdin=f"""curl {url} --json '{{"name": "x", "size": 1}}'""")
    command = f"""curl {url} -H 'X-A: 1' --json '{{"note": "y", "size": "1"}}'"""
    report = imported(callslip, "curl", "--dry-run", stdin=command)
    (changed,) = report["changed"]
    assert changed["inputs"] == {"added": ["note"], "removed": ["name"], "changed": ["size"]}
    assert changed["parts"] == ["response.headers", "response.body"]
    told = callslip("import", "curl", stdin=command).output
    assert "post_orders  POST /orders (inputs added: note; inputs removed: name; " in told
    assert "callslip tools restore post_orders 1" in told
    callslip("tools", "restore", "post_orders", "1")
    assert '"name"' in callslip("tools", "show", "post_orders").output


def test_a_command_for_another_operation_of_a_url_is_another_tool(callslip: Callslip) -> None:
    for action in ("create", "delete", "create"):
        body = json.dumps({"action": action, "id": 1})
        imported(callslip, "curl", stdin=f"curl https://a.test/rpc --json '{body}'")
    listed = json.loads(callslip("tools", "list", "--json").stdout)
    assert [one["id"] for one in listed] == ["create", "delete"]


def test_an_exported_tool_uses_its_own_key_and_not_one_of_that_name_that_is_there(
    callslip: Callslip, outside: Web
) -> None:
    outside.answers(Answer({"ok": True}))

    def exported(token: str) -> str:
        config = {"url": f"{outside.url}/x", "systemId": "shop", "headers": {"X-Token": token}}
        return json.dumps({"id": "t", "steps": [{"id": "s", "config": config}]})

    system = {"id": "shop", "url": outside.url, "credentials": {"token": PASSWORD}}
    callslip("systems", "add", "-", stdin=json.dumps(system))
    for _ in range(2):
        callslip("import", "superglue", "-", stdin=exported(TOKEN))
        callslip("run", "t")
        assert outside.seen[-1].headers["x-token"] == TOKEN
    callslip("import", "superglue", "-", stdin=exported(PASSWORD))
    callslip("run", "t")
    assert outside.seen[-1].headers["x-token"] == PASSWORD
    shown = json.loads(callslip("systems", "show", "shop", "--json").stdout)
    assert list(shown["credentials"]) == ["token", "token_2"]


def test_a_dry_run_stores_nothing(callslip: Callslip) -> None:
    assert (
        "a dry run" in callslip("import", "curl", "curl https://a.example.com", "--dry-run").output
    )
    assert json.loads(callslip("tools", "list", "--json").stdout) == []
    assert json.loads(callslip("systems", "list", "--json").stdout) == []


@pytest.mark.parametrize(
    ("arguments", "stdin", "said"),
    [
        (("curl",), "wget https://a.example.com", "there is no curl command"),
        (("curl", "curl 'https://a"), "", "line 1, column 6: a quote is not closed"),
        (("har", "-"), "{", "this is not JSON"),
        (("har", "-"), '{"log": {}}', "#/log: this is no HTTP archive"),
        (("postman", "-"), "[]", "this is no JSON object"),
        (("postman", "-"), "[" * 90_000, "JSON"),
        (("postman", "nowhere.json"), "", "cannot be read"),
        (("superglue", "-"), '{"data": 7}', "there are no tools in it"),
    ],
)
def test_what_cannot_be_imported_is_refused_with_its_place(
    arguments: tuple[str, ...], stdin: str, said: str, callslip: Callslip
) -> None:
    assert said in callslip("import", *arguments, code=2, stdin=stdin).output
    assert json.loads(callslip("tools", "list", "--json").stdout) == []


def test_the_tools_of_a_server_are_fetched_with_a_key_from_the_environment(
    callslip: Callslip, outside: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    tool = {
        "id": "old",
        "steps": [
            {
                "id": "get",
                "apiConfig": {
                    "urlHost": "https://api.example.com",
                    "urlPath": "/things",
                    "headers": {"Authorization": f"Bearer {PASSWORD}"},
                },
            }
        ],
    }
    pages = [Answer({"data": [tool], "hasMore": True}), Answer({"data": [], "hasMore": False})]
    outside.answers(*pages)
    monkeypatch.setenv("OTHER_KEY", TOKEN)
    result = callslip("import", "superglue", outside.url, "--key-env", "OTHER_KEY", "--json")
    assert [one["outcome"] for one in json.loads(result.stdout)["tools"]] == ["added"]
    assert [one.target for one in outside.seen] == [
        "/v1/tools?page=1&limit=100",
        "/v1/tools?page=2&limit=100",
    ]
    assert {one.headers["authorization"] for one in outside.seen} == {f"Bearer {TOKEN}"}
    shown = json.loads(callslip("tools", "show", "old").stdout)
    config = shown["steps"][0]["config"]
    assert config["headers"] == {"Authorization": "Bearer <<api-example-com_token>>"}
    assert config["systemId"] == "api-example-com"


def test_an_exported_tool_that_is_refused_stores_no_system_and_no_secret(
    callslip: Callslip,
) -> None:
    def exported(tool_id: str, method: str, host: str, name: str) -> dict[str, Any]:
        headers = {name: PASSWORD}
        config = {"id": "7", "urlHost": host, "method": method, "headers": headers}
        return {"id": tool_id, "steps": [{"id": "get", "apiConfig": config}]}

    tools = [
        exported("good", "GET", "https://a.test", "X-Token"),
        exported("bad", "FETCH", "https://a.test", "X-Secret"),
        exported("alone", "FETCH", "https://b.test", "X-Token"),
    ]
    result = callslip("import", "superglue", "-", "--json", code=2, stdin=json.dumps(tools))
    report = json.loads(result.stdout)
    assert [one["outcome"] for one in report["tools"]] == ["added", "refused", "refused"]
    (system,) = report["systems"]
    assert (system["id"], [one["name"] for one in system["credentials"]]) == ("a-test", ["token"])
    assert [one["id"] for one in json.loads(callslip("systems", "list", "--json").stdout)] == [
        "a-test"
    ]
    shown = json.loads(callslip("systems", "show", "a-test", "--json").stdout)
    assert list(shown["credentials"]) == ["token"]


def test_exported_tools_are_taken_back_unchanged_and_hold_no_secret(callslip: Callslip) -> None:
    callslip("import", "curl", f"curl 'https://api.example.com/a?n=1' -u 'ann:{PASSWORD}'")
    exported = callslip("tools", "export").stdout
    added = json.loads(callslip("tools", "add", "-", "--json", stdin=exported).stdout)
    assert [one["outcome"] for one in added["tools"]] == ["unchanged"]
    command = callslip("tools", "export", "get_a", "--format", "curl").stdout
    assert '-u "${API_EXAMPLE_COM_USERNAME}:${API_EXAMPLE_COM_PASSWORD}"' in command
    document = json.loads(callslip("tools", "export", "--format", "arazzo").stdout)
    assert [one["workflowId"] for one in document["workflows"]] == ["get_a"]
    callslip("import", "arazzo", "-", "--dry-run", stdin=json.dumps(document))


def test_an_address_that_is_none_is_refused_without_what_is_secret_in_it(
    callslip: Callslip,
) -> None:
    refused = callslip("import", "superglue", f"http://ann:{PASSWORD}@[::1/tools?k=1", code=2)
    assert "http://[::1/tools: this is no http or https url" in refused.output


def test_halves_of_characters_in_a_url_are_no_failure(callslip: Callslip, tmp_path: Path) -> None:
    request: dict[str, Any] = {"method": "GET", "url": "https://api.test/a\ud800", "headers": []}
    answer = {"status": 200, "content": {"mimeType": "application/json"}}
    file = tmp_path / "session.har"
    file.write_text(json.dumps({"log": {"entries": [{"request": request, "response": answer}]}}))
    report = json.loads(callslip("import", "har", str(file), "--json").stdout)
    assert [one["id"] for one in report["added"]] == ["get_a"]


def test_a_system_that_is_refused_is_named_with_the_reason(
    callslip: Callslip, tmp_path: Path
) -> None:
    file = tmp_path / "tools.json"
    headers = {"X-Api-Key": "planted\ud800key"}
    step = {"id": "s", "config": {"url": "https://api.test/", "headers": headers}}
    file.write_text(json.dumps([{"id": "t", "steps": [step]}]))
    refused = callslip("import", "superglue", str(file), code=2)
    assert "api-test is refused: credentials.api_key: the value is no Unicode text" in (
        refused.output.replace("\n", " ")
    )
    assert callslip("tools", "export").stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("pets.json", "a tool cannot call itself"),
        ("https://api.test/pets.json", "it is not fetched"),
        ("data:application/json;base64,\u00e9", "its data: url cannot be decoded"),
        ("a%00b.json", "its url names no file"),
    ],
)
def test_where_no_tool_can_be_stored_no_system_is(
    source: str, reason: str, callslip: Callslip, tmp_path: Path
) -> None:
    file = tmp_path / "workflows.json"
    workflow = {"workflowId": "w", "steps": [{"stepId": "a", "workflowId": "w"}]}
    get = {"operationId": "pets", "responses": {"200": {"description": "fine"}}}
    described = {
        "openapi": "3.0.0",
        "info": {"title": "Pets", "version": "1"},
        "servers": [{"url": "https://api.test"}],
        "paths": {"/pets": {"get": get}},
    }
    (tmp_path / "pets.json").write_text(json.dumps(described))
    file.write_text(
        json.dumps(
            {
                "arazzo": "1.0.1",
                "info": {"title": "Pets", "version": "1"},
                "sourceDescriptions": [{"name": "pets", "url": source}],
                "workflows": [workflow],
            }
        )
    )
    refused = callslip("import", "arazzo", str(file), code=2)
    assert reason in refused.output.replace("\n", " ")
    assert callslip("systems", "list", "--json").stdout.strip() == "[]"
