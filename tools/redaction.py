"""Known secrets taken out of everything that is written or answered.

One implementation for results, step data, exchanges, urls, headers, errors and logs. A secret is
found as it is and in the forms programs give it: base64 in all alignments, URL-encoded,
JSON-escaped. Values shorter than 8 characters are not searched for: they would wreck the data.
"""

import base64
import html
import json
import re
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any, cast
from urllib.parse import quote, quote_plus, unquote_plus

from tools.json_pieces import json_pieces
from tools.json_text import Json, encode_json

__all__ = [
    "MINIMUM_SECRET_LENGTH",
    "REDACTED",
    "Redactor",
    "is_marked",
    "secret_forms",
    "without_user_information",
]

MINIMUM_SECRET_LENGTH = 8
REDACTED = "[redacted]"

_SECRET_HEADERS = frozenset({"authorization", "proxy-authorization", "cookie", "set-cookie"})
_MARK = re.compile(r"\[credential [^\]]+\]|\[redacted\]")
_USER_INFORMATION = re.compile(r"\b([A-Za-z][A-Za-z0-9+.-]*://)[^/?#\s]*@")
#: What encoders of urls leave as it is, beside letters, digits and `_.-~`: strict ones,
#: `encodeURIComponent`, `URLSearchParams`, `encodeURI`, and what browsers leave in a query.
_URL_SAFE = ("", "/", "!*'()", "*", ";,/?:@&=+$!*'()#", "!$'()*,/:;=?@")
#: What encoders of JSON write as `\uXXXX` without need: nothing, Go, .NET.
_JSON_ESCAPED = ("", "<>&", "<>&'+`\"")
_HEX_PAIR = re.compile(r"%[0-9A-F]{2}")
_UNICODE_ESCAPE = re.compile(r"\\u([0-9a-f]{4})")
#: A base64 core shorter than this would match by chance.
_SHORTEST_BASE64 = 8


def is_marked(text: str) -> bool:
    """Whether a text holds the mark of something redacted."""
    return _MARK.search(text) is not None


def without_user_information(text: str) -> str:
    """A text in which no url names a user or a password."""
    return _USER_INFORMATION.sub(rf"\1{REDACTED}@", text)


