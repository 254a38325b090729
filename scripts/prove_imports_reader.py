"""Reads a request back by the document alone, and says whether it has the values put in.

Nothing of the importer is used. What a parameter looks like is what `uritemplate` makes of its
style (the specification defines styles by RFC 6570), and what RFC 6570 has not (delimited lists,
`deepObject`, multipart bodies) is read by `openapi-core`.
"""

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from email import message_from_bytes
from email.message import Message
from typing import Any, cast
from urllib.parse import quote, unquote, unquote_plus

from jsonschema_path import SchemaPath
from openapi_core.datatypes import RequestParameters
from openapi_core.deserializing.styles import style_deserializers
from openapi_core.unmarshalling.request.unmarshallers import (
    V30RequestBodyUnmarshaller,
    V31RequestBodyUnmarshaller,
)
from openapi_core.validation.schemas.exceptions import InvalidSchemaValue
from uritemplate import expand

from scripts.prove_imports_mock import Exchange

__all__ = ["NotRead", "read_back"]

_DEFAULTS = {"path": "simple", "header": "simple", "query": "form", "cookie": "form"}
_NOT_PARAMETERS = {"accept", "content-type", "authorization"}
_STYLE_KEYS = {"style", "explode", "allowReserved"}
_FORM = "application/x-www-form-urlencoded"


class NotRead(Exception):  # noqa: N818 - a finding about a request
    """The request does not say what was put in, or in a way that nothing here reads."""


def read_back(
    document: dict[str, Any], tool: Any, inputs: Mapping[str, Any], exchange: Exchange
) -> None:
    """Compare a request with the inputs of its tool. Raises `NotRead`."""
    if not str(document.get("openapi", "")).startswith("3."):
        raise NotRead("only OpenAPI 3 is read back")
    _Reader(document, tool, inputs, exchange).read()


@dataclass(frozen=True)
class _Parameter:
    """A parameter with the value that it should have; None when it should not be there."""

    name: str
    location: str
    style: str
    explode: bool
    value: Any
    is_json: bool = False
    is_reserved: bool = False


