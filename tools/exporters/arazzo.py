"""Tools as an Arazzo 1.0 document with the OpenAPI operations that its steps are.

A workflow names operations of a description. The steps have none, so that one is written with them,
as a `data:` url in `sourceDescriptions`.
"""

import base64
import re
from collections.abc import Mapping, Sequence
from typing import cast
from urllib.parse import parse_qsl, urlsplit

from tools.exporters import Exported
from tools.exporters.expressions import translated, without_code
from tools.importers.openapi.words import object_of
from tools.importers.text import json_with_references, only_reference, readable, reference
from tools.json_text import Json, JsonObject, encode_json
from tools.model import RequestConfig, Step, SubToolConfig, Tool
from tools.scripts import js_text
from tools.system import ApiKeyAuth, BasicAuth, BearerAuth, DigestAuth, System

__all__ = ["export_arazzo"]

_ID = re.compile(r"[^A-Za-z0-9_-]+")
_SOURCE = "requests"


def export_arazzo(tools: Sequence[Tool], systems: Mapping[str, System]) -> Exported:
    """One workflow a tool; what a workflow cannot say is left out and named."""
    writer = _Writer(systems)
    workflows = [workflow for tool in tools if (workflow := writer.workflow(tool)) is not None]
    description = encode_json(writer.description())
    document: JsonObject = {
        "arazzo": "1.0.1",
        "info": {"title": "Stored tools", "version": "1.0.0"},
        "sourceDescriptions": [
            {
                "name": _SOURCE,
                "url": "data:application/json;base64," + base64.b64encode(description).decode(),
                "type": "openapi",
            }
        ],
        "workflows": workflows,
    }
    return Exported(document, tuple(dict.fromkeys(writer.left_out)))


