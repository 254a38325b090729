"""Runs that are accepted and have not begun: recorded as running, and in a queue.

Each belongs to the process that accepted it. When that process is gone, those that can be resumed
belong to nobody until another one claims them.
"""

import sqlite3

from storage.database import Database

__all__ = ["RunQueue", "enqueue_run", "forget_queued", "is_queued", "release_of"]


class RunQueue:
    """The waiting runs of a home."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def claim(self, owner: str) -> list[str]:
        """Make the waiting runs of nobody those of this process; their ids, the oldest first."""
        return await self._database.write(lambda connection: _claim(connection, owner))

    async def begin(self, seq: int) -> None:
        """The run is executed from now on: it ends with its process."""
        await self._database.write(lambda connection: forget_queued(connection, seq))

    async def release(self, owner: str) -> None:
        """Leave the waiting runs of a process to the next one."""
        await self._database.write(lambda connection: release_of(connection, owner))


def enqueue_run(connection: sqlite3.Connection, seq: int, *, resumable: bool) -> None:
    """Put a run that was just recorded at the end of the queue."""
    connection.execute("INSERT INTO run_queue VALUES (?, ?)", (seq, int(resumable)))


def forget_queued(connection: sqlite3.Connection, seq: int) -> None:
    """Take a run out of the queue; one that is not there is fine."""
    connection.execute("DELETE FROM run_queue WHERE seq = ?", (seq,))


def is_queued(connection: sqlite3.Connection, seq: int) -> bool:
    """Whether a run is accepted and has not begun."""
    row = connection.execute("SELECT 1 FROM run_queue WHERE seq = ?", (seq,)).fetchone()
    return row is not None


def release_of(connection: sqlite3.Connection, owner: str) -> None:
    """See `RunQueue.release`."""
    connection.execute(
        "UPDATE runs SET owner = NULL WHERE owner = ? AND status = 'running' "
        "AND seq IN (SELECT seq FROM run_queue WHERE resumable)",
        (owner,),
    )


def _claim(connection: sqlite3.Connection, owner: str) -> list[str]:
    rows = connection.execute(
        "SELECT seq, run_id FROM run_queue JOIN runs USING (seq) "
        "WHERE owner IS NULL AND status = 'running' ORDER BY seq"
    ).fetchall()
    connection.executemany(
        "UPDATE runs SET owner = ? WHERE seq = ?", [(owner, seq) for seq, _ in rows]
    )
    return [run_id for _, run_id in rows]
