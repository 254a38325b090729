"""Ways of signing in to a system: one file a kind, one line each in `authorize`.

A kind takes a rendered request and gives it back with its credentials on it. What needs more than
the credentials (tokens) comes from the caller as a port.
"""

from collections.abc import Awaitable, Callable
from typing import assert_never

from tools.auth.api_key import with_api_key
from tools.auth.aws_sigv4 import with_aws_signature
from tools.auth.basic import with_basic
from tools.auth.bearer import with_bearer
from tools.auth.digest import with_digest
from tools.auth.missing import missing_credential
from tools.errors import ErrorKind, RunError
from tools.http import OutgoingRequest
from tools.system import (
    ApiKeyAuth,
    AwsSigV4Auth,
    BasicAuth,
    BearerAuth,
    DigestAuth,
    OAuth2Auth,
    System,
)
from tools.urls import origin_of

__all__ = ["TokenPort", "authorize"]

#: Gives the access token of a system; `rejected` is one that the upstream did not take.
TokenPort = Callable[[System, str | None], Awaitable[str]]


async def authorize(
    request: OutgoingRequest, system: System, access_token: TokenPort, *, rejected: str | None
) -> OutgoingRequest:
    """The request with the system's authentication.

    Raises `RunError` of kind `credential` when one is missing, or when the request would take it to
    an origin that is not the system's.
    """
    auth = system.auth
    if auth is None:
        return request
    if not system.may_receive_credentials(origin_of(request.url)):
        raise RunError(
            ErrorKind.CREDENTIAL,
            f"the credentials of system {system.id} do not go to {origin_of(request.url)}",
            hint="add the origin to allowedOrigins of the system, if that is meant",
        )
    match auth:
        case BearerAuth():
            return with_bearer(request, _required(system, auth.credential))
        case BasicAuth():
            username = _required(system, auth.username)
            return with_basic(request, username, _required(system, auth.password))
        case ApiKeyAuth():
            return with_api_key(request, auth, _required(system, auth.credential))
        case OAuth2Auth():
            return with_bearer(request, await access_token(system, rejected))
        case DigestAuth():
            username = _required(system, auth.username)
            return with_digest(request, username, _required(system, auth.password))
        case AwsSigV4Auth():
            token = auth.session_token
            return with_aws_signature(
                request,
                auth,
                _required(system, auth.access_key_id),
                _required(system, auth.secret_access_key),
                _required(system, token) if token is not None else None,
            )
        case _:
            assert_never(auth)


def _required(system: System, name: str) -> str:
    value = system.credentials.get(name)
    if not value:
        raise missing_credential(system, name)
    return value