class _Reader:
    def __init__(
        self, document: dict[str, Any], tool: Any, inputs: Mapping[str, Any], exchange: Exchange
    ) -> None:
        self._document = document
        self._exchange = exchange
        self._renamed = tool.renamed
        self._config = tool.definition["steps"][0]["config"]
        properties = tool.definition["inputSchema"].get("properties", {})
        defaults = {name: one["default"] for name, one in properties.items() if "default" in one}
        self._inputs = {**defaults, **inputs}
        parts = [_unescaped(part) for part in tool.key.split("/")]
        path, method = parts[2], parts[3]
        self._path = path
        item, at = self._follow(document["paths"][path], tool.key.rpartition("/")[0])
        self._item, self._item_place = item, at
        self._operation = item[method]
        self._place = f"{at}/{method}"

    def read(self) -> None:
        """Raises `NotRead`."""
        parameters = self._parameters()
        target, _, query = self._exchange.target.partition("?")
        self._read_path(target, [one for one in parameters if one.location == "path"])
        rest = self._read_pairs(query, [one for one in parameters if one.location == "query"])
        if others := set(rest) - set(self._config.get("queryParams", {})) - self._keys("query"):
            raise NotRead(f"the query has {', '.join(sorted(others))} too")
        for one in parameters:
            if one.location == "header":
                self._read_header(one)
        self._read_cookies([one for one in parameters if one.location == "cookie"])
        self._read_body()

    # Parameters

    def _parameters(self) -> list[_Parameter]:
        found: dict[tuple[str, str], _Parameter] = {}
        for holder, place in ((self._item, self._item_place), (self._operation, self._place)):
            for index, given in enumerate(holder.get("parameters", ())):
                one, at = self._follow(given, f"{place}/parameters/{index}")
                location, name = one["in"], one["name"]
                if location == "header" and name.lower() in _NOT_PARAMETERS:
                    continue
                style = one.get("style", _DEFAULTS[location])
                found[location, name] = _Parameter(
                    name,
                    location,
                    style,
                    one.get("explode", style == "form"),
                    self._value(name, at),
                    "content" in one and "schema" not in one,
                    one.get("allowReserved", False),
                )
        return list(found.values())

    def _value(self, name: str, place: str) -> Any:
        for one in self._renamed:
            if one.place == place and one.name == name:
                return self._inputs.get(one.input)
        others = {one.input for one in self._renamed}
        return None if name in others else self._inputs.get(name)

    def _keys(self, place: str) -> set[str]:
        schemes = self._document.get("components", {}).get("securitySchemes", {})
        return {
            one["name"]
            for one in (self._follow(scheme, "")[0] for scheme in schemes.values())
            if one.get("type") == "apiKey" and one.get("in") == place
        }

    def _read_path(self, target: str, parameters: list[_Parameter]) -> None:
        by_name = {one.name: one for one in parameters}

        def part(match: re.Match[str]) -> str:
            one = by_name[match[1]]
            if one.is_json:
                return quote(json.dumps(one.value, separators=(",", ":")), safe="")
            return _expanded({"simple": "", "label": ".", "matrix": ";"}[one.style], one)

        pieces = re.split(r"(\{[^{}]+\})", self._path.partition("#")[0].partition("?")[0])
        written = "".join(
            re.sub(r"\{([^{}]+)\}", part, piece) if piece[:1] == "{" else quote(piece)
            for piece in pieces
        )
        _same("the path", _plain(written), _plain(target))

    def _read_pairs(self, text: str, parameters: list[_Parameter]) -> list[str]:
        """Take the parameters out of `name=value` pairs; the names that are left."""
        pairs = [pair for pair in text.split("&") if pair]
        for one in parameters:
            if one.value is None:
                continue
            own = [pair for pair in pairs if _name_of(pair) == one.name]
            if one.is_json:
                if len(own) != 1 or _json_of(unquote_plus(own[0].partition("=")[2])) != one.value:
                    raise NotRead(f"{one.name}: {own} for {one.value!r}")
            elif one.style == "form":
                own = [pair for pair in _expanded("?", one).removeprefix("?").split("&") if pair]
                if one.is_reserved:
                    kept = [pair for pair in pairs if _name_of(pair) == one.name]
                    _same(one.name, sorted(map(unquote, own)), sorted(map(unquote, kept)))
                    own = kept
                own = [_taken(_plain(pair), pairs, one) for pair in own]
            elif one.style == "deepObject":
                own = [pair for pair in pairs if _name_of(pair).startswith(f"{one.name}[")]
                location = {_name_of(pair): unquote_plus(pair.partition("=")[2]) for pair in own}
                read = style_deserializers["deepObject"](True, one.name, "object", location)
                _same(one.name, _texts(one.value), read)
            else:
                if len(own) != 1:
                    raise NotRead(f"{one.name}: {own} for {one.value!r}")
                raw = own[0].partition("=")[2].replace("+", "%20")
                raw = raw.replace("%7C", "|") if one.style == "pipeDelimited" else raw
                kind = "array" if isinstance(one.value, list) else "object"
                read = style_deserializers[one.style](False, one.name, kind, {one.name: raw})
                listed = read.items() if isinstance(read, dict) else None
                _same(
                    one.name,
                    _texts(one.value),
                    {unquote(k): unquote(v) for k, v in listed}
                    if listed is not None
                    else list(map(unquote, read)),
                )
            for pair in own:
                pairs.remove(pair)
        return list(map(_name_of, pairs))

    def _read_header(self, one: _Parameter) -> None:
        sent = self._exchange.headers.get(one.name.lower())
        if one.value is None:
            return
        if one.is_json:
            _same(one.name, one.value, _json_of(sent or ""))
        else:
            _same(one.name, unquote(_expanded("", one)), sent)

    def _read_cookies(self, parameters: list[_Parameter]) -> None:
        pairs = [one for one in self._exchange.headers.get("cookie", "").split("; ") if one]
        for one in parameters:
            if one.value is not None:
                for pair in _expanded("?", one).removeprefix("?").split("&"):
                    _taken(_plain(pair), pairs, one)

    # The body

    def _read_body(self) -> None:
        body = self._exchange.body
        if "requestBody" not in self._operation:
            if body:
                raise NotRead("there is a body")
            return
        given, _ = self._follow(self._operation["requestBody"], f"{self._place}/requestBody")
        sent_as = self._exchange.headers.get("content-type", "")
        bare = sent_as.partition(";")[0].strip().lower()
        kind = next(
            (one for one in given["content"] if one.partition(";")[0].lower() == bare), None
        )
        if kind is None and not body and not given.get("required"):
            return
        if kind is None:
            kind = next((one for one in given["content"] if "*" in one), None)
        if kind is None:
            raise NotRead(f"the body is sent as {bare!r}")
        content = given["content"][kind]
        expected = self._expected(content.get("schema", {}))
        if "json" in bare:
            _same("the body", expected, _json_of(body.decode()))
        elif bare == _FORM:
            self._read_form(content, expected)
        elif bare == "multipart/form-data":
            self._read_multipart(given, sent_as, expected)
        else:
            _same("the body", str(expected), body.decode())

    def _expected(self, schema: Any) -> Any:
        """The body: its one input, or an object of the inputs that are its fields."""
        properties = self._properties(schema)
        fields = {
            name: self._inputs[given]
            for name in properties
            if (given := self._field_input(name)) in self._inputs
        }
        known = {self._field_input(name) for name in properties} & self._inputs.keys()
        return self._inputs["body"] if not known and "body" in self._inputs else fields

    def _field_input(self, name: str) -> str:
        return next(
            (
                one.input
                for one in self._renamed
                if one.name == name and "/properties/" in one.place
            ),
            name,
        )

    def _properties(self, schema: Any) -> dict[str, Any]:
        value, _ = self._follow(schema, "")
        found = dict(value.get("properties", {}))
        for one in value.get("allOf", ()):
            found |= self._properties(one)
        return found

    def _read_styled_parts(
        self, sent_as: str, encoding: dict[str, Any], expected: dict[str, Any]
    ) -> None:
        """Parts with a style are like the pairs of a query; openapi-core reads no such bytes."""
        head = f"Content-Type: {sent_as}\r\n\r\n".encode()
        message = message_from_bytes(head + self._exchange.body)
        pairs: list[str] = []
        parameters: list[_Parameter] = []
        for part in cast("list[Message]", message.get_payload()):
            name = str(part.get_param("name", header="content-disposition"))
            text = cast("bytes", part.get_payload(decode=True)).decode("utf-8", "replace")
            pairs.append(f"{quote(name, safe='')}={quote(text, safe=',')}")
        for name, value in expected.items():
            style = encoding[name].get("style", "form")
            explode = encoding[name].get("explode", style == "form")
            parameters.append(_Parameter(name, "form", style, explode, value))
        self._read_pairs("&".join(pairs), parameters)

    def _read_form(self, content: dict[str, Any], expected: dict[str, Any]) -> None:
        encoding = content.get("encoding", {})
        parameters: list[_Parameter] = []
        for name, value in expected.items():
            how = encoding.get(name, {})
            style = how.get("style", "form")
            is_json = isinstance(value, dict) and not how.keys() & {"style", "explode"}
            explode = how.get("explode", style == "form")
            parameters.append(_Parameter(name, "form", style, explode, value, is_json))
        # A form is encoded whole: its delimiters are too.
        text = self._exchange.body.decode()
        joined = {one.name for one in parameters if one.style == "form" and not one.explode}
        pairs = [
            pair.replace("%2C", ",") if _name_of(pair) in joined else pair
            for pair in text.split("&")
        ]
        if rest := self._read_pairs("&".join(pairs), parameters):
            raise NotRead(f"the form has {rest} too")

    def _read_multipart(
        self, given: dict[str, Any], sent_as: str, expected: dict[str, Any]
    ) -> None:
        is_30 = self._document["openapi"].startswith("3.0")
        content = given["content"]["multipart/form-data"]
        encoding = content.get("encoding", {})
        if is_30:
            # It says that these are to be ignored here.
            encoding = {
                name: {key: one for key, one in how.items() if key not in _STYLE_KEYS}
                for name, how in encoding.items()
            }
        styled = {name for name, how in encoding.items() if how.keys() & _STYLE_KEYS}
        if styled:
            own = {name: one for name, one in expected.items() if name in styled}
            self._read_styled_parts(sent_as, encoding, own)
            expected = {name: one for name, one in expected.items() if name not in styled}
        schema = self._follow(content.get("schema", {}), "")[0]
        properties = schema.get("properties", {})
        plain = {name: one for name, one in properties.items() if name not in styled}
        content = {**content, "encoding": encoding, "schema": {**schema, "properties": plain}}
        asked = {**given, "content": {"multipart/form-data": content}}
        alone = {
            **self._document,
            "servers": [{"url": "http://127.0.0.1"}],
            "paths": {"/it": {"post": {"requestBody": asked, "responses": {}}}},
        }
        reader = (V30RequestBodyUnmarshaller if is_30 else V31RequestBodyUnmarshaller)(
            SchemaPath.from_dict(alone), base_url="http://127.0.0.1"
        )
        result = reader.unmarshal(_Seen(sent_as, self._exchange.body))
        body, cause = result.body, result.errors[0].__cause__ if result.errors else None
        if isinstance(cause, InvalidSchemaValue):
            # It holds bytes against `type: string`, which OpenAPI 3.1 does not have for files.
            body = cause.value
        elif result.errors:
            raise NotRead(f"openapi-core: {result.errors[0]!r}: {cause!r}"[:300])
        wanted = {name: _file_content(value) for name, value in expected.items()}
        read = _read_values(body)
        # A list of which there is no part is read as empty.
        _same("the form", wanted, {n: one for n, one in read.items() if one != [] or n in wanted})

    def _follow(self, value: Any, place: str) -> tuple[Any, str]:
        while isinstance(value, dict) and isinstance(value.get("$ref"), str):
            place = value["$ref"]
            value = self._document
            for part in place.removeprefix("#/").split("/"):
                value = value[_unescaped(unquote(part))]
        return value, place


