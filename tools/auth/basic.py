"""`Authorization: Basic` (RFC 7617)."""

import base64

from tools.auth.headers import with_header
from tools.http import OutgoingRequest

__all__ = ["with_basic"]


def with_basic(request: OutgoingRequest, username: str, password: str) -> OutgoingRequest:
    """The request with user and password."""
    pair = base64.b64encode(f"{username}:{password}".encode()).decode()
    return with_header(request, "Authorization", f"Basic {pair}")
