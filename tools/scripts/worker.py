"""The worker process: evaluates scripts for the engine over its standard input and output.

Started as `python -I worker.py <backend> <memory cap>`, it imports nothing of the project, so that
it is up in tens of milliseconds. One request frame in, one reply frame out (none for `DROP`):

  request   op u8, form u8, context u64, CPU limit f64 (s), wall limit f64 (s), memory limit u64,
            output limit u64 (bytes), source length u32, payload length u64; source; payload
  reply     status u8, retire u8, elapsed f64 (ms), lengths of body u64, text u32, logs u32,
            names read u32; body; text; logs; names read

All texts are UTF-8. The process that reads the replies kills this one when the wall limit has
passed; a thread here does the same a little later, in case that process is gone.
"""

import importlib
import json
import os
import struct
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, NoReturn, Protocol

OP_EVALUATE, OP_CHECK, OP_MATCH, OP_REPLACE, OP_DROP = range(5)
UNDEFINED, VALUE, TEXT, ERROR, SYNTAX, LIMIT, PENDING, READY, BROKEN = range(9)

REQUEST = struct.Struct(">BBQddQQIQ")
REPLY = struct.Struct(">BBdQIII")

# 8 MB on every system: the defaults of musl, macOS and Windows are smaller.
_THREAD_STACK_BYTES = 8 << 20
_SCRIPT_STACK_BYTES = 768 * 1024
_MAX_CONTEXTS = 32
_RETIRE_AFTER_EVALUATIONS = 10_000
_RETIRE_ABOVE_BYTES = 1 << 30
_WATCHDOG_GRACE_SECONDS = 5.0

# What each file of the prelude defines; compiled in a context when a script first names it.
_LAZY_SECTIONS = {
    "encoding.js": ["TextEncoder", "TextDecoder", "Buffer", "atob", "btoa"],
    "url.js": ["URL", "URLSearchParams"],
    "clone.js": ["structuredClone"],
    "crypto.js": ["crypto"],
    "intl.js": ["Intl"],
}


class LimitError(Exception):
    """The script was stopped; the message is one of cpu, memory, stack."""


class Context(Protocol):
    """One fresh JavaScript global with the functions of boot.js."""

    def call(self, function: int, *arguments: str | int) -> Any:
        """Call function number `function` of boot.js within the limits of `begin`.

        Raises `LimitError`; the context is of no use then.
        """
        ...

    def begin(self, cpu_seconds: float, memory_bytes: int) -> None:
        """Set the limits of the calls up to the next `begin`."""
        ...

    def run_jobs(self) -> None:
        """Run what promises have queued, until something settled or nothing is left."""
        ...


# Positions in the list that boot.js returns.
_FUNCTIONS = range(10)
_EVALUATE, _CHECK, _MATCH, _REPLACE, _SETTLED, _TEXT, _STATE, _LOGS, _PATTERN, _NAMES = _FUNCTIONS


class QuickJSContext:
    """A context of quickjs-ng."""

    def __init__(self, engine: Any, boot: str, sections: list[str]) -> None:
        context = self._context = engine.Context()
        context.set_max_stack_size(_SCRIPT_STACK_BYTES)
        functions = context.eval(boot)(sections[0], os.urandom(32).hex(), *sections[1:])
        pick = context.eval("(list, position) => list[position]")
        self._functions = [pick(functions, position) for position in _FUNCTIONS]
        self._memory = -1
        self._deadline = 0.0

    def begin(self, cpu_seconds: float, memory_bytes: int) -> None:
        if memory_bytes != self._memory:
            self._memory = memory_bytes
            self._context.set_memory_limit(memory_bytes)
        # The engine counts anew for each call; the deadline holds for all of them together.
        self._deadline = time.process_time() + cpu_seconds
        self._context.set_time_limit(cpu_seconds)

    def call(self, function: int, *arguments: str | int) -> Any:
        try:
            return self._functions[function](*arguments)
        except Exception as error:
            raise LimitError(_limit_of(str(error))) from None

    def run_jobs(self) -> None:
        context, state = self._context, self._functions[_STATE]
        try:
            while state() & 15 == PENDING:
                remaining = self._deadline - time.process_time()
                if remaining <= 0:
                    raise LimitError("cpu")
                context.set_time_limit(remaining)
                if not context.execute_pending_job():
                    return
        except LimitError:
            raise
        except Exception as error:
            raise LimitError(_limit_of(str(error))) from None


