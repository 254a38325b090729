"""Prism with a document, and a tap before it that keeps what was asked and answered."""

import http.client
import os
import re
import socket
import subprocess
import tempfile
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

__all__ = ["Exchange", "Prism", "Tap"]

_START_SECONDS = 180.0
_ANSWER_SECONDS = 30.0
_END_SECONDS = 5.0
_NOT_RELAYED = {"connection", "transfer-encoding", "content-length", "keep-alive"}
#: Prism sends this where a document has it as an example, and compresses nothing.
_NOT_RELAYED |= {"content-encoding"}


@dataclass(frozen=True)
class Exchange:
    """A request as it arrived, and prism's answer; without status prism ended over it."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    status: int | None
    answer: str

    @property
    def is_taken(self) -> bool:
        """Whether prism found the request valid, whatever it answered.

        Examples of a document may break its own schemas, be missing, or link to the real API.
        """
        if self.status is None:
            return False
        if "stoplight.io/prism/errors#" not in self.answer:
            return True
        places = re.findall(r'"location":\["(\w+)"', self.answer)
        only_answer = bool(places) and set(places) == {"response"}
        return "NO_RESPONSE" in self.answer or "NO_COMPLEX_OBJECT" in self.answer or only_answer

    @property
    def objection(self) -> str:
        """Why prism did not take it."""
        if self.status is None:
            return f"prism ended: {self.answer}"
        reasons = re.findall(r'"message":"((?:[^"\\]|\\.)*)"', self.answer)
        return "; ".join(dict.fromkeys(reasons))[:200] or self.answer[:200]


class Prism:
    """Prism on a free port of loopback."""

    def __init__(self, document: Path, folder: Path) -> None:
        self.port = _free_port()
        self._command = [str(folder / "node_modules" / ".bin" / "prism"), "mock", "--errors"]
        self._command += ["-h", "127.0.0.1", "-p", str(self.port), str(document)]
        self._process: subprocess.Popen[bytes] | None = None
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `stop`

    def start(self) -> None:
        """Start it and wait until anything answers at the port."""
        self._process = subprocess.Popen(
            self._command,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            env={**os.environ, "NODE_OPTIONS": "--max-old-space-size=1024"},
        )
        ends = time.monotonic() + _START_SECONDS
        while time.monotonic() < ends and self._process.poll() is None:
            try:
                with urlopen(f"http://127.0.0.1:{self.port}", timeout=2):
                    return
            except HTTPError:
                return
            except OSError:
                time.sleep(0.2)
        self._log.seek(0)
        raise SystemExit(f"prism does not answer: {self._log.read()[-2000:]!r}")

    def last_error(self) -> str:
        """The error that it ended with, once it has."""
        if self._process is not None:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=_END_SECONDS)
        self._log.seek(0)
        errors = re.findall(r"^\w*Error: .*$", self._log.read().decode(), re.MULTILINE)
        return errors[-1][:200] if errors else "it did not say why"

    def restart_if_gone(self) -> None:
        """Start it again when it has ended; one that ends gets a few seconds."""
        if self._process is not None:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=_END_SECONDS)
                self.start()

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
        self._log.close()


class Tap:
    """A server that hands each request on to prism as it is."""

    def __init__(self, prism: Prism) -> None:
        self.exchanges: list[Exchange] = []
        exchanges = self.exchanges

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _hand_on(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length") or 0))
                headers = {name.lower(): value for name, value in self.headers.items()}
                seen = (self.command, self.path, headers, body)
                connection = http.client.HTTPConnection(
                    "127.0.0.1", prism.port, timeout=_ANSWER_SECONDS
                )
                try:
                    connection.request(self.command, self.path, body or None, headers)
                    answer = connection.getresponse()
                    content = answer.read()
                except (OSError, http.client.HTTPException):
                    exchanges.append(Exchange(*seen, None, prism.last_error()))
                    self.send_error(502)
                    return
                finally:
                    connection.close()
                exchanges.append(Exchange(*seen, answer.status, content.decode("utf-8", "replace")))
                self.send_response(answer.status)
                for name, value in answer.getheaders():
                    if name.lower() not in _NOT_RELAYED:
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(content)

            do_GET = do_PUT = do_POST = do_DELETE = do_OPTIONS = do_HEAD = do_PATCH = _hand_on  # noqa: N815 - the names of the base class

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        """End it."""
        self._server.shutdown()
        self._server.server_close()


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]
