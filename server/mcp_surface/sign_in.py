"""Offering the address of a sign-in to the person, where the client can open one.

The address goes to the system's own page; no form ever asks for a secret. A client that cannot open
addresses gets the run's error, which names the command.
"""

import uuid
from typing import TYPE_CHECKING, Any

import anyio

from server.connections import PendingSignIn
from server.mcp_surface.published import PublishedTool
from server.service import Service
from storage.errors import StorageError
from tools.errors import RunError
from tools.json_text import JsonObject
from tools.system import System

if TYPE_CHECKING:
    import mcp_types as types
    from mcp.server.context import ServerRequestContext

__all__ = ["offer_sign_in", "waiting_for_sign_in"]

_MODERN = "2026-07-28"
_KEY = "signIn"


async def offer_sign_in(
    service: Service,
    published: PublishedTool,
    params: "types.CallToolRequestParams",
    context: "ServerRequestContext[Any]",
) -> JsonObject | None:
    """None when the run may start, else the question that the call is answered with.

    The run starts when the person has signed in, has declined, or has not come back in time; it
    then succeeds or says what is missing.
    """
    capabilities = context.session.client_capabilities
    elicitation = capabilities.elicitation if capabilities is not None else None
    if elicitation is None or elicitation.url is None:
        return None
    for system in await waiting_for_sign_in(service, published):
        pending = await service.connections.begin_sign_in(system)
        if pending.address is None:
            return None
        message = f"{published.wire['title']} needs you to sign in to {system.name or system.id}."
        if context.protocol_version >= _MODERN:
            response = (params.input_responses or {}).get(_KEY)
            if response is None:
                return _question(message, pending.address)
            action = getattr(response, "action", None)
        else:
            action = await _ask(context, message, pending.address)
        if action != "accept":
            return None
        await _wait(service, pending)
    return None


async def waiting_for_sign_in(service: Service, published: PublishedTool) -> list[System]:
    """The systems of a tool that a person has to sign in to before it can run."""
    entry = service.catalog.get(published.tool_id)
    if entry is None:
        return []
    try:
        return await service.connections.waiting_for_sign_in(entry.prepared.tool, "prod")
    except (RunError, StorageError):
        # The run itself says what is wrong with the credentials.
        return []


def _question(message: str, address: str) -> JsonObject:
    params = {"mode": "url", "message": message, "url": address}
    request = {"method": "elicitation/create", "params": params}
    return {"resultType": "input_required", "inputRequests": {_KEY: request}}


async def _ask(context: "ServerRequestContext[Any]", message: str, address: str) -> str | None:
    from mcp.shared.exceptions import MCPError

    try:
        answer = await context.session.elicit_url(
            message, address, str(uuid.uuid4()), context.request_id
        )
    except MCPError:
        return None
    return answer.action


async def _wait(service: Service, pending: PendingSignIn) -> None:
    """The person is on the system's page; hosts end calls that take too long."""
    with anyio.move_on_after(service.settings.soft_deadline_seconds):
        await pending.done.wait()
