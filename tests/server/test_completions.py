"""Completions for the variables of every resource template, in both eras."""

import re
from typing import Any

from mcp import Client
from mcp.types import ResourceTemplateReference

from server.mcp_surface.uris import TEMPLATES
from server.service import Service
from tests.server.helpers import request_tool, script_tool, start, store
from tests.server.test_mcp import ERAS, connected
from tests.web import Answer, Web


async def complete(
    client: Client, variable: str, value: str = "", known: dict[str, str] | None = None
) -> list[str]:
    template = next(one.template for one in TEMPLATES if variable in variables(one.template))
    answer = await client.complete(
        ResourceTemplateReference(type="ref/resource", uri=template),
        {"name": variable, "value": value},
        context_arguments=known,
    )
    return answer.completion.values


def variables(template: str) -> set[str]:
    names = ",".join(re.findall(r"{\??([^}]+)}", template))
    return set(names.split(","))


@ERAS
async def test_every_variable_of_every_template_is_completed_or_free_text(
    era: str, service: Service, web: Web
) -> None:
    web.responds(lambda seen: Answer({"rows": [1], "total": 1}))
    await store(service, request_tool("orders", web.url), script_tool("other", "1"))
    await (await start(service, "orders", run_id="r1")).wait()
    await (await start(service, "other", run_id="r2")).wait()
    async with connected(service, era) as client:
        free = {"search", "systemId", "key"}
        known = {"runId": "r1"}
        for template in TEMPLATES:
            for variable in variables(template.template) - free:
                assert await complete(client, variable, known=known), variable
        assert await complete(client, "toolId", "or") == ["orders"]
        assert await complete(client, "runId", "r") == ["r2", "r1"]
        assert await complete(client, "runId", "", {"toolId": "orders"}) == ["r1"]
        assert await complete(client, "stepId", "", known) == ["get"]
        assert await complete(client, "stepId", "", {"runId": "nobody"}) == []
        assert await complete(client, "nodeIds", "", known) == ["root", "get"]
        assert await complete(client, "fields", "t", known) == ["total"]
        assert await complete(client, "requestSources", "mcp,s") == ["mcp,scheduler"]
        assert await complete(client, "status", "f") == ["failed"]


@ERAS
async def test_no_more_than_a_hundred_values_are_proposed(era: str, service: Service) -> None:
    for number in range(120):
        await service.tools.store.put(script_tool(f"t{number:03}", "1"))  # unchecked, fast
    await service.catalog.refresh()
    async with connected(service, era) as client:
        answer: Any = await client.complete(
            ResourceTemplateReference(type="ref/resource", uri="callslip://tools/{toolId}"),
            {"name": "toolId", "value": "t"},
        )
        assert len(answer.completion.values) == 100
        assert (answer.completion.total, answer.completion.has_more) == (120, True)
