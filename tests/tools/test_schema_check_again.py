"""A schema is checked where it is made and where it is stored: the second time says the same."""

from typing import Any

import pytest

from tools.schema import check_schema


def problems(schema: Any, *, root_must_be_object: bool = False) -> list[str]:
    found = check_schema(schema, root_must_be_object=root_must_be_object)
    return [one.message for one in found]


def test_what_looks_like_a_schema_that_was_good_is_checked_itself() -> None:
    assert problems({"default": None}) == []
    assert problems({"default": float("nan")}) == ["not a JSON number"]
    assert problems({"properties": {"1": {}}}) == []
    assert problems({"properties": {1: {}}}) == ["a key is not text"]
    assert problems({"enum": ["\ufffd"]}) == []
    assert problems({"enum": ["\ud800"]}) == ["the text is not valid Unicode"]


def test_a_schema_that_is_good_anywhere_may_be_none_for_inputs() -> None:
    assert problems({"type": "string"}) == []
    assert problems({"type": "string"}, root_must_be_object=True) == [
        "the inputs of a tool are an object"
    ]
    assert problems({"type": "string"}) == []


def test_a_schema_that_is_changed_after_it_was_good_is_not_good_any_more() -> None:
    schema: dict[str, Any] = {"properties": {"a": {"type": "string"}}}
    assert problems(schema) == []
    schema["properties"]["a"]["type"] = "text"
    assert problems(schema) == ["not a type"]


@pytest.mark.parametrize("again", range(2))
def test_references_that_multiply_outside_of_the_definitions_are_found_each_time(
    again: int,
) -> None:
    parts: dict[str, Any] = {"p0": {"type": "string"}}
    for n in range(1, 30):
        parts[f"p{n}"] = {"anyOf": [{"$ref": f"#/x-parts/p{n - 1}"}] * 3}
    schema = {"$ref": "#/x-parts/p29", "x-parts": parts}
    assert any("multiply" in one for one in problems(schema))
