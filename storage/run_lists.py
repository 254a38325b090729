"""Lists of runs, newest first, and their totals: by index and by counter."""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from storage.run_record import COLUMNS, StoredRun, run_of_row
from storage.search import hold_waiting, match_expression
from storage.snapshots import load_snapshot
from tools.json_text import JsonObject
from tools.run import RequestSource, RunStatus

__all__ = ["MOST_COUNTED", "RunFilter", "RunPage", "list_runs"]

#: SQLite counts no further.
_MOST = 2**62
#: The total of a search says no more than this.
MOST_COUNTED = 10_000


@dataclass(frozen=True)
class RunFilter:
    """Which runs; absent fields do not narrow."""

    tool_id: str | None = None
    status: RunStatus | None = None
    request_sources: tuple[RequestSource, ...] = ()
    #: Words that inputs, error or result hold; in double quotes as a phrase.
    search: str | None = None
    #: Milliseconds since the epoch: the runs from the first one that started later.
    started_after: int | None = None


@dataclass(frozen=True)
class RunPage:
    """Runs, newest first; `total` counts all that match, of a search at most `MOST_COUNTED`."""

    runs: list[StoredRun]
    total: int
    has_more: bool


def list_runs(
    connection: sqlite3.Connection,
    wanted: RunFilter,
    limit: int,
    offset: int,
    before_seq: int | None,
    *,
    is_indexed: bool = True,
) -> RunPage:
    """See `RunStore.list`. Without `is_indexed` a search looks at runs that wait for it, too."""
    offset = min(offset, _MOST)
    holds_waiting = bool(wanted.search) and not is_indexed and hold_waiting(connection)
    try:
        query = _Query(connection, wanted, holds_waiting)
        rows, total = query.newest(limit + 1, offset, before_seq), query.total()
    except sqlite3.DatabaseError as error:
        if not getattr(error, "sqlite_errorname", "").startswith("SQLITE_CORRUPT"):
            raise
        # Indexes and counters are made of the runs: without them it only takes longer.
        query = _Query(connection, wanted, holds_waiting, reads_indexes=False)
        rows, total = query.newest(limit + 1, offset, before_seq), query.total()
    executions = _executions(connection, [row[0] for row in rows[:limit]])
    runs: list[StoredRun] = []
    snapshots: dict[int, JsonObject] = {}
    for row in rows[:limit]:
        snapshot_id = row[3]
        try:
            if snapshot_id not in snapshots:
                snapshots[snapshot_id] = load_snapshot(connection, snapshot_id)
            options = executions.get(row[0])
            runs.append(run_of_row(row, [], tool=snapshots[snapshot_id], options=options))
        except sqlite3.DatabaseError as error:
            # One bad row never breaks a list.
            runs.append(run_of_row(row, [f"tool: {error}"]))
    return RunPage(runs, total, len(rows) > limit)


def _executions(connection: sqlite3.Connection, seqs: Sequence[int]) -> dict[int, JsonObject]:
    """The options that say how a run was executed, of those that did not just run.

    The statement below has constants and marks for values.
    """
    try:
        rows = connection.execute(
            "SELECT seq, options ->> '$.execution' FROM run_details WHERE seq IN "  # noqa: S608 - see above
            f"({', '.join('?' * len(seqs))}) AND instr(options, '\"execution\"')",
            seqs,
        ).fetchall()
    except sqlite3.DatabaseError:
        # One bad document never breaks a list.
        return {}
    return {seq: {"execution": how} for seq, how in rows if how not in (None, "live")}


