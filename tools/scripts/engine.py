"""The JavaScript engine: evaluations in worker processes, within limits."""

import asyncio
import itertools
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import Literal, Self, cast

import anyio

from tools.body import Body
from tools.errors import ErrorKind, RunError
from tools.json_pieces import LARGE_BYTES, json_pieces, weighs_much
from tools.json_text import Json, encode_json
from tools.scripts import worker as frames
from tools.scripts.limits import DEFAULT_LIMITS, ScriptLimits
from tools.scripts.paths import NOT_SIMPLE, compile_path, names_on_path, read_path
from tools.scripts.pool import Slot, WorkerPool
from tools.scripts.process import Reply, Request, WallLimitError, WorkerDiedError
from tools.scripts.script import Script
from tools.scripts.value import ScriptValue, decode_script_json
from tools.threads import run_in_thread

__all__ = ["LogSink", "ScriptEngine", "ScriptSession"]

#: Called with the level (`log info warn error debug`) and the text of each line of `console`.
LogSink = Callable[[str, str], None]
Backend = Literal["auto", "quickjs", "mini_racer"]

_MAX_LOG_LINES = 200
# Contexts that no script of a tool runs in.
_CHECKS, _PATTERNS = 0, 1
# What one worker may have beside the heap of the script: Python, texts on their way, contexts.
_MEMORY_OVERHEAD = 2 << 30


class ScriptEngine:
    """The owner of the worker processes; `async with ScriptEngine() as engine`.

    Nothing is spawned before it is needed. Leaving the block ends all workers, within seconds and
    also when cancelled.
    """

    def __init__(
        self,
        workers: int = 2,
        limits: ScriptLimits = DEFAULT_LIMITS,
        *,
        backend: Backend = "auto",
    ) -> None:
        self.limits = limits
        self._pool = WorkerPool(
            workers, backend, max(limits.memory_bytes, 2 << 30) + _MEMORY_OVERHEAD
        )
        self._numbers = itertools.count(_PATTERNS + 1)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with anyio.CancelScope(shield=True):
            await self._pool.close()

    @property
    def worker_pids(self) -> tuple[int, ...]:
        """The process ids of the workers that run."""
        return tuple(worker.pid for worker in self._pool.workers if worker.pid is not None)

    async def warm(self) -> None:
        """Spawns a worker if none runs; start it in a task group to have one before it is needed.

        A worker that cannot be started is left for the first evaluation to report.
        """
        if self._pool.workers:
            return
        slot = await self._pool.acquire("warm")
        try:
            with suppress(WorkerDiedError):
                await self._pool.worker_of(slot)
        finally:
            self._pool.release(slot)

    def session(self, on_log: LogSink | None = None) -> "ScriptSession":
        """Make a session: evaluations that share one JavaScript global no other session sees.

        The global is fresh again after a limit error, and may be at any time (a worker was
        replaced, another one was idle): scripts cannot keep anything in it.
        """
        return ScriptSession(self, next(self._numbers), on_log)

    async def check(self, script: Script) -> str | None:
        """None, or the message of the syntax error. The script is compiled, not run."""
        return (await self.check_all((script,)))[0]

    async def check_all(self, scripts: Sequence[Script]) -> list[str | None]:
        """`check` of many scripts in one round trip.

        Raises `RunError` (script_limit) where compiling takes longer than the limits allow.
        """
        messages: list[str | None] = [None] * len(scripts)
        asked: list[int] = []
        payload: list[Json] = []
        for position, script in enumerate(scripts):
            source = _source_bytes(script)
            if len(source) > self.limits.source_bytes:
                messages[position] = _source_message(len(source), self.limits)
            elif compile_path(script) is None:
                asked.append(position)
                payload.append([script.form.value, source.decode()])
        if asked:
            answers = await self._trusted(frames.OP_CHECK, _CHECKS, payload)
            for position, answer in zip(asked, cast("list[str | None]", answers), strict=True):
                messages[position] = answer
        return messages

    async def check_pattern(self, pattern: str) -> str | None:
        """None, or why `new RegExp(pattern, "i")` throws."""
        try:
            await self.match_patterns((pattern,), ())
        except RunError as error:
            if error.kind is ErrorKind.SCRIPT_ERROR:
                return error.message.partition(": ")[2]
            raise
        return None

    async def match_patterns(
        self, patterns: Sequence[str], texts: Sequence[str]
    ) -> list[list[bool]]:
        """Per text, which of the patterns (`new RegExp(pattern, "i")`, unanchored) match it.

        Raises `RunError` naming the pattern: script_error where it is no regular expression,
        script_limit where it takes too long.
        """
        rows = await self._trusted(
            frames.OP_MATCH,
            _PATTERNS,
            {"patterns": list(patterns), "texts": list(texts)},
            patterns=patterns,
        )
        return [[mark == "1" for mark in row] for row in cast("list[str]", rows)]

    async def replace_matches(
        self, texts: Sequence[str], pattern: str, replacement: str
    ) -> list[str]:
        """Each text with every match (flags "gi") replaced as `String.replace` does it.

        Raises `RunError` like `match_patterns`.
        """
        result = await self._trusted(
            frames.OP_REPLACE,
            _PATTERNS,
            {"texts": list(texts), "pattern": pattern, "replacement": replacement},
            patterns=(pattern,),
        )
        return cast("list[str]", result)

    async def _trusted(
        self, op: int, context: int, payload: Json, *, patterns: Sequence[str] = ()
    ) -> Json:
        """Run code of ours on the data of a tool; its answer as JSON."""
        data = encode_json(payload)
        limits = self.limits.for_payload(len(data))
        try:
            _, reply = await self.run(
                limits,
                None,
                context,
                op=op,
                form=0,
                context=context,
                source=b"",
                payload=Body(data),
            )
        except RunError as error:
            raise _named(error, patterns, None) from None
        if reply.status == frames.VALUE:
            return decode_script_json(reply.body)
        error = _failure(reply, limits)
        raise _named(error, patterns, int(reply.text) if reply.text else None)

    async def run(
        self,
        limits: ScriptLimits,
        preferred: Slot | None,
        owner: int,
        *,
        op: int,
        form: int,
        context: int,
        source: bytes,
        payload: Body,
    ) -> tuple[Slot, Reply]:
        """One request in the next free worker: its slot, and the reply whatever its status."""
        pool = self._pool
        slot = await pool.acquire(owner, preferred)
        try:
            try:
                worker = await pool.worker_of(slot)
            except WorkerDiedError as error:
                raise RunError(
                    ErrorKind.INTERNAL,
                    f"The JavaScript worker could not be started: {error}",
                    hint="Install callslip with its dependencies (quickjs-ng or mini-racer).",
                ) from error
            reply = await worker.request(
                Request(
                    op,
                    form,
                    context,
                    limits.cpu_seconds,
                    limits.wall_seconds,
                    limits.memory_bytes,
                    limits.output_bytes,
                    source,
                    payload,
                )
            )
            if reply.retire:
                pool.retire(slot)
            return slot, reply
        except WallLimitError:
            raise _limit_error("wall", limits) from None
        except WorkerDiedError:
            raise _limit_error("died", limits) from None
        finally:
            pool.release(slot)

    def drop(self, context: int, slots: set[Slot]) -> None:
        """Frees the contexts of a session."""
        for slot in slots:
            if slot.worker is not None:
                slot.worker.post(Request(frames.OP_DROP, 0, context, 0, 0, 0, 0, b"", Body()))


