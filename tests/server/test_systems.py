"""Runs over systems: whose credentials are used, where they go, and that no byte keeps one."""

import base64
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from server.app import open_service
from server.service import SecretInNameError, Service
from server.settings import Settings
from server.views import tool_view
from storage.audit import AuditReport, audit
from storage.errors import StorageError
from storage.objects import ObjectStore
from tests.server.helpers import request_tool, start, store
from tests.web import Answer, Seen, Web, serve
from tools.redaction import secret_forms
from tools.run import RunOptions

SECRET = "tok/en+0123~45!'x"


async def add_system(service: Service, **fields: Any) -> None:
    report = await service.connections.put({"id": "acme", **fields})
    assert report["outcome"] in {"added", "updated"}, report


async def run(service: Service, tool_id: str, inputs: Any = None, **fields: Any) -> dict[str, Any]:
    active = await start(service, tool_id, inputs, **fields)
    await active.wait()
    return tool_view(await service.get_run(active.run_id))


async def audited(service: Service, **more: str) -> AuditReport:
    secrets, _ = await service.connections.all_secrets()
    home = service.settings
    objects = ObjectStore(home.results_directory)
    return await audit(home.home, home.database_path, {**secrets, **more}, objects)


def refusal(view: dict[str, Any]) -> tuple[str, str]:
    assert view["status"] == "failed", view
    detail = view["errorDetail"]
    return detail["kind"], view["error"] + " | " + detail.get("hint", "")


def tool(url: str, *, system_id: str | None = "acme", **config: Any) -> dict[str, Any]:
    system = {} if system_id is None else {"systemId": system_id}
    return request_tool("ask", url, config={**system, **config}, step={"retries": 0})


# Where a credential may go

OTHER_ORIGINS: list[tuple[str, dict[str, Any]]] = [
    ("a url from an input", {"url": "<<target>>"}),
    ("a literal url", {"url": "OTHER/x"}),
    ("a literal url with the credential in it", {"url": "OTHER/x?k=<<acme_token>>"}),
    ("a basic pair", {"url": "OTHER/x", "headers": {"Authorization": "Basic me:<<acme_token>>"}}),
    (
        "a header made by a function",
        {"url": "OTHER/x", "headers": {"X-K": "<<s => btoa('u:' + s.acme_token)>>"}},
    ),
    ("a JSON body", {"url": "OTHER/x", "method": "POST", "body": '{"k": "<<acme_token>>"}'}),
    (
        "a form body",
        {
            "url": "OTHER/x",
            "method": "POST",
            "headers": {"Content-Type": "application/x-www-form-urlencoded"},
            "body": '{"k": "<<acme_token>>"}',
        },
    ),
]


@pytest.mark.parametrize("auth", [None, {"type": "bearer", "credential": "token"}])
@pytest.mark.parametrize(
    "config",
    [case for _, case in OTHER_ORIGINS],
    ids=[name for name, _ in OTHER_ORIGINS],
)
async def test_a_credential_is_not_sent_to_another_origin(
    auth: dict[str, Any] | None, config: dict[str, Any], service: Service, web: Web
) -> None:
    await add_system(
        service,
        url="http://acme.test",
        credentials={"token": 'tok"en+/0123456'},
        **({"auth": auth} if auth else {}),
    )
    given_config = json.loads(json.dumps(config).replace("OTHER", web.url))
    web.answers(Answer({}))
    await store(service, tool(given_config.pop("url"), **given_config))
    view = await run(service, "ask", {"target": f"{web.url}/stolen"})
    if view["status"] == "success":
        assert auth is None
        assert config["url"] == "OTHER/x"
        assert set(config) == {"url"}
        return
    assert refusal(view)[0] in {"credential", "blocked_address"}, view
    assert web.seen == []


