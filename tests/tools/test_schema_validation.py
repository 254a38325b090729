# The tables hold JSON, whose types the checker would have to guess.
# pyright: reportUnknownArgumentType=false, reportUnknownVariableType=false

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.schema import FORMATS, check_schema, compile_schema, dereference, fill_defaults, loosen

PERSON = {
    "type": "object",
    "properties": {
        "id": {"type": "integer"},
        "mail": {"type": "string", "format": "email"},
        "boss": {"$ref": "#"},
    },
    "required": ["id"],
}


def lines(schema: Any, value: Any) -> list[str]:
    problems = compile_schema(schema).problems(value)
    return [f"{problem.path or '(root)'}: {problem.message}" for problem in problems]


@pytest.mark.parametrize(
    ("schema", "value", "expected"),
    [
        (PERSON, {"id": 1}, []),
        (None, 5, []),
        ({"type": "number", "x-foo": 1}, 5, []),
        (PERSON, {"id": "x"}, ['/id: must be integer, is the string "x"']),
        (PERSON, {}, ["(root): must have the property `id`"]),
        (PERSON, {"id": 1, "mail": "no"}, ['/mail: must match format "email", is the string "no"']),
        (
            {"items": {"$ref": "#/$defs/p"}, "$defs": {"p": {"$id": "https://e.org/p", **PERSON}}},
            [{"id": 1}, {"id": None, "boss": {"id": 1.5}}],
            ["/1/id: must be integer, is null", "/1/boss/id: must be integer, is the number 1.5"],
        ),
        (
            {"type": "object", "properties": {"a/b": {"maxLength": 1}, "c~": {"minimum": 3}}},
            {"a/b": "xyz", "c~": 1},
            ["/a~1b: must have at most 1 characters, has 3", "/c~0: must be >= 3, is the number 1"],
        ),
        (
            {"properties": {"a": {}}, "additionalProperties": False},
            {"aa": 1},
            ["/aa: is a property that the schema does not allow"],
        ),
        (
            {"prefixItems": [{"type": "string"}], "items": False},
            ["x", 1],
            ["/1: no value is allowed here"],
        ),
        (
            {"enum": ["red", "green"]},
            "blue",
            ['(root): must be one of "red", "green", is the string "blue"'],
        ),
        (
            {"anyOf": [{"type": "string"}, {"type": "null"}]},
            1,
            ["(root): must be string or null, is the number 1"],
        ),
        (
            {
                "oneOf": [
                    {"properties": {"k": {"const": "a"}, "v": {"type": "integer"}}},
                    {"properties": {"k": {"const": "b"}}},
                ]
            },
            {"k": "a", "v": "s"},
            ['/v: must be integer, is the string "s"'],
        ),
        (
            {"oneOf": [{}, {}]},
            1,
            ["(root): must match one alternative of `oneOf`, matches 2 (numbers 1, 2)"],
        ),
        ({"not": {"type": "string"}}, "x", ["(root): must not match the schema of `not`"]),
        (
            {"if": {"required": ["a"]}, "then": {"required": ["b"]}},
            {"a": 1},
            ["(root): must have the property `b`"],
        ),
        (
            {"contains": {"const": 1}},
            [2],
            ["(root): must have at least 1 items that match `contains`, has 0"],
        ),
        (
            {"patternProperties": {"^n": {"type": "null"}}},
            {"n1": 1, "m": 1},
            ["/n1: must be null, is the number 1"],
        ),
        (
            {"properties": {"é%a b": {"type": "null"}}, "$defs": {"x": {"$id": "https://e.org/x"}}},
            {"é%a b": 1},
            ["/é%a b: must be null, is the number 1"],
        ),
        ({"propertyNames": {"maxLength": 1}}, {"ab": 1}, ["/ab: is not a valid property name"]),
    ],
)
def test_every_problem_has_its_place_and_says_what_was_seen(
    schema: Any, value: Any, expected: list[str]
) -> None:
    assert lines(schema, value) == expected


def test_a_misspelt_name_or_value_has_a_suggestion() -> None:
    schema = {
        "properties": {"limit": {}, "color": {"enum": ["red"]}},
        "additionalProperties": False,
    }
    hints = [
        problem.hint for problem in compile_schema(schema).problems({"limt": 1, "color": "rde"})
    ]
    assert hints == ["Did you mean `limit`?", "Did you mean `red`?"]


