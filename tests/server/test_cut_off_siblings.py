"""Loops that ended while others of their items were at work: records, replays, frozen runs."""

from pathlib import Path
from typing import Any

import anyio
import pytest

from server.frozen_runs import FreezeError, freeze_run
from server.reruns import RerunRequest
from server.service import Service
from storage.run_record import StoredRun
from tests.server.helpers import request_tool, start, store, until
from tests.web import Answer, Seen, Web
from tools.run import RequestSource, RunStatus

LOOP = "(s) => [0, 1, 2]"


def looping(url: str, items: str = LOOP, **fields: Any) -> dict[str, Any]:
    """A tool that asks for each item, three at once."""
    return request_tool(
        "loop", f"{url}/<<currentItem>>", step={"dataSelector": items}, concurrency=3, **fields
    )


def calling(tool_id: str, called: str, **step: Any) -> dict[str, Any]:
    """A tool that calls another one with its `n`, unless the step says more."""
    config = {"type": "tool", "toolId": called, "inputs": {"n": "<<n>>"}}
    return {"id": tool_id, "steps": [{"id": "call", "config": config, **step}]}


def calling_for_each(tool_id: str, called: str) -> dict[str, Any]:
    """A tool that calls another one for each item, three at once."""
    config = {"type": "tool", "toolId": called, "inputs": {"n": "<<currentItem>>"}}
    return calling(tool_id, called, config=config, dataSelector=LOOP, concurrency=3)


def fails_at(item: int, web: Web, beside: int) -> None:
    """One item is answered with 400, once `beside` requests are there; the others never are."""
    all_there = anyio.Event()

    def respond(seen: Seen) -> Answer:
        if len(web.seen) == beside:
            all_there.set()
        if seen.path == f"/{item}":
            return Answer("no", 400, release=all_there)
        return Answer({}, release=anyio.Event())

    web.responds(respond)


async def run(service: Service, tool_id: str) -> StoredRun:
    active = await start(service, tool_id)
    await active.wait()
    return await service.get_run(active.run_id)


async def replayed(service: Service, run: StoredRun) -> StoredRun:
    made = await service.rerun(RerunRequest(run.run_id, RequestSource.API, mode="replay"))
    with anyio.fail_after(10):
        await made.run.wait()
    return await service.get_run(made.run.run_id)


async def test_a_loop_that_failed_fails_again_of_the_item_that_ended_it(
    service: Service, web: Web
) -> None:
    fails_at(1, web, beside=3)
    await store(service, looping(web.url))
    failed = await run(service, "loop")
    assert failed.error == "Step get failed: HTTP 400: no"
    again = await replayed(service, failed)
    assert (again.error, again.error_detail) == (failed.error, failed.error_detail)
    assert again.steps[0]["data"] == failed.steps[0]["data"]


async def test_a_loop_that_nothing_recorded_ended_says_what_has_no_answer(
    service: Service, web: Web
) -> None:
    web.responds(
        lambda seen: Answer({}) if seen.path == "/1" else Answer({}, release=anyio.Event())
    )
    await store(service, looping(web.url, "(s) => [0, 1, 2, 3]"))
    active = await start(service, "loop")
    await until(lambda: len(web.seen) == 4, "all items are asked for")
    await service.cancel_run(active.run_id, "enough")
    again = await replayed(service, await service.get_run(active.run_id))
    assert again.status is RunStatus.FAILED
    assert "/0 has no recorded answer: no answer to it was recorded" in (again.error or "")
    assert again.error_detail is not None
    assert (again.error_detail["kind"], again.error_detail["iteration"]) == ("replay", 0)


async def test_a_loop_over_tools_that_failed_fails_again_of_the_call_that_ended_it(
    service: Service, web: Web
) -> None:
    fails_at(2, web, beside=3)
    inner = request_tool("inner", f"{web.url}/<<n>>")
    middle = calling("middle", "inner")
    await store(service, inner, middle, calling_for_each("outer", "middle"))
    failed = await run(service, "outer")
    assert "HTTP 400: no" in (failed.error or "")
    again = await replayed(service, failed)
    assert again.error == failed.error


async def test_a_called_run_that_was_cut_off_is_named_in_the_record_of_its_caller(
    service: Service, web: Web, tmp_path: Path
) -> None:
    fails_at(1, web, beside=3)
    inner = request_tool("inner", f"{web.url}/<<n>>")
    await store(service, inner, calling_for_each("outer", "inner"))
    failed = await run(service, "outer")
    (step,) = failed.steps
    children = [await service.get_run(one) for one in step["childRunIds"]]
    assert sorted(child.inputs["n"] for child in children if child.inputs) == [0, 1, 2]
    assert sorted(child.status for child in children) == ["aborted", "aborted", "failed"]
    # The one to look at is the one that failed.
    assert (await service.get_run(step["childRunId"])).status is RunStatus.FAILED
    with pytest.raises(FreezeError, match="no answer to it was recorded"):
        await freeze_run(service, failed.run_id, tmp_path / "frozen")


async def test_a_run_that_was_cancelled_names_the_run_that_it_had_called(
    service: Service, web: Web
) -> None:
    web.responds(lambda seen: Answer({}, release=anyio.Event()))
    inner = request_tool("inner", f"{web.url}/x")
    config = {"type": "tool", "toolId": "inner"}
    await store(service, inner, {"id": "outer", "steps": [{"id": "call", "config": config}]})
    active = await start(service, "outer")
    await until(lambda: len(web.seen) == 1, "the request arrives")
    running = await service.get_run(active.run_id)
    assert (await service.get_run(running.steps[0]["childRunId"])).status is RunStatus.RUNNING
    await service.cancel_run(active.run_id, "enough")
    aborted = await service.get_run(active.run_id)
    child = await service.get_run(aborted.steps[0]["childRunId"])
    assert (child.status, child.parent_run_id) == (RunStatus.ABORTED, aborted.run_id)
    assert set(aborted.sub_tools or {}) == {"inner"}


async def test_what_was_cut_off_in_a_step_that_may_fail_is_no_success_of_the_replay(
    service: Service, web: Web
) -> None:
    """The run was over its time in the last step, whose failures are passed over."""
    web.answers(Answer({}, delay_seconds=60))
    slow = {"id": "slow", "config": {"url": web.url}, "failureBehavior": "continue", "retries": 0}
    looped = {**slow, "id": "looped", "dataSelector": "() => [1, 2]", "concurrency": 1}
    for step in (slow, looped):
        tool_id = str(step["id"])
        await store(service, {"id": tool_id, "steps": [step]})
        active = await start(service, tool_id, options={"runTimeoutMs": 200})
        await active.wait()
        wanted = RerunRequest(active.run_id, RequestSource.API, mode="replay")
        made = await service.rerun(wanted)
        outcome = await made.run.wait()
        assert outcome.status == "failed"
        assert "has no recorded answer" in str(outcome.error)
