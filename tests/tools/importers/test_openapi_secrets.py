"""Passwords and keys that a document or its url holds are neither stored nor quoted."""

import json
from typing import Any

import pytest

from tools.importers import ImportResult
from tools.importers.openapi import OpenApiOptions, import_openapi
from tools.json_text import JsonObject, encode_json

# Made up, in the forms that their issuers give keys.
GITHUB = "ghp_" + "a1B2c3D4e5" * 4
AWS = "AKIA" + "Q7W8E9R0T1Y2U3I4"
JWT = ".".join(("eyJhbGciOiJIUzI1NiJ9", "eyJzdWIiOiIxMjM0NTYifQ", "dozjgNryP4J3jVmNHl0w5N"))
SECRET = "Planted-4711-secret"
PATHS: dict[str, Any] = {"/a": {"get": {"operationId": "a"}}}


def read(paths: dict[str, Any], base_url: str | None = None, **fields: Any) -> ImportResult:
    head = {"openapi": "3.1.0", "info": {"title": "T"}, "servers": [{"url": "https://x.eu"}]}
    described = {**head, "paths": paths, **fields}
    return import_openapi(encode_json(described), OpenApiOptions(base_url=base_url))


def everything(result: ImportResult) -> str:
    systems = (result.system, *result.further_systems)
    return json.dumps(
        [
            [[one.definition, one.key, one.label] for one in result.tools],
            [[one.definition, dict(one.purposes)] for one in systems],
            [[one.place, one.reason] for one in result.notes],
            sorted(result.all_keys),
        ]
    )


def reasons(result: ImportResult) -> dict[str, str]:
    return {one.place: one.reason for one in result.notes}


USER = f"ann:{SECRET}@"
WITH_PASSWORDS: list[tuple[dict[str, Any], str | None, str]] = [
    ({"servers": [{"url": f"http://{USER}h.eu/v1/?token={SECRET}"}]}, None, "http://h.eu/v1"),
    ({"servers": [{"url": "/v1"}]}, f"http://{USER}h.eu/api.json?k={SECRET}", "http://h.eu/v1"),
    ({"servers": []}, f"http://{USER}h.eu/api.json?k={SECRET}", "http://h.eu"),
    ({"servers": [{"url": "http://h.eu"}, {"url": f"http://{USER}i.eu"}]}, None, "http://h.eu"),
    (
        {"servers": [{"url": f"ws://{USER}i.eu?token={SECRET}"}, {"url": "http://h.eu"}]},
        None,
        "http://h.eu",
    ),
    (
        {"servers": [{"url": f"http://{USER}{{h}}?token={SECRET}"}, {"url": "http://h.eu"}]},
        None,
        "http://h.eu",
    ),
    (
        {
            "servers": [
                {"url": "http://h.eu/{token}", "variables": {"token": {"default": SECRET}}},
                {"url": "http://h.eu"},
            ]
        },
        None,
        "http://h.eu",
    ),
]


@pytest.mark.parametrize(("fields", "base_url", "url"), WITH_PASSWORDS)
def test_no_password_of_a_url_is_kept_or_quoted(
    fields: dict[str, Any], base_url: str | None, url: str
) -> None:
    result = read(PATHS, base_url, **fields)
    assert result.system.definition["url"] == url
    assert SECRET not in everything(result)


def test_swagger_and_sign_ins_take_no_password_from_where_the_document_was() -> None:
    scheme: JsonObject = {
        "type": "oauth2",
        "flow": "application",
        "tokenUrl": "/token",
        "scopes": {},
    }
    described: JsonObject = {
        "swagger": "2.0",
        "info": {"title": "T"},
        "basePath": "/v1",
        "paths": PATHS,
        "securityDefinitions": {"o": scheme},
        "security": [{"o": []}],
    }
    options = OpenApiOptions(base_url=f"http://{USER}h.eu/api.json")
    result = import_openapi(encode_json(described), options)
    assert result.system.definition["url"] == "http://h.eu/v1"
    assert result.system.definition["auth"]["tokenUrl"] == "http://h.eu/token"
    assert SECRET not in everything(result)


def test_a_reference_is_quoted_without_the_password_in_it() -> None:
    schema = {"$ref": f"http://{USER}h.eu/x.json?token={SECRET}#/A"}
    parameter = {"name": "p", "in": "query", "schema": schema}
    result = read({"/a": {"get": {"parameters": [parameter]}}})
    assert "is in another document" in next(iter(result.notes)).reason
    assert SECRET not in everything(result)


@pytest.mark.parametrize("key", [GITHUB, AWS, JWT])
def test_keys_in_texts_are_marked(key: str) -> None:
    text = f"Send `{key}` with it, {key}."
    parameter = {"name": "p", "in": "query", "description": text, "schema": {"description": text}}
    body = {"type": "object", "properties": {"b": {"type": "string", "title": text}}}
    operation = {
        "summary": text,
        "description": f"{text} " + "x" * (490 - len(text)) + f" {key}",
        "parameters": [parameter],
        "requestBody": {"content": {"application/json": {"schema": body}}},
    }
    result = read({"/a": {"post": operation}}, info={"title": f"The {key} API"})
    shown = everything(result)
    assert key[:12] not in shown
    assert "Send `[redacted]` with it, [redacted]." in shown


VALUES: list[tuple[str, dict[str, Any], list[str]]] = [
    ("token", {"enum": [SECRET]}, ["enum"]),
    ("token", {"enum": [SECRET, "other-choice"]}, []),
    ("token", {"enum": [SECRET], "default": SECRET}, ["default", "enum"]),
    ("kind", {"enum": [SECRET]}, []),
    ("kind", {"enum": [GITHUB, "other"]}, ["enum"]),
    ("kind", {"const": GITHUB}, ["const"]),
    ("kind", {"default": {"a": [GITHUB]}}, ["default"]),
    ("kind", {"default": {"password": SECRET}}, ["default"]),
    ("kind", {"items": {"default": GITHUB, "enum": [GITHUB]}}, ["items/default", "items/enum"]),
    ("kind", {"example": AWS}, ["example"]),
]


