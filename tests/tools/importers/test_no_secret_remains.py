"""Whatever a secret is and wherever it stands, it is the value of a credential and nothing else."""

import base64
import json
import shlex
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
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


def _urls(secret: str) -> list[str]:
    """Urls that hold it: as a parameter, and in a url that is encoded inside of another."""
    inner = f"https://a.test/x?a=b&access_token={quote(secret, safe='')}&c=d"
    signed_in = f"https://ann:{quote(secret, safe='')}@a.test/x"
    once = [f"https://b.test/?next={quote(one, safe='')}&e=f" for one in (inner, signed_in)]
    twice = f"https://c.test/#to={quote(once[0], safe='')}"
    in_text = f"see {inner}#api_key={quote(secret)} there"
    return [inner, in_text, *once, twice, quote(inner, safe="")]


def _curl(secret: str, place: int) -> ImportResult:
    word = shlex.quote
    urls = _urls(secret)
    url = urls[place % len(urls)]
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
        f"-H {word(f'Referer: {url}')} -H {word(f'X-Url: {url}')}",
        f"-e {word(url)} -G --data-urlencode {word(f'callback={url}')}",
        f"--json {word(json.dumps({'callback': [url]}))}",
        f"-F {word(f'callback={url}')} -H {word(f'Link: <{url}>; rel=next')}",
        f"-H 'Content-Type: text/plain' -d {word(f'Go to {url} now')}",
        word(f"https://api.test/?callback={quote(url, safe='')}"),
        word(f"https://api.test/{quote(url, safe='')}?{quote(url, safe='')}"),
    ]
    user = f"ann:{quote(secret, safe='')}@" if place == len(places) else ""
    options = places[place] if place < len(places) else ""
    return import_curl(f"curl https://{user}api.test/things {options}")


def _har(secret: str, place: int) -> ImportResult:
    named = [{"name": name, "value": secret} for name in ("Cookie", "X-Api-Key", "Authorization")]
    request = {
        "method": "POST",
        "url": f"https://api.test/x?token={quote(secret, safe='')}",
        "headers": [*named[: place % 4], {"name": "X-Url", "value": _urls(secret)[place % 6]}],
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
        "header": [
            {"key": "X-Token", "value": secret},
            {"key": "X-Url", "value": _urls(secret)[place % 6]},
        ],
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


def _openapi_texts(secret: str, place: int) -> ImportResult:
    """Descriptions whose examples quote it, as a shell or a request has it."""
    word = shlex.quote
    texts = [
        f"Call `curl -u {word(f'ann:{secret}')} https://api.test/x`.",
        f"curl https://api.test/x --user={word(f'ann:{secret}')} -X POST",
        f"Try this:\n\n    curl -s \\\n      -u {word(f'ann:{secret}')} \\\n      https://api.test",
        f"See https://ann:{quote(secret, safe='')}@api.test/x for more.",
    ]
    text = texts[place % len(texts)]
    described = _described()
    described["info"]["title"] = text
    described["tags"] = [{"name": "it", "description": text}]
    operation = described["paths"]["/x"]["post"]
    operation |= {"summary": text, "description": text}
    operation["parameters"][2] |= {"description": text}
    operation["parameters"][2]["schema"] |= {"title": text}
    whole = operation["requestBody"]["content"]["application/json"]["schema"]
    whole["properties"]["secret"]["description"] = text
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
    place=st.integers(0, 20),
    make=st.sampled_from([_curl, _har, _postman, _openapi, _openapi_texts, _arazzo, _superglue]),
)
def test_no_secret_is_in_a_tool_a_system_or_a_note(
    secret: str, place: int, make: Callable[[str, int], ImportResult | FoundTools]
) -> None:
    # Postman and templates would read these as variables, and a document may say so.
    if "{{" in secret or "}}" in secret or secret[0] + secret[-1] in {"<>", "{}"}:
        return
    shown = _everything(make(secret, place))
    # A word that any import has is no trace of the secret.
    usual = _everything(make("Zq9-another-secret-x7", place))
    for form in (secret, quote(secret, safe=""), json.dumps(secret, ensure_ascii=False)[1:-1]):
        assert form not in shown or form in usual


#: Made up, in the forms that their issuers give keys.
KEYS = st.builds(
    str.__add__,
    st.sampled_from(["ghp_", "sk_live_", "xoxb-", "AIza", "glpat-"]),
    st.text(alphabet="abcdefghjkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789", min_size=36)
    .filter(str.isascii)
    .map(lambda text: text[:40]),
)


