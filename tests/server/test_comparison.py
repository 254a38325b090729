"""What differs between two runs: what is said, what is left out, what damaged records give."""

import json
from typing import Any

from server.comparison import compare_runs, shortened_comparison
from tests.server.stored_runs import START, failed_run, failed_step, request, step, stored_run


def test_runs_that_are_alike_have_nothing_to_say() -> None:
    a = stored_run("a", data={"n": 1}, steps=[step("s", request())])
    b = stored_run("b", data={"n": 1}, steps=[step("s", request(), ms=12)])
    comparison = compare_runs(a, b)
    assert comparison["summary"] == ["The two runs do not differ but for their times."]
    assert comparison["same"] == ["outcome", "tool", "inputs", "options", "result", "cost"]
    [compared] = comparison["steps"]
    assert not compared["differs"]
    assert comparison["timing"]["steps"] == [
        {"stepId": "s", "aMs": 10, "bMs": 12, "differenceMs": 2}
    ]
    assert not {"outcome", "tool", "inputs", "options", "result", "cost"} & comparison.keys()


def test_what_differs_is_said_with_its_place() -> None:
    other = {"id": "t", "steps": [{"id": "s", "config": {"url": "https://b.example"}}]}
    a = stored_run("a", data={"rows": [{"id": 1, "n": 1}]}, inputs={"q": "x"}, cost={"units": 1})
    b = stored_run(
        "b",
        data={"rows": [{"id": 2, "n": 2}, {"id": 1, "n": 1}]},
        inputs={"q": "y"},
        options={"retries": 0},
        cost={"units": 2},
        tool=other,
        version_number=2,
        completed_at=START + 5000,
    )
    comparison = compare_runs(a, b)
    assert comparison["inputs"]["changes"] == [
        {"path": "$.q", "change": "changed", "before": "x", "after": "y"}
    ]
    [changed] = comparison["tool"]["changes"]
    assert changed["path"] == "$.steps[?@.id=='s'].config.url"
    [added] = comparison["result"]["changes"]
    assert (added["path"], added["change"]) == ("$.rows[?@.id==2]", "added")
    assert comparison["options"]["total"] == 1
    assert comparison["cost"] == {"a": {"units": 1}, "b": {"units": 2}}
    assert comparison["timing"]["differenceMs"] == 4000
    assert (comparison["a"]["toolVersionNumber"], comparison["b"]["toolVersionNumber"]) == (1, 2)
    text = " ".join(comparison["summary"])
    for words in ("definition of the tool differs", "inputs differ", "$.q", "4,000 ms longer"):
        assert words in text


def test_bookkeeping_of_the_store_is_no_change_of_the_tool() -> None:
    a = stored_run("a", tool={"id": "t", "updatedAt": "2026-01-01T00:00:00.000Z"})
    b = stored_run("b", tool={"id": "t", "updatedAt": "2026-02-02T00:00:00.000Z"})
    assert "tool" in compare_runs(a, b)["same"]


def test_the_first_request_that_differs_is_found_whatever_order_a_loop_ran_in() -> None:
    pages = [request(f"https://a.example/{n}", iteration=n) for n in range(4)]
    changed = [*pages[:2], request("https://a.example/2", 500, iteration=2), pages[3]]
    a = stored_run("a", steps=[step("s", *pages)])
    b = stored_run("b", steps=[step("s", *reversed(changed))])
    [compared] = compare_runs(a, b)["steps"]
    first = compared["firstRequestThatDiffers"]
    assert [first[side]["iteration"] for side in "ab"] == [2, 2]
    assert [first[side]["status"] for side in "ab"] == [200, 500]
    [compared] = compare_runs(a, stored_run("b", steps=[step("s", *pages[:3])]))["steps"]
    assert compared["firstRequestThatDiffers"] == {
        "a": {**first["a"], "url": "https://a.example/3", "iteration": 3}
    }


def test_requests_to_one_url_differ_in_what_they_sent() -> None:
    def sending(body: str, agent: str) -> Any:
        headers = [["User-Agent", agent], ["X-Kind", "a"]]
        return request(exchange={"requestBody": body, "requestHeaders": headers})

    a = stored_run("a", steps=[step("s", sending("1", "one"))])
    b = stored_run("b", steps=[step("s", sending("2", "two"))])
    comparison = compare_runs(a, b)
    assert comparison["steps"][0]["firstRequestThatDiffers"]["sent"] == ["body"]
    assert "-> 200 (another body)." in " ".join(comparison["summary"])
    same = stored_run("c", steps=[step("s", sending("1", "two"))])
    assert "firstRequestThatDiffers" not in compare_runs(a, same)["steps"][0]


def test_a_failure_is_compared_with_a_success() -> None:
    comparison = compare_runs(
        stored_run("a", steps=[step("s", request()), step("z")]), failed_run("b")
    )
    assert comparison["outcome"]["a"] == {"status": "success"}
    assert comparison["outcome"]["b"]["kind"] == "http_status"
    assert comparison["summary"][0].startswith("a succeeded, b failed: Step s failed")
    text = " ".join(comparison["summary"])
    assert "-> 200; b: GET https://a.example/x -> 404" in text
    assert "Step z is recorded in a only: b did not reach it." in text


def test_what_cannot_be_compared_is_said() -> None:
    running = stored_run("b", status="running")
    text = " ".join(compare_runs(stored_run("a"), running)["summary"])
    assert "Run b is still running" in text
    damaged = stored_run(
        "d", tool=None, inputs=None, options=None, result=None, damage="result: bytes are missing"
    )
    comparison = compare_runs(damaged, stored_run("b", tool_id="u"))
    text = " ".join(comparison["summary"])
    for words in ("different tools: t and u", "run a is damaged", "bytes are missing"):
        assert words in text
    assert "not compared" in text
    assert not {"tool", "inputs", "options"} & comparison.keys()
    broken = stored_run("x", result=b'{"cut o', started_at=0, completed_at=None, cost=None)
    assert "not compared" in " ".join(compare_runs(broken, broken)["summary"])
    odd = stored_run("o", steps=[{"requests": None}, {"stepId": "s", "startedAt": 5}])
    assert compare_runs(odd, odd)["summary"][0] == "These are the same run."


def test_a_long_comparison_can_be_shortened_to_any_length() -> None:
    def rows(start: int) -> Any:
        return {f"key {n} {'x' * 300}": "y" * 300 + str(start) for n in range(200)}

    steps = [failed_step(f"s{n}", request("https://a.example/" + "z" * 900)) for n in range(200)]
    a = stored_run("a", data=rows(1), inputs=rows(1), tool={"id": "t", "v": rows(1)})
    b = stored_run("b", data=rows(2), inputs=rows(2), tool={"id": "t", "v": rows(2)}, steps=steps)
    comparison = compare_runs(a, b)
    assert len(json.dumps(comparison)) > 50_000
    for characters in (24_000, 12_000):
        short = shortened_comparison(comparison, characters)
        assert len(json.dumps(short)) < characters * 1.1
        assert short["shortened"]
        assert short["result"]["total"] == 200
        assert short["result"]["truncated"]
        assert short["summary"]
    assert shortened_comparison(comparison, 10**9) is comparison
