"""The second reader of `scripts/prove_imports`: what was put in is read back, and nothing else."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from scripts.prove_imports_mock import Exchange
from scripts.prove_imports_reader import NotRead, read_back
from scripts.prove_imports_values import Sampler, accepts_nothing
from tools.importers.openapi import OpenApiOptions, import_openapi

FOLDER = Path(__file__).parent / "openapi"


def read(name: str, operation_id: str, inputs: dict[str, Any], exchange: Exchange) -> None:
    content = (FOLDER / name).read_bytes()
    tools = import_openapi(content, OpenApiOptions()).tools
    tool = next(one for one in tools if one.definition["id"] == operation_id)
    read_back(yaml.safe_load(content), tool, inputs, exchange)


def asked(target: str, **headers: str) -> Exchange:
    return Exchange("GET", target, headers, b"", 422, "")


STYLES = [
    ("simple", {"ids": [1, 2], "point": {"x": 3, "y": 4}}, "/simple/1,2/x=3,y=4/end"),
    ("label", {"ids": [1, 2]}, "/label/.1,2"),
    ("matrix", {"ids": [1, 2]}, "/matrix/;ids=1;ids=2"),
    ("query", {"plain": "a b", "repeated": [1, 2]}, "/query?plain=a+b&repeated=1&repeated=2"),
    ("query", {"plain": "c&d", "joined": [1, 2]}, "/query?plain=c%26d&joined=1,2"),
    ("query", {"plain": "a b", "piped": [1, 2]}, "/query?plain=a%20b&piped=1%7C2"),
    ("query", {"plain": "a b", "spaced": [1, 2]}, "/query?plain=a%20b&spaced=1%202"),
    ("query", {"plain": "a b", "deep": {"x": 1}}, "/query?plain=a%20b&deep%5Bx%5D=1"),
    ("query", {"plain": "a b", "spread": {"x": 1, "y": 2}}, "/query?plain=a%20b&x=1&y=2"),
]


@pytest.mark.parametrize(("operation_id", "inputs", "target"), STYLES)
def test_a_request_as_the_specification_writes_it_is_read_back(
    operation_id: str, inputs: dict[str, Any], target: str
) -> None:
    read("every-style.yaml", operation_id, inputs, asked(target))
    for wrong in (target.replace("1", "9"), f"{target}{'&' if '?' in target else '/'}more=1"):
        if wrong != target:
            with pytest.raises(NotRead):
                read("every-style.yaml", operation_id, inputs, asked(wrong))


def test_headers_and_cookies_are_read_back() -> None:
    inputs = {"X-Plain": "a", "X-Ids": [1, 2], "X-Point": {"x": 1}, "session": "s"}
    sent = {"x-plain": "a", "x-ids": "1,2", "x-point": "x=1", "cookie": "session=s"}
    read("every-style.yaml", "headers", inputs, asked("/headers", **sent))
    for name in sent:
        with pytest.raises(NotRead):
            read("every-style.yaml", "headers", inputs, asked("/headers", **{**sent, name: "b"}))


MULTIPART = (
    '--b\r\nContent-Disposition: form-data; name="title"\r\n\r\nt\r\n'
    '--b\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n'
    "Content-Type: application/octet-stream\r\n\r\ncontent\r\n--b--\r\n"
)


@pytest.mark.parametrize(
    ("operation_id", "inputs", "content_type", "body", "changed"),
    [
        ("addNode", {"name": "n"}, "application/json", '{"name": "n"}', '"n"'),
        ("addMap", {"body": {"a": 1}}, "application/json", '{"a": 1}', "1"),
        ("sendForm", {"name": "n", "tags": ["1", "2"]}, "application/x-www-form-urlencoded",
         "name=n&tags=1&tags=2", "=1"),
        ("upload", {"title": "t", "file": {"text": "content"}},
         "multipart/form-data; boundary=b", MULTIPART, "\r\ncontent"),
        ("sendText", {"body": "n"}, "text/plain", "n", "n"),
    ],
)  # fmt: skip
def test_a_body_is_read_back(
    operation_id: str, inputs: dict[str, Any], content_type: str, body: str, changed: str
) -> None:
    path = {"addNode": "/nodes", "addMap": "/map", "sendForm": "/form", "upload": "/upload"}
    target, headers = path.get(operation_id, "/text"), {"content-type": content_type}
    exchange = Exchange("POST", target, headers, body.encode(), 422, "")
    read("every-body.yaml", operation_id, inputs, exchange)
    other = changed.replace("n", "m").replace("1", "3")
    wrong = replace(exchange, body=body.replace(changed, other).encode())
    with pytest.raises(NotRead):
        read("every-body.yaml", operation_id, inputs, wrong)


def test_made_up_values_fit_exactly_one_alternative() -> None:
    text, number = ({"properties": {"a": {"type": one}}} for one in ("string", "integer"))
    schema = {"type": "object", "properties": {"it": {"anyOf": [text, number]}}, "required": ["it"]}
    assert Sampler(schema, with_optional=False).inputs() in (
        {"it": {"a": "text"}},
        {"it": {"a": 1}},
    )


def test_a_schema_that_nothing_fits_is_known() -> None:
    assert accepts_nothing({"allOf": [{"type": "string"}, {"type": "integer"}]})
    assert not accepts_nothing({"type": "string"})
