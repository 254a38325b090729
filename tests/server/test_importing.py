"""Importing a document: what becomes of its system and its tools, the first time and again."""

import json
from pathlib import Path
from typing import Any

import anyio
import pytest

from server.importing import fetch_document
from server.service import Service
from tests.server.importing import document, imported, operation, run, sent
from tests.server.raw_client import run_command
from tests.web import Answer, Web
from tools.importers import DocumentError

URL = "https://api.example.com/v1"


def named(operation_id: str, **fields: Any) -> dict[str, Any]:
    return operation(**{"operationId": operation_id, **fields})


PATHS: dict[str, Any] = {
    "/a": {"get": named("listA", tags=["Alpha"]), "post": named("addA", deprecated=True)},
    "/b/{id}": {"get": named("getB", tags=["Beta"])},
}


async def definitions(service: Service) -> dict[str, Any]:
    return {one.id: one.definition for one in await service.tools.all()}


async def test_an_import_adds_a_system_and_a_tool_for_each_operation(service: Service) -> None:
    report = await imported(service, document(URL, PATHS))
    wire = report.wire()
    assert [one["id"] for one in wire["added"]] == ["listA", "addA", "getB"]
    assert wire["system"] == {
        "id": "echo",
        "outcome": "added",
        "url": URL,
        "credentials": [],
    }
    tools = await definitions(service)
    assert tools["listA"]["folder"] == "Alpha"
    assert tools["addA"]["instruction"].startswith("Deprecated. ")
    assert tools["getB"]["steps"][0]["config"] == {
        "method": "GET",
        "url": "/b/<<id>>",
        "systemId": "echo",
    }
    checked = await service.tools.check_all(list(tools.values()))
    assert not [problem for one in checked for problem in one.problems]


async def test_a_dry_run_says_the_same_and_stores_nothing(service: Service) -> None:
    dry = (await imported(service, document(URL, PATHS), dry_run=True)).wire()
    assert not await service.tools.all()
    assert not await service.connections.store.ids()
    real = (await imported(service, document(URL, PATHS))).wire()
    assert {**dry, "dryRun": False} == real


async def test_importing_again_changes_only_what_changed(service: Service) -> None:
    await imported(service, document(URL, PATHS))
    again = (await imported(service, document(URL, PATHS))).wire()
    assert (again["counts"]["unchanged"], again["system"]["outcome"]) == (3, "kept")
    assert {one.version_number for one in await service.tools.all()} == {1}
    paths = {
        "/c": {"get": named("getC")},
        "/a": {"get": named("listA", summary="Another summary"), "post": PATHS["/a"]["post"]},
    }
    wire = (await imported(service, document(URL, paths), source="moved.json")).wire()
    assert [one["id"] for one in wire["added"]] == ["getC"]
    assert [one["id"] for one in wire["changed"]] == ["listA"]
    assert [one["id"] for one in wire["removed"]] == ["getB"]
    assert [one["id"] for one in wire["unchanged"]] == ["addA"]
    assert set(await definitions(service)) == {"addA", "getC", "listA"}


async def test_a_tool_that_was_edited_is_left_as_it_is(service: Service) -> None:
    await imported(service, document(URL, PATHS))
    edited = {**(await service.tools.get("listA")).definition, "instruction": "Mine."}
    await service.tools.put(edited)
    paths = {"/a": {"get": named("listA", summary="New")}}
    wire = (await imported(service, document(URL, paths))).wire()
    assert wire["edited"] == [{"id": "listA", "operation": "GET /a", "documentChanged": True}]
    assert (await service.tools.get("listA")).definition["instruction"] == "Mine."
    wire = (await imported(service, document(URL, {"/d": {"get": named("d")}}))).wire()
    assert wire["edited"][0]["gone"]
    assert "listA" in await definitions(service)