class ScriptSession:
    """Evaluations with one JavaScript global; an async context manager."""

    def __init__(self, engine: ScriptEngine, number: int, on_log: LogSink | None) -> None:
        self._engine = engine
        self._number = number
        self._on_log = on_log
        self._logged = 0
        self._names_read: frozenset[str] = frozenset()
        self._home: Slot | None = None
        self._slots: set[Slot] = set()
        #: Engine time used so far, milliseconds.
        self.script_ms = 0.0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._engine.drop(self._number, self._slots)
        self._slots.clear()

    async def evaluate(
        self,
        script: Script,
        *arguments: Json,
        limits: ScriptLimits | None = None,
        watched: Collection[str] = (),
    ) -> ScriptValue:
        """Evaluate a script for these arguments (its own copy of them).

        Of the `watched` names of a single argument, an object, the value says which were read. A
        simple property path is read at once, without the engine and without a copy. Raises
        `RunError`: script_error with the message of what was thrown (`Invalid transform code: …`
        for a syntax error), script_limit where a limit was reached.
        """
        path = compile_path(script)
        if path is not None and arguments:
            value = read_path(path, arguments[0])
            if value is not NOT_SIMPLE:
                return ScriptValue.read(value, names_on_path(path, watched))
        if watched:
            arguments = (*arguments, list(watched))
        return await self._evaluate(script, arguments, limits or self._engine.limits)

    async def _evaluate(
        self, script: Script, arguments: tuple[Json, ...], limits: ScriptLimits
    ) -> ScriptValue:
        source = _source_bytes(script)
        if len(source) > limits.source_bytes:
            raise RunError(ErrorKind.SCRIPT_LIMIT, _source_message(len(source), limits))
        payload = await _encode_arguments(arguments)
        limits = limits.for_payload(len(payload))
        started = asyncio.get_running_loop().time()
        try:
            slot, reply = await self._engine.run(
                limits,
                self._home,
                self._number,
                op=frames.OP_EVALUATE,
                form=script.form.value,
                context=self._number,
                source=source,
                payload=payload,
            )
        except RunError:
            self.script_ms += (asyncio.get_running_loop().time() - started) * 1000
            raise
        self._home = slot
        self._slots.add(slot)
        self.script_ms += reply.elapsed_ms
        if reply.logs:
            self._log(reply.logs)
        if reply.names_read:
            # A script may keep what it read in the global, for later ones of the session.
            self._names_read |= frozenset(cast("list[str]", decode_script_json(reply.names_read)))
        if reply.status == frames.VALUE:
            if len(reply.body) > LARGE_BYTES:
                value = await run_in_thread(partial(decode_script_json, reply.body))
                return ScriptValue(value=value, names_read=self._names_read)
            return ScriptValue(json_text=reply.body.whole(), names_read=self._names_read)
        if reply.status == frames.UNDEFINED:
            return ScriptValue.undefined()
        if reply.status == frames.TEXT:
            text = decode_script_json(reply.text)
            return ScriptValue(
                json_text=b"null", text=text, value=None, names_read=self._names_read
            )
        raise _failure(reply, limits)

    def _log(self, logs: bytes) -> None:
        for level, message in cast("list[list[str]]", decode_script_json(logs)):
            if self._on_log is not None and self._logged < _MAX_LOG_LINES:
                self._logged += 1
                self._on_log(level, message)


