"""curl commands: shell words, options, inputs and credentials."""

import json
from typing import Any

import pytest

from tools.importers import DocumentError, ImportResult
from tools.importers.curl import import_curl
from tools.importers.curl.words import shell_commands
from tools.importers.text import reference


def config_of(command: str, **options: Any) -> dict[str, Any]:
    (tool,) = import_curl(command, **options).tools
    return tool.definition["steps"][0]["config"]


def reasons(result: ImportResult) -> dict[str, str]:
    return {one.place: one.reason for one in result.notes}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("curl 'a b' c\\ d \"e\\\"f\"", [["curl", "a b", "c d", 'e"f']]),
        ("curl $'it\\'s\\n\\u00e9\\x41'", [["curl", "it's\né" + "A"]]),
        ("curl a \\\n  b", [["curl", "a", "b"]]),
        ("curl a `\n  b", [["curl", "a", "b"]]),
        ('curl ^"https://a.test/?x=1^&y=2^" ^\n  -H ^"a: b^"', [
            ["curl", "https://a.test/?x=1&y=2", "-H", "a: b"]
        ]),
        ("curl a | jq . ; curl b # note", [["curl", "a"], ["jq", "."], ["curl", "b"]]),
        ('curl "$A-${B}" \'$C\'', [["curl", f"{reference('A')}-{reference('B')}", "$C"]]),
        ('curl "$(cat key)"', [["curl", reference("command")]]),
        ("curl ''", [["curl", ""]]),
        ('curl "$env:A" "$B"', [["curl", reference("A"), reference("B")]]),
        ('curl ^"x^" ^\n  -d ^"a^\n\nb^"', [["curl", "x", "-d", "a\nb"]]),
        ("curl 'x?q=a^' -d '{\"q\":\"^\"}'", [["curl", "x?q=a^", "-d", '{"q":"^"}']]),
    ],
)  # fmt: skip
def test_shell_words_are_read_as_shells_read_them(text: str, words: list[list[str]]) -> None:
    assert list(shell_commands(text)) == words


def test_an_open_quote_is_named_by_its_place() -> None:
    with pytest.raises(DocumentError, match="line 2, column 6: a quote is not closed"):
        list(shell_commands("curl a\ncurl 'secret-that-is-not-shown"))


@pytest.mark.parametrize(
    "command",
    [
        'curl URL --json @- <<\'END\'\n{"a": "$X (1)"}\nEND\n',
        'cat <<END | curl URL --json @-\n{"a": "\\$X (1)"}\n  END\n',
        'curl URL --json "$(cat <<\'END\'\n{"a": "$X (1)"}\nEND\n)"',
        'curl URL --json @- <<< \'{"a": "$X (1)"}\'',
        'echo \'{"a": "$X (1)"}\' | curl URL --json @-',
    ],
)
def test_a_body_that_stands_in_the_text_is_that_of_the_request(command: str) -> None:
    result = import_curl(command.replace("URL", "https://a.test/x"))
    properties = result.tools[0].definition["inputSchema"]["properties"]
    assert properties == {"a": {"type": "string", "default": "$X (1)"}}


def test_here_documents_without_an_end_do_not_hold_the_reader_up() -> None:
    text = "curl https://a.test/x -d a=1 " + "$(cat <<END\n" * 20_000
    assert next(shell_commands(text))[:2] == ["curl", "https://a.test/x"]


@pytest.mark.parametrize(
    "text",
    [
        'T=planted\nexport HOST=https://a.test\ncurl "$HOST/x" -H "Authorization: Bearer $T"',
        'HOST=https://a.test T=planted curl $HOST/x -H "Authorization: Bearer ${T}"',
        '$env:T = "planted"\n$HOST="https://a.test"\ncurl.exe "$HOST/x" --oauth2-bearer $env:T',
    ],
)
def test_variables_that_the_text_sets_have_their_values(text: str) -> None:
    result = import_curl(text)
    assert result.system.definition["url"] == "https://a.test"
    assert result.system.values == {"token": "planted"}
    assert not list(result.notes)


def test_a_body_that_no_tool_would_send_is_named() -> None:
    result = import_curl("curl -X GET https://a.test/_search --json '{\"size\": 1}'")
    assert result.tools[0].definition["inputSchema"]["properties"] == {}
    assert list(reasons(result).values()) == ["no tool sends a body with GET: left out"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("", {"method": "GET"}),
        ("-I", {"method": "HEAD"}),
        ("-XDELETE", {"method": "DELETE"}),
        ("-G -d a=b --data-urlencode 'c=d e'", {"queryParams": {"a": "<<a>>", "c": "<<c>>"}}),
        ("-d a=b -d 'c=d%20e'", {"body": '{"a": "<<a>>", "c": "<<c>>"}', "method": "POST"}),
        ("-F a=b", {"headers": {"Content-Type": "multipart/form-data"}}),
        ("--json '{\"a\": [1]}'", {
            "body": '{"a": [1]}', "headers": {"Accept": "application/json"}
        }),
        ("-H 'X-A: 1' -H 'X-B:' -A me -e http://r.test", {
            "headers": {"X-A": "1", "User-Agent": "me", "Referer": "http://r.test"}
        }),
        ("-H 'Content-Type: text/csv' --data-binary 'a,b'", {"body": "a,b"}),
    ],
)  # fmt: skip
def test_the_options_people_use_are_carried_over(options: str, expected: dict[str, Any]) -> None:
    config = config_of(f"curl https://a.test/x {options}")
    assert {key: config[key] for key in expected} == expected


