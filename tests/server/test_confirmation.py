"""With `--confirm-writes` nothing is written upstream before a person has said yes."""

from typing import Any, Literal

import mcp_types as types
import pytest
from mcp import Client

from server.mcp_surface.selection import Selection
from server.mcp_surface.surface import McpSurface
from server.service import Service
from tests.web import Answer, Web

MODES = pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
Action = Literal["accept", "decline", "cancel"]


async def store(service: Service, web: Web) -> McpSurface:
    web.answers(Answer({"ok": True}))
    for tool_id, method in (("reads", "GET"), ("writes", "DELETE")):
        config = {"url": f"{web.url}/things/<<id>>", "method": method}
        definition = {"id": tool_id, "steps": [{"id": "s", "config": config}]}
        _, outcome = await service.tools.put(definition)
        assert outcome is not None
    return McpSurface(service, Selection(confirm_writes=True))


async def call(surface: McpSurface, mode: str, tool: str, action: Action | None) -> Any:
    """Call a tool as a client whose person answers so, or that can ask nobody."""
    asked: list[str] = []

    async def answer(context: Any, params: types.ElicitRequestParams) -> types.ElicitResult:
        asked.append(params.message)
        return types.ElicitResult(action=action or "cancel", content={})

    callback = answer if action is not None else None
    async with Client(surface.server, mode=mode, elicitation_callback=callback) as client:
        return await client.call_tool(tool, {"id": 7}), asked


@MODES
async def test_a_run_that_writes_starts_when_it_is_confirmed(
    mode: str, service: Service, web: Web
) -> None:
    answer, asked = await call(await store(service, web), mode, "writes", "accept")
    assert answer.structured_content == {"ok": True}
    assert [seen.method for seen in web.seen] == ["DELETE"]
    assert asked == ['writes changes or deletes something upstream. Run it with {"id":7}?']


@MODES
@pytest.mark.parametrize("action", ["decline", "cancel"])
async def test_a_run_that_is_not_confirmed_never_starts(
    mode: str, action: Action, service: Service, web: Web
) -> None:
    answer, _ = await call(await store(service, web), mode, "writes", action)
    assert answer.is_error
    assert "was not confirmed" in answer.content[0].text
    assert web.seen == []


@MODES
async def test_a_client_that_can_ask_nobody_cannot_write(
    mode: str, service: Service, web: Web
) -> None:
    answer, _ = await call(await store(service, web), mode, "writes", None)
    assert answer.is_error
    assert "cannot ask anybody" in answer.content[0].text
    assert web.seen == []


@MODES
async def test_a_run_that_reads_is_not_asked_about(mode: str, service: Service, web: Web) -> None:
    answer, asked = await call(await store(service, web), mode, "reads", "decline")
    assert answer.structured_content == {"ok": True}
    assert asked == []