def _source_bytes(script: Script) -> bytes:
    # A lone surrogate cannot be written in UTF-8.
    return script.source.encode("utf-8", "replace")


def _source_message(size: int, limits: ScriptLimits) -> str:
    return (
        f"The script has {size:,} bytes; at most {limits.source_bytes:,} are allowed. "
        "Move data out of it into the inputs"
    )


async def _encode_arguments(arguments: tuple[Json, ...]) -> Body:
    values = list(arguments)
    try:
        if weighs_much(values):
            return await run_in_thread(lambda: Body(*json_pieces(values)))
        return Body(encode_json(values))
    except ValueError:
        raise RunError(
            ErrorKind.SCRIPT_LIMIT,
            "The data given to the script is nested too deeply (about a thousand levels)",
            hint="Select a part of it first.",
        ) from None


def _failure(reply: Reply, limits: ScriptLimits) -> RunError:
    if reply.status == frames.LIMIT:
        return _limit_error(reply.body.whole().decode(), limits)
    message = cast(str, decode_script_json(reply.body))
    if reply.status == frames.SYNTAX:
        message = f"Invalid transform code: {message}"
    return RunError(ErrorKind.SCRIPT_ERROR, message)


def _limit_error(limit: str, limits: ScriptLimits) -> RunError:
    mib = limits.memory_bytes / (1 << 20)
    message, hint = {
        "cpu": (
            f"The script used more than its CPU limit of {limits.cpu_seconds:g} s",
            "Work on less data, and look for a loop that does not end.",
        ),
        "wall": (
            f"The script took longer than its time limit of {limits.wall_seconds:g} s",
            "Work on less data, and look for a loop that does not end.",
        ),
        "memory": (
            f"The script needs more than its memory limit of {mib:,.0f} MiB",
            "Work on less data, or build smaller values.",
        ),
        "stack": (
            "The script calls or nests too deeply (stack limit of 768 KiB)",
            "Look for a recursion that does not end; use a loop.",
        ),
        "output": (
            f"The result of the script is larger than its limit of {limits.output_bytes:,} bytes",
            "Return fewer fields or rows.",
        ),
        "died": (
            "The JavaScript worker ended while it evaluated the script, most likely for want of "
            f"memory (limit {mib:,.0f} MiB)",
            "Work on less data, or build smaller values.",
        ),
    }[limit]
    return RunError(ErrorKind.SCRIPT_LIMIT, f"{message}. {hint}", hint=hint)


def _named(error: RunError, patterns: Sequence[str], position: int | None) -> RunError:
    """Put the pattern into the message of the error."""
    if position is None and len(patterns) == 1:
        position = 0
    if position is not None and 0 <= position < len(patterns):
        if error.kind is ErrorKind.SCRIPT_LIMIT:
            return RunError(
                error.kind,
                f"Pattern /{patterns[position]}/: it takes too long on a text it is held against "
                "(CPU limit)",
                hint="repetitions within repetitions, such as (a+)+, take time that doubles with "
                "each character; write the pattern without",
            )
        return RunError(
            error.kind,
            f"Pattern /{patterns[position]}/: "
            + error.message.removeprefix("Invalid transform code: "),
            hint=error.detail.hint,
        )
    if patterns:
        return error.prefixed(f"One of the patterns {', '.join(f'/{p}/' for p in patterns)}: ")
    return error
