"""What in a request is secret: by the name it has, or by its look."""

import base64
import binascii
import itertools
import re
from collections.abc import Callable
from typing import cast
from urllib.parse import unquote

from tools.importers import DocumentError
from tools.importers.text import only_reference, references
from tools.json_text import Json, JsonObject
from tools.literal_secrets import holds_issued_key

__all__ = [
    "MOST_SECRETS",
    "basic_pair",
    "holds_secret",
    "is_blank",
    "is_secret_name",
    "looks_secret",
    "mask_in_text",
    "replace_in_literals",
    "replace_in_urls",
    "says_no_key",
    "too_many_secrets",
    "variables_of_secrets",
]

#: Each of them is sought in every text of a document.
MOST_SECRETS = 1_000

_SECRET_WORDS = frozenset(
    [
        "apikey",
        "appid",
        "assertion",
        "auth",
        "authentication",
        "authorization",
        "bearer",
        "cookie",
        "credential",
        "credentials",
        "csrf",
        "jwt",
        "key1",
        "otp",
        "passphrase",
        "passwd",
        "password",
        "pw",
        "pwd",
        "secret",
        "session",
        "sessionid",
        "sid",
        "sig",
        "signature",
        "sso",
        "token",
        "xsrf",
        "accesskey",
        "accesstoken",
        "authtoken",
        "clientsecret",
        "privatekey",
        "refreshtoken",
        "secretkey",
        "sessiontoken",
        "pin",
    ]
)
_SECRET_PAIRS = frozenset(
    {
        ("api", "key"),
        ("access", "key"),
        ("app", "key"),
        ("auth", "key"),
        ("private", "key"),
        ("secret", "key"),
        ("account", "key"),
        ("subscription", "key"),
        ("function", "key"),
        ("functions", "key"),
        ("license", "key"),
        ("master", "key"),
        ("shared", "key"),
        ("app", "id"),
    }
)
#: `page_token` says where to go on, `token_type` what a token is.
_HARMLESS_FIRST = frozenset(
    ["page", "next", "previous", "prev", "continuation", "sync", "max", "min", "num", "total"]
)
_HARMLESS_LAST = frozenset(
    ["type", "types", "url", "uri", "expires", "method", "mode", "length", "count", "limit", "name"]
)
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_DENSE = re.compile(r"[A-Za-z0-9_\-+/=.:~%|!$]{24,}")
_HEX = re.compile(r"[0-9a-fA-F]{32,}")
#: What follows is no word: "Basic mathematics" signs nobody in.
_SCHEME = re.compile(
    r"(?:bearer|basic|token|apikey|negotiate)\s+(?=\S*[\d=._+/-])\S{8,}$"
    r"|(?:digest|aws4-hmac-sha256)\s+\w+=",
    re.IGNORECASE,
)
#: Checksums, names of GraphQL programs that the server knows, and of operations.
_NO_KEYS = frozenset(
    ["sha256hash", "sha256", "sha1", "md5", "checksum", "x-amz-target", "soapaction"]
)
_PLACEHOLDER = re.compile(
    r"<[^<>]*>|\[[^\[\]]*\]|\{[^{}]*\}|(?:your|my|insert|enter)[-_ ][\w -]*|x{3,}|\*{3,}|\.{3}|…|"
    r"(?:api[_-]?key|token|secret|password|username|user)",
    re.IGNORECASE,
)
_RUN = re.compile(r"[A-Za-z0-9_\-+/=.]{24,}")
_MARKED_UP = re.compile(
    r"(?P<open><(?P<name>[\w:.-]{1,80})(?:\s[^<>]{0,500})?>)(?P<value>[^<>]+)(?=</)"
)
_PAIRED = re.compile(
    r"(?P<open>(?<![\w.-])(?P<name>[\w.-]{1,80})[\"']?\s*[:=]\s*[\"']?"
    r"(?:(?i:bearer|basic|token|apikey)\s+)?)(?P<value>[^\s\"'&,;<>]+)"
)
_LITERAL = re.compile(
    r'(?P<open>(?:"(?P<quoted>[^"\\]{1,80})"|\$?\b(?P<name>[A-Za-z_]\w{0,79}))\s*:\s*'
    r"(?:[\w!\[\]]{1,80}\s*=\s*)?)?"
    r'(?:"""(?P<block>.+?)"""|"(?P<value>(?:[^"\\\n]++|\\.)++)"|(?P<number>(?<=[\s:])-?\d+\b)'
    # What is not closed is read once, too.
    r'|"(?P<rest>(?:[^"\\\n]++|\\.)++))',
    re.DOTALL,
)
_HANDED_ON = re.compile(r"\b(?P<name>[A-Za-z_]\w{0,79})\s*:\s*\$(?P<variable>\w{1,80})")
#: What the urls in a text have before `@`, and the end of an address that needs no other sign-in.
_PASSWORD_OF_URL = re.compile(
    r"(?P<open>\b[A-Za-z][A-Za-z0-9+.-]{0,30}://[^/?#\s:@\"'<>]*:)(?P<value>[^/?#\s@\"'<>]+)(?=@)"
)
_USER_OF_URL = re.compile(
    r"(?P<open>\b[A-Za-z][A-Za-z0-9+.-]{0,30}://)(?P<value>[^/?#\s:@\"'<>]+)(?=:?@)"
)
#: The same inside of another url: each of its marks is percent-encoded as often.
_PASSWORD_OF_ENCODED_URL = re.compile(
    r"(?P<open>\b[A-Za-z][A-Za-z0-9+.-]{0,30}%(?P<times>(?:25){0,2})3A(?:%(?P=times)2F){2}"
    r"(?:(?!%(?P=times)(?:3A|2F|3F|23|40))[^/?#\s:@\"'<>&]){0,200}%(?P=times)3A)"
    r"(?P<value>(?:(?!%(?P=times)(?:2F|3F|23|40))[^/?#\s@\"'<>&])+)(?=%(?P=times)40)",
    re.IGNORECASE,
)
_URL = re.compile(
    r"\b[A-Za-z][A-Za-z0-9+.-]{0,30}(?::|%(?:25){0,2}3A)(?:/|%(?:25){0,2}2F){2}[^\s\"<>\\]*",
    re.IGNORECASE,
)
#: The begin of a parameter in a url, or in one that is encoded inside of it.
_PARAMETER_OF_URL = re.compile(
    r"(?:[?&#]|%(?:25){0,2}(?:3F|26|23))"
    r"(?P<name>(?:[\w.~$\[\]-]|%(?:25){0,2}(?:5B|5D|5F|2D|2E)){1,80})"
    r"(?:=|%(?P<times>(?:25){0,2})3D)",
    re.IGNORECASE,
)
#: What ends the value of a parameter, by how often the url that it is of is encoded.
_ENDS_OF_VALUE = tuple(
    re.compile("|".join(("[&#]", *(f"%{'25' * level}(?:26|23)" for level in range(times)))))
    for times in range(4)
)
_WEBHOOK = re.compile(
    r"(?P<open>\b(?:hooks\.slack(?:-gov)?\.com/(?:services|workflows|triggers)(?:/\w+){2,3}"
    r"|discord(?:app)?\.com/api/webhooks/\d+)/)(?P<value>[\w-]{8,})"
)
#: Data, not a key.
_LONGEST_KEY = 4_096