def test_values_become_inputs_with_what_was_seen_as_default() -> None:
    command = (
        'curl \'https://a.test/users/7?q=a%20b&n=3&on=true&e=\' --json \'{"s": "x", "z": null}\''
    )
    (tool,) = import_curl(command).tools
    assert tool.definition["inputSchema"]["properties"] == {
        "user_id": {"type": "integer", "default": 7},
        "q": {"type": "string", "default": "a b"},
        "n": {"type": "integer", "default": 3},
        "on": {"type": "boolean", "default": True},
        "s": {"type": "string", "default": "x"},
    }
    literal = config_of(command, literal=True)
    assert literal["url"] == "/users/7"
    assert literal["queryParams"] == {"q": "a b", "n": "3", "on": "true", "e": ""}


@pytest.mark.parametrize(
    ("options", "auth", "values"),
    [
        ("-u ann:pw", {"type": "basic"}, {"username": "ann", "password": "pw"}),
        ("--digest -u ann:pw", {"type": "digest"}, {"username": "ann", "password": "pw"}),
        ("--oauth2-bearer abc", {"type": "bearer"}, {"token": "abc"}),
        ("-H 'Authorization: Bearer abc'", {"type": "bearer"}, {"token": "abc"}),
        ("-H 'Authorization: Basic YW5uOnB3'", {"type": "basic"}, {
            "username": "ann", "password": "pw"
        }),
        ("-H 'X-Api-Key: abc'", {"type": "apiKey", "in": "header"}, {"api_key": "abc"}),
        ("-G -d access_token=abc", {"type": "apiKey", "in": "query"}, {"access_token": "abc"}),
        ('-H "Authorization: Bearer $T"', {"type": "bearer"}, {}),
        ("-H 'Authorization: Bearer <token>'", {"type": "bearer"}, {}),
        ("--aws-sigv4 aws:amz:eu-west-1:s3 -u id:key", {"type": "aws_sigv4", "service": "s3"}, {
            "access_key_id": "id", "secret_access_key": "key"
        }),
    ],
)  # fmt: skip
def test_a_sign_in_is_that_of_the_system(
    options: str, auth: dict[str, Any], values: dict[str, str]
) -> None:
    result = import_curl(f"curl https://a.test/x {options}")
    definition = result.system.definition
    assert auth.items() <= definition["auth"].items()
    assert result.system.values == values
    assert definition["url"] == "https://a.test"


def test_the_user_of_a_url_signs_in_and_a_cookie_is_a_credential() -> None:
    result = import_curl("curl https://ann:pw@a.test/x -b 'sid=1; t=2'")
    assert result.system.values == {"username": "ann", "password": "pw", "cookie": "sid=1; t=2"}
    assert result.system.definition["url"] == "https://a.test"
    config = result.tools[0].definition["steps"][0]["config"]
    assert config["headers"] == {"Cookie": "<<a-test_cookie>>"}


def test_several_requests_are_several_tools_of_their_systems() -> None:
    result = import_curl(
        "curl https://a.test/x -u a:b --next https://b.test/y\ncurl https://a.test/z"
    )
    configs = [tool.definition["steps"][0]["config"] for tool in result.tools]
    assert [(one.get("systemId"), one["url"]) for one in configs] == [
        ("a-test", "/x"),
        ("b-test", "/y"),
        (None, "https://a.test/z"),
    ]


def test_what_is_not_carried_over_is_named_without_its_value() -> None:
    result = import_curl(
        "curl https://a.test -k -x http://me:hidden@proxy --cert hidden.pem --what=hidden "
        "-F f=@photo.png -m 5 --compressed -sSL"
    )
    noted = reasons(result)
    assert set(noted) == {
        f"command 1, --{name}" for name in ("insecure", "proxy", "cert", "what", "form")
    }
    assert "hidden" not in json.dumps([noted, [tool.definition for tool in result.tools]])


@pytest.mark.parametrize(
    ("options", "limits"),
    [
        ("--max-time 2.5 --retry 4 --retry-delay 1", {
            "timeoutMs": 2500, "retries": 4, "retryDelayMs": 1000
        }),
        ("-m5 --retry 5000", {"timeoutMs": 5000, "retries": 100}),
        ("-m 0 --retry-delay 0", {}),
        ("-m soon", {}),
    ],
)  # fmt: skip
def test_limits_of_a_command_are_those_of_the_step(options: str, limits: dict[str, int]) -> None:
    (tool,) = import_curl(f"curl https://a.test/x {options}").tools
    (step,) = tool.definition["steps"]
    assert {key: one for key, one in step.items() if key not in {"id", "config"}} == limits


