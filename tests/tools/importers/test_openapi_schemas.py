"""Schemas of a document as inputs: versions, null, references, defaults, words."""

from typing import Any

import pytest

from tools.importers import ImportResult
from tools.importers.openapi import OpenApiOptions, import_openapi
from tools.json_text import JsonObject, encode_json, encode_json_text
from tools.schema import check_schema


def read(schema: Any, version: str = "3.0.3", **components: Any) -> ImportResult:
    parameter = {"name": "p", "in": "query", "schema": schema}
    document = {
        "openapi": version,
        "info": {"title": "T"},
        "servers": [{"url": "https://x.eu"}],
        "paths": {"/a": {"get": {"parameters": [parameter]}}},
        "components": {"schemas": components},
    }
    return import_openapi(encode_json(document), OpenApiOptions())


def read_body(schema: Any, **components: Any) -> ImportResult:
    whole = {"type": "object", "properties": {"p": schema}}
    document = {
        "openapi": "3.0.3",
        "info": {"title": "T"},
        "servers": [{"url": "https://x.eu"}],
        "paths": {
            "/a": {"post": {"requestBody": {"content": {"application/json": {"schema": whole}}}}}
        },
        "components": {"schemas": components},
    }
    return import_openapi(encode_json(document), OpenApiOptions())


def inputs(schema: Any, version: str = "3.0.3", **components: Any) -> JsonObject:
    result = read(schema, version, **components)
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


BROKEN_DEFAULTS: list[dict[str, Any]] = [
    {"type": "integer", "maximum": 100, "default": 500},
    {"type": "string", "minLength": 3, "default": "a"},
    {"type": "string", "pattern": "^a", "default": "b"},
    {"type": "string", "format": "uuid", "default": "none"},
    {"allOf": [{"$ref": "#/components/schemas/Kind"}], "default": "z"},
    {"type": "array", "items": {"type": "string", "enum": ["x"]}, "default": ["y"]},
    {"type": "object", "properties": {"n": {"type": "integer", "minimum": 1, "default": 0}}},
]


@pytest.mark.parametrize("schema", BROKEN_DEFAULTS)
def test_a_default_that_its_own_schema_refuses_is_left_out_and_noted(schema: Any) -> None:
    result = read(schema, Kind={"type": "string", "enum": ["x"]})
    assert "default" not in encode_json_text(result.tools[0].definition)
    assert [note.reason for note in result.notes] == ["the default is not a value of its schema"]


@pytest.mark.parametrize("schema", BROKEN_DEFAULTS)
def test_a_default_of_a_body_that_its_own_schema_refuses_is_no_word_of_its_description(
    schema: Any,
) -> None:
    result = read_body(schema, Kind={"type": "string", "enum": ["x"]})
    assert "Default" not in encode_json_text(result.tools[0].definition)
    assert [note.reason for note in result.notes] == ["the default is not a value of its schema"]


WORDS: list[tuple[dict[str, Any], str]] = [
    ({"type": "integer", "maximum": 100, "default": 5}, "Default: 5."),
    ({"type": "string", "nullable": True, "default": None}, "Default: null."),
    ({"type": "string", "enum": ["a"], "nullable": True, "default": None}, "Default: null."),
    ({"allOf": [{"$ref": "#/components/schemas/Kind"}], "default": "x"}, 'Default: \\"x\\".'),
    ({"not": {"$ref": "#/components/schemas/Kind"}, "default": 1}, "Default: 1."),
    ({"default": {"any": ["thing"]}}, "Default: {"),
]


@pytest.mark.parametrize(("schema", "words"), WORDS)
def test_a_default_of_a_body_that_fits_is_told_in_its_description(schema: Any, words: str) -> None:
    result = read_body(schema, Kind={"type": "string", "enum": ["x"]})
    assert words in encode_json_text(result.tools[0].definition)
    assert "the default is not a value of its schema" not in [one.reason for one in result.notes]


