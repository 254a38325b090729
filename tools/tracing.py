"""Spans of a run, its steps and its requests, for whoever collects them.

Where nobody does, a span costs next to nothing, and the trace that a caller brought is passed on as
it came (https://www.w3.org/TR/trace-context/).
"""

import re
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

__all__ = ["NO_SPANS", "PassedOn", "Span", "Spans", "is_traceparent", "trace_id_of"]

_TRACEPARENT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}")


def is_traceparent(text: str) -> bool:
    """Whether a text is a trace context as the standard has it."""
    parts = _TRACEPARENT.fullmatch(text)
    return parts is not None and parts[1].strip("0") != "" and parts[2].strip("0") != ""


def trace_id_of(traceparent: str) -> str:
    """The 32 hex digits of its trace."""
    return traceparent.split("-")[1]


class Span(Protocol):
    """Something under way. `traceparent` names it for those further down; None without a trace."""

    @property
    def traceparent(self) -> str | None: ...

    def set(self, name: str, value: str | int) -> None:
        """Note a fact; nothing of it may be secret."""
        ...

    def fail(self, message: str) -> None:
        """It has failed; the message is redacted."""
        ...


class Spans(Protocol):
    """Makes spans."""

    def span(
        self, name: str, parent: str | None, attributes: Mapping[str, str | int]
    ) -> AbstractContextManager[Span]:
        """A span below `parent`, a traceparent, from entering to leaving."""
        ...


class PassedOn:
    """No span, only the trace of the caller."""

    def __init__(self, traceparent: str | None) -> None:
        self.traceparent = traceparent

    def set(self, name: str, value: str | int) -> None:
        """Nobody collects it."""

    def fail(self, message: str) -> None:
        """Nobody collects it."""


_NOTHING = PassedOn(None)


class _NoSpans:
    def span(
        self, name: str, parent: str | None, attributes: Mapping[str, str | int]
    ) -> AbstractContextManager[Span]:
        return nullcontext(_NOTHING if parent is None else PassedOn(parent))


#: Of a program that exports nothing.
NO_SPANS: Spans = _NoSpans()
