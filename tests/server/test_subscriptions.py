"""Subscribed runs say when they change, in both eras, also those of another process."""

import sqlite3
from collections import Counter
from contextlib import closing
from typing import Any, cast

import anyio
import pytest
from mcp import Client
from mcp.types import SubscriptionFilter, SubscriptionsListenRequestParams

from server.app import open_service
from server.mcp_surface.notifications import Notifier
from server.mcp_surface.surface import McpSurface
from server.service import Service
from server.settings import Settings
from server.workflow_view import workflow_view
from storage.watched_runs import RunSight
from tests.server.helpers import WAIT_SECONDS, start, store, until, until_async
from tests.server.test_mcp import ERAS, LEGACY
from tests.web import Answer, Web

# The SDK's client says that the handshake versions are old; here they are meant.
pytestmark = pytest.mark.filterwarnings("ignore:resources/(un)?subscribe is removed")


class Upstream:
    """Answers each request when it is told to."""

    def __init__(self, web: Web) -> None:
        self.asked = 0
        self._going: list[anyio.Event] = []
        web.responds(self._answer)

    def _answer(self, seen: Any) -> Answer:
        self.asked += 1
        self._going.append(anyio.Event())
        return Answer([1], release=self._going[-1])

    async def go(self) -> None:
        await until(lambda: bool(self._going), "a request is there")
        self._going.pop().set()


class Watcher:
    """A client that counts the updates of one run."""

    def __init__(self, service: Service, era: str, uri: str) -> None:
        self._surface = McpSurface(service)
        self._era = era
        self._uri = uri
        self.updates = 0
        self.is_listening = anyio.Event()
        self.stop = anyio.Event()

    async def run(self) -> None:
        async def on_message(message: Any) -> None:
            is_update = getattr(message, "method", "") == "notifications/resources/updated"
            if is_update and self._era == LEGACY:
                assert str(message.params.uri) == self._uri
                self.updates += 1

        async with anyio.create_task_group() as group:
            group.start_soon(self._surface.notifier.run)
            async with Client(
                self._surface.server, mode=self._era, message_handler=on_message
            ) as client:
                if self._era == LEGACY:
                    await client.session.subscribe_resource(self._uri)  # pyright: ignore[reportDeprecated]: meant
                    self.is_listening.set()
                    await self.stop.wait()
                    await client.session.unsubscribe_resource(self._uri)  # pyright: ignore[reportDeprecated]: meant
                else:
                    async with client.listen(resource_subscriptions=[self._uri]) as events:
                        self.is_listening.set()
                        group.start_soon(self._count, events)
                        await self.stop.wait()
            group.cancel_scope.cancel()

    async def _count(self, events: Any) -> None:
        async for _ in events:
            self.updates += 1


async def two_steps(service: Service, web: Web) -> None:
    steps = [{"id": name, "config": {"url": web.url}} for name in ("one", "two")]
    await store(service, {"id": "t", "retries": 0, "steps": steps})


@ERAS
async def test_a_run_says_when_a_step_begins_and_when_it_ends(
    era: str, service: Service, web: Web
) -> None:
    upstream = Upstream(web)
    await two_steps(service, web)
    active = await start(service, "t", run_id="r")
    await until(lambda: upstream.asked == 1, "the first request is there")
    watcher = Watcher(service, era, "callslip://runs/r")
    with anyio.fail_after(WAIT_SECONDS):
        async with anyio.create_task_group() as group:
            group.start_soon(watcher.run)
            await watcher.is_listening.wait()
            await upstream.go()
            await until(lambda: watcher.updates == 1, "the second step is told")
            run = await service.get_run("r")
            assert [step["status"] for step in run.steps] == ["success", "running"]
            await upstream.go()
            await active.wait()
            await until(lambda: watcher.updates == 2, "the end is told")
            watcher.stop.set()


@ERAS
async def test_a_run_of_another_process_says_when_a_step_begins_and_when_it_ends(
    era: str, settings: Settings, web: Web
) -> None:
    upstream = Upstream(web)
    async with open_service(settings) as other, open_service(settings) as mine:
        await two_steps(other, web)
        active = await start(other, "t", run_id="r")
        watcher = Watcher(mine, era, "callslip://runs/r")
        with anyio.fail_after(WAIT_SECONDS):
            async with anyio.create_task_group() as group:
                group.start_soon(watcher.run)
                await watcher.is_listening.wait()
                await until(lambda: watcher.updates == 1, "the first step is shown")
                run = await mine.get_run("r")
                assert [step["status"] for step in run.steps] == ["running"]
                await upstream.go()
                await until(lambda: watcher.updates == 2, "the second step is told")
                run = await mine.get_run("r")
                assert [step["status"] for step in run.steps] == ["success", "running"]
                nodes = workflow_view(run)["executionState"]
                assert {name: node["status"] for name, node in nodes.items()} == {
                    "root": "success",
                    "one": "success",
                    "two": "running",
                }
                await upstream.go()
                await active.wait()
                await until(lambda: watcher.updates == 3, "the end is told")
                watcher.stop.set()
        assert watcher.updates == 3
        assert await mine.sight_of("r") == RunSight("success", is_watched=False, steps=None)


