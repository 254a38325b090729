"""Parts of a result: what a path may ask, and how much it may cost."""

import gc
from typing import Any

import pytest

from server.reading import ReadingError, keep_fields, read_part

ROWS: Any = {"items": [{"id": n, "name": f"n{n}", "tags": ["a", "b"][: n % 3]} for n in range(10)]}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("$.items[2].name", "n2"),
        ("items[0:2].id", [0, 1]),
        ("$..id", list(range(10))),
        ("$.items[?@.id > 7].name", ["n8", "n9"]),
        ("$.items[?count(@.tags.*) == 2].id", [2, 5, 8]),
        ("$.items[?@.name == $.items[3].name].id", [3]),
        ("$.items[-1]['id','name']", [9, "n9"]),
        ("$..items..id", list(range(10))),
    ],
)
def test_a_path_finds_what_rfc_9535_says(path: str, value: Any) -> None:
    assert read_part(ROWS, path=path)["value"] == value


@pytest.mark.parametrize("text", ["[1, 2]", "[", "0", ""])
def test_a_result_that_is_a_text_is_that_text_and_not_what_it_would_be_as_json(text: str) -> None:
    assert read_part(text, path="$")["value"] == text
    assert read_part(text, path="$.*")["value"] == []


@pytest.mark.parametrize(
    "path",
    [
        "$..[?count($..*)>1]",
        "$..[?count(@..*)>1]",
        "$.items[?count($.*)>1]",
        "$.items[?@.tags[?@.a]]",
        "$..*..*..*",
        "$" + "[*,*,*,*,*,*,*,*]" * 4,
    ],
)
def test_a_path_that_would_look_at_each_value_many_times_is_refused(path: str) -> None:
    with pytest.raises(ReadingError, match="path"):
        read_part(ROWS, path=path)


def test_an_error_shows_the_beginning_of_a_long_path() -> None:
    with pytest.raises(ReadingError) as refused:
        read_part(ROWS, path="$." + "x" * 900)
    assert len(str(refused.value)) < 300


def test_fields_are_kept_of_an_object_and_of_each_row_of_a_list() -> None:
    assert keep_fields(ROWS["items"][:2], ["id"]) == [{"id": 0}, {"id": 1}]
    assert keep_fields(ROWS["items"][1], ["id", "none"]) == {"id": 1}
    assert keep_fields(ROWS, None) == ROWS
    assert keep_fields(7, ["id"]) == 7


@pytest.mark.parametrize("length", [10, 10_000, 10_001])
def test_a_text_may_be_asked_for_by_as_many_characters_as_a_long_one(length: int) -> None:
    part = read_part("x" * length, limit=20_000, pages_texts=True)
    assert (part["value"], part["hasMore"]) == ("x" * length, False)
    with pytest.raises(ReadingError, match="valid of a text is 1 to 100000"):
        read_part("x" * length, limit=100_001, pages_texts=True)


def test_a_list_has_a_limit_of_its_own() -> None:
    with pytest.raises(ReadingError, match="valid of a list is 1 to 1000"):
        read_part([1], limit=20_000, pages_texts=True)


@pytest.mark.parametrize("path", ["$.rows[*].id", "$..id", "$.rows[?@.id > 5]", "$.rows[5:900]"])
def test_what_was_read_is_let_go_at_once(path: str) -> None:
    rows = [{"id": number, "tags": [{"name": "a"}]} for number in range(2000)]
    read_part({"rows": rows}, path=path)
    gc.collect()
    gc.disable()
    try:
        read_part({"rows": rows}, path=path)
        # What remains is of the path, and not of the rows.
        assert gc.collect() < len(rows) / 2
    finally:
        gc.enable()
