"""Webhooks in and out, and schedules, over a real server."""

import hashlib
import hmac
import json
import time
from typing import Any

import anyio
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.active_run import RunRequest
from server.app import open_service
from server.automation import Automation
from server.hooks import proves
from server.scheduler import ScheduleError, next_time
from server.service import Service
from server.settings import Settings
from server.webhooks import SIGNATURE_HEADER, WebhookSender, signature
from storage.api_keys import Scope
from storage.errors import StorageError
from storage.hooks import Hook
from storage.run_lists import RunFilter
from storage.schedules import Schedule
from tests.server.helpers import request_tool, script_tool, store, until, until_async
from tests.server.rest.helpers import http_server, make_key, message_of, rest_client
from tests.web import Answer, Web
from tools.run import RequestSource, milliseconds, now_ms

SECRET = "a-webhook-secret-of-some-length"
BODY = b'{"ref": "refs/heads/main"}'


async def ended(service: Service, tool_id: str, number: int = 1) -> list[Any]:
    """The runs of a tool, once there are so many that have ended."""

    async def are_there() -> bool:
        page = await service.list_runs(RunFilter(tool_id=tool_id), limit=10)
        return len([run for run in page.runs if run.completed_at is not None]) >= number

    await until_async(are_there, f"{number} runs of {tool_id} have ended")
    return (await service.list_runs(RunFilter(tool_id=tool_id), limit=10)).runs


async def deliveries(service: Service) -> list[tuple[str, int]]:
    found = await Automation(service).deliveries(None, 10)
    return [(one.status, one.attempts) for one in found]


async def run_with_webhook(
    url: str, target: str, tool_id: str = "t", **body: Any
) -> httpx.Response:
    async with rest_client(url) as client:
        options = {"webhookUrl": target}
        return await client.post(f"/tools/{tool_id}/run", json={"options": options})


async def test_an_ended_run_is_sent_signed_and_as_recorded(settings: Settings, web: Web) -> None:
    web.responds(lambda seen: Answer({"ok": True}))
    settings = settings.model_copy(update={"webhook_secret": SECRET})
    async with open_service(settings) as service, http_server(service) as url:
        await store(service, script_tool("t", "() => ({ n: 1 })"))
        answer = await run_with_webhook(url, f"{web.url}/told?token=t0ken")
        await until(lambda: bool(web.seen), "the webhook arrived")
        [seen] = web.seen
        assert (seen.method, seen.target) == ("POST", "/told?token=t0ken")
        sent = json.loads(seen.body)
        assert (sent["runId"], sent["status"], sent["data"]) == (
            answer.json()["runId"],
            "success",
            {"n": 1},
        )
        given = seen.headers[SIGNATURE_HEADER.lower()]
        at = int(given.partition(",")[0].removeprefix("t="))
        assert abs(time.time() - at) < 60
        assert given == signature(SECRET, seen.body, at)

        async def is_delivered() -> bool:
            return await deliveries(service) == [("delivered", 1)]

        await until_async(is_delivered, "the delivery is recorded")
        [one] = await Automation(service).deliveries(None, 10)
        assert one.target == "http://127.0.0.1"


@pytest.mark.parametrize(
    ("code", "status"), [("() => { throw new Error('no') }", "failed"), ("1", "success")]
)
async def test_failed_runs_are_told_too(code: str, status: str, service: Service, web: Web) -> None:
    web.responds(lambda seen: Answer({}))
    async with http_server(service) as url:
        await store(service, script_tool("t", code))
        await run_with_webhook(url, web.url)
        await until(lambda: bool(web.seen), "the webhook arrived")
    assert json.loads(web.seen[0].body)["status"] == status
    assert SIGNATURE_HEADER.lower() not in web.seen[0].headers


