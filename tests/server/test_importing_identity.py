"""Which API a document is of: what belongs to another one is neither changed nor called."""

import json
from pathlib import Path
from typing import Any

import pytest

from server.importing_identity import STDIN
from server.service import Service
from tests.server.importing import document, imported, operation, run
from tests.server.raw_client import run_command
from tests.web import Answer, Web
from tools.importers import DocumentError

USERS = "https://users.example.com/v1"
KEY = {"securitySchemes": {"k": {"type": "apiKey", "in": "header", "name": "X-Key"}}}


def named(operation_id: str, **fields: Any) -> dict[str, Any]:
    return {"get": operation(**{"operationId": operation_id, **fields})}


def api(url: str | None, *operation_ids: str, **fields: Any) -> dict[str, Any]:
    """A document whose title says nothing, as frameworks write it."""
    described = document(url or "", {f"/{one}": named(one) for one in operation_ids}, **fields)
    if url is None:
        del described["servers"]
    return described


async def test_a_second_api_of_the_same_title_changes_nothing_of_the_first(
    service: Service, web: Web
) -> None:
    users = api(USERS, "list_users", components=KEY, security=[{"k": []}])
    await imported(service, users, source="users.json")
    stored = (await service.connections.get("echo", "prod")).definition
    values = {"api_key": "the-key-of-the-users"}
    await service.connections.put({**stored, "credentials": values})
    bills = api(f"{web.url}/billing", "list_bills", components=KEY, security=[{"k": []}])
    for outcome in ("added", "kept"):
        wire = (await imported(service, bills, source="bills.json")).wire()
        view = wire["system"]
        assert (view["id"], view["outcome"]) == ("echo-2", outcome)
        assert view["takenId"] == "echo"
        assert not wire["removed"]
        assert not view["credentials"][0]["isSet"]
    assert {one.id for one in await service.tools.all()} == {"list_bills", "list_users"}
    assert "no credential" in ((await run(service, "list_bills", {})).error or "")
    stored = (await service.connections.get("echo-2", "prod")).definition
    await service.connections.put({**stored, "credentials": {"api_key": "the-key-of-the-bills"}})
    web.answers(Answer({}))
    outcome = await run(service, "list_bills", {})
    assert outcome.error is None, outcome.error
    assert web.seen[0].headers["x-key"] == "the-key-of-the-bills"
    wire = (await imported(service, users, source="users.json")).wire()
    assert (wire["system"]["id"], wire["counts"]["unchanged"]) == ("echo", 1)
    assert "takenId" not in wire["system"]


THE_SAME: list[tuple[str | None, str, str | None, str, str]] = [
    # url and source, then those of the second import, and its system
    (USERS, "a.json", USERS, "b.json", "echo"),
    (USERS, "a.json", "https://v2.example.com", "a.json", "echo"),
    (USERS, "a.json", "https://v2.example.com", "b.json", "echo-2"),
    (USERS, "a.json", "https://users.example.com/v2", "b.json", "echo-2"),
    (None, "a.json", None, "a.json", "echo"),
    (None, "a.json", None, "b.json", "echo-2"),
    (USERS, STDIN, "https://v2.example.com", STDIN, "echo-2"),
    (USERS, STDIN, USERS, STDIN, "echo"),
]


@pytest.mark.parametrize(("url", "source", "second_url", "second_source", "system"), THE_SAME)
async def test_an_api_is_the_same_if_it_comes_from_the_same_place_or_is_at_the_same_url(
    url: str | None,
    source: str,
    second_url: str | None,
    second_source: str,
    system: str,
    service: Service,
) -> None:
    await imported(service, api(url, "one", "old"), source=source)
    for _ in range(2):
        second = api(second_url, "one", "new")
        wire = (await imported(service, second, source=second_source)).wire()
        assert wire["system"]["id"] == system
    tools = {one.id for one in await service.tools.all()}
    assert tools == ({"one", "new"} if system == "echo" else {"one", "old", "new", "echo-2_one"})