@pytest.mark.parametrize(("name", "schema", "left_out"), VALUES)
def test_values_that_are_secrets_by_name_or_look_are_left_out(
    name: str, schema: dict[str, Any], left_out: list[str]
) -> None:
    parameter = {"name": name, "in": "query", "schema": schema}
    result = read({"/a": {"get": {"parameters": [parameter]}}})
    place = "#/paths/~1a/get/parameters/0/schema"
    assert reasons(result) == {
        f"{place}/{one}": "this may be a secret and is left out" for one in left_out
    }
    shown = everything(result)
    assert (SECRET in shown or GITHUB in shown) == (not left_out)


def test_a_key_in_the_fixed_query_of_a_path_is_left_out() -> None:
    def named(name: str) -> dict[str, Any]:
        return {"get": {"operationId": name}}

    paths = {
        f"/a?action=list&key={SECRET}": named("list"),
        f"/b?api_key={SECRET}": named("plain"),
        f"/b?api_key={SECRET}2": named("again"),
        "/c?api_key={key}": named("inserted"),
    }
    result = read(paths)
    assert [one.label for one in result.tools] == [
        "GET /a?action=list",
        "GET /b",
        "GET /c?api_key={key}",
    ]
    assert [one.definition["steps"][0]["config"]["url"] for one in result.tools][:2] == [
        "/a?action=list",
        "/b",
    ]
    assert reasons(result)["#/paths/~1b"] in {
        "a value of its query may be a secret and is left out",
        "the path is left out: without that value it is another one",
    }
    assert SECRET not in everything(result)


QUOTED: list[tuple[str, str]] = [
    ("Call `curl -u ann:hunter2 https://x.eu`.", "Call `curl -u ann:[redacted] https://x.eu`."),
    ("curl --user 'ann:a b' x", "curl --user 'ann:[redacted]' x"),
    ("Authorization: Bearer abc123def456", "Authorization: Bearer [redacted]"),
    ("-H 'X-Api-Key: 9f8e7d6c5b'", "-H 'X-Api-Key: [redacted]'"),
    ('{"client_secret": "s3cr3t-4711"}', '{"client_secret": "[redacted]"}'),
    ("GET /x?api_key=1a2b3c4d5e&n=1", "GET /x?api_key=[redacted]&n=1"),
]


@pytest.mark.parametrize(("text", "shown"), QUOTED)
def test_passwords_and_keys_that_an_example_in_a_text_quotes_are_marked(
    text: str, shown: str
) -> None:
    operation = {"operationId": "a", "description": text}
    result = read({"/a": {"get": operation}})
    assert result.tools[0].definition["instruction"] == f"{shown.rstrip('.')}."


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer authentication is needed",
        "token: the token of the user",
        "password=YOUR_PASSWORD and api_key={key}",
        "curl -u username:password x, or -u $USER:$PASSWORD, or -u [user]:[token]",
        "The commit 6dcb09b5b57875f334f61aebed695e2e4193db5e",
        "The id 3fa85f64-5717-4562-b3fc-2c963f66afa6",
        "session: 30minutes; pin: 4digits; password: min8chars",
        "auth: see RFC7617, token_type: bearer123456, next_page_token: abc123def456",
    ],
)
def test_words_placeholders_and_hashes_in_a_text_stay(text: str) -> None:
    result = read({"/a": {"get": {"operationId": "a", "description": text}}})
    assert result.tools[0].definition["instruction"] == f"{text}."


def test_a_name_that_is_a_key_is_left_out_with_its_place_and_all_beside_it_stays() -> None:
    operation: dict[str, Any] = {
        "operationId": f"get-{GITHUB}",
        "tags": [GITHUB, "things"],
        "parameters": [
            {"name": GITHUB, "in": "query", "schema": {}},
            {"name": "q", "in": "query", "schema": {"type": "string", "pattern": f"^{GITHUB}$"}},
        ],
    }
    result = read({"/a": {"get": operation}, f"/b/{GITHUB}": {"get": {}}})
    (tool,) = [one.definition for one in result.tools]
    assert (tool["id"], tool["folder"]) == ("get_a", "things")
    assert tool["inputSchema"]["properties"] == {"q": {"type": "string"}}
    assert reasons(result) == {
        "#/paths/~1b~1[redacted]": "its name may be a secret; it is left out",
        "#/paths/~1a/get/operationId": "this may be a secret and is left out",
        "#/paths/~1a/get/parameters/0/name": "its name may be a secret; it is left out",
        "#/paths/~1a/get/parameters/1/schema/pattern": "this may be a secret and is left out",
    }


def test_names_and_paths_that_are_only_long_stay() -> None:
    sha = "6dcb09b5b57875f334f61aebed695e2e4193db5e"
    name = "GetDistributionConfig2020_05_31ForTenantV20231101"
    paths = {
        f"/commits/{sha}": {
            "get": {
                "operationId": name,
                "tags": [sha],
                "parameters": [
                    {"name": sha, "in": "query", "schema": {"pattern": f"^({sha})$"}},
                    {"name": "id", "in": "query", "schema": {"example": sha}},
                ],
            }
        }
    }
    result = read(paths, servers=[{"url": f"https://x.eu/{sha}/{name}"}])
    assert not list(result.notes)
    shown = everything(result)
    assert shown.count(sha) > 6