async def test_a_restored_version_is_left_as_it_is_until_it_is_what_the_document_gives(
    service: Service,
) -> None:
    first = document("https://a.test", {"/x": {"get": operation()}})
    second = document("https://a.test", {"/x": {"get": operation(), "post": {}}, "/y": {"get": {}}})
    second["paths"]["/x"]["get"]["summary"] = "Now with words"
    await imported(service, first)
    (changed,) = (await imported(service, second)).changed
    await service.tools.restore("it", changed["versionBefore"])
    for _ in range(2):
        report = await imported(service, second)
        (edited,) = report.edited
        assert (edited["id"], edited["documentChanged"]) == ("it", False)
        assert report.changed == []
    assert "summary" not in str((await service.tools.get("it")).definition)
    second["paths"]["/x"]["get"]["summary"] = "Other words"
    ((edited,), changes) = ((report := await imported(service, second)).edited, report.changed)
    assert (edited["documentChanged"], changes) == (True, [])

    # What the document gave last follows the document again.
    await service.tools.restore("it", changed["versionBefore"] + 1)
    (followed,) = (await imported(service, second)).changed
    assert followed["id"] == "it"


async def test_a_tool_whose_operation_is_gone_stays_when_it_was_restored(service: Service) -> None:
    paths = {"/x": {"get": operation()}, "/y": {"get": {"operationId": "other"}}}
    await imported(service, document("https://a.test", paths))
    fewer = document("https://a.test", {"/x": {"get": operation()}})
    assert [one["id"] for one in (await imported(service, fewer)).removed] == ["other"]
    await service.tools.restore("other", 1)
    report = await imported(service, fewer)
    assert (report.removed, [one["id"] for one in report.edited]) == ([], ["other"])
    assert (await service.tools.get("other")).id == "other"


async def test_a_selection_neither_adds_nor_removes_the_others(service: Service) -> None:
    await imported(service, document(URL, PATHS), tags=["alpha"])
    assert set(await definitions(service)) == {"listA"}
    wire = (await imported(service, document(URL, PATHS), include=["/b/*"])).wire()
    assert (wire["counts"]["added"], wire["counts"]["removed"]) == (1, 0)
    wire = (await imported(service, document(URL, PATHS), include=["POST *"])).wire()
    assert [one["id"] for one in wire["added"]] == ["addA"]
    with pytest.raises(DocumentError, match="none of its operations was chosen"):
        await imported(service, document(URL, PATHS), tags=["gamma"])


async def test_tools_that_are_not_of_the_document_are_never_touched(service: Service) -> None:
    mine = {"id": "listA", "outputTransform": "1"}
    await service.tools.put(mine)
    for _ in range(2):
        await imported(service, document(URL, PATHS))
        tools = await definitions(service)
        assert set(tools) == {"addA", "echo_listA", "getB", "listA"}
        assert tools["listA"]["outputTransform"] == "1"
    other = document("https://other.example", {"/z": {"get": named("z")}})
    other["info"]["title"] = "Another"
    report = await imported(service, other, source="other.json")
    assert not report.removed


async def test_a_system_that_is_there_keeps_its_credentials(service: Service) -> None:
    system = {
        "id": "echo",
        "url": "https://mine.example",
        "auth": {"type": "bearer", "credential": "mine"},
        "credentials": {"mine": "a-credential-of-mine"},
    }
    await service.connections.put(system)
    schemes = {"securitySchemes": {"k": {"type": "apiKey", "in": "query", "name": "key"}}}
    described = document(URL, PATHS, components=schemes, security=[{"k": []}])
    view = (await imported(service, described, system_id="echo")).wire()["system"]
    assert view["outcome"] == "kept"
    assert view["differs"] == ["url", "auth"]
    assert (view["url"], view["documentUrl"]) == ("https://mine.example", URL)
    assert view["credentials"][0]["isSet"]
    loaded = await service.connections.load("echo", "prod")
    assert (loaded.url, loaded.credentials) == (
        "https://mine.example",
        {"mine": "a-credential-of-mine"},
    )


