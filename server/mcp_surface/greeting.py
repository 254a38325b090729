"""What the server says of itself to a client that connects."""

from typing import Literal

from server.version import VERSION
from tools.json_text import JsonObject

__all__ = [
    "FRESHNESS",
    "HANDSHAKE_VERSIONS",
    "INSTRUCTIONS",
    "MODERN_VERSION",
    "RESOURCES_INTERVAL_SECONDS",
    "SERVER_INFO",
    "discovered",
    "initialized",
    "stamped",
]

#: Of the handshake, oldest first; a client that asks for another one is offered the newest.
HANDSHAKE_VERSIONS = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
#: Each request names it, and there is no handshake.
MODERN_VERSION = "2026-07-28"
#: How long results of 2026-07-28 are fresh, in milliseconds, and for whom, by method.
FRESHNESS: dict[str, tuple[int, Literal["private", "public"]]] = {
    "tools/list": (0, "private"),
    "prompts/list": (3_600_000, "public"),
    "resources/list": (0, "private"),
    "resources/read": (0, "private"),
    "resources/templates/list": (3_600_000, "public"),
    "server/discover": (60_000, "private"),
}

#: Lists that change all the time are announced at most this often.
RESOURCES_INTERVAL_SECONDS = 1.0

SERVER_INFO: JsonObject = {"name": "callslip", "title": "callslip", "version": VERSION}
INSTRUCTIONS = (
    "Each tool is a stored program that calls HTTP APIs. Every call is recorded as a run; answers "
    "name it as callslip://runs/<id>. Large results come as a preview: read on with read_result. "
    "A call that takes long is answered with a handle: wait for it with get_run."
)


def initialized(protocol_version: str) -> JsonObject:
    """The result of `initialize`, with the version that both speak."""
    return {
        "protocolVersion": protocol_version,
        "capabilities": _capabilities(prompts_change=False),
        "serverInfo": SERVER_INFO,
        "instructions": INSTRUCTIONS,
    }


def discovered() -> JsonObject:
    """The result of `server/discover`."""
    return stamped(
        {
            "supportedVersions": [MODERN_VERSION],
            "capabilities": _capabilities(prompts_change=True),
            "instructions": INSTRUCTIONS,
        },
        "server/discover",
    )


def stamped(result: JsonObject, method: str) -> JsonObject:
    """A result as 2026-07-28 requires it: complete, of whom, and how long it is fresh."""
    meta = {**result.get("_meta", {}), "io.modelcontextprotocol/serverInfo": SERVER_INFO}
    stamp: JsonObject = {"resultType": "complete", "_meta": meta}
    if method in FRESHNESS:
        stamp["ttlMs"], stamp["cacheScope"] = FRESHNESS[method]
    return {**result, **stamp}


def _capabilities(*, prompts_change: bool) -> JsonObject:
    # Over streams of subscriptions the SDK announces every list; prompts never change.
    return {
        "completions": {},
        "prompts": {"listChanged": prompts_change},
        "resources": {"listChanged": True, "subscribe": True},
        "tools": {"listChanged": True},
    }
