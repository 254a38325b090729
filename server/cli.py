"""The `callslip` command.

Only what parsing needs is imported here: a host waits for `serve`.
"""

import sys
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["app", "main"]

app = typer.Typer(
    name="callslip",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="An MCP server for stored tools that keeps every run.",
)


@app.command()
def serve(
    log_file: Annotated[
        Path | None, typer.Option(help="Write the log here; it goes to stderr otherwise.")
    ] = None,
    log_level: Annotated[str, typer.Option(help="debug, info, warning or error.")] = "warning",
) -> None:
    """Serve the stored tools over MCP on standard input and output."""
    from server.commands.serve import serve as serve_command

    serve_command(log_file, log_level)


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
    from server.commands.backup import backup

    # TODO doctor
    # TODO hosts
    from server.commands.run import run
    from server.commands.runs import app as runs_app
    from server.commands.tools import app as tools_app

    app.command()(run)
    app.add_typer(tools_app, name="tools")
    app.add_typer(runs_app, name="runs")

    app.command()(backup)


def main() -> None:
    """Entry point of the console script."""
    # `serve` needs none of the others, and they import the whole program.
    if sys.argv[1:2] != ["serve"]:
        _add_commands()
    app()
