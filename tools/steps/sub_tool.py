"""Steps that run another stored tool as a child run."""

from typing import Any, cast

from tools.carriers import Carriers, TakenCredential
from tools.context import RunContext
from tools.errors import LACKING_KINDS, ErrorDetail, ErrorKind, LackingDetail, RunError
from tools.filtered_answers import filtered_error
from tools.json_text import Json, JsonObject, decode_json, encode_json
from tools.model import Step, SubToolConfig
from tools.replay import UnansweredDetail
from tools.run import RunStatus, StepRecord
from tools.scope import Scope
from tools.scripts import ScriptSession
from tools.templates import Resolver, parse_template, render_text
from tools.templates.body import render_json_text

__all__ = ["MAX_DEPTH", "run_sub_tool"]

#: Tools in one chain, the outermost included.
MAX_DEPTH = 10


async def run_sub_tool(
    step: Step,
    config: SubToolConfig,
    scope: Scope,
    session: ScriptSession,
    context: RunContext,
    record: StepRecord,
) -> Json:
    """The result of the child run. Raises `RunError` of kind `sub_tool` when it did not succeed."""
    chain = (*context.ancestors, context.tool.id)
    if config.tool_id in chain:
        raise RunError(
            ErrorKind.SUB_TOOL,
            f"tool {config.tool_id} calls itself: {' -> '.join((*chain, config.tool_id))}",
            hint="a chain of tools must end; take one of the calls out",
        )
    if len(chain) >= MAX_DEPTH:
        raise RunError(
            ErrorKind.SUB_TOOL,
            f"tool {config.tool_id} would be number {len(chain) + 1} of a chain; "
            f"at most {MAX_DEPTH} are allowed",
        )
    inputs, carriers = await _render_inputs(config.inputs, scope, session, step.id)

    def began(run_id: str, definition: JsonObject) -> None:
        # At once, so that a run that is cut off is in the record of this one, too.
        record.child_run_ids.append(run_id)
        context.sub_tools[config.tool_id] = definition

    child = await context.ports.start_child(config.tool_id, inputs, context, carriers, began)
    context.carry(step.id, child.outcome.carried)
    context.sub_tools.update(child.outcome.sub_tools)
    is_dry = context.options.execution == "dry"
    if child.outcome.status is RunStatus.SUCCESS:
        if not is_dry:
            return child.outcome.data
        # What it would have sent is no data, as of a request that is not sent there is none.
        for one in cast("list[JsonObject]", child.outcome.data):
            record.unsent.append({**one, "stepId": f"{step.id}/{one['stepId']}"})
        return None
    record.child_run_ids.remove(child.run_id)
    record.child_run_ids.append(child.run_id)
    detail = child.outcome.error_detail or ErrorDetail(kind=ErrorKind.INTERNAL)
    message, http = await filtered_error(
        str(child.outcome.error), detail, context.tool.response_filters, context.engines.scripts
    )
    error = RunError(
        ErrorKind.SUB_TOOL,
        f"tool {config.tool_id} {child.outcome.status}: {message}",
        hint=f"its own run is {child.run_id}",
        retryable=detail.retryable,
        http=http,
    )
    if isinstance(detail, UnansweredDetail):
        raise UnansweredDetail.mark(error)
    lacks_input = detail.kind is ErrorKind.INVALID_INPUT and b"null" in encode_json(inputs)
    is_lacking = detail.kind in LACKING_KINDS or isinstance(detail, LackingDetail)
    if is_dry and (lacks_input or is_lacking):
        error.detail = LackingDetail.model_validate(error.detail.model_dump())
    raise error


async def _render_inputs(
    inputs: JsonObject | str | None, scope: Scope, session: ScriptSession, step_id: str
) -> tuple[JsonObject, Carriers]:
    """The inputs, and those of them that hold short credentials."""
    if inputs is None:
        return {}, {}
    if isinstance(inputs, str):
        resolver = Resolver(scope, session, step_id)
        rendered = await _render_object(inputs, resolver)
        return rendered, resolver.carriers_among(rendered)
    rendered: JsonObject = {}
    carriers: dict[str, frozenset[TakenCredential]] = {}
    for name, value in inputs.items():
        resolver = Resolver(scope, session, step_id)
        rendered[name] = await _render_value(value, resolver, f"inputs.{name}")
        carriers |= resolver.carriers_among({name: rendered[name]})
    return rendered, carriers


async def _render_object(inputs: str, resolver: Resolver) -> JsonObject:
    try:
        text = await render_json_text(parse_template(inputs), resolver, "inputs")
        value = decode_json(text.encode("utf-8", "surrogatepass"))
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise RunError(
            ErrorKind.INVALID_INPUT, "inputs: the template gave no JSON object for the sub-tool"
        )
    return cast("dict[str, Any]", value)


async def _render_value(value: Json, resolver: Resolver, where: str) -> Json:
    """A text that is one placeholder becomes its value, any other text its rendering."""
    if isinstance(value, dict):
        entries = cast("dict[str, Any]", value).items()
        return {
            key: await _render_value(entry, resolver, f"{where}.{key}") for key, entry in entries
        }
    if isinstance(value, list):
        return [
            await _render_value(element, resolver, f"{where}[{index}]")
            for index, element in enumerate(cast("list[Any]", value))
        ]
    if not isinstance(value, str):
        return value
    template = parse_template(value)
    if len(template.parts) == 1 and template.placeholders:
        return (await resolver.resolve(template.placeholders[0], where)).json_value()
    return await render_text(value, resolver, where)
