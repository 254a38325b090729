"""A system may have its own CA and its own client certificate."""

import asyncio
import ssl
from collections.abc import AsyncGenerator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trustme

from tools.addresses import AddressPolicy
from tools.errors import ErrorKind, RunError
from tools.http import HttpClient, NotSentError, OutgoingRequest
from tools.retries import RetryPolicy
from tools.system import TlsFiles


class Authority:
    """A CA of our own, and the files a client of it has."""

    def __init__(self, folder: Path) -> None:
        # Its types leave out those of the libraries it can work with.
        self.ca: Any = trustme.CA()
        certificate = self.ca.issue_cert("client@test")
        self.ca.cert_pem.write_to_path(folder / "ca.pem")
        certificate.private_key_pem.write_to_path(folder / "key.pem")
        certificate.cert_chain_pems[0].write_to_path(folder / "cert.pem")
        self.trusted = TlsFiles(ca=str(folder / "ca.pem"))
        self.identified = TlsFiles(
            ca=str(folder / "ca.pem"), cert=str(folder / "cert.pem"), key=str(folder / "key.pem")
        )


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
async def url(authority: Authority) -> AsyncGenerator[str]:
    """A server that wants a client certificate of this CA."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.ca.issue_cert("localhost").configure_cert(context)
    authority.ca.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
    async with server:
        yield f"https://localhost:{server.sockets[0].getsockname()[1]}/"


async def ask(url: str, tls: TlsFiles | None) -> bytes:
    async with HttpClient(user_agent="t") as client:
        request = replace(OutgoingRequest("GET", url), tls=tls)
        received = await client.exchange(request, timeout_seconds=10, policy=AddressPolicy.PRIVATE)
    return received.body.whole()


async def test_a_client_certificate_and_a_ca_of_the_system_are_used(
    url: str, authority: Authority
) -> None:
    assert await ask(url, authority.identified) == b"ok"


async def test_without_the_certificate_the_server_hangs_up(url: str, authority: Authority) -> None:
    with pytest.raises(RunError) as caught:
        await ask(url, authority.trusted)
    assert caught.value.kind is ErrorKind.CONNECTION


async def test_a_ca_that_nobody_trusts_is_refused(url: str) -> None:
    with pytest.raises(RunError, match="certificate") as caught:
        await ask(url, None)
    assert caught.value.kind is ErrorKind.CONNECTION
    assert "tls.ca" in (caught.value.detail.hint or "")


async def test_a_certificate_that_is_not_accepted_is_not_tried_again(url: str) -> None:
    with pytest.raises(RunError) as caught:
        await ask(url, None)
    assert not isinstance(caught.value, NotSentError)
    assert not RetryPolicy("GET", 3, 0.0, idempotent=True).retries_error(caught.value)


async def test_files_that_cannot_be_used_are_said(url: str, tmp_path: Path) -> None:
    (tmp_path / "not.pem").write_text("no")
    for tls in (TlsFiles(ca="/no/such/file"), TlsFiles(ca=str(tmp_path / "not.pem"))):
        with pytest.raises(RunError, match="TLS files cannot be used") as caught:
            await ask(url, tls)
        assert caught.value.kind is ErrorKind.CREDENTIAL
