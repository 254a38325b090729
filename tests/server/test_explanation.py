"""Why a run failed: the step, its exchange, what changed since it last worked, what to do."""

import json
from typing import Any

import pytest

from server.explanation import MOST_CHARACTERS, explain_run
from tests.server.stored_runs import failed_run, failed_step, request, step, stored_run
from tools.errors import ErrorKind


def likely(run: Any, last_good: Any = None) -> str:
    return " ".join(explain_run(run, last_good)["likely"])


def test_the_failing_request_is_shown_as_it_was_sent_and_answered() -> None:
    exchange = {
        "requestHeaders": [["Authorization", "Bearer [credential api.token]"]],
        "requestBody": '{"q":1}',
        "responseStatus": 404,
        "responseHeaders": [["content-type", "text/plain"]],
        "responseBody": "gone " * 1000,
    }
    run = failed_run(steps=[failed_step("s", request(), request(status=404, exchange=exchange))])
    explanation = explain_run(run, None)
    assert "at step s (http_status): Step s failed: HTTP 404" in explanation["summary"]
    assert explanation["failure"]["kind"] == "http_status"
    assert (explanation["failure"]["stepId"], explanation["failure"]["stepKind"]) == (
        "s",
        "request",
    )
    shown = explanation["exchange"]
    assert (shown["method"], shown["url"], shown["status"]) == ("GET", "https://a.example/x", 404)
    assert shown["requestHeaders"] == {"Authorization": "Bearer [credential api.token]"}
    assert shown["requestBody"] == '{"q":1}'
    assert shown["responseBody"].endswith("(5,000 characters)")
    assert "No earlier run of t that succeeded" in likely(run)
    bare = explain_run(failed_run(), None)["exchange"]
    assert "not recorded" in bare["note"]


def test_the_request_is_the_one_of_the_item_and_page_that_failed() -> None:
    requests = [
        request(f"https://a.example/{item}?page={page}", 500 if (item, page) == (1, 2) else 200,
                iteration=item, page=page)
        for item in (2, 1, 0)
        for page in (1, 2)
    ]  # fmt: skip
    detail = {"kind": "http_status", "stepId": "s", "iteration": 1, "page": 2, "retryable": True}
    run = failed_run(error_detail=detail, steps=[failed_step("s", *requests)])
    explanation = explain_run(run, None)
    assert explanation["exchange"]["url"] == "https://a.example/1?page=2"
    assert (explanation["failure"]["iteration"], explanation["failure"]["page"]) == (1, 2)
    assert "run it again" in likely(run)
    nothing_sent = {"kind": "unresolved_variable", "stepId": "s", "iteration": 7}
    run = failed_run(error_detail=nothing_sent, steps=[failed_step("s", *requests)])
    assert "exchange" not in explain_run(run, None)


def test_an_upstream_that_changed_is_told_from_inputs_and_tools_that_did() -> None:
    good = stored_run("good", steps=[step("s", request(), ms=30)])
    explanation = explain_run(failed_run(), good)
    assert explanation["lastGood"]["runId"] == "good"
    changes = explanation["lastGood"]["changes"]
    assert changes["request"]["before"]["status"] == 200
    assert changes["request"]["now"]["status"] == 404
    assert changes["stepMs"] == {"before": 30, "now": 10}
    assert not {"tool", "inputs", "data"} & changes.keys()
    assert "answered with 200 then and 404 now: the upstream changed" in likely(failed_run(), good)

    text = likely(failed_run(inputs={"id": 9}), good)
    assert "inputs are not those of run good" in text
    assert "$.id" in text
    assert "the upstream changed" not in text
    tool = {"id": "t", "steps": [{"id": "s", "config": {"url": "https://b.example"}}]}
    assert "The tool was changed" in likely(failed_run(tool=tool, version_number=2), good)
    moved = failed_run(steps=[failed_step("s", request("https://a.example/y", 404))])
    assert "went to https://a.example/y; in the last good run" in likely(moved, good)
    same = failed_run(steps=[failed_step("s", request())])
    assert "the upstream behaves differently" in likely(same, good)


def sending(body: str, status: int, *headers: list[str]) -> Any:
    exchange = {"requestBody": body, "requestHeaders": list(headers)}
    return request("https://a.example/x", status, exchange=exchange)


def test_an_upstream_is_not_said_to_have_changed_where_something_else_was_sent() -> None:
    good = stored_run("good", steps=[step("s", sending("1", 200, ["X-Kind", "a"]))])
    other_body = failed_run(steps=[failed_step("s", sending("2", 422, ["x-kind", "a"]))])
    assert "is not what it was in the last good run: body." in likely(other_body, good)
    other_header = failed_run(steps=[failed_step("s", sending("1", 422, ["X-Kind", "b"]))])
    assert "is not what it was in the last good run: header x-kind." in likely(other_header, good)
    same = failed_run(steps=[failed_step("s", sending("1", 422, ["X-Kind", "a"]))])
    assert "200 then and 422 now: the upstream changed" in likely(same, good)
    refused = failed_run(steps=[failed_step("s", sending("1", 401, ["X-Kind", "a"]))])
    assert "its credential or its system, which no record holds, or" in likely(refused, good)
    dev = failed_run(
        steps=[failed_step("s", sending("1", 422, ["X-Kind", "a"]))], execution_mode="dev"
    )
    text = likely(dev, good)
    assert "It used the systems of dev; the last good run those of prod." in text
    assert "the upstream changed" not in text