SHORT = [
    ("a name in the query", {"queryParams": {"p": "<<acme_pin>>"}}),
    ("a name in the url", {"url": "ORIGIN/x/<<acme_pin>>"}),
    ("the object of credentials", {"headers": {"X-Pin": "<<credentials.acme_pin>>"}}),
    ("a basic pair", {"headers": {"Authorization": "Basic me:<<acme_pin>>"}}),
    ("a function", {"headers": {"X-Pin": "<<s => btoa('u:' + s.acme_pin)>>"}}),
    ("all headers at once", {"headers": "<<s => ({'X-Pin': s.credentials.acme_pin})>>"}),
    ("a body", {"method": "POST", "body": '{"p": "<<acme_pin>>"}'}),
    ("a path", {"method": "POST", "body": "<<$.credentials.acme_pin>>"}),
]


@pytest.mark.parametrize("config", [config for _, config in SHORT], ids=[name for name, _ in SHORT])
async def test_a_short_credential_of_a_template_is_held_to_its_origin(
    config: dict[str, Any], service: Service, web: Web
) -> None:
    web.answers(Answer({}))
    await add_system(service, id="other", url=web.url)
    await add_system(service, url="http://acme.test", credentials={"pin": "12 34"})
    given_config = json.loads(json.dumps(config).replace("ORIGIN", web.url))
    url = given_config.pop("url", f"{web.url}/x")
    definition = tool(url, system_id=None, **given_config)
    definition["steps"].append({"id": "acme", "config": {"url": "/", "systemId": "acme"}})
    await store(service, definition)
    kind, words = refusal(await run(service, "ask"))
    assert (kind, web.seen) == ("credential", [])
    assert "acme.pin" in words


async def test_a_short_credential_of_the_run_is_held_to_its_origin(
    service: Service, web: Web
) -> None:
    web.answers(Answer({}))
    await add_system(service, url="http://acme.test")
    await store(service, tool(f"{web.url}/x", headers={"X-Pin": "<<pin>>"}))
    kind, words = refusal(await run(service, "ask", credentials={"pin": "1234"}))
    assert (kind, web.seen) == ("credential", [])
    assert "run.pin" in words


async def test_a_short_credential_goes_to_its_system_and_its_value_may_appear_elsewhere(
    service: Service, web: Web
) -> None:
    web.answers(Answer({}))
    await add_system(service, url=web.url, credentials={"pin": "1234"})
    await add_system(service, id="beta", url=web.url, credentials={"pin": "1234"})
    await store(service, tool("/x/1234", headers={"X-Pin": "<<acme_pin>>", "X-N": "<<n>>"}))
    view = await run(service, "ask", {"n": "1234"})
    assert view["status"] == "success", view
    assert web.seen[0].headers["x-pin"] == "1234"


@pytest.mark.parametrize(
    ("config", "location", "is_taken"),
    [
        ({"headers": {"X-Pin": "<<acme_pin>>"}}, "{other}/x", False),
        ({"headers": "<<s => ({'X-Pin': s.acme_pin})>>"}, "{other}/x", False),
        ({"headers": {"X-Pin": "<<acme_pin>>"}}, "{other}/x?p=1234", True),
        ({"queryParams": {"p": "<<acme_pin>>"}}, "{other}/x?p=1234&q=1", True),
        ({"queryParams": {"p": "<<acme_pin>>"}}, "{other}/x?p=012345", False),
        ({"method": "POST", "body": '{"p": "<<acme_pin>>"}'}, "{other}/x", True),
    ],
)
async def test_a_redirect_does_not_take_a_short_credential_along(
    config: dict[str, Any], location: str, is_taken: bool, service: Service, web: Web
) -> None:
    async with serve() as other:
        other.answers(Answer({}))
        status = 307 if "body" in config else 302
        web.answers(Answer(status=status, headers={"Location": location.format(other=other.url)}))
        await add_system(service, url=web.url, credentials={"pin": "1234"})
        await store(service, tool("/start", **config))
        view = await run(service, "ask")
        if is_taken:
            assert refusal(view)[0] == "credential"
            assert other.seen == []
        else:
            assert view["status"] == "success", view
            assert "x-pin" not in other.seen[0].headers


