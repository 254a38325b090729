"""The client against a real server that behaves, and one that does not."""

import gzip
from collections.abc import AsyncGenerator

import anyio
import pytest

from tests.web import Answer, Web
from tools.addresses import AddressPolicy
from tools.errors import ErrorKind, RunError
from tools.http import HttpClient, NotSentError, OutgoingRequest, Received


@pytest.fixture
async def client() -> AsyncGenerator[HttpClient]:
    async with HttpClient(user_agent="callslip/test", max_response_bytes=100_000) as client:
        yield client


async def get(
    client: HttpClient, url: str, *, seconds: float = 10, headers: dict[str, str] | None = None
) -> Received:
    request = OutgoingRequest("GET", url, list((headers or {}).items()))
    return await client.exchange(request, timeout_seconds=seconds, policy=AddressPolicy.PRIVATE)


async def test_an_answer_is_whole(client: HttpClient, web: Web) -> None:
    web.answers(Answer({"a": 1}, headers={"X-Own": "v"}))
    received = await get(client, f"{web.url}/p?q=a%2Fb+c")
    assert (received.status, received.header("x-own")) == (200, "v")
    assert received.body.whole() == b'{"a": 1}'
    seen = web.seen[0]
    assert seen.target == "/p?q=a%2Fb+c"
    assert seen.headers["user-agent"] == "callslip/test"


async def test_connections_are_kept(client: HttpClient, web: Web) -> None:
    web.answers(Answer("x"))
    for _ in range(5):
        await get(client, web.url)
    assert len(web.seen) == 5
    assert web.closed_connections == 0


async def test_a_compressed_answer_is_unpacked(client: HttpClient, web: Web) -> None:
    web.answers(Answer(gzip.compress(b"hello"), headers={"Content-Encoding": "gzip"}))
    assert (await get(client, web.url)).body.whole() == b"hello"


@pytest.mark.parametrize("encoding", [None, "gzip"])
async def test_an_answer_beyond_the_limit_is_refused(
    client: HttpClient, web: Web, encoding: str | None
) -> None:
    body = bytes(5_000_000)
    if encoding == "gzip":
        web.answers(Answer(gzip.compress(body), headers={"Content-Encoding": "gzip"}))
    else:
        web.answers(Answer(body))
    with pytest.raises(RunError) as caught:
        await get(client, web.url)
    assert caught.value.kind is ErrorKind.SIZE_LIMIT