def too_many_secrets(place: str | None) -> DocumentError:
    """What is raised where a document has more than `MOST_SECRETS`."""
    return DocumentError(
        f"it has more than {MOST_SECRETS:,} different secrets",
        place=place,
        hint="Import it in parts.",
    )


def is_secret_name(name: str) -> bool:
    """Whether a header, parameter or field of this name holds a secret."""
    words = [word.lower() for word in _WORD.findall(name)]
    if not words or words[-1] in _HARMLESS_LAST:
        return False
    joined = "".join(words)
    if joined in _SECRET_WORDS or joined in {"key", "xapikey", "xamzcredential"}:
        return True
    if any(word in _SECRET_WORDS for word in words):
        return not (words[-1] == "token" and words[0] in _HARMLESS_FIRST)
    return any(pair in _SECRET_PAIRS for pair in itertools.pairwise(words))


def looks_secret(value: str) -> bool:
    """Whether a value looks like a key, whatever it is called."""
    value = value.strip()
    if len(value) > _LONGEST_KEY:
        return False
    if _SCHEME.match(value) and len(value) > 15:
        return True
    if holds_issued_key(value) or _HEX.fullmatch(value):
        return True
    return "://" not in value and _DENSE.fullmatch(value) is not None and _is_mixed(value)


def _is_mixed(value: str) -> bool:
    digits = sum(one.isdigit() for one in value)
    return digits >= 3 and value.lower() != value and value.upper() != value


def is_blank(value: str) -> bool:
    """Whether a value only says that a secret belongs here: `$TOKEN`, `<token>`, `YOUR_KEY`."""
    text = value.strip()
    if not text or only_reference(text) is not None:
        return True
    return not any(references(text)) and _PLACEHOLDER.fullmatch(text) is not None


