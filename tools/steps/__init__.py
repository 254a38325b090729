"""Kinds of steps: one file a kind, one line each in `run_item`."""

from typing import assert_never

from tools.context import RunContext
from tools.json_text import Json
from tools.model import RequestConfig, Step, SubToolConfig, TransformConfig
from tools.run import StepRecord
from tools.scope import Scope
from tools.scripts import ScriptSession
from tools.steps.request import run_request
from tools.steps.sub_tool import run_sub_tool
from tools.steps.transform import run_transform

__all__ = ["run_item"]


async def run_item(
    step: Step,
    scope: Scope,
    session: ScriptSession,
    context: RunContext,
    record: StepRecord,
    iteration: int | None,
) -> Json:
    """Run a step once and return its `data`; `iteration` is the item's position in a loop.

    Raises `RunError`.
    """
    match step.config:
        case RequestConfig() as config:
            return await run_request(step, config, scope, session, context, record, iteration)
        case TransformConfig() as config:
            return await run_transform(step, config, scope, session, context)
        case SubToolConfig() as config:
            return await run_sub_tool(step, config, scope, session, context, record)
        case _:
            assert_never(step.config)
