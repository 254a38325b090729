"""Schemas of a document as inputs: versions, null, references, defaults, words."""

from typing import Any

import pytest

from tools.importers.openapi import OpenApiOptions, import_openapi
from tools.json_text import JsonObject, encode_json
from tools.schema import check_schema


def inputs(schema: Any, version: str = "3.0.3", **components: Any) -> JsonObject:
    parameter = {"name": "p", "in": "query", "schema": schema}
    document = {
        "openapi": version,
        "info": {"title": "T"},
        "servers": [{"url": "https://x.eu"}],
        "paths": {"/a": {"get": {"parameters": [parameter]}}},
        "components": {"schemas": components},
    }
    result = import_openapi(encode_json(document), OpenApiOptions())
    converted = result.tools[0].definition["inputSchema"]
    assert not check_schema(converted, root_must_be_object=True)
    return converted


CONVERTED: list[tuple[Any, Any]] = [
    ({"type": "string", "nullable": True}, {"type": ["string", "null"]}),
    (
        {"type": "string", "enum": ["a"], "nullable": True},
        {"type": ["string", "null"], "enum": ["a", None]},
    ),
    (
        {"type": "integer", "minimum": 1, "exclusiveMinimum": True},
        {"type": "integer", "exclusiveMinimum": 1},
    ),
    ({"type": "integer", "enum": ["1", "2"]}, {"enum": ["1", "2"]}),
    ({"type": "integer", "default": 5}, {"type": "integer", "default": 5}),
    ({"type": "integer", "default": "five"}, {"type": "integer"}),
    ({"type": "string", "pattern": "("}, {"type": "string"}),
    ({"type": "date"}, {}),
    (
        {"oneOf": [{"type": "string"}, {"type": "integer"}]},
        {"anyOf": [{"type": "string"}, {"type": "integer"}]},
    ),
    (
        {"type": "string", "example": "x", "x-own": 1, "xml": {}},
        {"type": "string", "examples": ["x"]},
    ),
    ({"type": "string", "deprecated": True}, {"type": "string", "deprecated": True}),
    (
        {
            "type": "array",
            "items": {"type": "object", "properties": {"a": {"readOnly": True}, "b": {}}},
        },
        {"type": "array", "items": {"type": "object", "properties": {"b": {}}}},
    ),
    ({"type": "string", "description": "One.\n\nTwo."}, {"type": "string", "description": "One."}),
]


@pytest.mark.parametrize(("schema", "converted"), CONVERTED)
def test_a_schema_becomes_one_of_2020_12(schema: Any, converted: Any) -> None:
    assert inputs(schema)["properties"]["p"] == converted


def test_3_1_keeps_what_2020_12_says() -> None:
    schema = {"type": ["string", "null"], "const": "a", "nullable": True}
    assert inputs(schema, "3.1.0")["properties"]["p"] == {"type": ["string", "null"], "const": "a"}


def test_references_become_definitions_of_the_tool() -> None:
    kind = {"type": "string", "enum": ["x"]}
    owner = {"type": "object", "properties": {"kind": {"$ref": "#/components/schemas/Kind"}}}
    converted = inputs(
        {"type": "array", "items": {"$ref": "#/components/schemas/Owner"}}, Kind=kind, Owner=owner
    )
    assert converted["properties"]["p"]["items"] == {"$ref": "#/$defs/Owner"}
    assert converted["$defs"] == {
        "Kind": kind,
        "Owner": {"type": "object", "properties": {"kind": {"$ref": "#/$defs/Kind"}}},
    }


def test_alternatives_that_refer_back_to_what_they_are_part_of_are_cut() -> None:
    pet = {
        "type": "object",
        "properties": {"name": {"type": "string"}},
        "oneOf": [{"$ref": "#/components/schemas/Cat"}],
    }
    cat = {
        "allOf": [
            {"$ref": "#/components/schemas/Pet"},
            {"type": "object", "properties": {"lives": {"type": "integer"}}},
        ]
    }
    converted = inputs(
        {"type": "array", "items": {"$ref": "#/components/schemas/Pet"}}, Pet=pet, Cat=cat
    )
    assert set(converted["$defs"]) == {"Cat", "Pet"}
    assert "$ref" not in str(converted["$defs"]["Pet"]) or "$ref" not in str(
        converted["$defs"]["Cat"]
    )


def test_a_long_description_is_cut_at_a_sentence() -> None:
    schema = {"type": "string", "description": "It is [a link](https://x.eu). " * 50}
    description = inputs(schema)["properties"]["p"]["description"]
    assert description.startswith("It is a link. It is a link.")
    assert len(description) <= 300
    assert description.endswith(".")


def test_a_default_is_kept_unless_its_name_says_that_it_is_a_secret_nobody_chooses() -> None:
    choice = {"type": "string", "enum": ["enabled", "disabled"], "default": "disabled"}
    members = {"secret_scanning": choice, "secret": {"type": "string", "default": "hunter2hunter2"}}
    found = inputs({"type": "object", "properties": members})["properties"]["p"]["properties"]
    assert found["secret_scanning"] == choice
    assert found["secret"] == {"type": "string"}
