"""A run made again from the step that failed: what is taken from the record, and what is not."""

from typing import Any

from server.reruns import Rerun, RerunRequest
from server.service import Service
from storage.run_record import StoredRun
from tests.server.helpers import start, store
from tests.web import Answer, Seen, Web
from tools.run import RequestSource, RunStatus


async def run(service: Service, tool: dict[str, Any], **fields: Any) -> StoredRun:
    await store(service, tool)
    active = await start(service, tool["id"], **fields)
    await active.wait()
    return await service.get_run(active.run_id)


async def from_failed_step(
    service: Service, failed: StoredRun, **fields: Any
) -> tuple[StoredRun, Rerun]:
    wanted = RerunRequest(failed.run_id, RequestSource.API, from_failed_step=True, **fields)
    made = await service.rerun(wanted)
    await made.run.wait()
    return await service.get_run(made.run.run_id), made


def request(step_id: str, url: str, method: str = "GET", **fields: Any) -> dict[str, Any]:
    return {"id": step_id, "config": {"url": f"{url}/{step_id}", "method": method}, **fields}


def transform(step_id: str, code: str) -> dict[str, Any]:
    return {"id": step_id, "config": {"type": "transform", "transformCode": code}}


def tool_of(*steps: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"id": "t", "steps": list(steps), "retries": 0, **fields}


def answer(web: Web, **answers: Answer) -> None:
    """Answer by path; `{"at": path}` where nothing else is said."""

    def respond(seen: Seen) -> Answer:
        return answers.get(seen.path.lstrip("/"), Answer({"at": seen.path}))

    web.responds(respond)
    web.seen.clear()


def sent(web: Web) -> list[str]:
    return [f"{seen.method} {seen.path}" for seen in web.seen]


async def test_what_follows_a_step_that_has_changed_is_run_again_with_its_new_data(
    service: Service, web: Web
) -> None:
    answer(web, c=Answer({}, 500))
    steps = [request("a", web.url), transform("b", "(s) => s.a.data.at"), request("c", web.url)]
    failed = await run(service, tool_of(*steps))
    answer(web)
    steps[0]["config"]["url"] = f"{web.url}/new"
    output = "(s) => [s.a.data.at, s.b.data]"
    await store(service, tool_of(*steps, outputTransform=output))
    again, made = await from_failed_step(service, failed, version="latest")
    assert again.data == ["/new", "/new"]
    assert made.plan.notes() == [
        "step a is run again: its definition has changed",
        "step b is run again: step a before it is new or not what it was",
    ]


async def test_what_follows_a_step_that_is_new_or_gone_is_run_again(
    service: Service, web: Web
) -> None:
    answer(web, c=Answer({}, 500))
    a, b, c = (request(one, web.url) for one in "abc")
    failed = await run(service, tool_of(a, b, c))
    answer(web)
    await store(service, tool_of(a, request("new", web.url), b, c))
    _, made = await from_failed_step(service, failed, version="latest")
    assert sent(web) == ["GET /new", "GET /b", "GET /c"]
    assert (made.plan.taken, len(made.plan.run_again)) == (("a",), 1)
    answer(web)
    await store(service, tool_of(b, c))
    _, made = await from_failed_step(service, failed, version="latest")
    assert sent(web) == ["GET /b", "GET /c"]
    assert made.plan.notes() == ["step b is run again: the steps before it have changed"]
    answer(web)
    await store(service, tool_of(a, c, b))
    _, made = await from_failed_step(service, failed, version="latest")
    assert sent(web) == ["GET /c", "GET /b"]
    assert made.plan.notes()[1:] == [
        "step b is run again: step c before it is new or not what it was"
    ]


