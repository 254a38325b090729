"""Which recorded exchange answers which request."""

import base64
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tools.addresses import AddressPolicy
from tools.errors import ErrorKind, RunError
from tools.http import NotSentError, OutgoingRequest, Received
from tools.redaction import Redactor
from tools.replay import (
    RecordedExchange,
    Recording,
    ReplayClient,
    credential_mark,
    marked_system,
)

URL = "https://api.example/rows"
MARK = credential_mark("acme.token")


def recorded(url: str = URL, answer: str = "{}", method: str = "GET", **fields: Any) -> Any:
    exchange = {
        "requestHeaders": fields.pop("requestHeaders", []),
        "responseStatus": 200,
        "responseHeaders": [["content-type", "application/json"]],
        "responseBody": answer,
    }
    if "requestBody" in fields:
        exchange["requestBody"] = fields.pop("requestBody")
    exchange |= fields.pop("exchange", {})
    return {"method": method, "url": url, "exchange": exchange, **fields}


def client(*requests: Any, redactor: Redactor | None = None, **given: Any) -> ReplayClient:
    recording = Recording(map(RecordedExchange.of, requests))
    return ReplayClient(recording, redactor or Redactor({"acme.token": MARK}), 1000, **given)


async def ask(replay: ReplayClient, url: str = URL, method: str = "GET", **fields: Any) -> Received:
    request = OutgoingRequest(method, url, **fields)
    return await replay.exchange(request, timeout_seconds=1, policy=AddressPolicy.PUBLIC)


async def refused(replay: ReplayClient, *given: Any, **fields: Any) -> str:
    with pytest.raises(RunError) as failed:
        await ask(replay, *given, **fields)
    assert failed.value.kind is ErrorKind.REPLAY
    return failed.value.message


async def test_the_recorded_answer_comes_back_whole() -> None:
    answer = await ask(client(recorded(answer='{"a": 1}')))
    assert (answer.status, answer.body.whole(), answer.url) == (200, b'{"a": 1}', URL)
    assert answer.header("content-type") == "application/json"


async def test_bytes_that_are_no_text_come_back_as_they_were() -> None:
    content = bytes(range(256))
    request = recorded()
    del request["exchange"]["responseBody"]
    request["exchange"]["responseBodyBase64"] = base64.b64encode(content).decode()
    assert (await ask(client(request))).body.whole() == content


async def test_equal_requests_are_answered_in_their_order() -> None:
    replay = client(recorded(answer="1"), recorded(answer="2"))
    assert [(await ask(replay)).body.whole() for _ in range(2)] == [b"1", b"2"]
    assert "more often than it was recorded" in await refused(replay)


async def test_a_request_with_another_body_is_another_request() -> None:
    replay = client(recorded(method="POST", requestBody="a"))
    assert "with another body" in await refused(replay, method="POST", body=b"b")
    assert (await ask(replay, method="POST", body=b"a")).status == 200


async def test_a_request_that_is_not_there_is_told_what_is() -> None:
    message = await refused(client(recorded(f"{URL}?page=1")), f"{URL}?page=2")
    assert f"GET {URL}?page=2" in message
    assert f"GET {URL}?page=1" in message


async def test_a_request_that_never_was_recorded_is_told_so() -> None:
    assert "no recorded request is left" in await refused(client())


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"exchange": {"truncated": True}}, "was cut"),
        ({"exchange": {"truncated": True, "altered": True}}, "filters of the tool took its answer"),
        ({"exchange": {"responseStatus": None}}, "no answer"),
        ({"exchange": {"responseBody": None}}, ""),
    ],
)
async def test_an_answer_that_is_not_whole_is_refused(fields: Any, why: str) -> None:
    if fields["exchange"].get("responseBody", "") is None:
        request = recorded()
        del request["exchange"]["responseBody"]
        why = "the body of its answer is not there"
    else:
        request = recorded(**fields)
    assert why in await refused(client(request))


async def test_an_exchange_that_was_not_recorded_is_refused() -> None:
    request = {"method": "GET", "url": URL, "status": 200}
    assert "was not recorded" in await refused(client(request))


async def test_a_lenient_replay_sends_what_is_not_recorded() -> None:
    class Sender:
        async def exchange(self, request: OutgoingRequest, **_: Any) -> Received:
            return Received(299, request.url)

    replay = client(recorded(), sender=Sender())
    assert (await ask(replay)).status == 200
    assert (await ask(replay)).status == 299


