"""What a response filter takes out of a result stands nowhere in the record either."""

import io
import zipfile
from typing import Any

import pytest

from server.reruns import RerunRequest
from server.service import Service
from storage.run_record import StoredRun
from tests.server.helpers import start, store
from tests.web import Answer, Web
from tools.json_text import Json, encode_json_text
from tools.model import ResponseFilter
from tools.response_filters import apply_response_filters
from tools.run import RequestSource

NO_SSN = {"id": "a", "target": "KEYS", "pattern": "^ssn$", "action": "REMOVE"}
NO_MAIL = {"id": "b", "target": "VALUES", "pattern": r"\S+@\S+", "action": "MASK"}


async def recorded(service: Service, web: Web, answer: Answer, *filters: Any) -> StoredRun:
    """The record of a run of one request."""
    web.answers(answer)
    tool = {
        "id": "people",
        "steps": [{"id": "p", "config": {"url": f"{web.url}/people"}, "retries": 0}],
        "responseFilters": list(filters),
    }
    await store(service, tool)
    run = await start(service, "people")
    await run.wait()
    return await service.get_run(run.run_id, with_large=True)


def request_of(run: StoredRun) -> dict[str, Any]:
    (step,) = run.steps or []
    return step["requests"][0]["exchange"]


PEOPLE = [{"id": 1, "ssn": "123-45", "note": "write to ann@x.io"}]


async def test_a_recorded_answer_is_filtered_as_the_data_is(service: Service, web: Web) -> None:
    run = await recorded(service, web, Answer(PEOPLE), NO_SSN, NO_MAIL)
    kept = encode_json_text([{"id": 1, "note": "write to [filtered]"}])
    assert request_of(run)["responseBody"] == kept
    assert run.data == [{"id": 1, "note": "write to [filtered]"}]
    assert "ann@x.io" not in encode_json_text(run.steps)


@pytest.mark.parametrize("spec", [NO_SSN, NO_MAIL], ids=["keys", "values"])
@pytest.mark.parametrize(
    "answer",
    [
        Answer("id,ssn\n1,123-45 ann@x.io\n", headers={"content-type": "text/csv"}),
        Answer('[{"ssn": "123-45 ann@x.io"}', headers={"content-type": "application/json"}),
    ],
    ids=["csv", "cut off"],
)
async def test_an_answer_that_is_no_whole_json_is_not_kept_where_a_filter_may_find_something(
    answer: Answer, spec: dict[str, Any], service: Service, web: Web
) -> None:
    run = await recorded(service, web, answer, spec)
    exchange = request_of(run)
    assert (exchange.get("responseBody", ""), exchange["truncated"]) == ("", True)
    (step,) = run.steps or []
    assert any("1 answers are not kept" in one for one in step["warnings"])


async def test_an_answer_in_which_a_filter_finds_nothing_is_kept_as_it_is(
    service: Service, web: Web
) -> None:
    text = '[ {"id": 1, "note": "none"} ]'
    run = await recorded(
        service, web, Answer(text, headers={"content-type": "application/json"}), NO_SSN, NO_MAIL
    )
    assert request_of(run)["responseBody"] == text
    assert "altered" not in run.steps[0]


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        ({"ssn": "123-45", "why": "no"}, '{"why":"no"}'),
        ("write to ann@x.io", "[filtered]"),
        ("Not Found", "Not Found"),
    ],
)
async def test_an_error_shows_no_more_of_an_answer_than_the_filters_let_through(
    body: Any, shown: str, service: Service, web: Web
) -> None:
    run = await recorded(service, web, Answer(body, status=404), NO_SSN, NO_MAIL)
    assert run.error == f"Step p failed: HTTP 404: {shown}"
    assert run.error_detail is not None
    assert run.error_detail["http"]["bodyExcerpt"] == shown
    text = encode_json_text(run.steps) + encode_json_text(run.error_detail)
    assert "123-45" not in text
    assert "ann@x.io" not in text


async def test_a_run_whose_answers_were_filtered_can_be_replayed(
    service: Service, web: Web
) -> None:
    run = await recorded(service, web, Answer(PEOPLE), NO_SSN, NO_MAIL)
    again = await service.rerun(RerunRequest(run.run_id, RequestSource.CLI, mode="replay"))
    outcome = await again.run.wait()
    assert (outcome.error, outcome.data) == (None, run.data)
    assert len(web.seen) == 1


