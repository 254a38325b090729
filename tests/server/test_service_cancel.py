"""Cancelling a run at each point of its life: it ends aborted, soon, with what it had done."""

from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from typing import Any

import anyio
import psutil
import pytest

from server.active_run import RunRequest
from server.service import Service
from server.views import tool_view
from storage.run_lists import RunFilter
from tests.server.helpers import (
    WAIT_SECONDS,
    SilentUpstream,
    request_tool,
    script_tool,
    silent_upstream,
    start,
    store,
    until,
)
from tests.web import Answer, Web
from tools.context import RunEvent
from tools.run import RequestSource, RunStatus

#: A cancelled run has ended after this.
SOON_SECONDS = 2.0


@pytest.fixture
async def upstream() -> AsyncGenerator[SilentUpstream]:
    async with silent_upstream() as upstream:
        yield upstream


@dataclass
class Watched:
    """What a run says of itself while it runs."""

    messages: list[str] = field(default_factory=list[str])

    def on_event(self, event: RunEvent) -> None:
        self.messages.append(event.message)

    def said(self, words: str) -> Callable[[], bool]:
        return lambda: any(words in message for message in self.messages)


async def cancelled(
    service: Service, tool_id: str, ready: Callable[[], bool], watched: Watched, **inputs: Any
) -> dict[str, Any]:
    """Start, wait until `ready`, cancel; the record of the run."""
    active = await service.start(
        RunRequest(tool_id, inputs, RequestSource.API, on_event=watched.on_event)
    )
    await until(ready, "the run is where it should be cancelled")
    with anyio.fail_after(SOON_SECONDS):
        assert await service.cancel_run(active.run_id, "enough")
    view = tool_view(await service.get_run(active.run_id))
    assert (view["status"], view["error"]) == ("aborted", "enough")
    assert view["errorDetail"] == {"kind": "cancelled", "retryable": False}
    assert "completedAt" in view["metadata"]
    assert not await service.cancel_run(active.run_id, "again")
    return view


async def test_before_its_first_request(service: Service, web: Web) -> None:
    web.answers(Answer({"a": 1}))
    await store(service, request_tool("t", f"{web.url}/x"))
    active = await start(service, "t")
    active.cancel("enough")
    with anyio.fail_after(SOON_SECONDS):
        outcome = await active.wait()
    assert (outcome.status, outcome.error) == (RunStatus.ABORTED, "enough")
    assert web.seen == []


async def test_while_the_upstream_is_silent(service: Service, upstream: SilentUpstream) -> None:
    await store(service, request_tool("t", f"{upstream.url}/x"))
    view = await cancelled(service, "t", lambda: upstream.requests == 1, Watched())
    [step] = view["stepResults"]
    assert (step["stepId"], step["status"], step["error"]) == ("get", "aborted", "enough")
    assert [request["url"] for request in step["requests"]] == [f"{upstream.url}/x"]
    await until(lambda: upstream.closed == 1, "the connection is closed")


async def test_in_a_script(service: Service, web: Web) -> None:
    web.answers(Answer({"a": 1}))
    tool = request_tool("t", f"{web.url}/x")
    tool["steps"].append(
        {"id": "endless", "config": {"type": "transform", "transformCode": "() => { while (1); }"}}
    )
    await store(service, tool)

    def is_busy() -> bool:
        children = psutil.Process().children(recursive=True)
        return any(child.cpu_times().user > 0.3 for child in children)

    watched = Watched()
    view = await cancelled(service, "t", is_busy, watched)
    assert [step["status"] for step in view["stepResults"]] == ["success", "aborted"]
    assert view["stepResults"][0]["data"]["data"] == {"a": 1}
    await until(lambda: not is_busy(), "the worker of the script is gone")
    await store(service, script_tool("after", "1"))
    assert (await (await start(service, "after")).wait()).data == 1