def test_a_file_that_is_a_body_is_an_input_that_has_to_be_given() -> None:
    result = import_curl("curl https://a.test/x -d @f.txt --data-urlencode name@g")
    schema = result.tools[0].definition["inputSchema"]
    assert set(schema["required"]) == {"name", "body"}
    assert set(reasons(result).values()) == {
        "the file is not read; its text is the input body",
        "the file is not read; its text is the input name",
    }


@pytest.mark.parametrize(
    ("url", "is_noted"),
    [
        ("https://a.test/x[1-3]", True),
        ("https://a.test/x?y=[a-z:2]", True),
        ("https://a.test/{one,two}", True),
        ("-g https://a.test/x[1-3]", False),
        ("https://a.test/{id}?filter[a]=1", False),
    ],
)
def test_patterns_of_urls_are_named_as_not_carried_over(url: str, is_noted: bool) -> None:
    noted = reasons(import_curl(f"curl {url}")).values()
    assert any("a pattern in the url" in one for one in noted) == is_noted


@pytest.mark.parametrize(
    ("body", "template", "values"),
    [
        ('{"url": "postgres://ann:planted-pw@db.test/x"}',
         '{"url": "postgres://ann:<<a-test_password>>@db.test/x"}', {"password": "planted-pw"}),
        ('{"to": ["https://hooks.slack.com/services/T0A/B0A/plantedABC"]}',
         '{"to": ["https://hooks.slack.com/services/T0A/B0A/<<a-test_webhook_token>>"]}',
         {"webhook_token": "plantedABC"}),
        ("see redis://:planted-pw@a.test:6379/0 and https://x:password@z.test",
         "see redis://:<<a-test_password>>@a.test:6379/0 and https://x:password@z.test",
         {"password": "planted-pw"}),
        ('{"dsn": "https://0123456789abcdef0123456789abcdef@s.test/1 https://ann@b.test"}',
         '{"dsn": "https://<<a-test_token>>@s.test/1 https://ann@b.test"}',
         {"token": "0123456789abcdef0123456789abcdef"}),
        ('{"url": "https://user:password@a.test"}', '{"url": "<<url>>"}', {}),
    ],
)  # fmt: skip
def test_a_password_or_a_webhook_in_a_url_of_a_text_is_a_credential(
    body: str, template: str, values: dict[str, str]
) -> None:
    result = import_curl(f"curl https://a.test/x -H 'Content-Type: text/plain' -d '{body}'")
    assert result.tools[0].definition["steps"][0]["config"]["body"] == template
    assert result.system.values == values
    assert "planted" not in json.dumps([tool.definition for tool in result.tools])


def test_the_token_of_a_webhook_that_is_called_is_a_credential() -> None:
    url = "https://hooks.slack.com/services/T00000/B00000/plantedtoken"
    result = import_curl(f"curl -d 'x=1' {url}")
    assert result.system.values == {"webhook_token": "plantedtoken"}
    config = result.tools[0].definition["steps"][0]["config"]
    assert config["url"].endswith("/B00000/<<hooks-slack-com_webhook_token>>")


def test_a_scheme_that_no_tool_can_ask_is_named() -> None:
    said = "command 1: a url is left out, because tools make http and https requests only, not ftp"
    with pytest.raises(DocumentError, match=said):
        import_curl("curl ftp://ann:hidden@a.test/x")
    result = import_curl("curl ftp://a.test/x https://a.test/y")
    assert len(result.tools) == 1
    assert any(one.endswith("not ftp") for one in reasons(result).values())


@pytest.mark.parametrize("text", ["", "ls", "curl", "curl ftp://a.test/x", "curl -X GET"])
def test_a_text_without_a_request_is_refused(text: str) -> None:
    with pytest.raises(DocumentError):
        import_curl(text)


def test_a_user_without_a_colon_has_a_password_that_is_to_be_set() -> None:
    result = import_curl("curl -u ann https://a.test/x")
    assert result.system.definition["auth"]["type"] == "basic"
    assert result.system.credentials == ("username", "password")


def test_a_text_like_minus_zero_stays_as_it_is() -> None:
    (tool,) = import_curl("curl 'https://a.test/x?a=-0&b=-5'").tools
    properties = tool.definition["inputSchema"]["properties"]
    assert properties == {
        "a": {"type": "string", "default": "-0"},
        "b": {"type": "integer", "default": -5},
    }


@pytest.mark.parametrize(
    ("options", "cookies"),
    [("-b a=1 -b c=2", ["a=1; c=2"]), ("-b a=1 -H 'Cookie: d=3'", ["d=3"])],
)
def test_cookies_are_one_header(options: str, cookies: list[str]) -> None:
    result = import_curl(f"curl https://a.test/x {options}")
    assert list(result.system.values.values()) == cookies


def test_what_is_refused_says_why() -> None:
    with pytest.raises(DocumentError) as refused:
        import_curl("curl -X LINK https://a.test/x")
    assert refused.value.place == "command 1, request 1"
    assert refused.value.hint == "Left out: its method is none that a step can use."
