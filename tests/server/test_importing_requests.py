"""What an imported tool sends: each parameter style and kind of body, to the byte."""

import json
from typing import Any
from urllib.parse import parse_qsl

import pytest

from server.service import Service
from tests.server.importing import document, imported, operation, run, sent
from tests.web import Web

LIST = ["blue", "bl/ck", "x y"]
OBJECT = {"R": 100, "G": 200}

STYLES: list[tuple[str, str, dict[str, Any], Any, str]] = [
    # location, path, how it is described, value, what is sent after the server's url
    ("path", "/c/{p}", {}, "a b/é", "/c/a%20b%2F%C3%A9"),
    ("path", "/c/{p}", {}, LIST, "/c/blue,bl%2Fck,x%20y"),
    ("path", "/c/{p}", {}, OBJECT, "/c/R,100,G,200"),
    ("path", "/c/{p}", {"explode": True}, OBJECT, "/c/R=100,G=200"),
    ("path", "/c/{p}/d", {"style": "label"}, "blue", "/c/.blue/d"),
    ("path", "/c/{p}/d", {"style": "label"}, LIST, "/c/.blue,bl%2Fck,x%20y/d"),
    ("path", "/c/{p}/d", {"style": "label", "explode": True}, LIST, "/c/.blue.bl%2Fck.x%20y/d"),
    ("path", "/c/{p}/d", {"style": "label", "explode": True}, OBJECT, "/c/.R=100.G=200/d"),
    ("path", "/c/{p}/d", {"style": "matrix"}, 5, "/c/;p=5/d"),
    ("path", "/c/{p}/d", {"style": "matrix"}, LIST, "/c/;p=blue,bl%2Fck,x%20y/d"),
    (
        "path",
        "/c/{p}/d",
        {"style": "matrix", "explode": True},
        LIST,
        "/c/;p=blue;p=bl%2Fck;p=x%20y/d",
    ),
    ("path", "/c/{p}/d", {"style": "matrix", "explode": True}, OBJECT, "/c/;R=100;G=200/d"),
    ("path", "/c/{p}.json", {}, "a.b", "/c/a.b.json"),
    ("query", "/c", {}, "a&b", "/c?p=a%26b"),
    ("query", "/c", {}, True, "/c?p=true"),
    ("query", "/c", {}, LIST, "/c?p=blue&p=bl%2Fck&p=x%20y"),
    ("query", "/c", {"explode": False}, LIST, "/c?p=blue,bl%2Fck,x%20y"),
    ("query", "/c", {}, OBJECT, "/c?R=100&G=200"),
    ("query", "/c", {"explode": False}, OBJECT, "/c?p=R,100,G,200"),
    ("query", "/c", {"style": "spaceDelimited", "explode": False}, [1, 2], "/c?p=1%202"),
    ("query", "/c", {"style": "pipeDelimited", "explode": False}, [1, 2], "/c?p=1%7C2"),
    ("query", "/c", {"style": "deepObject"}, OBJECT, "/c?p%5BR%5D=100&p%5BG%5D=200"),
    (
        "query",
        "/c",
        {"style": "deepObject"},
        {"a": {"b": 1}, "c": [1, 2]},
        "/c?p%5Ba%5D%5Bb%5D=1&p%5Bc%5D=1&p%5Bc%5D=2",
    ),
    ("query", "/c", {"allowReserved": True}, "a/b?c:d&e", "/c?p=a/b?c:d%26e"),
    ("query", "/", {}, [1, 2], "/?p=1&p=2"),
    ("query", "/c/", {}, [1, 2], "/c/?p=1&p=2"),
]


def schema_of(value: Any) -> dict[str, Any]:
    match value:
        case bool():
            return {"type": "boolean"}
        case int():
            return {"type": "integer"}
        case str():
            return {"type": "string"}
        case list():
            return {"type": "array", "items": {}}
        case _:
            return {"type": "object"}


@pytest.mark.parametrize(("location", "path", "how", "value", "target"), STYLES)
async def test_a_parameter_is_written_in_its_style(
    location: str,
    path: str,
    how: dict[str, Any],
    value: Any,
    target: str,
    service: Service,
    web: Web,
) -> None:
    parameter = {"name": "p", "in": location, "required": location == "path", **how}
    parameter["schema"] = schema_of(value)
    report = await imported(
        service, document(f"{web.url}/v1", {path: {"get": operation(parameter)}})
    )
    assert not list(report.result.notes)
    assert (await sent(service, web, {"p": value})).target == f"/v1{target}"


@pytest.mark.parametrize("value", ["x", 1, ["a"], {"a": 1}])
async def test_a_query_parameter_that_is_not_given_is_not_sent(
    value: Any, service: Service, web: Web
) -> None:
    parameter = {"name": "p", "in": "query", "schema": schema_of(value)}
    await imported(service, document(web.url, {"/c": {"get": operation(parameter)}}))
    assert (await sent(service, web, {})).target == "/c"


