"""Methods that clients call all the time, answered without the SDK."""

from collections.abc import Awaitable, Callable

from server.mcp_surface.call_context import CallContext, ReportProgress
from server.mcp_surface.calls import StoredCall, call_stored_tool
from server.mcp_surface.completions import completion
from server.mcp_surface.cursors import BadCursorError
from server.mcp_surface.greeting import stamped
from server.mcp_surface.plain_requests import (
    CallingClient,
    PlainRequest,
    notification_line,
    object_in,
)
from server.mcp_surface.prompts import PromptError, prompt_list, prompt_messages, prompts
from server.mcp_surface.resources import BadParameterError, NotFoundError
from server.mcp_surface.shown_resources import ShownResources, resource_templates
from server.mcp_surface.shown_tools import ShownTools
from server.mcp_surface.sign_in import waiting_for_sign_in
from server.service import Service
from storage.errors import StorageError
from tools.json_text import Json, JsonObject, encode_json

__all__ = ["DirectMethods", "Method"]

#: Lists of tools that are kept as text; a client asks for each page when it connects.
_KEPT_PAGES = 4

#: The result, as a value or as its JSON text; None when the request is the SDK's after all, as
#: everything is that is to be answered with an error of the protocol.
Method = Callable[[PlainRequest], Awaitable[JsonObject | bytes | None]]


class DirectMethods:
    """The methods of one connection, in `by_name`; `write_line` takes reports of progress."""

    def __init__(
        self,
        service: Service,
        tools: ShownTools,
        write_line: Callable[[bytes], Awaitable[None]],
    ) -> None:
        self._service = service
        self._tools = tools
        self._write_line = write_line
        self._resources = ShownResources(service, tools.selection)
        self._prompts = prompts(with_authoring=tools.selection.authoring)
        self._pages: dict[str, bytes] = {}
        self._pages_revision: int | None = None
        self.by_name: dict[str, Method] = {
            "tools/call": self._call,
            "tools/list": self._list_tools,
            "prompts/list": self._list_prompts,
            "prompts/get": self._get_prompt,
            "resources/list": self._list_resources,
            "resources/templates/list": self._list_templates,
            "resources/read": self._read_resource,
            "completion/complete": self._complete,
        }

    async def _call(self, request: PlainRequest) -> JsonObject | None:
        name = request.params.get("name")
        arguments = object_in(request.params.get("arguments", {}))
        if not isinstance(name, str) or arguments is None:
            return None
        if not request.has_only("name", "arguments"):
            return None
        answer = await self._tools.answer_from_history(name, arguments)
        if answer is not None:
            return answer
        call = self._tools.stored_call(name, arguments)
        if call is None or isinstance(call, dict):
            return call
        if await self._may_ask_first(call, request.client):
            return None
        return await call_stored_tool(self._service, call, self._context_of(request))

    async def _may_ask_first(self, call: StoredCall, client: CallingClient) -> bool:
        """Whether the person may have to confirm the call, or sign in."""
        if self._tools.selection.confirm_writes:
            return True
        return client.opens_addresses and bool(await waiting_for_sign_in(self._service, call.tool))

    def _context_of(self, request: PlainRequest) -> CallContext:
        client, token = request.client, request.meta.get("progressToken")
        reporter = None if token is None else self._reporter(token)
        return CallContext(
            client.protocol_version, client.name, client.version, request.meta, reporter
        )

    def _reporter(self, token: str | int) -> ReportProgress:
        async def report(progress: float, total: float | None, message: str | None) -> None:
            params: JsonObject = {"progressToken": token, "progress": progress}
            if total is not None:
                params["total"] = total
            if message is not None:
                params["message"] = message
            await self._write_line(notification_line("notifications/progress", params))

        return report

    async def _list_tools(self, request: PlainRequest) -> bytes | None:
        if request.cursor is None:
            return None
        try:
            page = self._page(request.cursor)
        except BadCursorError:
            return None
        if not request.client.is_modern:
            return page
        return encode_json(stamped({}, request.method))[:-1] + b"," + page[1:]

    async def _list_prompts(self, request: PlainRequest) -> JsonObject | None:
        return None if request.cursor is None else prompt_list(self._prompts)

    async def _get_prompt(self, request: PlainRequest) -> JsonObject | None:
        name, arguments = request.params.get("name"), _texts_in(request.params.get("arguments", {}))
        if not isinstance(name, str) or arguments is None:
            return None
        if not request.has_only("name", "arguments"):
            return None
        try:
            return prompt_messages(self._prompts, name, arguments)
        except PromptError:
            return None

    async def _complete(self, request: PlainRequest) -> JsonObject | None:
        if not request.has_only("ref", "argument", "context"):
            return None
        reference = _texts_in(request.params.get("ref"))
        argument = _texts_in(request.params.get("argument"))
        context = object_in(request.params.get("context", {}))
        known = None if context is None else _texts_in(context.get("arguments", {}))
        if reference is None or argument is None or known is None:
            return None
        if reference.get("type") != "ref/resource" or reference.keys() != {"type", "uri"}:
            return None
        if argument.keys() != {"name", "value"}:
            return None
        try:
            return await completion(self._service, argument["name"], argument["value"], known)
        except StorageError:
            return None

    async def _list_templates(self, request: PlainRequest) -> JsonObject | None:
        return None if request.cursor is None else resource_templates()

    async def _list_resources(self, request: PlainRequest) -> JsonObject | None:
        if request.cursor is None:
            return None
        try:
            return await self._resources.page(request.cursor)
        except (BadCursorError, StorageError):
            return None

    async def _read_resource(self, request: PlainRequest) -> JsonObject | None:
        uri = request.params.get("uri")
        if not isinstance(uri, str) or not request.has_only("uri"):
            return None
        try:
            return await self._resources.read(uri)
        except (NotFoundError, BadParameterError, StorageError):
            return None

    def _page(self, cursor: str) -> bytes:
        if self._pages_revision != self._tools.revision:
            self._pages_revision = self._tools.revision
            self._pages.clear()
        page = self._pages.get(cursor)
        if page is None:
            page = encode_json(self._tools.page(cursor))
            if len(self._pages) < _KEPT_PAGES:
                self._pages[cursor] = page
        return page


def _texts_in(value: Json) -> dict[str, str] | None:
    """The value, when it is an object of texts."""
    found = object_in(value)
    if found is None or not all(isinstance(one, str) for one in found.values()):
        return None
    return found
