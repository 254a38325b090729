import pytest

from tools.suggestions import did_you_mean


@pytest.mark.parametrize(
    ("seen", "known", "meant"),
    [
        ("custmer", ["customer", "limit"], "customer"),
        ("dataselector", ["dataSelector"], "dataSelector"),
        ("page_size", ["pageSize"], "pageSize"),
        ("zzz", ["customer", "limit"], None),
        ("", ["a"], None),
        ("x" * 5000, ["x" * 5000], None),
        ("a", [], None),
    ],
)
def test_a_near_miss_is_found(seen: str, known: list[str], meant: str | None) -> None:
    assert did_you_mean(seen, known) == meant
