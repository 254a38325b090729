"""What a tool of a curl command sends: the request that curl would send."""

import base64
from typing import Any

import pytest

from server.importing import store_import
from server.service import Service
from tests.server.importing import sent
from tests.web import Web
from tools.importers.curl import import_curl

FORM = "application/x-www-form-urlencoded"
JSON = "application/json"
FILE = {"body": "a,b\n1,2"}


async def sent_by(
    command: str, inputs: dict[str, Any], service: Service, web: Web
) -> tuple[str, str, str | None, str]:
    """Method, target, content type and body of the one request of a command."""
    result = import_curl(command.replace("URL", web.url), literal=True)
    await store_import(service, result, "curl", dry_run=False)
    (tool,) = result.tools
    seen = await sent(service, web, inputs, str(tool.definition["id"]))
    kind = seen.headers.get("content-type")
    return seen.method, seen.target, kind, seen.body.decode()


@pytest.mark.parametrize(
    ("options", "inputs", "expected"),
    [
        ("-d @f.txt URL/x", FILE, ("POST", "/x", FORM, "a,b1,2")),
        ("-d @- URL/x", FILE, ("POST", "/x", FORM, "a,b1,2")),
        ("--data-binary @f.txt URL/x", FILE, ("POST", "/x", FORM, "a,b\n1,2")),
        ("--data-binary @f.bin -H 'Content-Type: text/csv' URL/x", FILE,
         ("POST", "/x", "text/csv", "a,b\n1,2")),
        ("-d a=1 -d @f URL/x", {"body": "b=2"}, ("POST", "/x", FORM, "a=1&b=2")),
        ("--json @f.json URL/x", {"body": '{"a": 1}'}, ("POST", "/x", JSON, '{"a": 1}')),
        ("--json @f.json URL/x", {"body": {"a": 1}}, ("POST", "/x", JSON, '{"a":1}')),
        ("-d @f.json -H 'Content-Type: application/json' URL/x", {"body": [1]},
         ("POST", "/x", JSON, "[1]")),
        ("-X PATCH -d @f URL/x", FILE, ("PATCH", "/x", FORM, "a,b1,2")),
        ("-T f.txt URL/x", FILE, ("PUT", "/x", "text/plain; charset=utf-8", "a,b\n1,2")),
        ("-T dir/f.txt URL/x/", FILE, ("PUT", "/x/f.txt", "text/plain; charset=utf-8", "a,b\n1,2")),
        ("--data-urlencode name@f URL/x", {"name": "a b&c"}, ("POST", "/x", FORM, "name=a+b%26c")),
        ("-G -d q=1 --data-urlencode name@f URL/x", {"name": "a b"},
         ("GET", "/x?q=1&name=a+b", None, "")),
        ("-d 'hello world' URL/x", {}, ("POST", "/x", FORM, "hello world")),
        ("-d '<a b=\"c\"/>' URL/x", {}, ("POST", "/x", FORM, '<a b="c"/>')),
        ("--data-urlencode @f URL/x", {"body": "a b&c=1\n"},
         ("POST", "/x", FORM, "a+b%26c%3D1%0A")),
        ("--data-urlencode n@f -d flag URL/x", {"n": "a b&c"},
         ("POST", "/x", FORM, "n=a+b%26c&flag")),
        ("--data-urlencode n@f --data-urlencode n@g URL/x", {"n": "1", "n2": "2"},
         ("POST", "/x", FORM, "n=1&n=2")),
        ("--data-urlencode '=a=b c' URL/x", {}, ("POST", "/x", FORM, "a%3Db+c")),
        ("--data-urlencode 'n=a b' URL/x", {}, ("POST", "/x", FORM, "n=a+b")),
        ("-G -d @f URL/x", {"body": "a=1&b=2%20\n"}, ("GET", "/x?a=1&b=2%20", None, "")),
        ("-G --data-urlencode @f URL/x", {"body": "a b&c=1"},
         ("GET", "/x?a+b%26c%3D1", None, "")),
        ("--url-query @f URL/x", {"body": "a b"}, ("GET", "/x?a+b", None, "")),
        ("--url-query n@f URL/x", {"n": "a b"}, ("GET", "/x?n=a+b", None, "")),
        ("--url-query =a%b -d c=1 URL/x", {}, ("POST", "/x?a%25b", FORM, "c=1")),
        ("--url-query +a=b%20c URL/x", {}, ("GET", "/x?a=b+c", None, "")),
        ("--json @f --json ',2]' URL/x", {"body": "[1"}, ("POST", "/x", JSON, "[1,2]")),
        ("--json '{\"v\":' --json @f --json '}' URL/x", {"body": 7},
         ("POST", "/x", JSON, '{"v":7}')),
        ("--json '{\"v\":' --json '1}' URL/x", {}, ("POST", "/x", JSON, '{"v":1}')),
        ("--json '{\"v\":1}' -d x=1 URL/x", {}, ("POST", "/x", JSON, '{"v":1}&x=1')),
        ("-d x=1 --json 2 URL/x", {}, ("POST", "/x", JSON, "x=12")),
        ("-d 'a=1;b=2' URL/x", {}, ("POST", "/x", FORM, "a=1;b=2")),
        ("--json '{\"pin\": 471147, \"app_id\": 12, \"n\": [12]}' URL/x", {},
         ("POST", "/x", JSON, '{"pin":471147,"app_id":12,"n":[12]}')),
        ("-d a=1 -d b=2 URL/x", {}, ("POST", "/x", FORM, "a=1&b=2")),
        ("-d 'a=%FF&b=1' URL/x", {}, ("POST", "/x", FORM, "a=%FF&b=1")),
        ("'URL/x?a=%FF&b=1'", {}, ("GET", "/x?a=%FF&b=1", None, "")),
        ("-d 'a=1&flag' URL/x", {}, ("POST", "/x", FORM, "a=1&flag")),
        ("--data-urlencode 'hello world' URL/x", {}, ("POST", "/x", FORM, "hello+world")),
        ("-G --data-urlencode plain URL/x", {}, ("GET", "/x?plain", None, "")),
        ("'URL/x?flag&a=1'", {}, ("GET", "/x?flag&a=1", None, "")),
        ("-G -d a=1 'URL/x?b=2'", {}, ("GET", "/x?b=2&a=1", None, "")),
        (r"""-d '{\"a\":\"x \\\"y\\\"\"}' -H 'Content-Type: application/json' URL/x""", {},
         ("POST", "/x", JSON, r'{"a":"x \"y\""}')),
        ("-H 'Content-Type: application/json' -d '\"a <<b>>\"' URL/x", {},
         ("POST", "/x", JSON, '"a <<b>>"')),
        ("--json '{\"q\":\"^\"}' URL/x", {}, ("POST", "/x", JSON, '{"q":"^"}')),
    ],
)  # fmt: skip
async def test_a_tool_sends_what_curl_would_send(
    options: str,
    inputs: dict[str, Any],
    expected: tuple[str, str, str | None, str],
    service: Service,
    web: Web,
) -> None:
    assert await sent_by(f"curl {options}", inputs, service, web) == expected


