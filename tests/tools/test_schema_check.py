# The tables hold JSON, whose types the checker would have to guess.
# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false

from typing import Any

import pytest

from tools.schema import check_schema, compile_schema


def found(schema: Any, *, root_must_be_object: bool = True) -> dict[str, str]:
    problems = check_schema(schema, root_must_be_object=root_must_be_object)
    return {problem.path: str(problem) for problem in problems}


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"type": "object"},
        {"$schema": "https://json-schema.org/draft/2020-12/schema", "type": "object"},
        {"properties": {"n": {"$ref": "#"}, "m": {"$ref": "#/$defs/m"}}, "$defs": {"m": {}}},
        {"properties": {"n": {"$ref": "#m"}}, "$defs": {"x": {"$anchor": "m"}}},
        {
            "$id": "https://e.org/a",
            "$defs": {"b": {"$id": "b"}},
            "properties": {"n": {"$ref": "b"}},
        },
        {"properties": {"s": {"$ref": "https://json-schema.org/draft/2020-12/schema"}}},
        {"x-own": 1, "properties": {"n": {"format": "own", "example": 1}}},
        {"properties": {"$ref": {"type": "string"}, "type": {"enum": ["a"]}}},
        {"properties": {"0": {"properties": {"1": {"type": "string"}}}}},
    ],
)
def test_a_good_schema_has_no_problem_and_compiles(schema: Any) -> None:
    assert found(schema) == {}
    compile_schema(schema)


@pytest.mark.parametrize(
    ("schema", "path", "words"),
    [
        ({"properties": {"a": {"type": "strng"}}}, ".properties.a.type", "`string`"),
        ({"properties": {"a": {"type": ["string", "nul"]}}}, ".properties.a.type[1]", "null"),
        ({"properties": {"0": {"type": "strng"}}}, '.properties["0"].type', "`string`"),
        ({"properties": {"a": {"required": True}}}, ".properties.a.required", "list of property"),
        ({"properties": {"a-b c": 3}}, '.properties["a-b c"]', "3"),
        ({"properties": {"a": {"items": [{}]}}}, ".properties.a.items", "prefixItems"),
        ({"properties": {"a": {"pattern": "("}}}, ".properties.a.pattern", "regular expression"),
        ({"patternProperties": {"[": {}}}, '.patternProperties["["]', "regular expression"),
        ({"$schema": "http://json-schema.org/draft-07/schema#"}, ".$schema", "2020-12"),
        ({"$ref": "#/$defs/fo", "$defs": {"foo": {}}}, ".$ref", "#/$defs/foo"),
        ({"allOf": [{"$ref": "https://e.org/x.json"}]}, ".allOf[0].$ref", "nothing is fetched"),
        ({"allOf": [{"$ref": "file:///etc/hostname"}]}, ".allOf[0].$ref", "nothing is fetched"),
        ({"type": "array"}, ".type", "object"),
        ({"type": ["object", "null"]}, ".type", "object"),
        ([], "", "a schema is an object"),
        (None, "", "a schema is an object"),
        (True, "", "a schema is an object"),
        ({"const": float("nan")}, ".const", "JSON number"),
        ({"title": "\ud800"}, ".title", "Unicode"),
        ({"properties": {"a": {"x-mcp-header": "A b"}}}, ".properties.a.x-mcp-header", "header"),
        (
            {"properties": {"a": {"x-mcp-header": "A", "type": "object"}}},
            ".properties.a.x-mcp-header",
            "string, integer or boolean",
        ),
    ],
)
def test_a_problem_says_where_and_what_is_valid(schema: Any, path: str, words: str) -> None:
    problems = {
        key.replace('["x-mcp-header"]', ".x-mcp-header"): v for key, v in found(schema).items()
    }
    assert path in problems
    assert words in problems[path]


def test_every_problem_is_listed() -> None:
    schema = {"properties": {"a": {"type": "x"}, "b": {"$ref": "#/no"}, "c": {"minimum": "1"}}}
    assert set(found(schema)) == {
        ".properties.a.type",
        ".properties.b.$ref",
        ".properties.c.minimum",
    }


def test_many_problems_are_bounded() -> None:
    schema = {"properties": {str(n): {"type": "x"} for n in range(1000)}}
    assert len(check_schema(schema, root_must_be_object=True)) == 50


@pytest.mark.parametrize("schema", [True, False, {"type": "array"}, {"type": "string"}])
def test_a_schema_of_results_may_be_of_any_type(schema: Any) -> None:
    assert found(schema, root_must_be_object=False) == {}


def nested(levels: int) -> Any:
    schema: Any = {}
    for _ in range(levels):
        schema = {"properties": {"a": schema}}
    return schema


def doubling(levels: int) -> Any:
    names = [f"#/$defs/d{n}" for n in range(levels + 1)]
    defs: dict[str, Any] = {
        f"d{n}": {"allOf": [{"$ref": names[n + 1]}, {"$ref": names[n + 1]}]} for n in range(levels)
    }
    return {"$ref": names[0], "$defs": {**defs, f"d{levels}": {"type": "object"}}}


def chained(length: int) -> Any:
    defs: dict[str, Any] = {f"d{n}": {"$ref": f"#/$defs/d{n + 1}"} for n in range(length)}
    return {"$ref": "#/$defs/d0", "$defs": {**defs, f"d{length}": {}}}


@pytest.mark.parametrize(
    "schema",
    [
        nested(10_000),
        {"properties": {str(n): {} for n in range(20_000)}},
        doubling(40),
        chained(5_000),
    ],
    ids=["deep", "wide", "doubling", "chained"],
)
def test_a_schema_beyond_bounds_is_refused(schema: Any) -> None:
    assert len(check_schema(schema, root_must_be_object=True)) >= 1


@pytest.mark.parametrize(
    "schema", [doubling(40), chained(5_000), {"type": "x"}, {"$ref": "http://x"}]
)
def test_compiling_what_the_check_refuses_is_a_value_error(schema: Any) -> None:
    with pytest.raises(ValueError, match=r"."):
        compile_schema(schema)
