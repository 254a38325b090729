"""The MCP server over a service: translates, and does nothing else."""

from collections.abc import Mapping
from typing import Any, cast

import mcp_types as types
from mcp.server.caching import CacheHint
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import NotificationOptions, Server
from mcp.shared.exceptions import MCPError

from server.mcp_surface.authoring import Asking, AuthoringTool
from server.mcp_surface.call_context import CallContext
from server.mcp_surface.calls import call_stored_tool
from server.mcp_surface.completions import completion
from server.mcp_surface.confirmation import confirm_write
from server.mcp_surface.cursors import BadCursorError
from server.mcp_surface.greeting import (
    FRESHNESS,
    INSTRUCTIONS,
    MODERN_VERSION,
    SERVER_INFO,
)
from server.mcp_surface.history_tools import (
    RERUN_RUN,
    rerun_run,
)
from server.mcp_surface.notifications import Notifier
from server.mcp_surface.own_tool import OwnToolError
from server.mcp_surface.prompts import PromptError, prompt_list, prompt_messages, prompts
from server.mcp_surface.resources import BadParameterError, NotFoundError
from server.mcp_surface.selection import Selection
from server.mcp_surface.shown_resources import ShownResources, resource_templates
from server.mcp_surface.shown_tools import (
    ShownTools,
    invalid_arguments,
    structured,
    tool_error,
)
from server.mcp_surface.sign_in import offer_sign_in
from server.service import Service
from server.version import VERSION
from storage.errors import StorageError
from tools.errors import ErrorKind
from tools.json_text import JsonObject, encode_json_text

__all__ = ["McpSurface"]

Context = ServerRequestContext[Any]

#: Resource not found, before 2026-07-28.
_LEGACY_NOT_FOUND = -32002


class _DualEraServer(Server[Any]):
    """The SDK's HTTP manager asks for options without saying that lists change; they do."""

    def create_initialization_options(
        self,
        notification_options: NotificationOptions | None = None,
        experimental_capabilities: dict[str, dict[str, Any]] | None = None,
        extensions: dict[str, dict[str, Any]] | None = None,
    ) -> Any:
        return super().create_initialization_options(
            notification_options or NotificationOptions(tools_changed=True, resources_changed=True),
            experimental_capabilities,
            extensions,
        )


