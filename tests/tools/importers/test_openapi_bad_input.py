"""Documents that are broken, huge, deep, circular or hostile: a clear error, and little memory."""

import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from tools.importers import DocumentError, ImportResult
from tools.importers.openapi import OpenApiOptions, import_openapi, reader_of_folder
from tools.json_text import JsonObject, encode_json, encode_json_text

HEAD: JsonObject = {
    "openapi": "3.0.0",
    "info": {"title": "T"},
    "servers": [{"url": "https://x.eu"}],
}
#: What a small document of any kind may take.
MOST_BYTES = 150_000_000


def read(value: Any, **options: Any) -> ImportResult:
    content = value if isinstance(value, bytes) else encode_json(value)
    return import_openapi(content, OpenApiOptions(**options))


def with_schemas(schema: Any, **schemas: Any) -> JsonObject:
    parameter = {"name": "p", "in": "query", "schema": schema}
    return {
        **HEAD,
        "paths": {"/a": {"get": {"operationId": "it", "parameters": [parameter]}}},
        "components": {"schemas": schemas},
    }


def inputs_of(result: ImportResult) -> JsonObject:
    return result.tools[0].definition["inputSchema"]


REFUSED: list[tuple[bytes, str]] = [
    (b"", "the document is empty"),
    (b"\xff\xfe\x00", "not text in UTF-8: byte 0"),
    (b'{"openapi": "3.0.0", ', "the document is not JSON"),
    (b"openapi: 3.0.0\npaths: [a\n", "line 3"),
    (b"[1, 2]", "#: this is not an OpenAPI document"),
    (b"just words", "this is not an OpenAPI document"),
    (b'{"asyncapi": "3.0.0"}', "neither `openapi` nor `swagger`. Its keys are asyncapi"),
    (b'{"swagger": "1.2"}', "#/swagger: version '1.2' is not known"),
    (b'{"openapi": "2.0"}', "#/openapi: version '2.0' is not known"),
    (b'{"openapi": "3.1.0", "paths": []}', "#/paths: `paths` is no object"),
    (b'{"openapi": "3.1.0"}', "#/paths: it has no operations"),
    (b'{"a":' * 400 + b"1" + b"}" * 400, "nested more than 150 levels deep"),
    (b"[" * 5_000, "the document is not JSON"),
    (b"{" + b"[]," * 2_000_000 + b"}", "more than 3,000,000 values"),
    (b"openapi: 3.0.0\nx: &a [*a]\n", "stands inside what it refers to"),
]


@pytest.mark.parametrize(("content", "message"), REFUSED)
def test_what_cannot_be_imported_is_refused_with_its_place(content: bytes, message: str) -> None:
    with pytest.raises(DocumentError) as raised:
        read(content)
    assert message in str(raised.value)


def test_a_yaml_bomb_is_refused_before_it_goes_off() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    tracemalloc.start()
    try:
        with pytest.raises(DocumentError, match="nodes with its aliases"):
            read("\n".join(lines).encode())
        assert tracemalloc.get_traced_memory()[1] < MOST_BYTES
    finally:
        tracemalloc.stop()


def test_objects_of_a_program_are_not_built() -> None:
    with pytest.raises(DocumentError, match="python/object"):
        read(b"openapi: !!python/object/apply:os.system ['true']\n")


def test_a_million_references_take_little() -> None:
    count = 1_000_000
    text = b'{"openapi":"3.0.0","info":{},"paths":{"/a":{"post":{"requestBody":{"content":'
    text += b'{"application/json":{"schema":{"type":"object","properties":{'
    text += b",".join(b'"p%d":{"$ref":"#/components/schemas/%d"}' % (n, n) for n in range(count))
    text += b"}}}}}}}}}"
    with pytest.raises(
        DocumentError, match=r"^#/paths/~1a/post/.*: a schema of more than 50,000 parts"
    ):
        read(text)


def test_references_of_references_that_multiply_are_cut() -> None:
    schemas: dict[str, Any] = {
        f"s{n}": {
            "type": "object",
            "properties": {f"p{m}": {"$ref": f"#/components/schemas/s{n + 1}"} for m in range(50)},
        }
        for n in range(500)
    }
    result = read(with_schemas({"$ref": "#/components/schemas/s0"}, **schemas))
    assert len(encode_json(result.tools[0].definition)) < 1_000_000


