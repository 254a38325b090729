"""The resources that a connection is shown: the runs, and what is told of them."""

import base64
from functools import cache
from importlib.resources import files

from server.mcp_surface.cursors import BadCursorError, decode_cursor, encode_cursor
from server.mcp_surface.resources import read_resource
from server.mcp_surface.selection import Selection
from server.mcp_surface.too_large import bounded_text
from server.mcp_surface.uris import TEMPLATES, TOOL_FORMAT_URI, run_uri
from server.service import Service
from storage.run_lists import RunFilter
from storage.run_record import StoredRun
from tools.decoders.result import StoredFile
from tools.json_text import JsonObject
from tools.run import rfc3339

__all__ = ["ShownResources", "resource_templates"]

_RUNS_PAGE = 50


class ShownResources:
    """Lists and reads, as results of the protocol."""

    def __init__(self, service: Service, selection: Selection) -> None:
        self._service = service
        self._selection = selection

    async def page(self, cursor: str | None) -> JsonObject:
        """`{resources, nextCursor?}`, newest first. Raises `BadCursorError`, `StorageError`."""
        before = decode_cursor(cursor)
        if before and not before.isdecimal():
            raise BadCursorError
        page = await self._service.list_runs(
            RunFilter(), limit=_RUNS_PAGE, before_seq=int(before) if before else None
        )
        resources: list[JsonObject] = []
        if not before:
            resources.append(
                {
                    "uri": "callslip://runs",
                    "name": "runs",
                    "title": "All runs",
                    "description": "Recorded runs, newest first.",
                    "mimeType": "application/json",
                }
            )
        if not before and self._selection.authoring:
            resources.append(
                {
                    "uri": TOOL_FORMAT_URI,
                    "name": "tool-format",
                    "title": "The tool format",
                    "description": "What a stored tool may hold, for those who write one.",
                    "mimeType": "text/markdown",
                }
            )
        resources.extend(map(_resource_of, page.runs))
        result: JsonObject = {"resources": resources}
        if page.has_more:
            result["nextCursor"] = encode_cursor(str(page.runs[-1].seq))
        return result

    async def read(self, uri: str) -> JsonObject:
        """`{contents}`.

        Raises `NotFoundError`, `BadParameterError` of `server.mcp_surface.resources`,
        `StorageError`.
        """
        if uri == TOOL_FORMAT_URI:
            content: JsonObject = {"mimeType": "text/markdown", "text": _tool_format()}
        else:
            value = await read_resource(self._service, uri)
            if isinstance(value, StoredFile):
                blob = base64.b64encode(value.data).decode()
                content = {"mimeType": value.content_type, "blob": blob}
            else:
                content = {"mimeType": "application/json", "text": bounded_text(value)}
        return {"contents": [{"uri": uri, **content}]}


def resource_templates() -> JsonObject:
    """`{resourceTemplates}`."""
    templates = [
        {
            "uriTemplate": one.template,
            "name": one.name,
            "title": one.title,
            "description": one.description,
            **({"mimeType": one.mime_type} if one.mime_type else {}),
        }
        for one in TEMPLATES
    ]
    return {"resourceTemplates": templates}


@cache
def _tool_format() -> str:
    return (files("server.mcp_surface") / "tool_format.md").read_text("utf-8")


def _resource_of(run: StoredRun) -> JsonObject:
    description = f"{run.tool_id} {run.status}"
    if run.error is not None:
        description += f": {run.error[:200]}"
    return {
        "uri": run_uri(run.run_id),
        "name": f"run {run.run_id}",
        "title": f"{run.tool_id} · {run.status} · {rfc3339(run.started_at)}",
        "description": description,
        "mimeType": "application/json",
    }