def test_data_of_another_shape_is_found_where_a_later_step_breaks() -> None:
    def run(run_id: str, row: Any, **fields: Any) -> Any:
        earlier = step("rows", request(), data={"rows": [row, row]})
        return failed_run(run_id, steps=[earlier, failed_step("s")], **fields)

    good = run("good", {"id": 1, "total": 5}, status="success", error=None, error_detail=None)
    bad = run("bad", {"id": 1, "amount": 5}, error_detail={"kind": "script_error", "stepId": "s"})
    explanation = explain_run(bad, good)
    assert explanation["state"] == {"rows": {"rows": [{"id": "integer", "amount": "integer"}]}}
    paths = [one["path"] for one in explanation["lastGood"]["changes"]["data"]["rows"]["changes"]]
    assert paths == ["$.rows[*].total", "$.rows[*].amount"]
    text = likely(bad, good)
    assert "The data of step rows has another shape" in text
    assert "$.rows[*].total removed" in text
    # Other values of the same kinds are no news.
    alike = run("alike", {"id": 7, "total": 8})
    assert "data" not in explain_run(alike, good)["lastGood"]["changes"]


def test_a_step_that_was_passed_over_is_named() -> None:
    run = failed_run(steps=[failed_step("before", error="HTTP 500"), failed_step("s")])
    assert "Step before failed before and was passed over: HTTP 500" in likely(run)


@pytest.mark.parametrize(
    ("detail", "words"),
    [
        ({"kind": "invalid_input"}, "the inputs were refused, nothing was sent"),
        ({"kind": "output_schema"}, "the result breaks the tool's outputSchema"),
        ({"kind": "interrupted"}, "the process that ran it stopped"),
        ({"kind": "script_error"}, "before the first step"),
    ],
)
def test_a_failure_outside_the_steps_says_where(detail: Any, words: str) -> None:
    failure = explain_run(failed_run(error_detail=detail, steps=[]), None)["failure"]
    assert words in failure["where"]


def test_an_aborted_run_shows_the_step_it_was_at() -> None:
    at = step("s", request(status=None), status="aborted", success=False, error="cancelled")
    run = failed_run(
        status="aborted", error="cancelled", error_detail={"kind": "cancelled"}, steps=[at]
    )
    explanation = explain_run(run, None)
    assert "was aborted at step s" in explanation["summary"]
    assert "ended from outside" in " ".join(explanation["likely"])


def test_a_called_tool_that_failed_is_the_next_to_explain() -> None:
    called = {**failed_step("s"), "childRunId": "child"}
    run = failed_run(error_detail={"kind": "sub_tool", "stepId": "s"}, steps=[called])
    assert "explain run child next" in likely(run)


def test_a_refused_sign_in_names_the_system() -> None:
    tool = {"id": "t", "steps": [{"id": "s", "config": {"url": "/x", "systemId": "acme"}}]}
    detail = {"kind": "http_status", "stepId": "s", "http": {"status": 401}}
    assert "credential of system acme" in likely(failed_run(tool=tool, error_detail=detail))


def test_a_run_that_did_not_fail_is_told_in_short() -> None:
    run = stored_run("r", steps=[step("s", request(), warnings=["a page without rows"])])
    explanation = explain_run(run, None)
    assert "succeeded; there is no failure" in explanation["summary"]
    assert explanation["steps"] == [
        {"stepId": "s", "status": "success", "requests": 1, "warnings": ["a page without rows"]}
    ]
    running = explain_run(stored_run("r", status="running"), None)
    assert "still running" in running["summary"]
    assert "failure" not in running


@pytest.mark.parametrize("kind", ErrorKind)
def test_a_damaged_record_is_still_explained(kind: ErrorKind) -> None:
    bare = stored_run("r", status="failed", tool=None, inputs=None, options=None, damage="steps: x")
    assert explain_run(bare, None)["damage"] == "steps: x"
    detail = {"kind": str(kind), "stepId": "gone"}
    run = failed_run(error_detail=detail, steps=[], tool={"steps": "odd"}, error=None)
    explanation = explain_run(run, bare)
    assert explanation["failure"]["stepId"] == "gone"
    assert "no error is recorded" in explanation["summary"]


@pytest.mark.parametrize("character", ["x", "\x00", "é"])
def test_an_explanation_fits_a_context_whatever_the_record_holds(character: str) -> None:
    long = character * 50_000
    exchange = {
        "requestHeaders": [[f"h{n}", long] for n in range(100)],
        "responseHeaders": [[f"h{n}", long] for n in range(100)],
        "requestBody": long,
        "responseBody": long,
    }
    wide = {f"{n} {long[:500]}": {f"k{m}": long for m in range(60)} for n in range(60)}
    other = {f"{n}": {f"k{m}": m for m in range(60)} for n in range(60)}

    def steps(data: Any) -> list[Any]:
        return [*(step(f"e{n}", data=data) for n in range(40))]

    last = failed_step("s", request(long, 500, error=long, exchange=exchange), error=long)
    detail = {"kind": "http_status", "stepId": "s", "hint": long, "path": long, "retryable": True}
    bad = failed_run(
        error=long,
        error_detail=detail,
        steps=[*steps(wide), {**last, "warnings": [long] * 50}],
        inputs=wide,
        tool={"id": "t", "wide": wide},
        damage=long,
    )
    good = stored_run("good", steps=steps(other), inputs=other, tool={"id": "t", "wide": other})
    explanation = explain_run(bad, good)
    assert len(json.dumps(explanation, ensure_ascii=False)) <= MOST_CHARACTERS
    assert explanation["failure"]["kind"] == "http_status"
    assert explanation["likely"]
    assert explanation["leftOut"]
