"""Requests with one header more."""

from dataclasses import replace

from tools.http import OutgoingRequest

__all__ = ["with_header"]


def with_header(request: OutgoingRequest, name: str, value: str) -> OutgoingRequest:
    """The request with a credential header in place of any of that name."""
    kept = [(key, one) for key, one in request.headers if key.lower() != name.lower()]
    return replace(
        request,
        headers=[*kept, (name, value)],
        credential_headers=request.credential_headers | {name.lower()},
    )
