"""The `callslip` command.

Only what parsing needs is imported here: a host waits for `serve`.
"""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from server.collector import relax_collector

__all__ = ["app", "run_command_line"]

app = typer.Typer(
    name="callslip",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="An MCP server for stored tools that keeps every run.",
)


class HistoryTools(StrEnum):
    """Which history tools a host is shown."""

    NONE = "none"
    READ = "read"
    ALL = "all"


@app.command()
def serve(
    folder: Annotated[
        list[str] | None,
        typer.Option(metavar="PATH", help="Only tools in this folder; repeatable."),
    ] = None,
    tool: Annotated[
        list[str] | None, typer.Option(metavar="ID", help="Only this tool; repeatable.")
    ] = None,
    read_only: Annotated[
        bool, typer.Option("--read-only", help="Only tools that write nothing upstream.")
    ] = False,
    max_listed_tools: Annotated[
        int | None,
        typer.Option(min=0, help="List at most this many; search_tools and run_tool reach all."),
    ] = None,
    history_tools: Annotated[
        HistoryTools, typer.Option(help="Tools over the history: none, those that read, or all.")
    ] = HistoryTools.ALL,
    authoring: Annotated[
        bool, typer.Option("--authoring", help="Tools with which a model writes stored tools.")
    ] = False,
    confirm_writes: Annotated[
        bool, typer.Option("--confirm-writes", help="Ask the person before a run that writes.")
    ] = False,
    http: Annotated[
        bool, typer.Option("--http", help="Serve REST, and MCP at /mcp, over HTTP.")
    ] = False,
    host: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS", help="With --http: where to listen; 127.0.0.1 when absent."
        ),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="With --http: 8484 when absent; 0 takes a free one."),
    ] = None,
    allowed_host: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="With --http: a further name the server is called by; repeatable.",
        ),
    ] = None,
    no_auth: Annotated[
        bool, typer.Option("--no-auth", help="With --http, on loopback: ask for no key.")
    ] = False,
    log_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the log here; it goes to stderr otherwise."),
    ] = None,
    log_level: Annotated[
        str, typer.Option(metavar="LEVEL", help="debug, info, warning or error.")
    ] = "warning",
) -> None:
    """Serve the stored tools over MCP on standard input and output, or over HTTP."""
    from server.commands.serve import serve as serve_command

    if not http and (host or port is not None or allowed_host or no_auth):
        raise typer.BadParameter("--host, --port, --allowed-host and --no-auth belong to --http")
    serve_command(
        log_file,
        log_level,
        {
            "folders": tuple(folder or ()),
            "tool_ids": tuple(tool or ()),
            "read_only": read_only,
            "max_listed_tools": max_listed_tools,
            "history_tools": history_tools.value,
            "confirm_writes": confirm_writes,
            "authoring": authoring,
        },
        {
            "host": host or "127.0.0.1",
            "port": 8484 if port is None else port,
            "allowed_hosts": tuple(allowed_host or ()),
            "needs_key": not no_auth,
        }
        if http
        else None,
    )


def _version(wanted: bool) -> None:
    if wanted:
        from server.version import VERSION

        typer.echo(f"callslip {VERSION}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """An MCP server for stored tools that keeps every run."""


def _add_commands() -> None:
    from server.commands.audit import audit
    from server.commands.backup import backup
    from server.commands.doctor import doctor
    from server.commands.frozen import run_frozen
    from server.commands.hooks import app as hooks_app
    from server.commands.hosts import install, uninstall
    from server.commands.importing import app as import_app
    from server.commands.importing_requests import COMMANDS
    from server.commands.keys import app as keys_app
    from server.commands.run import run
    from server.commands.runs import app as runs_app
    from server.commands.runs_again import freeze, rerun
    from server.commands.schedules import app as schedules_app
    from server.commands.systems import app as systems_app
    from server.commands.tools import app as tools_app

    app.command()(run)
    app.command("test")(run_frozen)
    runs_app.command()(rerun)
    runs_app.command()(freeze)
    app.add_typer(tools_app, name="tools")
    app.add_typer(runs_app, name="runs")
    app.add_typer(systems_app, name="systems")
    app.add_typer(schedules_app, name="schedules")
    app.add_typer(hooks_app, name="hooks")
    app.add_typer(keys_app, name="keys")
    for name, command in COMMANDS.items():
        import_app.command(name)(command)
    app.add_typer(import_app, name="import")
    app.command()(install)
    app.command()(uninstall)
    app.command()(audit)
    app.command()(doctor)
    app.command()(backup)


def run_command_line() -> None:
    """Do what the arguments of the process say, and exit."""
    # `serve` needs none of the others, and they import the whole program.
    if sys.argv[1:2] != ["serve"]:
        _add_commands()
        relax_collector()
    app()
