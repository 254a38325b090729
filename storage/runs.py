"""The record of runs: written before the first request goes out, finished exactly once."""

import logging
import sqlite3
from collections.abc import Sequence
from functools import partial

import anyio

from storage.blobs import BlobReader, Packed, PackedDocument, place_elsewhere
from storage.database import Database
from storage.errors import RunExistsError, StorageError
from storage.objects import ObjectStore
from storage.retention import (
    BATCH_RUNS,
    Pruned,
    RetentionPolicy,
    all_runs,
    delete_runs,
    expired,
    give_back_space,
    home_bytes,
    oldest,
    unused_space_pages,
    would_prune,
)
from storage.run_lists import RunFilter, RunPage, list_runs
from storage.run_reads import (
    ListMark,
    read_file,
    read_list_mark,
    read_run,
    read_status,
)
from storage.run_record import NewRun, StoredRun
from storage.run_writes import FinishedDetails, finish_run, interrupt_runs, start_run
from storage.search import drop_forgotten_words, index_waiting
from storage.statistics import ToolStatistics, tool_statistics
from tools.decoders import StoredFile
from tools.json_text import encode_json
from tools.run import RunOutcome, RunStatus, handled_bytes, now_ms
from tools.threads import run_in_thread

__all__ = ["RunStore"]

_log = logging.getLogger(__name__)

#: Results up to this size are packed where they are; a thread would cost more than it gains.
_PACKED_INLINE_BYTES = 64 * 1024
_INDEXED_AT_ONCE = 100
#: The words of pruned runs are dropped at once when there are so many of those that are left.
_GAPS_WORTH_REWRITING = 0.1


