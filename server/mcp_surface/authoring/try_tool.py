"""`try_tool`: run a definition that is not stored; the run is recorded like every other."""

from server.active_run import Derivation, RunRequest
from server.catalog import CatalogEntry
from server.mcp_surface.authoring.tool import (
    DEFINITION,
    Asking,
    authoring_tool,
    report,
)
from server.mcp_surface.call_context import CallContext
from server.mcp_surface.calls import answer_run, named_by_client
from server.mcp_surface.confirmation import confirm_write
from server.mcp_surface.own_tool import OwnToolError
from server.mcp_surface.published import RUN_ANSWER_SCHEMA, PublishedTool
from server.service import Service
from storage.tools import StoredTool
from tools.json_text import JsonObject, encode_json_text
from tools.run import RequestSource, RunOptions

__all__ = ["TRY_TOOL"]

#: It has no number: it was never stored.
_NO_VERSION = 0


async def _try_tool(service: Service, arguments: JsonObject, asking: Asking) -> JsonObject:
    checked = await service.tools.check(arguments["definition"])
    if checked.definition is None or checked.id is None:
        raise OwnToolError(
            "nothing was run, because the definition has errors: "
            + encode_json_text(report(checked))
        )
    definition = {"version": "1.0.0", **checked.definition}
    entry = CatalogEntry(StoredTool(checked.id, _NO_VERSION, _NO_VERSION, definition))
    request = RunRequest(
        checked.id,
        arguments.get("inputs", {}),
        RequestSource.MCP,
        RunOptions(execution=arguments.get("mode", "dry")),
        derivation=Derivation(None, None, {checked.id: entry}),
    )
    published = PublishedTool.of(entry, service.catalog.load_tool)
    if request.options.execution == "live":
        if asking.selection.read_only and not published.wire["annotations"]["readOnlyHint"]:
            raise OwnToolError("the tool writes, and this server is read-only; try it limited")
        if asking.selection.confirm_writes:
            answer = await confirm_write(published, request.inputs, asking.params, asking.context)
            if answer is not None:
                return answer
    call = CallContext.of(asking.context)
    return await answer_run(service, published, named_by_client(request, call), call)


TRY_TOOL = authoring_tool(
    "try_tool",
    "Try a tool",
    "Runs a definition that is not stored. mode dry (the default) shows the requests and sends "
    "nothing; limited sends reading requests only, one page and one loop item; live runs all of "
    "it, writes included. The run is recorded: explain_run says why it failed, get_run shows each "
    "request and answer.",
    {
        "definition": DEFINITION,
        "inputs": {"type": "object", "description": "Inputs that fit its inputSchema."},
        "mode": {"enum": ["dry", "limited", "live"], "default": "dry"},
    },
    ["definition"],
    _try_tool,
    output=RUN_ANSWER_SCHEMA,
    destructive=True,
    open_world=True,
)
