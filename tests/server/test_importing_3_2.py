"""What OpenAPI 3.2 has beyond 3.1, and what its tools send for it."""

import json
from typing import Any

import pytest

from server.service import Service
from tests.server.importing import document, imported, operation, sent
from tests.web import Web
from tools.importers import DocumentError
from tools.importers.openapi import OpenApiOptions, import_openapi
from tools.touches import touches

FORM = "application/x-www-form-urlencoded"
TEXT = {"type": "string"}


def of_3_2(url: str, paths: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {**document(url, paths), "openapi": "3.2.0", **fields}


def whole_query(kind: str, schema: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """A parameter that describes the query as a whole."""
    return {"name": "all", "in": "querystring", "content": {kind: {"schema": schema}}, **fields}


async def test_a_query_is_sent_with_its_body_and_only_reads(service: Service, web: Web) -> None:
    schema = {"type": "object", "properties": {"name": TEXT}, "required": ["name"]}
    body = {"required": True, "content": {"application/json": {"schema": schema}}}
    await imported(service, of_3_2(web.url, {"/pets": {"query": operation(requestBody=body)}}))
    seen = await sent(service, web, {"name": "x"})
    assert (seen.method, seen.target, json.loads(seen.body)) == ("QUERY", "/pets", {"name": "x"})
    entry = await service.tools.require("it")
    (touch,) = touches(entry.prepared.tool)
    assert (touch.writes, touch.repeatable) == (False, True)


FORM_FIELDS = {"type": "object", "properties": {"page": {"type": "integer"}, "tag": TEXT}}
QUERIES: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    (whole_query(FORM, FORM_FIELDS), {"page": 2, "tag": "a b"}, "/q?page=2&tag=a+b"),
    (whole_query(FORM, FORM_FIELDS), {"page": 2}, "/q?page=2"),
    (
        whole_query(FORM, {"type": "object", "additionalProperties": TEXT}),
        {"all": {"a": "1", "b&": "2"}},
        "/q?a=1&b%26=2",
    ),
    (whole_query("application/json", {"type": "object"}), {"all": {"a": [1]}},
     "/q?%7B%22a%22%3A%5B1%5D%7D"),
    (whole_query("text/plain", TEXT), {"all": "$.a[1:2]"}, "/q?%24.a%5B1%3A2%5D"),
    (whole_query("text/plain", TEXT), {}, "/q"),
]  # fmt: skip


@pytest.mark.parametrize(("parameter", "inputs", "target"), QUERIES)
async def test_a_query_that_is_described_as_a_whole_is_written_as_its_content_says(
    parameter: dict[str, Any], inputs: dict[str, Any], target: str, service: Service, web: Web
) -> None:
    await imported(service, of_3_2(web.url, {"/q": {"get": operation(parameter)}}))
    assert (await sent(service, web, inputs)).target == target


async def test_the_fields_of_a_required_query_are_required_as_its_schema_says(
    service: Service, web: Web
) -> None:
    schema = {**FORM_FIELDS, "required": ["tag"]}
    required = whole_query(FORM, schema, required=True)
    report = await imported(service, of_3_2(web.url, {"/q": {"get": operation(required)}}))
    (tool,) = report.result.tools
    assert tool.definition["inputSchema"]["required"] == ["tag"]


@pytest.mark.parametrize(
    ("how", "value", "cookie"),
    [
        ({}, "a b/ü", "p=a b/ü"),
        ({}, ["a", "b"], "p=a; p=b"),
        ({}, {"a": 1, "b": 2}, "a=1; b=2"),
        ({"explode": False}, ["a", "b"], "p=a,b"),
        ({"explode": False}, {"a": 1, "b": 2}, "p=a,1,b,2"),
    ],
)
async def test_a_parameter_in_the_style_of_cookies_is_not_encoded(
    how: dict[str, Any], value: Any, cookie: str, service: Service, web: Web
) -> None:
    parameter: dict[str, Any] = {"name": "p", "in": "cookie", "style": "cookie", "schema": {}}
    report = await imported(
        service, of_3_2(web.url, {"/c": {"get": operation({**parameter, **how})}})
    )
    assert not list(report.result.notes)
    seen = await sent(service, web, {"p": value})
    assert seen.headers["cookie"].encode("latin-1", "replace").decode() == cookie


async def test_reserved_characters_of_a_path_stay_where_the_document_allows_them(
    service: Service, web: Web
) -> None:
    parameter = {"name": "path", "in": "path", "required": True, "schema": TEXT}
    allowing = operation({**parameter, "allowReserved": True})
    await imported(service, of_3_2(web.url, {"/files/{path}": {"get": allowing}}))
    seen = await sent(service, web, {"path": "a/b c.txt?x#y"})
    assert seen.target == "/files/a/b%20c.txt%3Fx%23y"


async def test_media_types_may_be_referred_to(service: Service, web: Web) -> None:
    schema = {"type": "object", "properties": {"name": TEXT}}
    reference = {"application/json": {"$ref": "#/components/mediaTypes/Pet"}}
    described = operation(
        {"name": "filter", "in": "query", "content": reference},
        requestBody={"content": reference},
        responses={"200": {"description": "fine", "content": reference}},
    )
    report = await imported(
        service,
        of_3_2(
            web.url,
            {"/pets": {"post": described}},
            components={"mediaTypes": {"Pet": {"schema": schema}}},
        ),
        with_output_schemas=True,
    )
    (tool,) = report.result.tools
    properties = tool.definition["inputSchema"]["properties"]
    assert {name: one["type"] for name, one in properties.items()} == {
        "filter": "object",
        "name": "string",
    }
    assert tool.definition["outputSchema"]["properties"] == {"name": TEXT}
    missing = {"application/json": {"$ref": "#/nowhere"}}
    described = operation({"name": "filter", "in": "query", "content": missing})
    described |= {"requestBody": {"content": missing}}
    report = await imported(service, of_3_2(web.url, {"/pets": {"post": described}}))
    reasons = [one.reason for one in report.result.notes]
    assert reasons == [
        "any value is accepted: #/nowhere leads nowhere",
        "the body is left out: #/nowhere leads nowhere",
    ]


def test_addresses_are_relative_to_the_one_that_a_document_says_is_its_own() -> None:
    schema = {"$ref": "api.json#/components/schemas/Id"}
    parameter = {"name": "id", "in": "query", "required": True, "schema": schema}
    content = of_3_2(
        "v2",
        {"/a": {"get": operation(parameter)}},
        components={"schemas": {"Id": {"type": "integer"}}},
        **{"$self": "https://api.example/docs/api.json"},
    )
    for read_from in (None, "https://mirror.example/x.json"):
        found = import_openapi(json.dumps(content).encode(), OpenApiOptions(base_url=read_from))
        assert not list(found.notes)
        assert found.system.definition["url"] == "https://api.example/docs/v2"
        schema = found.tools[0].definition["inputSchema"]
        assert json.dumps(schema).count('"integer"') == 1


def test_methods_that_no_step_sends_are_told() -> None:
    paths = {"/a": {"get": operation(), "additionalOperations": {"LINK": operation()}}}
    content = json.dumps(of_3_2("https://api.example", paths)).encode()
    found = import_openapi(content, OpenApiOptions())
    assert [str(one.place) for one in found.notes] == ["#/paths/~1a/additionalOperations/LINK"]


def test_a_later_version_is_refused() -> None:
    content = json.dumps({**of_3_2("https://api.example", {}), "openapi": "3.3.0"}).encode()
    with pytest.raises(DocumentError, match=r"version '3\.3\.0' is not known"):
        import_openapi(content, OpenApiOptions())