@dataclass
class _Seen:
    """A request as openapi-core wants it."""

    content_type: str
    body: bytes | None
    host_url: str = "http://127.0.0.1"
    path: str = "/it"
    method: str = "post"

    def __post_init__(self) -> None:
        self.parameters = RequestParameters()


def _expanded(operator: str, one: _Parameter) -> str:
    """What RFC 6570 writes for a parameter."""
    values = one.value.values() if isinstance(one.value, dict) else one.value
    if isinstance(one.value, dict | list) and any(isinstance(x, dict | list) for x in values):
        raise NotRead(f"{one.name}: RFC 6570 has no lists in lists")
    is_plain = re.fullmatch(r"\w+", one.name, re.ASCII) is not None
    name = one.name if is_plain else "a_name_of_its_own"
    template = f"{{{operator}{name}{'*' if one.explode else ''}}}"
    texts = _texts(one.value)
    # A mapping would be sorted.
    written = expand(template, {name: list(texts.items()) if isinstance(texts, dict) else texts})
    return written if is_plain else written.replace(f"{name}=", f"{quote(one.name, safe='')}=")


def _texts(value: Any) -> Any:
    if isinstance(value, list):
        return list(map(_texts, cast("list[Any]", value)))
    if isinstance(value, dict):
        return {name: _texts(one) for name, one in cast("dict[str, Any]", value).items()}
    return value if isinstance(value, str) else json.dumps(value)


