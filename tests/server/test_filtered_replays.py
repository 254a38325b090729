"""Replays of runs whose answers response filters changed: what they left is never sent upstream."""

import json
from pathlib import Path
from typing import Any

import pytest

from server.frozen_runs import FreezeError, freeze_run
from server.reruns import RerunError, RerunRequest
from server.service import Service
from storage.run_record import StoredRun
from tests.server.helpers import start, store, until
from tests.web import Answer, Seen, Web
from tools.run import RequestSource, RunStatus

NO_MAIL = {"id": "m", "target": "KEYS", "pattern": "^mail$", "action": "MASK"}
MAIL = "ann@x.example"
CSV = {"content-type": "text/csv"}


async def run(service: Service, tool_id: str) -> StoredRun:
    active = await start(service, tool_id)
    await active.wait()
    return await service.get_run(active.run_id)


async def rerun(service: Service, run: StoredRun, mode: Any, **fields: Any) -> StoredRun:
    wanted = RerunRequest(run.run_id, RequestSource.API, mode=mode, **fields)
    made = await service.rerun(wanted)
    await made.run.wait()
    return await service.get_run(made.run.run_id)


def sent(web: Web) -> list[tuple[str, str]]:
    return [(seen.method, seen.target) for seen in web.seen]


def users(url: str, *, reading: str = "GET", **fields: Any) -> dict[str, Any]:
    """A tool that reads a user and writes an invitation to their address."""
    read = {"id": "u", "config": {"url": f"{url}/users/6", "method": reading}}
    body = '{"mail": "<<u.data.mail>>"}'
    write = {"id": "w", "config": {"url": f"{url}/invite", "method": "POST", "body": body}}
    return {
        "id": "users",
        "steps": [read, write],
        "retries": 0,
        "responseFilters": [NO_MAIL],
        **fields,
    }


def answer_users(web: Web, body: Any, headers: Any = None) -> None:
    def respond(seen: Seen) -> Answer:
        return Answer({"ok": 1}) if seen.path == "/invite" else Answer(body, headers=headers or {})

    web.responds(respond)


def change_body(tool: dict[str, Any]) -> None:
    """Give the writing step another body, which no record answers."""
    tool["steps"][1]["config"]["body"] = '{"to": "<<u.data.mail>>"}'


async def test_a_lenient_replay_reads_again_what_a_filter_changed_and_sends_no_mask_on(
    service: Service, web: Web
) -> None:
    answer_users(web, {"id": 6, "mail": MAIL})
    tool = users(web.url)
    await store(service, tool)
    first = await run(service, "users")
    assert first.steps[0]["requests"][0]["exchange"]["altered"]
    assert "truncated" not in first.steps[0]["requests"][0]["exchange"]
    assert "altered" not in first.steps[1]["requests"][0]["exchange"]
    web.seen.clear()
    again = await rerun(service, first, "lenient")
    # What was posted then is found by what it was; nothing but the read was asked again.
    assert (again.status, again.data, sent(web)) == (
        RunStatus.SUCCESS,
        {"ok": 1},
        [("GET", "/users/6")],
    )
    change_body(tool)
    await store(service, tool)
    web.seen.clear()
    again = await rerun(service, first, "lenient", version="latest")
    assert again.status is RunStatus.SUCCESS
    assert sent(web) == [("GET", "/users/6"), ("POST", "/invite")]
    assert json.loads(web.seen[1].body) == {"to": MAIL}


async def test_a_lenient_replay_does_not_write_a_second_time_to_get_an_answer_without_filters(
    service: Service, web: Web
) -> None:
    answer_users(web, {"id": 6, "mail": MAIL})
    await store(service, users(web.url, reading="POST"))
    first = await run(service, "users")
    web.seen.clear()
    again = await rerun(service, first, "lenient")
    assert (again.status, sent(web)) == (RunStatus.FAILED, [])
    assert again.error_detail is not None
    assert again.error_detail["kind"] == "replay"
    assert "changed it or took it out" in (again.error or "")
    assert "is not sent again" in (again.error or "")


async def test_a_strict_replay_answers_with_what_the_filters_left(
    service: Service, web: Web
) -> None:
    answer_users(web, {"id": 6, "mail": MAIL})
    await store(service, users(web.url, steps=users(web.url)["steps"][:1]))
    first = await run(service, "users")
    web.seen.clear()
    again = await rerun(service, first, "replay")
    assert (again.status, again.data) == (RunStatus.SUCCESS, {"id": 6, "mail": "[filtered]"})
    assert web.seen == []


async def test_an_answer_that_the_filters_took_out_is_not_said_to_have_been_cut(
    service: Service, web: Web
) -> None:
    answer_users(web, f"id,mail\n6,{MAIL}\n", CSV)
    await store(service, users(web.url, steps=users(web.url)["steps"][:1]))
    first = await run(service, "users")
    web.seen.clear()
    again = await rerun(service, first, "replay")
    assert "the response filters of the tool took its answer out" in (again.error or "")
    assert "was cut" not in (again.error or "")
    assert web.seen == []
    again = await rerun(service, first, "lenient")
    assert (again.status, sent(web)) == (RunStatus.SUCCESS, [("GET", "/users/6")])


async def test_what_a_run_that_was_cut_off_had_no_time_to_filter_is_read_again_too(
    service: Service, web: Web
) -> None:
    def respond(seen: Seen) -> Answer:
        return Answer({"mail": MAIL}, delay_seconds=60 if seen.path == "/invite" else 0)

    web.responds(respond)
    await store(service, users(web.url))
    active = await start(service, "users")
    await until(lambda: len(web.seen) == 2, "the second request arrives")
    await service.cancel_run(active.run_id, "enough")
    aborted = await service.get_run(active.run_id)
    assert aborted.steps[0]["requests"][0]["exchange"]["altered"]
    again = await rerun(service, aborted, "replay")
    assert "the response filters of the tool took its answer out" in (again.error or "")


