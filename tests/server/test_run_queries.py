"""What may be asked of the history, where REST and MCP must say the same."""

from typing import Any

import httpx
import pytest

from server.mcp_surface.resources import BadParameterError, read_resource
from server.service import Service
from tests.server.helpers import script_tool, start, store
from tests.server.rest.helpers import http_server, message_of, rest_client


@pytest.mark.parametrize(
    "query",
    [
        "requestSources=api,x",
        "startedAfter=then",
        "toolid=orders",
        "sarch=word",
    ],
)
async def test_both_surfaces_refuse_a_filter_in_the_same_words(
    query: str, service: Service
) -> None:
    async with http_server(service) as url, rest_client(url) as client:
        said = message_of(await client.get(f"/runs?{query}"), 400)
    with pytest.raises(BadParameterError) as refused:
        await read_resource(service, f"callslip://runs?{query}")
    assert str(refused.value) == said


async def test_both_surfaces_show_the_same_views_of_a_run(service: Service) -> None:
    await store(service, script_tool("t", "1"))
    run = await start(service, "t")
    await run.wait()

    async def views(query: str) -> tuple[Any, Any]:
        over_mcp: Any = await read_resource(service, f"callslip://runs/{run.run_id}?{query}")
        answer: httpx.Response = await client.get(f"/runs/{run.run_id}?{query}")
        over_rest = answer.json()
        return over_mcp.keys(), over_rest.get("data", over_rest).keys()

    async with http_server(service) as url, rest_client(url) as client:
        for query in (
            "view=tool&summary=true",
            "view=workflow",
            "view=workflow&summary=true",
            "nodeIds=root",
        ):
            over_mcp, over_rest = await views(query)
            assert over_mcp == over_rest, query
        refused = message_of(await client.get(f"/runs/{run.run_id}?view=tool&nodeIds=a"), 400)
        # A summary alone asks REST for the workflow view, and trims what MCP shows anyhow.
        over_mcp, over_rest = await views("summary=true")
        assert ("runId" in over_mcp, "workflowId" in over_rest) == (True, True)
    with pytest.raises(BadParameterError) as same:
        await read_resource(service, f"callslip://runs/{run.run_id}?view=tool&nodeIds=a")
    assert str(same.value) == refused
