"""OAuth 2 tokens (RFC 6749): asked for with what a system has, as plain requests."""

import base64
import hashlib
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import quote_plus, urlencode

from tools.addresses import AddressPolicy
from tools.auth.missing import missing_credential
from tools.errors import ErrorKind, RunError
from tools.http import HttpClient, OutgoingRequest
from tools.json_text import JsonObject, decode_json
from tools.redaction import Redactor
from tools.system import OAuth2Auth, System

__all__ = ["Pkce", "Token", "authorization_url", "request_token"]

_TOKEN_TIMEOUT_SECONDS = 30.0
_EXCERPT_CHARACTERS = 500
#: Fields of the form that are secrets of their own.
_SECRET_FIELDS = ("refresh_token", "code", "code_verifier")
#: Tokens are renewed this long before they end.
EXPIRY_SKEW_SECONDS = 60.0


@dataclass(frozen=True, repr=False)
class Token:
    """An access token; `expires_at` is seconds since the epoch, None when nothing was said."""

    access_token: str
    expires_at: float | None
    refresh_token: str | None = None

    def is_fresh(self) -> bool:
        """Whether it lasts for a request or two."""
        return self.expires_at is None or time.time() < self.expires_at - EXPIRY_SKEW_SECONDS

    def wire(self) -> JsonObject:
        """For sealing only."""
        return {
            "accessToken": self.access_token,
            "expiresAt": self.expires_at,
            "refreshToken": self.refresh_token,
        }

    @classmethod
    def of(cls, wire: JsonObject) -> "Token":
        return cls(wire["accessToken"], wire["expiresAt"], wire["refreshToken"])


@dataclass(frozen=True, repr=False)
class Pkce:
    """A proof key (RFC 7636): the verifier stays here, its challenge goes out."""

    verifier: str

    @classmethod
    def new(cls) -> "Pkce":
        return cls(secrets.token_urlsafe(48))

    @property
    def challenge(self) -> str:
        digest = hashlib.sha256(self.verifier.encode()).digest()
        return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def authorization_url(
    system: System, auth: OAuth2Auth, *, redirect_uri: str, state: str, pkce: Pkce
) -> str:
    """Where a person signs in and consents."""
    parameters = {
        "response_type": "code",
        "client_id": _credential(system, auth.client_id),
        "redirect_uri": redirect_uri,
        "state": state,
        "code_challenge": pkce.challenge,
        "code_challenge_method": "S256",
    }
    if auth.scopes:
        parameters["scope"] = " ".join(auth.scopes)
    base = auth.authorization_url or ""
    return f"{base}{'&' if '?' in base else '?'}{urlencode(parameters)}"


async def request_token(
    system: System,
    auth: OAuth2Auth,
    http: HttpClient,
    form: Mapping[str, str],
    policy: AddressPolicy,
) -> Token:
    """Ask the token endpoint; `form` holds `grant_type` and what belongs to it.

    Raises `RunError` of kind `credential` with the server's own words.
    """
    fields = dict(form)
    # Some servers repeat in their errors what they were sent.
    redactor = Redactor(
        {f"{system.id}.{name}": value for name, value in system.credentials.items()}
        | {f"{system.id}.{name}": fields[name] for name in _SECRET_FIELDS if name in fields}
    )
    headers = [
        ("Content-Type", "application/x-www-form-urlencoded"),
        ("Accept", "application/json"),
    ]
    client_id = _credential(system, auth.client_id)
    secret = _credential(system, auth.client_secret) if auth.client_secret else None
    if auth.client_auth == "basic" and secret is not None:
        pair = f"{quote_plus(client_id)}:{quote_plus(secret)}"
        headers.append(("Authorization", "Basic " + base64.b64encode(pair.encode()).decode()))
    else:
        fields["client_id"] = client_id
        if secret is not None:
            fields["client_secret"] = secret
    request = OutgoingRequest(
        "POST",
        auth.token_url,
        headers,
        urlencode(fields).encode(),
        body_holds_credentials=True,
        holds_credential=redactor.finds,
    )
    received = await http.exchange(request, timeout_seconds=_TOKEN_TIMEOUT_SECONDS, policy=policy)
    answer = _object_of(received.body.whole())
    token = answer.get("access_token")
    if received.status >= 400 or not isinstance(token, str) or not token:
        raise _refused(system, received.status, answer, redactor)
    return _token(answer)


def _object_of(body: bytes) -> JsonObject:
    try:
        answer: Any = decode_json(body)
    except ValueError:
        answer = None
    return cast("JsonObject", answer) if isinstance(answer, dict) else {}


def _token(answer: JsonObject) -> Token:
    expires_in = answer.get("expires_in")
    try:
        expires_at = None if expires_in is None else time.time() + float(expires_in)
    except (TypeError, ValueError):
        expires_at = None
    refresh_token = answer.get("refresh_token")
    return Token(
        answer["access_token"],
        expires_at,
        refresh_token if isinstance(refresh_token, str) else None,
    )


def _refused(system: System, status: int, answer: JsonObject, redactor: Redactor) -> RunError:
    named = [answer.get("error"), answer.get("error_description")]
    words = redactor.text(" - ".join(str(one) for one in named if one))[:_EXCERPT_CHARACTERS]
    words = f": {words}" if words else ""
    return RunError(
        ErrorKind.CREDENTIAL,
        f"system {system.id}: the token endpoint answered {status}{words}",
        hint="check the client's credentials, or sign in again: "
        f"callslip systems login {system.id}",
    )


def _credential(system: System, name: str) -> str:
    value = system.credentials.get(name)
    if not value:
        raise missing_credential(system, name)
    return value