@pytest.mark.parametrize("name", FORMATS)
def test_the_listed_formats_are_enforced(name: str) -> None:
    assert lines({"format": name}, "\0 <not> {one (of them")
    assert lines({"format": name}, 5) == []


def test_other_formats_are_ignored() -> None:
    assert lines({"format": "int32"}, "x") == []


def test_unevaluated_properties_are_a_problem_at_their_object() -> None:
    schema = {
        "properties": {"o": {"allOf": [{"properties": {"a": {}}}], "unevaluatedProperties": False}}
    }
    assert lines(schema, {"o": {"a": 1}}) == []
    assert [line.partition(":")[0] for line in lines(schema, {"o": {"b": 1}})] == ["/o"]


def test_no_more_problems_than_a_reader_can_use() -> None:
    assert len(compile_schema({"items": {"type": "string"}}).problems(list(range(100_000)))) == 50


def test_the_first_of_many_invalid_items_and_members_are_explained_to_the_bottom() -> None:
    rows = [{"id": str(number)} for number in range(400_000)]
    by_name = {f"row {number}": row for number, row in enumerate(rows)}
    assert lines({"items": PERSON}, rows)[49] == '/49/id: must be integer, is the string "49"'
    found = lines({"additionalProperties": PERSON}, by_name)
    assert found[49] == '/row 49/id: must be integer, is the string "49"'
    assert len(found) == 50


def deep(levels: int, leaf: Any) -> Any:
    value: Any = leaf
    for _ in range(levels):
        value = {"boss": value, "id": 1}
    return value


def test_a_value_as_deep_as_allowed_is_validated_and_a_deeper_one_is_a_problem() -> None:
    schema = compile_schema(PERSON)
    assert schema.problems(deep(200, {"id": 1})) == []
    assert schema.problems(deep(200, {"id": "x"}))[0].path == "/boss" * 200 + "/id"
    for levels in (256, 10_000, 200_000):
        assert "nested too deeply" in schema.problems(deep(levels, {"id": 1}))[0].message


@pytest.mark.parametrize(
    ("schema", "value", "valid"),
    [
        ({"type": "integer"}, 10**400, True),
        ({"type": "string"}, 10**400, False),
        ({"type": "integer"}, float("nan"), False),
        ({"type": "string", "maxLength": 3}, "a\ud800", True),
        ({"type": "integer"}, "\ud800", False),
        ({"additionalProperties": {"type": "integer"}}, {"\udc00": 1}, True),
        ({}, {1: 2}, False),
        ({}, {1, 2}, False),
    ],
)
def test_values_that_are_hard_to_carry_are_no_exception(
    schema: Any, value: Any, valid: bool
) -> None:
    assert (not compile_schema(schema).problems(value)) is valid


@pytest.mark.parametrize("pattern", [r"^(a+)+$", r"(?=(a+))(a+a+)+b\1", r"^(a|a)*\1b$"])
def test_a_pattern_cannot_take_forever(pattern: str) -> None:
    assert compile_schema({"pattern": pattern}).problems("a" * 20_000 + "!")


def test_a_recursive_choice_is_explained_without_trying_every_way() -> None:
    branch: dict[str, Any] = {"properties": {"c": {"$ref": "#"}}}
    schema = {"anyOf": [{**branch, "required": ["y"]}, {**branch, "required": ["z"]}]}
    value: Any = {}
    for _ in range(100):
        value = {"c": value}
    assert lines(schema, value)


