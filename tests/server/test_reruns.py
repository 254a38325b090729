"""Recorded runs made again: live, from the failed step, and answered from the record."""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from server.active_run import RunRequest
from server.frozen_runs import FreezeError, freeze_run
from server.reruns import Rerun, RerunError, RerunRequest, plan_rerun
from server.service import ArchivedToolError, Service, UnknownRunError, UnknownToolError
from server.views import tool_view
from storage.run_record import StoredRun
from tests.server.helpers import request_tool, script_tool, silent_upstream, start, store, until
from tests.web import Answer, Seen, Web, serve
from tools.context import RunEvent
from tools.errors import ErrorKind
from tools.run import RequestSource, RunOptions, RunStatus

SECRET = "correct-horse-battery-staple"


async def run(service: Service, tool_id: str, inputs: Any = None, **fields: Any) -> StoredRun:
    active = await start(service, tool_id, inputs, **fields)
    await active.wait()
    return await service.get_run(active.run_id)


async def rerun(service: Service, run_id: str, **fields: Any) -> tuple[StoredRun, Rerun]:
    made = await service.rerun(RerunRequest(run_id, RequestSource.API, **fields))
    await made.run.wait()
    return await service.get_run(made.run.run_id), made


async def replayed(service: Service, run: StoredRun, **fields: Any) -> StoredRun:
    """The replay of a run, which must come out as the run did."""
    again, _ = await rerun(service, run.run_id, mode="replay", **fields)
    assert (again.status, again.error, again.data) == (run.status, run.error, run.data)
    assert (again.source_run_id, again.source_kind) == (run.run_id, "replay")
    return again


def body_of(run: StoredRun) -> Any:
    return run.data


def two_steps(url: str, **second: Any) -> dict[str, Any]:
    steps = [
        {"id": "first", "config": {"url": f"{url}/first", "method": "POST"}},
        {"id": "second", "config": {"url": f"{url}/second?of=<<first.data.id>>"}, **second},
    ]
    return {"id": "two", "steps": steps, "retries": 0}


def answers_by_path(answers: dict[str, Answer]) -> Any:
    def respond(seen: Seen) -> Answer:
        return answers[seen.target.partition("?")[0]]

    return respond


@asynccontextmanager
async def outside() -> AsyncGenerator[Web]:
    """A server that a test shuts down itself: after it nothing can be sent."""
    async with serve() as web:
        yield web


# Live


async def test_a_failed_run_made_again_as_it_was_is_a_retry(service: Service, web: Web) -> None:
    await store(service, request_tool("get", f"{web.url}/<<x>>"))
    web.answers(Answer(status=404), Answer({"n": 1}))
    failed = await run(service, "get", {"x": "a"})
    again, _ = await rerun(service, failed.run_id)
    assert (again.status, body_of(again)) == (RunStatus.SUCCESS, {"n": 1})
    assert (again.source_run_id, again.source_kind) == (failed.run_id, "retry")
    assert again.inputs == {"x": "a"}


async def test_links_lead_both_ways_and_each_rerun_is_a_run_of_its_own(
    service: Service, web: Web
) -> None:
    await store(service, script_tool("t", "$"))
    first = await run(service, "t", {"x": 1})
    made = [await rerun(service, first.run_id), await rerun(service, first.run_id)]
    view = tool_view(await service.get_run(first.run_id))
    expected = {(again.run_id, "rerun", "success") for again, _ in made}
    assert {(one["runId"], one["kind"], one["status"]) for one in view["derivedRuns"]} == expected
    assert tool_view(made[0][0])["sourceRunId"] == first.run_id
    assert "derivedRuns" not in tool_view(made[0][0])


async def test_inputs_are_put_over_the_recorded_ones(service: Service) -> None:
    await store(service, script_tool("t", "$"))
    first = await run(service, "t", {"a": 1, "b": {"c": 2}, "d": 3})
    again, _ = await rerun(service, first.run_id, inputs={"b": {"e": 4}, "d": None})
    assert body_of(again) == {"a": 1, "b": {"e": 4}, "d": None}
    assert again.source_kind == "rerun"


async def test_inputs_that_held_a_secret_are_refused_until_they_are_given_anew(
    service: Service,
) -> None:
    await store(service, script_tool("t", "(s) => s.list.length"))
    given = {"list": ["x", {"key": SECRET}]}
    first = await run(service, "t", given, credentials={"token": SECRET})
    with pytest.raises(RerunError, match=r"\$\.list\[1\]\.key"):
        await rerun(service, first.run_id)
    again, _ = await rerun(service, first.run_id, inputs={"list": [1]})
    assert body_of(again) == 1