def test_schemas_that_all_refer_to_each_other_give_small_tools_with_their_top_levels() -> None:
    count = 400
    schemas: dict[str, Any] = {
        f"S{n}": {
            "type": "object",
            "properties": {
                f"q{m}": {"$ref": f"#/components/schemas/S{(7 * n + m) % count}"} for m in range(20)
            },
        }
        for n in range(count)
    }
    bodies = (
        {"content": {"application/json": {"schema": {"$ref": f"#/components/schemas/S{n}"}}}}
        for n in range(count)
    )
    paths = {f"/a{n}": {"post": {"requestBody": body}} for n, body in enumerate(bodies)}
    result = read({**HEAD, "paths": paths, "components": {"schemas": schemas}})
    assert len(result.tools) == count
    for tool in result.tools:
        properties = tool.definition["inputSchema"]["properties"]
        assert [properties[f"q{m}"].get("type", "object") for m in range(20)] == ["object"] * 20
    sizes = [len(encode_json(tool.definition)) for tool in result.tools]
    # The first ones are whole up to the bounds of one tool, all together stay small.
    assert sizes[0] > 10 * sizes[-1]
    assert sum(sizes) < 10_000_000
    cut = [note.place for note in result.notes if note.reason.startswith("cut to its type")]
    assert "#/components/schemas/S0" in cut


def test_a_schema_that_is_part_of_itself_is_cut_where_it_would_never_end() -> None:
    node = {"type": "object", "properties": {"next": {"$ref": "#/components/schemas/Node"}}}
    loop = {"allOf": [{"$ref": "#/components/schemas/Loop"}, {"type": "object"}]}
    itself = {"$ref": "#/components/schemas/Itself"}
    schema = {
        "type": "object",
        "properties": {
            "node": {"$ref": "#/components/schemas/Node"},
            "loop": {"$ref": "#/components/schemas/Loop"},
            "itself": {"$ref": "#/components/schemas/Itself"},
        },
    }
    result = read(with_schemas(schema, Node=node, Loop=loop, Itself=itself))
    inputs = inputs_of(result)
    assert inputs["$defs"]["Node"]["properties"]["next"] == {"$ref": "#/$defs/Node"}
    assert inputs["$defs"]["Loop"] == {"allOf": [{}, {"type": "object"}]}
    assert inputs["properties"]["p"]["properties"]["itself"] == {}
    assert ["circle" in note.reason for note in result.notes] == [True]


@pytest.mark.parametrize(
    ("reference", "reason"),
    [
        ("http://169.254.169.254/latest", "is in another document, which is not fetched"),
        ("//internal/x.json", "is in another document"),
        ("file:///etc/passwd", "is in another document"),
        ("/etc/passwd", "is in another document"),
        ("other.json#/a", "only a document in a folder has files beside it"),
        ("#/components/schemas/Missing", "leads nowhere"),
        ("#anchor", "names an anchor"),
    ],
)
def test_a_reference_that_is_not_followed_is_noted_with_its_place(
    reference: str, reason: str
) -> None:
    result = read(with_schemas({"$ref": reference}))
    notes = list(result.notes)
    assert [note.place for note in notes] == ["#/paths/~1a/get/parameters/0/schema/$ref"]
    assert reason in notes[0].reason
    assert inputs_of(result)["properties"]["p"] == {}


