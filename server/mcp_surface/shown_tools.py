"""The tools that a connection is shown, and the calls that need nothing else of it."""

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING

from server.mcp_surface.calls import StoredCall
from server.mcp_surface.cursors import decode_cursor, encode_cursor
from server.mcp_surface.finding_tools import (
    DEFAULT_FOUND,
    RUN_TOOL,
    SEARCH_TOOLS,
    found_tools,
)
from server.mcp_surface.history_tools import (
    RERUN_RUN,
    HistoryTool,
    history_tools,
)
from server.mcp_surface.own_tool import OwnTool, OwnToolError
from server.mcp_surface.published import PublishedTool
from server.mcp_surface.published_list import PublishedList
from server.mcp_surface.selection import Selection
from server.rendering import render_error
from server.service import Service, UnknownRunError
from storage.errors import StorageError
from tools.errors import ErrorDetail, ErrorKind
from tools.json_text import JsonObject, encode_unicode
from tools.suggestions import did_you_mean

if TYPE_CHECKING:
    from server.mcp_surface.authoring import AuthoringTool

__all__ = [
    "ShownTools",
    "invalid_arguments",
    "structured",
    "tool_error",
]

_log = logging.getLogger(__name__)

_PAGE = 100


class ShownTools:
    """Stored tools as a selection shows them, and ours beside them."""

    def __init__(self, service: Service, selection: Selection) -> None:
        self._service = service
        self.selection = selection
        self.history = history_tools(selection.history_tools)
        self.authoring: Mapping[str, AuthoringTool] = (
            _authoring_tools() if selection.authoring else {}
        )
        leaves_out = selection.max_listed_tools is not None
        self._searches = leaves_out or selection.history_tools != "none"
        self._runs_by_id = leaves_out or selection.history_tools == "all"
        self.reruns = selection.history_tools == "all"
        own: list[OwnTool] = [*self.history.values(), *self.authoring.values()]
        own += [RERUN_RUN] if self.reruns else []
        own += [SEARCH_TOOLS] if self._searches else []
        own += [RUN_TOOL] if self._runs_by_id else []
        self._published = PublishedList(service.catalog, selection, [tool.wire for tool in own])

    @property
    def revision(self) -> int:
        """Changes when what is shown may have changed."""
        return self._service.catalog.revision

    def prepare(self) -> None:
        """Name all tools now, so that the first answers do not wait for that."""
        has_any = self._published.has_stored_tools()
        if self.selection.narrows and not has_any:
            _log.warning("no stored tool is in the folders and of the ids that serve was told")

    def page(self, cursor: str | None) -> JsonObject:
        """`{tools, nextCursor?}`. Raises `BadCursorError`."""
        tools, following = self._published.page(decode_cursor(cursor), _PAGE)
        result: JsonObject = {"tools": tools}
        if following is not None:
            result["nextCursor"] = encode_cursor(following)
        return result

    def get(self, name: str) -> PublishedTool | OwnTool | None:
        """The tool of this name, except `rerun_run`, `search_tools` and `run_tool`."""
        own = self.history.get(name) or self.authoring.get(name)
        return own or self._published.get(name)

    def unknown(self, name: str) -> str:
        """What to say of a name that no tool has."""
        near = did_you_mean(name, self._published.names())
        known = f"; did you mean {near}?" if near else ""
        return f"Unknown tool: {name}{known}; list the tools again"

    async def answer_from_history(self, name: str, arguments: JsonObject) -> JsonObject | None:
        """The answer of a tool that runs nothing; None when it is another one."""
        tool = self.history.get(name)
        if tool is not None:
            return await self._answer_of(tool, arguments)
        if self._searches and name == SEARCH_TOOLS.name:
            return self._search(arguments)
        return None

    def stored_call(self, name: str, arguments: JsonObject) -> StoredCall | JsonObject | None:
        """The call of a stored tool, or what is wrong with it; None when it is another one."""
        if not (self._runs_by_id and name == RUN_TOOL.name):
            tool = self._published.get(name)
            return None if tool is None else StoredCall(tool, arguments)
        if problems := RUN_TOOL.problems(arguments):
            return invalid_arguments(problems)
        tool = self._published.by_id(arguments["toolId"])
        if tool is None:
            known = "search_tools shows ids"
            return tool_error(f"no stored tool has the id {arguments['toolId']}; {known}")
        return StoredCall(tool, arguments.get("inputs", {}), arguments.get("idempotencyKey"))

    async def _answer_of(self, tool: HistoryTool, arguments: JsonObject) -> JsonObject:
        if problems := tool.problems(arguments):
            return invalid_arguments(problems)
        try:
            if not tool.reads:
                await self._require_shown(arguments["runId"])
            limit = self._service.settings.inline_limit_characters
            return structured(await tool.call(self._service, arguments, limit))
        except OwnToolError as error:
            return tool_error(str(error))
        except StorageError as error:
            return tool_error(str(error), ErrorKind.INTERNAL)

    async def _require_shown(self, run_id: str) -> None:
        """Raises `OwnToolError` for a run of a tool that may not be called here."""
        if not self.selection.narrows:
            return
        try:
            run = await self._service.get_run(run_id, with_steps=False)
        except UnknownRunError:
            # The tool says so.
            return
        if self._published.by_id(run.tool_id) is None:
            raise OwnToolError(
                f"run {run_id} is one of tool {run.tool_id}, which this server may not run; "
                "where it may, its runs can be cancelled too"
            )

    def _search(self, arguments: JsonObject) -> JsonObject:
        if problems := SEARCH_TOOLS.problems(arguments):
            return invalid_arguments(problems)
        limit = arguments.get("limit", DEFAULT_FOUND)
        return structured(found_tools(*self._published.search(arguments["query"], limit)))


def _authoring_tools() -> "Mapping[str, AuthoringTool]":
    # The importers take a quarter of a cold start, and few connections write tools.
    from server.mcp_surface.authoring import AUTHORING_TOOLS

    return AUTHORING_TOOLS


def structured(content: JsonObject) -> JsonObject:
    """An answer with structured content, and the same as text."""
    value, text = encode_unicode(content)
    return {
        "content": [{"type": "text", "text": text}],
        "structuredContent": value,
        "isError": False,
    }


def tool_error(message: str, kind: ErrorKind = ErrorKind.INVALID_INPUT) -> JsonObject:
    """An answer that says what is wrong."""
    return render_error(message, ErrorDetail(kind=kind), None)


def invalid_arguments(problems: list[str]) -> JsonObject:
    """An answer to arguments that do not fit the schema of a tool of ours."""
    return tool_error("Input validation failed: " + "\n".join(problems))