async def test_a_parameter_of_unknown_type_is_written_by_its_value(
    service: Service, web: Web
) -> None:
    parameter: dict[str, Any] = {"name": "p", "in": "query", "schema": {}}
    await imported(service, document(web.url, {"/c": {"get": operation(parameter)}}))
    assert (await sent(service, web, {"p": "x"})).target == "/c?p=x"
    assert (await sent(service, web, {"p": [1, 2]})).target == "/c?p=1&p=2"


async def test_a_parameter_with_json_content_is_sent_as_json(service: Service, web: Web) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    content = {"application/json": {"schema": schema}}
    parameter = {"name": "filter", "in": "query", "content": content}
    await imported(service, document(web.url, {"/c": {"get": operation(parameter)}}))
    seen = await sent(service, web, {"filter": {"a": 1}})
    assert parse_qsl(seen.query) == [("filter", '{"a":1}')]


async def test_headers_and_cookies_are_sent_in_their_styles(service: Service, web: Web) -> None:
    parameters = [
        {"name": "X-Plain", "in": "header", "schema": {"type": "string"}},
        {"name": "X-List", "in": "header", "schema": {"type": "array"}},
        {"name": "X-Object", "in": "header", "explode": True, "schema": {"type": "object"}},
        {"name": "X-Absent", "in": "header", "schema": {"type": "array"}},
        {"name": "session", "in": "cookie", "schema": {"type": "string"}},
        {"name": "ids", "in": "cookie", "explode": False, "schema": {"type": "array"}},
        {"name": "absent", "in": "cookie", "schema": {"type": "integer"}},
    ]
    await imported(service, document(web.url, {"/c": {"get": operation(*parameters)}}))
    inputs = {
        "X-Plain": "a b",
        "X-List": ["a", "b"],
        "X-Object": {"a": 1, "b": "c"},
        "session": "s1",
        "ids": [1, 2],
    }
    seen = await sent(service, web, inputs)
    assert seen.headers["x-plain"] == "a b"
    assert seen.headers["x-list"] == "a,b"
    assert seen.headers["x-object"] == "a=1,b=c"
    assert "x-absent" not in seen.headers
    assert seen.headers["cookie"] == "session=s1; ids=1,2"
    assert "cookie" not in (await sent(service, web, {})).headers


def with_body(media_type: str, schema: Any, required: bool = True, **more: Any) -> dict[str, Any]:
    content = {media_type: {"schema": schema, **more}}
    return operation(requestBody={"required": required, "content": content})


async def body_sent(
    service: Service, web: Web, body: dict[str, Any], inputs: dict[str, Any]
) -> tuple[str | None, bytes]:
    await imported(service, document(web.url, {"/c": {"post": body}}))
    seen = await sent(service, web, inputs)
    return seen.headers.get("content-type"), seen.body


PET = {
    "type": "object",
    "required": ["name"],
    "properties": {
        "id": {"type": "integer", "readOnly": True},
        "name": {"type": "string"},
        "tags": {"type": "array", "items": {"type": "string"}},
        "size": {"type": "integer", "default": 3},
        "owner": {"type": ["object", "null"]},
    },
}


async def test_properties_of_a_json_body_are_inputs_and_absent_ones_are_not_sent(
    service: Service, web: Web
) -> None:
    body = with_body("application/json", PET)
    kind, data = await body_sent(service, web, body, {"name": 'a "b"', "tags": ["x"]})
    assert (kind, json.loads(data)) == ("application/json", {"name": 'a "b"', "tags": ["x"]})
    assert json.loads((await sent(service, web, {"name": "a", "owner": None})).body) == {
        "name": "a",
        "owner": None,
    }
    schema = (await service.tools.get("it")).definition["inputSchema"]
    assert list(schema["properties"]) == ["name", "tags", "size", "owner"]
    assert schema["required"] == ["name"]
    # A default that were filled in would be sent, and change what nobody named.
    assert schema["properties"]["size"] == {"type": "integer", "description": "Default: 3."}


async def test_a_body_whose_properties_are_all_required_needs_no_function(
    service: Service, web: Web
) -> None:
    schema = {"type": "object", "required": ["a"], "properties": {"a": {"type": "integer"}}}
    body = with_body("application/merge-patch+json", schema)
    kind, data = await body_sent(service, web, body, {"a": 12345678901234567890})
    assert (kind, data) == ("application/merge-patch+json", b'{"a":12345678901234567890}')
    config = (await service.tools.get("it")).definition["steps"][0]["config"]
    assert config["body"] == '{"a": <<a>>}'


