"""A key in a header or a query parameter of its own."""

from dataclasses import replace
from urllib.parse import quote_plus, unquote_plus

from tools.auth.headers import with_header
from tools.http import OutgoingRequest
from tools.system import ApiKeyAuth

__all__ = ["with_api_key"]


def with_api_key(request: OutgoingRequest, auth: ApiKeyAuth, key: str) -> OutgoingRequest:
    """The request with the key where the upstream wants it."""
    if auth.place == "header":
        return with_header(request, auth.name, key)
    url, _, fragment = request.url.partition("#")
    base, _, query = url.partition("?")
    kept = [
        pair
        for pair in query.split("&")
        if pair and unquote_plus(pair.partition("=")[0]) != auth.name
    ]
    parameters = "&".join([*kept, f"{quote_plus(auth.name)}={quote_plus(key)}"])
    return replace(request, url=f"{base}?{parameters}" + (f"#{fragment}" if fragment else ""))
