"""Keys typed into a tool: its definition is stored readable, and shown to whoever asks for it."""

import re
from collections.abc import Iterator, Mapping
from typing import Any, cast

from tools.json_text import JsonObject
from tools.model import RequestConfig
from tools.problems import Problem
from tools.templates import parse_template

__all__ = ["holds_issued_key", "literal_secrets"]

_SECRET_HEADERS = frozenset(
    {"authorization", "proxy-authorization", "cookie", "x-api-key", "api-key", "x-auth-token"}
)
#: Names of parameters and headers that hold keys.
_KEY_NAMES = re.compile(
    r"(?:^|[_-])(?:api[_-]?key|apikey|access[_-]?token|auth[_-]?token|client[_-]?secret|password)$",
    re.IGNORECASE,
)
#: What issuers begin their keys with.
_KEYS = re.compile(
    r"""(?<![A-Za-z0-9])(?:
        sk-[A-Za-z0-9_-]{20,} | [sr]k_(?:live|test)_[A-Za-z0-9]{16,}
        | gh[pousr]_[A-Za-z0-9]{30,} | github_pat_[A-Za-z0-9_]{30,} | glpat-[A-Za-z0-9_-]{16,}
        | xox[abeprs]-[A-Za-z0-9-]{16,} | (?:AKIA|ASIA)[A-Z0-9]{16} | AIza[A-Za-z0-9_-]{30,}
        | eyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]+
    )|-----BEGIN[ A-Z]*PRIVATE[ ]KEY-----""",
    re.VERBOSE,
)
_PARAMETER = re.compile(r"[?&]([^=&#]+)=([^&#]*)")


def holds_issued_key(text: str) -> bool:
    """Whether a text holds what begins as an issuer of keys begins them."""
    return _KEYS.search(text) is not None


def literal_secrets(config: RequestConfig, path: str) -> Iterator[Problem]:
    """A warning for each field that holds a key instead of naming a credential.

    The key itself is not shown.
    """
    if _KEYS.search(config.url) or any(
        _KEY_NAMES.search(name) and _is_literal(value)
        for name, value in _PARAMETER.findall(config.url)
    ):
        yield _warning(f"{path}.url")
    for field, fields in (("queryParams", config.query_params), ("headers", config.headers)):
        if isinstance(fields, str):
            if _KEYS.search(fields):
                yield _warning(f"{path}.{field}")
            continue
        for name, value in (fields or cast("JsonObject", {})).items():
            named = _KEY_NAMES.search(name) is not None
            if field == "headers":
                named = named or name.lower() in _SECRET_HEADERS
            texts = [text for text in _texts(value) if text]
            if any(_KEYS.search(text) or (named and _is_literal(text)) for text in texts):
                yield _warning(f"{path}.{field}.{name}")
    if config.body is not None and _KEYS.search(config.body):
        yield _warning(f"{path}.body")


def _warning(path: str) -> Problem:
    return Problem(
        path,
        "a key seems to be written here; tools are stored readable, and so are their runs",
        valid="the name of a credential: <<SYSTEM_name>>",
        hint="make it a credential of a system, and let auth of the system send it or name it",
        severity="warning",
    )


def _is_literal(text: str) -> bool:
    return bool(text.strip()) and not parse_template(text).placeholders


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for element in cast("list[Any]", value):
            yield from _texts(element)
    elif isinstance(value, Mapping):
        for entry in cast("Mapping[str, Any]", value).values():
            yield from _texts(entry)