OAUTH = {
    "authorizationCode": {
        "authorizationUrl": "https://login.example/authorize",
        "tokenUrl": "https://login.example/token",
        "scopes": {"read": "", "write": ""},
    }
}
SCHEMES: list[tuple[dict[str, Any], dict[str, Any] | None, list[str]]] = [
    ({"type": "http", "scheme": "Bearer"}, {"type": "bearer", "credential": "token"}, ["token"]),
    (
        {"type": "http", "scheme": "basic"},
        {"type": "basic", "username": "username", "password": "password"},
        ["username", "password"],
    ),
    (
        {"type": "http", "scheme": "digest"},
        {"type": "digest", "username": "username", "password": "password"},
        ["username", "password"],
    ),
    (
        {"type": "apiKey", "in": "header", "name": "X-Key"},
        {"type": "apiKey", "in": "header", "name": "X-Key", "credential": "api_key"},
        ["api_key"],
    ),
    (
        {"type": "oauth2", "flows": OAUTH},
        {
            "type": "oauth2",
            "grant": "authorization_code",
            "tokenUrl": "https://login.example/token",
            "authorizationUrl": "https://login.example/authorize",
            "clientId": "client_id",
            "scopes": ["read"],
        },
        ["client_id"],
    ),
    (
        {"type": "oauth2", "flows": {"implicit": {"authorizationUrl": "https://l.example"}}},
        {"type": "bearer", "credential": "token"},
        ["token"],
    ),
    (
        {"type": "openIdConnect", "openIdConnectUrl": "https://l.example"},
        {"type": "bearer", "credential": "token"},
        ["token"],
    ),
    ({"type": "mutualTLS"}, None, []),
]


@pytest.mark.parametrize(("scheme", "auth", "credentials"), SCHEMES)
async def test_a_security_scheme_becomes_the_sign_in_of_the_system(
    scheme: dict[str, Any],
    auth: dict[str, Any] | None,
    credentials: list[str],
    service: Service,
) -> None:
    components = {"securitySchemes": {"one": scheme}}
    described = document(URL, PATHS, components=components, security=[{"one": ["read"]}])
    view = (await imported(service, described)).wire()["system"]
    stored = await service.connections.get("echo", "prod")
    assert stored.definition.get("auth") == auth
    assert [one["name"] for one in view["credentials"]] == credentials
    for one in view["credentials"]:
        assert one["command"] == f"callslip systems set-credential echo {one['name']}"


async def test_operations_with_another_sign_in_or_none_have_a_system_of_their_own(
    service: Service, web: Web
) -> None:
    schemes = {
        "often": {"type": "http", "scheme": "basic"},
        "Seldom_key": {"type": "apiKey", "in": "header", "name": "X-Key"},
        "never": {"type": "http", "scheme": "bearer"},
    }
    paths = {
        "/a": {"get": named("a"), "post": named("b")},
        "/c": {"get": named("c", security=[{"Seldom_key": []}])},
        "/d": {"get": named("d", security=[])},
        "/e": {"get": named("e", security=[{"never": []}, {"often": []}])},
        "/f": {"get": named("f", security=[{}, {"often": []}])},
    }
    described = document(
        web.url, paths, components={"securitySchemes": schemes}, security=[{"often": []}]
    )
    wire = (await imported(service, described)).wire()
    assert (wire["system"]["id"], wire["system"]["auth"]) == ("echo", "basic")
    assert [(one["id"], one.get("auth")) for one in wire["furtherSystems"]] == [
        ("echo-seldom-key", "apiKey"),
        ("echo-public", None),
    ]
    assert {one["place"]: one["reason"] for one in wire["notCarriedOver"]} == {
        "#/components/securitySchemes/never": "never, which 1 operations name beside often, "
        "is not used",
        "#/paths/~1f/get/security": "signing in is optional; the tool does not",
    }
    # Without a credential set, what needs none can be called.
    for tool_id in ("d", "f"):
        web.answers(Answer({}))
        outcome = await run(service, tool_id, {})
        assert outcome.error is None, outcome.error
    assert all("authorization" not in seen.headers for seen in web.seen)
    for tool_id in ("a", "c", "e"):
        assert "no credential" in ((await run(service, tool_id, {})).error or "")
    assert len(web.seen) == 2


