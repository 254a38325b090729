"""What may be asked of the history, on every surface: parameters, filters, and which view."""

from collections.abc import Collection, Iterable
from typing import Literal

from tools.json_text import Json
from tools.run import RequestSource, milliseconds
from tools.suggestions import did_you_mean

__all__ = [
    "RUN_FILTERS",
    "BadParameterError",
    "chosen_view",
    "refuse_unknown",
    "request_sources",
    "started_after",
    "wanted_nodes",
]

#: What a list of runs can be narrowed by.
RUN_FILTERS = ("toolId", "status", "requestSources", "search", "startedAfter")


class BadParameterError(ValueError):
    """A parameter has a value it cannot have; the message lists the valid ones."""


def refuse_unknown(names: Iterable[str], known: Collection[str], of: str) -> None:
    """Raises `BadParameterError` for the first name that is no parameter of `of`."""
    for name in names:
        if name not in known:
            near = did_you_mean(name, known)
            raise BadParameterError(
                f"{name[:60]} is no parameter of {of}; valid: {', '.join(sorted(known)) or 'none'}"
                + (f"; did you mean {near}?" if near else "")
            )


def started_after(value: Json) -> int | None:
    """A time in milliseconds; None where none is given. Raises `BadParameterError`."""
    if not value:
        return None
    try:
        return milliseconds(str(value))
    except ValueError as error:
        raise BadParameterError(f"startedAfter: {error}") from None


def request_sources(value: Json) -> tuple[RequestSource, ...]:
    """Sources in a list or comma-separated, each once. Raises `BadParameterError`."""
    names = value.split(",") if isinstance(value, str) else value or ()
    sources: list[RequestSource] = []
    for name in names:
        if not (name := str(name).strip()):
            continue
        try:
            sources.append(RequestSource(name))
        except ValueError:
            valid = ", ".join(RequestSource)
            raise BadParameterError(f"requestSources has {name!r}; valid: {valid}") from None
    return tuple(dict.fromkeys(sources))


def chosen_view(
    view: str | None, node_ids: str | None, otherwise: Literal["tool", "workflow"]
) -> Literal["tool", "workflow"]:
    """The view of a run: the one named, that of `nodeIds`, or else this one.

    Raises `BadParameterError` where nodes of the tool view are asked for: it has none.
    """
    if view == "tool" and node_ids is not None:
        raise BadParameterError("nodeIds belongs to view=workflow; valid with view=tool: summary")
    if view == "workflow" or node_ids is not None:
        return "workflow"
    return "tool" if view == "tool" else otherwise


def wanted_nodes(node_ids: str | None) -> Collection[str] | None:
    """The nodes of a comma-separated list; None where all are wanted."""
    return None if node_ids is None else {one.strip() for one in node_ids.split(",")}
