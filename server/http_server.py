"""The HTTP server: REST and MCP behind one gate, from its first connection to its last."""

import signal
import socket
import sys
from asyncio import TimerHandle, Transport
from collections.abc import AsyncIterator, Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from math import ceil
from typing import Any

import anyio
from anyio.abc import TaskStatus
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn import Config, Server
from uvicorn.protocols.http.h11_impl import H11Protocol

from server.app import open_service, warn_if_read_only
from server.automation import Automation
from server.callers import Authenticator, NotAllowedError
from server.collector import relax_collector
from server.mcp_surface.selection import Selection
from server.mcp_surface.streamable_http import McpOverHttp
from server.rest.answers import error_answer
from server.rest.app import OPEN_PATHS, rest_app
from server.rest.gate import Gate, Hosts
from server.service import Service
from server.settings import Settings

__all__ = ["HttpOptions", "HttpServer", "NoKeyError", "serve_http"]

_MCP_PATHS = ("/mcp", "/mcp/")
#: A connection that sends no whole head for so long is closed.
_HEAD_SECONDS = 20.0
#: How long a call over `/mcp` goes on when its client has closed its sending side. Such a client
#: cannot be told from one that has gone, and there going away cancels the call.
_STREAM_GRACE_SECONDS = 2.0
#: How long answers may take to go out when the server stops; runs have ended by then.
_GRACEFUL_SECONDS = 2


class NoKeyError(Exception):
    """Nobody could call: there is no key, and none is not asked for."""


@dataclass(frozen=True)
class HttpOptions:
    """Where and for whom to serve."""

    host: str = "127.0.0.1"
    port: int = 8484
    #: Further names under which the server may be called.
    allowed_hosts: tuple[str, ...] = ()
    needs_key: bool = True


class HttpServer:
    """REST and MCP over a service, on one port."""

    def __init__(self, service: Service, selection: Selection, options: HttpOptions) -> None:
        self._service = service
        self._options = options
        hosts = Hosts((options.host, *options.allowed_hosts))
        self._mcp = McpOverHttp(service, selection, hosts.names)
        self._rest = rest_app(service)
        authenticator = Authenticator(
            service.api_keys, service.settings.api_key, needs_key=options.needs_key
        )
        self._server = _Server(Gate(self._served, authenticator, hosts, OPEN_PATHS))

    async def serve(self, *, task_status: TaskStatus[str] = anyio.TASK_STATUS_IGNORED) -> None:
        """Serve until `stop`; the task has started, with its address, once it listens.

        Raises `NoKeyError`, `OSError` when the address cannot be listened on.
        """
        keys, settings = self._service.api_keys, self._service.settings
        if self._options.needs_key and settings.api_key is None and not await keys.has_any():
            raise NoKeyError
        with _listening(self._options) as listener:
            async with anyio.create_task_group() as group:
                await group.start(self._mcp.run)
                group.start_soon(self._service.serve_queue)
                group.start_soon(Automation(self._service).run)
                task_status.started(_address(self._options.host, listener))
                await self._server.serve(sockets=[listener])
                self._mcp.close()
                group.cancel_scope.cancel()

    async def stop(self) -> None:
        """Take no more requests, end the runs, and let the answers go out."""
        self._server.should_exit = True
        # Who waits for a run is told how it ended.
        await self._service.close()
        self._mcp.close()

    async def _served(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] not in _MCP_PATHS:
            await self._rest(scope, receive, send)
            return
        try:
            await self._mcp(scope, receive, send)
        except NotAllowedError as error:
            await error_answer(403, str(error), "forbidden")(scope, receive, send)


async def serve_http(
    settings: Settings,
    selection: Selection,
    options: HttpOptions,
    say: Callable[[str], None],
) -> signal.Signals | None:
    """Serve until a signal, which is returned; `say` gets the address once it is served.

    Raises `NoKeyError`, `OSError`, `storage.errors.HomeError`.
    """
    ended_by: list[signal.Signals] = []
    async with open_service(settings) as service, anyio.create_task_group() as group:
        warn_if_read_only(service)
        server = HttpServer(service, selection, options)
        with _signals() as signals:
            address = await group.start(server.serve)
            say(f"callslip listening on {address}")
            await service.warm()
            relax_collector()
            if signals is not None:
                async for one in signals:
                    ended_by.append(one)
                    await server.stop()
                    break
    return ended_by[0] if ended_by else None


