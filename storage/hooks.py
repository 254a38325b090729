"""Incoming hooks: who outside may start a tool, and how they prove it."""

import sqlite3
from dataclasses import astuple, dataclass
from typing import Literal

from storage.database import Database
from tools.run import now_ms

__all__ = ["Hook", "HookStore", "Scheme"]

Scheme = Literal["secret", "hmac", "timestamped"]


@dataclass(frozen=True)
class Hook:
    """The hook of a tool; its secret is the credential of a system, in `prod`."""

    tool_id: str
    system_id: str
    credential: str
    scheme: Scheme
    #: The header with the secret or the signature.
    header: str
    created_at: int = 0


class HookStore:
    """The hooks of a home, one a tool."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, hook: Hook) -> None:
        """Add a hook, or put it in place of the tool's."""
        values = (*astuple(hook)[:-1], now_ms())

        def work(connection: sqlite3.Connection) -> None:
            connection.execute("INSERT OR REPLACE INTO hooks VALUES (?, ?, ?, ?, ?, ?)", values)

        await self._database.write(work)

    async def get(self, tool_id: str) -> Hook | None:
        found = await self._select("WHERE tool_id = ?", tool_id)
        return found[0] if found else None

    async def list(self) -> list[Hook]:
        """All hooks, by tool."""
        return await self._select("ORDER BY tool_id")

    async def delete(self, tool_id: str) -> bool:
        """Remove a tool's hook. False when there was none."""
        return await self._database.write(
            lambda connection: (
                connection.execute("DELETE FROM hooks WHERE tool_id = ?", (tool_id,)).rowcount > 0
            )
        )

    async def _select(self, clause: str, *parameters: str) -> "list[Hook]":
        statement = (
            "SELECT tool_id, system_id, credential, scheme, header, created_at "  # noqa: S608 - constants
            f"FROM hooks {clause}"
        )
        return await self._database.read(
            lambda connection: [Hook(*row) for row in connection.execute(statement, parameters)]
        )
