"""What is recorded of a run that was ended from outside, and what it is good for."""

from server.reruns import RerunRequest
from server.service import Service
from tests.server.helpers import start, store, until
from tests.web import Answer, Seen, Web
from tools.json_text import JsonObject
from tools.run import RequestSource

SECRET = "correct-horse-battery-staple"


async def test_what_a_cancelled_run_received_redacted_is_asked_for_again(
    service: Service, web: Web
) -> None:
    """Else the mark in the record would be sent upstream in the place of the credential."""
    is_slow = True

    def respond(seen: Seen) -> Answer:
        if seen.target == "/first":
            return Answer({"key": SECRET})
        return Answer({}, delay_seconds=60 if is_slow else 0)

    web.responds(respond)
    tool: JsonObject = {
        "id": "two",
        "retries": 0,
        "steps": [
            {"id": "first", "config": {"url": f"{web.url}/first"}},
            {"id": "second", "config": {"url": f"{web.url}/second?of=<<first.data.key>>"}},
        ],
    }
    await store(service, tool)
    active = await start(service, "two", credentials={"token": SECRET})
    await until(lambda: len(web.seen) == 2, "the second step waits for its answer")
    await service.cancel_run(active.run_id, "enough")
    is_slow = False
    web.seen.clear()
    wanted = RerunRequest(
        active.run_id, RequestSource.API, from_failed_step=True, credentials={"token": SECRET}
    )
    made = await service.rerun(wanted)
    await made.run.wait()
    assert [seen.target for seen in web.seen] == ["/first", f"/second?of={SECRET}"]


async def test_filters_that_are_off_cost_a_cancelled_run_nothing(
    service: Service, web: Web
) -> None:
    web.responds(lambda seen: Answer([1, 2], delay_seconds=0 if seen.target == "/a" else 60))
    spec = {"id": "f", "enabled": False, "target": "KEYS", "pattern": "x", "action": "REMOVE"}
    steps = [{"id": name, "config": {"url": f"{web.url}/{name}"}} for name in ("a", "b")]
    await store(service, {"id": "two", "steps": steps, "responseFilters": [spec]})
    active = await start(service, "two")
    await until(lambda: len(web.seen) == 2, "the second step waits for its answer")
    await service.cancel_run(active.run_id, "enough")
    run = await service.get_run(active.run_id)
    assert run.steps[0]["data"]["data"] == [1, 2]
    assert run.steps[0]["requests"][0]["exchange"]["responseBody"] == "[1, 2]"