@pytest.mark.parametrize(
    ("schema", "value", "filled"),
    [
        ({"properties": {"a": {"default": 4}}}, {}, {"a": 4}),
        ({"properties": {"a": {"default": 4}}}, {"a": None}, {"a": None}),
        (
            {"properties": {"a": {"$ref": "#/$defs/d"}}, "$defs": {"d": {"default": 4}}},
            {},
            {"a": 4},
        ),
        (
            {"$ref": "#/$defs/d", "$defs": {"d": {"properties": {"a": {"default": 4}}}}},
            {},
            {"a": 4},
        ),
        ({"allOf": [{"properties": {"a": {"default": 4}}}]}, {}, {"a": 4}),
        ({"properties": {"o": {"properties": {"a": {"default": 4}}}}}, {}, {}),
        ({"properties": {"o": {"properties": {"a": {"default": 4}}}}}, {"o": {}}, {"o": {"a": 4}}),
        (
            {"properties": {"o": {"default": {}, "properties": {"a": {"default": [1]}}}}},
            {},
            {"o": {"a": [1]}},
        ),
        (
            {"items": {"properties": {"a": {"default": 4}}}},
            [{}, 1, {"a": 2}],
            [{"a": 4}, 1, {"a": 2}],
        ),
        ({"prefixItems": [{"properties": {"a": {"default": 4}}}]}, [{}, {}], [{"a": 4}, {}]),
        (
            {"additionalProperties": {"properties": {"a": {"default": 4}}}},
            {"x": {}},
            {"x": {"a": 4}},
        ),
        ({"anyOf": [{"properties": {"a": {"default": 4}}}]}, {}, {}),
        ({"properties": {"a": {"$ref": "#", "default": {}}}}, {}, {"a": {}}),
        ({"$ref": "#", "properties": {"a": {"default": 4}}}, {}, {"a": 4}),
        ({"properties": {"default": {"type": "string"}}}, {}, {}),
        (True, {}, {}),
        (None, 5, 5),
    ],
)
def test_defaults_are_filled_in_where_a_property_is_absent(
    schema: Any, value: Any, filled: Any
) -> None:
    before = json.dumps(value)
    assert fill_defaults(schema, value) == filled
    assert json.dumps(value) == before


def test_a_default_is_never_shared_between_values() -> None:
    schema = {"properties": {"a": {"default": {"list": []}}}}
    first = fill_defaults(schema, {})
    first["a"]["list"].append(1)
    assert fill_defaults(schema, {}) == {"a": {"list": []}}


def test_defaults_of_a_deep_value_are_filled_in() -> None:
    schema = {"properties": {"boss": {"$ref": "#"}, "n": {"default": 1}}}
    value = fill_defaults(schema, deep(5_000, {}))
    for _ in range(5_000):
        assert value["n"] == 1
        value = value["boss"]


@pytest.mark.parametrize(
    ("schema", "accepted", "refused"),
    [
        (
            PERSON,
            [{"id": 1, "mail": None}, {"id": 1, "boss": None}, {"id": 1, "zz": 2}],
            [{"id": None}, {}],
        ),
        (
            {"items": PERSON},
            [[{"id": 1, "boss": {"id": 1, "mail": None}}]],
            [[{"id": 1, "mail": "x"}]],
        ),
        ({"properties": {"a": {"enum": ["x"]}}}, [{"a": None}, {"a": "x"}], [{"a": "y"}]),
        ({"properties": {"a": {"const": "x"}}}, [{"a": None}, {"a": "x"}], [{"a": "y"}]),
        (
            {"properties": {"a": {"anyOf": [{"type": "string"}, {"type": "integer"}]}}},
            [{"a": None}, {"a": 1}],
            [{"a": []}],
        ),
        (
            {"properties": {"a": {"allOf": [{"type": "string"}], "minLength": 2}}},
            [{"a": None}, {"a": "xy"}],
            [{"a": "x"}],
        ),
        ({"properties": {"a": False}}, [{}], [{"a": None}]),
        ({"properties": {"a": {}}, "additionalProperties": False}, [{"a": None}], [{"b": None}]),
        ({"$ref": "#/$defs/d", "$defs": {"d": PERSON}}, [{"id": 1, "mail": None}], [{"id": None}]),
        (
            {"$ref": "#/$defs/d", "required": ["mail"], "$defs": {"d": PERSON}},
            [{"id": 1, "mail": "a@b.io"}],
            [{"id": 1, "mail": None}],
        ),
        (
            {
                "allOf": [
                    {"properties": {"a": {"type": "string"}, "b": {"type": "string"}}},
                    {"required": ["a"]},
                ]
            },
            [{"a": "x", "b": None}],
            [{"a": None}],
        ),
        (
            {
                "oneOf": [
                    {"properties": {"a": {"type": "string"}}},
                    {"properties": {"a": {"type": "integer"}}},
                ]
            },
            [{"a": None}, {"a": 1}],
            [{"a": []}],
        ),
        (
            {
                "properties": {"k": {"type": "string"}},
                "if": {"properties": {"k": {"const": "x"}}, "required": ["k"]},
                "then": {"required": ["v"]},
            },
            [{"k": None}, {"k": "x", "v": 1}],
            [{"k": "x"}],
        ),
        (
            {
                "if": {"$ref": "#/$defs/d"},
                "then": {"required": ["v"]},
                "$defs": {"d": {"properties": {"k": {"const": "x"}}, "required": ["j"]}},
            },
            [{"j": 1, "k": None}, {"k": "x"}],
            [{"j": 1, "k": "x"}],
        ),
        (
            {
                "properties": {
                    "a": {"anyOf": [{"type": "string"}]},
                    "b": {"$ref": "#/properties/a/anyOf/0"},
                }
            },
            [{"a": None, "b": None}, {"b": "x"}],
            [{"b": 1}],
        ),
    ],
)
def test_a_loosened_schema_takes_null_for_what_is_not_required_and_nothing_else(
    schema: Any, accepted: list[Any], refused: list[Any]
) -> None:
    before = json.dumps(schema)
    loosened = compile_schema(loosen(schema))
    assert [value for value in accepted if loosened.problems(value)] == []
    assert [value for value in refused if not loosened.problems(value)] == []
    assert json.dumps(schema) == before