@contextmanager
def _signals() -> Generator[AsyncIterator[signal.Signals] | None]:
    """The signals that end the server; on Windows uvicorn takes them."""
    if sys.platform == "win32":
        yield None
        return
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        yield signals


@contextmanager
def _listening(options: HttpOptions) -> Generator[socket.socket]:
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    with socket.create_server((options.host, options.port), family=family) as listener:
        yield listener


def _address(host: str, listener: socket.socket) -> str:
    port = listener.getsockname()[1]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class _Server(Server):
    def __init__(self, app: ASGIApp) -> None:
        super().__init__(
            Config(
                app,
                http=_Protocol,
                ws="none",
                lifespan="off",
                # Its lines hold whole addresses, and `?token=` in them.
                access_log=False,
                log_config=None,
                server_header=False,
                proxy_headers=False,
                # The pools of clients let go first, httpx's after 5 s: a request that meets our
                # close would fail.
                timeout_keep_alive=ceil(_HEAD_SECONDS),
                timeout_graceful_shutdown=_GRACEFUL_SECONDS,
            )
        )

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """Leave signals alone where `serve_http` takes them."""
        if sys.platform != "win32":
            yield
            return
        with super().capture_signals():
            yield


class _Protocol(H11Protocol):
    """Closes connections whose next request does not begin, and words what is no HTTP in JSON.

    A client that closes its sending side still gets the answer to what it has sent.
    """

    #: Ends the wait for a next request, or for the answer of a client that may have gone.
    _late: TimerHandle | None = None

    def connection_made(self, transport: Transport) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]: as in the class above
        super().connection_made(transport)
        # Head and body are two writes; without this the second waits 40 ms for the first. asyncio
        # does it for sockets that say their protocol, which ours do not.
        connection = transport.get_extra_info("socket")
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._wait_for_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def eof_received(self) -> bool:  # pyright: ignore[reportIncompatibleMethodOverride]: asyncio takes a bool, the class above gives None
        """Whether the connection stays open, for an answer that is under way."""
        cycle: Any = self._unanswered()
        if cycle is None:
            if self.conn.trailing_data[0]:
                self._refuse("the connection was closed before the head of the request was whole")
            return False
        if cycle.more_body:
            self._refuse("the connection was closed before the body of the request was whole")
            return False
        cycle.keep_alive = False
        if cycle.scope["path"] in _MCP_PATHS:
            self._end_after(_STREAM_GRACE_SECONDS, self.transport.abort)
        return True

    def handle_events(self) -> None:
        super().handle_events()
        if self._unanswered() is not None:
            self._stop_waiting()

    def on_response_complete(self) -> None:
        # First: the next request may be there already, and is begun by the line below.
        self._wait_for_head()
        super().on_response_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP in the shape of all errors; it has no route and no trace id."""
        self._refuse("this is not an HTTP request")

    def _refuse(self, message: str) -> None:
        cycle: Any = self._unanswered()
        if cycle is None or not cycle.response_started:
            answer = error_answer(400, message, "invalid_request")
            body = bytes(answer.body)
            head = (
                "HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\n"
                f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
            )
            self.transport.write(head.encode("ascii") + body)
        self.transport.close()
        if cycle is not None:
            # Until the connection is lost, nothing more may be said on it.
            cycle.disconnected = True
            cycle.message_event.set()

    def _unanswered(self) -> Any:
        """The request whose answer has not gone out, if there is one."""
        cycle: Any = self.cycle
        return None if cycle is None or cycle.response_complete else cycle

    def _wait_for_head(self) -> None:
        self._end_after(_HEAD_SECONDS, self.transport.close)

    def _end_after(self, seconds: float, end: Callable[[], None]) -> None:
        self._stop_waiting()
        self._late = self.loop.call_later(seconds, end)

    def _stop_waiting(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None