class MiniRacerContext:
    """A context of V8, for the systems that quickjs-ng has no package for."""

    def __init__(self, engine: Any, boot: str, sections: list[str]) -> None:
        self._dumps = json.dumps
        self._racer: Any = engine.MiniRacer()
        texts = ",".join(
            json.dumps(text) for text in (sections[0], os.urandom(32).hex(), *sections[1:])
        )
        self._handle = f"$callslip{os.urandom(8).hex()}"
        self._racer.eval(
            f"(() => {{ const functions = {boot}({texts});"
            f"Object.defineProperty(globalThis, {json.dumps(self._handle)},"
            "{ value: (position, ...values) => functions[position](...values) }) })()"
        )
        self._deadline = 0.0
        self._memory = 0

    def begin(self, cpu_seconds: float, memory_bytes: int) -> None:
        self._deadline = time.monotonic() + cpu_seconds
        self._memory = memory_bytes

    def call(self, function: int, *arguments: str | int) -> Any:
        values = "".join(f",{self._dumps(argument)}" for argument in arguments)
        remaining = max(self._deadline - time.monotonic(), 0.01)
        try:
            return self._racer.eval(
                f"{self._handle}({function}{values})",
                timeout_sec=remaining,
                max_memory=self._memory,
            )
        except Exception as error:
            raise LimitError(_limit_of(f"{type(error).__name__} {error}")) from None

    def run_jobs(self) -> None:
        """V8 runs them at the end of each call."""


def _own_peak_bytes(otherwise: int) -> int:
    """The most memory that this program had, where the system says so."""
    try:
        with open("/proc/self/status", encoding="ascii") as status:
            for line in status:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        pass
    return otherwise


def _limit_of(message: str) -> str:
    text = message.lower()
    if "interrupted" in text or "timeout" in text or "terminat" in text:
        return "cpu"
    if "call stack" in text or "stack overflow" in text:
        return "stack"
    # An engine without memory cannot make its error either: quickjs then says "null".
    return "memory"


class Worker:
    """Read requests and answer them, one at a time."""

    def __init__(self) -> None:
        self._in = os.fdopen(0, "rb", buffering=1 << 16)
        self._out = os.fdopen(os.dup(1), "wb", buffering=1 << 16)
        # Whatever an engine prints must not end up between the frames.
        os.dup2(2, 1)
        self._make_context: Callable[[], Context]
        self._contexts: dict[int, Context] = {}
        self._spare: Context | None = None
        self._evaluations = 0
        self.deadline: float | None = None

    def serve(self, backend: str) -> None:
        """Answer requests until the input ends."""
        try:
            self._make_context = _context_factory(backend)
            self._spare = self._make_context()
        except Exception as error:
            message = f"{type(error).__name__}: {error}".encode()
            self._reply(BROKEN, True, 0.0, message, b"", b"", b"")
            return
        self._reply(READY, False, 0.0, b"", b"", b"", b"")
        while True:
            (op, form, number, cpu, wall, memory, output, source_size, payload_size) = (
                REQUEST.unpack(self._read(REQUEST.size))
            )
            source = self._read(source_size) if source_size else b""
            payload = self._read(payload_size).decode() if payload_size else ""
            if op == OP_DROP:
                self._contexts.pop(number, None)
                continue
            self.deadline = time.monotonic() + wall + _WATCHDOG_GRACE_SECONDS
            started = time.perf_counter()
            status, body, text, logs, names = self._answer(
                op, form, number, cpu, memory, output, source, payload
            )
            elapsed = (time.perf_counter() - started) * 1000
            self._evaluations += 1
            self._reply(status, self._is_worn(payload_size), elapsed, body, text, logs, names)
            self.deadline = None
            # Made now, so that the next session need not wait for it.
            self._prepare_spare()

    def _prepare_spare(self) -> None:
        if self._spare is None:
            self._spare = self._make_context()

    def _answer(
        self,
        op: int,
        form: int,
        number: int,
        cpu: float,
        memory: int,
        output: int,
        source: bytes,
        payload: str,
    ) -> tuple[int, bytes, bytes, bytes, bytes]:
        text = logs = names = b""
        context = self._context(number)
        try:
            context.begin(cpu, memory)
            if op == OP_EVALUATE:
                result = context.call(_EVALUATE, source.decode(), form, payload, output)
                state = context.call(_STATE)
                if result == "pending":
                    context.run_jobs()
                    state = context.call(_STATE)
                    result = context.call(_SETTLED)
                    if state & 15 == PENDING:
                        state = state - PENDING + ERROR
                        result = (
                            '"the promise never settles: '
                            'scripts have no timers, no files and no network"'
                        )
            else:
                function = _CHECK if op == OP_CHECK else _MATCH if op == OP_MATCH else _REPLACE
                result = context.call(function, payload)
                state = context.call(_STATE)
            if state & 15 == TEXT:
                text = context.call(_TEXT).encode()
            if state & 16:
                logs = context.call(_LOGS).encode()
            if state & 32:
                names = context.call(_NAMES).encode()
            body = result.encode()
            del result
        except LimitError as error:
            self._contexts.pop(number, None)
            return LIMIT, str(error).encode(), self._failed_pattern(context, op), logs, names
        except MemoryError:
            self._contexts.pop(number, None)
            return LIMIT, b"memory", b"", logs, names
        status = state & 15
        if status == LIMIT:
            self._contexts.pop(number, None)
            return LIMIT, body.strip(b'"'), self._failed_pattern(context, op), logs, names
        if len(body) > output:
            self._contexts.pop(number, None)
            return LIMIT, b"output", b"", logs, names
        if status in (ERROR, SYNTAX) and op in (OP_MATCH, OP_REPLACE):
            text = self._failed_pattern(context, op)
        return status, body, text, logs, names

    def _failed_pattern(self, context: Context, op: int) -> bytes:
        """Ask for the position of the pattern that was at work."""
        if op not in (OP_MATCH, OP_REPLACE):
            return b""
        try:
            context.begin(0.1, _RETIRE_ABOVE_BYTES)
            return b"%d" % int(context.call(_PATTERN))
        except LimitError:
            return b""

    def _context(self, number: int) -> Context:
        context = self._contexts.pop(number, None)
        if context is None:
            context, self._spare = self._spare or self._make_context(), None
            while len(self._contexts) >= _MAX_CONTEXTS:
                self._contexts.pop(next(iter(self._contexts)))
        self._contexts[number] = context
        return context

    def _is_worn(self, payload_size: int) -> bool:
        if self._evaluations >= _RETIRE_AFTER_EVALUATIONS:
            return True
        try:
            import resource
        except ImportError:
            # A parsed payload takes some twelve times its text, and the process keeps the space.
            return payload_size * 12 > _RETIRE_ABOVE_BYTES
        # Bytes on macOS, KiB elsewhere.
        unit = 1 if sys.platform == "darwin" else 1024
        peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
        # Linux counts what the process had been before it became this program: the server's peak.
        return peak_bytes > _RETIRE_ABOVE_BYTES and _own_peak_bytes(peak_bytes) > (
            _RETIRE_ABOVE_BYTES
        )

    def _reply(
        self,
        status: int,
        retire: bool,
        elapsed: float,
        body: bytes,
        text: bytes,
        logs: bytes,
        names: bytes,
    ) -> None:
        out = self._out
        sizes = (len(body), len(text), len(logs), len(names))
        out.write(REPLY.pack(status, retire, elapsed, *sizes))
        out.write(body)
        out.write(text)
        out.write(logs)
        out.write(names)
        out.flush()

    def _read(self, size: int) -> bytes:
        data = self._in.read(size)
        if len(data) != size:
            os._exit(0)
        return data