def test_a_loosened_schema_still_names_the_exact_place() -> None:
    assert lines(loosen(PERSON), {"id": 1, "boss": {"id": "x"}}) == [
        '/boss/id: must be integer, is the string "x"'
    ]


@pytest.mark.parametrize(
    ("schema", "published"),
    [
        ({}, {"type": "object"}),
        (True, {"type": "object"}),
        ({"type": ["object", "null"]}, {"type": "object"}),
        (
            {"$ref": "#/$defs/d", "$defs": {"d": {"properties": {"a": {}}}}, "$schema": "x"},
            {"type": "object", "properties": {"a": {}}},
        ),
        (
            {
                "properties": {"a": {"$ref": "#/$defs/d", "title": "A"}},
                "$defs": {"d": {"type": "string"}},
            },
            {"type": "object", "properties": {"a": {"type": "string", "title": "A"}}},
        ),
        (
            {"properties": {"a": {"$ref": "#"}}},
            {"type": "object", "properties": {"a": {"description": "Cut here: the same as #."}}},
        ),
        (
            {
                "properties": {"a": {"minLength": 2, "$ref": "#/$defs/d"}},
                "$defs": {"d": {"minLength": 1}},
            },
            {"type": "object", "properties": {"a": {"minLength": 2, "allOf": [{"minLength": 1}]}}},
        ),
    ],
)
def test_a_published_schema_has_no_references(schema: Any, published: Any) -> None:
    before = json.dumps(schema)
    assert dereference(schema) == published
    assert json.dumps(schema) == before


def test_a_published_schema_keeps_its_size() -> None:
    wide = {
        "type": "object",
        "properties": {f"p{n}": {"$ref": "#/$defs/d"} for n in range(2_000)},
        "$defs": {
            "d": {"type": "object", "properties": {f"q{n}": {"title": "t" * 50} for n in range(20)}}
        },
    }
    published = dereference(wide)
    assert len(json.dumps(published)) < 250_000
    assert len(published["properties"]) == 2_000
    assert published["properties"]["p7"]["type"] == "object"


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"not": {"properties": {"a": {"$ref": "#"}}, "required": ["a"]}}, {}),
        (
            {
                "properties": {"a": {"oneOf": [{"$ref": "#"}, {"type": "integer"}]}},
                "type": "object",
            },
            {"a": 1},
        ),
        (
            {"allOf": [{"properties": {"a": {"$ref": "#"}}}], "unevaluatedProperties": False},
            {"a": {}},
        ),
        ({"contains": {"$ref": "#"}, "maxContains": 1, "type": "array", "minContains": 0}, [[], 1]),
    ],
)
def test_a_published_schema_accepts_what_the_schema_accepts(schema: Any, value: Any) -> None:
    assert compile_schema(schema).problems(value) == []
    assert compile_schema(dereference(schema, root_object=False)).problems(value) == []