async def test_a_delivery_that_fails_waits_and_is_given_up_at_last(
    service: Service, web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.webhooks._FIRST_DELAY_SECONDS", 0.0)
    monkeypatch.setattr("server.webhooks._MOST_ATTEMPTS", 3)
    web.responds(lambda seen: Answer("down", 503))
    async with http_server(service) as url:
        await store(service, script_tool("t", "1"))
        await run_with_webhook(url, f"{web.url}/told?token=t0ken")

        async def is_dead() -> bool:
            return await deliveries(service) == [("dead", 3)]

        await until_async(is_dead, "it is given up")
        [one] = await Automation(service).deliveries("dead", 10)
        assert one.error == "HTTP 503"
        web.responds(lambda seen: Answer({}))
        assert await Automation(service).redeliver(one.delivery_id)
        assert not await Automation(service).redeliver(one.delivery_id)

        async def is_delivered() -> bool:
            return [status for status, _ in await deliveries(service)] == ["delivered"]

        await until_async(is_delivered, "it arrives at last")


async def test_a_receiver_that_is_gone_is_not_asked_again(service: Service, web: Web) -> None:
    web.responds(lambda seen: Answer("", 410))
    async with http_server(service) as url:
        await store(service, script_tool("t", "1"))
        await run_with_webhook(url, web.url)

        async def is_dead() -> bool:
            return await deliveries(service) == [("dead", 1)]

        await until_async(is_dead, "it is given up")


async def test_what_a_process_did_not_deliver_another_one_does(
    settings: Settings, web: Web
) -> None:
    web.responds(lambda seen: Answer({}))
    async with open_service(settings) as first:
        await store(first, script_tool("t", "1"))
        request = RunRequest("t", {}, RequestSource.API, webhook_target=web.url)
        await (await first.start(request)).wait()
    assert web.seen == []
    async with open_service(settings) as second, http_server(second):
        await until(lambda: bool(web.seen), "the webhook arrived")


async def test_of_two_servers_one_delivers(settings: Settings, web: Web) -> None:
    web.responds(lambda seen: Answer({}))
    async with open_service(settings) as one, open_service(settings) as two:
        await store(one, script_tool("t", "1"))
        async with http_server(one) as url, http_server(two):
            for _ in range(5):
                await run_with_webhook(url, web.url)

            async def are_delivered() -> bool:
                return await deliveries(one) == [("delivered", 1)] * 5

            await until_async(are_delivered, "all are delivered")
    assert len(web.seen) == 5


async def test_a_tool_starts_another_with_its_result_under_the_same_trace(
    service: Service,
) -> None:
    await store(
        service,
        script_tool("first", "() => ({ word: 'whale' })"),
        script_tool("plain", "() => 7"),
        script_tool("fails", "() => { throw new Error('no') }"),
        script_tool("second", "(s) => s"),
    )
    async with http_server(service) as url:
        answer = await run_with_webhook(url, "tool:second", "first")
        [run] = await ended(service, "second")
        run = await service.get_run(run.run_id)
        assert run.inputs == {"word": "whale"}
        assert run.request_source == "tool-chain"
        assert run.trace_id == answer.json()["traceId"]
        assert run.parent_run_id == answer.json()["runId"]
        await run_with_webhook(url, "tool:second", "fails")
        await run_with_webhook(url, "tool:second", "plain")
        runs = await ended(service, "second", 2)
        assert (await service.get_run(runs[0].run_id)).inputs == {"result": 7}

        async def are_done() -> bool:
            return sorted(status for status, _ in await deliveries(service)) == [
                "delivered",
                "delivered",
                "skipped",
            ]

        await until_async(are_done, "every delivery has ended")


async def test_a_short_credential_in_a_result_is_followed_to_the_tool_that_it_starts(
    service: Service, web: Web
) -> None:
    await service.connections.put(
        {"id": "acme", "url": "http://acme.test", "credentials": {"pin": "12 34"}}
    )
    makes = {"id": "made", "config": {"type": "transform", "transformCode": "$.acme_pin"}}
    asks = {
        "id": "asked",
        "retries": 0,
        "failureBehavior": "continue",
        "config": {"url": "/", "systemId": "acme"},
    }
    await store(
        service,
        {"id": "first", "steps": [makes, asks], "outputTransform": "(s) => ({ p: s.made.data })"},
        request_tool("second", f"{web.url}/<<p>>"),
    )
    async with http_server(service) as url:
        await run_with_webhook(url, "tool:second", "first")
        [run] = await ended(service, "second")
    assert run.status == "failed"
    assert "the credential acme.pin belongs to http://acme.test" in (run.error or "")
    assert web.seen == []


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("ftp://h/", "valid are https://"),
        ("nonsense", "valid are https://"),
        ("tool:nobody", "tool nobody not found"),
        ("tool:t", "t may not start itself"),
    ],
)
async def test_a_target_that_cannot_be_one_is_refused(
    target: str, words: str, service: Service
) -> None:
    await store(service, script_tool("t", "1"))
    async with http_server(service) as url:
        assert words in message_of(await run_with_webhook(url, target), 400)
    assert (await service.list_runs(RunFilter(), limit=1)).total == 0