async def test_a_next_page_at_an_allowed_origin_is_read_without_a_short_credential(
    service: Service, web: Web
) -> None:
    other = web.url.replace("127.0.0.1", "localhost")
    await add_system(service, url=web.url, credentials={"pin": "1234"}, allowedOrigins=[other])
    web.answers(Answer({"rows": [1], "next": f"{other}/2"}), Answer({"rows": [2], "next": None}))
    pagination = {"type": "nextUrl", "nextUrlPath": "next"}
    headers = {"X-Pin": "<<acme_pin>>", "X-N": "1"}
    config: dict[str, Any] = {"headers": headers, "pagination": pagination}
    await store(service, tool(f"{web.url}/1", **config))
    view = await run(service, "ask")
    assert view["data"]["rows"] == [1, 2]
    assert [seen.headers.get("x-pin") for seen in web.seen] == ["1234", None]
    assert web.seen[1].headers["x-n"] == "1"


@pytest.mark.parametrize(
    "location",
    ["{other}/x", "{other}/x?k={secret}", "{other}/x#{base64}", "//{host}/x?k={base64}"],
)
@pytest.mark.parametrize("place", ["header", "query"])
async def test_a_redirect_does_not_carry_a_credential_to_another_origin(
    location: str, place: str, service: Service, web: Web
) -> None:
    async with serve() as other:
        other.answers(Answer({"stranger": True}))
        target = location.format(
            other=other.url,
            host=other.url.removeprefix("http://"),
            secret=quote(SECRET, safe=""),
            base64=quote(base64.b64encode(f"u:{SECRET}".encode()).decode()),
        )
        web.answers(Answer(status=302, headers={"Location": target}))
        auth = {"type": "apiKey", "in": place, "name": "X-Own", "credential": "token"}
        await add_system(service, url=web.url, auth=auth, credentials={"token": SECRET})
        await store(service, tool("/start"))
        view = await run(service, "ask")
        if view["status"] == "success":
            assert location == "{other}/x"
        else:
            assert refusal(view)[0] == "credential"
            assert other.seen == []
        for seen in other.seen:
            sent = f"{seen.target} {seen.headers} {seen.body!r}"
            assert not any(form in sent for form in secret_forms(SECRET))
    assert SECRET not in json.dumps(view)
    assert (await audited(service)).hits == 0


@pytest.mark.parametrize("status", [302, 307])
async def test_a_body_with_a_credential_is_not_redirected_to_another_origin(
    status: int, service: Service, web: Web
) -> None:
    async with serve() as other:
        other.answers(Answer({}))
        web.answers(Answer(status=status, headers={"Location": f"{other.url}/x"}))
        await add_system(service, url=web.url, credentials={"token": SECRET})
        await store(service, tool("/start", method="POST", body='{"k": "<<acme_token>>"}'))
        view = await run(service, "ask")
        assert view["status"] == ("success" if status == 302 else "failed")
        assert all(seen.body == b"" for seen in other.seen)


async def test_a_next_link_does_not_take_a_credential_along(service: Service, web: Web) -> None:
    async with serve() as other:
        other.answers(Answer({"rows": []}))
        web.answers(Answer({"rows": [1], "next": f"{other.url}/2"}))
        auth = {"type": "bearer", "credential": "token"}
        await add_system(service, url=web.url, auth=auth, credentials={"token": SECRET})
        pages = {"type": "nextUrl", "nextUrlPath": "next", "cursorPath": "next"}
        await store(service, tool("/1", pagination=pages))
        kind, words = refusal(await run(service, "ask"))
        assert kind == "credential"
        assert "allowedOrigins" in words
        assert other.seen == []


async def test_a_next_page_at_an_allowed_origin_is_read_without_the_credential(
    service: Service, web: Web
) -> None:
    other = web.url.replace("127.0.0.1", "localhost")
    await add_system(
        service,
        url=web.url,
        auth={"type": "bearer", "credential": "token"},
        credentials={"token": SECRET},
        allowedOrigins=[other],
    )
    web.answers(
        Answer({"rows": [1], "next": f"{other}/page2"}), Answer({"rows": [2], "next": None})
    )
    pagination = {"type": "nextUrl", "nextUrlPath": "next"}
    await store(service, tool(f"{web.url}/page1", pagination=pagination))
    view = await run(service, "ask")
    assert view["data"]["rows"] == [1, 2]
    assert [seen.headers.get("authorization") for seen in web.seen] == [f"Bearer {SECRET}", None]


