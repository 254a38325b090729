"""Tools exported by superglue, or listed by a server that speaks its REST: definitions as they are.

Their format is this one, or an older spelling of it. What is typed into them as a secret becomes a
credential of the step's system. Fields that nothing here knows, such as the id of a request in its
database, are left out.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import cast
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel

from tools.importers import DocumentError, ImportedSystem, NoteList
from tools.importers.openapi.naming import system_id_of
from tools.importers.openapi.words import list_of, object_of, text_of
from tools.importers.requests.document import read_json
from tools.importers.requests.draft import credential_name
from tools.importers.requests.operations import graphql_text
from tools.importers.requests.systems import FoundSystem
from tools.importers.secrets import (
    MOST_SECRETS,
    holds_secret,
    is_blank,
    is_secret_name,
    looks_secret,
    mask_in_text,
    replace_in_literals,
    replace_in_urls,
    says_no_key,
    too_many_secrets,
)
from tools.json_text import Json, JsonObject, decode_json, encode_json_text
from tools.legacy import modernise
from tools.model import Pagination, RequestConfig, Step, SubToolConfig, Tool, TransformConfig
from tools.redaction import Redactor
from tools.shapes import unknown_keys
from tools.templates import parse_template
from tools.urls import origin_of

__all__ = ["FoundTools", "find_tools", "listed_tools", "systems_used"]

_MOST_TOOLS = 10_000
_SCHEME = re.compile(r"((?:bearer|basic|token|apikey)\s+)(.+)", re.IGNORECASE | re.DOTALL)
_USER = re.compile(r"^(https?://)([^/?#@<>]*)@", re.IGNORECASE)
_JSON_PAIR = re.compile(
    r'("(?:[^"\\]|\\.){1,80}")(\s*:\s*)("(?:[^"\\]++|\\.)*+"|-?\d+(?=\s*[,}\]]))', re.DOTALL
)
_NAMED_PAIR = re.compile(
    r'(?P<open>"(?:name|key|field)"\s*:\s*"(?P<name>[^"\\]{1,80})"\s*,\s*"(?:value|val|text)"\s*:\s*)'
    r'"(?P<value>[^"\\]+)"'
)
_COOKIE = re.compile(r"(?P<open>(?:^|;)\s*+[^=;<>]++=)(?P<value>[^;<>]{4,})(?=;|$)")
#: Where a schema holds values.
_VALUES = ("default", "example", "examples", "const")
_PARAMETER = re.compile(r"(?P<open>^\?|&)(?P<name>[^=&#<>]++)=(?P<value>[^&#<>]+)")


@dataclass(frozen=True)
class FoundTools:
    """Definitions without secrets, and the systems whose credentials those became."""

    definitions: tuple[JsonObject, ...]
    systems: tuple[ImportedSystem, ...]
    notes: NoteList


def listed_tools(content: bytes) -> list[Json]:
    """The tools of an export or of an answer: one, a list, or a list in `data` or `tools`.

    Raises `DocumentError`.
    """
    value = read_json(content, "a tool, or a list of tools")
    fields = object_of(value)
    if fields and "steps" not in fields:
        inner = fields.get("data", fields.get("tools"))
        if not isinstance(inner, list):
            raise DocumentError("there are no tools in it", hint="Valid is a tool, or a list.")
        return list_of(cast("Json", inner))
    return list_of(value) if isinstance(value, list) else [fields]


def find_tools(listed: Sequence[Json]) -> FoundTools:
    """The definitions in today's spelling, their secrets taken out. Raises `DocumentError`."""
    if len(listed) > _MOST_TOOLS:
        raise DocumentError(f"it has more than {_MOST_TOOLS:,} tools")
    if not listed:
        raise DocumentError("there are no tools in it")
    reader = _Reader(NoteList(), {})
    definitions = [
        reader.read(cast("JsonObject", one), f"tool {index + 1}")
        if isinstance(one, dict)
        else reader.refuse(f"tool {index + 1}")
        for index, one in enumerate(listed)
    ]
    redactor = Redactor({})
    for system in reader.systems.values():
        for name, value in system.values.items():
            if value and name != "username":
                redactor.add(f"{system.id}.{name}", value)
    for value in reader.elsewhere:
        redactor.add("not carried over", value)
    return FoundTools(
        tuple(redactor.json(one) for one in definitions if one is not None),
        tuple(one.result() for one in reader.systems.values()),
        reader.notes,
    )


def systems_used(
    systems: Iterable[ImportedSystem], definitions: Sequence[Json]
) -> list[ImportedSystem]:
    """The systems that some definitions name, each with the credentials that they name."""
    text = "".join(encode_json_text(one) for one in definitions)
    used: list[ImportedSystem] = []
    for system in systems:
        whole = re.escape(str(system.definition["id"]))
        names = [
            one
            for one in system.credentials
            if re.search(rf"\b{whole}_{re.escape(one)}\b", text) is not None
        ]
        if names:
            values = {name: one for name, one in system.values.items() if name in names}
            used.append(replace(system, credentials=tuple(names), values=values))
    return used