@pytest.mark.parametrize(
    "answer",
    [
        Answer(raw=b""),
        Answer(raw=b"this is not HTTP\r\n\r\n"),
        Answer(raw=b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nonly this"),
        Answer(raw=b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
        Answer(raw=b"HTTP/1.1 200 OK\r\n" + b"X: " + b"y" * 100_000 + b"\r\n\r\n"),
        Answer("x" * 100, cut_after=10),
    ],
    ids=["nothing", "not-http", "short-body", "bad-chunk", "huge-header", "cut-off"],
)
async def test_an_answer_that_is_none_is_a_connection_error(
    client: HttpClient, web: Web, answer: Answer
) -> None:
    web.answers(answer)
    with pytest.raises(RunError) as caught:
        await get(client, web.url)
    assert caught.value.kind is ErrorKind.CONNECTION
    assert web.url in caught.value.message
    assert not isinstance(caught.value, NotSentError)


async def test_a_refused_connection_was_not_sent(client: HttpClient) -> None:
    with pytest.raises(NotSentError) as caught:
        await get(client, "http://127.0.0.1:1/")
    before, _, reason = caught.value.message.rpartition(": ")
    assert before == "cannot connect to http://127.0.0.1:1"
    assert "refused" in reason
    assert "127.0.0.1" not in reason


async def test_a_proxy_that_nobody_listens_at_is_named() -> None:
    async with HttpClient(user_agent="t", proxies={"http": "http://a:b@127.0.0.1:1"}) as client:
        with pytest.raises(NotSentError) as caught:
            await get(client, "http://acme.test/")
    before, _, reason = caught.value.message.rpartition(": ")
    assert before == "cannot connect to http://acme.test: the proxy 127.0.0.1:1"
    assert "refused" in reason


async def test_a_name_that_does_not_exist_was_not_sent(client: HttpClient) -> None:
    with pytest.raises(NotSentError) as caught:
        await get(client, "http://no-such-host.invalid/")
    before, _, reason = caught.value.message.partition(".invalid: ")
    assert before == "cannot connect to http://no-such-host"
    assert reason
    assert "no-such-host" not in reason


async def test_a_silent_server_times_out_and_is_hung_up_on(client: HttpClient, web: Web) -> None:
    web.answers(Answer("late", release=anyio.Event()))
    with pytest.raises(RunError, match="Request timed out after 100ms") as caught:
        await get(client, web.url, seconds=0.1)
    assert caught.value.kind is ErrorKind.TIMEOUT


async def test_cancelling_closes_the_connection(client: HttpClient, web: Web) -> None:
    release = anyio.Event()
    web.answers(Answer("late", release=release))
    async with anyio.create_task_group() as group:
        group.start_soon(get, client, web.url)
        await web.arrived.wait()
        group.cancel_scope.cancel()
    release.set()
    with anyio.fail_after(5):
        while not web.closed_connections:
            await anyio.lowlevel.checkpoint()


async def test_redirects_carry_credentials_only_within_their_origin(
    client: HttpClient, web: Web
) -> None:
    other = web.url.replace("127.0.0.1", "localhost")
    web.responds(
        lambda seen: (
            Answer(
                status=302,
                headers={"Location": "/same" if seen.path == "/start" else f"{other}/other"},
            )
            if seen.path in {"/start", "/same"}
            else Answer({"ok": 1})
        )
    )
    headers = {"Authorization": "Bearer t", "X-Key": "k", "X-Plain": "p"}
    request = OutgoingRequest(
        "GET", f"{web.url}/start", list(headers.items()), credential_headers=frozenset({"x-key"})
    )
    await client.exchange(request, timeout_seconds=10, policy=AddressPolicy.PRIVATE)
    start, same, last = web.seen
    for seen in (start, same):
        assert (seen.headers["authorization"], seen.headers["x-key"]) == ("Bearer t", "k")
    assert "authorization" not in last.headers
    assert "x-key" not in last.headers
    assert last.headers["x-plain"] == "p"


async def test_a_body_with_credentials_is_not_redirected_elsewhere(
    client: HttpClient, web: Web
) -> None:
    other = web.url.replace("127.0.0.1", "localhost")
    web.answers(Answer(status=307, headers={"Location": f"{other}/x"}))
    request = OutgoingRequest("POST", web.url, [], b"token=t", body_holds_credentials=True)
    with pytest.raises(RunError) as caught:
        await client.exchange(request, timeout_seconds=10, policy=AddressPolicy.PRIVATE)
    assert caught.value.kind is ErrorKind.CREDENTIAL
    assert len(web.seen) == 1


async def test_redirects_end(client: HttpClient, web: Web) -> None:
    web.answers(Answer(status=302, headers={"Location": "/again"}))
    with pytest.raises(RunError, match="more than 20 redirects"):
        await get(client, web.url)


@pytest.mark.parametrize("location", ["http://[", "http://[::1", "http://h:99999/", "mailto:x"])
async def test_a_redirect_to_what_is_no_url_is_an_error_of_the_connection(
    location: str, client: HttpClient, web: Web
) -> None:
    web.answers(Answer(status=302, headers={"Location": location}))
    with pytest.raises(RunError) as caught:
        await get(client, web.url)
    assert caught.value.kind is ErrorKind.CONNECTION


async def test_a_redirect_to_a_blocked_address_is_refused(client: HttpClient, web: Web) -> None:
    web.answers(Answer(status=302, headers={"Location": "http://169.254.169.254/latest"}))
    with pytest.raises(RunError) as caught:
        await get(client, web.url)
    assert caught.value.kind is ErrorKind.BLOCKED_ADDRESS


async def test_names_are_checked_after_they_are_resolved(client: HttpClient, web: Web) -> None:
    request = OutgoingRequest("GET", web.url.replace("127.0.0.1", "localhost"))
    with pytest.raises(RunError, match="localhost") as caught:
        await client.exchange(request, timeout_seconds=10, policy=AddressPolicy.PUBLIC)
    assert caught.value.kind is ErrorKind.BLOCKED_ADDRESS
    assert web.seen == []


@pytest.mark.parametrize("url", ["ftp://h.test/", "http://", "http://[::1/", "nonsense"])
async def test_what_is_no_http_url_is_said(client: HttpClient, url: str) -> None:
    with pytest.raises(RunError) as caught:
        await get(client, url)
    assert caught.value.kind is ErrorKind.CONNECTION


async def test_a_proxy_is_used_unless_the_host_is_exempt(web: Web) -> None:
    web.answers(Answer("from the proxy"))
    proxies = {"http": web.url, "no": "exempt.test, .local"}
    async with HttpClient(user_agent="t", proxies=proxies) as client:
        received = await get(client, "http://upstream.test/x")
        assert received.body.whole() == b"from the proxy"
        assert web.seen[0].target == "http://upstream.test/x"
        with pytest.raises(RunError, match=r"cannot connect to http://exempt\.test"):
            await get(client, "http://exempt.test/")


async def test_a_proxy_that_refuses_is_named_without_its_password(web: Web) -> None:
    web.answers(Answer(raw=b"HTTP/1.1 407 Who are you\r\nContent-Length: 0\r\n\r\n"))
    proxy = web.url.replace("http://", "http://ann:s3cr3t-of-the-proxy@")
    async with HttpClient(user_agent="t", proxies={"https": proxy}) as client:
        with pytest.raises(RunError, match="the proxy answered 407 Who are you") as caught:
            await get(client, "https://upstream.test/x")
    assert web.seen[0].method == "CONNECT"
    assert "s3cr3t" not in f"{caught.value} {caught.value.detail}"


async def test_an_address_is_checked_before_a_proxy_gets_it(web: Web) -> None:
    async with HttpClient(user_agent="t", proxies={"http": web.url}) as client:
        with pytest.raises(RunError) as caught:
            await get(client, "http://169.254.169.254/latest")
    assert caught.value.kind is ErrorKind.BLOCKED_ADDRESS
    assert web.seen == []


@pytest.mark.parametrize("host", ["2130706433", "1.2.3", "0x7f000001"])
async def test_an_address_in_disguise_is_still_one(client: HttpClient, host: str) -> None:
    request = OutgoingRequest("GET", f"http://{host}:1/")
    with pytest.raises(RunError) as caught:
        await client.exchange(request, timeout_seconds=10, policy=AddressPolicy.PUBLIC)
    assert caught.value.kind in {ErrorKind.BLOCKED_ADDRESS, ErrorKind.CONNECTION}


async def test_a_header_that_is_no_unicode_is_not_sent_without_it(
    client: HttpClient, web: Web
) -> None:
    with pytest.raises(RunError, match="cannot be sent"):
        await get(client, web.url, headers={"X-Half": "\ud800"})
    assert web.seen == []
