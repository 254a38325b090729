"""What commands print: data on stdout, everything for people beside it on stderr."""

import sys
from collections.abc import Sequence
from itertools import islice
from typing import Annotated, NoReturn

import typer

from tools.json_text import Json, JsonObject

__all__ = [
    "DONE",
    "FAILED",
    "HOME",
    "INTERRUPTED",
    "NOT_FOUND",
    "USAGE",
    "JsonFlag",
    "fail",
    "note",
    "print_json",
    "print_table",
    "say_done",
]

DONE = 0
#: The run failed or was aborted.
FAILED = 1
#: Usage, an invalid file, invalid inputs.
USAGE = 2
NOT_FOUND = 3
#: The home or its database.
HOME = 4
INTERRUPTED = 130

_PARTS_AT_ONCE = 10_000

JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")]


def print_json(value: Json) -> None:
    """A JSON document on stdout, indented for people who look."""
    import json

    # In pieces: the text of a large result is longer than the result.
    parts = json.JSONEncoder(indent=2, ensure_ascii=False).iterencode(value)
    while piece := "".join(islice(parts, _PARTS_AT_ONCE)):
        sys.stdout.write(piece.encode("utf-8", "replace").decode())
    sys.stdout.write("\n")


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table on stdout; in a pipe it is as wide as it needs to be."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    console = Console()
    if not console.is_terminal:
        console = Console(width=10_000)
    table = Table(*columns, box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for row in rows:
        table.add_row(*map(_plain, row))
    console.print(table)


def _plain(text: str) -> str:
    """Text of others: no markup and no control characters reach the terminal."""
    from rich.markup import escape

    return escape("".join(c if c.isprintable() else " " for c in text))


def note(text: str) -> None:
    """A line for the person, on stderr."""
    typer.echo(text, err=True)


def say_done(text: str, facts: JsonObject, as_json: bool) -> None:
    """What was done: a line for the person, or the facts as JSON."""
    if as_json:
        print_json(facts)
    else:
        note(text)


def fail(message: str, code: int) -> NoReturn:
    """Say what is wrong and end with this exit code."""
    typer.echo(f"callslip: {message}", err=True)
    raise typer.Exit(code)