async def test_options_and_environment_are_kept_and_the_trace_is_new(service: Service) -> None:
    await store(service, script_tool("t", "1"))
    options = {"mode": "dev", "retries": 1, "traceId": "abc"}
    first = await run(service, "t", options=options)
    again, _ = await rerun(service, first.run_id)
    assert again.options == {"mode": "dev", "retries": 1}
    assert again.execution_mode == first.execution_mode == "dev"
    assert again.trace_id != "abc"


async def test_a_running_run_is_refused(service: Service) -> None:
    async with silent_upstream() as upstream:
        await store(service, request_tool("get", upstream.url))
        active = await start(service, "get")
        await until(lambda: upstream.requests > 0, "the request arrives")
        with pytest.raises(RerunError, match="still running"):
            await rerun(service, active.run_id)
        await service.cancel_run(active.run_id, "enough")


async def test_an_unknown_run_is_refused(service: Service) -> None:
    with pytest.raises(UnknownRunError):
        await rerun(service, "none")


async def test_the_definition_is_the_recorded_one_or_the_latest(service: Service) -> None:
    inner = script_tool("inner", "() => 'old inner'")
    call = {"id": "call", "config": {"type": "tool", "toolId": "inner"}}
    await store(service, inner, {"id": "outer", "steps": [call]})
    first = await run(service, "outer")
    await store(service, script_tool("inner", "() => 'new inner'"))
    again, _ = await rerun(service, first.run_id)
    assert body_of(again) == "old inner"
    assert again.version_number == first.version_number
    latest, _ = await rerun(service, first.run_id, version="latest")
    assert body_of(latest) == "new inner"


async def test_a_run_of_a_removed_or_archived_tool_is_made_again_from_its_snapshot(
    service: Service,
) -> None:
    await store(service, script_tool("t", "7"), script_tool("old", "8"))
    removed, archived = await run(service, "t"), await run(service, "old")
    await service.tools.remove("t")
    await store(service, script_tool("old", "8", archived=True))
    for one, error in ((removed, UnknownToolError), (archived, ArchivedToolError)):
        again, _ = await rerun(service, one.run_id)
        assert again.data == one.data
        with pytest.raises(error):
            await rerun(service, one.run_id, version="latest")


async def test_dry_and_limited_send_nothing_and_little(service: Service, web: Web) -> None:
    web.answers(Answer({"id": 1}))
    await store(service, two_steps(web.url))
    first = await run(service, "two")
    sent = len(web.seen)
    dry, _ = await rerun(service, first.run_id, mode="dry")
    assert (dry.status, len(web.seen)) == (RunStatus.SUCCESS, sent)
    limited, _ = await rerun(service, first.run_id, mode="limited")
    assert "a limited run reads only" in (limited.error or "")
    with pytest.raises(RerunError, match="was dry"):
        await rerun(service, dry.run_id, mode="replay")


# From the failed step


async def test_steps_that_had_finished_are_taken_from_the_record(
    service: Service, web: Web
) -> None:
    web.responds(answers_by_path({"/first": Answer({"id": 5}), "/second": Answer({"e": 1}, 500)}))
    await store(service, two_steps(web.url))
    failed = await run(service, "two")
    web.seen.clear()
    web.answers(Answer({"ok": True}))
    again, made = await rerun(service, failed.run_id, from_failed_step=True)
    assert [seen.target for seen in web.seen] == ["/second?of=5"]
    assert body_of(again) == {"ok": True}
    assert again.source_kind == "rerun"
    assert again.steps[0]["takenFrom"] == failed.run_id
    assert again.steps[0]["data"] == failed.steps[0]["data"]
    assert again.steps[0]["requests"] == []
    assert made.plan.taken == ("first",)
    # And again from that one: what was taken once is taken along.
    third, made = await rerun(service, again.run_id, from_failed_step=True)
    assert (made.plan.taken, body_of(third)) == (("first", "second"), {"ok": True})
    # A replay has no answer for what was not asked, and takes it too.
    await replayed(service, again)
    with pytest.raises(FreezeError, match="took step first from run"):
        await freeze_run(service, again.run_id, service.settings.home / "frozen")


async def test_a_step_whose_data_was_redacted_is_run_again_and_the_answer_says_why(
    service: Service, web: Web
) -> None:
    web.responds(answers_by_path({"/first": Answer({"id": SECRET}), "/second": Answer({}, 500)}))
    await store(service, two_steps(web.url))
    failed = await run(service, "two", credentials={"token": SECRET})
    web.seen.clear()
    _, made = await rerun(service, failed.run_id, from_failed_step=True)
    assert [seen.target for seen in web.seen] == ["/first", f"/second?of={SECRET}"]
    assert made.plan.notes() == [
        "step first is run again: its recorded data was filtered or redacted"
    ]
    assert made.plan.wire()["stepsRunAgain"][0]["stepId"] == "first"


