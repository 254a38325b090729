"""A few workers, started when they are needed, shared fairly."""

import asyncio
from collections import deque
from collections.abc import Hashable

from tools.scripts.process import WorkerDiedError, WorkerProcess

__all__ = ["Slot", "WorkerPool"]

_CLOSE_SECONDS = 5.0


class Slot:
    """A place for one worker. Who has acquired it has it alone."""

    def __init__(self) -> None:
        self.worker: WorkerProcess | None = None

    @property
    def is_warm(self) -> bool:
        return self.worker is not None and self.worker.alive


class WorkerPool:
    """Hands out slots: first come, first served, in turns among those who wait several times."""

    def __init__(self, size: int, backend: str, memory_cap: int) -> None:
        if size < 1:
            raise ValueError("a pool needs at least one worker")
        self._backend = backend
        self._memory_cap = memory_cap
        self._idle = [Slot() for _ in range(size)]
        self._slots = tuple(self._idle)
        # Per owner, so that one with a thousand evaluations does not hold up the others.
        self._waiting: dict[Hashable, deque[asyncio.Future[Slot]]] = {}
        self._started: set[WorkerProcess] = set()
        self._closed = False

    @property
    def workers(self) -> tuple[WorkerProcess, ...]:
        """The workers that run."""
        return tuple(
            slot.worker for slot in self._slots if slot.worker is not None and slot.worker.alive
        )

    async def acquire(self, owner: Hashable, preferred: Slot | None = None) -> Slot:
        """Wait for a slot: `preferred` if it is idle, else one with a worker, else any."""
        if self._closed:
            raise RuntimeError("the script engine is closed")
        idle = self._idle
        if idle:
            if preferred is None or preferred not in idle:
                preferred = next((slot for slot in idle if slot.is_warm), idle[0])
            idle.remove(preferred)
            return preferred
        turn: asyncio.Future[Slot] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(owner, deque()).append(turn)
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self.release(turn.result())
            raise

    def release(self, slot: Slot) -> None:
        """Give a slot to who waits longest, or back."""
        waiting = self._waiting
        while waiting:
            owner = next(iter(waiting))
            turns = waiting.pop(owner)
            turn = turns.popleft()
            if turns:
                waiting[owner] = turns
            if not turn.done():
                turn.set_result(slot)
                return
        self._idle.append(slot)

    async def worker_of(self, slot: Slot) -> WorkerProcess:
        """Find or spawn the worker of an acquired slot. Raises `WorkerDiedError`."""
        if slot.worker is not None and slot.worker.alive:
            return slot.worker
        slot.worker = None
        try:
            worker = await WorkerProcess.start(self._backend, self._memory_cap, self._keep)
        except OSError as error:
            raise WorkerDiedError(str(error)) from error
        slot.worker = worker
        return worker

    def retire(self, slot: Slot) -> None:
        """End the worker of an acquired slot; the next evaluation gets a new one."""
        if slot.worker is not None:
            slot.worker.kill()
            slot.worker = None

    async def close(self) -> None:
        """End all workers and all waiting; return when they are gone, after seconds at most."""
        self._closed = True
        for turns in self._waiting.values():
            for turn in turns:
                if not turn.done():
                    turn.set_exception(RuntimeError("the script engine is closed"))
        self._waiting.clear()
        for worker in self._started:
            worker.kill()
        if self._started:
            await asyncio.wait([worker.closed for worker in self._started], timeout=_CLOSE_SECONDS)

    def _keep(self, worker: WorkerProcess) -> None:
        """Remembers a worker from its spawn to its end, whatever becomes of who started it."""
        self._started.add(worker)
        worker.closed.add_done_callback(lambda _: self._started.discard(worker))