class RunStore:
    """The runs of a home."""

    def __init__(self, database: Database, objects: ObjectStore) -> None:
        self._database = database
        self._objects = objects

    async def start(self, run: NewRun) -> int:
        """Record that a run begins, or waits in the queue; its sequence number.

        Raises `RunExistsError` when the id is taken, `KeyTakenError` when the idempotency key is
        for this tool.
        """
        inputs = PackedDocument.of(encode_json(run.inputs))
        try:
            return await self._database.write(
                lambda connection: start_run(connection, run, inputs),
                is_brief=inputs.packed is None,
            )
        except RunExistsError:
            raise RunExistsError(f"run {run.run_id} is recorded already") from None

    async def finish(self, seq: int, outcome: RunOutcome) -> bool:
        """Record how a run ended. False when it had ended before: the first end stays."""
        if max(outcome.data_bytes or 0, handled_bytes(outcome.steps)) < _PACKED_INLINE_BYTES:
            details = FinishedDetails.of(outcome)
        else:
            # Compressing lets other threads run.
            details = await run_in_thread(partial(FinishedDetails.of, outcome))
        placed: list[Packed] = []
        try:
            await place_elsewhere(details.payloads(), self._objects, placed)
        except StorageError as error:
            # The database has room for it, if not the best one.
            _log.warning("a large result is kept in the database: %s", error)
        try:
            is_first, unused = await self._database.write(
                lambda connection: finish_run(connection, seq, outcome, details, placed),
                is_brief=details.is_brief,
            )
        except StorageError:
            await self._delete_objects([str(one.uri) for one in placed])
            raise
        await self._delete_objects(unused)
        return is_first

    async def get(
        self, run_id: str, *, with_steps: bool = True, with_large: bool = False
    ) -> StoredRun | None:
        """A run with its documents, or None.

        `with_large` also gets what lies outside the database; otherwise a large result is absent,
        and `result_uri` says where it is.
        """
        reader = BlobReader(self._objects)
        found = await self._get(run_id, reader, with_steps, with_large)
        if with_large and reader.wanted:
            await reader.fetch()
            found = await self._get(run_id, reader, with_steps, with_large)
        return found

    async def _get(
        self, run_id: str, reader: BlobReader, with_steps: bool, with_large: bool
    ) -> StoredRun | None:
        def read(connection: sqlite3.Connection) -> StoredRun | None:
            return read_run(connection, run_id, reader, with_steps, with_large)

        return await self._database.read(read)

    async def get_file(self, run_id: str, key: str) -> StoredFile | None:
        """A file that a step of the run received, by the key its record shows."""
        reader = BlobReader(self._objects)

        def read(connection: sqlite3.Connection) -> StoredFile | None:
            return read_file(connection, run_id, key, reader)

        try:
            return await self._database.read(read)
        except StorageError:
            if not reader.wanted:
                raise
        await reader.fetch()
        return await self._database.read(read)

    async def status(self, run_id: str) -> RunStatus | None:
        return await self._database.read(lambda connection: read_status(connection, run_id))

    async def list_mark(self, owner: str) -> ListMark:
        """What tells the process `owner` whether others changed the list of runs."""
        return await self._database.read(lambda connection: read_list_mark(connection, owner))

    async def owners(self) -> list[str]:
        """Processes that have running runs."""
        return await self._database.read(
            lambda connection: [
                row[0]
                for row in connection.execute(
                    "SELECT DISTINCT owner FROM runs WHERE status = 'running' AND owner IS NOT NULL"
                )
            ]
        )

    async def interrupt(self, owner: str) -> int:
        """End the running runs of a process that is gone; how many there were."""
        return await self._database.write(lambda connection: interrupt_runs(connection, owner))

    async def request_cancel(self, run_id: str, reason: str) -> None:
        """Leave a wish for the process that owns the run."""
        await self._database.write(
            lambda connection: connection.execute(
                "INSERT OR REPLACE INTO cancel_requests VALUES (?, ?, ?)",
                (run_id, now_ms(), reason),
            )
        )

    async def cancel_requests(self) -> dict[str, str]:
        """Open wishes: run id to reason."""
        return await self._database.read(
            lambda connection: dict(
                connection.execute("SELECT run_id, reason FROM cancel_requests").fetchall()
            )
        )

    async def list(
        self, wanted: RunFilter, *, limit: int, offset: int = 0, before_seq: int | None = None
    ) -> RunPage:
        """Runs newest first, from `offset`, or those older than `before_seq`.

        Raises `storage.search.SearchError`.
        """
        is_indexed = not self._database.is_read_only
        return await self._database.read(
            lambda connection: list_runs(
                connection, wanted, limit, offset, before_seq, is_indexed=is_indexed
            )
        )

    async def index_waiting(self) -> bool:
        """Make some ended runs searchable; whether more wait to be made so here."""
        if self._database.is_read_only:
            return False
        indexed = await self._database.write(
            lambda connection: index_waiting(connection, _INDEXED_AT_ONCE)
        )
        return indexed == _INDEXED_AT_ONCE

    async def has_waiting(self) -> bool:
        """Whether ended runs wait to be searchable."""
        return await self._database.read(
            lambda connection: bool(
                connection.execute("SELECT EXISTS (SELECT 1 FROM search_queue)").fetchone()[0]
            )
        )

    async def statistics(self, tool_id: str | None = None) -> Sequence[ToolStatistics]:
        """Counts and durations by tool, the most used first."""
        return await self._database.read(lambda connection: tool_statistics(connection, tool_id))

    async def pin(self, run_id: str, *, pinned: bool) -> bool:
        """Keep a run whatever its age, or no longer. False when there is no such run."""
        return await self._database.write(
            lambda connection: (
                connection.execute(
                    "UPDATE runs SET pinned = ? WHERE run_id = ?", (int(pinned), run_id)
                ).rowcount
                > 0
            )
        )

    async def delete(self, run_id: str) -> bool:
        """Take a run that has ended out of the history. False when there is none."""

        def work(connection: sqlite3.Connection) -> tuple[int, list[str]]:
            row = connection.execute("SELECT seq FROM runs WHERE run_id = ?", (run_id,)).fetchone()
            return delete_runs(connection, [row[0]] if row is not None else [])

        deleted, addresses = await self._database.write(work)
        await self._delete_objects(addresses)
        if deleted:
            await self._drop_forgotten_words()
        return deleted > 0

    async def prune(self, policy: RetentionPolicy) -> Pruned:
        """Take out what the policy does not keep, and give the space back.

        In small transactions: other writers wait for milliseconds. Raises `StorageError`.
        """
        self._database.require_writable()
        before = await self._database.read(home_bytes)
        runs = 0
        while seqs := await self._database.read(
            lambda connection: expired(connection, policy, now_ms(), BATCH_RUNS)
        ):
            runs += await self._delete_batch(seqs)
        size = await self._database.read(home_bytes)
        while policy.max_bytes is not None and size > policy.max_bytes:
            seqs = await self._database.read(lambda connection: oldest(connection, BATCH_RUNS))
            if not seqs:
                break
            runs += await self._delete_batch(seqs, down_to_bytes=policy.max_bytes)
            size = await self._database.read(home_bytes)
        if runs:
            left = await self._database.read(lambda connection: all_runs(connection))
            # Rewriting the index takes as long as it is large, however few its gaps are.
            if runs >= left * _GAPS_WORTH_REWRITING:
                await self._drop_forgotten_words()
            await self._give_back_space()
        return Pruned(runs, before, await self._database.read(home_bytes))

    async def would_prune(self, policy: RetentionPolicy) -> Pruned:
        """What `prune` would take out; its bytes are an estimate from the average run."""
        return await self._database.read(lambda connection: would_prune(connection, policy))

    async def sweep_objects(self, older_than_seconds: float) -> int:
        """Remove files of large results that no run has, left by a process that was killed."""
        files = await anyio.to_thread.run_sync(self._objects.files)
        latest = now_ms() / 1000 - older_than_seconds
        old = [uri for uri, written_at in files if written_at < latest]
        known = await self._database.read(
            lambda connection: {
                row[0] for row in connection.execute("SELECT uri FROM blobs WHERE uri IS NOT NULL")
            }
        )
        left = [uri for uri in old if uri not in known]
        await self._delete_objects(left)
        return len(left)

    async def announce_once(self, name: str) -> bool:
        """Whether this is said for the first time in this home; it is said then."""
        return await self._database.write(
            lambda connection: (
                connection.execute(
                    "INSERT OR IGNORE INTO announcements VALUES (?, ?)", (name, now_ms())
                ).rowcount
                > 0
            )
        )

    async def _delete_batch(self, seqs: Sequence[int], down_to_bytes: int | None = None) -> int:
        deleted, addresses = await self._database.write(
            lambda connection: delete_runs(connection, seqs, down_to_bytes=down_to_bytes)
        )
        await self._delete_objects(addresses)
        return deleted

    async def _delete_objects(self, addresses: Sequence[str]) -> None:
        for address in addresses:
            try:
                await self._objects.delete(address)
            except StorageError as error:
                # Nothing refers to it any more; it only takes room.
                _log.warning("%s", error)

    async def _drop_forgotten_words(self) -> None:
        begins = True
        while await self._database.write(
            lambda connection, begins=begins: drop_forgotten_words(connection, begins=begins)
        ):
            begins = False

    async def _give_back_space(self) -> None:
        left = await self._database.read(unused_space_pages)
        while left:
            now_left = await self._database.write(give_back_space)
            if now_left >= left:
                return
            left = now_left