async def test_a_sub_tool_keeps_the_credential_it_is_handed(service: Service, web: Web) -> None:
    """What a parent passes down is bound and redacted as in the parent."""
    async with serve() as other:
        other.answers(Answer({}))
        web.responds(lambda seen: Answer({"path": seen.target}))
        await add_system(service, url=web.url, credentials={"token": SECRET})
        asks = {"id": "asks", "config": {"url": "/x", "systemId": "acme"}}

        def calls(child: str) -> dict[str, Any]:
            code = {"type": "transform", "transformCode": "s => ({t: s.acme_token})"}
            inner = {"type": "tool", "toolId": child, "inputs": {"t": "<<acme_token>>"}}
            steps = [asks, {"id": "makes", "config": code}, {"id": "calls", "config": inner}]
            return {"id": f"to_{child}", "steps": steps}

        await store(
            service,
            {"id": "says", "steps": [], "outputTransform": "s => s"},
            request_tool("leaks", f"{other.url}/x", config={"queryParams": {"t": "<<t>>"}}),
            calls("says"),
            calls("leaks"),
        )
        for name in ("to_says", "to_leaks"):
            view = await run(service, name)
            assert SECRET not in json.dumps(view)
        assert other.seen == []
    assert (await audited(service)).hits == 0


# What is stored and answered

FORMS: list[Callable[[str], str]] = [
    lambda s: s,
    lambda s: json.dumps(s),
    lambda s: json.dumps(s).replace("/", "\\/"),
    lambda s: json.dumps(s, ensure_ascii=False),
    lambda s: quote(s, safe=""),
    lambda s: quote(s, safe="!*'()"),
    lambda s: quote_plus(s),
    lambda s: quote_plus(s).lower() if "%" in quote_plus(s) and s.islower() else quote(s),
    lambda s: base64.b64encode(s.encode()).decode(),
    lambda s: base64.b64encode(b"a" + s.encode() + b"z").decode(),
    lambda s: base64.b64encode(b"ab" + s.encode()).decode().rstrip("="),
    lambda s: base64.urlsafe_b64encode(s.encode()).decode(),
    lambda s: quote(base64.b64encode(b"u:" + s.encode()).decode(), safe=""),
    lambda s: "Basic " + base64.b64encode(b"ann:" + s.encode()).decode(),
]

secrets = st.text(
    st.sampled_from("abcXYZ0189-_.~!@#$%^&*()+=/\\\"'<>` äß€"), min_size=8, max_size=30
).filter(lambda secret: len(secret.strip()) >= 8)


def echo(secret: str, seen: Seen) -> Answer:
    """An upstream that says everything it knows, everywhere."""
    forms = [form(secret) for form in FORMS]
    headers = {f"X-Echo-{n}": one for n, one in enumerate(forms) if one.isascii()}
    headers["Location"] = f"/?k={quote(secret, safe='')}"
    headers["Set-Cookie"] = f"k={quote(secret)}"
    if seen.path.startswith("/text"):
        return Answer("\n".join(forms) + f"\n{seen.headers}", headers=headers)
    status = 418 if seen.path == "/fails" else 200
    body = {"forms": forms, "target": seen.target, "headers": dict(seen.headers)}
    return Answer({**body, secret: "a key"}, status, headers)


LEAKING_STEPS: list[dict[str, Any]] = [
    {"id": "json", "config": {"url": "/json?k=<<acme_token>>", "systemId": "acme"}},
    {"id": "text", "config": {"url": "/text/<<acme_token>>", "systemId": "acme"}},
    {
        "id": "loop",
        "dataSelector": "s => [s.json.data.forms[0]]",
        "config": {"url": "/item/<<currentItem>>", "systemId": "acme"},
    },
    {
        "id": "fails",
        "failureBehavior": "continue",
        "retries": 0,
        "config": {"url": "/fails", "systemId": "acme"},
    },
    {
        "id": "logs",
        "config": {
            "type": "transform",
            "transformCode": "s => { for (const f of s.json.data.forms) console.log('x', f, {f});"
            " return {again: s.json.data.forms.map(f => encodeURIComponent(f))} }",
        },
    },
]