def test_files_are_read_only_inside_the_folder_of_the_document(tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    folder.mkdir()
    (tmp_path / "secret.json").write_text('{"type": "integer"}', "utf-8")
    (folder / "link.json").symlink_to(tmp_path / "secret.json")
    for reference in ("../secret.json", "link.json", "a/../../secret.json"):
        document = with_schemas({"$ref": reference})
        result = import_openapi(
            json.dumps(document).encode(), OpenApiOptions(), reader_of_folder(folder)
        )
        assert inputs_of(result)["properties"]["p"] == {}
        assert "leads out of the document's folder" in next(iter(result.notes)).reason


NOT_USABLE: list[tuple[list[Any], str | None, str]] = [
    ([{"url": "ws://h"}, {"url": "https://h2/"}, {"url": "https://h3"}], "https://h2", "usable"),
    ([{"url": "https://{host}"}, {"url": "https://h2/"}], "https://h2", "without a value"),
    ([{}, None, {"url": "https://h2/"}], "https://h2", "is no absolute http url"),
    ([{"url": "ws://h"}, {"url": "/v1"}], None, "if no other is, set the url of the system"),
]


@pytest.mark.parametrize(("servers", "url", "reason"), NOT_USABLE)
def test_the_first_server_that_can_be_used_is(
    servers: list[Any], url: str | None, reason: str
) -> None:
    result = read({**HEAD, "servers": servers, "paths": {"/a": {"get": {}}}})
    assert result.system.definition.get("url") == url
    assert any(reason in note.reason for note in result.notes)


def test_what_is_no_path_item_is_noted() -> None:
    result = read({**HEAD, "paths": {"/a": [], "/b": "text", "/c": None, "/d": {"get": {}}}})
    assert [note.place for note in result.notes] == ["#/paths/~1a", "#/paths/~1b", "#/paths/~1c"]
    assert [tool.label for tool in result.tools] == ["GET /d"]


def test_a_huge_api_is_imported_in_parts_that_somebody_chooses() -> None:
    paths: JsonObject = {
        f"/{number}": {"get": {"operationId": f"o{number}", "tags": [f"t{number % 2}"]}}
        for number in range(10_001)
    }
    content = encode_json({**HEAD, "paths": paths})
    with pytest.raises(DocumentError, match="10,001 operations; at most 10,000") as caught:
        import_openapi(content, OpenApiOptions())
    assert "Choose some with --tag or --include. Its tags: t0, t1." in str(caught.value)
    chosen = import_openapi(content, OpenApiOptions(include=("o17",)))
    assert [one.definition["id"] for one in chosen.tools] == ["o17"]


def test_an_operation_with_hundreds_of_parameters_is_left_out_and_the_others_are_not() -> None:
    many = [{"name": f"p{number}", "in": "query"} for number in range(301)]
    paths: JsonObject = {
        "/a": {"get": {"operationId": "a", "parameters": many}},
        "/b": {"get": {"operationId": "b"}},
    }
    result = read({**HEAD, "paths": paths})
    assert [one.definition["id"] for one in result.tools] == ["b"]
    assert [(note.place, note.reason) for note in result.notes] == [
        ("#/paths/~1a/get", "the tool is left out: it has more than 300 parameters")
    ]


def test_an_operation_that_says_nothing_where_others_need_a_sign_in_needs_none() -> None:
    paths: JsonObject = {
        "/token": {"post": {"operationId": "token"}},
        "/me": {"get": {"operationId": "me", "security": [{"k": []}]}},
        "/broken": {"get": {"operationId": "broken", "security": {"k": []}}},
    }
    scheme = {"type": "apiKey", "in": "header", "name": "X-Key"}
    schemes = {"securitySchemes": {"k": scheme}}
    result = read({**HEAD, "paths": paths, "components": schemes})
    assert {
        one.definition["id"]: one.definition["steps"][0]["config"]["systemId"]
        for one in result.tools
    } == {"token": "t-public", "me": "t", "broken": "t"}
    # Nobody says what needs the scheme.
    del paths["/me"], paths["/broken"]
    result = read({**HEAD, "paths": paths, "components": schemes})
    assert [one.definition["steps"][0]["config"]["systemId"] for one in result.tools] == ["t"]


def test_an_operation_with_a_scheme_that_is_not_defined_gets_no_other_credentials() -> None:
    paths: JsonObject = {
        "/a": {"get": {"operationId": "a"}},
        "/b": {"get": {"operationId": "b", "security": [{"undefined": []}]}},
        "/c": {"get": {"operationId": "c", "security": [{"undefined": []}, {"k": []}]}},
    }
    scheme = {"type": "apiKey", "in": "header", "name": "X-Key"}
    result = read(
        {
            **HEAD,
            "paths": paths,
            "components": {"securitySchemes": {"k": scheme}},
            "security": [{"k": []}],
        }
    )
    systems = [one.definition["steps"][0]["config"]["systemId"] for one in result.tools]
    assert systems == ["t", "t-public", "t"]
    assert "auth" not in result.further_systems[0].definition
    assert [(note.place, note.reason) for note in result.notes] == [
        (
            "#/components/securitySchemes/undefined",
            "2 operations name this scheme, which is not defined; nothing is sent for it",
        )
    ]


def test_a_file_that_is_no_yaml_is_not_called_an_answer() -> None:
    with pytest.raises(DocumentError, match=r"^The document is not YAML: .* at line 3 column"):
        read(b"openapi: 3.0.0\npaths: [a\ninfo: x\n")


ODD: list[Any] = [None, 5, "text", [], {}, [None], {"a": None}, True, [[]]]


@pytest.mark.parametrize("value", ODD, ids=repr)
@pytest.mark.parametrize(
    "key", ["parameters", "requestBody", "responses", "tags", "security", "servers", "summary"]
)
def test_anything_may_stand_anywhere_in_an_operation(key: str, value: Any) -> None:
    document = {**HEAD, "paths": {"/a": {"post": {"operationId": "it", key: value}}}}
    assert len(read(document).tools) == 1


@pytest.mark.parametrize("value", ODD, ids=repr)
@pytest.mark.parametrize(
    "key",
    [
        "type",
        "properties",
        "required",
        "items",
        "enum",
        "allOf",
        "anyOf",
        "default",
        "format",
        "pattern",
        "minimum",
        "maxLength",
        "description",
        "additionalProperties",
        "nullable",
        "example",
        "not",
        "patternProperties",
        "dependentRequired",
    ],
)
def test_anything_may_stand_anywhere_in_a_schema(key: str, value: Any) -> None:
    result = read(with_schemas({key: value}))
    assert "p" in inputs_of(result)["properties"]
    body = {"content": {"application/json": {"schema": {"type": "object", key: value}}}}
    document = {**HEAD, "paths": {"/a": {"post": {"requestBody": body}}}}
    assert len(read(document).tools) == 1


@pytest.mark.parametrize("value", ODD, ids=repr)
@pytest.mark.parametrize("key", ["info", "servers", "components", "security", "tags", "webhooks"])
def test_anything_may_stand_anywhere_at_the_root(key: str, value: Any) -> None:
    document: JsonObject = {**HEAD, "paths": {"/a": {"get": {}}}, key: value}
    assert len(read(document).tools) == 1


def test_what_is_written_like_a_method_and_is_none_is_noted() -> None:
    paths: JsonObject = {"/a": {"GET": {}, "link": {}, "get": {}, "x-own": {}, "summary": "A."}}
    result = read({**HEAD, "paths": paths})
    reason = "this is no method; methods are written in lower case"
    assert [(one.place, one.reason) for one in result.notes] == [
        ("#/paths/~1a/GET", reason),
        ("#/paths/~1a/link", reason),
    ]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_document_is_read_in_the_encodings_that_editors_write(encoding: str) -> None:
    text = "openapi: 3.0.0\r\ninfo: {title: Größe}\r\npaths: {/a: {get: {}}}\r\n"
    assert read(text.encode(encoding)).title == "Größe"


@pytest.mark.parametrize("keyword", ["$defs", "definitions"])
def test_a_schema_that_was_put_into_a_document_keeps_its_own_definitions(keyword: str) -> None:
    reference = {"$ref": f"#/{keyword}/Point"}
    schema = {
        "type": "object",
        "properties": {"at": reference, "via": {"type": "array", "items": reference}},
        keyword: {
            "Point": {"type": "object", "properties": {"x": {"$ref": f"#/{keyword}/Number"}}},
            "Number": {"type": "integer"},
        },
    }
    result = read(with_schemas(schema))
    assert not list(result.notes)
    described = inputs_of(result)
    assert described["$defs"]["Point"]["properties"]["x"] == {"$ref": "#/$defs/Number"}
    assert described["$defs"]["Number"] == {"type": "integer"}


@pytest.mark.parametrize("name", ["X Key", "X-Key:", "X-\n", "Größe", "<<x>>", "{{x}}"])
def test_a_header_whose_name_http_does_not_allow_is_left_out(name: str) -> None:
    parameters = [
        {"name": one, "in": "header", "schema": {"type": "string"}} for one in (name, "X-Fine")
    ]
    scheme = {"type": "apiKey", "in": "header", "name": name}
    result = read(
        {
            **HEAD,
            "paths": {"/a": {"get": {"parameters": parameters}}},
            "components": {"securitySchemes": {"k": scheme}},
            "security": [{"k": []}],
        }
    )
    assert list(inputs_of(result)["properties"]) == ["X-Fine"]
    assert "auth" not in result.system.definition
    assert [one.place for one in result.notes] == [
        "#/components/securitySchemes/k/name",
        "#/paths/~1a/get/parameters/0/name",
    ]


def test_half_of_a_surrogate_pair_is_the_replacement_character() -> None:
    half = "\\ud800"
    parameter = f'{{"name": "{half}", "in": "path", "required": true}}'
    paths = f'{{"/a/{{{half}}}": {{"get": {{"parameters": [{parameter}]}}}}}}'
    text = f'{{"openapi": "3.0.0", "info": {{"title": "T{half}"}}, "paths": {paths}}}'
    result = read(text.encode())
    assert result.title == "T\ufffd"
    assert result.tools[0].label == "GET /a/{\ufffd}"
    encode_json_text(result.tools[0].definition).encode()


@pytest.mark.parametrize("style", [["form"], {"a": 1}, None, 5, "wavy"])
def test_a_style_that_is_none_is_noted(style: Any) -> None:
    parameter: JsonObject = {"name": "p", "in": "query", "style": style, "schema": {}}
    result = read({**HEAD, "paths": {"/a": {"get": {"parameters": [parameter]}}}})
    assert [one.place for one in result.notes] == ["#/paths/~1a/get/parameters/0/style"]