def basic_pair(encoded: str) -> tuple[str, str] | None:
    """User and password of `Authorization: Basic`."""
    try:
        text = base64.b64decode(encoded.strip(), validate=True).decode()
    except (binascii.Error, ValueError):
        text = encoded.strip()
    user, colon, password = text.partition(":")
    return (user, password) if colon else None


def mask_in_text(text: str) -> list[str]:
    """The secrets inside a text that is neither JSON nor a form, such as XML."""
    found: list[str] = []
    for pattern in (_MARKED_UP, _PAIRED):
        found.extend(
            match["value"].strip()
            for match in pattern.finditer(text)
            if is_secret_name(match["name"]) and not is_blank(match["value"])
        )
    found.extend(match[0] for match in _RUN.finditer(text) if looks_secret(match[0]))
    return list(dict.fromkeys(one for one in found if one))


def replace_in_urls(text: str, replaced: Callable[[str, str], str]) -> str:
    """The text with `replaced(name, value)` for the secrets inside of its urls.

    They are passwords, tokens of webhooks, and the values of parameters that are called so, also of
    urls that stand encoded in others.
    """

    def one(match: re.Match[str], name: str) -> str:
        value = match["value"]
        if is_blank(value) or any(references(value)):
            return match[0]
        return match["open"] + replaced(name, value)

    def user(match: re.Match[str]) -> str:
        return one(match, "token") if looks_secret(match["value"]) else match[0]

    for password in (_PASSWORD_OF_URL, _PASSWORD_OF_ENCODED_URL):
        text = password.sub(lambda match: one(match, "password"), text)
    text = _USER_OF_URL.sub(user, text)
    text = _WEBHOOK.sub(lambda match: one(match, "webhook_token"), text)
    return _URL.sub(lambda match: _without_parameters(match[0], replaced), text)


def _without_parameters(url: str, replaced: Callable[[str, str], str]) -> str:
    """A url with `replaced(name, value)` for its parameters that are secret by their names."""
    parts: list[str] = []
    position = looked_at = 0
    for match in _PARAMETER_OF_URL.finditer(url):
        name = unquote(unquote(unquote(match["name"])))
        if match.start() < looked_at or not is_secret_name(name):
            continue
        times = 0 if match["times"] is None else 1 + len(match["times"]) // 2
        end = _ENDS_OF_VALUE[times].search(url, match.end())
        looked_at = end.start() if end else len(url)
        value = url[match.end() : looked_at]
        if not value or is_blank(value) or any(references(value)):
            continue
        parts += [url[position : match.end()], replaced(name, value)]
        position = looked_at
    return "".join((*parts, url[position:]))


def replace_in_literals(text: str, replaced: Callable[[str, str], str]) -> str:
    """The text of a GraphQL program or of JSON with `replaced(name, value)` for its secrets.

    A value is what is written between the quotes, escapes and all.
    """

    def one(match: re.Match[str]) -> str:
        name = match["quoted"] or match["name"] or ""
        group = next(key for key in ("block", "value", "number", "rest") if match[key] is not None)
        value = match[group]
        is_secret = is_secret_name(name) or (
            group != "number" and not says_no_key(name) and looks_secret(value)
        )
        if not is_secret or is_blank(value) or any(references(value)):
            return match[0]
        start, end = match.start(group) - match.start(), match.end(group) - match.start()
        return match[0][:start] + replaced(name or "secret", value) + match[0][end:]

    return _LITERAL.sub(one, text)


def variables_of_secrets(program: str) -> frozenset[str]:
    """The variables that a GraphQL program hands on under the name of a secret."""
    return frozenset(
        match["variable"] for match in _HANDED_ON.finditer(program) if is_secret_name(match["name"])
    )


def says_no_key(name: str) -> bool:
    """Whether a name says that what looks like a key is none, such as a checksum."""
    return name.lower() in _NO_KEYS


def holds_secret(name: str, value: Json) -> bool:
    """Whether a value, or one anywhere inside of it, is secret by its name or its look."""
    if isinstance(value, dict):
        members = cast("JsonObject", value).items()
        # What stands below a name that says secret is secret, whatever its own name is.
        below = name if is_secret_name(name) else ""
        return any(holds_secret(below or key, one) for key, one in members)
    if isinstance(value, list):
        return any(holds_secret(name, one) for one in cast("list[Json]", value))
    if value is None or isinstance(value, bool):
        return False
    text = str(value)
    if is_blank(text):
        return False
    return (
        is_secret_name(name)
        or looks_secret(text)
        or bool(mask_in_text(text))
        or replace_in_urls(text, lambda _name, _value: "") != text
    )
