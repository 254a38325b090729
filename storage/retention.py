"""How long runs stay: what is too old, what is too much, and how a run is taken out."""

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from storage.search import forget
from storage.snapshots import drop_unused_snapshots
from tools.run import RunStatus, now_ms

__all__ = [
    "BATCH_RUNS",
    "Pruned",
    "RetentionPolicy",
    "all_runs",
    "delete_runs",
    "expired",
    "give_back_space",
    "home_bytes",
    "oldest",
    "unused_space_pages",
    "would_prune",
]

#: More in one transaction would keep the writer from others for too long.
BATCH_RUNS = 500
_BATCH_PAGES = 2_000
_DAY_MS = 24 * 60 * 60 * 1000


@dataclass(frozen=True)
class RetentionPolicy:
    """Pinned and running runs always stay.

    `max_age_ms` by final status: None keeps runs of that status whatever their age. `max_bytes` is
    for the database and the large results together; when they are more, the oldest runs go.
    """

    max_age_ms: Mapping[RunStatus, int | None] = field(
        default_factory=dict[RunStatus, "int | None"]
    )
    max_bytes: int | None = None

    @property
    def keeps_all(self) -> bool:
        """Whether nothing is ever too old or too much."""
        return self.max_bytes is None and not any(self.max_age_ms.values())

    def in_words(self) -> str:
        """For people: `success 90 days, failed 90 days, aborted 90 days, 5 GB in all`."""
        ages = [
            f"{status} {age / _DAY_MS:g} days" if age else f"{status} whatever its age"
            for status, age in self.max_age_ms.items()
        ]
        size = f"{self.max_bytes / 1024**3:g} GB in all" if self.max_bytes else "any size"
        return ", ".join([*ages, size])


@dataclass(frozen=True)
class Pruned:
    """What pruning took out, or would: runs, and bytes of the home before and after."""

    runs: int
    bytes_before: int
    bytes_after: int


def expired(
    connection: sqlite3.Connection, policy: RetentionPolicy, now: int, limit: int
) -> list[int]:
    """Runs that are older than the policy allows, the oldest first."""
    branches: list[str] = []
    parameters: list[int | str] = []
    for status, age in policy.max_age_ms.items():
        if age is not None:
            branches.append("(status = ? AND started_at < ?)")
            parameters += [str(status), now - age]
    if not branches:
        return []
    newest = max(now - age for age in policy.max_age_ms.values() if age is not None)
    rows = connection.execute(
        f"SELECT seq FROM runs WHERE started_at < ? AND ({' OR '.join(branches)}) "  # noqa: S608 - constants
        "AND status <> 'running' AND pinned = 0 ORDER BY started_at LIMIT ?",
        (newest, *parameters, limit),
    )
    return [row[0] for row in rows]


def oldest(connection: sqlite3.Connection, limit: int) -> list[int]:
    """The runs that go first when there is too much."""
    rows = connection.execute(
        "SELECT seq FROM runs WHERE pinned = 0 AND status <> 'running' ORDER BY seq LIMIT ?",
        (limit,),
    )
    return [row[0] for row in rows]


def home_bytes(connection: sqlite3.Connection) -> int:
    """What the history takes: used pages of the database, and payloads outside it."""
    return _database_bytes(connection) + _bytes_elsewhere(connection)


def _database_bytes(connection: sqlite3.Connection) -> int:
    pages = _pragma(connection, "page_count") - _pragma(connection, "freelist_count")
    return pages * _pragma(connection, "page_size")


def _bytes_elsewhere(connection: sqlite3.Connection) -> int:
    return connection.execute(
        "SELECT coalesce(sum(stored_bytes), 0) FROM blobs WHERE uri IS NOT NULL"
    ).fetchone()[0]


def delete_runs(
    connection: sqlite3.Connection, seqs: Sequence[int], *, down_to_bytes: int | None = None
) -> tuple[int, list[str]]:
    """Take runs that have ended out: how many there were, and the addresses nobody needs now.

    With `down_to_bytes` one after the other until the history takes no more than that.
    """
    deleted = 0
    addresses: list[str] = []
    elsewhere = _bytes_elsewhere(connection)
    for seq in seqs:
        if down_to_bytes is not None and _database_bytes(connection) + elsewhere <= down_to_bytes:
            break
        row = connection.execute(
            "SELECT tool_id, status, request_source FROM runs "
            "WHERE seq = ? AND status <> 'running'",
            (seq,),
        ).fetchone()
        if row is None:
            continue
        forget(connection, seq)
        for uri, stored_bytes in _drop_payloads(connection, seq):
            addresses.append(uri)
            elsewhere -= stored_bytes
        connection.execute("DELETE FROM run_details WHERE seq = ?", (seq,))
        connection.execute("DELETE FROM runs WHERE seq = ?", (seq,))
        connection.execute(
            "UPDATE run_counts SET runs = runs - 1 "
            "WHERE tool_id = ? AND status = ? AND request_source = ?",
            row,
        )
        deleted += 1
    connection.execute("DELETE FROM run_counts WHERE runs = 0")
    if deleted:
        drop_unused_snapshots(connection)
        connection.execute(
            "UPDATE revisions SET number = number + 1 WHERE subject = 'deleted runs'"
        )
    return deleted, addresses


def _drop_payloads(connection: sqlite3.Connection, seq: int) -> list[tuple[str, int]]:
    """The addresses that nobody needs now, and how many bytes are there."""
    blob_ids = [
        row[0] for row in connection.execute("SELECT blob_id FROM blob_uses WHERE seq = ?", (seq,))
    ]
    connection.execute("DELETE FROM blob_uses WHERE seq = ?", (seq,))
    elsewhere: list[tuple[str, int]] = []
    for blob_id in blob_ids:
        rows = connection.execute(
            "DELETE FROM blobs WHERE blob_id = ? "
            "AND NOT EXISTS (SELECT 1 FROM blob_uses WHERE blob_id = ?) "
            "RETURNING uri, stored_bytes",
            (blob_id, blob_id),
        ).fetchall()
        elsewhere += [(uri, stored_bytes) for uri, stored_bytes in rows if uri is not None]
    return elsewhere


def give_back_space(connection: sqlite3.Connection) -> int:
    """Give some of the freed pages back to the file system; how many remain."""
    connection.execute(f"PRAGMA incremental_vacuum({_BATCH_PAGES})").fetchall()
    return unused_space_pages(connection)


def unused_space_pages(connection: sqlite3.Connection) -> int:
    """Pages of the file that hold nothing."""
    return _pragma(connection, "freelist_count")


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return connection.execute(f"PRAGMA {name}").fetchone()[0]


def would_prune(connection: sqlite3.Connection, policy: RetentionPolicy) -> Pruned:
    """What the policy would take out; its bytes are an estimate from the average run."""
    before = home_bytes(connection)
    there = all_runs(connection)
    average = before / there if there else 0.0
    runs = len(expired(connection, policy, now_ms(), there))
    after = before - round(runs * average)
    if policy.max_bytes is not None and after > policy.max_bytes and average:
        too_many = -(-(after - policy.max_bytes) // average)
        more = min(int(too_many), max(0, len(oldest(connection, there)) - runs))
        runs += more
        after -= round(more * average)
    return Pruned(runs, before, max(after, 0))


def all_runs(connection: sqlite3.Connection) -> int:
    """How many runs there are, by the counters."""
    return connection.execute("SELECT coalesce(sum(runs), 0) FROM run_counts").fetchone()[0]
