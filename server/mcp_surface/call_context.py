"""What a call needs to know of the connection it came over."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mcp.server.context import ServerRequestContext

__all__ = ["CallContext", "ReportProgress"]

#: Takes progress, total and a message.
ReportProgress = Callable[[float, float | None, str | None], Awaitable[None]]


@dataclass(frozen=True)
class CallContext:
    """The client of a call, and the way to tell it of progress."""

    protocol_version: str
    client_name: str | None
    client_version: str | None
    #: `_meta` of the request.
    meta: Mapping[str, Any]
    #: None when the client did not ask for it.
    report_progress: ReportProgress | None

    @classmethod
    def of(cls, context: "ServerRequestContext[Any]") -> "CallContext":
        """Of a request that the SDK dispatches."""
        client = context.session.client_params
        meta = context.meta or {}
        wants_progress = meta.get("progress_token") is not None
        return cls(
            context.protocol_version,
            client.client_info.name if client is not None else None,
            client.client_info.version if client is not None else None,
            meta,
            context.session.report_progress if wants_progress else None,
        )
