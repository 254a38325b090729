"""HTTP archives, Postman collections and exported tools: what becomes of them."""

import json
from typing import Any

import pytest

from tools.importers import DocumentError, ImportResult
from tools.importers.har import HarOptions, import_har
from tools.importers.postman import import_postman
from tools.importers.superglue import find_tools, listed_tools


def entry(url: str, method: str = "GET", kind: str = "application/json", **more: Any) -> Any:
    request = {"method": method, "url": url, "headers": more.pop("headers", []), **more}
    return {"request": request, "response": {"status": 200, "content": {"mimeType": kind}}}


def har(*entries: Any, **options: Any) -> ImportResult:
    content = json.dumps({"log": {"entries": entries}}).encode()
    return import_har(content, HarOptions(**options))


def configs_of(result: ImportResult) -> list[dict[str, Any]]:
    return [tool.definition["steps"][0]["config"] for tool in result.tools]


FORM_TEXT = (
    '--b\r\nContent-Disposition: form-data; name="title"\r\n\r\nx\r\n'
    '--b\r\nContent-Disposition: form-data; name="photo"; filename="cat.png"\r\n'
    "Content-Type: image/png\r\n\r\n\r\n--b--\r\n"
)


@pytest.mark.parametrize(
    "body",
    [
        {"text": FORM_TEXT},
        {"params": [
            {"name": "title", "value": "x"},
            {"name": "photo", "fileName": "cat.png", "contentType": "image/png"},
        ]},
    ],
)  # fmt: skip
def test_a_file_of_a_form_is_an_input(body: dict[str, Any]) -> None:
    posted = {"mimeType": "multipart/form-data; boundary=b", **body}
    (tool,) = har(entry("https://a.test/photos", "POST", postData=posted)).tools
    config = tool.definition["steps"][0]["config"]
    assert config["headers"] == {"Content-Type": "multipart/form-data"}
    assert config["body"] == (
        '{"title": "<<title>>", '
        '"photo": {"file": <<photo>>, "name": "cat.png", "contentType": "image/png"}}'
    )
    assert tool.definition["inputSchema"]["required"] == ["photo"]


def test_calls_that_differ_in_ids_and_query_alone_are_one_tool() -> None:
    result = har(
        entry("https://a.test/users/1?page=1"),
        entry("https://a.test/users/2?sort=up"),
        entry("https://a.test/users/2", "DELETE"),
    )
    first, second = (tool.definition for tool in result.tools)
    assert first["steps"][0]["config"]["url"] == "/users/<<user_id>>"
    assert set(first["inputSchema"]["properties"]) == {"user_id", "page", "sort"}
    assert "default" not in first["inputSchema"]["properties"]["sort"]
    assert second["steps"][0]["config"]["method"] == "DELETE"


GRAPHQL = [
    {"query": "query Orders { orders { id } }", "operationName": "Orders", "variables": {"n": 1}},
    {
        "query": "query  Orders {\n orders { id } }",
        "operationName": "Orders",
        "variables": {"n": 2},
    },
    {"query": "mutation AddOrder($n: Int) { add(n: $n) { id } }", "variables": {"n": 1}},
    {"operationName": "Saved", "extensions": {"persistedQuery": {"sha256Hash": "a" * 8}}},
    {"jsonrpc": "2.0", "id": 1, "method": "sum"},
    {"jsonrpc": "2.0", "id": 2, "method": "ping"},
    {"query": "shoes"},
    {"query": "boots"},
    [{"query": "{ a }"}, {"query": "{ b }"}],
]


def test_operations_that_the_query_of_a_url_names_are_tools_of_their_own() -> None:
    saved = "&variables=%7B%22n%22%3A{}%7D&extensions=%7B%7D"
    result = har(
        entry("https://a.test/graphql?operationName=A" + saved.format(1)),
        entry("https://a.test/graphql?operationName=A" + saved.format(2)),
        entry("https://a.test/graphql?operationName=B" + saved.format(1)),
        entry("https://a.test/graphql?query=%7Ba%7D"),
    )
    assert [tool.definition.get("name") for tool in result.tools] == ["A", "B", None]