async def hook(service: Service, scheme: Any = "secret", header: str | None = None) -> None:
    await store(service, script_tool("t", "(s) => s"))
    system = {"id": "sender", "url": "http://sender.example", "credentials": {"hook": SECRET}}
    await service.connections.put(system)
    await Automation(service).put_hook("t", "sender", "hook", scheme, header)


def proof(scheme: str, body: bytes = BODY, secret: str = SECRET) -> dict[str, str]:
    match scheme:
        case "secret":
            return {"X-Callslip-Secret": secret}
        case "hmac":
            digest = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
            return {"X-Hub-Signature-256": f"sha256={digest}"}
        case _:
            return {"X-Callslip-Signature": signature(secret, body, int(time.time()))}


@pytest.mark.parametrize("scheme", ["secret", "hmac", "timestamped"])
async def test_a_sender_that_proves_itself_starts_the_tool(scheme: str, service: Service) -> None:
    await hook(service, scheme)
    await make_key(service, "somebody")
    async with http_server(service, needs_key=True) as url, rest_client(url) as client:
        answer = await client.post("/hooks/t", content=BODY, headers=proof(scheme))
        assert answer.status_code == 202
        accepted = answer.json()
        assert (accepted["status"], accepted["toolId"]) == ("accepted", "t")
        [run] = await ended(service, "t")
        assert run.run_id == accepted["runId"]
        assert run.request_source == "webhook"
        assert (await service.get_run(run.run_id)).inputs == json.loads(BODY)
        wrong: tuple[dict[str, str], ...] = (
            {},
            proof(scheme, secret="another secret of length"),
            {} if scheme == "secret" else proof(scheme, body=b"{}"),
        )
        for headers in wrong:
            refused = await client.post("/hooks/t", content=BODY, headers=headers)
            assert "does not prove" in message_of(refused, 403)
            assert SECRET not in refused.text
        other = await client.post("/hooks/other", content=BODY, headers=proof(scheme))
        assert other.status_code == 403
    assert (await service.list_runs(RunFilter(), limit=5)).total == 1


async def test_a_key_starts_a_tool_without_a_hook(service: Service) -> None:
    await store(service, script_tool("t", "(s) => s"))
    key = await make_key(service, "runner", Scope.RUN)
    reader = await make_key(service, "reader", Scope.READ)
    async with http_server(service, needs_key=True) as url:
        async with rest_client(url, key) as client:
            assert (await client.post("/hooks/t", json=[1, 2])).status_code == 202
            missing = await client.post("/hooks/nobody", json={})
            assert "not found" in message_of(missing, 404)
        async with rest_client(url, reader) as client:
            assert (await client.post("/hooks/t", json={})).status_code == 403
        async with rest_client(url, "no key") as client:
            assert (await client.post("/hooks/t", json={})).status_code == 401
    [run] = await ended(service, "t")
    assert (await service.get_run(run.run_id)).inputs == {"payload": [1, 2]}


