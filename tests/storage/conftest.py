"""A database of its own for each test."""

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from storage.database import Database
from storage.opening import open_database


@pytest.fixture
async def database(tmp_path: Path) -> AsyncGenerator[Database]:
    async with open_database(tmp_path / "callslip.db") as database:
        yield database
