"""The verbs of the product: what runs, what is refused, what other processes see."""

import sqlite3
import time
from collections.abc import AsyncGenerator
from contextlib import closing
from typing import Any

import anyio
import pytest

from server.active_run import RunRequest
from server.app import open_service
from server.service import ArchivedToolError, Service, UnknownRunError, UnknownToolError
from server.settings import Settings
from server.views import tool_view
from storage.errors import HomeError, RunExistsError, StorageError
from storage.opening import open_database
from storage.orphans import INTERRUPTED
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
    until_async,
)
from tests.web import Answer, Web
from tools.run import RequestSource, RunStatus


@pytest.fixture
async def upstream() -> AsyncGenerator[SilentUpstream]:
    async with silent_upstream() as upstream:
        yield upstream


@pytest.fixture
async def other(settings: Settings, service: Service) -> AsyncGenerator[Service]:
    """Another process on the same home, as far as the home can tell."""
    async with open_service(settings) as other:
        yield other


async def test_a_run_is_recorded_before_its_first_request(service: Service, web: Web) -> None:
    statuses: list[Any] = []
    release = anyio.Event()
    web.answers(Answer({"a": 1}, release=release))
    await store(service, request_tool("t", f"{web.url}/x"))
    arrived = web.arrived
    active = await start(service, "t")
    with anyio.fail_after(WAIT_SECONDS):
        await arrived.wait()
    statuses.append((await service.get_run(active.run_id)).status)
    release.set()
    outcome = await active.wait()
    statuses.append((await service.get_run(active.run_id)).status)
    assert statuses == [RunStatus.RUNNING, RunStatus.SUCCESS]
    assert outcome.data == {"a": 1}


async def test_a_run_id_that_is_taken_starts_nothing(service: Service, web: Web) -> None:
    web.answers(Answer({"a": 1}))
    await store(service, request_tool("t", f"{web.url}/x"))
    await (await start(service, "t", run_id="mine")).wait()
    with pytest.raises(RunExistsError, match="run mine is recorded already"):
        await start(service, "t", run_id="mine")
    assert len(web.seen) == 1
    assert (await service.list_runs(RunFilter(), limit=10)).total == 1


async def test_an_unknown_tool_is_refused_with_a_suggestion(service: Service) -> None:
    await store(service, script_tool("list-orders", "1"))
    with pytest.raises(UnknownToolError, match=r"list_orders not found; did you mean.*list-orders"):
        await start(service, "list_orders")
    with pytest.raises(UnknownToolError):
        await service.tools.get("x")
    with pytest.raises(UnknownToolError):
        await service.tools.remove("x")
    assert (await service.list_runs(RunFilter(), limit=10)).total == 0


async def test_an_archived_tool_is_kept_and_not_run(service: Service) -> None:
    await store(service, script_tool("old", "1", archived=True))
    with pytest.raises(ArchivedToolError, match="archived"):
        await start(service, "old")
    assert [stored.id for stored in await service.tools.all()] == ["old"]


async def test_unknown_runs_are_said_to_be_unknown(service: Service) -> None:
    with pytest.raises(UnknownRunError, match="run nope not found"):
        await service.get_run("nope")
    with pytest.raises(UnknownRunError):
        await service.cancel_run("nope", "enough")
    await service.wait_for_run("nope", 5)


async def test_invalid_inputs_make_a_failed_run_and_send_nothing(
    service: Service, web: Web
) -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    await store(service, request_tool("t", f"{web.url}/<<n>>", inputSchema=schema))
    outcome = await (await start(service, "t", {"n": "x"})).wait()
    assert outcome.status is RunStatus.FAILED
    assert outcome.error_detail is not None
    assert outcome.error_detail.kind == "invalid_input"
    assert web.seen == []


