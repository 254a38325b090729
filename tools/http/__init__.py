"""The upstream side of HTTP: one pooled client, one request and its answer."""

from tools.http.client import HttpClient, NotSentError, OutgoingRequest, Received

__all__ = ["HttpClient", "NotSentError", "OutgoingRequest", "Received"]
