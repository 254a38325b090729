"""How a collection, a folder or a request signs in."""

from collections.abc import Callable

from tools.importers import NoteList
from tools.importers.openapi.references import Place
from tools.importers.openapi.words import list_of, object_of, text_of
from tools.importers.postman.variables import as_text, with_references
from tools.importers.requests import SeenAuth
from tools.json_text import Json, JsonObject
from tools.urls import origin_of

__all__ = ["read_auth"]


def read_auth(
    given: Json, place: Place, notes: NoteList, fill: Callable[[str, Place], str]
) -> SeenAuth | None:
    """The sign-in of an auth block; None for `noauth` and for kinds that are not carried over.

    `fill` gives a text, which stands at a place, with the values of its variables.
    """
    fields = object_of(given)
    kind = text_of(fields.get("type"))
    if kind in {"", "noauth"}:
        return None
    values = _values(fields.get(kind))

    def value(name: str) -> str:
        return values.get(name, "")

    match kind:
        case "bearer":
            return SeenAuth("bearer", {"token": value("token")})
        case "basic" | "digest":
            pair = {"username": value("username"), "password": value("password")}
            return SeenAuth(kind, pair)
        case "apikey":
            where = "query" if value("in") == "query" else "header"
            name = value("key") or "X-Api-Key"
            return SeenAuth("apiKey", {"api_key": value("value")}, {"in": where, "name": name})
        case "awsv4":
            keys = {"access_key_id": value("accessKey"), "secret_access_key": value("secretKey")}
            if value("sessionToken"):
                keys["session_token"] = value("sessionToken")
            settings: JsonObject = {
                "region": value("region") or "us-east-1",
                "service": value("service") or "execute-api",
            }
            return SeenAuth("aws_sigv4", keys, settings)
        case "oauth2":
            return _oauth(values, place, notes, fill)
        case _:
            shown = kind if kind.isalnum() else "of this kind"
            notes.add(place, f"the sign-in {shown[:40]} is not carried over")
            return None


def _oauth(
    values: dict[str, str], place: Place, notes: NoteList, fill: Callable[[str, Place], str]
) -> SeenAuth:
    token_url = fill(values.get("accessTokenUrl", ""), place)
    if values.get("grant_type") == "client_credentials" and origin_of(token_url) is not None:
        settings: JsonObject = {"grant": "client_credentials", "tokenUrl": token_url}
        if scopes := fill(values.get("scope", ""), place).split():
            settings["scopes"] = scopes
        keys = {
            "client_id": values.get("clientId", ""),
            "client_secret": values.get("clientSecret", ""),
        }
        return SeenAuth("oauth2", keys, settings)
    notes.add(place, "OAuth 2 of this grant is not carried over; its token is used as it is")
    return SeenAuth("bearer", {"token": values.get("accessToken", "")})


def _values(given: Json) -> dict[str, str]:
    """Version 2.1 writes a list of keys and values, 2.0 an object."""
    if isinstance(given, list):
        pairs = [(one.get("key"), one.get("value")) for one in map(object_of, list_of(given))]
    else:
        pairs = list(object_of(given).items())
    return {as_text(key): with_references(as_text(value)) for key, value in pairs}
