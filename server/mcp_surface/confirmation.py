"""Asking the person before a tool writes upstream (`serve --confirm-writes`).

Clients of 2026-07-28 get an interim result and call again with the answer; clients that did the
handshake are asked over their connection. Nothing is run until the person has said yes.
"""

from typing import TYPE_CHECKING, Any, cast

from server.mcp_surface.published import PublishedTool
from server.rendering import render_error
from tools.errors import ErrorDetail, ErrorKind
from tools.json_text import JsonObject, encode_json_text

if TYPE_CHECKING:
    import mcp_types as types
    from mcp.server.context import ServerRequestContext

__all__ = ["confirm_write"]

_MODERN = "2026-07-28"
_KEY = "confirm"
_SHOWN_CHARACTERS = 500
#: No fields: accepting the form is the answer.
_EMPTY_FORM: dict[str, Any] = {"type": "object", "properties": {}}


async def confirm_write(
    published: PublishedTool,
    arguments: JsonObject,
    params: "types.CallToolRequestParams",
    context: "ServerRequestContext[Any]",
) -> JsonObject | None:
    """None when the run may start, else the answer of the call: a question, or a refusal."""
    if published.wire["annotations"]["readOnlyHint"]:
        return None
    capabilities = context.session.client_capabilities
    if capabilities is None or capabilities.elicitation is None:
        return _refusal(
            f"{published.name} writes upstream, this server asks before that, and this client "
            "cannot ask anybody"
        )
    if context.protocol_version >= _MODERN:
        response = (params.input_responses or {}).get(_KEY)
        if response is None:
            return _question(published, arguments)
        action = getattr(response, "action", None)
    else:
        from mcp.shared.exceptions import MCPError

        try:
            answer = await context.session.elicit_form(
                _message(published, arguments), cast("Any", _EMPTY_FORM), context.request_id
            )
        except MCPError as error:
            return _refusal(f"{published.name} writes upstream, and asking failed: {error}")
        action = answer.action
    return None if action == "accept" else _refusal(f"{published.name} was not confirmed")


def _question(published: PublishedTool, arguments: JsonObject) -> JsonObject:
    params = {
        "mode": "form",
        "message": _message(published, arguments),
        "requestedSchema": _EMPTY_FORM,
    }
    request = {"method": "elicitation/create", "params": params}
    return {"resultType": "input_required", "inputRequests": {_KEY: request}}


def _message(published: PublishedTool, arguments: JsonObject) -> str:
    inputs = encode_json_text(arguments)
    if len(inputs) > _SHOWN_CHARACTERS:
        inputs = inputs[: _SHOWN_CHARACTERS - 1] + "…"
    destructive = published.wire["annotations"].get("destructiveHint")
    effect = "changes or deletes something" if destructive else "writes something"
    return f"{published.wire['title']} {effect} upstream. Run it with {inputs}?"


def _refusal(message: str) -> JsonObject:
    hint = "nothing was sent; ask the person, or use a tool that only reads"
    return render_error(message, ErrorDetail(kind=ErrorKind.CANCELLED, hint=hint), None)
