"""Servers that others wrote, started as programs of their own."""

import socket
import subprocess
import sys
import time
from collections.abc import Generator, Sequence
from contextlib import closing, contextmanager

import pytest

_START_SECONDS = 60.0


@contextmanager
def program(arguments: Sequence[str], port: int) -> Generator[str]:
    """A program that listens on `port`: its address, once it does."""
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_until_listening(process, port)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)


def _wait_until_listening(process: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, "the program ended"
        with closing(socket.socket()) as connection:
            connection.settimeout(0.2)
            if connection.connect_ex(("127.0.0.1", port)) == 0:
                return
            # `connect_ex` answers at once when nobody listens; the select waits a little.
            connection.close()
        _pause()
    raise TimeoutError(f"nothing listens on port {port}")


def _pause() -> None:
    import select

    select.select([], [], [], 0.05)


def free_port() -> int:
    with closing(socket.socket()) as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@pytest.fixture(scope="package")
def httpbin() -> Generator[str]:
    port = free_port()
    with program(["-m", "flask", "--app", "httpbin", "run", "-p", str(port)], port) as url:
        yield url


@pytest.fixture(scope="package")
def oidc_provider() -> Generator[str]:
    port = free_port()
    with program(["-m", "oidc_provider_mock", "-p", str(port)], port) as url:
        yield url


@pytest.fixture(scope="package")
def aws() -> Generator[str]:
    port = free_port()
    with program(["-m", "moto.server", "-p", str(port)], port) as url:
        yield url
