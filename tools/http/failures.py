"""Why an exchange failed, in our words."""

import os

import aiohttp

from tools.errors import ErrorKind, HttpFailure, RunError
from tools.http.client import NotSentError, OutgoingRequest
from tools.urls import origin_of

__all__ = ["failure_of"]


def failure_of(
    error: Exception, request: OutgoingRequest, connect_timeout_seconds: float
) -> RunError:
    """The error of a run for what aiohttp raises.

    https://docs.aiohttp.org/en/stable/client_reference.html#client-exceptions
    """
    origin = origin_of(request.url) or request.url
    http = HttpFailure(method=request.method, url=request.url)
    words = _words(error)
    match error:
        case aiohttp.ClientConnectorCertificateError():
            return RunError(
                ErrorKind.CONNECTION,
                f"the certificate of {origin} is not accepted: {words}",
                hint="check the address; for a CA of your own, name it as tls.ca of the system",
                http=http,
            )
        case aiohttp.ConnectionTimeoutError():
            return RunError(
                ErrorKind.TIMEOUT,
                f"{origin} did not accept a connection within {connect_timeout_seconds:g} s",
                retryable=True,
                http=http,
            )
        case aiohttp.ClientConnectorError() | aiohttp.ClientHttpProxyError():
            return NotSentError(
                ErrorKind.CONNECTION,
                f"cannot connect to {origin}: {words}",
                hint="check that the address is right and the upstream is up",
                retryable=True,
                http=http,
            )
        case aiohttp.InvalidURL() | aiohttp.NonHttpUrlClientError():
            return RunError(
                ErrorKind.CONNECTION, f"{request.url} is not an http or https url", http=http
            )
        case aiohttp.ClientError() | OSError():
            return RunError(
                ErrorKind.CONNECTION,
                f"the connection to {origin} broke: {words}",
                retryable=True,
                http=http,
            )
        case _:
            # A header, a host or a port that HTTP cannot carry.
            return RunError(ErrorKind.CONNECTION, f"the request cannot be sent: {words}", http=http)


def _words(error: Exception) -> str:
    # In aiohttp's own words there is the url too, with the password of a proxy.
    kind = type(error).__name__
    match error:
        case aiohttp.ClientHttpProxyError():
            return f"the proxy answered {error.status} {error.message}"
        case aiohttp.ClientProxyConnectionError():
            return f"the proxy {error.host}:{error.port}: {_reason(error.os_error)}"
        case aiohttp.ClientConnectorCertificateError():
            words = str(error.certificate_error)
        case aiohttp.ClientConnectorError():
            words = _reason(error.os_error)
        case aiohttp.ClientResponseError():
            words = error.message
        case _:
            words = str(error)
    return words or kind


def _reason(error: OSError) -> str:
    """What the system says of a connection that was not made."""
    words = error.strerror or str(error)
    # In the place of the reason, the event loop says the address.
    return os.strerror(error.errno) if error.errno and "Connect call failed" in words else words