def secret_forms(secret: str, shortest_base64: int = _SHORTEST_BASE64) -> set[str]:
    """The texts a secret may appear as; base64 of fewer characters is left out."""
    forms = _escaped_forms(secret)
    raw = secret.encode("utf-8", "surrogatepass")
    if not secret.isascii():
        # As programs show it that read header fields as they came over the wire.
        forms |= _escaped_forms(raw.decode("latin-1"))
    for offset in range(3):
        # Only the characters that no neighbouring byte can change.
        text = base64.b64encode(bytes(offset) + raw + bytes(3)).decode()
        core = text[-(-offset * 8 // 6) : (offset + len(raw)) * 8 // 6]
        if len(core) >= shortest_base64:
            forms |= _escaped_forms(core) | {core.replace("+", "-").replace("/", "_")}
    return forms


def _escaped_forms(text: str) -> set[str]:
    """A text as the encoders of different languages write it in urls, JSON and HTML."""
    forms = {text, html.escape(text), html.escape(text, quote=False)}
    forms.add(html.escape(text).replace("&#x27;", "&#39;").replace("&quot;", "&#34;"))
    for safe in _URL_SAFE:
        # JSON can hold halves of surrogate pairs.
        for quoted in (quote, quote_plus):
            encoded = quoted(text, safe=safe, errors="surrogatepass")
            for one in (encoded, encoded.replace("~", "%7E")):
                forms |= {one, _HEX_PAIR.sub(lambda match: match[0].lower(), one)}
    for ascii_only in (True, False):
        for escaped in _JSON_ESCAPED:
            written = "".join(
                f"\\u{ord(one):04x}"
                if one in escaped
                else json.dumps(one, ensure_ascii=ascii_only)[1:-1]
                for one in text
            )
            for one in (written, written.replace("/", "\\/")):
                forms |= {one, _UNICODE_ESCAPE.sub(lambda match: "\\u" + match[1].upper(), one)}
    return forms


class Redactor:
    """Replaces secrets by `[credential <name>]`.

    `secrets` maps names (`<system>.<name>`) to values; the values of the headers and query
    parameters named are always replaced.
    """

    def __init__(
        self,
        secrets: Mapping[str, str],
        header_names: Iterable[str] = (),
        parameter_names: Iterable[str] = (),
        *,
        above: "Redactor | None" = None,
    ) -> None:
        """`above` is the redactor of the run that starts this one: what it knows is known here."""
        self._headers = _SECRET_HEADERS | {name.lower() for name in header_names}
        self._parameters = frozenset(parameter_names)
        self._names: dict[str, str] = {}
        if above is not None:
            self._headers |= above._headers
            self._parameters |= above._parameters
            self._names.update(above._names)
        for name, secret in secrets.items():
            self.add(name, secret)

    def add(self, name: str, secret: str) -> None:
        """Redact one more secret from now on, such as a token that was just received."""
        if len(secret) >= MINIMUM_SECRET_LENGTH:
            for form in secret_forms(secret):
                self._names.setdefault(form, name)
            self.__dict__.pop("_pattern", None)
            self.__dict__.pop("_bytes_pattern", None)
            self.__dict__.pop("longest_form_bytes", None)

    def __bool__(self) -> bool:
        return bool(self._names)

    def finds(self, text: str) -> bool:
        """Whether a text holds a secret."""
        return bool(self._names) and self._pattern.search(text) is not None

    def text(self, text: str) -> str:
        """A text without secrets."""
        if not self._names:
            return text
        return self._pattern.sub(lambda match: _mark(self._names[match[0]]), text)

    def data(self, data: bytes) -> bytes:
        """Bytes without secrets."""
        if not self._names:
            return data
        return self._bytes_pattern.sub(
            lambda match: _mark(self._names[match[0].decode("utf-8", "surrogatepass")]).encode(),
            data,
        )

    def json(self, value: Json) -> Json:
        """A JSON value without secrets, in keys, texts and numbers; the same object if none."""
        return self._walk(value) if self._names and self._is_in(value) else value

    @cached_property
    def longest_form_bytes(self) -> int:
        """The length of the longest text that is searched for."""
        return max((len(form.encode("utf-8", "surrogatepass")) for form in self._names), default=0)

    def _is_in(self, value: Json) -> bool:
        end = b""
        for piece in json_pieces(value):
            text = end + piece
            if self._bytes_pattern.search(text):
                return True
            # A secret may begin in one piece and end in the next.
            end = text[max(0, len(text) - self.longest_form_bytes) :]
        return False

    def headers(self, headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
        """Headers without secrets; credential headers lose their whole value."""
        return [
            (name, REDACTED if name.lower() in self._headers else self.text(value))
            for name, value in headers
        ]

    def url(self, url: str) -> str:
        """A url without secrets, user information and the values of credential parameters."""
        url = without_user_information(url)
        if self._parameters and "?" in url:
            base, _, query = url.partition("?")
            url = f"{base}?{'&'.join(map(self._parameter, query.split('&')))}"
        return self.text(url)

    def _parameter(self, pair: str) -> str:
        name, _, _ = pair.partition("=")
        return f"{name}={REDACTED}" if unquote_plus(name) in self._parameters else pair

    def _walk(self, value: Json) -> Json:
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            entries = cast("dict[str, Any]", value).items()
            return {self.text(key): self._walk(entry) for key, entry in entries}
        if isinstance(value, list):
            return [self._walk(element) for element in cast("list[Any]", value)]
        if isinstance(value, int | float) and not isinstance(value, bool):
            text = encode_json(value).decode()
            redacted = self.text(text)
            return value if redacted == text else redacted
        return value

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        # The longest form first: a secret that contains another one is replaced whole.
        forms = sorted(self._names, key=len, reverse=True)
        return re.compile("|".join(map(re.escape, forms)))

    @cached_property
    def _bytes_pattern(self) -> re.Pattern[bytes]:
        return re.compile(self._pattern.pattern.encode("utf-8", "surrogatepass"))


def _mark(name: str) -> str:
    return f"[credential {name}]"