def _taken(wanted: str, pairs: list[str], one: _Parameter) -> str:
    """The pair that says what is wanted."""
    for pair in pairs:
        if _plain(pair) == wanted:
            return pair
    raise NotRead(f"{one.name}: {wanted} is not among {pairs}")


def _plain(text: str) -> str:
    """With nothing percent-encoded that need not be, and a space in one way."""
    text = text.replace("+", "%20")

    def decoded(match: re.Match[str]) -> str:
        one = chr(int(match[1], 16))
        is_plain = one.isascii() and (one.isalnum() or one in "-._~!$'()*@:")
        return one if is_plain else match[0].upper()

    return re.sub(r"%([0-9A-Fa-f]{2})", decoded, text)


def _name_of(pair: str) -> str:
    return unquote_plus(pair.partition("=")[0])


def _json_of(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        raise NotRead(f"{text[:80]!r} is not JSON") from None


def _file_content(value: Any) -> Any:
    if isinstance(value, list):
        return list(map(_file_content, cast("list[Any]", value)))
    if isinstance(value, dict) and value.keys() <= {"text", "base64", "name", "contentType"}:
        if "base64" in value:
            return base64.b64decode(value["base64"])
        return value["text"].encode() if "text" in value else value
    return value


def _read_values(value: Any) -> Any:
    """Without the types of openapi-core."""
    if isinstance(value, Mapping):
        return {name: _read_values(one) for name, one in cast("dict[str, Any]", value).items()}
    return list(map(_read_values, value)) if isinstance(value, list | tuple) else value


def _same(what: str, wanted: Any, read: Any) -> None:
    if wanted != read:
        raise NotRead(f"{what}: {read!r} for {wanted!r}"[:300])


def _unescaped(part: str) -> str:
    return part.replace("~1", "/").replace("~0", "~")
