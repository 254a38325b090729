"""`callslip serve`: MCP on stdio, or REST and MCP over HTTP."""

import logging
import sys
from pathlib import Path
from typing import Any

import anyio
import typer

from server.commands.output import HOME, INTERRUPTED, USAGE, fail
from server.commands.runner import loop_options, read_settings, unwrapped
from server.settings import Settings
from tools.faults import trace_of

#: Their lines about what they do hold urls and messages, with the credentials in them.
_TALKATIVE = ("aiohttp", "httpcore", "httpx", "mcp")
LEVELS = ("debug", "info", "warning", "error")


class _Format(logging.Formatter):
    """Tracebacks without the messages of their exceptions, which may quote what a run saw."""

    def formatException(self, ei: Any) -> str:  # noqa: N802 - the name is logging's
        return trace_of(ei[1])


def serve(
    log_file: Path | None,
    log_level: str,
    narrowed: dict[str, Any],
    http: dict[str, Any] | None = None,
) -> None:
    """Serve until the end of input, or with `http` until a signal; exit 4 without a usable home.

    `narrowed` are the fields of a `Selection`, `http` those of `HttpOptions`.
    """
    settings = _begin(log_file, log_level)
    if http is not None:
        from server.commands.serve_http import serve_http

        serve_http(settings, narrowed, **http)
        return
    from server.mcp_surface.selection import Selection
    from server.mcp_surface.stdio import serve_stdio
    from storage.errors import StorageError

    try:
        unwrapped(
            lambda: anyio.run(
                serve_stdio, settings, Selection(**narrowed), backend_options=loop_options()
            )
        )
    except StorageError as error:
        fail(str(error), HOME)
    except KeyboardInterrupt:
        raise typer.Exit(INTERRUPTED) from None


def _begin(log_file: Path | None, log_level: str) -> Settings:
    """Read the settings and begin the log, or exit 2."""
    if log_level not in LEVELS:
        fail(f"--log-level {log_level}; valid: {', '.join(LEVELS)}", USAGE)
    settings = read_settings()
    try:
        handler: logging.Handler = (
            logging.StreamHandler(sys.stderr) if log_file is None else logging.FileHandler(log_file)
        )
    except OSError as error:
        fail(f"--log-file {log_file}: {error.strerror}", USAGE)
    handler.setFormatter(_Format("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=log_level.upper(), handlers=[handler])
    for library in _TALKATIVE:
        logging.getLogger(library).setLevel(max(logging.WARNING, logging.getLogger().level))
    return settings