async def test_bodies_of_other_kinds_become_inputs_or_are_refused(service: Service) -> None:
    await store(service, script_tool("t", "(s) => s"))
    async with http_server(service) as url, rest_client(url) as client:
        await client.post("/hooks/t", data={"a": "1", "b": "x y"})
        await client.post("/hooks/t", content=b"")
        refused = await client.post("/hooks/t", content=b"<xml/>")
        assert "neither JSON nor a form" in message_of(refused, 400)
        runs = await ended(service, "t", 2)
    inputs = [(await service.get_run(run.run_id)).inputs for run in runs]
    assert inputs == [{}, {"a": "1", "b": "x y"}]


async def test_challenges_are_said_back_as_text(service: Service) -> None:
    await hook(service)
    await make_key(service, "somebody")
    async with http_server(service, needs_key=True) as url, rest_client(url) as client:
        for query in ("hub.mode=subscribe&hub.challenge=42", "validationToken=42", "challenge=42"):
            answer = await client.get(f"/hooks/t?{query}")
            assert (answer.status_code, answer.text) == (200, "42")
            assert answer.headers["content-type"].startswith("text/plain")
        assert (await client.get("/hooks/t")).status_code == 405
        assert (await client.get("/hooks/other?challenge=1")).status_code == 403
        asked = {"type": "url_verification", "challenge": "c"}
        body = json.dumps(asked).encode()
        answer = await client.post("/hooks/t", content=body, headers=proof("secret"))
        assert answer.json() == {"challenge": "c"}


def test_a_signed_time_is_good_for_some_minutes() -> None:
    one = Hook("t", "s", "c", "timestamped", SIGNATURE_HEADER)
    at = 1_800_000_000
    headers = {SIGNATURE_HEADER.lower(): signature(SECRET, BODY, at)}
    for seconds, good in ((0, True), (299, True), (-299, True), (301, False), (-301, False)):
        assert proves(one, SECRET, headers, {}, BODY, at + seconds) is good


@given(text=st.text(max_size=80), body=st.binary(max_size=40))
def test_no_text_but_the_right_one_proves_anything(text: str, body: bytes) -> None:
    for scheme in ("secret", "hmac", "timestamped"):
        one = Hook("t", "s", "c", scheme, "X")
        headers, query = {"x": text}, {"secret": text}
        assert not proves(one, SECRET + "!", headers, query, body, 1_800_000_000)


async def test_a_schedule_starts_its_tool_and_says_when_it_is_due(service: Service) -> None:
    await store(service, script_tool("t", "(s) => s"))
    async with http_server(service) as url, rest_client(url) as client:
        wanted = {
            "toolId": "t",
            "cron": "0 8 * * 1-5",
            "timeZone": "Europe/Berlin",
            "inputs": {"a": 1},
        }
        made = await client.post("/schedules", json=wanted)
        assert made.status_code == 201
        schedule_id = made.json()["id"]
        assert milliseconds(made.json()["nextAt"]) > now_ms()
        listed = (await client.get("/schedules")).json()
        assert (listed["total"], listed["data"][0]["cron"]) == (1, "0 8 * * 1-5")
        stored = await Automation(service).schedule(schedule_id)
        await service.schedules.put(
            Schedule(schedule_id, "t", stored.cron, stored.time_zone, {"a": 1}, next_at=1)
        )
        [run] = await ended(service, "t")
        assert (run.request_source, run.tool_id) == ("scheduler", "t")

        async def is_noted() -> bool:
            return (await Automation(service).schedule(schedule_id)).last_run_id == run.run_id

        await until_async(is_noted, "the schedule knows its run")
        off = await client.patch(f"/schedules/{schedule_id}", json={"enabled": False})
        assert (off.json()["enabled"], "nextAt" in off.json()) == (False, False)
        assert (await client.delete(f"/schedules/{schedule_id}")).status_code == 200
        gone = await client.get(f"/schedules/{schedule_id}")
        assert "not found" in message_of(gone, 404)
    # Many times were missed since 1970; they are one.
    assert (await service.list_runs(RunFilter(), limit=5)).total == 1


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"cron": "61 * * * *"}, "valid are five fields"),
        ({"cron": ""}, "valid are five fields"),
        ({"cron": "*/5 * * * * *"}, "valid are five fields"),
        ({"timeZone": "Mars/Olympus"}, "valid are names such as UTC"),
        ({"timeZone": "../etc/passwd"}, "valid are names such as UTC"),
    ],
)
async def test_a_schedule_that_cannot_be_read_is_refused(
    fields: dict[str, Any], words: str, service: Service
) -> None:
    await store(service, script_tool("t", "1"))
    async with http_server(service) as url, rest_client(url) as client:
        wanted = {"toolId": "t", "cron": "* * * * *", **fields}
        assert words in message_of(await client.post("/schedules", json=wanted), 400)
        missing = await client.post("/schedules", json={"toolId": "no", "cron": "* * * * *"})
        assert "tool no not found" in message_of(missing, 404)