async def test_a_sign_in_that_is_optional_everywhere_is_that_of_the_system(
    service: Service,
) -> None:
    schemes = {"k": {"type": "apiKey", "in": "header", "name": "X-Key"}}
    optional: list[dict[str, list[str]]] = [{}, {"k": []}]
    described = document(URL, PATHS, components={"securitySchemes": schemes}, security=optional)
    wire = (await imported(service, described)).wire()
    assert wire["system"]["auth"] == "apiKey"
    assert wire["furtherSystems"] == []
    assert wire["notCarriedOver"][0]["place"] == "#/components/securitySchemes"


async def test_keys_in_cookies_and_beside_another_are_sent_as_credentials(
    service: Service, web: Web
) -> None:
    schemes = {
        "app": {"type": "apiKey", "in": "header", "name": "X-App"},
        "session": {"type": "apiKey", "in": "cookie", "name": "sid"},
    }
    parameter = {"name": "x-app", "in": "header", "schema": {"type": "string"}}
    paths = {"/a": {"get": {**named("a"), "parameters": [parameter]}}}
    described = document(
        web.url,
        paths,
        components={"securitySchemes": schemes},
        security=[{"app": [], "session": []}],
    )
    wire = (await imported(service, described)).wire()
    names = [one["name"] for one in wire["system"]["credentials"]]
    assert names == ["api_key", "api_key_2"]
    values = {"api_key": "first-secret", "api_key_2": "second-secret"}
    stored = (await service.connections.get("echo", "prod")).definition
    await service.connections.put({**stored, "credentials": values})
    web.answers(Answer({}))
    outcome = await run(service, "a", {})
    assert outcome.error is None, outcome.error
    assert web.seen[0].headers["x-app"] == "first-secret"
    assert web.seen[0].headers["cookie"] == "sid=second-secret"


async def test_servers_and_their_variables_give_the_url(service: Service) -> None:
    server = {
        "url": "https://{region}.example.com/{version}",
        "variables": {"region": {"default": "eu"}, "version": {"enum": ["v1"], "default": "v1"}},
    }
    described = document(
        URL, {"/a": {"get": named("a"), "servers": [{"url": "https://up.example"}]}}
    )
    described["servers"] = [server, {"url": "https://old.example"}]
    wire = (await imported(service, described)).wire()
    assert wire["system"]["url"] == "https://eu.example.com/v1"
    stored = (await service.connections.get("echo", "prod")).definition
    assert stored["allowedOrigins"] == ["https://up.example"]
    assert (await definitions(service))["a"]["steps"][0]["config"]["url"] == "https://up.example/a"
    assert {one["place"] for one in wire["notCarriedOver"]} >= {"#/servers/1"}


def with_answer(*parameters: dict[str, Any], schema: Any, **answer: Any) -> dict[str, Any]:
    content = {"application/json": {"schema": schema}}
    responses = {"200": {"description": "", "content": content, **answer}}
    return {**operation(*parameters), "operationId": "rows", "responses": responses}


def query(name: str, **schema: Any) -> dict[str, Any]:
    return {"name": name, "in": "query", "schema": {"type": "integer", **schema}}


