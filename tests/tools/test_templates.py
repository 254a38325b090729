"""A value arrives as itself, wherever it stands and whatever it holds."""

import json
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tools.errors import ErrorKind, RunError
from tools.scope import Credentials, Scope
from tools.scripts import ScriptEngine
from tools.templates import Placeholder, Resolver, parse_template, render_text, render_url
from tools.templates.body import render_body
from tools.urls import origin_of

EXAMPLES = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
#: Text that tries to be a template, a quote, a path or a header.
hostile = st.one_of(
    st.text(),
    st.lists(
        st.sampled_from(
            ["<<", ">>", "{{", "}}", "secret", '"', "\\", "\n", "/", "..", "?", "#", "&", "=", "@"]
        ),
        max_size=8,
    ).map("".join),
)
# Lone surrogates cannot be sent as UTF-8; what becomes of them is tested by itself.
sendable = hostile.filter(lambda text: text.isascii() or _is_utf8(text))


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def resolver(scripts: ScriptEngine, state: dict[str, Any], **secrets: str) -> Resolver:
    return Resolver(Scope(state, Credentials(secrets, secrets)), scripts.session(), "s")


@EXAMPLES
@given(value=hostile)
async def test_a_text_is_never_scanned_again(scripts: ScriptEngine, value: str) -> None:
    scope = resolver(scripts, {"v": value}, secret="S3CRET-VALUE")
    assert await render_text("<<<v>>|<<v>>".removeprefix("<"), scope, "x") == f"{value}|{value}"


@EXAMPLES
@given(value=st.recursive(st.none() | st.integers() | hostile, lambda v: st.lists(v, max_size=3)))
async def test_a_json_body_holds_the_value_itself(scripts: ScriptEngine, value: Any) -> None:
    scope = resolver(scripts, {"v": value}, secret="S3CRET-VALUE")
    rendered = await render_body('{"a": <<v>>, "b": [1, <<v>>]}', None, scope)
    assert json.loads(rendered.text) == {"a": value, "b": [1, value]}


@EXAMPLES
@given(value=hostile)
async def test_a_text_inside_a_json_string_stays_inside(scripts: ScriptEngine, value: str) -> None:
    scope = resolver(scripts, {"v": value})
    rendered = await render_body('{"a": "x <<v>> y", "b": "<<v>>"}', "application/json", scope)
    assert json.loads(rendered.text) == {"a": f"x {value} y", "b": value}


@EXAMPLES
@given(value=sendable)
async def test_a_value_in_a_url_is_one_segment_and_one_parameter(
    scripts: ScriptEngine, value: str
) -> None:
    scope = resolver(scripts, {"v": value}, secret="S3CRET-VALUE")
    try:
        url = await render_url(
            "https://api.test/a/<<v>>/b?q=<<v>>&k=1", scope, system_url=None, allowed_origins=()
        )
    except RunError as error:
        if value in {".", ".."} and error.kind is ErrorKind.INVALID_INPUT:
            return
        raise
    parts = urlsplit(url)
    assert origin_of(url) == "https://api.test"
    assert [unquote(segment) for segment in parts.path.split("/")] == ["", "a", value, "b"]
    expected = [("q", value), ("k", "1")] if value else [("k", "1")]
    assert parse_qsl(parts.query, keep_blank_values=True) == expected


@EXAMPLES
@given(value=sendable)
async def test_no_value_reaches_another_origin(scripts: ScriptEngine, value: str) -> None:
    scope = resolver(scripts, {"v": value}, secret="S3CRET-VALUE")
    for template in (
        "https://api.test<<v>>",
        "<<v>>",
        "https://<<v>>/x",
        "https://<<raw:v>>.test/",
    ):
        try:
            url = await render_url(template, scope, system_url=None, allowed_origins=())
        except RunError as error:
            if error.kind not in {ErrorKind.BLOCKED_ADDRESS, ErrorKind.CONNECTION}:
                raise
        else:
            # With nothing added, what the template wrote is all there is.
            assert (url, value) == ("https://api.test", "")


@EXAMPLES
@given(value=sendable)
async def test_a_function_cannot_leave_the_origin_either(scripts: ScriptEngine, value: str) -> None:
    scope = resolver(scripts, {"v": value or "x"})
    template = "https://api.test/<<(s) => s.v>>"
    try:
        url = await render_url(template, scope, system_url=None, allowed_origins=())
    except RunError:
        return
    assert origin_of(url) == "https://api.test"


@pytest.mark.parametrize(
    ("template", "parts"),
    [
        ("", []),
        ("plain", ["plain"]),
        ("<< a >>", ["a"]),
        ("a << b", ["a << b"]),
        ("<<a>><<b>>", ["a", "b"]),
        ("<<(s) => (s.n >> 1)>>!", ["(s) => (s.n >> 1)", "!"]),
        ("<<(s) => '>>' + `${s.a >> 1}>>`>>", ["(s) => '>>' + `${s.a >> 1}>>`"]),
        ("<<(s) => { /* >> */ return 1 }>>", ["(s) => { /* >> */ return 1 }"]),
        ("<<(s) => s..a>>", ["(s) => s..a"]),
        ("<<(s) => [1>>", ["(s) => [1"]),
        ("x{{a.b}}y{{ }}", ["x", "a.b", "y{{ }}"]),
        ("<< <<a>> >>", ["<<a", " >>"]),
    ],
)
def test_a_template_has_these_parts(template: str, parts: list[str]) -> None:
    parsed = parse_template(template)
    assert [
        part.expression if isinstance(part, Placeholder) else part for part in parsed.parts
    ] == parts


@given(text=st.text(st.sampled_from("<>{}()'\"`$/*= snx\\\n"), max_size=40))
def test_what_is_written_is_all_there(text: str) -> None:
    parsed = parse_template(text)
    written = [part.written if isinstance(part, Placeholder) else part for part in parsed.parts]
    assert "".join(written) == text


async def test_a_credential_is_out_of_reach_of_an_input(scripts: ScriptEngine) -> None:
    scope = resolver(
        scripts, {"v": "<<secret>> {{secret}} ${secret} credentials.secret"}, secret="X"
    )
    text = await render_text("<<v>>", scope, "x")
    assert text == "<<secret>> {{secret}} ${secret} credentials.secret"


async def test_an_unknown_name_lists_what_is_known(scripts: ScriptEngine) -> None:
    scope = resolver(scripts, {f"name{index:02}": 1 for index in range(30)})
    with pytest.raises(RunError, match=r"known: `name00`, .* and 10 more") as caught:
        await render_text("<<nothing>>", scope, "body")
    assert caught.value.kind is ErrorKind.UNRESOLVED_VARIABLE


async def test_inherited_names_are_not_found(scripts: ScriptEngine) -> None:
    scope = resolver(scripts, {"user": {}})
    for name in ("__proto__", "constructor", "user.toString", "user.__class__"):
        with pytest.raises(RunError, match="no value named"):
            await render_text(f"<<{name}>>", scope, "body")
