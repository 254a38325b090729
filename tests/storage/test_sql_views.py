"""The views for people who read with SQL, and the statements that the documentation shows."""

import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from server.service import Service
from server.settings import Settings
from tests.server.helpers import request_tool, script_tool, start, store
from tests.web import Answer, Web

DOCUMENT = Path(__file__).parents[2] / "docs" / "how-to" / "read-the-history.md"
SQL = "\n".join(re.findall(r"^```sql\n(.*?)^```", DOCUMENT.read_text("utf-8"), re.M | re.S))


@pytest.fixture
async def home(service: Service, settings: Settings, web: Web) -> Settings:
    web.answers(Answer({"rows": [1]}), Answer("down", 503))
    await store(service, request_tool("t", web.url, retries=0), script_tool("s", "1"))
    for run_id in ("good", "bad"):
        await (await start(service, "t", {"query": "x"}, run_id=run_id)).wait()
    await (await start(service, "s", run_id="script")).wait()
    return settings


def ask(settings: Settings, statement: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(f"file:{settings.database_path}?mode=ro", uri=True)) as reader:
        return reader.execute(statement).fetchall()


async def test_the_views_show_the_runs_as_they_are(home: Settings) -> None:
    assert ask(home, "SELECT run_id, tool_id, status FROM run_list ORDER BY run_id") == [
        ("bad", "t", "failed"),
        ("good", "t", "success"),
        ("script", "s", "success"),
    ]
    [(started, took)] = ask(home, "SELECT started_at, duration_ms FROM run_list LIMIT 1")
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}", str(started))
    assert isinstance(took, int)
    assert ask(home, "SELECT inputs, result FROM run_texts WHERE run_id = 'good'") == [
        ('{"query":"x"}', '{"rows":[1]}')
    ]
    assert ask(home, "SELECT requests, units FROM run_costs WHERE run_id = 'good'") == [(1, 1)]
    assert ask(home, "SELECT * FROM tool_totals") == [
        ("s", 1, 1, 0, 0, 0),
        ("t", 2, 1, 1, 0, 0),
    ]


@pytest.mark.parametrize("statement", SQL.split(";")[:-1])
async def test_the_statements_of_the_documentation_work(statement: str, home: Settings) -> None:
    assert ask(home, statement)


def test_the_documentation_shows_every_view(tmp_path: Path) -> None:
    migrations = Path(__file__).parents[2] / "storage" / "migrations"
    text = "".join(path.read_text("utf-8") for path in migrations.glob("*.sql"))
    views = set(re.findall(r"CREATE VIEW (\w+)", text))
    assert len(views) == 4
    for view in views:
        assert view in SQL