async def test_a_recorded_failure_fails_again_in_the_same_way() -> None:
    detail = {"kind": "connection", "retryable": True, "notSent": True, "hint": "wait"}
    request = {**recorded(), "error": "cannot connect", "errorDetail": detail}
    with pytest.raises(NotSentError) as failed:
        await ask(client(request))
    assert failed.value.message == "cannot connect"
    assert failed.value.detail.retryable
    assert failed.value.detail.hint == "wait"


async def test_the_boundary_of_multipart_is_no_difference() -> None:
    def body(boundary: str) -> str:
        return f"--{boundary}\r\n\r\nx\r\n--{boundary}--"

    def headers(boundary: str) -> list[tuple[str, str]]:
        return [("Content-Type", f"multipart/form-data; boundary={boundary}")]

    replay = client(recorded(method="POST", requestBody=body("aaa"), requestHeaders=headers("aaa")))
    sent = await ask(replay, method="POST", body=body("bbb").encode(), headers=headers("bbb"))
    assert sent.status == 200


async def test_a_credential_matches_under_whatever_name_it_was_recorded() -> None:
    replay = client(recorded(f"{URL}?key=[redacted]&k=[credential run.token]"))
    assert (await ask(replay, f"{URL}?key={quote(MARK)}&k={quote_plus(MARK)}")).status == 200


async def test_a_credential_too_short_to_be_redacted_matches_what_stands_in_its_place() -> None:
    replay = client(recorded(f"{URL}?key=abc&page=1"), recorded(f"{URL}?key=abc&page=2"))
    assert (await ask(replay, f"{URL}?key={quote(MARK)}&page=2")).status == 200
    await refused(replay, f"{URL}?key={quote(MARK)}&page=3")


async def test_many_marks_are_compared_in_no_time() -> None:
    body = ",".join(["abc"] * 40)
    replay = client(recorded(method="POST", requestBody=body + ";"))
    marked = ",".join([MARK] * 40).encode()
    await refused(replay, method="POST", body=marked + b"!")
    assert (await ask(replay, method="POST", body=marked + b";")).status == 200


async def test_a_damaged_recording_never_answers_another_request() -> None:
    await refused(client({}, {"method": None}), URL)


NAMES = st.text(st.characters(codec="ascii", categories=("L", "N")), min_size=1, max_size=8)
SECRETS = st.text(st.characters(codec="utf-8", exclude_categories=("C",)), min_size=8, max_size=30)


@given(name=NAMES, secret=SECRETS, plain=st.text(max_size=10), encode=st.sampled_from([0, 1]))
async def test_whatever_the_secret_its_request_is_found_by_its_mark(
    name: str, secret: str, plain: str, encode: int
) -> None:
    """Recorded with the value, replayed with the mark: in the url and in the body."""
    escape = (quote, quote_plus)[encode]
    live = Redactor({f"acme.{name}": secret})
    # A secret that is among the ordinary data of a run takes that out of the record too.
    assume(not live.finds(f"https://a.example/?q={escape(plain)}&t= [credential acme.{name}]"))
    mark = credential_mark(f"acme.{name}")

    def request(value: str) -> tuple[str, bytes]:
        url = f"https://a.example/?q={escape(plain)}&t={escape(value)}"
        return url, f'{{"token": "{value}"}}'.encode()

    url, body = request(secret)
    entry = recorded(live.url(url), method="POST", requestBody=live.data(body).decode())
    replay = client(entry, redactor=Redactor({f"acme.{name}": mark}))
    url, body = request(mark)
    assert (await ask(replay, url, "POST", body=body)).status == 200


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers()), max_size=12))
async def test_every_exchange_answers_once_and_in_the_order_of_its_request(
    entries: list[tuple[str, int]],
) -> None:
    replay = client(*(recorded(f"{URL}/{path}", str(number)) for path, number in entries))
    for path in "abc":
        wanted = [str(number).encode() for one, number in entries if one == path]
        found = [(await ask(replay, f"{URL}/{path}")).body.whole() for _ in wanted]
        assert found == wanted
        await refused(replay, f"{URL}/{path}")


def test_a_marked_system_has_every_credential_its_sign_in_needs() -> None:
    auth = {"type": "digest", "username": "user", "password": "pass"}
    system = marked_system({"id": "acme", "url": "https://a.example", "auth": auth}, ["extra"])
    assert system.credentials == {
        name: f"[credential acme.{name}]" for name in ("extra", "pass", "user")
    }