@pytest.mark.parametrize(
    ("options", "pair"),
    [
        ("-u sk_planted_key: URL/x", b"sk_planted_key:"),
        ("-u :sk_planted_key URL/x", b":sk_planted_key"),
        ("-H 'Authorization: Basic c2tfcGxhbnRlZF9rZXk6' URL/x", b"sk_planted_key:"),
        ("http://sk_planted_key@HOST/x", b"sk_planted_key:"),
    ],
)
async def test_a_sign_in_with_user_or_password_alone_is_sent_as_curl_sends_it(
    options: str, pair: bytes, service: Service, web: Web
) -> None:
    host = web.url.partition("://")[2]
    command = f"curl {options}".replace("URL", web.url).replace("HOST", host)
    result = import_curl(command)
    assert "planted" not in str(result.tools)
    assert "auth" not in result.system.definition
    await store_import(service, result, "curl", dry_run=False)
    seen = await sent(service, web, {}, "get_x")
    assert seen.headers["authorization"] == f"Basic {base64.b64encode(pair).decode()}"


async def test_an_empty_header_is_sent_empty(service: Service, web: Web) -> None:
    result = import_curl(f"curl {web.url}/x -H 'X-Empty;' -H 'X-Gone:'")
    await store_import(service, result, "curl", dry_run=False)
    seen = await sent(service, web, {}, "get_x")
    assert seen.headers["x-empty"] == ""
    assert "x-gone" not in seen.headers
