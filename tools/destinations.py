"""Whether a request can have a destination: a value never chooses one."""

import re
from collections.abc import Mapping
from typing import Any, cast

from tools.model import RequestConfig, Tool
from tools.templates import Placeholder, parse_template
from tools.urls import origin_of

__all__ = ["has_no_destination"]

_AUTHORITY = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*")


def has_no_destination(tool: Tool, config: RequestConfig) -> bool:
    """Whether the host of a url is left to a value that may not choose it, so that runs fail.

    Values lead to the origins of systems that the tool names, and credentials anywhere: where the
    tool names a system, or the url begins with what is no input or result, a run can work.
    """
    url = config.url.strip()
    parts = parse_template(url).parts
    if len(parts) < 2 and not (parts and isinstance(parts[0], Placeholder)):
        return False
    if url.startswith("/") or any(_names_system(step.config) for step in tool.steps):
        return False
    first = parts[0]
    if isinstance(first, Placeholder):
        return first.is_function or _is_of_run(tool, first.expression)
    authority = _AUTHORITY.match(first)
    return authority is None or (authority.end() == len(first) and origin_of(first) is None)


def _names_system(config: object) -> bool:
    return isinstance(config, RequestConfig) and config.system_id is not None


def _is_of_run(tool: Tool, expression: str) -> bool:
    """Whether an expression reads an input, a result or an item; else it may be a credential."""
    name = expression.removeprefix("raw:").strip()
    if name.startswith("credentials."):
        return False
    head = re.split(r"[.\[]", name.removeprefix("$."), maxsplit=1)[0]
    schema = tool.input_schema
    inputs: Any = cast("Mapping[str, Any]", schema or {}).get("properties")
    names = {"currentItem", *(step.id for step in tool.steps)}
    return head in names or (isinstance(inputs, Mapping) and head in inputs)
