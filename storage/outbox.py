"""Deliveries: what is to be sent, or started, when a run has ended."""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import urlsplit

from storage.database import Database
from tools.json_text import decode_json, encode_json_text
from tools.run import now_ms

__all__ = ["Delivery", "Outbox", "add_delivery"]

_COLUMNS = (
    "delivery_id, run_id, target, chain, status, attempts, next_at, error, created_at, ended_at"
)


@dataclass(frozen=True)
class Delivery:
    """One target of one run; times in milliseconds since the epoch."""

    delivery_id: int
    run_id: str
    #: `http(s)://…` or `tool:<id>`; of one that has ended well only the origin is left.
    target: str
    chain: tuple[str, ...]
    status: str
    attempts: int
    next_at: int
    error: str | None
    created_at: int
    ended_at: int | None


def add_delivery(
    connection: sqlite3.Connection, run_id: str, target: str, chain: Sequence[str]
) -> None:
    """Have a target told when the run has ended."""
    now = now_ms()
    connection.execute(
        """INSERT INTO outbox (run_id, target, chain, status, attempts, next_at, created_at)
           VALUES (?, ?, ?, 'pending', 0, ?, ?)""",
        (run_id, target, encode_json_text(list(chain)), now, now),
    )


class Outbox:
    """The deliveries of a home."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def has_due(self) -> bool:
        """Whether a delivery of an ended run waits to be made now."""
        return await self._database.read(lambda connection: bool(_due(connection, 1)))

    async def claim(self, limit: int, lease_ms: int) -> Sequence[Delivery]:
        """Deliveries that are due; nobody else gets them while the lease lasts."""
        return await self._database.write(lambda connection: _claim(connection, limit, lease_ms))

    async def end(self, delivery: Delivery, status: str, error: str | None = None) -> None:
        """It is `delivered`, `skipped` or `dead`, after one more attempt."""
        # An address may hold a token: what is not needed any more is not kept.
        target = delivery.target if status == "dead" else _origin(delivery.target)
        await self._database.write(
            lambda connection: connection.execute(
                """UPDATE outbox SET status = ?, target = ?, error = ?, attempts = attempts + 1,
                     ended_at = ? WHERE delivery_id = ? AND status = 'pending'""",
                (status, target, error, now_ms(), delivery.delivery_id),
            )
        )

    async def try_again(self, delivery: Delivery, error: str, at: int) -> None:
        """It failed and is due again later."""
        await self._database.write(
            lambda connection: connection.execute(
                """UPDATE outbox SET attempts = attempts + 1, error = ?, next_at = ?
                   WHERE delivery_id = ? AND status = 'pending'""",
                (error, at, delivery.delivery_id),
            )
        )

    async def revive(self, delivery_id: int) -> bool:
        """Make a dead delivery due again; False when there is none of this number."""
        return await self._database.write(
            lambda connection: (
                connection.execute(
                    """UPDATE outbox SET status = 'pending', attempts = 0, next_at = ?,
                         ended_at = NULL WHERE delivery_id = ? AND status = 'dead'""",
                    (now_ms(), delivery_id),
                ).rowcount
                > 0
            )
        )

    async def list(self, status: str | None, limit: int) -> list[Delivery]:
        """Deliveries, the newest first."""
        return await self._database.read(
            lambda connection: [
                _delivery(row)
                for row in connection.execute(
                    f"SELECT {_COLUMNS} FROM outbox WHERE ? IS NULL OR status = ? "  # noqa: S608 - a constant
                    "ORDER BY delivery_id DESC LIMIT ?",
                    (status, status, limit),
                )
            ]
        )


def _due(connection: sqlite3.Connection, limit: int) -> list[Any]:
    columns = ", ".join(f"outbox.{name.strip()}" for name in _COLUMNS.split(","))
    return connection.execute(
        f"SELECT {columns} FROM outbox LEFT JOIN runs USING (run_id) "  # noqa: S608 - a constant
        "WHERE outbox.status = 'pending' AND next_at <= ? "
        "AND coalesce(runs.status, '') <> 'running' ORDER BY next_at LIMIT ?",
        (now_ms(), limit),
    ).fetchall()


def _claim(connection: sqlite3.Connection, limit: int, lease_ms: int) -> list[Delivery]:
    found = [_delivery(row) for row in _due(connection, limit)]
    connection.executemany(
        "UPDATE outbox SET next_at = ? WHERE delivery_id = ?",
        [(now_ms() + lease_ms, one.delivery_id) for one in found],
    )
    return found


def _delivery(row: Sequence[Any]) -> Delivery:
    number, run_id, target, chain, *others = row
    return Delivery(
        number, run_id, target, tuple(cast("list[str]", decode_json(chain.encode()))), *others
    )


def _origin(target: str) -> str:
    if target.startswith("tool:"):
        return target
    parts = urlsplit(target)
    return f"{parts.scheme}://{parts.hostname or ''}"