def _named_by_a_key(key: str) -> dict[str, Callable[[dict[str, Any]], None]]:
    """Every place of a document that a key may stand in, with how it gets there."""

    def of_operation(described: dict[str, Any]) -> dict[str, Any]:
        return described["paths"]["/x"]["post"]

    def of_body(described: dict[str, Any]) -> dict[str, Any]:
        content = of_operation(described)["requestBody"]["content"]
        return content["application/json"]["schema"]

    def of_schema(**more: Any) -> Callable[[dict[str, Any]], None]:
        return lambda described: of_body(described)["properties"].update(a={**more})

    def of_parameter(**more: Any) -> Callable[[dict[str, Any]], None]:
        return lambda described: of_operation(described)["parameters"][2].update(more)

    def of_components(**more: Any) -> Callable[[dict[str, Any]], None]:
        return lambda described: described["components"].update(more)

    text = {"type": "string"}
    scheme = {"type": "apiKey", "in": "header", "name": key}
    oauth = {"clientCredentials": {"tokenUrl": f"https://a.test/{key}", "scopes": {key: ""}}}
    content = {"application/json": {"schema": text}}
    return {
        "path": lambda one: one["paths"].update({f"/a/{key}/b": {"get": {}}}),
        "path parameter": lambda one: one["paths"].update({f"/a/{{{key}}}": {"get": {}}}),
        "fixed query": lambda one: one["paths"].update({f"/a?b={key}": {"get": {}}}),
        "operationId": lambda one: of_operation(one).update(operationId=f"it-{key}"),
        "tag": lambda one: of_operation(one).update(tags=[key, "other"]),
        "title": lambda one: one["info"].update(title=f"The {key} API"),
        "server": lambda one: one.update(servers=[{"url": f"https://a.test/{key}/v1"}]),
        "server of an operation": lambda one: of_operation(one).update(
            servers=[{"url": f"https://a.test/{key}"}, {"url": f"wss://a.test/{key}"}]
        ),
        "server variable": lambda one: one.update(
            servers=[{"url": "https://a.test/{v}", "variables": {"v": {"default": key}}}]
        ),
        "text": lambda one: of_operation(one).update(summary=key, description=f"Has {key}."),
        "parameter": of_parameter(name=key, description=key),
        "required parameter": of_parameter(name=f"x[{key}]", required=True),
        "header": of_parameter(name=f"X-{key}", **{"in": "header"}),
        "cookie": of_parameter(name=key, **{"in": "cookie"}),
        "content of a parameter": of_parameter(content={f"text/{key}": {}}, schema=None),
        "style": of_parameter(style=key),
        "property": lambda one: of_body(one)["properties"].update({key: text}),
        "required property": lambda one: of_body(one).update(
            properties={key: text, "other": text}, required=[key]
        ),
        "property further in": of_schema(
            type="object",
            properties={key: text, "b": text},
            required=[key],
            dependentRequired={key: ["b"], "b": [key]},
        ),
        "pattern of names": of_schema(type="object", patternProperties={f"^{key}$": text}),
        "pattern": of_schema(type="string", pattern=f"^{key}$"),
        "choices": of_schema(enum=[key, "other"]),
        "choices that are objects": of_schema(enum=[{key: 1}, "other"]),
        "constant": of_schema(const={"a": [key]}),
        "default": of_schema(default=key),
        "default by name": of_schema(default={key: True}),
        "example": of_schema(type="string", example=f"Bearer {key}"),
        "format": of_schema(type="string", format=key),
        "content encoding": of_schema(contentEncoding=key, contentMediaType=f"text/{key}"),
        "type": of_schema(type=key),
        "condition": of_schema(**{"not": {"enum": [key]}}),
        "extension": of_schema(**{"x-example": key, f"x-{key}": {key: key}}),
        "reference": of_schema(**{"$ref": f"#/components/schemas/{key}"}),
        "reference to another file": of_schema(**{"$ref": f"other/{key}.json#/A"}),
        "component": lambda one: (
            of_components(schemas={key: {"type": "object", "properties": {"a": text}}})(one),
            of_schema(type="array", items={"$ref": f"#/components/schemas/{key}"})(one),
        )[0],
        "media type": lambda one: of_operation(one).update(
            requestBody={"content": {f"application/{key}": {"schema": text}}}
        ),
        "media type of several": lambda one: of_operation(one).update(
            requestBody={"content": {f"application/{key}+json": {}, **content}}
        ),
        "form": lambda one: of_operation(one).update(
            requestBody={
                "content": {
                    "multipart/form-data": {
                        "schema": {"type": "object", "properties": {"a": text, key: text}},
                        "encoding": {
                            "a": {"contentType": f"text/{key}", "headers": {key: {}}},
                            key: {"style": "form", "headers": {}},
                        },
                    }
                }
            }
        ),
        "answer": lambda one: of_operation(one).update(
            responses={
                "200": {
                    "headers": {key: {}},
                    "content": {f"application/{key}+json": {"schema": {"$ref": f"#/{key}"}}},
                }
            }
        ),
        "callback": lambda one: of_operation(one).update(callbacks={key: {}}),
        "webhook": lambda one: one.update(webhooks={key: {}}),
        "scheme": lambda one: one.update(
            components={"securitySchemes": {key: {"type": "http", "scheme": "bearer"}}},
            security=[{key: []}],
        ),
        "scheme that is not defined": lambda one: one.update(security=[{key: []}]),
        "kind of scheme": of_components(securitySchemes={"k": {"type": "http", "scheme": key}}),
        "name of an API key": of_components(securitySchemes={"k": scheme}),
        "OAuth": of_components(securitySchemes={"k": {"type": "oauth2", "flows": oauth}}),
        "method": lambda one: one["paths"].update({"/y": {key: {}, "get": {}}}),
        "root": lambda one: one.update({key: key, f"x-{key}": [key]}),
    }


PLACES = sorted(_named_by_a_key("").keys())


@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(key=KEYS, place=st.sampled_from(PLACES))
def test_no_issued_key_remains_wherever_in_an_openapi_document_it_stands(
    key: str, place: str
) -> None:
    described = _described()
    _named_by_a_key(key)[place](described)
    options = OpenApiOptions(with_output_schemas=True)
    result = import_openapi(json.dumps(described).encode(), options)
    assert key not in _everything(result)


@pytest.mark.parametrize("place", PLACES)
def test_what_cannot_be_kept_of_a_document_with_keys_takes_nothing_else_with_it(place: str) -> None:
    described = _described()
    _named_by_a_key("ghp_" + "a1B2c3D4e5" * 4)[place](described)
    result = import_openapi(json.dumps(described).encode(), OpenApiOptions())
    assert "POST /x" in [one.label for one in result.tools]
