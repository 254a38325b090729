"""Where an API is: servers with their variables, and host and base path of Swagger 2.0."""

from typing import Any
from urllib.parse import urljoin, urlsplit, urlunsplit

from tools.importers import NoteList
from tools.importers.openapi.masking import without_secrets
from tools.importers.openapi.references import Place
from tools.importers.openapi.secret_values import is_secret
from tools.importers.openapi.words import list_of, object_of, shown_url, text_of
from tools.json_text import Json, JsonObject
from tools.urls import origin_of

__all__ = ["first_server", "swagger_server", "without_user"]


def first_server(servers: Json, place: Place, base_url: str | None, notes: NoteList) -> str | None:
    """The absolute url of the first server that has one; None when none has. The others are noted.

    It names no user, whatever the document says.
    """
    found: str | None = None
    found_at = 0
    for index, server in enumerate(list_of(servers)):
        if found is None:
            found, found_at = _server_url(object_of(server), place / index, base_url, notes), index
        else:
            which = "first" if found_at == 0 else "first usable"
            notes.add(place / index, f"the {which} server is used, not {_shown(server)}")
    return found


def _server_url(server: JsonObject, at: Place, base_url: str | None, notes: NoteList) -> str | None:
    url = text_of(server.get("url"))
    for name, variable in object_of(server.get("variables")).items():
        fields = object_of(variable)
        value = str(fields.get("default", next(iter(list_of(fields.get("enum"))), "")))
        if is_secret(name, value):
            notes.add(at / "variables" / name, "its value may be a secret and is left out")
            continue
        url = url.replace(f"{{{name}}}", value)
        notes.add(at / "variables" / name, f"the variable is set to {value[:80]!r} in the url")
    if "{" in url:
        notes.add(at / "url", f"the server {shown_url(url)} has a variable without a value")
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


def without_user(url: str | None) -> str | None:
    """A url that names neither a user nor a password."""
    if url is None or "@" not in url:
        return url
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _absolute(url: str, base_url: str | None, place: Place, notes: NoteList) -> str | None:
    try:
        url = urljoin(base_url, url) if base_url else url
        parts: Any = urlsplit(url)
    except ValueError:
        parts = None
    if parts is None or origin_of(url) is None:
        shown = shown_url(url)
        notes.add(
            place, f"{shown!r} is no absolute http url; if no other is, set the url of the system"
        )
        return None
    if "@" in parts.netloc:
        notes.add(place, "user and password of the server's url are left out")
    if parts.query or parts.fragment:
        notes.add(place, "query and fragment of the server's url are left out")
    url = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}".rstrip("/")
    if without_secrets(url) != url:
        notes.add(place, "the server's url may hold a secret; it is not used")
        return None
    return url


def _shown(server: Json) -> str:
    return shown_url(text_of(object_of(server).get("url"))) or "one without a url"
