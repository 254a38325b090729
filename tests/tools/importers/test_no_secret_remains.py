"""Whatever a secret is and wherever it stands, it is the value of a credential and nothing else."""

import base64
import json
import shlex
from collections.abc import Callable
from urllib.parse import quote

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tools.importers import ImportResult
from tools.importers.curl import import_curl
from tools.importers.har import HarOptions, import_har
from tools.importers.postman import import_postman

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


def _everything(result: ImportResult) -> str:
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
@given(secret=SECRETS, place=st.integers(0, 13), make=st.sampled_from([_curl, _har, _postman]))
def test_no_secret_is_in_a_tool_a_system_or_a_note(
    secret: str, place: int, make: Callable[[str, int], ImportResult]
) -> None:
    # Postman and templates would read these as variables, and a document may say so.
    if "{{" in secret or "}}" in secret or (secret.startswith("<") and secret.endswith(">")):
        return
    shown = _everything(make(secret, place))
    # A word that any import has is no trace of the secret.
    usual = _everything(make("Zq9-another-secret-x7", place))
    for form in (secret, quote(secret, safe=""), json.dumps(secret, ensure_ascii=False)[1:-1]):
        assert form not in shown or form in usual
