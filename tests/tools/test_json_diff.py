"""What differs between two JSON values: exact, bounded, safe with deep and large values."""

import copy
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.reading import read_part
from tools.abridging import abridged
from tools.json_diff import MISSING, Change, json_diff
from tools.json_text import encode_json_text

ALL = 100_000
# The library that reads paths refuses control characters written as escapes, which are allowed.
NAMES = st.one_of(
    st.sampled_from(["id", "a", "b", "c d", "", "it's", 'a"\\b\n']),
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=3),
)
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 3), st.floats(-2, 2), st.text(max_size=3)
)
ROWS = st.lists(
    st.fixed_dictionaries({"id": st.integers(0, 9), "v": SCALARS}),
    unique_by=lambda row: row["id"],
    max_size=6,
)
VALUES: st.SearchStrategy[Any] = st.recursive(
    SCALARS | ROWS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)


def same(one: Any, other: Any) -> bool:
    """Equal as JSON: `true` is not 1."""
    return not json_diff(one, other)


def changes(before: Any, after: Any) -> list[dict[str, Any]]:
    return json_diff(before, after).wire()["changes"]


def applied(value: Any, found: tuple[Change, ...]) -> Any:
    """The value with the changes made, each found by its path alone."""
    value = {"root": copy.deepcopy(value)}
    for change in found:
        if change.kind == "reordered":
            holder, key = resolve(value, change.path)
            holder[key] = reordered(holder[key], change.after)
    for change in found:
        if change.kind == "changed":
            holder, key = resolve(value, change.path)
            holder[key] = copy.deepcopy(change.after)
    # Positions in paths are those before: all are found first, and the last are taken away first.
    removed = [resolve(value, change.path) for change in found if change.kind == "removed"]
    for holder, key in removed:
        if isinstance(holder, dict):
            del holder[key]
    in_lists: list[tuple[list[Any], int]] = [
        (holder, key) for holder, key in removed if isinstance(holder, list)
    ]
    for holder, key in sorted(in_lists, key=lambda place: place[1], reverse=True):
        del holder[key]
    for change in found:
        if change.kind == "added":
            holder, key = resolve(value, change.path)
            if isinstance(holder, dict):
                holder[key] = copy.deepcopy(change.after)
            else:
                holder.insert(change.position, copy.deepcopy(change.after))
    return value["root"]


def reordered(rows: list[Any], ids: list[Any]) -> list[Any]:
    fields = ("id", "_id", "uuid", "key", "code", "slug", "name")
    [field] = [
        field
        for field in fields
        if set(ids) <= {row[field] for row in rows if isinstance(row.get(field), str | int)}
    ][:1]
    first = [next(row for row in rows if row[field] == one) for one in ids]
    return first + [row for row in rows if row[field] not in ids]


SEGMENT = re.compile(
    r"\.(?P<name>\w+)|\[(?P<index>\d+)\]|\[\?@\.(?P<field>\w+)==(?P<id>-?\d+|'(?:[^'\\]|\\.)*')\]"
    r"|\[(?P<quoted>'(?:[^'\\]|\\.)*')\]",
    re.DOTALL,
)


def unquoted(text: str) -> str:
    codes = {"n": "\n", "r": "\r", "t": "\t"}
    return re.sub(
        r"\\(u[0-9a-f]{4}|.)",
        lambda found: (
            chr(int(found[1][1:], 16)) if len(found[1]) == 5 else codes.get(found[1], found[1])
        ),
        text[1:-1],
    )


def resolve(value: Any, path: str) -> tuple[Any, Any]:
    """What holds the place of a path, and the key there."""
    holder, key = value, "root"
    position = 1
    while position < len(path):
        segment = SEGMENT.match(path, position)
        assert segment is not None, path
        position = segment.end()
        holder = holder[key]
        if segment["name"] is not None:
            key = segment["name"]
        elif segment["index"] is not None:
            key = int(segment["index"])
        elif segment["quoted"] is not None:
            key = unquoted(segment["quoted"])
        else:
            text = segment["id"]
            wanted = unquoted(text) if text.startswith("'") else int(text)
            field = segment["field"]
            key = next((at for at, row in enumerate(holder) if row[field] == wanted), None)
    return holder, key


@given(VALUES)
def test_a_value_does_not_differ_from_itself(value: Any) -> None:
    difference = json_diff(value, copy.deepcopy(value))
    assert (difference.changes, difference.total, difference.truncated) == ((), 0, False)
    assert not difference


@given(VALUES, VALUES)
def test_the_changes_applied_give_the_other_value(before: Any, after: Any) -> None:
    difference = json_diff(before, after, most_changes=ALL)
    assert not difference.truncated
    assert len(difference.changes) == difference.total
    assert same(applied(before, difference.changes), after)


@given(ROWS, ROWS)
def test_rows_with_ids_are_compared_by_them(before: list[Any], after: list[Any]) -> None:
    difference = json_diff({"rows": before}, {"rows": after}, most_changes=ALL)
    assert same(applied({"rows": before}, difference.changes), {"rows": after})


@given(VALUES, VALUES)
def test_both_directions_see_as_many_changes(before: Any, after: Any) -> None:
    assert json_diff(before, after).total == json_diff(after, before).total


