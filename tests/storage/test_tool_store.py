"""Stored tools: versions, removal, and what damage leaves."""

import sqlite3
from typing import Any

import anyio
import pytest

from storage.database import Database
from storage.errors import StorageError
from storage.tools import PutOutcome, ToolStore


@pytest.fixture
def tools(database: Database) -> ToolStore:
    return ToolStore(database)


def tool(tool_id: str = "t", transform: str = "$", **fields: Any) -> dict[str, Any]:
    return {"id": tool_id, "outputTransform": transform, **fields}


async def test_a_new_tool_starts_at_its_first_version(tools: ToolStore) -> None:
    assert await tools.put(tool()) == PutOutcome("t", "1.0.0", 1, "added")
    stored = await tools.get("t")
    assert stored is not None
    assert stored.definition["version"] == "1.0.0"
    assert stored.definition["createdAt"] == stored.definition["updatedAt"]


async def test_the_same_content_makes_no_new_version(tools: ToolStore) -> None:
    await tools.put(tool())
    revision = await tools.revision()
    assert (await tools.put(tool())).outcome == "unchanged"
    assert (await tools.put(tool(version="1.0.0"))).outcome == "unchanged"
    stored = await tools.get("t")
    assert stored is not None
    assert (await tools.put(stored.definition)).outcome == "unchanged"
    assert await tools.revision() == revision


@pytest.mark.parametrize(
    ("given", "version"),
    [
        (None, "1.0.1"),
        ("1.0.0", "1.0.1"),
        ("0.9.0", "1.0.1"),
        ("1.0.1", "1.0.1"),
        ("1.10.0", "1.10.0"),
        ("2.0.0", "2.0.0"),
    ],
)
async def test_other_content_raises_the_patch_unless_a_higher_version_is_given(
    given: str | None, version: str, tools: ToolStore
) -> None:
    await tools.put(tool())
    fields = {} if given is None else {"version": given}
    assert await tools.put(tool(transform="1", **fields)) == PutOutcome("t", version, 2, "updated")


async def test_a_patch_of_many_digits_is_a_number(tools: ToolStore) -> None:
    await tools.put(tool(version="1.0.9"))
    assert (await tools.put(tool(transform="1"))).version == "1.0.10"
    assert (await tools.put(tool(transform="2"))).version == "1.0.11"


async def test_an_update_keeps_when_the_tool_was_made(tools: ToolStore) -> None:
    await tools.put(tool(createdAt="2020-01-01T00:00:00.000Z"))
    await tools.put(tool(transform="1", createdAt="2024-01-01T00:00:00.000Z"))
    stored = await tools.get("t")
    assert stored is not None
    assert stored.definition["createdAt"] == "2020-01-01T00:00:00.000Z"
    assert stored.definition["updatedAt"] > "2025"


async def test_a_tool_that_was_removed_and_added_again_counts_on(tools: ToolStore) -> None:
    await tools.put(tool())
    await tools.put(tool(transform="1"))
    assert await tools.delete("t")
    assert await tools.get("t") is None
    assert not await tools.delete("t")
    again = await tools.put(tool())
    assert (again.outcome, again.version_number) == ("added", 3)


async def test_each_change_raises_the_revision(tools: ToolStore) -> None:
    seen = [await tools.revision()]
    for change in (
        tools.put(tool()),
        tools.put(tool(transform="1")),
        tools.put(tool("u")),
        tools.delete("t"),
    ):
        await change
        seen.append(await tools.revision())
    assert seen == sorted(set(seen))


async def test_tools_are_listed_by_id(tools: ToolStore) -> None:
    for tool_id in ("b", "a.c", "Z", "a-b"):
        await tools.put(tool(tool_id))
    assert [stored.id for stored in await tools.list()] == ["Z", "a-b", "a.c", "b"]


async def test_puts_of_one_tool_at_once_give_each_content_its_version(tools: ToolStore) -> None:
    outcomes: list[PutOutcome] = []

    async def put(number: int) -> None:
        outcomes.append(await tools.put(tool(transform=str(number))))

    async with anyio.create_task_group() as group:
        for number in range(20):
            group.start_soon(put, number)
    assert sorted(outcome.version_number for outcome in outcomes) == list(range(1, 21))
    assert len({outcome.version for outcome in outcomes}) == 20


DAMAGES = (
    "{",
    "",
    "null",
    "[1]",
    '"text"',
    '{"id": "t", "x": "\\u12"}',
)


@pytest.mark.parametrize("damage", DAMAGES)
async def test_one_damaged_definition_hides_no_other_and_can_be_replaced(
    damage: str, tools: ToolStore, database: Database
) -> None:
    for tool_id in ("a", "t", "z"):
        await tools.put(tool(tool_id))

    def spoil(connection: sqlite3.Connection) -> None:
        connection.execute(
            "UPDATE snapshots SET definition = ? WHERE snapshot_id ="
            " (SELECT snapshot_id FROM tools WHERE tool_id = 't')",
            (damage,),
        )

    await database.write(spoil)
    assert [stored.id for stored in await tools.list()] == ["a", "z"]
    with pytest.raises(StorageError, match="damaged"):
        await tools.get("t")
    outcome = await tools.put(tool("t", "1"))
    assert outcome.version_number == 2
    assert [stored.id for stored in await tools.list()] == ["a", "t", "z"]


async def test_a_definition_that_is_gone_hides_no_other(
    tools: ToolStore, database: Database
) -> None:
    for tool_id in ("a", "t", "z"):
        await tools.put(tool(tool_id))
    await database.write(
        lambda connection: connection.execute(
            "DELETE FROM snapshots WHERE snapshot_id ="
            " (SELECT snapshot_id FROM tools WHERE tool_id = 't')"
        )
    )
    assert [stored.id for stored in await tools.list()] == ["a", "z"]


async def test_definitions_come_back_as_they_were_given(tools: ToolStore) -> None:
    definition: dict[str, Any] = tool(
        "t",
        instruction="Zeilen\nund \u2028 Zeichen \U0001f600 \x00",
        inputSchema={"type": "object", "properties": {"a.b": {"default": 12345678901234567890}}},
    )
    definition["x-own"] = [None, True, 1.5, {}, []]
    await tools.put(definition)
    stored = await tools.get("t")
    assert stored is not None
    assert {key: stored.definition[key] for key in definition} == definition
