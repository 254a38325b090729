"""HTTP digest (RFC 7616): answers the server's challenge."""

from dataclasses import replace

from tools.http import OutgoingRequest

__all__ = ["with_digest"]


def with_digest(request: OutgoingRequest, username: str, password: str) -> OutgoingRequest:
    """The request with an answer to the challenge that its first attempt gets."""
    return replace(request, digest=(username, password))