def leaking_tools() -> list[dict[str, Any]]:
    throws = {"type": "transform", "transformCode": "s => { throw new Error(s.json.data.forms) }"}
    schema = {"type": "object", "additionalProperties": False}
    return [
        {"id": "leaks", "steps": LEAKING_STEPS, "outputTransform": "s => s"},
        {"id": "throws", "steps": [LEAKING_STEPS[0], {"id": "throws", "config": throws}]},
        {"id": "odd", "steps": LEAKING_STEPS[:1], "outputSchema": schema},
        {"id": "broken", "steps": [{**LEAKING_STEPS[3], "failureBehavior": "fail"}]},
    ]


@given(secret=secrets)
@hypothesis_settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
async def test_what_an_upstream_echoes_is_never_stored_or_answered(
    secret: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    home = tmp_path_factory.mktemp("echo")
    settings = Settings(home=home / "home", config_directory=home / "config", proxies={})
    async with serve() as web, open_service(settings) as service:
        web.responds(lambda seen: echo(secret, seen))
        auth = {"type": "basic", "username": "user", "password": "token"}
        credentials = {"token": secret, "user": "ann-of-acme"}
        await add_system(service, url=web.url, auth=auth, credentials=credentials)
        await store(service, *leaking_tools())
        for name in ("leaks", "throws", "odd", "broken"):
            view = await run(service, name, {"given": secret})
            said = json.dumps(view, ensure_ascii=False)
            found = [form for form in secret_forms(secret) if form in said]
            assert not found, (name, found)
            assert "[credential acme.token]" in said
        report = await audited(service)
        assert (report.hits, report.locations) == (0, [])
        assert report.secrets == 2


async def test_a_refused_run_keeps_no_credential_of_its_inputs(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NOT_THERE", raising=False)
    credentials: dict[str, Any] = {"token": SECRET, "gone": {"fromEnv": "NOT_THERE"}}
    await add_system(service, url="http://acme.test", credentials=credentials)
    await store(service, tool("/x"))
    view = await run(service, "ask", {"given": SECRET})
    assert refusal(view)[0] == "credential"
    assert (await audited(service)).hits == 0


# Whose credentials


@pytest.mark.parametrize("source", ["fromEnv", "fromFile", "fromCommand", "missing program"])
async def test_a_source_that_fails_is_a_failed_run_that_names_the_command(
    source: str,
    service: Service,
    web: Web,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("NOT_THERE", raising=False)
    noisy = "import sys; print('s3cr3t-out'); print('s3cr3t-err', file=sys.stderr); sys.exit(3)"
    value: dict[str, Any] = {
        "fromEnv": {"fromEnv": "NOT_THERE"},
        "fromFile": {"fromFile": str(tmp_path / "nothing")},
        "fromCommand": {"fromCommand": [sys.executable, "-c", noisy]},
        "missing program": {"fromCommand": [str(tmp_path / "no-program")]},
    }[source]
    await add_system(service, url=web.url, credentials={"token": value}, environment="dev")
    await store(service, tool("/x"))
    view = await run(service, "ask", options={"mode": "dev"})
    kind, words = refusal(view)
    assert kind == "credential"
    assert "callslip systems set-credential acme token --environment dev" in words
    assert "s3cr3t" not in json.dumps(view)
    assert web.seen == []


async def test_sources_are_read_anew_and_never_stored(
    service: Service, web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "secret"
    file.write_text("from-a-file-1\n")
    monkeypatch.setenv("ACME_TOKEN", "from-the-environment")
    credentials: dict[str, Any] = {
        "env": {"fromEnv": "ACME_TOKEN"},
        "file": {"fromFile": str(file)},
        "command": {"fromCommand": [sys.executable, "-c", "print('from-a' + '-command')"]},
    }
    web.responds(lambda seen: Answer({"headers": dict(seen.headers)}))
    await add_system(service, url=web.url, credentials=credentials)
    headers = {"X-All": "<<acme_env>> <<credentials.file>> <<acme_command>>"}
    await store(service, tool("/x", headers=headers))
    view = await run(service, "ask")
    assert "from-a" not in json.dumps(view["stepResults"])
    file.write_text("from-a-file-2")
    await run(service, "ask")
    assert [seen.headers["x-all"] for seen in web.seen] == [
        f"from-the-environment from-a-file-{n} from-a-command" for n in (1, 2)
    ]
    assert (await audited(service)).hits == 0


@pytest.mark.parametrize("falls_back", [False, True])
async def test_dev_uses_prod_only_when_the_tool_says_so(
    falls_back: bool, service: Service, web: Web
) -> None:
    web.answers(Answer({}))
    auth = {"type": "bearer", "credential": "token"}
    await add_system(service, url=web.url, auth=auth, credentials={"token": SECRET})
    await store(service, {**tool(f"{web.url}/x"), "devFallsBackToProd": falls_back})
    view = await run(service, "ask", options={"mode": "dev"})
    if falls_back:
        assert view["status"] == "success"
        assert web.seen[0].headers["authorization"] == f"Bearer {SECRET}"
        assert view["executionMode"] == "prod"
        assert "system acme is not stored for dev" in view["logs"][0]["message"]
        return
    assert view["executionMode"] == "dev"
    kind, words = refusal(view)
    assert kind == "credential"
    assert "not for dev" in words
    assert "devFallsBackToProd" in words
    assert web.seen == []


async def test_a_run_of_which_one_system_fell_back_says_which(service: Service, web: Web) -> None:
    web.answers(Answer({}))
    await add_system(service, url=web.url)
    await add_system(service, url=web.url, environment="dev")
    await add_system(service, id="beta", url=web.url)
    other = tool("/y", system_id="beta")["steps"][0]
    definition = tool("/x")
    definition["steps"].append({**other, "id": "other"})
    await store(service, {**definition, "devFallsBackToProd": True})
    view = await run(service, "ask", options={"mode": "dev"})
    assert view["executionMode"] == "dev"
    (line,) = view["logs"]
    assert line["level"] == "warn"
    assert line["message"].startswith("system beta is not stored for dev")
    assert "logs" not in await run(service, "ask")


@pytest.mark.parametrize("mode", ["prod", "dev"])
async def test_a_system_that_is_not_stored_is_told_in_the_record_and_the_explanation(
    mode: str, service: Service, web: Web
) -> None:
    web.answers(Answer("who are you?", status=401))
    config = {"systemId": "acme", "url": f"{web.url}/x"}
    await store(service, {"id": "t", "steps": [{"id": "s", "config": config}]})
    active = await start(service, "t", options={"mode": mode})
    await active.wait()
    run = await service.get_run(active.run_id)
    assert "system acme is not stored: requests" in str(run.logs)
    likely = " ".join((await service.explain_run(active.run_id))["likely"])
    assert "System acme was not stored, so that nothing signed the request in (401)" in likely


async def test_each_environment_has_its_own_credentials(service: Service, web: Web) -> None:
    web.answers(Answer({}))
    auth = {"type": "bearer", "credential": "token"}
    for environment in ("prod", "dev"):
        token = {"token": f"token-of-{environment}"}
        await add_system(
            service, url=web.url, auth=auth, credentials=token, environment=environment
        )
    await store(service, tool("/x"))
    for mode in ("prod", "dev"):
        view = await run(service, "ask", options={"mode": mode})
        assert view["executionMode"] == mode
        assert web.seen[-1].headers["authorization"] == f"Bearer token-of-{mode}"


@pytest.mark.parametrize("name", ["token", "acme_token"])
@pytest.mark.parametrize("stored", [{"token": SECRET}, {"token": {"fromEnv": "NOT_THERE"}}, {}])
async def test_a_run_time_credential_takes_the_stored_ones_place_under_every_spelling(
    name: str, stored: dict[str, Any], service: Service, web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NOT_THERE", raising=False)
    web.answers(Answer({}))
    auth = {"type": "bearer", "credential": "token"}
    await add_system(service, url=web.url, auth=auth, credentials=stored)
    headers = {"X-One": "<<acme_token>>", "X-Two": "<<credentials.token>>"}
    await store(service, tool("/x", headers=headers if stored else {}))
    view = await run(service, "ask", credentials={name: "run-time-token"})
    assert view["status"] == "success", view["error"]
    seen = web.seen[0].headers
    assert seen["authorization"] == "Bearer run-time-token"
    if stored:
        assert seen["x-one"] == seen["x-two"] == "run-time-token"
    assert (await audited(service, run="run-time-token")).hits == 0


async def test_a_step_sees_the_credentials_of_its_own_system_only(
    service: Service, web: Web
) -> None:
    web.answers(Answer({}))
    for system_id in ("acme", "other"):
        token = {"token": f"token-of-{system_id}"}
        await add_system(service, id=system_id, url=web.url, credentials=token)
    peeks = "<<s => JSON.stringify(s)>>"
    config = {"url": "/x", "systemId": "acme", "headers": {"X-All": peeks}}
    other = {"id": "other", "config": {"url": "/y", "systemId": "other"}}
    await store(service, {"id": "ask", "steps": [{"id": "peek", "config": config}, other]})
    await run(service, "ask", credentials={"other_key": "run-time-of-other"})
    all_names = web.seen[0].headers["x-all"]
    assert "token-of-acme" in all_names
    assert "other" not in all_names


async def test_a_missing_credential_is_named_and_nothing_is_sent(
    service: Service, web: Web
) -> None:
    auth = {"type": "bearer", "credential": "token"}
    await add_system(service, url=web.url, auth=auth)
    await store(service, tool("/x"))
    kind, words = refusal(await run(service, "ask"))
    assert kind == "credential"
    assert "callslip systems set-credential acme token" in words
    assert web.seen == []


# The key


@pytest.mark.parametrize(
    ("key", "place"),
    [
        ("wrong file", "the key file"),
        ("no file", "none in the key file"),
        ("no key", "is no key"),
        ("environment", "CALLSLIP_MASTER_KEY"),
        ("malformed", "CALLSLIP_MASTER_KEY"),
    ],
)
async def test_a_key_that_does_not_open_fails_the_run_and_names_its_place(
    key: str, place: str, settings: Settings, web: Web
) -> None:
    async with open_service(settings) as service:
        await add_system(service, url=web.url, credentials={"token": SECRET})
        await store(service, tool("/x"))
    environment = None
    if key == "wrong file":
        settings.key_file.write_bytes(base64.b64encode(bytes(32)))
    elif key == "no file":
        settings.key_file.unlink()
    elif key == "no key":
        settings.key_file.write_text("nonsense")
    else:
        environment = base64.b64encode(bytes(32)).decode() if key == "environment" else "abc!"
    changed = settings.model_copy(update={"master_key": environment})
    async with open_service(changed) as service:
        kind, words = refusal(await run(service, "ask"))
        assert kind == "credential"
        assert place in words
        assert web.seen == []
        with pytest.raises(StorageError, match=place):
            await service.connections.all_secrets()


@pytest.mark.parametrize("where", ["run_id", "key", "trace"])
async def test_a_name_of_a_run_that_holds_a_credential_is_refused(
    where: str, service: Service, web: Web
) -> None:
    await add_system(service, url=web.url, credentials={"token": SECRET})
    await store(service, tool("/x"))
    given: dict[str, Any] = {
        "run_id": {"run_id": f"x-{SECRET}"},
        "key": {"idempotency_key": f"x-{SECRET}"},
        "trace": {"options": RunOptions(trace_id=quote(SECRET))},
    }[where]
    with pytest.raises(SecretInNameError) as refused:
        await start(service, "ask", **given)
    assert SECRET not in str(refused.value)
    assert web.seen == []
    assert (await audited(service)).hits == 0


async def test_a_credential_is_redacted_where_it_was_read_as_latin_1(
    service: Service, web: Web
) -> None:
    secret = "Schl\u00fcssel-geheim-2026"
    web.responds(lambda seen: Answer({"shown": secret.encode().decode("latin-1")}))
    await add_system(service, url=web.url, credentials={"token": secret})
    await store(service, tool("/x"))
    view = await run(service, "ask")
    assert view["data"]["shown"] == "[credential acme.token]"
    assert (await audited(service)).hits == 0
