"""`rerun_run`: a recorded run made again. It is answered like a call of the run's tool."""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from server.mcp_surface.call_context import CallContext
from server.mcp_surface.calls import answer_run, named_by_client
from server.mcp_surface.confirmation import confirm_write
from server.mcp_surface.history_tools.tool import RUN_ID
from server.mcp_surface.own_tool import OwnTool, own_wire
from server.mcp_surface.published import RUN_ANSWER_SCHEMA, PublishedTool
from server.mcp_surface.selection import Selection
from server.mcp_surface.sign_in import offer_sign_in
from server.rendering import render_error
from server.reruns import RerunError, RerunPlan, RerunRequest
from server.service import ArchivedToolError, Service, UnknownRunError, UnknownToolError
from storage.errors import StorageError
from tools.errors import ErrorDetail, ErrorKind
from tools.json_text import JsonObject
from tools.model import Tool
from tools.run import RequestSource
from tools.touches import ToolLoader

if TYPE_CHECKING:
    import mcp_types as types
    from mcp.server.context import ServerRequestContext

__all__ = ["RERUN_RUN", "rerun_run"]

_MODES = ["live", "replay", "lenient", "dry", "limited"]

RERUN_RUN = OwnTool(
    own_wire(
        "rerun_run",
        "Run again",
        "Makes a recorded run again and answers like a call of its tool. Use it after a failure "
        "that is over: from_failed_step takes the steps that had finished from the record, so that "
        "what they did upstream is not done twice. inputs are put over the recorded ones. mode "
        "replay answers every request from the record and sends nothing: it shows what a changed "
        "tool (version latest) makes of the same answers.",
        {
            "runId": {**RUN_ID, "description": "The id of the run to make again."},
            "inputs": {
                "type": "object",
                "description": "Put over the recorded inputs, by top-level key; null is a value.",
            },
            "from_failed_step": {
                "type": "boolean",
                "default": False,
                "description": "Take the steps before the first one that failed as recorded.",
            },
            "version": {
                "enum": ["snapshot", "latest"],
                "default": "snapshot",
                "description": "The tool as it was executed, or as it is stored now.",
            },
            "mode": {
                "enum": _MODES,
                "description": "live: send. replay: answers from the record, nothing is sent. "
                "lenient: what is not recorded is sent. dry: show the requests. limited: one page, "
                "one item, reading only. As the run was when absent.",
            },
        },
        ["runId"],
        RUN_ANSWER_SCHEMA,
        {
            "readOnlyHint": False,
            "destructiveHint": True,
            "idempotentHint": False,
            "openWorldHint": True,
        },
    )
)


async def rerun_run(
    service: Service,
    selection: Selection,
    arguments: JsonObject,
    params: "types.CallToolRequestParams",
    context: "ServerRequestContext[Any]",
) -> JsonObject:
    """The answer of a call. What holds for calling the tool holds here."""
    if problems := RERUN_RUN.problems(arguments):
        return _refusal("Input validation failed: " + "\n".join(problems))
    wanted = RerunRequest(
        arguments["runId"],
        RequestSource.MCP,
        arguments.get("inputs", {}),
        arguments.get("from_failed_step", False),
        arguments.get("version", "snapshot"),
        arguments.get("mode"),
    )
    try:
        plan = await service.plan_rerun(wanted)
        published = PublishedTool.of(plan.entry, _loader(service, plan))
    except UnknownRunError as error:
        return _refusal(f"{error}; list_runs shows the recorded ones")
    except (UnknownToolError, ArchivedToolError) as error:
        return _refusal(f"{error}; version snapshot runs it as it was executed")
    except (RerunError, ValueError) as error:
        return _refusal(str(error))
    except StorageError as error:
        return _refusal(str(error), ErrorKind.INTERNAL)
    if not _may_run(selection, plan, published):
        return _refusal(f"tool {published.tool_id} is not one that this server may run")
    if plan.sends:
        answer = None
        if selection.confirm_writes:
            answer = await confirm_write(published, plan.request.inputs, params, context)
        answer = answer or await offer_sign_in(service, published, params, context)
        if answer is not None:
            return answer
    call = CallContext.of(context)
    request = named_by_client(plan.request, call)
    return _with_notes(await answer_run(service, published, request, call), plan)


def _loader(service: Service, plan: RerunPlan) -> ToolLoader:
    """Sub-tools as the rerun will execute them: what they touch decides what it may do."""

    def load(tool_id: str) -> Tool | None:
        entry = plan.derivation.recorded_tools.get(tool_id)
        return service.catalog.load_tool(tool_id) if entry is None else entry.prepared.tool

    return load


def _may_run(selection: Selection, plan: RerunPlan, published: PublishedTool) -> bool:
    if not plan.sends:
        # What is not shown stays so; that nothing is written is certain.
        selection = replace(selection, read_only=False)
    return selection.includes(plan.entry.prepared.tool, published)


def _with_notes(answer: JsonObject, plan: RerunPlan) -> JsonObject:
    """What was taken from the record and what was not, behind the answer of the call."""
    notes = plan.notes()
    content = [*answer["content"]]
    if notes:
        content.append({"type": "text", "text": "\n".join(notes)})
    return {
        **answer,
        "content": content,
        "_meta": {**answer.get("_meta", {}), "callslip/rerun": plan.wire()},
    }


def _refusal(message: str, kind: ErrorKind = ErrorKind.INVALID_INPUT) -> JsonObject:
    return render_error(message, ErrorDetail(kind=kind), None)