async def test_a_step_that_has_changed_since_is_run_again(service: Service, web: Web) -> None:
    web.responds(
        answers_by_path(
            {"/first": Answer({"id": 5}), "/second": Answer({}, 500), "/new": Answer({"id": 6})}
        )
    )
    tool = two_steps(web.url)
    await store(service, tool)
    failed = await run(service, "two")
    tool["steps"][0]["config"]["url"] = f"{web.url}/new"
    await store(service, tool)
    _, made = await rerun(service, failed.run_id, from_failed_step=True, version="latest")
    assert made.plan.notes() == ["step first is run again: its definition has changed"]


async def test_a_dry_run_has_no_steps_to_take_in_a_live_one(service: Service, web: Web) -> None:
    await store(service, request_tool("get", web.url))
    dry = await run(service, "get", options={"execution": "dry"})
    with pytest.raises(RerunError, match="was dry"):
        await rerun(service, dry.run_id, mode="live", from_failed_step=True)


# Replay


async def test_pages_loops_and_retries_are_replayed_without_the_upstream(
    service: Service,
) -> None:
    async with outside() as web:
        failures = iter([503, 429])

        def respond(seen: Seen) -> Answer:
            if seen.target.startswith("/list"):
                page = int(seen.target.rpartition("=")[2])
                return Answer([page * 10, page * 10 + 1] if page < 3 else [30])
            status = next(failures, 200)
            headers = {"retry-after": "0"} if status == 429 else {}
            return Answer({"path": seen.target}, status, headers)

        web.responds(respond)
        pages = {"type": "pageBased", "pageSize": 2}
        listing = {"url": f"{web.url}/list?page=<<page>>", "pagination": pages}
        steps = [
            {"id": "list", "config": listing},
            {
                "id": "each",
                "dataSelector": "(s) => s.list.data",
                "config": {"url": f"{web.url}/item/<<currentItem>>"},
            },
        ]
        await store(service, {"id": "all", "steps": steps, "retryDelayMs": 0, "concurrency": 1})
        first = await run(service, "all")
        assert first.status is RunStatus.SUCCESS, first.error
    again = await replayed(service, first)
    assert again.cost is not None
    assert (again.cost["requests"], again.cost["bytesOut"]) == (0, 0)
    assert [step["attempts"] for step in again.steps] == [step["attempts"] for step in first.steps]
    # A replay is a record too, and can be replayed.
    await replayed(service, again)


async def test_a_replay_waits_for_nothing(service: Service) -> None:
    """The pause asked for is longer than any test."""
    async with outside() as web:
        web.answers(Answer(status=429, headers={"retry-after": "1000"}), Answer({"n": 1}))
        await store(service, request_tool("get", web.url))
        said: list[str] = []

        def hear(event: RunEvent) -> None:
            said.append(event.message)

        active = await start(service, "get", on_event=hear)
        await until(lambda: any("waiting" in one for one in said), "the run waits")
        await service.cancel_run(active.run_id, "no patience")
    aborted = await service.get_run(active.run_id)
    again, _ = await rerun(service, aborted.run_id, mode="replay")
    # The second attempt comes at once, and was never recorded.
    assert again.error_detail is not None
    assert again.error_detail["kind"] == ErrorKind.REPLAY
    assert again.steps[0]["attempts"] == 2


async def test_recorded_failures_fail_again(service: Service) -> None:
    async with outside() as web:
        web.answers(Answer(raw=b""))
        await store(
            service,
            request_tool("cut", f"{web.url}/cut", retries=1, retryDelayMs=0),
            request_tool("slow", f"{web.url}/slow", timeoutMs=50),
            request_tool("gone", f"{web.url}/gone", retries=0),
        )
        cut = await run(service, "cut")
        web.answers(Answer(delay_seconds=60))
        slow = await run(service, "slow")
    gone = await run(service, "gone")
    for failed, kind in ((cut, "connection"), (slow, "timeout"), (gone, "connection")):
        again = await replayed(service, failed)
        assert again.error_detail is not None
        assert again.error_detail["kind"] == kind
        assert again.error_detail == failed.error_detail
        assert len(again.steps[0]["requests"]) == len(failed.steps[0]["requests"])


