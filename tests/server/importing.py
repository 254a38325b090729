"""What the tests of imports share: documents in a few lines, and what a tool of them sends."""

import json
from typing import Any

from server.importing import ImportReport, import_document
from server.service import Service
from tests.server.helpers import start
from tests.web import Answer, Seen, Web
from tools.importers.openapi import OpenApiOptions
from tools.run import RunOutcome

SOURCE = "api.json"


def document(url: str, paths: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """An OpenAPI 3.1 document with one server."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "Echo", "version": "1"},
        "servers": [{"url": url}],
        "paths": paths,
        **fields,
    }


def operation(*parameters: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """An operation named `it`."""
    return {
        "operationId": "it",
        "parameters": list(parameters),
        "responses": {"200": {"description": "fine"}},
        **fields,
    }


async def imported(
    service: Service, content: Any, *, source: str = SOURCE, dry_run: bool = False, **options: Any
) -> ImportReport:
    """Import a document as it is, or from its value."""
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    return await import_document(service, data, OpenApiOptions(**options), source, dry_run=dry_run)


async def run(service: Service, tool_id: str, inputs: dict[str, Any]) -> RunOutcome:
    return await (await start(service, tool_id, inputs)).wait()


async def sent(service: Service, web: Web, inputs: dict[str, Any], tool_id: str = "it") -> Seen:
    """The one request that a tool sends."""
    web.responds(lambda seen: Answer({"ok": True}))
    before = len(web.seen)
    outcome = await run(service, tool_id, inputs)
    assert outcome.error is None, outcome.error
    assert len(web.seen) == before + 1
    return web.seen[-1]
