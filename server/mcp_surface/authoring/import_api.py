"""`import_api`: tools for the operations of an API, from its OpenAPI document."""

from server.importing import fetch_document, import_document, is_url, shown_url
from server.mcp_surface.authoring.tool import (
    Asking,
    authoring_tool,
    client_name_of,
)
from server.mcp_surface.own_tool import OwnToolError
from server.service import Service
from storage.tools import ToolChangedError, ToolExistsError
from tools.importers import DocumentError
from tools.importers.openapi import OpenApiOptions
from tools.json_text import Json, JsonObject

__all__ = ["IMPORT_API"]

#: Entries of each list that are shown; the counts say how many there are.
_MOST_SHOWN = 30
_LISTS = (
    "added",
    "changed",
    "removed",
    "unchanged",
    "edited",
    "pagination",
    "renamedInputs",
    "notCarriedOver",
)


async def _import_api(service: Service, arguments: JsonObject, asking: Asking) -> JsonObject:
    url: str = arguments["url"]
    if not is_url(url):
        raise OwnToolError("url is no http url; a file is imported with `callslip import`")
    try:
        fetched = await fetch_document(service, url)
        options = OpenApiOptions(
            arguments.get("system"),
            arguments.get("include", ()),
            arguments.get("tags", ()),
            arguments.get("folder"),
            base_url=fetched.url,
        )
        report = await import_document(
            service,
            fetched.content,
            options,
            shown_url(url),
            dry_run=arguments.get("dryRun", True),
            client_name=client_name_of(asking),
        )
    except (DocumentError, ToolChangedError, ToolExistsError) as error:
        raise OwnToolError(str(error)) from None
    answer = report.wire()
    for name in _LISTS:
        answer[name] = _some(answer[name])
    if report.dry_run:
        answer["next"] = "Nothing was stored. Call it again with dryRun false, or choose fewer."
        if taken := report.system.get("takenId"):
            answer["next"] += f" The system {taken} is of another API; if it is this one, name it."
    elif any(not one["isSet"] for one in report.system["credentials"]):
        answer["next"] = "A person has to set the credentials with the commands in `system`."
    return answer


def _some(entries: list[Json]) -> list[Json]:
    return entries[:_MOST_SHOWN]


_TEXTS: JsonObject = {"type": "array", "items": {"type": "string", "minLength": 1}}
_ENTRIES: JsonObject = {"type": "array", "items": {"type": "object"}}

IMPORT_API = authoring_tool(
    "import_api",
    "Import an API",
    "Makes a stored tool of each operation of an OpenAPI 3.0 or 3.1 or Swagger 2.0 document, and a "
    "system with the names of the credentials that a person sets. Without dryRun false it only "
    "says what it would do. Called again, it updates what changed; tools that were edited stay.",
    {
        "url": {"type": "string", "description": "Where the document is: JSON or YAML."},
        "system": {
            "type": "string",
            "pattern": "^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$",
            "description": "Id of the system; else the title of the API gives one.",
        },
        "include": {
            **_TEXTS,
            "description": "Only these paths, `METHOD /path` or operationIds; * and ? match.",
        },
        "tags": {**_TEXTS, "description": "Only operations with one of these tags."},
        "folder": {"type": "string", "minLength": 1, "description": "Folder of the tools."},
        "dryRun": {"type": "boolean", "default": True},
    },
    ["url"],
    _import_api,
    output={
        "type": "object",
        "properties": {
            "source": {"type": "string"},
            "format": {"type": "string"},
            "title": {"type": "string"},
            "dryRun": {"type": "boolean"},
            "counts": {
                "type": "object",
                "description": f"How many there are; lists show {_MOST_SHOWN}.",
            },
            "system": {"type": "object"},
            **dict.fromkeys(_LISTS, _ENTRIES),
            "notCarriedOverLeftOut": {"type": "integer"},
            "next": {"type": "string"},
        },
        "required": ["dryRun", "counts", "system"],
    },
    destructive=True,
    open_world=True,
)
