"""Where an API is: servers with their variables, and host and base path of Swagger 2.0."""

from typing import Any
from urllib.parse import urljoin, urlsplit

from tools.importers import NoteList
from tools.importers.openapi.references import Place
from tools.importers.openapi.words import list_of, object_of, text_of
from tools.json_text import Json, JsonObject
from tools.urls import origin_of

__all__ = ["first_server", "swagger_server"]


def first_server(servers: Json, place: Place, base_url: str | None, notes: NoteList) -> str | None:
    """The absolute url of the first server; None when there is none. The others are noted."""
    listed = list_of(servers)
    if not listed:
        return None
    for index, other in enumerate(listed[1:], start=1):
        notes.add(place / index, f"the first server is used, not {_shown(other)}")
    at = place / 0
    server = object_of(listed[0])
    url = text_of(server.get("url"))
    for name, variable in object_of(server.get("variables")).items():
        fields = object_of(variable)
        value = str(fields.get("default", next(iter(list_of(fields.get("enum"))), "")))
        url = url.replace(f"{{{name}}}", value)
        notes.add(at / "variables" / name, f"the variable is set to {value[:80]!r} in the url")
    if "{" in url:
        notes.add(at / "url", f"the server {url[:80]} has a variable without a value")
        return None
    return _absolute(url, base_url, at / "url", notes)


def swagger_server(root: JsonObject, base_url: str | None, notes: NoteList) -> str | None:
    """The url of a Swagger 2.0 API; None when the document does not say."""
    base = urlsplit(base_url) if base_url else None
    schemes = [one for one in list_of(root.get("schemes")) if one in ("https", "http")]
    scheme = "https" if "https" in schemes else next(iter(schemes), None)
    host = text_of(root.get("host")) or (base.netloc if base else "")
    if not host:
        notes.add(Place(), "it names no host; set the url of the system")
        return None
    scheme = scheme or (base.scheme if base else "https")
    path = text_of(root.get("basePath")).strip("/")
    place = Place() / ("host" if "host" in root else "basePath")
    return _absolute(f"{scheme}://{host}/{path}", base_url, place, notes)


def _absolute(url: str, base_url: str | None, place: Place, notes: NoteList) -> str | None:
    try:
        url = urljoin(base_url, url) if base_url else url
        parts: Any = urlsplit(url)
    except ValueError:
        parts = None
    if parts is None or origin_of(url) is None or "@" in parts.netloc:
        notes.add(place, f"{url[:120]!r} is no absolute http url; set the url of the system")
        return None
    if parts.query or parts.fragment:
        notes.add(place, "query and fragment of the server's url are left out")
    return f"{parts.scheme}://{parts.netloc}{parts.path}".rstrip("/")


def _shown(server: Json) -> str:
    return text_of(object_of(server).get("url"))[:120] or "one without a url"