ROWS = {"type": "array", "items": {"type": "integer"}}
NEXT = {"type": "string", "format": "uri"}
CURSOR = {"name": "after", "in": "query", "schema": {"type": "string"}}
PAGES: list[tuple[str, dict[str, Any], list[str], list[Any], list[str]]] = [
    # type, operation, inputs, answers, what is sent
    (
        "pageBased",
        with_answer(query("page"), query("per_page", default=2), schema=ROWS),
        ["per_page"],
        [[1, 2], [3]],
        ["per_page=2&page=1", "per_page=2&page=2"],
    ),
    (
        "offsetBased",
        with_answer(
            query("offset"),
            query("limit", maximum=2),
            schema={"type": "object", "properties": {"items": ROWS, "n": {"type": "integer"}}},
        ),
        ["limit"],
        [{"items": [1, 2]}, {"items": [3]}],
        ["limit=2&offset=0", "limit=2&offset=2"],
    ),
    (
        "cursorBased",
        with_answer(
            CURSOR,
            query("limit"),
            schema={
                "type": "object",
                "properties": {
                    "items": ROWS,
                    "paging": {
                        "type": "object",
                        "properties": {"next_cursor": {"type": "string"}},
                    },
                },
            },
        ),
        ["query_limit"],
        [{"items": [1, 2], "paging": {"next_cursor": "c"}}, {"items": [3], "paging": {}}],
        ["", "after=c"],
    ),
    (
        "nextUrl",
        with_answer(
            query("page"),
            schema={"type": "object", "properties": {"next": NEXT, "results": ROWS}},
        ),
        [],
        [{"next": "/v1/rows?page=2", "results": [1, 2]}, {"next": None, "results": [3]}],
        ["", "page=2"],
    ),
    (
        "linkHeader",
        with_answer(
            query("page"), query("per_page"), schema=ROWS, headers={"Link": {"schema": {}}}
        ),
        ["per_page"],
        [Answer([1, 2], headers={"Link": '</v1/rows?page=2>; rel="next"'}), [3]],
        ["", "page=2"],
    ),
]


@pytest.mark.parametrize(("kind", "described", "inputs", "answers", "queries"), PAGES)
async def test_pages_that_a_document_gives_reason_for_are_read(
    kind: str,
    described: dict[str, Any],
    inputs: list[str],
    answers: list[Any],
    queries: list[str],
    service: Service,
    web: Web,
) -> None:
    wire = (
        await imported(service, document(f"{web.url}/v1", {"/rows": {"get": described}}))
    ).wire()
    assert [one["type"] for one in wire["pagination"]] == [kind]
    tool = (await service.tools.get("rows")).definition
    assert list(tool["inputSchema"]["properties"]) == inputs
    web.answers(*(one if isinstance(one, Answer) else Answer(one) for one in answers))
    outcome = await run(service, "rows", {})
    assert outcome.error is None, outcome.error
    assert [one.query for one in web.seen] == queries
    data: Any = outcome.data
    rows: Any = data if isinstance(data, list) else data.get("items", data.get("results"))  # pyright: ignore[reportUnknownVariableType]: any JSON
    assert rows == [1, 2, 3]


@pytest.mark.parametrize(
    "described",
    [
        with_answer(query("page"), query("per_page"), schema=ROWS),
        with_answer(query("page", default=0), query("per_page", default=9), schema=ROWS),
        with_answer(query("page"), schema=ROWS),
        with_answer(query("page"), query("size", default=3), schema={"type": "object"}),
        with_answer(CURSOR, schema={"type": "object", "properties": {"items": ROWS}}),
    ],
)
async def test_what_only_looks_like_pages_stays_an_input(
    described: dict[str, Any], service: Service
) -> None:
    wire = (await imported(service, document(URL, {"/rows": {"get": described}}))).wire()
    assert not wire["pagination"]
    tool = (await service.tools.get("rows")).definition
    assert len(tool["inputSchema"]["properties"]) == len(described["parameters"])


FROM_ZERO = [
    query("page", default=0),
    query("page", minimum=0),
    {**query("page"), "description": "Zero-based page index (0..N)"},
]


@pytest.mark.parametrize("page", FROM_ZERO)
async def test_pages_that_are_counted_from_zero_are_noted_and_stay_inputs(
    page: dict[str, Any], service: Service
) -> None:
    described = with_answer(page, query("size", default=20), schema=ROWS)
    wire = (await imported(service, document(URL, {"/rows": {"get": described}}))).wire()
    assert not wire["pagination"]
    assert [one["reason"] for one in wire["notCarriedOver"]] == [
        "page and size look like pages, but do not begin at 1"
    ]
    assert "page" in (await service.tools.get("rows")).definition["inputSchema"]["properties"]