# Schemas of the kinds in the official test suite that need the most care.
OFFICIAL_KINDS: list[tuple[Any, Any, Any]] = [
    ({"$ref": "#/$defs/a%25b", "$defs": {"a%b": {"type": "integer"}}}, 1, "x"),
    ({"$ref": "#/$defs/a~1b", "$defs": {"a/b": {"type": "integer"}}}, 1, "x"),
    ({"properties": {"$ref": {"type": "string"}}}, {"$ref": "a"}, {"$ref": 2}),
    (
        {
            "$defs": {"": {"$defs": {"": {"type": "number"}}}},
            "allOf": [{"$ref": "#/$defs//$defs/"}],
        },
        1,
        "a",
    ),
    (
        {
            "$id": "https://e.org/tree",
            "properties": {"nodes": {"items": {"$ref": "node"}}},
            "$defs": {
                "node": {
                    "$id": "node",
                    "properties": {"v": {"type": "number"}, "sub": {"$ref": "tree"}},
                }
            },
        },
        {"nodes": [{"v": 1, "sub": {"nodes": [{"v": 2}]}}]},
        {"nodes": [{"sub": {"nodes": [{"v": "x"}]}}]},
    ),
    (
        {
            "$ref": "#/$defs/list",
            "$defs": {
                "item": {"$dynamicAnchor": "T", "type": "string"},
                "list": {"items": {"$dynamicRef": "#T"}},
            },
        },
        ["a"],
        [1],
    ),
    (
        {
            "unevaluatedItems": False,
            "prefixItems": [{"type": "string"}],
            "anyOf": [{"prefixItems": [True, {"const": 1}]}, {"contains": {"const": 9}}],
        },
        ["a", 1],
        ["a", 2, 3],
    ),
    (
        {
            "dependentSchemas": {"a": {"properties": {"b": {}}}},
            "properties": {"a": {}},
            "unevaluatedProperties": False,
        },
        {"a": 1, "b": 2},
        {"b": 2},
    ),
    ({"$ref": "https://json-schema.org/draft/2020-12/schema"}, {"minLength": 1}, {"minLength": -1}),
    ({"const": {"$ref": "#/no", "if": [1]}}, {"$ref": "#/no", "if": [1]}, {}),
    ({"enum": [[False], {"a": None}]}, [False], [0]),
    ({"if": {"const": 0}, "else": {"minimum": 5}}, 0, 1),
]


@pytest.mark.parametrize(("schema", "valid", "invalid"), OFFICIAL_KINDS)
def test_schemas_as_in_the_official_suite_hold_in_every_form(
    schema: Any, valid: Any, invalid: Any
) -> None:
    assert check_schema(schema, root_must_be_object=False) == []
    assert lines(schema, valid) == []
    assert lines(schema, invalid)
    assert lines(loosen(schema), valid) == []
    assert lines(loosen(schema), invalid)
    assert lines(dereference(schema, root_object=False), valid) == []
    fill_defaults(schema, valid)


KEYWORDS = [
    "type",
    "properties",
    "items",
    "$ref",
    "$defs",
    "allOf",
    "anyOf",
    "oneOf",
    "not",
    "if",
    "then",
    "else",
    "required",
    "enum",
    "const",
    "default",
    "pattern",
    "patternProperties",
    "additionalProperties",
    "prefixItems",
    "$dynamicRef",
    "contains",
    "maxContains",
    "a",
    "0",
    "dependentSchemas",
    "propertyNames",
    "unevaluatedProperties",
    "unevaluatedItems",
    "$id",
    "$anchor",
    "minimum",
    "format",
]
ANY_SCHEMA = st.recursive(
    st.sampled_from(
        [None, True, False, 1, 2.5, "a", "#", "#/$defs/a", "object", "string", "(", -1]
    ),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYWORDS), inner, max_size=5)
    ),
    max_leaves=20,
)
ANY_VALUE = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from(["a", "object"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "type", "items"]), inner, max_size=3)
    ),
    max_leaves=10,
)


@given(ANY_SCHEMA, ANY_VALUE)
def test_what_the_check_accepts_works_everywhere_and_is_never_made_stricter(
    schema: Any, value: Any
) -> None:
    if check_schema(schema, root_must_be_object=False):
        return
    problems = compile_schema(schema).problems(value)
    loosened = compile_schema(loosen(schema)).problems(value)
    published = compile_schema(dereference(schema, root_object=False)).problems(value)
    fill_defaults(schema, value)
    if not problems:
        assert (loosened, published) == ([], [])