async def test_an_api_at_the_same_url_with_no_operation_in_common_is_another_one(
    service: Service,
) -> None:
    await imported(service, api(USERS, "one"), source="a.json")
    assert (await imported(service, api(USERS, "two"), source="b.json")).system["id"] == "echo-2"
    assert {one.id for one in await service.tools.all()} == {"one", "two"}


async def test_a_title_may_change_where_its_id_stays(service: Service) -> None:
    await imported(service, api(USERS, "one"))
    described = api(USERS, "one")
    described["info"]["title"] = "Echo!"
    wire = (await imported(service, described)).wire()
    assert (wire["system"]["id"], wire["counts"]["unchanged"]) == ("echo", 1)


async def test_a_moved_api_keeps_the_url_of_its_system_and_says_so(service: Service) -> None:
    await imported(service, api(USERS, "one"))
    view = (await imported(service, api("https://v2.example.com", "one"))).wire()["system"]
    assert view["differs"] == ["url"]
    assert (view["url"], view["documentUrl"]) == (USERS, "https://v2.example.com")


async def test_a_system_of_another_url_is_taken_only_when_it_is_named(service: Service) -> None:
    await service.connections.put({"id": "echo", "url": "https://mine.example"})
    assert (await imported(service, api(USERS, "a"))).system["id"] == "echo-2"
    named_one = await imported(service, api(USERS, "b"), source="b.json", system_id="echo")
    assert named_one.system["outcome"] == "kept"


async def test_a_system_that_waits_for_its_api_is_taken(service: Service) -> None:
    await service.connections.put({"id": "echo"})
    assert (await imported(service, api(USERS, "a"))).system["outcome"] == "kept"
    await service.connections.put({"id": "other", "url": "https://users.example.com"})
    described = api(USERS, "b")
    described["info"]["title"] = "Other"
    view = (await imported(service, described)).system
    assert (view["id"], view["outcome"]) == ("other", "kept")


async def test_no_further_system_is_one_of_another_api(service: Service) -> None:
    other = api("https://other.example", "a")
    other["info"]["title"] = "Echo public"
    await imported(service, other, source="other.json")
    described = api(USERS, "b", components=KEY, security=[{"k": []}])
    described["paths"]["/free"] = named("free", security=[])
    wire = (await imported(service, described)).wire()
    assert wire["system"]["id"] == "echo-2"
    assert [one["id"] for one in wire["furtherSystems"]] == ["echo-2-public"]


async def test_a_new_sign_in_never_takes_the_system_of_another_api(service: Service) -> None:
    described = api(USERS, "b", components=KEY, security=[{"k": []}])
    await imported(service, described)
    other = api("https://other.example", "a")
    other["info"]["title"] = "Echo public"
    assert (await imported(service, other, source="other.json")).system["id"] == "echo-public"
    described["paths"]["/free"] = named("free", security=[])
    with pytest.raises(DocumentError, match="needs a system echo-public, which is of another API"):
        await imported(service, described)


async def test_a_further_system_is_no_system_of_another_title(service: Service) -> None:
    described = api(None, "b", components=KEY, security=[{"k": []}])
    described["paths"]["/free"] = named("free", security=[])
    await imported(service, described)
    other = api("https://other.example", "a")
    other["info"]["title"] = "Echo public"
    assert (await imported(service, other, source="other.json")).system["id"] == "echo-public-2"


MOVES: list[tuple[dict[str, Any], dict[str, Any], dict[str, list[str]]]] = [
    # What moved keeps its id; only what is gone is removed.
    ({"/a": named("a")}, {"/a2": named("a")}, {"changed": ["a"]}),
    (
        {"/a": named("a"), "/b": named("b")},
        {"/b": named("a")},
        {"changed": ["a"], "removed": ["b"]},
    ),
    ({"/a": named("a")}, {"/a": named("b"), "/c": named("a")}, {"changed": ["a"], "added": ["b"]}),
    ({"/a": named("a")}, {"/a": named("renamed")}, {"unchanged": ["a"]}),
    ({"/a": {"get": {}}}, {"/a": named("later")}, {"unchanged": ["get_a"]}),
    (
        {"/a": named("same"), "/b": named("same")},
        {"/c": named("same"), "/b": named("same")},
        {"added": ["get_c"], "removed": ["get_a"], "unchanged": ["get_b"]},
    ),
]


