"""The examples are tools people copy: each is stored without a problem, and does what it says."""

import json
from collections.abc import AsyncGenerator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote

import pytest

from server.active_run import RunRequest
from server.service import Service
from tests.web import Answer, Seen, Web
from tools.check import check_definition
from tools.run import RequestSource, RunOutcome, RunStatus
from tools.scripts import ScriptEngine

EXAMPLES = Path(__file__).parent.parent / "examples"
FILES = sorted(EXAMPLES.rglob("*.json"))
#: Everything the examples call; the tests put their own server in its place.
ORIGINS = (
    "https://api.example.com",
    "https://api.github.com",
    "https://api.open-meteo.com",
    "https://geocoding-api.open-meteo.com",
    "http://127.0.0.1:8001",
)
AIRPORTS = [
    {"iata": "SEA", "name": "Seattle-Tacoma Intl", "city": "Seattle", "state": "WA"}
    | {"latitude": 47.44898194, "longitude": -122.3093131},
    {"iata": "JFK", "name": "John F Kennedy Intl", "city": "New York", "state": "NY"}
    | {"latitude": 40.63975111, "longitude": -73.77892556},
    {"iata": "BFI", "name": "Boeing Field", "city": "Seattle", "state": "WA"}
    | {"latitude": 47.52998917, "longitude": -122.3019561},
]


def read(name: str) -> Any:
    return json.loads((EXAMPLES / name).read_text("utf-8"))


@pytest.fixture
async def engine() -> AsyncGenerator[ScriptEngine]:
    async with ScriptEngine(workers=1) as engine:
        yield engine


async def run(
    service: Service,
    web: Web,
    name: str,
    inputs: dict[str, Any],
    credentials: Mapping[str, str] | None = None,
) -> RunOutcome:
    """Store an example with the test's server in place of the real one, and run it."""
    text = (EXAMPLES / name).read_text("utf-8")
    for origin in ORIGINS:
        text = text.replace(origin, web.url)
    checked, stored = await service.tools.put(json.loads(text))
    assert stored is not None, checked.problems
    request = RunRequest(stored.id, inputs, RequestSource.API, credentials=credentials or {})
    return await (await service.start(request)).wait()


def query_of(seen: Seen) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(seen.query).items()}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
async def test_every_example_is_valid(file: Path, engine: ScriptEngine) -> None:
    checked = await check_definition(read(str(file)), engine)
    assert checked.is_valid, checked.problems
    # What they refer to may be stored later; nothing else is worth a remark.
    assert all(problem.path.endswith(("toolId", "systemId")) for problem in checked.problems)


def test_every_example_has_an_id_of_its_own() -> None:
    ids = [read(str(file))["id"] for file in FILES]
    assert sorted(set(ids)) == sorted(ids)


def test_the_readme_names_every_example() -> None:
    readme = (EXAMPLES / "README.md").read_text("utf-8")
    assert [file.name for file in FILES if file.name not in readme] == []


async def test_the_printed_tool_ends_failed_before_anything_is_sent(
    service: Service, web: Web
) -> None:
    outcome = await run(service, web, "web_search_as_printed.json", {"query": "x"}, {"apiKey": "k"})
    assert outcome.status is RunStatus.FAILED
    assert outcome.error is not None
    assert "Data selector failed: " in outcome.error
    assert web.seen == []


async def test_the_repaired_tool_pages_by_cursor(service: Service, web: Web) -> None:
    pages: dict[str | None, Any] = {
        None: {
            "items": [{"id": n, "name": f"page {n}", "score": 1} for n in range(50)],
            "meta": {"next_cursor": "c2"},
            "pagination": {"has_more": True},
        },
        "c2": {
            "items": [{"id": 50, "name": "page 50", "score": 1}],
            "meta": {"next_cursor": None},
            "pagination": {"has_more": False},
        },
    }
    web.responds(lambda seen: Answer(pages[query_of(seen).get("cursor")]))
    inputs = {"query": "a & b", "maxResults": 200}
    outcome = await run(service, web, "web_search.json", inputs, {"apiKey": "secret"})
    assert outcome.status is RunStatus.SUCCESS, outcome.error
    assert outcome.data == [{"id": n, "title": f"page {n}"} for n in range(51)]
    assert [query_of(seen) for seen in web.seen] == [
        {"q": "a & b", "limit": "50"},
        {"q": "a & b", "limit": "50", "cursor": "c2"},
    ]
    assert web.seen[0].headers["authorization"] == "Bearer secret"


async def test_the_repaired_tool_stops_when_it_has_enough(service: Service, web: Web) -> None:
    items = [{"id": n, "name": "x"} for n in range(50)]
    more = {"items": items, "meta": {"next_cursor": "c"}, "pagination": {"has_more": True}}
    web.answers(Answer(more))
    outcome = await run(service, web, "web_search.json", {"query": "q"}, {"apiKey": "k"})
    assert outcome.status is RunStatus.SUCCESS, outcome.error
    assert len(outcome.data) == 10
    assert len(web.seen) == 1


def datasette(seen: Seen) -> Answer:
    """Answers as Datasette does over three airports, two a page."""
    query = query_of(seen)
    path = unquote(seen.path)
    if path == "/vega.json":
        assert "count(*) as airports" in query["sql"]
        return Answer([{"state": "WA", "airports": 2}, {"state": "NY", "airports": 1}])
    if path == "/vega/airports.json":
        rows = [row for row in AIRPORTS if query.get("state") in (None, row["state"])]
        if "_sort_desc" in query:
            rows.sort(key=lambda row: row["latitude"], reverse=True)
            return Answer({"rows": rows[:1], "next": None})
        start = int(query.get("_next", 0))
        following = str(start + 2) if start + 2 < len(rows) else None
        return Answer({"rows": rows[start : start + 2], "next": following})
    code = path.removeprefix("/vega/airports/").removesuffix(".json")
    rows = [row for row in AIRPORTS if row["iata"] == code]
    if not rows:
        return Answer({"ok": False, "error": "Record not found"}, 404)
    return Answer({"rows": rows})