class McpSurface:
    """One MCP server; `server` speaks on any transport while `notifier.run` is under way."""

    def __init__(
        self,
        service: Service,
        selection: Selection | None = None,
        tools: ShownTools | None = None,
    ) -> None:
        self._service = service
        self._selection = selection or Selection()
        self.tools = tools or ShownTools(service, self._selection)
        self._resources = ShownResources(service, self._selection)
        self._prompts = prompts(with_authoring=self._selection.authoring)
        self.notifier = Notifier(service.sight_of, announces_runs=service.settings.announce_runs)
        service.tools_changed.append(self.notifier.tools_changed)
        service.runs_changed.append(self.notifier.resources_changed)
        service.run_updated.append(self.notifier.run_updated)
        service.home_changed.append(self.notifier.home_changed)
        self.server: Server[Any] = _DualEraServer(
            SERVER_INFO["name"],
            version=VERSION,
            title=SERVER_INFO["title"],
            instructions=INSTRUCTIONS,
            cache_hints=cast("Any", {name: CacheHint(*how) for name, how in FRESHNESS.items()}),
            get_tool_input_schema=self._input_schema,
            on_list_tools=self._list_tools,
            on_call_tool=self._call_tool,
            on_list_resources=self._list_resources,
            on_list_resource_templates=self._list_templates,
            on_read_resource=self._read_resource,
            on_completion=self._complete,
            on_list_prompts=self._list_prompts,
            on_get_prompt=self._get_prompt,
            on_subscribe_resource=self.notifier.subscribe,
            on_unsubscribe_resource=self.notifier.unsubscribe,
            on_subscriptions_listen=self.notifier.listen,
        )
        if not service.settings.exports_traces:
            # The SDK's spans cost each message, and nobody collects them.
            self.server.middleware.clear()
        self.server.middleware.append(self.notifier.remember_handshake)

    # The SDK takes plain dicts for results, which saves building and taking apart its models; its
    # signatures do not say so, hence `Any`.

    async def _list_tools(self, context: Context, params: Any) -> Any:
        try:
            return _finished(context, self.tools.page(params and params.cursor))
        except BadCursorError as error:
            raise MCPError(types.INVALID_PARAMS, str(error)) from None

    def _input_schema(self, name: str) -> Mapping[str, Any] | None:
        tool = self.tools.get(name)
        return None if tool is None else tool.wire["inputSchema"]

    async def _call_tool(self, context: Context, params: types.CallToolRequestParams) -> Any:
        answer = await self._answer(context, params, dict(params.arguments or {}))
        return answer if "resultType" in answer else _finished(context, answer)

    async def _answer(
        self, context: Context, params: types.CallToolRequestParams, arguments: JsonObject
    ) -> JsonObject:
        answer = await self.tools.answer_from_history(params.name, arguments)
        if answer is not None:
            return answer
        authoring = self.tools.authoring.get(params.name)
        if authoring is not None:
            asking = Asking(context, params, self._selection)
            return await self._call_authoring_tool(authoring, arguments, asking)
        if self.tools.reruns and params.name == RERUN_RUN.name:
            return await rerun_run(self._service, self._selection, arguments, params, context)
        call = self.tools.stored_call(params.name, arguments)
        if call is None:
            raise MCPError(types.INVALID_PARAMS, self.tools.unknown(params.name))
        if isinstance(call, dict):
            return call
        if self._selection.confirm_writes:
            answer = await confirm_write(call.tool, call.arguments, params, context)
        answer = answer or await offer_sign_in(self._service, call.tool, params, context)
        return answer or await call_stored_tool(self._service, call, CallContext.of(context))

    async def _call_authoring_tool(
        self, tool: AuthoringTool, arguments: JsonObject, asking: Asking
    ) -> JsonObject:
        if problems := tool.problems(arguments):
            return invalid_arguments(problems)
        try:
            answer = await tool.call(self._service, arguments, asking)
        except OwnToolError as error:
            return tool_error(str(error))
        except StorageError as error:
            return tool_error(str(error), ErrorKind.INTERNAL)
        # A run is answered like every other call, or with a question before it.
        if {"content", "resultType"} & answer.keys():
            return answer
        if answer.get("outcome") == "refused":
            return tool_error(encode_json_text(answer))
        return structured(answer)

    async def _list_prompts(self, context: Context, params: Any) -> Any:
        return _finished(context, prompt_list(self._prompts))

    async def _get_prompt(self, context: Context, params: types.GetPromptRequestParams) -> Any:
        try:
            messages = prompt_messages(self._prompts, params.name, params.arguments or {})
        except PromptError as error:
            raise MCPError(types.INVALID_PARAMS, str(error)) from None
        return _finished(context, messages)

    async def _list_resources(self, context: Context, params: Any) -> Any:
        try:
            return _finished(context, await self._resources.page(params and params.cursor))
        except BadCursorError as error:
            raise MCPError(types.INVALID_PARAMS, str(error)) from None

    async def _list_templates(self, context: Context, params: Any) -> Any:
        return _finished(context, resource_templates())

    async def _read_resource(
        self, context: Context, params: types.ReadResourceRequestParams
    ) -> Any:
        uri = str(params.uri)
        try:
            return _finished(context, await self._resources.read(uri))
        except NotFoundError as error:
            modern = context.protocol_version >= MODERN_VERSION
            code = types.INVALID_PARAMS if modern else _LEGACY_NOT_FOUND
            raise MCPError(code, f"Resource not found: {error}", {"uri": uri}) from None
        except BadParameterError as error:
            raise MCPError(types.INVALID_PARAMS, str(error), {"uri": uri}) from None

    async def _complete(self, context: Context, params: types.CompleteRequestParams) -> Any:
        if not isinstance(params.ref, types.ResourceTemplateReference):
            # What a prompt needs is said freely.
            return _finished(context, {"completion": {"values": [], "total": 0, "hasMore": False}})
        known = params.context.arguments if params.context is not None else None
        argument = params.argument
        found = await completion(self._service, argument.name, argument.value, known or {})
        return _finished(context, found)


def _finished(context: Context, result: JsonObject) -> JsonObject:
    """Plain dicts say themselves what 2026-07-28 requires of every result."""
    if context.protocol_version >= MODERN_VERSION:
        result["resultType"] = "complete"
    return result