def test_operations_that_a_body_names_are_tools_of_their_own() -> None:
    result = har(*(
        entry("https://a.test/graphql", "POST", postData={
            "mimeType": "application/json", "text": json.dumps(body)
        })
        for body in GRAPHQL
    ))  # fmt: skip
    names = [tool.definition.get("name") for tool in result.tools]
    assert names == ["Orders", "AddOrder", "Saved", "sum", "ping", None, None]
    assert [tool.definition["id"] for tool in result.tools][:2] == ["Orders", "AddOrder"]
    assert len({tool.key for tool in result.tools}) == len(result.tools)
    assert "2 calls are repetitions of others with other values" in {
        one.reason for one in result.notes
    }
    assert configs_of(result)[5]["body"] == '{"query": "<<query>>"}'


def test_files_tracking_redirects_and_failures_are_left_out_with_a_count() -> None:
    redirect, failed = entry("https://a.test/old"), entry("https://a.test/gone")
    redirect["response"]["status"], failed["response"]["status"] = 302, 404
    result = har(
        entry("https://a.test/api"),
        entry("https://a.test/app.js", kind="text/javascript"),
        entry("https://a.test/", kind="text/html"),
        entry("https://www.google-analytics.com/collect", "POST"),
        entry("https://a.test/api", "OPTIONS"),
        redirect,
        failed,
    )
    assert [one["url"] for one in configs_of(result)] == ["/api"]
    reasons = {one.reason for one in result.notes}
    assert "2 left out: pages, scripts, images and other files" in reasons
    assert {"1 left out: tracking", "1 left out: redirects"} <= reasons


def test_a_selection_and_a_limit_narrow_an_archive() -> None:
    entries = [entry(f"https://a.test/{name}") for name in ("a/x", "a/y", "b/z")]
    assert len(har(*entries, include=["/a/*"]).tools) == 2
    assert len(har(*entries, limit=1).tools) == 1
    said = r"none of its entries was chosen.*Of 3 other calls of an API, one is GET /a/x\."
    with pytest.raises(DocumentError, match=said):
        har(*entries, include=["/nothing/*"])


def test_a_pattern_takes_calls_of_an_api_only_and_a_whole_path_takes_what_it_names() -> None:
    broken, logo = entry("https://a.test/api/broken"), entry("https://a.test/api/logo.png")
    broken["response"] |= {"status": 404}
    logo["response"]["content"]["mimeType"] = "image/png"
    entries = [
        *(entry("https://a.test/api/orders/5"), broken, logo),
        entry("https://a.test/other/logo.png", kind="image/png"),
    ]
    result = har(*entries, include=["/api/*"])
    assert [one["url"] for one in configs_of(result)] == ["/api/orders/<<order_id>>"]
    assert {one.reason for one in result.notes} == {
        "1 left out: calls that failed",
        "1 left out: pages, scripts, images and other files",
        "1 left out: not among --include",
    }
    named = har(*entries, include=["/api/broken", "GET /api/logo.png"])
    assert [one["url"] for one in configs_of(named)] == ["/api/broken", "/api/logo.png"]
    with pytest.raises(DocumentError, match=r"1 left out: calls that failed\. Name one in full"):
        har(broken, logo, include=["/api/b*"])
    with pytest.raises(
        DocumentError, match=r"chosen with --include.*1 left out: calls that failed"
    ):
        har(broken, include=["/api/*"])


def test_the_example_of_an_entry_to_choose_shows_no_key() -> None:
    key = "ghp_" + "a1B2c3D4e5" * 4
    with pytest.raises(DocumentError) as refused:
        har(entry(f"https://a.test/{key}/x"), include=["/nothing"])
    assert "one is GET /*/x." in str(refused.value)