async def test_airports_are_read_page_by_page(service: Service, web: Web) -> None:
    web.responds(datasette)
    outcome = await run(service, web, "datasette/airports_in_state.json", {})
    assert [row["code"] for row in outcome.data] == ["SEA", "JFK", "BFI"]
    assert [query_of(seen).get("_next") for seen in web.seen] == [None, "2"]
    assert all("state" not in query_of(seen) for seen in web.seen)


async def test_states_are_looped_over_with_a_request_for_each(service: Service, web: Web) -> None:
    web.responds(datasette)
    outcome = await run(service, web, "datasette/states_with_most_airports.json", {"count": 2})
    assert outcome.data == [
        {"state": "WA", "airports": 2, "northernmost": "Boeing Field, Seattle"},
        {"state": "NY", "airports": 1, "northernmost": "John F Kennedy Intl, New York"},
    ]


async def test_an_unknown_airport_is_an_error_that_names_the_status(
    service: Service, web: Web
) -> None:
    web.responds(datasette)
    outcome = await run(service, web, "datasette/airport.json", {"code": "ZZZ"})
    assert outcome.status is RunStatus.FAILED
    assert outcome.error is not None
    assert "HTTP 404" in outcome.error


async def test_a_distance_is_made_of_two_child_runs(service: Service, web: Web) -> None:
    web.responds(datasette)
    await run(service, web, "datasette/airport.json", {"code": "SEA"})
    inputs = {"from": "SEA", "to": "JFK"}
    outcome = await run(service, web, "datasette/airport_distance.json", inputs)
    assert outcome.data == {
        "from": "Seattle-Tacoma Intl, Seattle",
        "to": "John F Kennedy Intl, New York",
        "kilometres": 3887,
        "miles": 2415,
    }


async def test_weather_by_month_keeps_to_its_output_schema(service: Service, web: Web) -> None:
    months = [
        {"month": "2014-01", "daysWithRain": 13, "rainMm": 94, "meanHighC": 9.6},
        {"month": "2014-03", "daysWithRain": 19, "rainMm": 240.0, "meanHighC": 13.0},
    ]
    web.answers(Answer(months))
    name = "datasette/seattle_weather_by_month.json"
    outcome = await run(service, web, name, {"year": 2014})
    assert outcome.data == {"year": 2014, "wettestMonth": "2014-03", "months": months}
    assert query_of(web.seen[0])["year"] == "2014"

    web.answers(Answer([{"month": "2014-01", "rainMm": "much"}]))
    outcome = await run(service, web, name, {"year": 2014})
    assert outcome.error is not None
    assert outcome.error.startswith("Output schema validation failed: ")


async def test_a_forecast_is_asked_for_the_place_that_was_found(service: Service, web: Web) -> None:
    place = {"name": "Lisbon", "country": "Portugal", "latitude": 38.72, "longitude": -9.13}
    daily = {
        "time": ["2026-05-01"],
        "temperature_2m_max": [21.5],
        "temperature_2m_min": [13],
        "precipitation_sum": [0],
    }
    web.answers(Answer({"results": [place]}), Answer({"daily": daily}))
    outcome = await run(service, web, "weather_forecast.json", {"place": "Lisbon", "days": 1})
    assert outcome.data == {
        "place": "Lisbon",
        "country": "Portugal",
        "days": [{"date": "2026-05-01", "highC": 21.5, "lowC": 13, "rainMm": 0}],
    }
    asked = query_of(web.seen[1])
    assert (asked["latitude"], asked["longitude"]) == ("38.72", "-9.13")
    assert asked["forecast_days"] == "1"


async def test_a_place_that_is_not_found_is_said_in_words(service: Service, web: Web) -> None:
    web.answers(Answer({"generationtime_ms": 0.2}))
    outcome = await run(service, web, "weather_forecast.json", {"place": "Xyzzy"})
    assert outcome.error is not None
    assert "no place is named Xyzzy" in outcome.error
    assert len(web.seen) == 1


async def test_issues_are_read_by_link_header_and_addresses_are_masked(
    service: Service, web: Web
) -> None:
    def issue(number: int, **more: Any) -> dict[str, Any]:
        base: dict[str, Any] = {"number": number, "title": f"t{number}", "labels": []}
        return base | {"comments": 0, "created_at": "", "html_url": "", "body": None} | more

    first = [issue(1, body="write to ada@example.com please"), issue(2, pull_request={})]
    link = f'<{web.url}/repos/o/r/issues?page=2>; rel="next"'
    web.answers(Answer(first, headers={"Link": link}), Answer([issue(3)]))
    inputs = {"owner": "o", "repository": "r"}
    outcome = await run(service, web, "github_open_issues.json", inputs)
    assert [row["number"] for row in outcome.data] == [1, 3]
    assert outcome.data[0]["text"] == "write to [e-mail] please"
    assert web.seen[1].target == "/repos/o/r/issues?page=2"
    assert "authorization" not in web.seen[0].headers

    web.answers(Answer([]))
    credentials = {"githubAuthorization": "Bearer token"}
    await run(service, web, "github_open_issues.json", inputs, credentials)
    assert web.seen[-1].headers["authorization"] == "Bearer token"
