"""Of a text that holds a secret, the secret alone becomes a credential; the rest stays readable."""

import json
from typing import Any

import pytest

from tools.importers import ImportResult
from tools.importers.curl import import_curl
from tools.importers.har import HarOptions, import_har
from tools.importers.postman import import_postman
from tools.importers.superglue import find_tools

HASH = "0123456789abcdef" * 4


def config_of(result: ImportResult) -> dict[str, Any]:
    return result.tools[0].definition["steps"][0]["config"]


def sent(body: Any, kind: str = "application/json") -> ImportResult:
    text = body if isinstance(body, str) else json.dumps(body)
    request = {
        "method": "POST",
        "url": "https://a.test/x",
        "postData": {"mimeType": kind, "text": text},
    }
    answer = {"status": 200, "content": {"mimeType": "application/json"}}
    log = {"entries": [{"request": request, "response": answer}]}
    return import_har(json.dumps({"log": log}).encode(), HarOptions())


@pytest.mark.parametrize(
    ("program", "stored", "values"),
    [
        ('{login(user: "ann", password: "planted")}',
         '{login(user: "ann", password: "<<a-test_password>>")}', {"password": "planted"}),
        ('{login(input: {pin: 4711, token:"""planted"""})}',
         '{login(input: {pin: <<a-test_pin>>, token:"""<<a-test_token>>"""})}',
         {"pin": "4711", "token": "planted"}),
        ('query($password: String = "planted") {a(b: "sk-plantedplantedplanted1")}',
         'query($password: String = "<<a-test_password>>") {a(b: "<<a-test_b>>")}',
         {"password": "planted", "b": "sk-plantedplantedplanted1"}),
        ('query($password: String!) {login(password: $password) {token pin: id}}',
         'query($password: String!) {login(password: $password) {token pin: id}}', {}),
        ('{aB1(first:2,after:"x"){nodes{idC2,nameD3,zE4}}}',
         '{aB1(first:2,after:"x"){nodes{idC2,nameD3,zE4}}}', {}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["application/json", "application/graphql"])
def test_a_literal_secret_in_a_graphql_program_is_a_credential_and_the_program_stays(
    kind: str, program: str, stored: str, values: dict[str, str]
) -> None:
    result = sent(program if kind.endswith("graphql") else {"query": program}, kind)
    body = config_of(result)["body"]
    assert (json.loads(body)["query"] if kind == "application/json" else body) == stored
    assert result.system.values == values


def test_a_variable_that_is_handed_on_as_a_password_is_a_secret() -> None:
    program = "mutation($p: String!, $n: Int) {login(password: $p, first: $n) {id}}"
    result = sent({"query": program, "variables": {"p": "planted", "n": 3}})
    assert result.system.values == {"p": "planted"}
    assert json.loads(config_of(result)["body"].replace("<<n>>", "3"))["variables"] == {
        "p": "<<a-test_p>>", "n": 3
    }  # fmt: skip


def test_the_hash_of_a_persisted_query_is_no_secret() -> None:
    asked = {"persistedQuery": {"version": 1, "sha256Hash": HASH}}
    result = sent({"operationName": "A", "variables": {"id": 1}, "extensions": asked})
    assert json.loads(config_of(result)["body"].replace("<<id>>", "1"))["extensions"] == asked
    assert not result.system.values
    text = json.dumps(asked).replace(" ", "")
    result = import_curl(f"curl -G https://a.test/x -d operationName=A -d 'extensions={text}'")
    assert config_of(result)["queryParams"]["extensions"] == text
    assert not result.system.values


@pytest.mark.parametrize(
    "command",
    [
        """-d 'a={"password":"planted","b":1}'""",
        """-G --data-urlencode 'variables={"token":"planted"}'""",
        """-F 'meta={"api_key": "planted"};type=application/json'""",
        """--json '{"text": "{\\"secret\\": \\"planted\\"}"}'""",
        """--json '[{"name": "password", "value": "planted"}]'""",
        """--json '{"credentials": {"value": "planted"}}'""",
        """--json '{"note": "say sk-plantedplantedplanted1 twice"}'""",
        """-H 'Content-Type: text/xml' -d "<a password='planted'/>" """,
        """-H 'Content-Type: text/plain' -d 'Authorization: Bearer planted'""",
        """'https://a.test/x?token=planted%FF&q=%FF'""",
    ],
)
def test_a_secret_inside_of_a_text_is_found_and_the_rest_of_the_text_kept(command: str) -> None:
    result = import_curl(f"curl https://a.test/x {command}")
    assert "planted" not in json.dumps(result.tools[0].definition)
    assert all("planted" in one for one in result.system.values.values())
    assert len(result.system.values) == 1


@pytest.mark.parametrize(
    "text", ["Basic mathematics for everyone", "Token gestures", "bearer of bad news", "apikey"]
)
def test_words_that_only_begin_like_a_sign_in_are_no_secret(text: str) -> None:
    result = import_curl(f"curl https://a.test/x --json '{json.dumps({'title': text})}'")
    assert result.tools[0].definition["inputSchema"]["properties"]["title"]["default"] == text


def test_the_name_of_an_operation_is_no_key_and_no_text_is_taken_for_a_reference() -> None:
    target = "-H 'X-Amz-Target: DynamoDB_20120810.GetItem'"
    body = r'{"a": "\ue000secret 0\ue001", "b": "\uE000(s) => 1\ue001"}'
    result = import_curl(f"curl https://a.test/x {target} --json '{body}' -b sid=planted")
    assert config_of(result)["headers"]["X-Amz-Target"] == "DynamoDB_20120810.GetItem"
    properties = result.tools[0].definition["inputSchema"]["properties"]
    assert [properties[name]["default"] for name in ("a", "b")] == [
        "\ufffdsecret 0\ufffd", "\ufffd(s) => 1\ufffd"
    ]  # fmt: skip


def test_a_binary_body_is_an_input_and_one_that_is_text_is_read() -> None:
    def body(encoded: str) -> ImportResult:
        data = {"mimeType": "application/json", "encoding": "base64", "text": encoded}
        request = {"method": "POST", "url": "https://a.test/x", "postData": data}
        answer = {"status": 200, "content": {"mimeType": "application/json"}}
        log = {"entries": [{"request": request, "response": answer}]}
        return import_har(json.dumps({"log": log}).encode(), HarOptions())

    assert body("eyJwYXNzd29yZCI6ICJwbGFudGVkIn0=").system.values == {"password": "planted"}
    assert config_of(body("/9j/4AA="))["body"] == "<<body>>"


def test_the_token_address_of_a_collection_may_be_a_variable() -> None:
    fields = {
        "grant_type": "client_credentials",
        "accessTokenUrl": "{{base}}/token",
        "clientId": "id",
        "clientSecret": "planted",
    }
    collection = {
        "info": {"name": "Shop"},
        "auth": {"type": "oauth2", "oauth2": fields},
        "variable": [{"key": "base", "value": "https://{{host}}"}, {"key": "host", "value": "a.t"}],
        "item": [{"name": "R", "request": "https://a.t/x"}],
    }
    result = import_postman(json.dumps(collection).encode())
    assert result.system.definition["auth"]["tokenUrl"] == "https://a.t/token"
    assert result.system.values == {"client_id": "id", "client_secret": "planted"}


@pytest.mark.parametrize(
    "config",
    [
        {"body": json.dumps({"query": '{login(password: "planted")}', "a": "<<a>>"})},
        {"body": json.dumps([{"name": "password", "value": "planted"}])},
        {"body": '{"pin": 471147, "a": "<<a>>"}'},
        {"body": json.dumps({"text": json.dumps({"secret": "planted"})})},
        {"headers": '{"Authorization": "Bearer planted", "X": "<<x>>"}'},
        {"queryParams": '{"api_key": "planted"}'},
        {"queryParams": {"pin": 471147, "key": ["planted"]}},
        {"headers": {"Cookie": "sid=planted; lang=<<lang>>"}},
    ],
)
def test_a_secret_in_an_exported_tool_is_a_credential_wherever_it_is_written(
    config: dict[str, Any],
) -> None:
    config = {"url": "https://a.test/x", "method": "POST", **config}
    found = find_tools([{"id": "t", "steps": [{"id": "s", "config": config}]}])
    stored = json.dumps(found.definitions)
    assert "planted" not in stored
    assert "471147" not in stored
    (system,) = found.systems
    assert set(system.values.values()) <= {"planted", "471147"}
    assert all(f"a-test_{name}" in stored for name in system.values)


def test_an_exported_tool_keeps_its_hash_and_loses_the_secret_default_of_an_input() -> None:
    hashed = {"extensions": {"persistedQuery": {"sha256Hash": HASH}}}
    config = {"url": "https://a.test/x", "method": "POST", "body": json.dumps(hashed)}
    properties = {"api_key": {"type": "string", "default": "planted"}, "n": {"default": 1}}
    tool = {"id": "t", "inputSchema": {"properties": properties}, "steps": [
        {"id": "s", "config": config}
    ]}  # fmt: skip
    found = find_tools([tool])
    (definition,) = found.definitions
    assert definition["steps"][0]["config"]["body"] == json.dumps(hashed)
    assert definition["inputSchema"]["properties"] == {
        "api_key": {"type": "string"}, "n": {"default": 1}
    }  # fmt: skip
    said = "the default of input api_key looks secret and is left out"
    assert [one.reason for one in found.notes] == [said]
