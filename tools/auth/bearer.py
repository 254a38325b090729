"""`Authorization: Bearer` (RFC 6750)."""

from tools.auth.headers import with_header
from tools.http import OutgoingRequest

__all__ = ["with_bearer"]


def with_bearer(request: OutgoingRequest, token: str) -> OutgoingRequest:
    """The request with a bearer token."""
    return with_header(request, "Authorization", f"Bearer {token}")