def test_a_token_that_changes_during_a_session_is_one_sign_in() -> None:
    result = har(
        *(
            entry(f"https://a.test/{name}", headers=[{"name": "X-Csrf-Token", "value": name * 20}])
            for name in ("x", "y")
        )
    )
    assert not result.further_systems
    assert "x" * 20 not in repr(result)
    assert "y" * 20 not in repr(result)


def test_cookies_and_headers_of_the_browser_stay_behind() -> None:
    headers = [
        {"name": name, "value": "planted-value"}
        for name in ("Cookie", "User-Agent", "Sec-Fetch-Mode", ":authority", "Referer")
    ]
    result = har(entry("https://a.test/api", headers=[*headers, {"name": "X-Own", "value": "1"}]))
    (config,) = configs_of(result)
    assert config["headers"] == {"X-Own": "1"}
    assert "planted" not in repr(result)


COLLECTION: dict[str, Any] = {
    "info": {
        "name": "Shop",
        "schema": "https://schema.getpostman.com/json/collection/v2.1.0/collection.json",
    },
    "auth": {"type": "apikey", "apikey": [
        {"key": "key", "value": "X-Key"}, {"key": "value", "value": "{{key}}"}
    ]},
    "variable": [
        {"key": "base", "value": "https://shop.test/v1"},
        {"key": "key", "value": "planted-key-value", "type": "secret"},
        {"key": "lang", "value": "de"},
    ],
    "event": [{"listen": "prerequest", "script": {"exec": ["pm.x()"]}}],
    "item": [
        {
            "name": "Orders",
            "item": [
                {"name": "Get one", "request": {
                    "method": "GET",
                    "url": {
                        "raw": "{{base}}/orders/:id?lang={{lang}}&skip=1",
                        "host": ["{{base}}"],
                        "path": ["orders", ":id"],
                        "query": [
                            {"key": "lang", "value": "{{lang}}"},
                            {"key": "skip", "value": "1", "disabled": True},
                        ],
                        "variable": [{"key": "id", "value": "42"}],
                    },
                }},
                {"name": "Add", "request": {
                    "method": "POST",
                    "url": "{{base}}/orders",
                    "body": {"mode": "raw", "raw": '{"n": {{count}}, "by": "{{lang}}"}'},
                }},
            ],
        },
        {"name": "Upload", "request": {
            "auth": {"type": "noauth"},
            "method": "POST",
            "url": "{{base}}/files",
            "body": {"mode": "formdata", "formdata": [
                {"key": "file", "type": "file", "src": "/home/ann/x.png"},
                {"key": "title", "value": "x", "type": "text"},
            ]},
        }},
    ],
}  # fmt: skip


def postman(**fields: Any) -> ImportResult:
    return import_postman(json.dumps({**COLLECTION, **fields}).encode())


def test_folders_variables_and_inherited_sign_in_are_carried_over() -> None:
    result = postman()
    get, add, upload = (tool.definition for tool in result.tools)
    assert (get["folder"], add["folder"], upload.get("folder")) == ("Orders", "Orders", None)
    config = get["steps"][0]["config"]
    assert config["url"] == "/v1/orders/<<id>>"
    assert config["queryParams"] == {"lang": "<<lang>>"}
    assert get["inputSchema"]["properties"]["lang"] == {"type": "string", "default": "de"}
    assert add["steps"][0]["config"]["body"] == '{"n": <<count>>, "by": "<<lang>>"}'
    assert add["inputSchema"]["required"] == ["count"]
    assert upload["steps"][0]["config"]["url"] == "https://shop.test/v1/files"
    assert upload["steps"][0]["config"]["body"] == (
        '{"file": {"file": <<file>>, "name": "x.png"}, "title": "<<title>>"}'
    )
    assert result.system.definition["auth"]["name"] == "X-Key"
    assert list(result.system.values.values()) == ["planted-key-value"]
    assert "planted" not in repr(result)