async def test_a_page_is_no_larger_than_the_document_allows(service: Service, web: Web) -> None:
    size = query("limit", default=500, maximum=3)
    described = with_answer(query("page"), size, schema=ROWS)
    await imported(service, document(web.url, {"/rows": {"get": described}}))
    web.answers(Answer([1]))
    outcome = await run(service, "rows", {})
    assert outcome.error is None, outcome.error
    assert web.seen[0].query == "limit=3&page=1"


OPTIONAL_BODIES: list[tuple[str, dict[str, Any], dict[str, Any], bytes]] = [
    ("text/plain", {"type": "string"}, {"body": "hello"}, b"hello"),
    ("application/json", {"type": "array"}, {"body": [1]}, b"[1]"),
    (
        "application/merge-patch+json",
        {"type": "object", "properties": {"a": {"type": "integer"}, "b": {}}},
        {"a": 1},
        b'{"a":1}',
    ),
]


@pytest.mark.parametrize(("media_type", "schema", "inputs", "data"), OPTIONAL_BODIES)
async def test_an_optional_body_that_is_not_given_is_not_sent_and_has_no_type(
    media_type: str,
    schema: dict[str, Any],
    inputs: dict[str, Any],
    data: bytes,
    service: Service,
    web: Web,
) -> None:
    described = operation(requestBody={"content": {media_type: {"schema": schema}}})
    await imported(service, document(web.url, {"/a": {"post": described}}))
    seen = await sent(service, web, {})
    assert seen.body == b""
    assert "content-type" not in seen.headers
    seen = await sent(service, web, inputs)
    assert (seen.headers["content-type"], seen.body) == (media_type, data)


async def test_the_caller_says_how_large_a_page_is(service: Service, web: Web) -> None:
    described = with_answer(query("page"), query("per_page", default=30), schema=ROWS)
    await imported(service, document(web.url, {"/rows": {"get": described}}))
    web.answers(Answer([1]), Answer([]))
    await run(service, "rows", {"per_page": 1})
    assert [one.query for one in web.seen] == ["per_page=1&page=1", "per_page=1&page=2"]


async def test_ids_do_not_depend_on_the_order_of_the_document(service: Service) -> None:
    same: dict[str, Any] = {"operationId": "same", "responses": {}}
    paths: dict[str, Any] = {
        "/a": {"get": same},
        "/b": {"get": same, "post": {"responses": {}}},
        "/c/{id}": {"get": {"responses": {}}},
        "/c/id": {"get": {"responses": {}}},
    }
    first = await imported(service, document(URL, paths), dry_run=True)
    turned = dict(reversed(paths.items()))
    second = await imported(service, document(URL, turned), dry_run=True)
    assert first.wire() == second.wire()
    ids = {one["operation"]: one["id"] for one in first.added}
    assert (ids["GET /a"], ids["GET /b"], ids["POST /b"]) == ("get_a", "get_b", "post_b")
    assert len(set(ids.values())) == 5


async def test_output_schemas_are_taken_only_when_they_are_asked_for(
    service: Service, web: Web
) -> None:
    schema = {"$ref": "#/components/schemas/Node"}
    node = {
        "type": "object",
        "required": ["id"],
        "properties": {"id": {"type": "string", "format": "uuid"}, "next": schema},
        "additionalProperties": False,
    }
    paths = {"/rows": {"get": with_answer(schema=schema)}}
    described = document(web.url, paths, components={"schemas": {"Node": node}})
    await imported(service, described)
    assert "outputSchema" not in (await service.tools.get("rows")).definition
    await imported(service, described, with_output_schemas=True)
    web.answers(Answer({"id": "1", "new": True, "next": {"id": "2", "next": None}}), Answer({}))
    assert (await run(service, "rows", {})).error is None
    assert "output" in str((await run(service, "rows", {})).error).lower()


async def test_an_address_that_is_none_is_refused_without_its_user(service: Service) -> None:
    with pytest.raises(DocumentError) as refused:
        await fetch_document(service, "http://ann:planted-password@[::1/api.json?key=planted")
    assert str(refused.value) == "http://[::1/api.json: this is no http or https url"


