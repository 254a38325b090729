"""No known secret survives, whatever form an upstream gives it."""

import base64
import json
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tools.redaction import Redactor, is_marked, secret_forms

# The characters of real secrets, and those that escaping changes.
secrets = st.text(
    st.sampled_from("abcXYZ0189-_.~!@#$%^&*()+=/\\\"'<> äß€\n"), min_size=8, max_size=40
).filter(lambda secret: len(secret.strip()) >= 8)
around = st.binary(max_size=7)


@given(secret=secrets, before=around, after=around)
def test_every_form_of_a_secret_is_found(secret: str, before: bytes, after: bytes) -> None:
    redactor = Redactor({"acme.token": secret})
    raw = secret.encode()
    forms = [
        secret,
        json.dumps(secret),
        json.dumps(secret, ensure_ascii=False),
        quote(secret, safe=""),
        quote_plus(secret),
        base64.b64encode(raw).decode(),
        base64.urlsafe_b64encode(raw).decode().rstrip("="),
        "Basic " + base64.b64encode(b"user:" + raw).decode(),
        base64.b64encode(before + raw + after).decode(),
    ]
    for form in forms:
        text = f"left {form} right"
        redacted = redactor.text(text)
        assert "[credential acme.token]" in redacted, form
        assert not any(known in redacted for known in secret_forms(secret))
        assert redactor.data(text.encode()) == redacted.encode()
        assert is_marked(redacted)


@given(secret=secrets, data=st.data())
def test_json_loses_its_secrets_and_nothing_else(secret: str, data: st.DataObject) -> None:
    leaf = st.none() | st.booleans() | st.integers(-9, 9) | st.text("abc", max_size=3)
    value = data.draw(
        st.recursive(
            leaf | st.just(secret) | st.just(f"Bearer {secret}!"),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(st.sampled_from(["k", "l", secret]), inner, max_size=3)
            ),
            max_leaves=8,
        )
    )
    redacted = Redactor({"run.key": secret}).json(value)
    text = json.dumps(redacted, ensure_ascii=False)
    assert secret not in text
    if secret not in json.dumps(value, ensure_ascii=False) and not is_marked(text):
        assert redacted == value


def test_nothing_known_changes_nothing() -> None:
    value: dict[str, Any] = {"a": ["x", 1, None]}
    assert Redactor({}).json(value) is value
    assert Redactor({"run.pin": "1234567"}).text("1234567") == "1234567"


def test_a_secret_that_is_a_number_is_found_as_one() -> None:
    redacted = Redactor({"run.pin": "12345678"}).json({"pin": 12345678, "n": 1})
    assert redacted == {"pin": "[credential run.pin]", "n": 1}


def test_a_secret_inside_another_is_replaced_with_it() -> None:
    redactor = Redactor({"run.a": "abcdefgh", "run.b": "abcdefgh-ijkl"})
    assert redactor.text("x abcdefgh-ijkl y") == "x [credential run.b] y"


@pytest.mark.parametrize("name", ["Authorization", "cookie", "SET-COOKIE", "X-Own-Key"])
def test_credential_headers_lose_their_value(name: str) -> None:
    redactor = Redactor({}, header_names=["x-own-key"])
    assert redactor.headers([(name, "v"), ("accept", "v")]) == [
        (name, "[redacted]"),
        ("accept", "v"),
    ]


def test_a_url_loses_its_user() -> None:
    assert Redactor({}).url("https://user:pw@h.test/p?q=1") == "https://[redacted]@h.test/p?q=1"