@pytest.mark.parametrize(
    ("schema", "value", "data"),
    [
        ({"type": "array"}, [1, {"a": 2}], b'[1,{"a":2}]'),
        ({"type": "object", "additionalProperties": True}, {"a": 1}, b'{"a":1}'),
        ({"oneOf": [{"type": "object"}, {"type": "array"}]}, [1], b"[1]"),
        ({"type": "string"}, "hello", b'"hello"'),
        ({"type": "integer"}, 5, b"5"),
        ({}, "text", b'"text"'),
        ({}, {"a": None}, b'{"a":null}'),
    ],
)
async def test_a_json_body_that_is_not_flat_is_one_input(
    schema: Any, value: Any, data: bytes, service: Service, web: Web
) -> None:
    body = with_body("application/json", schema)
    assert await body_sent(service, web, body, {"body": value}) == ("application/json", data)


async def test_a_body_that_is_not_required_can_be_left_out(service: Service, web: Web) -> None:
    _, data = await body_sent(service, web, with_body("application/json", PET, False), {})
    assert data == b""
    await imported(
        service,
        document(web.url, {"/c": {"post": with_body("application/json", {}, False)}}),
    )
    assert (await sent(service, web, {})).body == b""
    assert (await sent(service, web, {"body": [1]})).body == b"[1]"


async def test_a_form_is_sent_encoded(service: Service, web: Web) -> None:
    schema = {
        "type": "object",
        "required": ["a"],
        "properties": {
            "a": {"type": "string"},
            "b": {"type": "array"},
            "c": {"type": "object"},
            "d": {"type": "integer"},
        },
    }
    body = with_body("application/x-www-form-urlencoded", schema)
    inputs = {"a": "x & y", "b": [1, 2], "c": {"k": 1}}
    kind, data = await body_sent(service, web, body, inputs)
    assert kind == "application/x-www-form-urlencoded"
    assert data == b"a=x+%26+y&b=1&b=2&c=%7B%22k%22%3A1%7D"


async def test_form_fields_follow_their_encoding(service: Service, web: Web) -> None:
    schema = {
        "type": "object",
        "properties": {
            "deep": {"type": "object"},
            "joined": {"type": "array"},
            "repeated": {"type": "array"},
            "text": {"type": "string"},
        },
    }
    encoding = {
        "deep": {"style": "deepObject", "explode": True},
        "joined": {"style": "form", "explode": False},
    }
    body = with_body("application/x-www-form-urlencoded", schema, encoding=encoding)
    inputs = {"deep": {"a": 1, "b": {"c": 2}}, "joined": [1, 2], "repeated": [1, 2], "text": "é"}
    _, data = await body_sent(service, web, body, inputs)
    assert data == (
        b"deep%5Ba%5D=1&deep%5Bb%5D%5Bc%5D=2&joined=1%2C2&repeated=1&repeated=2&text=%C3%A9"
    )


async def test_a_multipart_form_has_a_part_for_each_field(service: Service, web: Web) -> None:
    schema = {
        "type": "object",
        "required": ["title"],
        "properties": {
            "title": {"type": "string"},
            "file": {"type": "string", "format": "binary"},
            "more": {"type": "string"},
        },
    }
    body = with_body("multipart/form-data", schema)
    file = {"text": "content", "name": "a.txt", "contentType": "text/plain"}
    kind, data = await body_sent(service, web, body, {"title": "t", "file": file})
    assert kind is not None
    assert kind.startswith("multipart/form-data; boundary=")
    assert data.count(b"Content-Disposition: form-data;") == 2
    assert b'name="title"\r\n\r\nt\r\n' in data
    part = b'name="file"; filename="a.txt"\r\nContent-Type: text/plain\r\n\r\ncontent\r\n'
    assert part in data