class _Query:
    """A filter as SQL. Every text below is a constant; values are bound."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        wanted: RunFilter,
        holds_waiting: bool,
        *,
        reads_indexes: bool = True,
    ) -> None:
        self._connection = connection
        self._wanted = wanted
        self._reads_indexes = reads_indexes
        self._runs = "runs" if reads_indexes else "runs NOT INDEXED"
        self._matches: list[str] = []
        self._found = "run_search (?)"
        if wanted.search:
            self._matches.append(match_expression(wanted.search))
        if holds_waiting:
            self._matches *= 2
            self._found = (
                "(SELECT rowid FROM run_search (?) UNION ALL SELECT rowid FROM waiting_search (?)) "
                "AS run_search"
            )
        self._from_seq = None
        if wanted.started_after is not None:
            # A clock that was set back does not hide the runs it stamped.
            row = connection.execute(
                f"SELECT seq FROM {self._runs} WHERE started_at > ? "  # noqa: S608 - see above
                "ORDER BY started_at, seq LIMIT 1",
                (wanted.started_after,),
            ).fetchone()
            self._from_seq = row[0] if row is not None else _MOST

    def newest(self, limit: int, offset: int, before_seq: int | None) -> list[Sequence[Any]]:
        """Rows in the order of `COLUMN_NAMES`."""
        before_seq = None if before_seq is None else min(before_seq, _MOST)
        if self._matches:
            conditions, parameters = self._conditions(self._wanted.request_sources, before_seq)
            return self._connection.execute(
                f"SELECT {COLUMNS} FROM {self._found} "  # noqa: S608 - see above
                "CROSS JOIN runs ON runs.seq = run_search.rowid "
                f"WHERE {conditions} ORDER BY run_search.rowid DESC LIMIT ? OFFSET ?",
                (*self._matches, *parameters, limit, offset),
            ).fetchall()
        # One branch a source, each read in index order up to the limit: `IN (…)` would sort all.
        branches: list[str] = []
        bound: list[Any] = []
        for source in self._wanted.request_sources or (None,):
            sources = () if source is None else (source,)
            conditions, parameters = self._conditions(sources, before_seq)
            branches.append(
                f"SELECT * FROM (SELECT {COLUMNS} FROM {self._runs} WHERE {conditions} "  # noqa: S608 - see above
                "ORDER BY seq DESC LIMIT ?)"
            )
            bound += [*parameters, limit + offset]
        statement = f"{' UNION ALL '.join(branches)} ORDER BY seq DESC LIMIT ? OFFSET ?"
        return self._connection.execute(statement, (*bound, limit, offset)).fetchall()

    def total(self) -> int:
        if self._matches:
            conditions, parameters = self._conditions(self._wanted.request_sources, None)
            # Every indexed run is there; without another condition its row need not be seen.
            join = "CROSS JOIN runs ON runs.seq = run_search.rowid " if conditions != "1" else ""
            statement = (
                f"SELECT count(*) FROM (SELECT 1 FROM {self._found} {join}"  # noqa: S608 - see above
                f"WHERE {conditions} LIMIT {MOST_COUNTED})"
            )
            return self._connection.execute(statement, (*self._matches, *parameters)).fetchone()[0]
        if self._from_seq is not None or not self._reads_indexes:
            conditions, parameters = self._conditions(self._wanted.request_sources, None)
            statement = f"SELECT count(*) FROM {self._runs} WHERE {conditions}"  # noqa: S608 - see above
            return self._connection.execute(statement, parameters).fetchone()[0]
        conditions, parameters = self._conditions(self._wanted.request_sources, None)
        statement = f"SELECT coalesce(sum(runs), 0) FROM run_counts AS runs WHERE {conditions}"  # noqa: S608 - see above
        return self._connection.execute(statement, parameters).fetchone()[0]

    def _conditions(
        self, sources: Sequence[RequestSource], before_seq: int | None
    ) -> tuple[str, list[Any]]:
        conditions = ["1"]
        parameters: list[Any] = []
        if self._wanted.tool_id is not None:
            conditions.append("runs.tool_id = ?")
            parameters.append(self._wanted.tool_id)
        if (status := self._wanted.status) is not None:
            # A constant, because the indexes of a status are partial.
            conditions.append(f"runs.status = '{RunStatus(status)}'")
            if status is not RunStatus.RUNNING:
                conditions.append("runs.status <> 'running'")
        if sources:
            conditions.append(f"runs.request_source IN ({', '.join('?' * len(sources))})")
            parameters.extend(sources)
        if self._from_seq is not None:
            conditions.append("runs.seq >= ?")
            parameters.append(self._from_seq)
        if before_seq is not None:
            conditions.append("runs.seq < ?")
            parameters.append(before_seq)
        return " AND ".join(conditions), parameters
