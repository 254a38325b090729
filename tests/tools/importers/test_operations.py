"""Requests to one url that ask for different things are different tools; others are one."""

import json
from typing import Any

import pytest

from tools.importers import ImportedTool, ImportResult
from tools.importers.curl import import_curl
from tools.importers.har import HarOptions, import_har

URL = "https://a.test/api"
FORM = "application/x-www-form-urlencoded"
SOAP = "<s:Envelope><s:Body>\n<m:{0}/></s:Body></s:Envelope>"


def call(
    body: Any, kind: str = "application/json", url: str = URL, **headers: str
) -> dict[str, Any]:
    request = {
        "method": "POST",
        "url": url,
        "headers": [{"name": name, "value": value} for name, value in headers.items()],
        "postData": {
            "mimeType": kind,
            "text": body if isinstance(body, str) else json.dumps(body),
        },
    }
    answer = {"status": 200, "content": {"mimeType": "application/json"}}
    return {"request": request, "response": answer}


def recorded(*calls: dict[str, Any]) -> ImportResult:
    return import_har(json.dumps({"log": {"entries": calls}}).encode(), HarOptions())


def body_of(tool: ImportedTool) -> Any:
    return tool.definition["steps"][0]["config"]["body"]


def inputs_of(tool: ImportedTool) -> set[str]:
    return set(tool.definition["inputSchema"]["properties"])


def hashed(hash_: str, **more: Any) -> dict[str, Any]:
    return {"extensions": {"persistedQuery": {"version": 1, "sha256Hash": hash_}}, **more}


@pytest.mark.parametrize(
    ("calls", "names"),
    [
        ([call("query Orders { orders { id } }", "application/graphql"),
          call("query Pets { pets { id } }", "application/graphql")], ["Orders", "Pets"]),
        ([call("operationName=A&query=query+A+%7Ba%7D", FORM),
          call("operationName=B&query=query+B+%7Bb%7D", FORM)], ["A", "B"]),
        ([call(hashed("a" * 64, operationName="A")), call(hashed("b" * 64, operationName="B"))],
         ["A", "B"]),
        ([call(hashed("a" * 64)), call(hashed("b" * 64))], ["post_", "post_"]),
        ([call({"action": "create", "name": "x"}), call({"action": "delete", "id": 3}),
          call({"action": "create", "name": "y"})], ["create", "delete"]),
        ([call("Action=ListUsers&x=1", FORM), call("Action=GetUser&x=2", FORM)],
         ["ListUsers", "GetUser"]),
        ([call({"op": "rename", "to": "x"}), call({"op": "move", "to": "y"})], ["rename", "move"]),
        ([call({"method": "user.get", "params": {"id": 1}}),
          call({"method": "user.put", "params": {"id": 2}})], ["user_get", "user_put"]),
        ([call({"type": "card", "number": "1"}), call({"type": "transfer", "iban": "x"})],
         ["card", "transfer"]),
        ([call("<a/>", "text/xml", SOAPAction='"urn:x/Get"'),
          call("<a/>", "text/xml", SOAPAction='"urn:x/Put"')], ["Get", "Put"]),
        ([call("<a/>", 'application/soap+xml; action="urn:Get"'),
          call("<a/>", 'application/soap+xml; action="urn:Put"')], ["Get", "Put"]),
        ([call(SOAP.format("Get"), "text/xml"), call(SOAP.format("Put"), "text/xml")],
         ["Get", "Put"]),
    ],
)  # fmt: skip
def test_each_operation_of_a_url_is_a_tool_under_its_name(
    calls: list[dict[str, Any]], names: list[str]
) -> None:
    tools = recorded(*calls).tools
    found = [str(tool.definition["id"]) for tool in tools]
    assert len(found) == len(names)
    assert all(one.startswith(name) for one, name in zip(found, names, strict=True))


@pytest.mark.parametrize(
    "calls",
    [
        [call({"name": "x"}), call({"name": "y", "note": 1})],
        [call({"type": "book", "n": 1}), call({"type": "film", "n": 2})],
        [call({"type": "book", "n": 1}), call({"type": "film", "n": 2, "note": "x"})],
        [call({"method": "card", "amount": 1}), call({"method": "cash", "amount": 2})],
        [call({"status": "open", "a": 1}), call({"status": "shut", "b": 1})],
        [call({"op": "=", "a": 1}), call({"op": ">", "b": 1})],
        [call({"action": 7, "a": 1}), call({"action": 8, "a": 1})],
        [call({"action": f"seen_{chr(97 + n)}", "n": n}) for n in range(25)],
        [call("<a>1</a>", "text/xml"), call("<a>2</a>", "text/xml")],
        [call({"query": "query A { a }", "variables": {"x": n}}) for n in (1, 2)],
    ],
)
def test_calls_that_differ_in_ordinary_values_are_one_tool(calls: list[dict[str, Any]]) -> None:
    result = recorded(*calls)
    assert len(result.tools) == 1
    assert any("repetitions of others" in one.reason for one in result.notes)


def test_what_says_the_operation_is_no_input() -> None:
    (tool,) = import_curl(f"""curl {URL} --json '{{"action": "create", "name": "x"}}'""").tools
    assert (inputs_of(tool), body_of(tool)) == (
        {"name"}, '{"action": "create", "name": "<<name>>"}'
    )  # fmt: skip
    assert tool.key == f"POST {URL} action=create"
    rpc = '{"jsonrpc": "2.0", "method": "pet.get", "params": {"name": "x"}, "id": 1}'
    (tool,) = import_curl(f"curl {URL} --json '{rpc}'").tools
    assert inputs_of(tool) == {"name", "id"}
    (tool,) = import_curl(f"curl -G {URL} --data-urlencode 'query={{a}}' -d first=2").tools
    assert inputs_of(tool) == {"first"}


def test_of_several_calls_the_one_with_most_fields_is_the_tool() -> None:
    result = recorded(
        call({"a": 1}, url=f"{URL}?x=1"), call({"a": 2, "b": 3}, url=URL), call({"a": 4, "c": 5})
    )
    (tool,) = result.tools
    assert inputs_of(tool) == {"a", "b", "x"}
    assert "required" not in tool.definition["inputSchema"]
    said = "fields that other calls of its kind had are left out: c"
    assert said in [one.reason for one in result.notes]


def test_the_variables_of_another_program_of_one_name_do_not_replace_it() -> None:
    results = [
        import_curl(f"curl -G {URL} --data-urlencode 'query={{{name}}}'") for name in ("a", "b")
    ]
    keys = [one.tools[0].key for one in results]
    assert len(set(keys)) == 2