def test_scripts_and_files_are_named_as_not_carried_over() -> None:
    notes = {one.place: one.reason for one in postman().notes}
    assert notes["#/event/0"] == "pre-request scripts are not carried over"
    assert "input" in notes["#/item/1/request/body/formdata/0"]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"item": None}, "it needs `info` and `item`"),
        ({"info": {"schema": "…/collection/v1.0.0/…"}}, "#/info/schema: this version"),
        ({"item": [{"name": "x", "request": "ftp://a"}]}, "no request that a tool could make"),
    ],
)
def test_another_document_is_refused(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(DocumentError, match=said):
        postman(**fields)


def test_a_graphql_body_takes_its_variables_as_inputs() -> None:
    body = {"mode": "graphql", "graphql": {"query": "query($a: Int) {x}", "variables": '{"a": 1}'}}
    request = {"method": "POST", "url": "{{base}}/graphql", "body": body}
    result = postman(item=[{"name": "Ask", "request": request}])
    assert (
        configs_of(result)[0]["body"]
        == '{"query": "query($a: Int) {x}", "variables": {"a": <<a>>}}'
    )


def test_exported_tools_keep_their_ids_and_lose_their_secrets() -> None:
    exported = {"data": [{
        "id": "old-tool",
        "steps": [{"id": "get", "apiConfig": {
            "urlHost": "https://ann:planted-pw@a.test",
            "urlPath": "/x?api_key=planted-key&q=<<q>>",
            "headers": {"Authorization": "Bearer <<acme_token>>", "X-Secret": "planted-secret"},
        }}],
        "finalTransform": "(s) => s.get.data",
    }]}  # fmt: skip
    found = find_tools(listed_tools(json.dumps(exported).encode()))
    (definition,) = found.definitions
    assert definition["outputTransform"] == "(s) => s.get.data"
    config = definition["steps"][0]["config"]
    assert config["url"] == "https://a.test/x?api_key=<<a-test_api_key>>&q=<<q>>"
    assert config["headers"]["X-Secret"] == "<<a-test_secret>>"
    (system,) = found.systems
    assert set(system.values) == {"username", "password", "api_key", "secret"}
    assert "planted" not in json.dumps(definition) + repr(found)


def test_fields_of_an_export_that_nothing_uses_are_left_out_with_a_note() -> None:
    written = {
        "id": "planted-id",
        "createdAt": "2024-01-01",
        "updatedAt": None,
        "secret": "planted",
    }
    step = {
        "id": "get",
        "apiConfig": {
            **written,
            "urlHost": "https://a.test",
            "pagination": {"type": "PAGE_BASED", "cursor": "planted"},
        },
        "position": {"x": 1},
        "inputMapping": "$",
    }
    export = {"id": "t", "createdAt": "2024-01-01", "steps": [step], "nodes": []}
    found = find_tools([export])
    assert found.definitions == ({
        "id": "t",
        "createdAt": "2024-01-01",
        "steps": [{
            "id": "get",
            "inputMapping": "$",
            "config": {"url": "https://a.test", "pagination": {"type": "pageBased"}},
        }],
    },)  # fmt: skip
    assert {one.place for one in found.notes} == {
        f"tool 1, {path}"
        for path in (
            "nodes",
            "steps[0].position",
            *(f"steps[0].config.{name}" for name in ("id", "createdAt", "secret")),
            "steps[0].config.pagination.cursor",
        )
    }
    assert "planted" not in repr(found)


def test_passwords_and_webhooks_in_urls_of_an_export_are_credentials() -> None:
    config = {
        "url": "https://hooks.slack.com/services/T0A/B0A/plantedABC",
        "method": "POST",
        "headers": {"X-Database": "mysql://ann:planted-pw@db.test/x"},
        "body": '{"cache": "redis://:planted-two@c.test"}',
    }
    found = find_tools([{"id": "t", "steps": [{"id": "s", "config": config}]}])
    (system,) = found.systems
    assert sorted(system.values.values()) == ["planted-pw", "planted-two", "plantedABC"]
    assert "planted" not in repr(found)
