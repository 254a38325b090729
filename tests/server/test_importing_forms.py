"""Forms that are optional: sent with what is given, and not at all where nothing is."""

from typing import Any

import pytest

from server.service import Service
from tests.server.importing import document, imported, operation, sent
from tests.web import Web

TEXT = {"type": "string"}
FIELDS = {"type": "object", "properties": {"a": TEXT, "b": {"type": "string", "nullable": True}}}
WITH_FILE = {
    "type": "object",
    "properties": {"a": TEXT, "upload": {"type": "string", "format": "binary"}},
}
WITH_LIST = {"type": "object", "properties": {"a": TEXT, "many": {"type": "array", "items": TEXT}}}
FORM, MULTIPART = "application/x-www-form-urlencoded", "multipart/form-data"
JOINED = {"many": {"style": "form", "explode": False}}

OPTIONAL_FORMS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    (FORM, FIELDS, {}),
    (FORM, WITH_LIST, JOINED),
    (FORM, {"type": "object", "additionalProperties": TEXT}, {}),
    (MULTIPART, FIELDS, {}),
    (MULTIPART, WITH_FILE, {}),
    (MULTIPART, WITH_LIST, JOINED),
    (MULTIPART, {"type": "object", "additionalProperties": TEXT}, {}),
]


@pytest.mark.parametrize(("media_type", "schema", "encoding"), OPTIONAL_FORMS)
async def test_an_optional_form_of_which_nothing_is_given_is_neither_sent_nor_named(
    media_type: str, schema: dict[str, Any], encoding: dict[str, Any], service: Service, web: Web
) -> None:
    content = {media_type: {"schema": schema, "encoding": encoding}}
    described = operation(requestBody={"content": content})
    await imported(service, document(web.url, {"/a": {"post": described}}))
    seen = await sent(service, web, {})
    assert (seen.body, seen.headers.get("content-type")) == (b"", None)
    is_whole = "properties" not in schema
    seen = await sent(service, web, {"body": {"a": "hello"}} if is_whole else {"a": "hello"})
    assert seen.headers["content-type"].startswith(media_type)
    assert b"hello" in seen.body


@pytest.mark.parametrize("media_type", [FORM, MULTIPART])
async def test_a_field_of_a_form_that_is_null_is_not_given(
    media_type: str, service: Service, web: Web
) -> None:
    body = {"content": {media_type: {"schema": FIELDS}}}
    described = document(web.url, {"/a": {"post": operation(requestBody=body)}})
    await imported(service, {**described, "openapi": "3.0.3"})
    seen = await sent(service, web, {"b": None})
    assert (seen.body, seen.headers.get("content-type")) == (b"", None)


@pytest.mark.parametrize("media_type", [FORM, MULTIPART])
async def test_a_required_form_is_sent_with_its_type_though_nothing_of_it_is_given(
    media_type: str, service: Service, web: Web
) -> None:
    body = {"required": True, "content": {media_type: {"schema": FIELDS}}}
    await imported(service, document(web.url, {"/a": {"post": operation(requestBody=body)}}))
    seen = await sent(service, web, {})
    assert seen.headers["content-type"].startswith(media_type)


@pytest.mark.parametrize("media_type", [FORM, MULTIPART])
async def test_form_fields_of_swagger_that_are_all_optional_need_not_be_given(
    media_type: str, service: Service, web: Web
) -> None:
    fields = [{"name": name, "in": "formData", "type": "string"} for name in ("a", "b")]
    described = {
        "swagger": "2.0",
        "info": {"title": "Echo"},
        "host": web.url.removeprefix("http://"),
        "schemes": ["http"],
        "paths": {"/a": {"post": operation(*fields, consumes=[media_type])}},
    }
    await imported(service, described)
    seen = await sent(service, web, {})
    assert (seen.body, seen.headers.get("content-type")) == (b"", None)
    seen = await sent(service, web, {"a": "", "b": "é"})
    assert seen.headers["content-type"].startswith(media_type)