@pytest.mark.parametrize("action", ["REMOVE", "MASK", "FAIL"])
@pytest.mark.parametrize("scope", ["ITEM", "ENTRY"])
@pytest.mark.parametrize(("target", "pattern"), [("KEYS", "item"), ("VALUES", "true")])
async def test_a_filter_that_takes_all_of_a_step_leaves_what_the_step_did(
    target: str, pattern: str, scope: str, action: str, service: Service, web: Web
) -> None:
    """The envelope of a step has a key with "item" and a value that is true; the result has not."""
    spec = {"id": "a", "target": target, "pattern": pattern, "action": action, "scope": scope}
    run = await recorded(service, web, Answer({"id": 1}), spec)
    assert (run.status, run.data, run.error) == ("success", {"id": 1}, None)
    (step,) = run.steps
    assert step["data"] == ({} if action == "REMOVE" else "[filtered]")
    assert request_of(run)["responseBody"] == '{"id": 1}'


def zipped(text: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("people.json", text)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("text", "is_kept"), [('{"ssn": "123-45"}', False), ('{"id": "none"}', True)]
)
async def test_a_file_is_kept_unless_a_filter_changes_what_was_read_of_it(
    text: str, is_kept: bool, service: Service, web: Web
) -> None:
    answer = Answer(zipped(text), headers={"content-type": "application/zip"})
    run = await recorded(service, web, answer, NO_SSN, NO_MAIL)
    assert run.status == "success"
    (step,) = run.steps
    assert bool(step.get("files")) is is_kept
    words = "its files are not kept: a response filter changes what is read"
    assert (words in step.get("warnings", ())) is not is_kept


async def test_what_a_schema_finds_wrong_shows_no_more_than_the_filters_let_through(
    service: Service, web: Web
) -> None:
    web.answers(Answer([{"id": "one", "ssn": "123-45", "note": "ann@x.io"}, {"id": 2}]))
    number = {"type": "integer"}
    tool = {
        "id": "people",
        "steps": [{"id": "p", "config": {"url": f"{web.url}/people"}, "retries": 0}],
        "responseFilters": [NO_SSN, NO_MAIL],
        "outputSchema": {"items": {"properties": dict.fromkeys(("id", "ssn", "note"), number)}},
    }
    await store(service, tool)
    run = await start(service, "people")
    outcome = await run.wait()
    error = str(outcome.error)
    assert '/0/id: must be integer or null, is the string "one"' in error
    for name in ("ssn", "note"):
        assert f"/0/{name}: does not match the schema; a response filter hides" in error
    assert "123-45" not in error
    assert "ann@x.io" not in error


@pytest.mark.parametrize("spec", [NO_SSN, NO_MAIL], ids=["keys", "values"])
async def test_an_answer_that_cannot_be_read_is_not_shown_where_there_are_filters(
    spec: dict[str, Any], service: Service, web: Web
) -> None:
    answer = Answer('["ann@x.io",]', headers={"content-type": "application/json"})
    with_filter = await recorded(service, web, answer, spec)
    assert "is not JSON" in str(with_filter.error)
    assert "ann@x.io" not in str(with_filter.error)
    without = await recorded(service, web, answer, {**spec, "enabled": False})
    assert "ann@x.io" in str(without.error)


ENVELOPE_KEYS = ["^data$", "^success$", "^(data|ssn)$"]


@pytest.mark.parametrize("action", ["REMOVE", "MASK"])
@pytest.mark.parametrize("pattern", ["^ssn$", *ENVELOPE_KEYS])
async def test_a_step_is_filtered_as_if_its_data_were_not_the_result(
    pattern: str, action: str, service: Service, web: Web
) -> None:
    spec = {"id": "a", "target": "KEYS", "pattern": pattern, "action": action}
    people: list[Json] = [{"id": 1, "ssn": "123-45", "data": {"success": True}}]
    await store(
        service,
        {
            "id": "people",
            "steps": [{"id": "p", "config": {"url": f"{web.url}/people"}, "retries": 0}],
            "responseFilters": [spec],
        },
    )
    web.answers(Answer(people))
    outcome = await (await start(service, "people")).wait()
    (step,) = outcome.steps
    matcher = service.engines.scripts
    filters = [ResponseFilter.model_validate(spec)]
    envelope: Json = {"currentItem": {}, "data": people, "success": True}
    expected = await apply_response_filters(envelope, filters, matcher, fail_as_mask=True)
    assert step.data == expected.value
    assert (step.data.get("data") is outcome.data) == (pattern not in ENVELOPE_KEYS[0::2])
