"""What documents of many frameworks write, and what their tools send for it."""

from typing import Any
from urllib.parse import parse_qsl, unquote

import pytest

from server.service import Service
from tests.server.importing import document, imported, operation, sent
from tests.web import Web


def query(name: str, **schema: Any) -> dict[str, Any]:
    return {"name": name, "in": "query", "schema": schema}


async def test_a_list_in_an_object_of_the_query_is_sent_once_for_each_element(
    service: Service, web: Web
) -> None:
    members = {"page": {"type": "integer"}, "sort": {"type": "array", "items": {"type": "string"}}}
    pageable = query("pageable", type="object", properties=members)
    await imported(service, document(web.url, {"/a": {"get": operation(pageable)}}))
    seen = await sent(service, web, {"pageable": {"page": 0, "sort": ["name,asc", "id"]}})
    assert seen.query == "page=0&sort=name%2Casc&sort=id"
    assert (await sent(service, web, {"pageable": {"sort": []}})).query == ""


IN_PATHS: list[tuple[str, list[dict[str, Any]], dict[str, Any], str]] = [
    ("/q?a=1&b={b}", [query("b")], {"b": "x y"}, "/q?a=1&b=x%20y"),
    ("/q?a=1&b={b}", [], {"b": "x y"}, "/q?a=1&b=x%20y"),
    ("/q?b={b}&c={d}", [{"name": "d", "in": "path"}], {"b": "1", "d": "&"}, "/q?b=1&c=%26"),
    (
        "/q?b={b}",
        [query("many", type="array"), {"name": "b", "in": "path"}],
        {"b": "x y", "many": [1, 2]},
        "/q?b=x%20y&many=1&many=2",
    ),
    ("/q?action=list", [query("action", enum=["list"])], {}, "/q?action=list"),
    ("/brace/{un", [], {}, "/brace/%7Bun"),
]


@pytest.mark.parametrize(("path", "parameters", "inputs", "url"), IN_PATHS)
async def test_names_in_braces_are_inserted_in_the_query_of_a_path_too(
    path: str,
    parameters: list[dict[str, Any]],
    inputs: dict[str, Any],
    url: str,
    service: Service,
    web: Web,
) -> None:
    text: dict[str, Any] = {"type": "string"}
    described = operation(
        *({"schema": text, "required": one["in"] == "path", **one} for one in parameters)
    )
    await imported(service, document(web.url, {path: {"get": described}}))
    seen = await sent(service, web, inputs)
    assert seen.target == url


async def test_an_object_is_merged_rather_than_read_as_a_patch(service: Service, web: Web) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    kinds = ("application/json-patch+json", "application/merge-patch+json")
    body = {"required": True, "content": {one: {"schema": schema} for one in kinds}}
    await imported(service, document(web.url, {"/a": {"patch": operation(requestBody=body)}}))
    seen = await sent(service, web, {"a": 1})
    assert seen.headers["content-type"] == "application/merge-patch+json"


@pytest.mark.parametrize("name", ["<<x>>", "{{x}}", '"q"', "a[]", "é &=#", "__proto__"])
async def test_a_query_parameter_is_sent_under_its_name_whatever_that_is(
    name: str, service: Service, web: Web
) -> None:
    described = operation(query(name, type="string"))
    report = await imported(service, document(web.url, {"/a": {"get": described}}))
    renamed = [one["input"] for one in report.wire()["renamedInputs"]]
    seen = await sent(service, web, {next(iter(renamed), name): "v 1"})
    assert parse_qsl(seen.query) == [(name, "v 1")]


LISTS: list[tuple[str, Any, str]] = [
    ("expand", ["a", "b"], "expand[]=a&expand[]=b"),
    ("expand[]", ["a", "b"], "expand[]=a&expand[]=b"),
    (
        "items",
        [{"price": "p1", "tags": ["x", "y"]}, {"price": "p2"}],
        "items[0][price]=p1&items[0][tags]=x&items[0][tags]=y&items[1][price]=p2",
    ),
    ("filter", {"any": [{"a": 1}]}, "filter[any][0][a]=1"),
]


@pytest.mark.parametrize(("name", "value", "asked"), LISTS)
async def test_a_list_where_an_object_has_members_in_brackets_has_brackets_too(
    name: str, value: Any, asked: str, service: Service, web: Web
) -> None:
    described = operation({"name": name, "in": "query", "style": "deepObject", "schema": {}})
    await imported(service, document(web.url, {"/a": {"get": described}}))
    seen = await sent(service, web, {name.removesuffix("[]"): value})
    assert unquote(seen.query) == asked
    schema: dict[str, Any] = {"type": "object", "properties": {name: {}}}
    encoding = {name: {"style": "deepObject", "explode": True}}
    form: dict[str, Any] = {
        "application/x-www-form-urlencoded": {"schema": schema, "encoding": encoding}
    }
    posted = {**operation(requestBody={"content": form}), "operationId": "post"}
    await imported(service, document(web.url, {"/a": {"post": posted}}))
    seen = await sent(service, web, {name.removesuffix("[]"): value}, "post")
    assert unquote(seen.body.decode()) == asked
