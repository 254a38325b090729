"""Calls with one key are one run: at once, later, from another process, and never with others."""

from typing import Any

import anyio
import pytest

from server.active_run import ActiveRun, JoinedRun, RunRequest
from server.app import open_service
from server.service import IdempotencyConflictError, Service
from server.settings import Settings
from storage.run_lists import RunFilter
from tests.server.helpers import request_tool, script_tool, store
from tests.server.test_mcp import ERAS, call, connected, text
from tests.web import Answer, Web
from tools.run import RequestSource, RunOutcome, RunStatus

KEY = "callslip/idempotencyKey"


def wish(tool_id: str, inputs: Any = None, key: str | None = "k") -> RunRequest:
    return RunRequest(tool_id, inputs or {}, RequestSource.API, idempotency_key=key)


async def runs(service: Service) -> int:
    return (await service.list_runs(RunFilter(), limit=1)).total


async def test_a_second_call_joins_the_run_under_way_and_gets_its_result(
    service: Service, web: Web
) -> None:
    going = anyio.Event()
    web.answers(Answer({"id": 7}, release=going))
    await store(service, request_tool("t", f"{web.url}/order", retries=0))
    first = await service.start(wish("t"))
    second = await service.start(wish("t"))
    assert isinstance(first, ActiveRun)
    assert isinstance(second, JoinedRun)
    assert second.run_id == first.run_id
    going.set()
    outcomes: list[RunOutcome] = [await first.wait(), await second.wait()]
    assert [outcome.data for outcome in outcomes] == [{"id": 7}] * 2
    assert [seen.path for seen in web.seen] == ["/order"]
    assert await runs(service) == 1


async def test_a_later_call_gets_the_outcome_that_is_recorded(service: Service) -> None:
    await store(service, script_tool("fails", "() => { throw new Error('no') }"))
    first = await (await service.start(wish("fails"))).wait()
    again = await (await service.start(wish("fails"))).wait()
    assert again.status is RunStatus.FAILED
    assert again.error == first.error
    assert again.error_detail == first.error_detail
    assert await runs(service) == 1


async def test_other_inputs_under_the_same_key_are_refused(service: Service) -> None:
    await store(service, script_tool("t", "(s) => s"))
    first = await service.start(wish("t", {"a": 1}))
    await first.wait()
    with pytest.raises(IdempotencyConflictError, match=f"run {first.run_id}, which has other"):
        await service.start(wish("t", {"a": 2}))
    assert await runs(service) == 1


async def test_keys_of_different_tools_and_calls_without_one_are_apart(service: Service) -> None:
    await store(service, script_tool("a", "1"), script_tool("b", "2"))
    for request in (wish("a"), wish("b"), wish("a", key=None), wish("a", key=None)):
        await (await service.start(request)).wait()
    assert await runs(service) == 4


async def test_a_joiner_that_gives_up_does_not_end_the_run(service: Service, web: Web) -> None:
    going = anyio.Event()

    web.answers(Answer([1], release=going))
    await store(service, request_tool("t", web.url, retries=0))
    first = await service.start(wish("t"))
    second = await service.start(wish("t"))
    async with anyio.create_task_group() as group:
        group.start_soon(second.wait)
        await anyio.lowlevel.checkpoint()
        group.cancel_scope.cancel()
    second.cancel("given up")
    going.set()
    assert (await first.wait()).data == [1]


async def test_of_many_processes_one_runs_and_all_get_its_result(
    settings: Settings, web: Web
) -> None:
    asked: list[str] = []

    def answer(seen: Any) -> Answer:
        asked.append(seen.path)
        return Answer({"n": len(asked)})

    web.responds(answer)
    results: list[Any] = []
    # Each opens the database for itself, as another process does.
    async with (
        open_service(settings) as one,
        open_service(settings) as two,
        open_service(settings) as three,
    ):
        await store(one, request_tool("t", web.url, retries=0))

        async def ask(service: Service) -> None:
            results.append((await (await service.start(wish("t"))).wait()).data)

        async with anyio.create_task_group() as group:
            for service in (one, two, three) * 3:
                group.start_soon(ask, service)
        assert await runs(three) == 1
    assert results == [{"n": 1}] * 9
    assert len(asked) == 1


@ERAS
async def test_over_mcp_the_key_stands_beside_the_call_or_in_run_tool(
    era: str, service: Service, web: Web
) -> None:
    asked: list[str] = []

    def answer(seen: Any) -> Answer:
        asked.append(seen.path)
        return Answer({"n": len(asked)})

    web.responds(answer)
    await store(service, request_tool("t", f"{web.url}/<<q>>", retries=0))
    async with connected(service, era) as client:
        first = await call(client, "t", {"q": "x"}, **{KEY: "once"})
        again = await call(client, "t", {"q": "x"}, **{KEY: "once"})
        assert first["structuredContent"] == again["structuredContent"] == {"n": 1}
        assert first["_meta"]["callslip/runId"] == again["_meta"]["callslip/runId"]
        other = await call(client, "t", {"q": "y"}, **{KEY: "once"})
        assert other["isError"]
        assert "other inputs" in text(other)
        by_id = {"toolId": "t", "inputs": {"q": "x"}, "idempotencyKey": "once"}
        assert (await call(client, "run_tool", by_id))["structuredContent"] == {"n": 1}
    assert len(asked) == 1
