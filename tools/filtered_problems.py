"""What a schema finds wrong with a result, without what the response filters take out of it."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

from tools.errors import RunError
from tools.json_text import Json
from tools.problems import Problem
from tools.response_filters import FilterSpec, PatternMatcher, apply_response_filters

__all__ = ["filtered_problems"]

_HIDDEN = "does not match the schema; a response filter hides what is there"
_NOTHING = object()


async def filtered_problems(
    problems: Sequence[Problem],
    value: Json,
    filters: Sequence[FilterSpec],
    matcher: PatternMatcher,
) -> list[Problem]:
    """The problems of a value; those of what a filter changes say no more than their place.

    `path` of a problem is a JSON pointer into the value.
    """
    try:
        filtered = (await apply_response_filters(value, filters, matcher, fail_as_mask=True)).value
    except RunError:
        filtered = _NOTHING
    if filtered is value:
        return list(problems)
    return [
        problem
        if _at(value, problem.path) is _at(filtered, problem.path)
        else replace(problem, message=_HIDDEN, seen=None, valid=None, hint=None)
        for problem in problems
    ]


def _at(value: Json, pointer: str) -> object:
    """The very object at a place; one of its own where nothing is there."""
    for step in pointer.split("/")[1:]:
        name = step.replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict):
            value = cast("dict[str, Any]", value).get(name, _NOTHING)
        elif isinstance(value, list) and name.isdecimal():
            elements = cast("list[Any]", value)
            value = elements[int(name)] if int(name) < len(elements) else _NOTHING
        else:
            return object()
    return value