async def test_binary_answers_are_replayed_byte_by_byte(service: Service) -> None:
    content = bytes(range(256)) * 50
    async with outside() as web:
        web.answers(Answer(content, headers={"content-type": "application/octet-stream"}))
        await store(service, request_tool("get", web.url))
        first = await run(service, "get")
    again = await replayed(service, first)
    key = again.steps[0]["files"][0]["key"]
    assert (await service.get_file(again.run_id, key)).data == content


async def test_what_a_redirect_led_to_is_replayed(service: Service) -> None:
    async with outside() as web:

        def respond(seen: Seen) -> Answer:
            if seen.target == "/old/start":
                return Answer(status=302, headers={"location": "/new/list"})
            more = {"link": '<more>; rel="next"'} if seen.target == "/new/list" else {}
            return Answer([seen.target], headers=more)

        web.responds(respond)
        config = {"pagination": {"type": "linkHeader"}}
        await store(service, request_tool("get", f"{web.url}/old/start", config=config))
        first = await run(service, "get")
        assert body_of(first) == ["/new/list", "/new/more"]
    await replayed(service, first)


async def test_child_runs_are_replayed_from_their_own_records(service: Service) -> None:
    async with outside() as web:
        web.responds(lambda seen: Answer({"at": seen.target}))
        call = {"type": "tool", "toolId": "inner", "inputs": {"n": "<<currentItem>>"}}
        looping = {"id": "call", "dataSelector": "() => [1, 2, 3]", "config": call}
        inner = request_tool("inner", f"{web.url}/<<n>>")
        await store(service, inner, {"id": "outer", "steps": [looping]})
        first = await run(service, "outer")
    assert len(first.steps[0]["childRunIds"]) == 3
    # Neither tool is what it was.
    await store(service, script_tool("inner", "1"))
    await service.tools.remove("outer")
    again = await replayed(service, first)
    children = [await service.get_run(one) for one in again.steps[0]["childRunIds"]]
    assert {child.source_kind for child in children} == {"replay"}
    assert {child.source_run_id for child in children} == set(first.steps[0]["childRunIds"])
    assert {child.parent_run_id for child in children} == {again.run_id}


async def test_a_child_run_that_is_gone_refuses_the_replay(service: Service, web: Web) -> None:
    web.answers(Answer({}))
    inner = request_tool("inner", web.url)
    call = {"id": "call", "config": {"type": "tool", "toolId": "inner"}}
    await store(service, inner, {"id": "outer", "steps": [call]})
    first = await run(service, "outer")
    await service.history.delete(first.steps[0]["childRunId"])
    with pytest.raises(RerunError, match="not recorded any more"):
        await rerun(service, first.run_id, mode="replay")


AUTHS: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "bearer": ({"type": "bearer", "credential": "token"}, {"token": SECRET}),
    "query": (
        {"type": "apiKey", "in": "query", "name": "key", "credential": "k"},
        {"k": SECRET},
    ),
    "short": (
        {"type": "apiKey", "in": "header", "name": "x-key", "credential": "k"},
        {"k": "abc"},
    ),
    "digest": (
        {"type": "digest", "username": "user", "password": "pass"},
        {"user": "a-user-name", "pass": SECRET},
    ),
    "sigv4": (
        {
            "type": "aws_sigv4",
            "accessKeyId": "id",
            "secretAccessKey": "secret",
            "region": "eu-west-1",
            "service": "execute-api",
        },
        {"id": "AKIDEXAMPLE", "secret": SECRET},
    ),
    "oauth2": (
        {
            "type": "oauth2",
            "grant": "client_credentials",
            "tokenUrl": "WEB/token",
            "clientId": "client",
            "clientSecret": "secret",
        },
        {"client": "the-client", "secret": SECRET},
    ),
}