async def test_a_run_that_begins_after_it_is_watched_is_told_from_another_process(
    settings: Settings, web: Web
) -> None:
    upstream = Upstream(web)
    async with open_service(settings) as other, open_service(settings) as mine:
        await two_steps(other, web)
        watcher = Watcher(mine, LEGACY, "callslip://runs/r")
        with anyio.fail_after(WAIT_SECONDS):
            async with anyio.create_task_group() as group:
                group.start_soon(watcher.run)
                await watcher.is_listening.wait()
                active = await start(other, "t", run_id="r")
                await until(lambda: watcher.updates == 2, "the run and its first step are told")
                await upstream.go()
                await until(lambda: watcher.updates == 3, "the second step is told")
                await upstream.go()
                await active.wait()
                await until(lambda: watcher.updates == 4, "the end is told")
                watcher.stop.set()


async def test_a_run_that_is_watched_while_the_home_is_locked_is_shown_when_it_is_free(
    settings: Settings, web: Web
) -> None:
    upstream = Upstream(web)
    async with open_service(settings) as other, open_service(settings) as mine:
        await two_steps(other, web)
        active = await start(other, "t", run_id="r")
        await until(lambda: upstream.asked == 1, "the first step has begun")
        with closing(sqlite3.connect(settings.database_path, isolation_level=None)) as locking:
            locking.execute("BEGIN IMMEDIATE")
            assert await mine.sight_of("r") == RunSight("running", is_watched=False, steps=None)
            locking.execute("ROLLBACK")

        async def is_shown() -> bool:
            return [step["stepId"] for step in (await mine.get_run("r")).steps] == ["one"]

        await until_async(is_shown, "its step is shown")
        await upstream.go()
        await upstream.go()
        await active.wait()


async def test_a_stream_that_ends_while_it_opens_leaves_what_others_watch() -> None:
    is_asked = anyio.Event()

    async def sight_of(run_id: str) -> RunSight | None:
        is_asked.set()
        await anyio.sleep_forever()
        return None

    notifier = Notifier(sight_of, announces_runs=False)
    uris = {f"callslip://runs/{number}" for number in range(5)}
    watched = notifier._watched  # pyright: ignore[reportPrivateUsage]: nothing else shows it
    for uri in uris:
        watched[uri.rpartition("/")[2]] = Counter({uri: 1})
    wanted = SubscriptionsListenRequestParams(
        notifications=SubscriptionFilter(resource_subscriptions=list(uris))
    )
    async with anyio.create_task_group() as group:
        # It gets no further than looking at the first run.
        group.start_soon(notifier.listen, cast("Any", None), wanted)
        with anyio.fail_after(WAIT_SECONDS):
            await is_asked.wait()
        group.cancel_scope.cancel()
    assert watched == {uri.rpartition("/")[2]: Counter({uri: 1}) for uri in uris}


async def test_the_steps_of_a_run_that_nobody_watches_are_written_at_its_end_only(
    settings: Settings, web: Web
) -> None:
    upstream = Upstream(web)
    async with open_service(settings) as other, open_service(settings) as mine:
        await two_steps(other, web)
        active = await start(other, "t", run_id="r")
        await upstream.go()
        await until(lambda: upstream.asked == 2, "the second step has begun")
        assert (await mine.get_run("r")).steps == []
        await upstream.go()
        await active.wait()
        assert [step["status"] for step in (await mine.get_run("r")).steps] == ["success"] * 2


async def test_what_is_not_watched_any_more_is_forgotten(service: Service) -> None:
    surface = McpSurface(service)
    async with Client(surface.server, mode=LEGACY) as client:
        for uri in ("callslip://runs/a", "callslip://runs/a/results", "callslip://tools/t", "x:y"):
            await client.session.subscribe_resource(uri)  # pyright: ignore[reportDeprecated]: meant
        assert set(surface.notifier._watched) == {"a"}  # pyright: ignore[reportPrivateUsage]: nothing else shows it
        await client.session.unsubscribe_resource("callslip://runs/a")  # pyright: ignore[reportDeprecated]: meant
        await client.session.unsubscribe_resource("callslip://runs/never")  # pyright: ignore[reportDeprecated]: meant
    assert not surface.notifier._watched  # pyright: ignore[reportPrivateUsage]: see above