@pytest.mark.parametrize(
    ("body", "headers", "why"),
    [
        ({"mail": MAIL}, None, "the response filters of the tool changed its answer"),
        (f"mail\n{MAIL}\n", CSV, "the response filters of the tool took its answer out"),
    ],
    ids=["changed", "taken out"],
)
@pytest.mark.parametrize("action", ["MASK", "REMOVE", "FAIL"])
async def test_a_run_is_not_frozen_with_answers_that_its_filters_changed(
    body: Any, headers: Any, why: str, action: str, service: Service, web: Web, tmp_path: Path
) -> None:
    answer_users(web, body, headers)
    schema = {"type": "object", "required": ["mail"], "properties": {"mail": {"type": "string"}}}
    filters = [{**NO_MAIL, "action": action}]
    steps = users(web.url)["steps"][:1]
    tool = users(web.url, steps=steps, outputSchema=schema, responseFilters=filters)
    tool["outputTransform"] = "(s) => (Array.isArray(s.u.data) ? s.u.data[0] : s.u.data)"
    await store(service, tool)
    first = await run(service, "users")
    with pytest.raises(FreezeError, match=why):
        await freeze_run(service, first.run_id, tmp_path / "frozen")
    assert not (tmp_path / "frozen").exists()


async def test_a_run_whose_filters_found_nothing_in_its_answers_is_frozen(
    service: Service, web: Web, tmp_path: Path
) -> None:
    answer_users(web, {"id": 6})
    await store(service, users(web.url, steps=users(web.url)["steps"][:1]))
    first = await run(service, "users")
    report = await freeze_run(service, first.run_id, tmp_path / "frozen")
    assert report["exchanges"] == 1


async def test_a_lenient_replay_sends_nothing_that_was_filtered_after_it_had_been_taken_over(
    service: Service, web: Web
) -> None:
    """The filter came with the version that took the data of the first step over."""
    web.responds(lambda seen: Answer({}, 500) if seen.path == "/invite" else Answer({"mail": MAIL}))
    tool = users(web.url, responseFilters=[])
    await store(service, tool)
    failed = await run(service, "users")
    await store(service, {**tool, "responseFilters": [NO_MAIL]})
    taken = await rerun(service, failed, None, from_failed_step=True, version="latest")
    assert taken.steps[0]["takenFrom"] == failed.run_id
    with pytest.raises(RerunError, match="took step u from another run"):
        await rerun(service, taken, "lenient")
    assert (await rerun(service, taken, "replay")).status is RunStatus.FAILED


async def test_the_replay_of_a_filtered_run_is_as_filtered_as_that_run(
    service: Service, web: Web, tmp_path: Path
) -> None:
    answer_users(web, {"id": 6, "mail": MAIL})
    read = {"id": "u", "config": {"url": f"{web.url}/users/6"}}
    removes = {**NO_MAIL, "action": "REMOVE"}
    await store(service, {"id": "reads", "steps": [read], "responseFilters": [removes]})
    first = await run(service, "reads")
    again = await rerun(service, first, "replay")
    assert again.data == first.data == {"id": 6}
    (request,) = again.steps[0]["requests"]
    assert request["exchange"]["altered"] is True
    with pytest.raises(FreezeError):
        await freeze_run(service, again.run_id, tmp_path / "frozen")


@pytest.mark.parametrize("is_new", [False, True])
async def test_a_lenient_replay_sends_no_mark_of_a_credential_on(
    is_new: bool, service: Service, web: Web
) -> None:
    secret = "correct-horse-battery-staple"
    answer_users(web, {"id": 6, "mail": secret})
    tool = users(web.url, responseFilters=[])
    await store(service, tool)
    active = await start(service, "users", credentials={"token": secret})
    await active.wait()
    first = await service.get_run(active.run_id)
    web.seen.clear()
    fields: dict[str, Any] = {"credentials": {"token": secret}}
    if is_new:
        change_body(tool)
        await store(service, tool)
        fields["version"] = "latest"
    again = await rerun(service, first, "lenient", **fields)
    assert again.status is RunStatus.SUCCESS, again.error
    assert sent(web)[0] == ("GET", "/users/6")
    assert (sent(web)[1:] == [("POST", "/invite")]) is is_new
    assert not any(b"[credential" in seen.body for seen in web.seen)


async def test_a_rerun_of_a_replay_sends_nothing_that_was_filtered(
    service: Service, web: Web
) -> None:
    is_broken = True

    def respond(seen: Seen) -> Answer:
        if seen.path == "/middle":
            return Answer({}, 404 if is_broken else 200)
        return Answer({"id": 6, "mail": MAIL})

    web.responds(respond)
    tool = users(web.url)
    tool["steps"].insert(1, {"id": "m", "config": {"url": f"{web.url}/middle"}})
    await store(service, tool)
    failed = await run(service, "users")
    replay = await rerun(service, failed, "replay")
    assert replay.status is RunStatus.FAILED
    is_broken = False
    web.seen.clear()
    again = await rerun(service, replay, "live", from_failed_step=True)
    assert again.status is RunStatus.SUCCESS, again.error
    assert sent(web) == [("GET", "/users/6"), ("GET", "/middle"), ("POST", "/invite")]
    assert json.loads(web.seen[-1].body) == {"mail": MAIL}