class _Reader:
    """Takes the secrets out of tools, one after the other."""

    def __init__(self, notes: NoteList, systems: dict[str, FoundSystem]) -> None:
        self.notes = notes
        self.systems = systems
        #: Keys in code, which no credential can stand for.
        self.elsewhere: list[str] = []
        self._values: set[str] = set()
        self._place = ""
        #: Checksums, which look like keys.
        self._hashes: set[str] = set()

    def refuse(self, place: str) -> None:
        self.notes.add(place, "this is no tool")

    def read(self, definition: JsonObject, place: str) -> JsonObject:
        self._place = place
        tool = self._known(modernise(definition), Tool, place, "")
        steps: list[Json] = []
        for index, step in enumerate(list_of(tool.get("steps"))):
            if not isinstance(step, dict):
                steps.append(step)
                continue
            step = self._known_step(cast("JsonObject", step), place, f"steps[{index}]")
            fields = object_of(step)
            config = object_of(fields.get("config"))
            if config.get("type", "request") == "request" and isinstance(config.get("url"), str):
                config = self._config(dict(config), f"{place}, steps[{index}].config")
                steps.append({**fields, "config": config})
            else:
                steps.append(step)
        if isinstance(tool.get("steps"), list):
            tool["steps"] = steps
        schema = tool.get("inputSchema")
        if isinstance(schema, dict):
            tool["inputSchema"] = self._schema("", cast("JsonObject", schema), place)
        rest = [text for text in _texts(tool) if not parse_template(text).is_only_placeholders]
        sought = (one for text in rest for one in mask_in_text(text))
        found = [one for one in sought if looks_secret(one) and one not in self._hashes]
        if found:
            self._leave_out(found)
            self.notes.add(
                place, "a key in its code or texts is not carried over; name a credential"
            )
        return tool

    def _leave_out(self, values: list[str]) -> None:
        for value in values:
            self._count(value)
        self.elsewhere.extend(values)

    def _count(self, value: str) -> None:
        self._values.add(value)
        if len(self._values) > MOST_SECRETS:
            raise too_many_secrets(self._place)

    def _schema(self, name: str, schema: JsonObject, place: str) -> JsonObject:
        """A schema without values that are secrets: no input may hold one."""
        kept: JsonObject = {}
        for key, value in schema.items():
            if key in _VALUES and holds_secret(name, value):
                self._leave_out(_texts(value))
                self.notes.add(
                    place, f"the {key} of input {name[:80]} looks secret and is left out"
                )
            elif key == "properties" and isinstance(value, dict):
                kept[key] = {
                    inner: self._schema(inner, cast("JsonObject", one), place)
                    if isinstance(one, dict)
                    else one
                    for inner, one in cast("JsonObject", value).items()
                }
            elif key == "items" and isinstance(value, dict):
                kept[key] = self._schema(name, cast("JsonObject", value), place)
            else:
                kept[key] = value
        return kept

    def _known_step(self, step: JsonObject, place: str, path: str) -> JsonObject:
        step = self._known(step, Step, place, path)
        if not isinstance(step.get("config"), dict):
            return step
        config = object_of(step["config"])
        kind = {"transform": TransformConfig, "tool": SubToolConfig}.get(
            text_of(config.get("type")), RequestConfig
        )
        config = self._known(config, kind, place, f"{path}.config")
        if isinstance(config.get("pagination"), dict):
            pages = object_of(config["pagination"])
            config["pagination"] = self._known(
                pages, Pagination, place, f"{path}.config.pagination"
            )
        return {**step, "config": config}

    def _known(
        self, fields: JsonObject, model: type[BaseModel], place: str, path: str
    ) -> JsonObject:
        """The fields that a tool can have; the names of others are noted, not their values."""
        kept = dict(fields)
        for problem in unknown_keys(fields, model, path):
            if problem.severity == "error":
                kept.pop(str(problem.seen))
                self.notes.add(f"{place}, {problem.path[:200]}", "a field that nothing here uses")
        return kept

    def _config(self, config: JsonObject, place: str) -> JsonObject:
        self._origin = origin_of(text_of(config["url"])) or ""
        self._system_id = text_of(config.get("systemId"))
        for key in ("queryParams", "headers"):
            if isinstance(config.get(key), dict):
                config[key] = {
                    name: self._field(name, value) for name, value in object_of(config[key]).items()
                }
            elif isinstance(config.get(key), str):
                config[key] = self._json(text_of(config[key]))
        config["url"] = self._url(text_of(config["url"]), config, place)
        if isinstance(config.get("body"), str):
            body = text_of(config["body"])
            is_json = body.lstrip()[:1] in {"{", "["}
            body = replace_in_urls(self._json(body) if is_json else body, self._in_url)
            pairs = _JSON_PAIR.finditer(body)
            hashes = {one[3].strip('"') for one in pairs if says_no_key(one[1].strip('"'))}
            self._hashes |= hashes
            for one in mask_in_text(body):
                is_literal = not parse_template(one).placeholders and "<<" not in one
                # In JSON, a name and its value are a pair, which is looked at before.
                if is_literal and (not is_json or (looks_secret(one) and one not in hashes)):
                    body = body.replace(one, self._secret("secret", one))
            config["body"] = body
        if self._system_id:
            config["systemId"] = self._system_id
        return config

    def _field(self, name: str, value: Json) -> Json:
        if isinstance(value, list):
            return [self._field(name, one) for one in cast("list[Json]", value)]
        if isinstance(value, int | float) and not isinstance(value, bool):
            return self._named(name, str(value)) if is_secret_name(name) else value
        if not isinstance(value, str):
            return value
        if parse_template(value).placeholders:
            return _COOKIE.sub(self._cookie, value) if name.lower() == "cookie" else value
        is_text = graphql_text({name: value}) is not None or value.lstrip()[:1] in {"{", "["}
        if is_text and not is_secret_name(name):
            replaced = replace_in_literals(value, self._named)
            if replaced != value:
                return replaced
        if is_blank(value):
            return value
        is_key = looks_secret(value) and not says_no_key(name)
        if not (is_secret_name(name) or is_key) or graphql_text({name: value}) is not None:
            return replace_in_urls(value, self._in_url)
        scheme = _SCHEME.fullmatch(value)
        if scheme is not None:
            return scheme[1] + self._secret("token", scheme[2])
        return self._named(name, value)

    def _in_url(self, name: str, value: str) -> str:
        return value if parse_template(value).placeholders else self._named(name, value)

    def _cookie(self, match: re.Match[str]) -> str:
        return match["open"] + self._secret("cookie", match["value"])

    def _json(self, text: str) -> str:
        """A JSON text, or the template of one."""
        text = _NAMED_PAIR.sub(self._named_pair, text)
        return _JSON_PAIR.sub(self._pair, text)

    def _named_pair(self, match: re.Match[str]) -> str:
        """An object that says the name of its value."""
        name, value = match["name"], match["value"]
        if not is_secret_name(name) or is_blank(value) or "<<" in value:
            return match[0]
        return f'{match["open"]}"{self._named(name, value)}"'

    def _pair(self, match: re.Match[str]) -> str:
        """A name with its value in a JSON text, the value a placeholder where it is a secret."""
        try:
            name, value = decode_json(f"[{match[1]}, {match[3]}]".encode("utf-8", "surrogatepass"))
        except ValueError:
            return match[0]
        field = self._field(name, value)
        if field != value and not isinstance(value, str):
            named = encode_json_text(text_of(field).strip("<>"))
            return f"{match[1]}{match[2]}<<(s) => Number(s[{named}])>>"
        return match[0] if field == value else f"{match[1]}{match[2]}{encode_json_text(field)}"

    def _url(self, url: str, config: JsonObject, place: str) -> str:
        if (user := _USER.match(url)) is not None:
            name, _, password = user[2].partition(":")
            pair = (
                self._secret("username", unquote(name)),
                self._secret("password", unquote(password)),
            )
            headers = config.get("headers")
            if not isinstance(headers, str):
                config["headers"] = {
                    **object_of(headers),
                    "Authorization": f"Basic {':'.join(pair)}",
                }
            self.notes.add(place, "user and password of the url are credentials now")
            url = user[1] + url[user.end() :]

        def parameter(match: re.Match[str]) -> str:
            name, value = match["name"], unquote(match["value"])
            if not (is_secret_name(name) or looks_secret(value)) or is_blank(value):
                return match[0]
            return f"{match['open']}{name}={self._secret(credential_name(name), value)}"

        base, mark, query = url.partition("?")
        base = replace_in_urls(base, self._in_url)
        base = "/".join(
            self._secret("path_secret", unquote(one)) if looks_secret(unquote(one)) else one
            for one in base.split("/")
        )
        return base + _PARAMETER.sub(parameter, mark + query)

    def _named(self, name: str, value: str) -> str:
        return self._secret(credential_name(name), value)

    def _secret(self, wanted: str, value: str) -> str:
        """The placeholder of a credential of the step's system."""
        self._count(value)
        if not self._system_id:
            self._system_id = system_id_of(urlsplit(self._origin).netloc or "imported")
        system = self.systems.setdefault(
            self._system_id, FoundSystem(self._system_id, self._origin or None)
        )
        return f"<<{self._system_id}_{system.credential(wanted, value)}>>"


def _texts(value: Json) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for one in object_of(value).values() for text in _texts(one)]
    return [text for one in list_of(value) for text in _texts(one)]
