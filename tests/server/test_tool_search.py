"""`search_tools`: which tools are found for which words, and in which order."""

from typing import Any

from server.catalog import CatalogEntry
from server.mcp_surface.tool_search import ToolIndex
from server.service import Service
from storage.tools import StoredTool
from tests.server.helpers import script_tool, store
from tests.server.test_mcp import ERAS, call, connected, text


def index(*definitions: dict[str, Any]) -> ToolIndex:
    found = ToolIndex()
    found.update(
        {
            definition["id"]: CatalogEntry(StoredTool(definition["id"], 1, number, definition))
            for number, definition in enumerate(definitions)
        }
    )
    return found


ISSUES = {
    "id": "listOpenIssues",
    "name": "Open issues",
    "folder": "github",
    "instruction": "Lists the open issues of a repository, newest first.",
    "inputSchema": {
        "type": "object",
        "properties": {"repository": {"type": "string", "description": "owner/name"}},
    },
}
ORDERS = {
    "id": "get_orders",
    "instruction": "Orders of a customer; issues are not among them.",
    "inputSchema": {
        "type": "object",
        "properties": {
            "customer": {"type": "object", "properties": {"mailAddress": {"type": "string"}}}
        },
    },
}
WEATHER = {"id": "weather", "instruction": "Forecast for a place."}


def test_a_name_says_more_than_prose() -> None:
    assert index(ORDERS, ISSUES, WEATHER).search("issues") == ["listOpenIssues", "get_orders"]


def test_names_are_split_into_words_and_plurals_are_one_with_singulars() -> None:
    tools = index(ISSUES, ORDERS, WEATHER)
    assert tools.search("open issue")[0] == "listOpenIssues"
    assert tools.search("order") == ["get_orders"]
    assert tools.search("repositories") == ["listOpenIssues"]
    assert tools.search("listopenissues") == ["listOpenIssues"]


def test_folders_inputs_and_inner_inputs_count() -> None:
    tools = index(ISSUES, ORDERS, WEATHER)
    assert tools.search("github") == ["listOpenIssues"]
    assert tools.search("mail") == ["get_orders"]
    assert tools.search("customers") == ["get_orders"]


def test_the_beginning_of_a_word_is_enough() -> None:
    assert index(ISSUES, WEATHER).search("fore") == ["weather"]


def test_rare_words_say_more_than_common_ones() -> None:
    many = [{"id": f"list_{n}", "instruction": "list things"} for n in range(50)]
    tools = index(*many, {"id": "zebra", "instruction": "things about zebras"})
    assert tools.search("list zebra")[0] == "zebra"


def test_tools_that_change_are_found_by_their_new_words() -> None:
    tools = index(WEATHER)
    tools.update({"weather": CatalogEntry(StoredTool("weather", 2, 99, {"id": "tides"}))})
    assert tools.search("forecast") == []
    assert tools.search("tide") == ["weather"]


def test_strange_definitions_and_words_find_nothing_and_break_nothing() -> None:
    strange: dict[str, Any] = {
        "id": "odd",
        "instruction": 5,
        "folder": None,
        "inputSchema": {"properties": {"a": True, "b": {"items": {"properties": []}}}},
    }
    tools = index(strange)
    assert tools.search("odd") == ["odd"]
    for words in ("", "  ", "🦄", "a" * 10_000, "\0"):
        tools.search(words)


@ERAS
async def test_any_of_ten_thousand_tools_is_found_and_run(era: str, service: Service) -> None:
    def put(connection: Any) -> None:
        from storage.tools import _put  # pyright: ignore[reportPrivateUsage]: unchecked, fast

        for number in range(10_000):
            _put(connection, script_tool(f"tool_{number}", f"{number}", instruction="Counts."))
        needle = script_tool("needle", "(s) => s.depth * 2", instruction="Sounds the haystack.")
        _put(connection, needle)

    await service._database.write(put)  # pyright: ignore[reportPrivateUsage]: see above
    await service.catalog.refresh()
    async with connected(service, era) as client:

        async def ask(name: str, arguments: Any) -> Any:
            answer = await client.call_tool(name, arguments)
            return answer.model_dump(by_alias=True, exclude_none=True, mode="json")

        found = (await ask("search_tools", {"query": "haystack"}))["structuredContent"]
        assert [tool["toolId"] for tool in found["tools"]] == ["needle"]
        assert found["tools"][0]["inputSchema"]["type"] == "object"
        many = (await ask("search_tools", {"query": "counts", "limit": 5}))["structuredContent"]
        assert (len(many["tools"]), many["total"]) == (5, 10_000)
        answer = await ask("run_tool", {"toolId": "needle", "inputs": {"depth": 21}})
        assert answer["structuredContent"] == {"result": 42}
        await store(service, script_tool("later", "1", instruction="A haystack of its own."))
        again = (await ask("search_tools", {"query": "haystack"}))["structuredContent"]
        assert {tool["toolId"] for tool in again["tools"]} == {"needle", "later"}


@ERAS
async def test_a_tool_that_is_not_there_says_how_to_find_one(era: str, service: Service) -> None:
    async with connected(service, era) as client:
        answer = await call(client, "run_tool", {"toolId": "nobody"})
        assert "search_tools shows ids" in text(answer)
        assert (await call(client, "search_tools", {"query": ""}))["isError"]
