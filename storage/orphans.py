"""Runs of processes that are gone: how they end, and how they are shown where nobody can end them.

A connection that only reads gets views of its own in place of five tables. In them such runs have
ended, as `storage.run_writes.interrupt_runs` ends them where the home can be written. No index
knows these statuses: a list by one looks at run after run until it has enough.
"""

import sqlite3
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

from tools.errors import ErrorDetail, ErrorKind
from tools.json_text import encode_json_text
from tools.run import RunStatus

__all__ = [
    "INTERRUPTED",
    "interrupted_detail",
    "show_orphans_as_ended",
    "with_orphans_ended",
]

T = TypeVar("T")

INTERRUPTED = "interrupted: the server stopped during the run"

_IS_ORPHAN = (
    "status = 'running' AND owner IN (SELECT owner FROM temp.gone_owners) "
    "AND seq NOT IN (SELECT seq FROM main.run_queue WHERE resumable)"
)


def interrupted_detail() -> str:
    """What such a run keeps of its error, as JSON."""
    return encode_json_text(ErrorDetail(kind=ErrorKind.INTERRUPTED, retryable=True).wire())


def show_orphans_as_ended(connection: sqlite3.Connection) -> None:
    """Make the views of a connection; `with_orphans_ended` says whose runs have ended."""
    connection.execute("CREATE TEMP TABLE gone_owners (owner TEXT PRIMARY KEY)")
    # When they ended nobody knows.
    _show(connection, "runs", _IS_ORPHAN, status=RunStatus.ABORTED, error=INTERRUPTED)
    # The run is found by its number, so that a damaged index hides no record.
    is_orphans = f"(SELECT {_IS_ORPHAN} FROM main.runs WHERE runs.seq = run_details.seq)"  # noqa: S608 - constants
    _show(connection, "run_details", is_orphans, error_detail=interrupted_detail())
    connection.execute(
        "CREATE TEMP VIEW run_queue AS SELECT * FROM main.run_queue WHERE NOT EXISTS "  # noqa: S608 - constants
        f"(SELECT 1 FROM main.runs WHERE runs.seq = run_queue.seq AND {_IS_ORPHAN})"
    )
    # They are searched as other runs are that have ended and were not indexed.
    connection.execute(
        "CREATE TEMP VIEW search_queue AS SELECT seq FROM main.search_queue UNION ALL "  # noqa: S608 - constants
        f"SELECT seq FROM main.runs WHERE {_IS_ORPHAN}"
    )
    connection.execute(
        f"""CREATE TEMP VIEW run_counts AS
            SELECT tool_id, status, request_source, sum(runs) AS runs FROM (
              SELECT tool_id, status, request_source, runs FROM main.run_counts
              UNION ALL
              SELECT tool_id, 'running', request_source, -1 FROM main.runs WHERE {_IS_ORPHAN}
              UNION ALL
              SELECT tool_id, 'aborted', request_source, 1 FROM main.runs WHERE {_IS_ORPHAN})
            GROUP BY tool_id, status, request_source"""  # noqa: S608 - constants
    )


def with_orphans_ended(
    connection: sqlite3.Connection,
    is_alive: Callable[[str], bool],
    work: Callable[[sqlite3.Connection], T],
) -> T:
    """Run a function that reads, within a snapshot that was taken after processes were looked for.

    In an older one a run would have been cut off that its process ended before it was gone.
    """
    while gone := [owner for owner in _owners(connection) if not is_alive(owner)]:
        connection.execute("ROLLBACK")
        connection.executemany(
            "INSERT INTO temp.gone_owners VALUES (?)", [(owner,) for owner in gone]
        )
        connection.execute("BEGIN")
    return work(connection)


def _owners(connection: sqlite3.Connection) -> list[str]:
    """The processes with running runs that are not known to be gone."""
    # Where this cannot be read, more may be.
    with suppress(sqlite3.DatabaseError):
        rows = connection.execute(
            "SELECT DISTINCT owner FROM main.runs WHERE status = 'running' "
            "AND owner IS NOT NULL AND owner NOT IN (SELECT owner FROM temp.gone_owners)"
        )
        return [row[0] for row in rows]
    return []


def _show(connection: sqlite3.Connection, table: str, condition: str, **values: str) -> None:
    """A view in place of a table, in which some columns have other values where it is so."""
    cursor = connection.execute(f"SELECT * FROM main.{table} LIMIT 0")  # noqa: S608 - a constant
    columns = [
        f"CASE WHEN {condition} THEN {_quoted(values[name])} ELSE {name} END AS {name}"
        if name in values
        else name
        for name, *_ in cursor.description
    ]
    connection.execute(
        f"CREATE TEMP VIEW {table} AS SELECT {', '.join(columns)} FROM main.{table}"  # noqa: S608 - constants
    )


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
