"""What one evaluation may use."""

from dataclasses import dataclass, replace
from typing import Self

__all__ = ["DEFAULT_LIMITS", "STOP_CONDITION_LIMITS", "ScriptLimits"]

_MIB = 1024 * 1024
_MAX_SCALED_MEMORY = 2048 * _MIB
# A parsed value takes about six times its JSON text; twice that leaves room for the result.
_MEMORY_PER_PAYLOAD_BYTE = 12
_PAYLOAD_BYTES_PER_SECOND = 10_000_000


@dataclass(frozen=True, slots=True)
class ScriptLimits:
    """The limits of one evaluation, before they are scaled to its payload."""

    #: CPU time of the worker, seconds (wall time on Windows, where `clock()` is that).
    cpu_seconds: float = 2.0
    #: Wall time from the start of the evaluation, seconds; then the worker is killed.
    wall_seconds: float = 5.0
    #: Heap of the script's context, bytes.
    memory_bytes: int = 256 * _MIB
    #: JSON text of the result, UTF-8 bytes.
    output_bytes: int = 100_000_000
    #: Source of one script, UTF-8 bytes.
    source_bytes: int = 64 * 1024

    def for_payload(self, payload_bytes: int) -> Self:
        """Scale the limits to a payload of this size.

        One second more of CPU and wall time for each 10 MB, and memory of at least 12 times the
        payload (up to 2 GiB, or the limit set here).
        """
        if payload_bytes < 100_000:
            return self
        seconds = payload_bytes / _PAYLOAD_BYTES_PER_SECOND
        memory = min(payload_bytes * _MEMORY_PER_PAYLOAD_BYTE, _MAX_SCALED_MEMORY)
        return replace(
            self,
            cpu_seconds=self.cpu_seconds + seconds,
            wall_seconds=self.wall_seconds + seconds,
            memory_bytes=max(self.memory_bytes, memory),
        )


DEFAULT_LIMITS = ScriptLimits()
#: Stop conditions run once a page and decide one boolean.
STOP_CONDITION_LIMITS = ScriptLimits(cpu_seconds=0.5, wall_seconds=2.0)