@pytest.mark.parametrize("kind", AUTHS)
async def test_a_replay_needs_no_credential(service: Service, kind: str) -> None:
    auth, credentials = AUTHS[kind]
    async with outside() as web:
        challenged = False

        def respond(seen: Seen) -> Answer:
            nonlocal challenged
            if seen.target == "/token":
                return Answer({"access_token": "a-token-of-an-hour", "expires_in": 3600})
            if kind == "digest" and "authorization" not in seen.headers:
                nonce = 'Digest realm="r", nonce="n", qop="auth", algorithm=MD5'
                return Answer(status=401, headers={"www-authenticate": nonce})
            if kind == "oauth2" and not challenged:
                challenged = True
                return Answer(status=401)
            return Answer({"echo": dict(seen.headers), "target": seen.target})

        web.responds(respond)
        system = {
            "id": "acme",
            "url": web.url,
            "auth": json.loads(json.dumps(auth).replace("WEB", web.url)),
            "credentials": credentials,
        }
        report = await service.connections.put(system)
        assert report["outcome"] == "added", report
        name = next(iter(credentials))
        config = {
            "systemId": "acme",
            "url": f"{web.url}/rows?a=1&own=<<credentials.{name}>>",
            "method": "POST",
            "headers": {"Content-Type": "application/json"},
            "body": f'{{"t": "<<credentials.{name}>>"}}',
        }
        await store(service, request_tool("get", f"{web.url}", config=config))
        first = await run(service, "get")
        assert first.status is RunStatus.SUCCESS, first.error
    for credential in credentials:
        await service.connections.store.unset_credential("acme", "prod", credential)
    again, _ = await rerun(service, first.run_id, mode="replay")
    assert (again.status, again.error) == (RunStatus.SUCCESS, None)
    assert again.data == first.data
    assert len(again.steps[0]["requests"]) == len(first.steps[0]["requests"])


async def test_run_time_credentials_are_known_by_name(service: Service) -> None:
    async with outside() as web:
        web.responds(lambda seen: Answer({"target": seen.target}))
        await store(service, request_tool("get", f"{web.url}/?t=<<token>>"))
        first = await run(service, "get", credentials={"token": SECRET})
    assert first.options == {"credentialNames": ["token"]}
    await replayed(service, first)


async def test_a_changed_tool_meets_the_recorded_answers(service: Service) -> None:
    async with outside() as web:
        web.answers(Answer({"n": 20}))
        tool = request_tool("get", f"{web.url}/a")
        await store(service, tool)
        first = await run(service, "get")
    await store(service, {**tool, "outputTransform": "(s) => s.get.data.n * 2"})
    again, _ = await rerun(service, first.run_id, mode="replay", version="latest")
    assert body_of(again) == 40
    await store(service, request_tool("get", f"{web.url}/b"))
    failed, _ = await rerun(service, first.run_id, mode="replay", version="latest")
    assert failed.error_detail is not None
    assert failed.error_detail["kind"] == "replay"
    assert "/b has no recorded answer" in (failed.error or "")
    assert f"GET {web.url}/a" in (failed.error or "")


async def test_a_damaged_record_is_no_answer(service: Service) -> None:
    async with outside() as web:
        web.answers(Answer({}))
        await store(service, request_tool("get", web.url))
        first = await run(service, "get")
    first.steps[0]["requests"][0]["exchange"]["responseHeaders"] = [1]
    plan = plan_rerun(first, RerunRequest(first.run_id, RequestSource.API, mode="replay"), None, [])
    outcome = await (await service.start(plan.request)).wait()
    assert "its record is damaged" in (outcome.error or "")


async def test_deeply_nested_inputs_are_taken_again(service: Service) -> None:
    await store(service, script_tool("t", "1"))
    deep: Any = []
    for _ in range(900):
        deep = [deep]
    first = await run(service, "t", {"deep": deep})
    again, _ = await rerun(service, first.run_id)
    assert again.status is RunStatus.SUCCESS


async def test_a_lenient_replay_sends_what_is_new(service: Service, web: Web) -> None:
    web.responds(lambda seen: Answer({"at": seen.target}))
    tool = request_tool("get", f"{web.url}/a")
    await store(service, tool)
    first = await run(service, "get")
    tool["steps"].append({"id": "more", "config": {"url": f"{web.url}/b"}})
    await store(service, tool)
    web.seen.clear()
    again, _ = await rerun(service, first.run_id, mode="lenient", version="latest")
    assert [seen.target for seen in web.seen] == ["/b"]
    assert body_of(again) == {"at": "/b"}


async def test_a_replay_does_not_count_as_a_good_run(service: Service, web: Web) -> None:
    web.answers(Answer({}))
    await store(service, request_tool("get", web.url))
    first = await run(service, "get")
    await replayed(service, first)
    web.answers(Answer(status=500))
    failed = await run(service, "get", options={"retries": 0})
    explanation = await service.explain_run(failed.run_id)
    assert explanation["lastGood"]["runId"] == first.run_id


async def test_an_idempotency_key_holds_for_reruns_of_its_own(service: Service) -> None:
    await store(service, script_tool("t", "1"))
    first = await service.start(
        RunRequest("t", {}, RequestSource.API, RunOptions(), idempotency_key="k")
    )
    await first.wait()
    again, _ = await rerun(service, first.run_id)
    assert again.run_id != first.run_id
    assert again.idempotency_key is None
