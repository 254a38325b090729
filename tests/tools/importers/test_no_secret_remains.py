"""Whatever a secret is and wherever it stands, it is the value of a credential and nothing else."""

import base64
import json
import shlex
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tools.importers import ImportResult
from tools.importers.arazzo import import_arazzo
from tools.importers.curl import import_curl
from tools.importers.har import HarOptions, import_har
from tools.importers.openapi import OpenApiOptions, import_openapi
from tools.importers.postman import import_postman
from tools.importers.superglue import FoundTools, find_tools

#: Long enough to be searched for, and unlike any word of a tool.
SECRETS = st.text(
    alphabet="abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789_-.!*'()+/=%&<>{}\"\\ é",
    min_size=10,
    max_size=40,
).filter(lambda text: text == text.strip() and "planted" not in text)


def _curl(secret: str, place: int) -> ImportResult:
    word = shlex.quote
    places = [
        f"-H {word(f'Authorization: Bearer {secret}')}",
        f"-H {word(f'Authorization: {secret}')}",
        f"-H {word(f'X-Api-Key: {secret}')} -H {word(f'X-Auth-Token: {secret}')}",
        f"-u {word(f'ann:{secret}')}",
        f"-H 'Authorization: Basic {base64.b64encode(f'ann:{secret}'.encode()).decode()}'",
        f"-b {word(f'sid={secret}')}",
        f"--oauth2-bearer {word(secret)} --json {word(json.dumps({'note': f'my {secret}'}))}",
        f"-G --data-urlencode {word(f'api_key={secret}')} --data-urlencode {word(f'q={secret}')}",
        f"--data-urlencode {word(f'password={secret}')}",
        f"-F {word(f'client_secret={secret}')}" if '"' not in secret else "",
        f"--json {word(json.dumps({'a': [{'password': secret}], 'b': secret}))}",
        f"--unknown={word(secret)} -x {word(secret)} -E {word(secret)} -U {word(secret)}",
        f"-H {word(f'Cookie: a={secret}')} -H {word(f'X-Note: {secret}')}",
    ]
    user = f"ann:{quote(secret, safe='')}@" if place == len(places) else ""
    options = places[place] if place < len(places) else ""
    return import_curl(f"curl https://{user}api.test/things {options}")


def _har(secret: str, place: int) -> ImportResult:
    named = [{"name": name, "value": secret} for name in ("Cookie", "X-Api-Key", "Authorization")]
    request = {
        "method": "POST",
        "url": f"https://api.test/x?token={quote(secret, safe='')}",
        "headers": named[: place % 4],
        "cookies": [{"name": "sid", "value": secret}],
        "postData": {"mimeType": "application/json", "text": json.dumps({"password": secret})},
    }
    response = {"status": 200, "content": {"mimeType": "application/json", "text": secret}}
    log = {"entries": [{"request": request, "response": response}]}
    return import_har(json.dumps({"log": log}).encode(), HarOptions())


def _postman(secret: str, place: int) -> ImportResult:
    auths = [
        {"type": "bearer", "bearer": [{"key": "token", "value": secret}]},
        {"type": "basic", "basic": {"username": "ann", "password": secret}},
        {
            "type": "apikey",
            "apikey": [{"key": "key", "value": "k"}, {"key": "value", "value": secret}],
        },
        {"type": "bearer", "bearer": [{"key": "token", "value": "{{mine}}"}]},
    ]
    request = {
        "auth": auths[place % 4],
        "method": "POST",
        "url": "https://api.test/x",
        "header": [{"key": "X-Token", "value": secret}],
        "body": {"mode": "urlencoded", "urlencoded": [{"key": "password", "value": secret}]},
    }
    collection = {
        "info": {"name": f"About {secret}"},
        "variable": [{"key": "mine", "value": secret, "type": "secret"}],
        "item": [{"name": secret, "request": request}],
    }
    return import_postman(json.dumps(collection).encode())


def _described(**schema: object) -> dict[str, Any]:
    parameters = [
        {"name": name, "in": where, "schema": {"type": "string", **schema}}
        for name, where in (("api_key", "query"), ("X-Token", "header"), ("id", "query"))
    ]
    if schema:
        parameters.pop()
    password = {"type": "string", **schema}
    inner = {"type": "object", "properties": {"password": password}}
    whole = {"type": "object", "properties": {"user": inner, "secret": password}}
    operation = {
        "operationId": "it",
        "parameters": parameters,
        "requestBody": {"content": {"application/json": {"schema": whole}}},
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "Api", "version": "1"},
        "servers": [{"url": "https://api.test"}],
        "components": {"securitySchemes": {"k": {"type": "http", "scheme": "bearer"}}},
        "security": [{"k": []}],
        "paths": {"/x": {"post": operation}},
    }