def _cap_memory(cap: int) -> None:
    """Have the system refuse memory beyond `cap` bytes, where it can (Linux)."""
    try:
        import resource
    except ImportError:
        return
    for kind, limit in ((resource.RLIMIT_CORE, 0), (resource.RLIMIT_DATA, cap)):
        try:
            resource.setrlimit(kind, (limit, limit))
        except (OSError, ValueError):
            continue


def _context_factory(backend: str) -> Callable[[], Context]:
    folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "javascript")

    def read(name: str) -> str:
        with open(os.path.join(folder, name), encoding="utf-8") as file:
            return file.read()

    boot = read("boot.js")
    sections = [json.dumps(list(_LAZY_SECTIONS.values()))]
    sections += [f"({read(name)})" for name in _LAZY_SECTIONS]
    if backend != "mini_racer":
        try:
            # Not `quickjs`, which imports concurrent.futures and more that nobody needs here.
            quickjs = importlib.import_module("_quickjs")
        except ImportError:
            if backend == "quickjs":
                raise
        else:
            return lambda: QuickJSContext(quickjs, boot, sections)
    mini_racer = importlib.import_module("py_mini_racer")
    return lambda: MiniRacerContext(mini_racer, boot, sections)


def main() -> NoReturn:
    """Run the worker until its input ends."""
    backend, cap = sys.argv[1], int(sys.argv[2])
    _cap_memory(cap)
    worker = Worker()

    def serve() -> None:
        try:
            worker.serve(backend)
        finally:
            os._exit(1)

    threading.stack_size(_THREAD_STACK_BYTES)
    threading.Thread(target=serve).start()
    while True:
        time.sleep(1.0)
        deadline = worker.deadline
        if deadline is not None and time.monotonic() > deadline:
            os._exit(1)


if __name__ == "__main__":
    main()
