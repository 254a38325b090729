"""Documents of requests that are made to be slow or large: each is read at once, or refused."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tools.importers import DocumentError
from tools.importers.curl import import_curl
from tools.importers.har import HarOptions, import_har
from tools.importers.postman import import_postman
from tools.importers.secrets import MOST_SECRETS
from tools.importers.superglue import find_tools

TOKENS = [f"Abc{index:06d}XyZ9Qw8Er7Ty6Ui5Op" for index in range(20 * MOST_SECRETS)]
ELEMENTS = "".join(f"<token>{one}</token>" for one in TOKENS)
PROGRAM = "{ " + "".join(f'a(token: "{one}") ' for one in TOKENS) + "}"


def _har(tokens: list[str]) -> bytes:
    entries = [
        {
            "request": {
                "method": "GET",
                "url": f"https://a.test/{token}",
                "headers": [{"name": "Authorization", "value": f"Bearer {token}"}],
            },
            "response": {"status": 200, "content": {"mimeType": "application/json"}},
        }
        for token in tokens
    ]
    return json.dumps({"log": {"entries": entries}}).encode()


def _postman(*items: Any, variables: Any = ()) -> bytes:
    listed = [{"key": key, "value": value} for key, value in variables]
    return json.dumps({"info": {"name": "x"}, "item": items, "variable": listed}).encode()


def _tool(**config: Any) -> list[Any]:
    return [{"id": "t", "steps": [{"id": "s", "config": {"url": "https://a.test/x", **config}}]}]


def _command(*options: str) -> Callable[[], Any]:
    return lambda: import_curl(" ".join(("curl https://a.test/x", *options)))


@pytest.mark.parametrize(
    "read",
    [
        _command("--json", f"'{json.dumps([{'token': one} for one in TOKENS])}'"),
        _command("-H 'Content-Type: text/xml' -d", f"'<a>{ELEMENTS}</a>'"),
        _command("--json", f"'{json.dumps({'query': PROGRAM})}'"),
        _command("-d", f"'{'&'.join(f'token={one}' for one in TOKENS)}'"),
        lambda: import_har(_har(TOKENS[:5_000]), HarOptions(limit=5_000)),
        lambda: find_tools(_tool(method="POST", body=f"<a>{ELEMENTS}</a>")),
        lambda: find_tools([{**_tool()[0], "outputTransform": f"{TOKENS}"}]),
    ],
    ids=["json", "xml", "graphql", "form", "har", "text of a tool", "code of a tool"],
)
def test_more_secrets_than_can_be_sought_are_refused(read: Callable[[], Any]) -> None:
    with pytest.raises(DocumentError, match="more than 1,000 different secrets") as refused:
        read()
    assert refused.value.place is not None
    assert TOKENS[0] not in str(refused.value)


VARIABLES = [(f"v{index}", f"{{{{v{index + 1}}}}}" * 200) for index in range(10)]
SHELL_VARIABLES = [f"A{index}={f'$A{index - 1}' * 200}" for index in range(1, 10)]


@pytest.mark.parametrize(
    "read",
    [
        lambda: import_curl(
            "\n".join(("A0=text", *SHELL_VARIABLES, 'curl https://a.test -H "X: $A9"'))
        ),
        lambda: import_postman(
            _postman(
                {"request": {"url": "https://a.test", "header": [{"key": "x", "value": "{{v0}}"}]}},
                variables=VARIABLES,
            )
        ),
        lambda: import_postman(
            _postman(
                {
                    "request": {
                        "url": "https://a.test",
                        "auth": {
                            "type": "oauth2",
                            "oauth2": {"accessTokenUrl": "{{v0}}", "grant_type": "x"},
                        },
                    }
                },
                variables=[("v0", "{{v0}}" * 1_000)],
            )
        ),
    ],
    ids=["shell", "header", "token url"],
)
def test_variables_that_multiply_are_refused_with_their_place(read: Callable[[], Any]) -> None:
    with pytest.raises(DocumentError, match="more than 1,000,000 characters") as refused:
        read()
    assert refused.value.place is not None


@pytest.mark.parametrize(
    "read",
    [
        _command("-d", f"'a={' ' * 1_000_000}&c'"),
        _command(*(f"-d @f{index}" for index in range(20_000))),
        lambda: find_tools(_tool(headers={"Cookie": f"<<a>>;{' ' * 1_000_000}"})),
        lambda: find_tools(_tool(url=f"https://a.test/{'?' * 1_000_000}")),
    ],
    ids=["spaces", "files", "cookie", "question marks"],
)
def test_what_repeats_is_read_once(read: Callable[[], Any]) -> None:
    assert read()


def test_a_request_without_a_url_is_left_out_by_its_place() -> None:
    result = import_postman(_postman({"request": {"url": ""}}, {"request": "https://a.test/x"}))
    assert len(result.tools) == 1
    assert [(one.place, one.reason) for one in result.notes] == [
        ("#/item/0/request", "left out: it has no url")
    ]