@given(VALUES, VALUES)
def test_a_limit_cuts_the_list_and_not_the_count(before: Any, after: Any) -> None:
    whole, cut = (
        json_diff(before, after, most_changes=ALL),
        json_diff(before, after, most_changes=1),
    )
    assert cut.total == whole.total
    assert cut.changes == whole.changes[:1]
    assert cut.truncated == (whole.total > 1)


@given(VALUES, VALUES)
def test_a_path_finds_the_values_of_its_change(before: Any, after: Any) -> None:
    for change in json_diff(before, after, most_changes=ALL).changes:
        if change.kind == "reordered":
            continue
        for side, value in ((before, change.before), (after, change.after)):
            if value is MISSING:
                continue
            part = read_part(side, path=change.path, limit=1000)["value"]
            assert same(part, value) or same(part, [value])


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        pytest.param(
            1, 2, [{"path": "$", "change": "changed", "before": 1, "after": 2}], id="the root"
        ),
        pytest.param(1, 1.0, [], id="numbers are equal by value"),
        pytest.param(
            {"a": 1},
            {"a": True},
            [{"path": "$.a", "change": "changed", "before": 1, "after": True}],
            id="true is not 1",
        ),
        pytest.param(
            {"a": None},
            {},
            [{"path": "$.a", "change": "removed", "before": None}],
            id="null is there",
        ),
        pytest.param(
            {"it's": 1},
            {"it's": 2},
            [{"path": "$['it\\'s']", "change": "changed", "before": 1, "after": 2}],
            id="names are quoted",
        ),
        pytest.param(
            [1, 2],
            [1, 3, 4],
            [
                {"path": "$[1]", "change": "changed", "before": 2, "after": 3},
                {"path": "$[2]", "change": "added", "after": 4},
            ],
            id="plain lists go by position",
        ),
        pytest.param(
            [{"id": 1, "n": "a"}, {"id": 2, "n": "b"}],
            [{"id": 9, "n": "z"}, {"id": 1, "n": "a"}, {"id": 2, "n": "B"}],
            [
                {"path": "$[?@.id==2].n", "change": "changed", "before": "b", "after": "B"},
                {"path": "$[?@.id==9]", "change": "added", "after": {"id": 9, "n": "z"}},
            ],
            id="rows go by their id",
        ),
        pytest.param(
            [{"id": 1}, {"id": 2}],
            [{"id": 2}, {"id": 1}],
            [{"path": "$", "change": "reordered", "before": [1, 2], "after": [2, 1]}],
            id="another order is said once",
        ),
        pytest.param(
            [{"id": 1, "n": 1}, {"id": 1, "n": 2}],
            [{"id": 1, "n": 1}, {"id": 1, "n": 3}],
            [{"path": "$[1].n", "change": "changed", "before": 2, "after": 3}],
            id="ids that come twice tell nothing apart",
        ),
    ],
)
def test_a_change_says_where_and_what(before: Any, after: Any, expected: list[Any]) -> None:
    assert changes(before, after) == expected


def test_long_values_are_shortened() -> None:
    [text, rows, keys] = changes(
        {"t": "", "r": 0, "k": 0},
        {"t": "x" * 5000, "r": list(range(5000)), "k": {f"key{n}": n for n in range(5000)}},
    )
    assert text["after"].endswith("(5,000 characters)")
    assert rows["after"] == "a list of 5,000 elements"
    assert keys["after"].startswith("an object of 5,000 keys: key0, key1")
    assert len(encode_json_text([text, rows, keys])) < 1000


def test_values_may_nest_far_deeper_than_python_calls() -> None:
    before: Any = 1
    after: Any = 2
    for _ in range(50_000):
        before, after = [before], {"a": [after]}
    one: Any = 1
    other: Any = 2
    for _ in range(50_000):
        one, other = [one], [other]
    assert json_diff(before, after).total == 1
    [change] = changes(one, other)
    assert (change["before"], change["after"]) == (1, 2)
    assert len(change["path"]) < 1000
    assert abridged(one, 100) == "a list of 1 elements"


def test_long_integers_are_shortened_too() -> None:
    values: list[Any] = [10**30, 10**5000, [10**5000], {"a": 10**30}]
    for value in values:
        assert isinstance(abridged(value, 20), str)
    assert abridged(12345, 5) == 12345


def test_large_lists_are_compared_once_through() -> None:
    before = [{"id": n, "v": n} for n in range(100_000)]
    difference = json_diff(before, [{"id": -1, "v": 0}, *before[::-1]])
    assert [change.kind for change in difference.changes] == ["reordered", "added"]
    difference = json_diff(before, [])
    assert (difference.total, len(difference.changes), difference.truncated) == (100_000, 50, True)
    plain = list(range(100_000))
    assert json_diff(plain, [-1, *plain]).total == 100_001


def test_a_comparison_without_end_is_cut_off_and_says_so() -> None:
    rows: list[Any] = [[n] for n in range(1500)]
    # A value in which the same list stands many times is small in memory and endless to walk.
    before, after = [rows] * 1500, [list(rows)] * 1500
    difference = json_diff(before, after)
    assert (difference.total, difference.truncated) == (0, True)
    assert json_diff([*before, 1], [*after, 2]).total == 1


@given(VALUES, st.integers(1, 60))
def test_a_value_in_short_is_short(value: Any, characters: int) -> None:
    short = abridged(value, characters)
    assert short == value or isinstance(short, str)
    assert short == value or len(encode_json_text(value)) > characters
