"""Published names of stored tools: short, stable, accepted by every host."""

import hashlib
import re
from collections.abc import Collection

__all__ = ["RESERVED_NAMES", "published_name"]

#: Names of our own tools, bare on purpose: models know them.
RESERVED_NAMES = frozenset(
    {
        "list_runs",
        "get_run",
        "read_result",
        "cancel_run",
        "rerun_run",
        "compare_runs",
        "explain_run",
        "get_tool",
        "search_tools",
        "run_tool",
        "check_tool",
        "try_tool",
        "save_tool",
        "remove_tool",
        "import_api",
        "save_runs_as_tool",
    }
)

_PLAIN = re.compile(r"[A-Za-z0-9_-]{1,48}")
_BAD_CHARACTER = re.compile(r"[^A-Za-z0-9_-]")
_STEM_CHARACTERS = 39


def published_name(tool_id: str, reserved: Collection[str] = RESERVED_NAMES) -> str:
    """The id where every host takes it, else a readable stem and 8 hex digits of its hash."""
    if _PLAIN.fullmatch(tool_id) and tool_id not in reserved:
        return tool_id
    stem = _BAD_CHARACTER.sub("_", tool_id)[:_STEM_CHARACTERS]
    return f"{stem}_{hashlib.sha256(tool_id.encode()).hexdigest()[:8]}"
