"""What a tool would touch, read from its definition: nothing is sent.

Annotations over MCP come from here, and whether the items of a loop may run at once.
"""

from dataclasses import dataclass
from typing import assert_never

from tools.model import RequestConfig, Step, SubToolConfig, Tool, TransformConfig
from tools.templates import parse_template
from tools.urls import origin_of

__all__ = ["StepTouch", "is_reading", "touches"]

_READING_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_REPEATABLE_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})


@dataclass(frozen=True)
class StepTouch:
    """What one step would reach. `host` is None where only a run can say."""

    step_id: str
    method: str | None
    host: str | None
    system_id: str | None
    tool_id: str | None
    writes: bool
    destructive: bool
    repeatable: bool


def is_reading(step: Step) -> bool:
    """Whether a step only reads upstream: its `modify`, else its method. Sub-tools may write."""
    if step.modify is not None:
        return not step.modify
    match step.config:
        case RequestConfig(method=method):
            return method in _READING_METHODS
        case TransformConfig():
            return True
        case SubToolConfig():
            return False
        case _:
            assert_never(step.config)


def touches(tool: Tool) -> list[StepTouch]:
    """Every request and sub-tool of a tool, in order."""
    found: list[StepTouch] = []
    for step in tool.steps:
        config = step.config
        writes = not is_reading(step)
        match config:
            case RequestConfig():
                found.append(
                    StepTouch(
                        step.id,
                        config.method,
                        _host(config),
                        config.system_id,
                        None,
                        writes,
                        destructive=writes and config.method in {"DELETE", "PUT", "PATCH"},
                        repeatable=step.idempotent or config.method in _REPEATABLE_METHODS,
                    )
                )
            case SubToolConfig():
                found.append(
                    StepTouch(
                        step.id,
                        None,
                        None,
                        None,
                        config.tool_id,
                        writes,
                        destructive=writes,
                        repeatable=step.idempotent or not writes,
                    )
                )
            case TransformConfig():
                pass
            case _:
                assert_never(config)
    return found


def _host(config: RequestConfig) -> str | None:
    parsed = parse_template(config.url)
    first = parsed.parts[0] if parsed.parts else ""
    return origin_of(first) if isinstance(first, str) else None