async def test_a_document_is_fetched_through_the_client_of_every_request(
    service: Service, web: Web
) -> None:
    web.answers(Answer(document("/v1", PATHS)), Answer("no", status=404))
    fetched = await fetch_document(service, f"{web.url}/docs/api.json?key=secret")
    report = await imported(service, fetched.content, base_url=fetched.url)
    assert report.wire()["system"]["url"] == f"{web.url}/v1"
    with pytest.raises(DocumentError, match="the answer is HTTP 404") as raised:
        await fetch_document(service, f"{web.url}/docs/api.json?key=secret")
    assert "secret" not in str(raised.value)
    with pytest.raises(DocumentError, match="metadata address"):
        await fetch_document(service, "http://169.254.169.254/api.json")


async def test_the_command_imports_a_file_with_the_files_beside_it(tmp_path: Path) -> None:
    described = document(URL, {"/a": {"$ref": "paths/a.json"}})
    (tmp_path / "paths").mkdir()
    (tmp_path / "api.json").write_text(json.dumps(described), "utf-8")
    schema = {"$ref": "../schemas.yaml#/Kind"}
    item = {"get": operation({"name": "kind", "in": "query", "schema": schema})}
    (tmp_path / "paths" / "a.json").write_text(json.dumps(item), "utf-8")
    (tmp_path / "schemas.yaml").write_text("Kind: {type: string, enum: [x, no]}", "utf-8")
    home = tmp_path / "home"
    path = str(tmp_path / "api.json")
    code, output, errors = await run_command(home, "import", "openapi", path, "--json")
    assert code == 0, errors
    assert json.loads(output)["counts"] == {
        "added": 1,
        "changed": 0,
        "removed": 0,
        "unchanged": 0,
        "edited": 0,
        "notCarriedOver": 0,
    }
    code, output, _ = await run_command(home, "tools", "show", "it")
    assert json.loads(output)["inputSchema"]["properties"]["kind"]["enum"] == ["x", "no"]
    code, output, errors = await run_command(home, "import", "openapi", path)
    assert (code, output.splitlines()) == (
        0,
        [
            "Echo (openapi 3.1)",
            "unchanged 1",
            f"system echo kept at {URL}",
        ],
    )


async def test_the_command_says_what_is_wrong_with_a_document(tmp_path: Path) -> None:
    path = tmp_path / "api.json"
    path.write_text('{"openapi": "4.0.0"}', "utf-8")
    home = tmp_path / "home"
    code, _, errors = await run_command(home, "import", "openapi", str(path))
    assert code == 2
    assert f"{path}: #/openapi: version '4.0.0' is not known" in errors
    code, _, errors = await run_command(home, "import", "openapi", str(tmp_path / "no.json"))
    assert code == 2
    assert "cannot be read" in errors
    url = "http://127.0.0.1:1/x"
    code, _, errors = await run_command(home, "import", "openapi", url)
    assert code == 2
    assert errors.count(url) == 1


async def test_an_id_that_no_system_may_have_is_refused_before_anything_is_stored(
    service: Service,
) -> None:
    for dry_run in (True, False):
        with pytest.raises(DocumentError, match="this cannot be an id"):
            await imported(service, document(URL, PATHS), system_id="a b", dry_run=dry_run)
    assert not await service.tools.all()


DOCUMENTS = sorted((Path(__file__).parent.parent / "openapi").glob("*.*"))


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.stem)
async def test_every_tool_of_a_document_passes_the_check(path: Path, service: Service) -> None:
    content = await anyio.Path(path).read_bytes()
    wire = (await imported(service, content, with_output_schemas=True)).wire()
    stored = await service.tools.all()
    assert len(stored) == wire["counts"]["added"]
    for one in await service.tools.check_all([one.definition for one in stored]):
        assert not one.problems
    again = (await imported(service, content, with_output_schemas=True)).wire()
    assert again["counts"]["unchanged"] == len(stored)
    kinds = {"files are sent as text, without a file name"}
    assert {one["reason"] for one in wire["notCarriedOver"]} <= kinds
