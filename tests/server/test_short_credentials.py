"""Credentials too short to be found by value: followed through functions, steps and child runs."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.reruns import RerunRequest
from server.service import Service
from tests.server.helpers import start, store
from tests.web import Answer, Web, serve
from tools.carriers import TakenCredential, shown_in
from tools.json_text import encode_json_text
from tools.run import RequestSource

PIN = "12 34"


@pytest.fixture
async def home(service: Service, web: Web) -> Service:
    """A system `acme` with a pin, at an origin that nobody listens at; `web` is foreign."""
    web.answers(Answer({}))
    await add_acme(service, "http://acme.test")
    return service


async def add_acme(service: Service, url: str, **fields: Any) -> None:
    report = await service.connections.put(
        {"id": "acme", "url": url, "credentials": {"pin": PIN}, **fields}
    )
    assert report["outcome"] in {"added", "updated"}, report


def asks(url: str, step_id: str = "ask", selector: str | None = None, **config: Any) -> Any:
    step: dict[str, Any] = {"id": step_id, "retries": 0, "config": {"url": url, **config}}
    return step if selector is None else {**step, "dataSelector": selector}


def makes(code: str, step_id: str = "made") -> Any:
    return {"id": step_id, "config": {"type": "transform", "transformCode": code}}


def calls(tool_id: str, inputs: Any) -> Any:
    return {"id": "call", "config": {"type": "tool", "toolId": tool_id, "inputs": inputs}}


#: Names the system, so that its credentials are there; it is never reached.
LAST = asks("/", "last", systemId="acme")


def tool(tool_id: str, *steps: Any, **fields: Any) -> dict[str, Any]:
    return {"id": tool_id, "steps": [*steps, LAST], **fields}


async def run(service: Service, tool_id: str, inputs: Any = None, **fields: Any) -> Any:
    active = await start(service, tool_id, inputs, **fields)
    return await active.wait()


async def rerun_from_failed(service: Service, run_id: str) -> Any:
    wanted = RerunRequest(run_id, RequestSource.API, from_failed_step=True)
    made = await service.rerun(wanted)
    assert len(made.plan.taken) == 1
    return made.run


async def assert_refused(service: Service, web: Web, tool_id: str) -> None:
    outcome = await run(service, tool_id)
    assert outcome.error is not None
    assert "the credential acme.pin belongs to http://acme.test" in outcome.error
    assert web.seen == []


async def assert_sent(service: Service, web: Web, tool_id: str) -> None:
    """The foreign origin was asked; what fails is the step after it."""
    outcome = await run(service, tool_id)
    assert outcome.error_detail is not None
    assert (outcome.error_detail.step_id, len(web.seen)) == ("last", 1), outcome.error


@pytest.mark.parametrize(
    "function",
    [
        "(s) => Object.values(s).filter(one => typeof one === 'string').join('|')",
        "(s) => s['acme_' + 'pin']",
        "(s) => ({...s})['acme_' + 'pin']",
        "({ acme_url, ...rest }) => JSON.stringify(rest)",
        "(s) => Object.entries(s).find(([name]) => name.endsWith('pin'))[1]",
        "(s) => Object.values(s['creden' + 'tials']).join()",
        "(s) => Object.getOwnPropertyDescriptor(s, 'acme_' + 'pin').get()",
        "(s) => structuredClone(s)['acme_' + 'pin']",
        "async (s) => { await null; return s['acme_' + 'pin'] }",
        "(s) => btoa('user:' + s['acme_' + 'pin'])",
        "(s) => encodeURIComponent(s['acme_' + 'pin'])",
        "(s) => s",
    ],
)
async def test_a_function_that_reads_a_pin_without_its_name_is_held_to_its_origin(
    function: str, home: Service, web: Web
) -> None:
    headers = {"X-Pin": f"<<{function}>>"}
    await store(home, tool("ask", asks(f"{web.url}/x", headers=headers)))
    await assert_refused(home, web, "ask")


async def test_a_pin_that_a_function_leaves_for_the_next_one_is_held_to_its_origin(
    home: Service, web: Web
) -> None:
    headers = {
        "X-A": "<<(s) => { globalThis.kept = s['acme_' + 'pin']; return 'a' }>>",
        "X-B": "<<() => globalThis.kept>>",
    }
    await store(home, tool("ask", asks(f"{web.url}/x", headers=headers)))
    await assert_refused(home, web, "ask")


@pytest.mark.parametrize(
    "config",
    [
        {"headers": {"X-Pin": "<<made.data>>"}},
        {"headers": {"X-Pin": "<<$.made.data>>"}},
        {"headers": {"X-Pin": "<<made>>"}},
        {"headers": {"X-Pin": "<<(s) => s.made.data>>"}},
        {"headers": {"X-Pin": "<<(s) => s['ma' + 'de'].data.slice(0)>>"}},
        {"queryParams": {"p": "<<made.data>>"}},
        {"queryParams": "<<(s) => ({ p: s.made.data })>>"},
        {"method": "POST", "body": '{"p": "<<made.data>>"}'},
    ],
)
@pytest.mark.parametrize("code", ["(s) => s.acme_pin", "$.acme_pin", "(s) => `p=${s.acme_pin}`"])
async def test_a_pin_in_the_data_of_a_step_is_held_to_its_origin(
    code: str, config: dict[str, Any], home: Service, web: Web
) -> None:
    await store(home, tool("ask", makes(code), asks(f"{web.url}/x", **config)))
    await assert_refused(home, web, "ask")


@pytest.mark.parametrize(
    "selector",
    [
        "$.made.data",
        "(s) => [s.made.data]",
        "(s) => s.made.data",
        "(s) => Object.values(s).map(one => one.data)",
    ],
)
async def test_a_pin_that_a_selector_picks_is_held_to_its_origin(
    selector: str, home: Service, web: Web
) -> None:
    headers = {"X-Pin": "<<(s) => JSON.stringify(s.currentItem)>>"}
    picks = asks(f"{web.url}/x", selector=selector, headers=headers)
    await store(home, tool("ask", makes("(s) => ({ pin: s.acme_pin })"), picks))
    await assert_refused(home, web, "ask")


async def test_a_pin_is_followed_over_many_steps(home: Service, web: Web) -> None:
    steps = [
        makes("(s) => [s.acme_pin]", "first"),
        {**makes("(s) => ({ one: s.currentItem })", "second"), "dataSelector": "$.first.data"},
        makes("$.second[0].currentItem", "third"),
        makes("(s) => [s.third]", "fourth"),
    ]
    ask = asks(f"{web.url}/x", headers={"X-Pin": "<<(s) => s.fourth.data[0].data>>"})
    await store(home, tool("ask", *steps, ask))
    await assert_refused(home, web, "ask")


@pytest.mark.parametrize(
    "inputs",
    [
        {"code": "<<acme_pin>>", "n": 1},
        {"code": {"deep": ["<<(s) => s['acme_' + 'pin']>>"]}},
        {"code": "<<made.data>>"},
        '{"code": "<<acme_pin>>"}',
        "<<(s) => ({ code: s.made.data })>>",
    ],
)
@pytest.mark.parametrize(
    "child",
    [
        [asks("FOREIGN/x", headers={"X-Pin": "<<(s) => JSON.stringify(s.code)>>"})],
        [asks("FOREIGN/x?p=<<code>>")],
        [makes("$.code"), asks("FOREIGN/x", headers={"X-Pin": "<<made>>"})],
        [calls("grandchild", {"given": "<<code>>"})],
    ],
)
async def test_a_pin_among_the_inputs_of_a_child_is_held_to_its_origin(
    child: list[Any], inputs: Any, home: Service, web: Web
) -> None:
    grandchild = asks(f"{web.url}/x", headers={"X-Pin": "<<(s) => JSON.stringify(s.given)>>"})
    await store(
        home,
        {"id": "grandchild", "steps": [grandchild]},
        {"id": "child", "steps": json.loads(json.dumps(child).replace("FOREIGN", web.url))},
        tool("parent", makes("$.acme_pin"), calls("child", inputs)),
    )
    await assert_refused(home, web, "parent")


@pytest.mark.parametrize(
    ("child", "inputs"),
    [
        ({"id": "child", "outputTransform": "(s) => s.code"}, {"code": "<<acme_pin>>"}),
        ({"id": "child", "steps": [makes("$.code")]}, {"code": "<<acme_pin>>"}),
        (
            {
                "id": "child",
                "steps": [makes("$.acme_pin"), {**LAST, "failureBehavior": "continue"}],
                "outputTransform": "(s) => s.made.data",
            },
            {},
        ),
    ],
)
async def test_a_pin_in_the_result_of_a_child_is_held_to_its_origin(
    child: dict[str, Any], inputs: Any, home: Service, web: Web
) -> None:
    sends = asks(f"{web.url}/x", headers={"X-Pin": "<<call.data>>"})
    # Without inputs the parent names no system at all.
    last = [LAST] if inputs else []
    await store(home, child, {"id": "parent", "steps": [calls("child", inputs), sends, *last]})
    await assert_refused(home, web, "parent")


@pytest.mark.parametrize(
    ("steps", "sends"),
    [
        ([], {"headers": {"X-N": "<<(s) => Object.values(s).length>>"}}),
        ([], {"headers": {"X-N": "<<(s) => Object.keys(s).join()>>"}}),
        ([], {"headers": {"X-N": f"<<(s) => '{PIN}'>>"}}),
        (
            [makes("(s) => ({ ...s, acme_pin: 0, credentials: 0 })")],
            {"queryParams": {"n": "<<made>>"}},
        ),
        ([makes("(s) => ({ pin: s.acme_pin, n: 1 })")], {"headers": {"X-N": "<<made.data.n>>"}}),
        ([makes("(s) => s.acme_pin.length")], {"headers": {"X-N": "<<made.data>>"}}),
        ([makes(f"(s) => '{PIN}'")], {"headers": {"X-N": "<<made.data>>"}}),
    ],
)
async def test_what_shows_no_pin_goes_anywhere(
    steps: list[Any], sends: dict[str, Any], home: Service, web: Web
) -> None:
    await store(home, tool("ask", *steps, asks(f"{web.url}/x", **sends)))
    await assert_sent(home, web, "ask")


@pytest.mark.parametrize(
    "config",
    [
        {"queryParams": {"n": "<<limit>>"}},
        {"headers": {"X-N": "<<(s) => `${s['page' + 'Size']}`>>"}},
        {"method": "POST", "body": '{"n": "<<$.pageSize>>"}'},
    ],
)
@pytest.mark.parametrize(
    "size", ["<<acme_number>>", "<<(s) => s['acme_' + 'number']>>", "<<made.data>>"]
)
async def test_a_pin_that_is_the_page_size_is_held_to_its_origin(
    size: str, config: dict[str, Any], service: Service, web: Web
) -> None:
    web.answers(Answer({}))
    await add_acme(service, "http://acme.test", credentials={"number": "4711", "pin": PIN})
    pagination = {"type": "offsetBased", "pageSize": size}
    ask = asks(f"{web.url}/x", pagination=pagination, **config)
    await store(service, tool("ask", makes("$.acme_number"), ask))
    outcome = await run(service, "ask")
    assert "the credential acme.number belongs to http://acme.test" in (outcome.error or "")
    assert web.seen == []


async def test_an_offset_that_shows_a_pin_is_held_to_its_origin(service: Service, web: Web) -> None:
    web.answers(Answer([1]))
    await add_acme(service, "http://acme.test", credentials={"number": "4711"})
    pagination = {"type": "offsetBased", "pageSize": "<<acme_number>>", "stopCondition": "false"}
    ask = asks(f"{web.url}/x", pagination=pagination, queryParams={"from": "<<offset>>"})
    await store(service, tool("ask", ask))
    outcome = await run(service, "ask")
    assert "the credential acme.number belongs to http://acme.test" in (outcome.error or "")
    assert [request.query for request in web.seen] == ["from=0"]


async def test_a_page_size_that_is_no_number_does_not_show_the_pin(home: Service, web: Web) -> None:
    ask = asks(f"{web.url}/x", pagination={"type": "pageBased", "pageSize": "<<acme_pin>>"})
    await store(home, tool("ask", ask))
    outcome = await run(home, "ask")
    assert "pagination.pageSize is made of the credential acme.pin" in (outcome.error or "")
    assert PIN not in (outcome.error or "")


async def test_a_pin_in_the_data_of_a_step_goes_to_its_system(service: Service, web: Web) -> None:
    web.answers(Answer({}))
    await add_acme(service, web.url)
    ask = asks(f"{web.url}/x", headers={"X-Pin": "<<made.data>>"})
    await store(service, tool("ask", makes("$.acme_pin"), ask))
    assert (await run(service, "ask")).error is None
    assert web.seen[0].headers["x-pin"] == PIN


async def test_a_redirect_and_a_next_link_do_not_take_a_pin_of_a_step_along(
    service: Service, web: Web
) -> None:
    async with serve() as other:
        other.answers(Answer({"rows": [2]}))
        await add_acme(service, web.url, allowedOrigins=[web.url])
        ask = asks(f"{web.url}/x", headers={"X-Pin": "<<made.data>>", "X-N": "1"})
        await store(service, tool("ask", makes("$.acme_pin"), ask))
        web.answers(Answer(status=302, headers={"Location": f"{other.url}/x"}), Answer({}))
        assert (await run(service, "ask")).error is None
        assert "x-pin" not in other.seen[0].headers
        assert other.seen[0].headers["x-n"] == "1"
        web.answers(Answer(status=302, headers={"Location": f"{other.url}/x?p=12%2034"}))
        assert "credential" in ((await run(service, "ask")).error or "")
        assert len(other.seen) == 1


async def test_a_rerun_follows_a_pin_of_a_step_that_it_takes(home: Service, web: Web) -> None:
    ask = asks(f"{web.url}/x", headers={"X-Pin": "<<made.data>>"})
    await store(home, tool("ask", makes("$.acme_pin"), ask))
    failed = await start(home, "ask")
    await failed.wait()
    outcome = await (await rerun_from_failed(home, failed.run_id)).wait()
    assert "the credential acme.pin belongs to" in (outcome.error or "")
    assert web.seen == []


@pytest.mark.parametrize("depth", [1, 2])
async def test_a_rerun_follows_a_pin_that_only_a_called_tool_knew(
    depth: int, home: Service, web: Web
) -> None:
    steps = [makes("$.acme_pin"), {**LAST, "failureBehavior": "continue"}]
    await store(
        home,
        {"id": "tool0", "steps": steps, "outputTransform": "(s) => s.made.data"},
        {"id": "tool1", "steps": [calls("tool0", {})]},
        {
            "id": "parent",
            "steps": [
                calls(f"tool{depth - 1}", {}),
                asks(f"{web.url}/x", headers={"X-Pin": "<<call.data>>"}),
            ],
        },
    )
    run_id = ""
    for _ in range(3):
        # The second one takes over what the first one had taken over.
        active = await (rerun_from_failed(home, run_id) if run_id else start(home, "parent"))
        outcome = await active.wait()
        assert "the credential acme.pin belongs to" in (outcome.error or "")
        run_id = active.run_id
    assert web.seen == []
    record = await home.get_run(run_id)
    assert record.steps[0]["takenFrom"]
    assert "tool0" in (record.sub_tools or {})


@given(st.text(min_size=1, max_size=7), st.text(), st.text())
def test_a_pin_is_seen_in_any_text_and_in_its_json(pin: str, before: str, after: str) -> None:
    credential = TakenCredential("acme.pin", pin)
    text = f"{before}{pin}{after}"
    for shown in (text, encode_json_text([{"a": text}])):
        assert shown_in(shown, [credential]) == {credential}
