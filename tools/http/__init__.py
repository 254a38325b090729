"""The upstream side of HTTP: one pooled client, one request and its answer."""

from tools.http.body import Body
from tools.http.client import HttpClient, NotSentError, OutgoingRequest, Received

__all__ = ["Body", "HttpClient", "NotSentError", "OutgoingRequest", "Received"]
