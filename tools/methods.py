"""The HTTP methods a step may use, and what each of them means (RFC 9110, section 9).

QUERY reads, as GET does, and is asked with a body: draft-ietf-httpbis-safe-method-w-body.
"""

__all__ = ["METHODS", "METHODS_WITH_BODY", "READING_METHODS", "REPEATABLE_METHODS"]

METHODS = ("GET", "HEAD", "OPTIONS", "QUERY", "POST", "PUT", "PATCH", "DELETE")
READING_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "QUERY"})
#: A second request has no second effect.
REPEATABLE_METHODS = READING_METHODS | {"PUT", "DELETE"}
#: With the others a body means nothing; none is sent.
METHODS_WITH_BODY = frozenset(METHODS) - {"GET", "HEAD", "OPTIONS"}
