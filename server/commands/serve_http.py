"""`callslip serve --http`: REST and MCP over HTTP."""

import signal
from collections.abc import Mapping
from typing import Any

import anyio
import typer

from server.commands.output import HOME, INTERRUPTED, USAGE, fail, note
from server.commands.runner import loop_options, unwrapped
from server.settings import Settings

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_NO_KEY = (
    "there is no key, so nobody could call; do one of these:\n"
    "  callslip keys create NAME    makes a key and shows it once\n"
    "  CALLSLIP_API_KEY=…           is an admin key for this process\n"
    "  --no-auth                    asks for no key (loopback only)"
)


def serve_http(
    settings: Settings,
    narrowed: Mapping[str, Any],
    *,
    host: str,
    port: int,
    allowed_hosts: tuple[str, ...],
    needs_key: bool,
) -> None:
    """Serve until a signal; `narrowed` are the fields of a `Selection`, for `/mcp`."""
    if not needs_key and host not in _LOOPBACK:
        fail(
            f"--no-auth with --host {host} would let everyone call who can reach this machine; "
            f"valid with --no-auth: {', '.join(_LOOPBACK)}",
            USAGE,
        )
    from server.http_server import HttpOptions, NoKeyError, serve_http
    from server.mcp_surface.selection import Selection
    from storage.errors import StorageError

    if settings.allow_private is None:
        # Others may store tools here, and the machine's own network is not theirs.
        settings = settings.model_copy(update={"allow_private": False})
    options = HttpOptions(host, port, allowed_hosts, needs_key)
    try:
        ended_by = unwrapped(
            lambda: anyio.run(
                serve_http,
                settings,
                Selection(**narrowed),
                options,
                note,
                backend_options=loop_options(),
            )
        )
    except NoKeyError:
        fail(_NO_KEY, USAGE)
    except StorageError as error:
        fail(str(error), HOME)
    except OSError as error:
        fail(f"cannot listen on {host} port {port}: {error.strerror or error}", USAGE)
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None
    if ended_by is signal.SIGINT:
        raise typer.Exit(INTERRUPTED)