class _Writer:
    """Writes workflows, and the operations that they name."""

    def __init__(self, systems: Mapping[str, System]) -> None:
        self._systems = systems
        self._paths: JsonObject = {}
        self._schemes: JsonObject = {}
        #: The server of the first operation; others name theirs.
        self._server = ""
        self.left_out: list[str] = []

    def description(self) -> JsonObject:
        document: JsonObject = {
            "openapi": "3.1.0",
            "info": {"title": "Requests of stored tools", "version": "1.0.0"},
            "paths": self._paths,
        }
        if self._server:
            document["servers"] = [{"url": self._server}]
        if self._schemes:
            document["components"] = {"securitySchemes": self._schemes}
        return document

    def workflow(self, tool: Tool) -> JsonObject | None:
        steps: list[JsonObject] = []
        known: dict[str, str] = {}
        for step in tool.steps:
            place = f"{tool.id}, step {step.id}"
            match step.config:
                case RequestConfig():
                    steps.append(self._step(tool, step, step.config, known, place))
                case SubToolConfig() as config:
                    steps.append(self._child(step, config, known, place))
                case _:
                    self.left_out.append(f"{place}: a transform has no place in a workflow")
                    continue
            known[step.id] = _plain(step.id)
        if tool.output_transform is not None:
            self.left_out.append(f"{tool.id}: outputTransform is code, which a workflow has not")
        if tool.response_filters:
            self.left_out.append(f"{tool.id}: responseFilters have no place in a workflow")
        if not steps:
            self.left_out.append(f"{tool.id}: it has no step that a workflow could have")
            return None
        workflow: JsonObject = {"workflowId": _plain(tool.id)}
        if tool.instruction or tool.name:
            workflow["summary"] = tool.name or tool.instruction
        if tool.instruction:
            workflow["description"] = tool.instruction
        if tool.input_schema:
            workflow["inputs"] = tool.input_schema
        workflow["steps"] = steps
        last = steps[-1]["stepId"]
        workflow["outputs"] = {"result": f"$steps.{last}.outputs.data"}
        return workflow

    def _child(
        self, step: Step, config: SubToolConfig, known: Mapping[str, str], place: str
    ) -> JsonObject:
        parameters: list[JsonObject] = []
        if isinstance(config.inputs, str):
            self.left_out.append(f"{place}: its inputs are made by a template")
        else:
            for name, value in object_of(config.inputs).items():
                parameters.append(
                    {"name": name, "value": self._json(value, known, f"{place}, {name}")}
                )
        fields: JsonObject = {"stepId": _plain(step.id), "workflowId": _plain(config.tool_id)}
        if parameters:
            fields["parameters"] = parameters
        fields["outputs"] = {"data": "$outputs.result"}
        return fields

    def _step(
        self,
        tool: Tool,
        step: Step,
        config: RequestConfig,
        known: Mapping[str, str],
        place: str,
    ) -> JsonObject:
        operation_id = f"{_plain(tool.id)}.{_plain(step.id)}"
        parameters: list[JsonObject] = []
        path, server = self._target(config, parameters, known, place)
        for where, templates in (("query", config.query_params), ("header", config.headers)):
            if isinstance(templates, str):
                self.left_out.append(f"{place}: its {where} parameters are made by a template")
                continue
            for name, value in object_of(templates).items():
                if where == "header" and name.lower() in {"content-type", "accept"}:
                    continue
                given = self._json(value, known, f"{place}, {where} parameter {name}")
                if given is not None:
                    parameters.append({"name": name, "in": where, "value": given})
        fields: JsonObject = {"stepId": _plain(step.id), "operationId": operation_id}
        if step.instruction:
            fields["description"] = step.instruction
        if parameters:
            fields["parameters"] = parameters
        media_type = self._media_type(config)
        inputs = object_of(object_of(tool.input_schema).get("properties"))
        body = self._body(config, known, place) if config.body else None
        if body is not None:
            fields["requestBody"] = {"contentType": media_type, "payload": body}
        fields["successCriteria"] = [{"condition": "$statusCode < 400"}]
        fields["outputs"] = {"data": "$response.body"}
        self._add_operation(
            operation_id, config, path, server, parameters, media_type, inputs, place
        )
        for name, reason in (
            ("data_selector", "a loop has no place in a workflow"),
            ("failure_behavior", "a step that may fail has no place in a workflow"),
        ):
            if getattr(step, name) not in (None, "fail"):
                self.left_out.append(f"{place}: {reason}")
        if config.pagination is not None and config.pagination.type != "disabled":
            self.left_out.append(f"{place}: pagination has no place in a workflow")
        return fields

    def _target(
        self,
        config: RequestConfig,
        parameters: list[JsonObject],
        known: Mapping[str, str],
        place: str,
    ) -> tuple[str, str]:
        """The path with its parameters, and the server."""
        written = translated(config.url, reference)
        if written is None:
            self.left_out.append(f"{place}: its url holds code")
            return "/", ""
        system = self._systems.get(config.system_id or "")
        server = system.url.rstrip("/") if system is not None else ""
        if not written.startswith("/"):
            parts = urlsplit(written)
            server = f"{parts.scheme}://{parts.netloc}"
            server = readable(server, lambda name: f"{{{_plain(name)}}}")
            written = written.partition("://")[2].removeprefix(parts.netloc) or "/"
        path, _, query = written.partition("?")
        for name, value in parse_qsl(query, keep_blank_values=True):
            given = self._expression(value, known, f"{place}, query parameter {name}")
            parameters.append({"name": name, "in": "query", "value": given})

        def parameter(name: str) -> str:
            plain = _plain(name)
            given = self._expression(reference(name), known, f"{place}, path parameter {name}")
            if all(one["name"] != plain or one["in"] != "path" for one in parameters):
                parameters.append({"name": plain, "in": "path", "value": given})
            return f"{{{plain}}}"

        return readable(path, parameter), server

    def _media_type(self, config: RequestConfig) -> str:
        headers = object_of(config.headers)
        given = next(
            (js_text(value) for name, value in headers.items() if name.lower() == "content-type"),
            "",
        )
        return given or "application/json"

    def _body(self, config: RequestConfig, known: Mapping[str, str], place: str) -> Json:
        written = translated(without_code(config.body or ""), reference)
        if written is None:
            self.left_out.append(f"{place}: its body holds code")
            return None
        try:
            value = json_with_references(written)
        except ValueError:
            return self._expression(written, known, f"{place}, body")
        return self._walk(value, known, f"{place}, body")

    def _walk(self, value: Json, known: Mapping[str, str], place: str) -> Json:
        if isinstance(value, dict):
            members = cast("JsonObject", value).items()
            return {name: self._walk(one, known, place) for name, one in members}
        if isinstance(value, list):
            return [self._walk(one, known, place) for one in cast("list[Json]", value)]
        return self._expression(value, known, place) if isinstance(value, str) else value

    def _json(self, value: Json, known: Mapping[str, str], place: str) -> Json:
        """A value of templates with runtime expressions in their places."""
        if isinstance(value, dict):
            members = cast("JsonObject", value).items()
            return {name: self._json(one, known, place) for name, one in members}
        if isinstance(value, list):
            return [self._json(one, known, place) for one in cast("list[Json]", value)]
        if not isinstance(value, str):
            return value
        written = translated(value, reference)
        if written is None:
            self.left_out.append(f"{place}: it holds code")
            return None
        return self._expression(written, known, place)

    def _expression(self, text: str, known: Mapping[str, str], place: str) -> str:
        def shown(name: str) -> str:
            return self._runtime(name.removeprefix("="), known, place)

        whole = only_reference(text)
        if whole is not None:
            return shown(whole)
        return readable(text, lambda name: f"{{{shown(name)}}}")

    def _runtime(self, name: str, known: Mapping[str, str], place: str) -> str:
        first, _, rest = name.removeprefix("$.").partition(".")
        if first in known:
            inner = rest.removeprefix("data").lstrip(".")
            pointer = "".join(f"/{part}" for part in re.findall(r"[^.\[\]]+", inner))
            data = f"$steps.{known[first]}.outputs.data"
            return f"{data}#{pointer}" if pointer else data
        for system_id in self._systems:
            if name.startswith(f"{system_id}_"):
                self.left_out.append(f"{place}: the credential is an input `{_plain(name)}`")
                return f"$inputs.{_plain(name)}"
        pointer = "".join(f"/{part}" for part in re.findall(r"[^.\[\]]+", rest))
        return f"$inputs.{first}#{pointer}" if pointer else f"$inputs.{first}"

    def _add_operation(
        self,
        operation_id: str,
        config: RequestConfig,
        path: str,
        server: str,
        parameters: Sequence[JsonObject],
        media_type: str,
        inputs: JsonObject,
        place: str,
    ) -> None:
        method = config.method.lower()
        item = self._paths.setdefault(path, {})
        while method in item:
            # Paths have one operation a method; a fragment makes another one of the same path.
            path = f"{path}#{operation_id}"
            item = self._paths.setdefault(path, {})
        operation: JsonObject = {"operationId": operation_id}
        self._server = self._server or server
        if server and server != self._server:
            operation["servers"] = [{"url": server}]
        described: list[JsonObject] = [
            {
                "name": one["name"],
                "in": one["in"],
                "required": one["in"] == "path",
                "schema": _schema_of(one["value"], inputs),
            }
            for one in parameters
        ]
        if described:
            operation["parameters"] = described
        if config.body:
            operation["requestBody"] = {"content": {media_type: {}}}
        operation["responses"] = {"default": {"description": "The answer."}}
        security = self._security(config.system_id, place)
        if security is not None:
            operation["security"] = [{security: []}]
        item[method] = operation

    def _security(self, system_id: str | None, place: str) -> str | None:
        system = self._systems.get(system_id or "")
        if system is None or system.auth is None:
            return None
        scheme: JsonObject
        match system.auth:
            case BearerAuth():
                scheme = {"type": "http", "scheme": "bearer"}
            case BasicAuth():
                scheme = {"type": "http", "scheme": "basic"}
            case DigestAuth():
                scheme = {"type": "http", "scheme": "digest"}
            case ApiKeyAuth() as auth:
                scheme = {"type": "apiKey", "in": auth.place, "name": auth.name}
            case other:
                self.left_out.append(f"{place}: the sign-in {other.type} is not exported")
                return None
        name = _plain(system.id)
        self._schemes[name] = scheme
        return name


def _schema_of(value: Json, inputs: JsonObject) -> JsonObject:
    """The type of a parameter: that of its input, or a text."""
    name = value.removeprefix("$inputs.") if isinstance(value, str) else ""
    kind = object_of(inputs.get(name)).get("type")
    return {"type": kind if isinstance(kind, str) else "string"}


def _plain(name: str) -> str:
    return _ID.sub("_", name)