@pytest.mark.parametrize(("before", "after", "expected"), MOVES)
async def test_an_operation_is_known_again_by_its_operation_id_else_by_its_path(
    before: dict[str, Any], after: dict[str, Any], expected: dict[str, list[str]], service: Service
) -> None:
    await imported(service, document(USERS, before))
    wire = (await imported(service, document(USERS, after))).wire()
    kinds = ("added", "changed", "removed", "unchanged", "edited")
    found = {kind: [one["id"] for one in wire[kind]] for kind in kinds if wire[kind]}
    assert found == expected
    again = (await imported(service, document(USERS, after))).wire()
    assert again["counts"]["unchanged"] == len(after)
    assert not again["removed"]


async def test_a_file_that_is_written_anew_with_another_api_leaves_the_first_alone(
    service: Service,
) -> None:
    await imported(service, api(USERS, "health", "orders"), source="x.json")
    other = await imported(service, api("https://b.example", "zzz"), source="x.json")
    assert other.wire()["removed"] == []
    assert other.wire()["system"]["id"] == "echo-2"
    assert {tool.id for tool in await service.tools.all()} >= {"health", "orders"}


async def test_two_apis_at_one_url_with_little_in_common_are_two(service: Service) -> None:
    await imported(service, api(USERS, "health", "orders", "customers"), source="a.json")
    other = await imported(service, api(USERS, "health", "things"), source="b.json")
    assert other.wire()["removed"] == []


async def test_what_is_removed_is_named_as_all_others_are(service: Service) -> None:
    await imported(service, api(USERS, "a", "b"))
    wire = (await imported(service, api(USERS, "a"))).wire()
    assert wire["removed"] == [{"id": "b", "operation": "GET /b"}]


async def test_each_credential_says_what_it_is_for(service: Service) -> None:
    schemes = {
        "app": {"type": "apiKey", "in": "header", "name": "X-App"},
        "user": {"type": "apiKey", "in": "query", "name": "key"},
    }
    components = {"securitySchemes": schemes}
    described = api(USERS, "a", components=components, security=[{"app": [], "user": []}])
    credentials = (await imported(service, described)).wire()["system"]["credentials"]
    assert [(one["name"], one["for"]) for one in credentials] == [
        ("api_key", "app (header X-App)"),
        ("api_key_2", "user (query key)"),
    ]


async def test_the_command_says_which_system_it_took_and_what_differs(tmp_path: Path) -> None:
    home = tmp_path / "home"
    for name, url in (("a", USERS), ("b", "https://b.example")):
        described = api(url, name, components=KEY, security=[{"k": []}])
        (tmp_path / f"{name}.json").write_text(json.dumps(described), "utf-8")
    await run_command(home, "import", "openapi", str(tmp_path / "a.json"))
    _, output, errors = await run_command(home, "import", "openapi", str(tmp_path / "b.json"))
    assert "system echo-2 added at https://b.example" in output
    assert "echo is the system of another API; if it is the same one, name --system echo" in errors
    assert "to be set, for k (header X-Key): callslip systems set-credential echo-2" in errors
    moved = api("https://c.example", "b")
    (tmp_path / "b.json").write_text(json.dumps(moved), "utf-8")
    _, _, errors = await run_command(home, "import", "openapi", str(tmp_path / "b.json"))
    assert (
        "the url of system echo-2 is not the document's, which is https://c.example; "
        "the stored one is kept" in errors
    )
    assert "echo is the system" not in errors