async def test_between_pages(service: Service, web: Web) -> None:
    never = anyio.Event()
    web.responds(
        lambda seen: Answer(
            [{"at": seen.target}] * 2, release=None if "=1" in seen.query else never
        )
    )
    pagination = {"type": "pageBased", "pageSize": 2}
    config = {"queryParams": {"page": "<<page>>"}, "pagination": pagination}
    await store(service, request_tool("t", f"{web.url}/x", config=config))
    view = await cancelled(service, "t", lambda: len(web.seen) == 2, Watched())
    [step] = view["stepResults"]
    assert [request["page"] for request in step["requests"]] == [1, 2]
    assert step["requests"][0]["status"] == 200
    assert "status" not in step["requests"][1]
    never.set()


async def test_in_the_wait_before_another_attempt(service: Service, web: Web) -> None:
    web.answers(Answer({"busy": True}, 503, {"retry-after": "30"}))
    await store(service, request_tool("t", f"{web.url}/x"))
    watched = Watched()
    view = await cancelled(service, "t", watched.said("waiting 30 s"), watched)
    [step] = view["stepResults"]
    assert [request["status"] for request in step["requests"]] == [503]
    assert len(web.seen) == 1


async def test_in_a_loop(service: Service, web: Web) -> None:
    never = anyio.Event()
    web.responds(
        lambda seen: Answer({"at": seen.path}, release=never if seen.path >= "/3" else None)
    )
    tool = request_tool(
        "t", f"{web.url}/<<currentItem>>", step={"dataSelector": "(s) => s.items", "concurrency": 1}
    )
    await store(service, tool)
    view = await cancelled(
        service, "t", lambda: len(web.seen) == 4, Watched(), items=["0", "1", "2", "3", "4"]
    )
    [step] = view["stepResults"]
    assert step["status"] == "aborted"
    assert [item["data"] for item in step["data"]] == [{"at": f"/{n}"} for n in range(3)]
    assert len(web.seen) == 4
    never.set()


async def test_in_a_step_that_runs_another_tool(service: Service, upstream: SilentUpstream) -> None:
    await store(
        service,
        request_tool("child", f"{upstream.url}/x"),
        {"id": "parent", "steps": [{"id": "c", "config": {"type": "tool", "toolId": "child"}}]},
    )
    view = await cancelled(service, "parent", lambda: upstream.requests == 1, Watched())
    assert view["stepResults"][0]["status"] == "aborted"
    page = await service.list_runs(RunFilter(tool_id="child"), limit=5)
    assert [run.status for run in page.runs] == [RunStatus.ABORTED]
    assert page.runs[0].parent_run_id == view["runId"]
    assert page.runs[0].error == "cancelled with the run that started it"
    await until(lambda: upstream.closed == 1, "the connection of the child is closed")


async def test_after_the_end_nothing_changes(service: Service) -> None:
    await store(service, script_tool("t", "1"))
    active = await start(service, "t")
    await active.wait()
    active.cancel("too late")
    assert not await service.cancel_run(active.run_id, "too late")
    assert (await service.get_run(active.run_id)).status is RunStatus.SUCCESS


async def test_twice_at_once_ends_it_once(service: Service, upstream: SilentUpstream) -> None:
    await store(service, request_tool("t", f"{upstream.url}/x"))
    active = await start(service, "t")
    await until(lambda: upstream.requests == 1, "the request is on its way")
    with anyio.fail_after(WAIT_SECONDS):
        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(service.cancel_run, active.run_id, "enough")
    assert (await service.get_run(active.run_id)).error == "enough"


async def test_the_data_of_a_filtered_tool_is_not_kept(service: Service, web: Web) -> None:
    never = anyio.Event()
    web.responds(
        lambda seen: Answer({"secret": "hidden"}, release=never if seen.path == "/2" else None)
    )
    tool = request_tool("t", f"{web.url}/1")
    tool["steps"].append({"id": "two", "config": {"url": f"{web.url}/2"}})
    tool["responseFilters"] = [
        {"id": "f", "target": "KEYS", "pattern": "secret", "action": "REMOVE"}
    ]
    await store(service, tool)
    view = await cancelled(service, "t", lambda: len(web.seen) == 2, Watched())
    assert "data" not in view["stepResults"][0]
    never.set()
