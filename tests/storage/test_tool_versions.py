"""Versions of tools: listed, restored, kept from being overwritten."""

import anyio
import pytest

from storage.database import Database
from storage.tools import ToolChangedError, ToolExistsError, ToolStore
from tests.storage.test_tool_store import tool


@pytest.fixture
def tools(database: Database) -> ToolStore:
    return ToolStore(database)


async def test_an_earlier_version_becomes_the_newest(tools: ToolStore) -> None:
    for transform in ("1", "2", "3"):
        await tools.put(tool(transform=transform))
    versions = await tools.versions("t")
    assert [one.version_number for one in versions] == [3, 2, 1]
    assert [one.definition and one.definition["outputTransform"] for one in versions] == [
        "3",
        "2",
        "1",
    ]
    restored = await tools.restore("t", 1)
    assert restored is not None
    assert (restored.version_number, restored.version) == (4, "1.0.3")
    stored = await tools.get("t")
    assert stored is not None
    assert stored.definition["outputTransform"] == "1"
    again = await tools.restore("t", 1)
    assert again is not None
    assert again.outcome == "unchanged"
    assert await tools.restore("t", 99) is None
    assert await tools.restore("other", 1) is None
    assert await tools.versions("other") == []


async def test_a_removed_tool_comes_back(tools: ToolStore) -> None:
    await tools.put(tool())
    await tools.delete("t")
    restored = await tools.restore("t", 1)
    assert restored is not None
    assert (restored.outcome, restored.version_number) == ("added", 2)


async def test_only_a_new_tool_is_added(tools: ToolStore) -> None:
    await tools.add(tool())
    with pytest.raises(ToolExistsError):
        await tools.add(tool(transform="2"))
    assert len(await tools.versions("t")) == 1


async def test_of_two_additions_at_once_one_is_refused(tools: ToolStore) -> None:
    refused = 0

    async def add(transform: str) -> None:
        nonlocal refused
        try:
            await tools.add(tool(transform=transform))
        except ToolExistsError:
            refused += 1

    async with anyio.create_task_group() as group:
        group.start_soon(add, "1")
        group.start_soon(add, "2")
    assert refused == 1


async def test_a_change_of_another_is_not_overwritten(tools: ToolStore) -> None:
    await tools.put(tool())
    await tools.put(tool(transform="2"))
    with pytest.raises(ToolChangedError):
        await tools.replace(tool(transform="3"), 1)
    replaced = await tools.replace(tool(transform="3"), 2)
    assert replaced.version_number == 3
    with pytest.raises(ToolChangedError):
        await tools.replace(tool("other"), 1)


async def test_a_tool_gets_another_id(tools: ToolStore) -> None:
    await tools.put(tool())
    await tools.put(tool("taken"))
    with pytest.raises(ToolExistsError):
        await tools.rename("t", "taken")
    assert await tools.rename("t", "new")
    assert not await tools.rename("t", "newer")
    assert await tools.get("t") is None
    stored = await tools.get("new")
    assert stored is not None
    assert stored.definition["id"] == "new"