_TEXT = "#/components/schemas/Text"


def _openapi(secret: str, place: int) -> ImportResult:
    keys = ("default", "example", "examples")
    value = [secret] if keys[place % 3] == "examples" else secret
    described = _described(**{keys[place % 3]: value})
    if place % 2:
        # The same behind references.
        schema = {"type": "string", keys[place % 3]: value}
        described["components"]["schemas"] = {"Text": schema, "Alias": {"$ref": _TEXT}}
        referring = _described(**{"$ref": "#/components/schemas/Alias"})
        described["paths"] = referring["paths"]
    return import_openapi(json.dumps(described).encode(), OpenApiOptions())


def _arazzo(secret: str, place: int) -> ImportResult:
    parameters = [
        {"name": "Authorization", "in": "header", "value": f"Bearer {secret}"},
        {"name": "api_key", "in": "query", "value": secret},
        {"name": "X-Token", "in": "header", "value": secret},
    ]
    payload = {"user": {"password": secret}, "secret": secret}
    step = {
        "stepId": "one",
        "operationId": "it",
        "parameters": parameters[: place % 4],
        "requestBody": {"payload": payload},
        "successCriteria": [
            {"condition": f"$response.body#/note == '{secret}'"},
            {"context": "$response.body#/note", "condition": secret, "type": "regex"},
        ][: place % 3],
    }
    workflow = {"workflowId": "w", "summary": f"About {secret}", "steps": [step]}
    encoded = base64.b64encode(json.dumps(_described()).encode()).decode()
    source = {"name": "a", "url": f"data:application/json;base64,{encoded}"}
    document = {
        "arazzo": "1.0.0",
        "info": {"title": f"About {secret}"},
        "sourceDescriptions": [source],
        "workflows": [workflow],
    }
    return import_arazzo(json.dumps(document).encode())


def _superglue(secret: str, place: int) -> FoundTools:
    safe = quote(secret, safe="")
    headers = [
        {"Authorization": f"Bearer {secret}"},
        {"X-Api-Key": secret},
        {"Cookie": f"sid={secret}"},
        {"X-Auth-Token": secret, "Accept": "*/*"},
    ]
    config = {
        "method": "POST",
        "url": f"https://ann:{safe}@api.test/x" if place % 2 else "https://api.test/x",
        "queryParams": {"api_key": secret, "limit": 1},
        "headers": headers[place % 4],
        "body": json.dumps({"password": secret}) if place % 3 else "",
    }
    tool = {"id": "t", "instruction": f"Uses {secret}.", "steps": [{"id": "s", "config": config}]}
    return find_tools([tool])


def _everything(result: ImportResult | FoundTools) -> str:
    if isinstance(result, FoundTools):
        systems = [one.definition for one in result.systems]
        notes = [[one.place, one.reason] for one in result.notes]
        return json.dumps([result.definitions, systems, notes, repr(result)], ensure_ascii=False)
    return json.dumps(
        [
            [tool.definition for tool in result.tools],
            [tool.key + tool.label for tool in result.tools],
            [one.definition for one in (result.system, *result.further_systems)],
            [[one.place, one.reason] for one in result.notes],
            result.title,
            repr(result),
        ],
        ensure_ascii=False,
    )


@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    secret=SECRETS,
    place=st.integers(0, 13),
    make=st.sampled_from([_curl, _har, _postman, _openapi, _arazzo, _superglue]),
)
def test_no_secret_is_in_a_tool_a_system_or_a_note(
    secret: str, place: int, make: Callable[[str, int], ImportResult | FoundTools]
) -> None:
    # Postman and templates would read these as variables, and a document may say so.
    if "{{" in secret or "}}" in secret or (secret.startswith("<") and secret.endswith(">")):
        return
    shown = _everything(make(secret, place))
    # A word that any import has is no trace of the secret.
    usual = _everything(make("Zq9-another-secret-x7", place))
    for form in (secret, quote(secret, safe=""), json.dumps(secret, ensure_ascii=False)[1:-1]):
        assert form not in shown or form in usual