async def test_a_time_whose_run_cannot_be_recorded_is_tried_again(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store(service, script_tool("t", "1"))
    start = service.start
    failures = [StorageError("the database is locked")] * 2

    async def start_at_last(request: RunRequest) -> Any:
        if failures:
            raise failures.pop()
        return await start(request)

    monkeypatch.setattr(service, "start", start_at_last)
    await service.schedules.put(Schedule("s", "t", "0 8 * * *", "UTC", {}, next_at=1))
    async with http_server(service):
        [run] = await ended(service, "t")
    assert (run.request_source, failures) == ("scheduler", [])


async def test_inputs_with_which_every_scheduled_run_would_fail_are_refused(
    service: Service,
) -> None:
    schema = {
        "type": "object",
        "properties": {"n": {"type": "integer"}, "m": {"type": "integer", "default": 1}},
        "required": ["n", "m"],
    }
    await store(service, script_tool("t", "1", inputSchema=schema))
    async with http_server(service) as url, rest_client(url) as client:
        wanted: dict[str, Any] = {"toolId": "t", "cron": "0 8 * * *", "inputs": {"n": "x"}}
        refused = await client.post("/schedules", json=wanted)
        assert "inputs/n: must be integer, is the string" in message_of(refused, 400)
        assert refused.json()["error"]["details"][0]["path"] == "inputs/n"
        made = await client.post("/schedules", json={**wanted, "inputs": {"n": 1}})
        assert made.status_code == 201, made.text
        address = f"/schedules/{made.json()['id']}"
        assert "`n`" in message_of(await client.patch(address, json={"inputs": {}}), 400)
        # What cannot run any more can be switched off, and not on again.
        await service.tools.change("t", {"inputSchema": {**schema, "required": ["k"]}})
        off = await client.patch(address, json={"enabled": False})
        assert off.json()["enabled"] is False
        assert "`k`" in message_of(await client.patch(address, json={"enabled": True}), 400)


async def test_a_field_that_a_schedule_does_not_have_is_refused(service: Service) -> None:
    await store(service, script_tool("t", "1"))
    async with http_server(service) as url, rest_client(url) as client:
        wanted = {"toolId": "t", "cron": "0 8 * * *"}
        refused = await client.post("/schedules", json={**wanted, "timezone": "Europe/Berlin"})
        assert "did you mean timeZone?" in message_of(refused, 400)
        made = (await client.post("/schedules", json=wanted)).json()["id"]
        refused = await client.patch(f"/schedules/{made}", json={"crn": "0 9 * * *"})
        assert "did you mean cron?" in message_of(refused, 400)
        assert (await client.get(f"/schedules/{made}")).json()["cron"] == "0 8 * * *"


async def test_of_two_servers_one_starts_a_schedule(settings: Settings) -> None:
    async with open_service(settings) as one, open_service(settings) as two:
        await store(one, script_tool("t", "1"))
        for number in range(5):
            await one.schedules.put(Schedule(f"s{number}", "t", "0 0 1 1 *", "UTC", {}, next_at=1))
        async with http_server(one), http_server(two):
            await ended(one, "t", 5)
        assert (await one.list_runs(RunFilter(), limit=20)).total == 5


@pytest.mark.parametrize(
    ("cron", "zone", "after", "expected"),
    [
        ("0 8 * * *", "UTC", "2026-03-01T08:00:00Z", "2026-03-02T08:00:00.000Z"),
        ("0 8 * * *", "Europe/Berlin", "2026-01-10T00:00:00Z", "2026-01-10T07:00:00.000Z"),
        ("0 8 * * *", "Europe/Berlin", "2026-07-10T00:00:00Z", "2026-07-10T06:00:00.000Z"),
        ("*/15 * * * *", "UTC", "2026-01-01T00:01:00Z", "2026-01-01T00:15:00.000Z"),
        ("0 0 29 2 *", "UTC", "2026-01-01T00:00:00Z", "2028-02-29T00:00:00.000Z"),
    ],
)
def test_times_are_those_of_the_zone(cron: str, zone: str, after: str, expected: str) -> None:
    assert next_time(cron, zone, milliseconds(after)) == milliseconds(expected)


def test_an_hour_that_the_clock_skips_or_repeats_is_due_once() -> None:
    start = milliseconds("2026-10-24T12:00:00Z")
    times: list[int] = []
    for _ in range(2):
        due = next_time("30 2 * * *", "Europe/Berlin", times[-1] if times else start)
        assert due is not None
        times.append(due)
    assert times[1] - times[0] in (25 * 3_600_000, 24 * 3_600_000)
    with pytest.raises(ScheduleError):
        next_time("nonsense", "UTC", 0)


async def test_a_sender_that_is_stopped_lets_go_of_the_service(service: Service) -> None:
    before = len(service.runs_changed)
    async with anyio.create_task_group() as group:
        group.start_soon(WebhookSender(service, service.outbox, None).run)
        await until(lambda: len(service.runs_changed) > before, "it listens")
        group.cancel_scope.cancel()
    assert len(service.runs_changed) == before


async def test_a_call_that_needs_an_upstream_is_told_of_by_webhook_when_it_was_async(
    service: Service, web: Web
) -> None:
    web.responds(lambda seen: Answer({"at": seen.path}))
    await store(service, request_tool("t", f"{web.url}/upstream", retries=0))
    async with http_server(service) as url, rest_client(url) as client:
        options = {"webhookUrl": f"{web.url}/told", "async": True}
        answer = await client.post("/tools/t/run", json={"options": options})
        assert answer.status_code == 202
        await until(lambda: len(web.seen) == 2, "upstream and receiver were asked")
    assert json.loads(web.seen[1].body)["data"] == {"at": "/upstream"}


async def test_a_fault_of_one_delivery_or_schedule_ends_nothing_else(
    service: Service, web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    web.responds(lambda seen: Answer({}))
    await store(service, script_tool("t", "1"), script_tool("broken", "1"))
    real = service.start

    async def start(request: RunRequest) -> Any:
        if request.tool_id == "broken":
            raise ZeroDivisionError
        return await real(request)

    monkeypatch.setattr(service, "start", start)
    await service.schedules.put(Schedule("a", "broken", "0 0 1 1 *", "UTC", {}, next_at=1))
    await service.schedules.put(Schedule("b", "t", "0 0 1 1 *", "UTC", {}, next_at=2))
    async with http_server(service) as url:
        await ended(service, "t")
        await run_with_webhook(url, "tool:broken")
        await run_with_webhook(url, web.url)
        await until(lambda: bool(web.seen), "the webhook arrived")
        waiting = [one for one in await Automation(service).deliveries("pending", 5) if one.error]
        assert [one.error for one in waiting] == ["callslip itself failed: ZeroDivisionError"]