async def test_a_write_after_a_step_that_was_passed_over_is_not_done_twice(
    service: Service, web: Web
) -> None:
    missing, broken = Answer({}, 404), Answer({}, 500)
    answer(web, a=missing, c=broken)
    steps = [
        request("a", web.url, failureBehavior="continue"),
        request("b", web.url, "POST"),
        transform("read", "(s) => s.a === undefined"),
        request("c", web.url),
    ]
    failed = await run(service, tool_of(*steps))
    assert sent(web) == ["GET /a", "POST /b", "GET /c"]
    answer(web, a=missing)
    again, made = await from_failed_step(service, failed)
    assert again.status is RunStatus.SUCCESS
    assert sent(web) == ["GET /a", "GET /c"]
    assert made.plan.notes() == [
        f"taken from run {failed.run_id}: b",
        "step a is run again: it had failed and was passed over",
        "step read is run again: step a before it is run again",
    ]


async def test_after_a_step_with_filtered_data_what_reads_is_run_again_and_no_write(
    service: Service, web: Web
) -> None:
    answer(web, a=Answer({"mail": "x", "n": 1}), c=Answer({}, 500))
    no_mail = {"id": "m", "target": "KEYS", "pattern": "^mail$", "action": "REMOVE"}
    steps = [
        request("a", web.url),
        request("b", web.url, "POST"),
        transform("sum", "(s) => s.a.data.n + 1"),
        request("c", web.url),
    ]
    failed = await run(service, tool_of(*steps, responseFilters=[no_mail]))
    answer(web, a=Answer({"mail": "x", "n": 5}))
    again, made = await from_failed_step(service, failed)
    assert sent(web) == ["GET /a", "GET /c"]
    assert (made.plan.taken, again.steps[2]["data"]["data"]) == (("b",), 6)
    assert made.plan.notes()[1:] == [
        "step a is run again: its recorded data was filtered or redacted",
        "step sum is run again: step a before it is run again",
    ]


async def test_the_step_at_which_the_time_of_the_run_was_over_is_the_one_that_failed(
    service: Service, web: Web
) -> None:
    answer(web, b=Answer({}, delay_seconds=60))
    steps = [
        request("a", web.url, "POST"),
        request("b", web.url, failureBehavior="continue"),
    ]
    failed = await run(service, tool_of(*steps), options={"runTimeoutMs": 500})
    assert "The run took longer" in (failed.error or "")
    answer(web)
    again, made = await from_failed_step(service, failed)
    assert (again.status, sent(web)) == (RunStatus.SUCCESS, ["GET /b"])
    assert (made.plan.taken, made.plan.run_again) == (("a",), ())


async def test_a_write_that_sent_nothing_is_no_write_that_is_done(
    service: Service, web: Web
) -> None:
    answer(web, list=Answer({}, 404), last=Answer({}, 404))
    pay = request("pay", web.url, "POST", dataSelector="(s) => s.list?.data ? [1, 2] : []")
    steps = [
        request("list", web.url, failureBehavior="continue"),
        pay,
        request("last", web.url),
    ]
    failed = await run(service, tool_of(*steps, outputTransform="(s) => s.pay.length"))
    assert sent(web) == ["GET /list", "GET /last"]
    answer(web)
    again, _ = await from_failed_step(service, failed)
    assert again.data == 2
    assert sent(web) == ["GET /list", "POST /pay", "POST /pay", "GET /last"]


async def test_a_called_tool_that_only_computes_is_run_again_with_the_new_data(
    service: Service, web: Web
) -> None:
    answer(web, list=Answer({}, 404), last=Answer({}, 404))
    await store(service, {"id": "double", "outputTransform": "(s) => s.of * 2"})
    called = {"type": "tool", "toolId": "double", "inputs": {"of": "<<currentItem>>"}}
    steps = [
        request("list", web.url, failureBehavior="continue"),
        {"id": "each", "dataSelector": "(s) => s.list?.data ? [1, 2] : [5]", "config": called},
        request("last", web.url),
    ]
    output = "(s) => s.each.map((one) => one.data)"
    failed = await run(service, tool_of(*steps, outputTransform=output))
    answer(web)
    again, made = await from_failed_step(service, failed)
    assert again.data == [2, 4]
    assert [one.step_id for one in made.plan.run_again] == ["list", "each"]