def test_a_default_of_null_that_means_none_is_silently_no_default() -> None:
    result = read_body({"type": "string", "default": None})
    assert "Default" not in encode_json_text(result.tools[0].definition)
    assert not list(result.notes)


def test_a_default_that_fits_is_kept_behind_a_reference_too() -> None:
    schema = {"allOf": [{"$ref": "#/components/schemas/Kind"}], "default": "x"}
    found = inputs(schema, Kind={"type": "string", "enum": ["x"]})
    assert found["properties"]["p"]["default"] == "x"


def swagger(*parameters: Any, **definitions: Any) -> ImportResult:
    document = {
        "swagger": "2.0",
        "info": {"title": "T"},
        "host": "x.eu",
        "paths": {"/a": {"post": {"parameters": parameters}}},
        "definitions": definitions,
    }
    return import_openapi(encode_json(document), OpenApiOptions())


def test_swagger_has_null_by_an_extension() -> None:
    name = {"type": "string", "x-nullable": True}
    owner = {"$ref": "#/definitions/Owner", "x-nullable": True}
    body = {"type": "object", "properties": {"name": name, "owner": owner}}
    result = swagger(
        {"name": "q", "in": "query", "type": "integer", "x-nullable": True},
        {
            "name": "b",
            "in": "body",
            "schema": {"type": "object", "properties": {"in": body, "whole": owner}},
        },
        Owner={"type": "object", "properties": {"id": {"type": "integer"}}},
    )
    schema = result.tools[0].definition["inputSchema"]
    assert schema["properties"]["q"]["type"] == ["integer", "null"]
    assert schema["properties"]["whole"]["type"] == ["object", "null"]
    assert schema["properties"]["in"]["properties"] == {
        "name": {"type": ["string", "null"]},
        "owner": {"anyOf": [{"$ref": "#/$defs/Owner"}, {"type": "null"}]},
    }


def test_a_list_in_a_list_with_a_format_of_its_own_is_noted() -> None:
    inner = {"type": "array", "items": {"type": "string"}, "collectionFormat": "pipes"}
    result = swagger({"name": "q", "in": "query", "type": "array", "items": inner})
    assert [(note.place, note.reason) for note in result.notes] == [
        (
            "#/paths/~1a/post/parameters/0/items/collectionFormat",
            "the format of a list in a list is not kept",
        )
    ]


@pytest.mark.parametrize(
    ("media_type", "schema", "is_noted"),
    [
        ("application/octet-stream", {"type": "string", "format": "binary"}, True),
        ("application/octet-stream", {}, True),
        ("image/png", {}, True),
        ("text/csv", {"type": "string", "format": "binary"}, True),
        ("text/csv", {"type": "string"}, False),
        ("image/svg+xml", {}, False),
    ],
)
def test_a_body_of_bytes_is_noted_because_only_text_is_sent(
    media_type: str, schema: Any, is_noted: bool
) -> None:
    body = {"content": {media_type: {"schema": schema}}, "required": True}
    document = {
        "openapi": "3.0.0",
        "servers": [{"url": "https://x.eu"}],
        "paths": {"/a": {"post": {"requestBody": body}}},
    }
    result = import_openapi(encode_json(document), OpenApiOptions())
    reasons = [note.reason for note in result.notes]
    expected = f"bytes cannot be sent: a body of {media_type} is given as text, in UTF-8"
    assert reasons == ([expected] if is_noted else [])


def test_a_default_is_kept_unless_its_name_says_that_it_is_a_secret_nobody_chooses() -> None:
    choice = {"type": "string", "enum": ["enabled", "disabled"], "default": "disabled"}
    members = {"secret_scanning": choice, "secret": {"type": "string", "default": "hunter2hunter2"}}
    found = inputs({"type": "object", "properties": members})["properties"]["p"]["properties"]
    assert found["secret_scanning"] == choice
    assert found["secret"] == {"type": "string"}