async def test_parts_of_a_multipart_form_are_sent_as_the_document_says(
    service: Service, web: Web
) -> None:
    thing = {"type": "object", "properties": {"a": {"type": "integer"}}}
    schema = {
        "type": "object",
        "required": ["picture"],
        "properties": {
            "picture": {"type": "string", "format": "binary"},
            "more": {"type": "array", "items": {"type": "string", "format": "binary"}},
            "table": {"type": "string"},
            "thing": thing,
            "deep": thing,
            "joined": {"type": "array", "items": {"type": "integer"}},
            "repeated": {"type": "array", "items": {"type": "integer"}},
            "none": {"type": "string", "format": "binary"},
        },
    }
    encoding = {
        "picture": {"contentType": "image/png, image/jpeg"},
        "table": {"contentType": "text/csv"},
        "deep": {"style": "deepObject"},
        "joined": {"style": "pipeDelimited"},
    }
    inputs = {
        "picture": {"base64": "AP8="},
        "more": [{"text": "1", "name": "1.txt"}, {"text": "2"}],
        "table": "a,b",
        "thing": {"a": 1},
        "deep": {"a": 2},
        "joined": [3, 4],
        "repeated": [5, 6],
    }
    body = with_body("multipart/form-data", schema, encoding=encoding)
    _, data = await body_sent(service, web, body, inputs)
    parts = [part.partition(b"form-data; ")[2].strip(b"-\r\n") for part in data.split(b"\r\n--")]
    octets = b"\r\nContent-Type: application/octet-stream\r\n\r\n"
    assert parts[:-1] == [
        b'name="picture"; filename="picture"\r\nContent-Type: image/png\r\n\r\n\x00\xff',
        b'name="more"; filename="1.txt"' + octets + b"1",
        b'name="more"; filename="more"' + octets + b"2",
        b'name="table"\r\nContent-Type: text/csv\r\n\r\na,b',
        b'name="thing"\r\nContent-Type: application/json\r\n\r\n{"a":1}',
        b'name="deep[a]"\r\n\r\n2',
        b'name="joined"\r\n\r\n3|4',
        b'name="repeated"\r\n\r\n5',
        b'name="repeated"\r\n\r\n6',
    ]


async def test_text_and_xml_bodies_are_sent_as_they_are(service: Service, web: Web) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    kind, data = await body_sent(
        service, web, with_body("application/xml", schema), {"body": "<a>1 & 2</a>"}
    )
    assert (kind, data) == ("application/xml", b"<a>1 & 2</a>")


async def test_names_that_clash_are_told_apart_the_same_way_every_time(
    service: Service, web: Web
) -> None:
    schema = {"type": "object", "properties": {"id": {"type": "string"}, "x[y]": {}}}
    body = with_body("application/json", schema)
    body["parameters"] = [
        {"name": "id", "in": "query", "schema": {"type": "string"}},
        {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}},
        {"name": "function", "in": "query", "schema": {"type": "string"}},
        {"name": "$filter", "in": "query", "schema": {"type": "string"}},
    ]
    report = await imported(service, document(web.url, {"/c/{id}": {"post": body}}))
    inputs = {
        "id": "1",
        "query_id": "2",
        "body_id": "3",
        "query_function": "4",
        "filter": "5",
        "x_y": 6,
    }
    seen = await sent(service, web, inputs)
    assert seen.path == "/c/1"
    assert parse_qsl(seen.query) == [("id", "2"), ("function", "4"), ("$filter", "5")]
    assert json.loads(seen.body) == {"id": "3", "x[y]": 6}
    assert {one["input"] for one in report.renamed} == set(inputs) - {"id"}


async def test_swagger_2_parameters_and_bodies_are_sent(service: Service, web: Web) -> None:
    form = operation(
        {"name": "a", "in": "formData", "type": "string", "required": True},
        {"name": "b", "in": "formData", "type": "array", "items": {"type": "integer"}},
        {
            "name": "c",
            "in": "query",
            "type": "array",
            "items": {"type": "string"},
            "collectionFormat": "multi",
        },
        {"name": "d", "in": "query", "type": "array", "items": {"type": "string"}},
        {
            "name": "e",
            "in": "query",
            "type": "array",
            "items": {"type": "string"},
            "collectionFormat": "pipes",
        },
    )
    plain = {**operation({"name": "pet", "in": "body", "required": True, "schema": PET})}
    plain["operationId"] = "plain"
    host = web.url.removeprefix("http://")
    swagger = {
        "swagger": "2.0",
        "info": {"title": "Echo"},
        "host": host,
        "basePath": "/v2",
        "schemes": ["http"],
        "paths": {"/form": {"post": form}, "/plain": {"post": plain}},
    }
    await imported(service, swagger)
    inputs = {"a": "x", "b": [1, 2], "c": ["p", "q"], "d": ["r", "s"], "e": ["t", "u"]}
    seen = await sent(service, web, inputs)
    assert seen.target == "/v2/form?c=p&c=q&d=r,s&e=t%7Cu"
    assert (seen.headers["content-type"], seen.body) == (
        "application/x-www-form-urlencoded",
        b"a=x&b=1%2C2",
    )
    assert json.loads((await sent(service, web, {"name": "n"}, "plain")).body) == {"name": "n"}


async def test_inputs_are_checked_before_anything_is_sent(service: Service, web: Web) -> None:
    schema = {"type": "integer", "maximum": 5}
    parameter = {"name": "p", "in": "query", "schema": schema}
    await imported(service, document(web.url, {"/c": {"get": operation(parameter)}}))
    for inputs in ({"p": 6}, {"p": "x"}, {"q": 1}):
        outcome = await run(service, "it", inputs)
        assert outcome.error_detail is not None
        assert outcome.error_detail.kind == "invalid_input"
    assert not web.seen
