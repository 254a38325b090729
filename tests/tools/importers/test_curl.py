"""curl commands: shell words, options, inputs and credentials."""

import json
from typing import Any

import pytest

from tools.importers import DocumentError, ImportResult
from tools.importers.curl import import_curl
from tools.importers.curl.words import shell_commands
from tools.importers.requests.text import reference


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
    ],
)  # fmt: skip
def test_shell_words_are_read_as_shells_read_them(text: str, words: list[list[str]]) -> None:
    assert list(shell_commands(text)) == words


def test_an_open_quote_is_named_by_its_place() -> None:
    with pytest.raises(DocumentError, match="line 2, column 6: a quote is not closed"):
        list(shell_commands("curl a\ncurl 'secret-that-is-not-shown"))


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
        f"command 1, --{name}" for name in ("insecure", "proxy", "cert", "what", "form", "max-time")
    }
    assert "hidden" not in json.dumps([noted, [tool.definition for tool in result.tools]])


@pytest.mark.parametrize("text", ["", "ls", "curl", "curl ftp://a.test/x", "curl -X GET"])
def test_a_text_without_a_request_is_refused(text: str) -> None:
    with pytest.raises(DocumentError):
        import_curl(text)