async def test_the_run_keeps_the_definition_that_was_executed(service: Service) -> None:
    await store(service, script_tool("t", "'first'"))
    active = await start(service, "t")
    await active.wait()
    await store(service, script_tool("t", "'second'"))
    await service.tools.remove("t")
    run = await service.get_run(active.run_id)
    assert run.tool is not None
    assert (run.tool["outputTransform"], run.version_number) == ("'first'", 1)


@pytest.mark.parametrize("depth", [250, 300, 500, 900, 990])
async def test_a_result_nested_deeply_ends_its_run_and_harms_no_other(
    depth: int, service: Service
) -> None:
    code = f"() => {{ let a = 1; for (let i = 0; i < {depth}; i++) a = [a]; return a }}"
    steps = [{"id": "s", "config": {"type": "transform", "transformCode": code}}]
    await store(
        service,
        script_tool("deep", code),
        {"id": "deep-step", "steps": steps},
        {
            "id": "filtered",
            "steps": steps,
            "responseFilters": [{"id": "f", "target": "VALUES", "pattern": "x", "action": "MASK"}],
        },
        script_tool("after", "1"),
    )
    for tool_id in ("deep", "deep-step", "filtered"):
        active = await start(service, tool_id, credentials={"key": "a-long-secret"})
        with anyio.fail_after(WAIT_SECONDS):
            await active.done.wait()
        run = await service.get_run(active.run_id)
        assert run.status in {RunStatus.SUCCESS, RunStatus.FAILED}
    assert (await (await start(service, "after")).wait()).data == 1


async def test_half_a_surrogate_pair_ends_only_what_it_must(service: Service) -> None:
    await store(
        service,
        script_tool("throws", "() => { throw new Error('cut \\ud83d here') }"),
        script_tool("gives", "() => ({ text: 'cut \\ud83d here' })"),
        script_tool("logs", "() => { console.log('\\ud83d'); return 1 }"),
    )
    active = await start(service, "throws")
    assert (await active.wait()).status is RunStatus.FAILED
    assert "cut ? here" in str((await service.get_run(active.run_id)).error)
    active = await start(service, "gives")
    await active.wait()
    assert tool_view(await service.get_run(active.run_id))["data"] == {"text": "cut \ud83d here"}
    active = await start(service, "logs")
    await active.wait()
    assert tool_view(await service.get_run(active.run_id))["logs"][0]["message"] == "\ud83d"


