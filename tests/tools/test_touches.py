"""What a tool would touch is known before it runs."""

from typing import Any

import pytest

from tools.model import Tool
from tools.touches import touches


def request(step_id: str = "s", **config: Any) -> dict[str, Any]:
    step = {key: config.pop(key) for key in ("modify", "idempotent") if key in config}
    return {"id": step_id, "config": {"url": "https://api.test/x", **config}, **step}


def tool(tool_id: str, *steps: dict[str, Any]) -> Tool:
    return Tool.model_validate({"id": tool_id, "steps": steps})


@pytest.mark.parametrize(
    ("step", "writes", "destructive", "repeatable"),
    [
        (request(), False, False, True),
        (request(method="POST"), True, False, False),
        (request(method="POST", modify=False), False, False, True),
        (request(method="POST", idempotent=True), True, False, True),
        (request(method="PUT"), True, True, True),
        (request(method="PATCH"), True, True, False),
        (request(method="DELETE"), True, True, True),
        (request(modify=True), True, False, True),
    ],
)
def test_effects_come_from_method_and_declaration(
    step: dict[str, Any], writes: bool, destructive: bool, repeatable: bool
) -> None:
    (touch,) = touches(tool("t", step))
    assert (touch.writes, touch.destructive, touch.repeatable) == (writes, destructive, repeatable)


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://api.test/a/<<b>>?c=<<d>>", "https://api.test"),
        ("HTTP://API.test:8080/", "http://api.test:8080"),
        ("https://api.test<<suffix>>/x", None),
        ("<<acme_url>>/x", None),
        ("/x", None),
    ],
)
def test_the_origin_is_what_the_template_writes(url: str, origin: str | None) -> None:
    (touch,) = touches(tool("t", request(url=url, systemId="acme")))
    assert (touch.origin, touch.system_id) == (origin, "acme")


def test_a_request_that_no_run_can_send_says_so() -> None:
    nowhere = tool("t", request(url="https://<<host>>/x"))
    (touch,) = touches(nowhere)
    assert touch.problem == "nowhere: a value cannot choose the host"
    (written,) = touches(tool("t", request()))
    assert "problem" not in written.wire()
    call = {"id": "call", "config": {"type": "tool", "toolId": "t"}}
    (inner,) = touches(tool("outer", call), {"t": nowhere}.get)
    assert inner.problem == touch.problem


def test_credentials_are_named() -> None:
    headers = {"Authorization": "Bearer <<acme_token>>", "X-Key": "<<(s) => s.credentials.key>>"}
    (touch,) = touches(tool("t", request(headers=headers, systemId="acme", url="<<acme_url>>/x")))
    assert touch.credentials == ("key", "token")


def test_transforms_touch_nothing() -> None:
    step = {"id": "t", "config": {"type": "transform", "transformCode": "$"}}
    assert touches(tool("t", step)) == []


def test_known_sub_tools_show_what_they_touch() -> None:
    def call(called: str) -> dict[str, Any]:
        return {"id": "call", "config": {"type": "tool", "toolId": called}}

    known = {
        "outer": tool("outer", call("inner"), request("own", method="POST")),
        "inner": tool("inner", request("deep")),
        "loop": tool("loop", call("loop")),
    }
    found = touches(known["outer"], known.get)
    assert [(touch.step_id, touch.writes) for touch in found] == [
        ("call/deep", False),
        ("own", True),
    ]
    (unknown,) = touches(known["outer"])[:1]
    assert (unknown.tool_id, unknown.writes) == ("inner", True)
    assert [touch.tool_id for touch in touches(known["loop"], known.get)] == ["loop"]
