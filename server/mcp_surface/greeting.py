"""What the server says of itself to a client that connects."""

from server.version import VERSION
from tools.json_text import JsonObject

__all__ = [
    "DISCOVER_TTL_MS",
    "HANDSHAKE_VERSIONS",
    "INSTRUCTIONS",
    "MODERN_VERSION",
    "SERVER_INFO",
    "discovered",
    "initialized",
    "stamped",
]

#: Of the handshake, oldest first; a client that asks for another one is offered the newest.
HANDSHAKE_VERSIONS = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
#: Each request names it, and there is no handshake.
MODERN_VERSION = "2026-07-28"
DISCOVER_TTL_MS = 60_000

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
            "ttlMs": DISCOVER_TTL_MS,
            "cacheScope": "private",
        }
    )


def stamped(result: JsonObject) -> JsonObject:
    """A result as 2026-07-28 requires it: it is complete, and says whose it is."""
    meta = {**result.get("_meta", {}), "io.modelcontextprotocol/serverInfo": SERVER_INFO}
    return {**result, "resultType": "complete", "_meta": meta}


def _capabilities(*, prompts_change: bool) -> JsonObject:
    # Over streams of subscriptions the SDK announces every list; prompts never change.
    return {
        "completions": {},
        "prompts": {"listChanged": prompts_change},
        "resources": {"listChanged": True, "subscribe": True},
        "tools": {"listChanged": True},
    }