async def test_a_fault_in_the_core_ends_its_run_alone(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tools.execution import Execution

    await store(service, script_tool("t", "1"))

    async def fault(self: Execution) -> None:
        raise ZeroDivisionError("a fault")

    with monkeypatch.context() as patch:
        patch.setattr(Execution, "run", fault)
        active = await start(service, "t")
        outcome = await active.wait()
    assert (outcome.status, outcome.error) == (
        RunStatus.FAILED,
        "callslip itself failed: ZeroDivisionError",
    )
    run = await service.get_run(active.run_id)
    assert (run.status, (run.error_detail or {})["kind"]) == (RunStatus.FAILED, "internal")
    assert (await (await start(service, "t")).wait()).data == 1


# Leaving


async def test_closing_ends_what_is_under_way_as_aborted(
    settings: Settings, upstream: SilentUpstream
) -> None:
    async with open_service(settings) as service:
        await store(
            service,
            request_tool("t", f"{upstream.url}/x"),
            {"id": "p", "steps": [{"id": "c", "config": {"type": "tool", "toolId": "t"}}]},
        )
        active = [await start(service, "t") for _ in range(5)]
        parent = await start(service, "p")
        await until(lambda: upstream.requests == 6, "all requests are on their way")
    assert all(run.done.is_set() for run in [*active, parent])
    async with open_service(settings) as service:
        page = await service.list_runs(RunFilter(), limit=10)
        assert page.total == 7
        for run in page.runs:
            assert (run.status, run.error) == (RunStatus.ABORTED, INTERRUPTED), run.request_source
    await until(lambda: upstream.closed == 6, "every connection is closed")


async def test_an_error_in_the_body_ends_what_is_under_way(
    settings: Settings, upstream: SilentUpstream
) -> None:
    async def fall_over() -> None:
        async with open_service(settings) as service:
            await store(service, request_tool("t", f"{upstream.url}/x"))
            await start(service, "t", run_id="mine")
            raise RuntimeError("the surface fell over")

    with pytest.raises(BaseExceptionGroup):
        await fall_over()
    async with open_service(settings) as service:
        assert (await service.get_run("mine")).status is RunStatus.ABORTED


async def test_a_caller_that_gives_up_while_the_run_starts_ends_the_run(
    service: Service, upstream: SilentUpstream
) -> None:
    await store(service, request_tool("t", f"{upstream.url}/x"))
    for number in range(20):
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as group:
                group.start_soon(_start_and_wait, service, f"r{number}")
                for _ in range(number):
                    await anyio.lowlevel.checkpoint()
                scope.cancel()
    await until(lambda: not service._active, "no run is under way")  # pyright: ignore[reportPrivateUsage]: nothing else tells
    page = await service.list_runs(RunFilter(), limit=100)
    assert {run.status for run in page.runs} <= {RunStatus.ABORTED}


async def _start_and_wait(service: Service, run_id: str) -> None:
    await (await start(service, "t", run_id=run_id)).wait()


# Other processes


async def test_a_tool_of_another_process_appears_and_is_announced(
    service: Service, other: Service
) -> None:
    told: list[str] = []
    service.tools_changed.append(lambda: told.append("tools"))
    await store(other, script_tool("theirs", "1"))
    await until(lambda: bool(told), "the listener is told")
    assert service.catalog.get("theirs") is not None
    told.clear()
    await store(other, script_tool("theirs", "2"))
    await until(lambda: bool(told), "the listener is told of the change")
    assert (await (await start(service, "theirs")).wait()).data == 2
    told.clear()
    await other.tools.remove("theirs")
    await until(lambda: bool(told), "the listener is told of the removal")
    assert service.catalog.get("theirs") is None


async def test_a_tool_of_another_process_runs_before_it_was_noticed(
    settings: Settings,
) -> None:
    slow = settings.model_copy(update={"poll_seconds": 1.0})
    async with open_service(slow) as service, open_service(slow) as other:
        await store(other, script_tool("theirs", "1"))
        assert (await (await start(service, "theirs")).wait()).data == 1


async def test_the_runs_of_another_process_are_announced_when_they_begin_end_and_are_deleted(
    service: Service, other: Service, upstream: SilentUpstream
) -> None:
    told: list[str] = []
    await store(other, request_tool("t", f"{upstream.url}/x"))
    service.runs_changed.append(lambda: told.append("runs"))
    active = await start(other, "t")
    await until(lambda: bool(told), "its beginning is told")
    told.clear()
    await other.cancel_run(active.run_id, "enough")
    await until(lambda: bool(told), "its end is told")
    told.clear()
    await other.history.delete(active.run_id)
    await until(lambda: bool(told), "its deletion is told")


async def test_refreshes_at_once_end_with_the_newest_tools(
    service: Service, other: Service
) -> None:
    for number in range(10):
        await other.tools.store.put(script_tool("t", str(number)))  # no refresh
        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(service.catalog.refresh)
        entry = service.catalog.get("t")
        assert entry is not None
        assert entry.stored.version_number == number + 1


async def test_damage_to_the_tools_does_not_hide_that_another_process_cancels(
    service: Service, other: Service, upstream: SilentUpstream, settings: Settings
) -> None:
    await store(service, request_tool("t", f"{upstream.url}/x"))
    active = await start(service, "t")
    await until(lambda: upstream.requests == 1, "the request is on its way")
    with closing(sqlite3.connect(settings.database_path)) as damaging, damaging:
        damaging.execute("ALTER TABLE tools RENAME TO gone")
        damaging.execute("UPDATE revisions SET number = number + 1 WHERE subject = 'tools'")
    assert await other.cancel_run(active.run_id, "enough")
    with anyio.fail_after(WAIT_SECONDS):
        assert (await active.wait()).error == "enough"


async def test_a_run_is_cancelled_by_another_process(
    service: Service, other: Service, upstream: SilentUpstream
) -> None:
    await store(service, request_tool("t", f"{upstream.url}/x"))
    active = await start(service, "t")
    await until(lambda: upstream.requests == 1, "the request is on its way")
    assert await other.cancel_run(active.run_id, "the other one wants it to end")
    with anyio.fail_after(2):
        await active.done.wait()
    run = await other.get_run(active.run_id)
    assert (run.status, run.error) == (RunStatus.ABORTED, "the other one wants it to end")
    assert not await other.cancel_run(active.run_id, "again")
    await until(lambda: upstream.closed == 1, "the connection is closed")


async def test_a_run_of_another_process_is_waited_for(
    service: Service, other: Service, web: Web
) -> None:
    release = anyio.Event()
    web.answers(Answer({"a": 1}, release=release))
    await store(service, request_tool("t", f"{web.url}/x"))
    active = await start(service, "t")
    with anyio.fail_after(WAIT_SECONDS):
        await other.wait_for_run(active.run_id, 0.05)
        assert (await other.get_run(active.run_id)).status is RunStatus.RUNNING
        release.set()
        await other.wait_for_run(active.run_id, WAIT_SECONDS)
    assert (await other.get_run(active.run_id)).status is RunStatus.SUCCESS


# A thousand at once


async def test_of_a_thousand_runs_at_once_each_ends_once_and_the_totals_agree(
    service: Service, web: Web, settings: Settings
) -> None:
    release = anyio.Event()
    web.responds(
        lambda seen: Answer({"at": seen.path}, release=release if "hold" in seen.path else None)
    )
    await store(
        service, request_tool("t", f"{web.url}/<<kind>>", concurrency=64), script_tool("s", "1")
    )
    ends: list[RunStatus] = []

    async def one(number: int) -> None:
        if number % 2:
            active = await start(service, "t" if number % 20 == 1 else "s", {"kind": "go"})
        else:
            active = await start(service, "t", {"kind": "hold"})
            active.cancel("half of them")
        ends.append((await active.wait()).status)

    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            for number in range(1000):
                group.start_soon(one, number)
    release.set()
    assert len(ends) == 1000
    counts = {status: ends.count(status) for status in RunStatus}
    assert counts[RunStatus.SUCCESS] == counts[RunStatus.ABORTED] == 500
    for status in RunStatus:
        page = await service.list_runs(RunFilter(status=status), limit=1000)
        assert (page.total, len(page.runs)) == (counts[status], counts[status])
    async with open_database(settings.database_path) as database:
        real, counted = await database.read(_both_counts)
    assert real == counted


def _both_counts(connection: sqlite3.Connection) -> tuple[set[Any], set[Any]]:
    return (
        set(connection.execute("SELECT status, count(*) FROM runs GROUP BY 1").fetchall()),
        set(
            connection.execute(
                "SELECT status, sum(runs) FROM run_counts GROUP BY 1 HAVING sum(runs) <> 0"
            ).fetchall()
        ),
    )


# A full disk


def _limit_pages(service: Service, pages: int) -> Any:
    def work(connection: sqlite3.Connection) -> None:
        connection.execute(f"PRAGMA max_page_count={pages}")

    return service._database.write(work)  # pyright: ignore[reportPrivateUsage]: the disk of the test


async def test_a_run_that_cannot_be_recorded_is_not_started(service: Service, web: Web) -> None:
    web.answers(Answer({"a": 1}))
    await store(service, request_tool("t", f"{web.url}/x"))
    await _limit_pages(service, 1)
    with pytest.raises(StorageError, match="full"):
        await start(service, "t", {"fill": "x" * 20_000, "more": list(range(20_000))})
    assert web.seen == []
    await _limit_pages(service, 1_000_000)
    assert (await (await start(service, "t")).wait()).status is RunStatus.SUCCESS


async def test_an_end_that_the_disk_had_no_room_for_is_recorded_once_there_is(
    service: Service, web: Web
) -> None:
    release = anyio.Event()
    rows = [f"row {number * 7919}" for number in range(50_000)]
    web.answers(Answer(rows, release=release))
    await store(service, request_tool("t", f"{web.url}/x"))
    active = await start(service, "t")
    await _limit_pages(service, 1)
    release.set()
    with pytest.raises(StorageError, match="full"):
        await active.wait()
    assert (await service.get_run(active.run_id)).status is RunStatus.RUNNING
    await _limit_pages(service, 1_000_000)

    async def recorded() -> bool:
        return (await service.get_run(active.run_id)).status is RunStatus.SUCCESS

    await until_async(recorded, "the end is recorded")
    assert tool_view(await service.get_run(active.run_id))["data"] == rows
    assert (await service.list_runs(RunFilter(), limit=10)).total == 1


async def test_a_home_that_cannot_hold_locks_is_refused_by_name(settings: Settings) -> None:
    settings.home.mkdir()
    settings.locks_directory.write_text("a file where a folder should be")
    with pytest.raises(BaseExceptionGroup) as refused:
        async with open_service(settings):
            pass
    found = refused.group_contains(HomeError, match="locks cannot be written.*CALLSLIP_HOME")
    assert found


async def test_one_definition_that_cannot_be_read_harms_no_other(
    settings: Settings,
) -> None:
    async with open_service(settings) as service:
        await store(service, script_tool("a", "1"), script_tool("b", "2"), script_tool("c", "3"))
    async with open_database(settings.database_path) as database:
        await database.write(
            lambda connection: connection.execute(
                'UPDATE snapshots SET definition = ? WHERE definition LIKE \'%"id":"b"%\'',
                ('{"id": "b", "version": "1.0.0", "steps": "none"}',),
            )
        )
        await database.write(
            lambda connection: connection.execute(
                "UPDATE snapshots SET definition = '{' WHERE definition LIKE '%\"id\":\"c\"%'"
            )
        )
    async with open_service(settings) as service:
        assert (await (await start(service, "a")).wait()).data == 1
        with pytest.raises(StorageError, match=r"tool b .*cannot be read"):
            await start(service, "b")
        with pytest.raises(UnknownToolError):
            await start(service, "c")
        assert (await service.list_runs(RunFilter(), limit=10)).total == 1


async def test_credentials_of_a_request_do_not_show_in_its_repr() -> None:
    request = RunRequest("t", {}, RequestSource.API, credentials={"key": "a-long-secret"})
    assert "a-long-secret" not in repr(request)


async def test_a_clock_that_jumps_leaves_one_final_status_and_no_negative_time(
    service: Service, web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = time.time_ns
    hours = [0]
    monkeypatch.setattr(time, "time_ns", lambda: real() + hours[0] * 3_600_000_000_000)
    await store(service, request_tool("t", web.url, retries=0))

    def answer(seen: Any) -> Answer:
        hours[0] = {"/back": -5, "/forward": 900}.get(seen.path, 0)
        return Answer({"at": seen.path})

    web.responds(answer)
    for number, path in enumerate(("back", "forward", "now", "back")):
        await store(service, request_tool("t", f"{web.url}/{path}", retries=0))
        active = await start(service, "t", run_id=f"r{number}")
        assert (await active.wait()).status is RunStatus.SUCCESS
    page = await service.list_runs(RunFilter(), limit=10)
    assert [run.run_id for run in page.runs] == ["r3", "r2", "r1", "r0"]
    for run in page.runs:
        view = tool_view(await service.get_run(run.run_id))
        assert view["metadata"]["durationMs"] >= 0
        assert view["status"] == "success"
