"""What a tool would touch, read from its definition: nothing is sent.

Annotations over MCP come from here, and whether the items of a loop may run at once.
"""

import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, assert_never, cast

from tools.destinations import has_no_destination
from tools.json_text import Json
from tools.methods import READING_METHODS, REPEATABLE_METHODS
from tools.model import RequestConfig, Step, SubToolConfig, Tool, TransformConfig
from tools.templates import parse_template
from tools.urls import origin_of

__all__ = ["ToolLoader", "Touch", "is_reading", "touches"]

#: Gives a stored tool by its id, or None.
ToolLoader = Callable[[str], Tool | None]

_DESTRUCTIVE_METHODS = frozenset({"DELETE", "PUT", "PATCH"})
_AUTHORITY = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*")
_NO_DESTINATION = "nowhere: a value cannot choose the host"
_CREDENTIAL = re.compile(r"\bcredentials\.([A-Za-z_$][\w$]*)")


@dataclass(frozen=True)
class Touch:
    """What one step would reach. `origin` is None where only a run can say."""

    #: The step, behind those of the tools that led to it.
    step_id: str
    method: str | None
    origin: str | None
    system_id: str | None
    tool_id: str | None
    #: Names of credentials that its templates read.
    credentials: tuple[str, ...]
    writes: bool
    destructive: bool
    repeatable: bool
    #: Why no run can reach anything there.
    problem: str | None = None

    def wire(self) -> dict[str, Any]:
        """The camelCase form, absent fields omitted."""
        names = {"step_id": "stepId", "system_id": "systemId", "tool_id": "toolId"}
        fields = {names.get(name, name): value for name, value in asdict(self).items()}
        return {name: value for name, value in fields.items() if value is not None}


def is_reading(step: Step) -> bool:
    """Whether a step only reads upstream: its `modify`, else its method. Sub-tools may write."""
    if step.modify is not None:
        return not step.modify
    match step.config:
        case RequestConfig(method=method):
            return method in READING_METHODS
        case TransformConfig():
            return True
        case SubToolConfig():
            return False
        case _:
            assert_never(step.config)


def touches(
    tool: Tool, load_tool: ToolLoader | None = None, _above: tuple[str, ...] = ()
) -> list[Touch]:
    """Every request of a tool, in order, those of known sub-tools in place of their step.

    A sub-tool that is not known counts as one that writes.
    """
    found: list[Touch] = []
    for step in tool.steps:
        match step.config:
            case RequestConfig() as config:
                found.append(_of_request(tool, step, config))
            case SubToolConfig() as config:
                found.extend(_of_sub_tool(step, config, load_tool, (*_above, tool.id)))
            case TransformConfig():
                pass
            case _:
                assert_never(step.config)
    return found


def _of_request(tool: Tool, step: Step, config: RequestConfig) -> Touch:
    writes = not is_reading(step)
    return Touch(
        step.id,
        config.method,
        _origin(config),
        config.system_id,
        None,
        _credentials(config),
        writes,
        destructive=writes and config.method in _DESTRUCTIVE_METHODS,
        repeatable=step.idempotent or not writes or config.method in REPEATABLE_METHODS,
        problem=_NO_DESTINATION if has_no_destination(tool, config) else None,
    )


def _of_sub_tool(
    step: Step, config: SubToolConfig, load_tool: ToolLoader | None, above: tuple[str, ...]
) -> list[Touch]:
    known = load_tool(config.tool_id) if load_tool is not None else None
    if known is None or config.tool_id in above:
        writes = not is_reading(step)
        return [
            Touch(
                step.id,
                None,
                None,
                None,
                config.tool_id,
                (),
                writes,
                destructive=writes,
                repeatable=step.idempotent or not writes,
            )
        ]
    return [
        Touch(
            f"{step.id}/{inner.step_id}",
            inner.method,
            inner.origin,
            inner.system_id,
            inner.tool_id or config.tool_id,
            inner.credentials,
            inner.writes,
            inner.destructive,
            inner.repeatable,
            inner.problem,
        )
        for inner in touches(known, load_tool, above)
    ]


def _origin(config: RequestConfig) -> str | None:
    parts = parse_template(config.url.strip()).parts
    first = parts[0] if parts else ""
    authority = _AUTHORITY.match(first) if isinstance(first, str) else None
    if authority is None or (len(parts) > 1 and authority.end() == len(str(first))):
        return None
    return origin_of(authority[0])


def _credentials(config: RequestConfig) -> tuple[str, ...]:
    texts = [config.url, config.body or "", *_texts(config.headers), *_texts(config.query_params)]
    own = rf"\b{re.escape(config.system_id)}_(\w+)" if config.system_id else None
    names: set[str] = set()
    for text in texts:
        for placeholder in parse_template(text).placeholders:
            names.update(_CREDENTIAL.findall(placeholder.expression))
            if own is not None:
                names.update(re.findall(own, placeholder.expression))
    return tuple(sorted(names - {"url"}))


def _texts(value: Json) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        entries = cast("dict[str, Any]", value).values()
        return [text for entry in entries for text in _texts(entry)]
    return []
