"""The options of one curl command, as requests."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, quote_plus

from tools.importers import NoteList
from tools.importers.curl.options import QUIET, SHORT, WITH_VALUE
from tools.importers.requests import SeenAuth, SeenBody, SeenPart, SeenRequest
from tools.importers.requests.text import reference, references

__all__ = ["read_command"]

_PART_SETTING = re.compile(r';\s*(type|filename|headers|encoder)=("[^"]*"|[^;"]*)')
_QUOTED_PART = re.compile(r'"((?:\\.|[^"\\])*)"', re.DOTALL)
_FORM = "application/x-www-form-urlencoded"
_MULTIPART = "multipart/form-data"


@dataclass
class _Options:
    """The options of one request."""

    urls: list[str] = field(default_factory=list[str])
    method: str | None = None
    headers: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    data: list[str] = field(default_factory=list[str])
    query: list[str] = field(default_factory=list[str])
    fields: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    #: The fields, by their position, that are more than a text.
    parts: dict[int, SeenPart] = field(default_factory=dict[int, SeenPart])
    auth: SeenAuth | None = None
    user: str | None = None
    is_digest: bool = False
    is_json: bool = False
    as_query: bool = False
    is_head: bool = False
    aws: str | None = None


def read_command(words: Sequence[str], place: str, notes: NoteList) -> Iterator[SeenRequest]:
    """The requests of a command, `--next` between them. Nothing secret is shown in a note."""
    for index, options in enumerate(_groups(words, place, notes)):
        at = f"{place}, request {index + 1}"
        for url in options.urls:
            yield _request(options, url, at)


def _groups(words: Sequence[str], place: str, notes: NoteList) -> Iterator[_Options]:
    options = _Options()
    pending = list(reversed(words))
    has_more = True
    while pending:
        word = pending.pop()
        if not has_more or not word.startswith("-") or word == "-":
            if _is_url(word):
                options.urls.append(word)
            else:
                notes.add(place, "a word that is no url is left out")
            continue
        if word == "--":
            has_more = False
            continue
        for name, value in _options_of(word, pending):
            if name == "next":
                yield options
                options = _Options()
            else:
                _take(options, name, value, place, notes)
    yield options


def _options_of(word: str, pending: list[str]) -> Iterator[tuple[str, str]]:
    """The options that a word holds, with their values."""
    if word.startswith("--"):
        name = word[2:]
        if name in WITH_VALUE:
            yield name, pending.pop() if pending else ""
        else:
            # curl takes no `--name=value`; people write it.
            given, equals, value = name.partition("=")
            yield given, value if equals else ""
        return
    rest = word[1:]
    while rest:
        name = SHORT.get(rest[0], "")
        rest = rest[1:]
        if name in WITH_VALUE:
            yield name, rest or (pending.pop() if pending else "")
            return
        yield name or "?", ""


def _is_url(word: str) -> bool:
    head = word.partition("?")[0]
    if "://" in head:
        return head.lower().startswith(("http://", "https://"))
    if any(references(head)):
        return True
    host = head.partition("/")[0].rpartition("@")[2]
    return "." in host or host.startswith("localhost") or host.partition(":")[2].isdecimal()


def _take(options: _Options, name: str, value: str, place: str, notes: NoteList) -> None:
    match name:
        case "url":
            options.urls.append(value)
        case "request":
            options.method = value
        case "header":
            _take_header(options, value, place, notes)
        case "data" | "data-ascii" | "data-binary" | "json" | "expand-data":
            if value.startswith("@"):
                notes.add(
                    f"{place}, --{name}", "the file is not read; write the body into the tool"
                )
            else:
                options.data.append(value)
            options.is_json = options.is_json or name == "json"
        case "data-raw":
            options.data.append(value)
        case "data-urlencode":
            _take_encoded(options.data, value, place, notes)
        case "url-query":
            if value.startswith("+"):
                options.query.append(value[1:])
            else:
                _take_encoded(options.query, value, place, notes)
        case "form" | "form-string":
            _take_part(options, name, value, place, notes)
        case "get":
            options.as_query = True
        case "head":
            options.is_head = True
        case "user":
            options.user = value
        case "oauth2-bearer":
            options.auth = SeenAuth("bearer", {"token": value})
        case "aws-sigv4":
            options.aws = value
        case "digest" | "basic" | "anyauth":
            options.is_digest = name == "digest"
        case "cookie":
            if "=" in value or any(references(value)):
                options.headers.append(("Cookie", value))
            else:
                notes.add(f"{place}, --cookie", "cookies in a file are not carried over")
        case "user-agent":
            options.headers.append(("User-Agent", value))
        case "referer":
            options.headers.append(("Referer", value.partition(";")[0]))
        case "range":
            options.headers.append(("Range", f"bytes={value}"))
        case _:
            _note_rest(name, place, notes)


def _take_header(options: _Options, value: str, place: str, notes: NoteList) -> None:
    if value.startswith("@"):
        notes.add(f"{place}, --header", "headers in a file are not carried over")
        return
    name, colon, text = value.partition(":")
    if colon and text.strip():
        options.headers.append((name.strip(), text.strip()))
    elif not colon and not name.endswith(";"):
        notes.add(f"{place}, --header", "a header without a colon is left out")


def _take_encoded(target: list[str], value: str, place: str, notes: NoteList) -> None:
    name, equals, content = value.partition("=")
    if not equals and "@" in value:
        notes.add(place, "the file of --data-urlencode is not read")
    elif equals:
        target.append(f"{name}={_quoted(content)}" if name else _quoted(content))
    else:
        target.append(_quoted(value))


def _quoted(text: str) -> str:
    """Form-encoded; references stay whole."""
    return quote_plus(text, safe="\ue000\ue001")


def _take_part(options: _Options, kind: str, value: str, place: str, notes: NoteList) -> None:
    name, _, content = value.partition("=")
    if kind == "form":
        quoted = _QUOTED_PART.match(content)
        rest = content[quoted.end() :] if quoted else content
        settings = {one[1]: one[2].strip('"') for one in _PART_SETTING.finditer(rest)}
        content = _unescaped(quoted[1]) if quoted else _PART_SETTING.sub("", content)
        is_file = content.startswith("@")
        file_name = settings.get("filename") or (_base_name(content[1:]) if is_file else None)
        content_type = settings.get("type") or None
        if is_file or file_name or content_type:
            part = SeenPart(is_file, file_name, content_type)
            options.parts[len(options.fields)] = part
        if is_file:
            notes.add(f"{place}, --form", "the file is not read; it is an input")
            content = ""
        elif content.startswith("<"):
            notes.add(f"{place}, --form", "the file is not read; its text is an input")
            content = reference(name)
    options.fields.append((name, content))


def _unescaped(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text, flags=re.DOTALL)


def _base_name(path: str) -> str | None:
    """The name that a file has at its place; None where only a variable says it."""
    name = path.strip('"').replace("\\", "/").rpartition("/")[2]
    return None if name in {"", "-"} or any(references(name)) else name


def _note_rest(name: str, place: str, notes: NoteList) -> None:
    if name in QUIET or name.removeprefix("no-") in QUIET:
        return
    reason = {
        "insecure": "certificates are always checked; give the system a CA in `tls` instead",
        "proxy": "the proxy of the environment is used (HTTPS_PROXY)",
        "cert": "the client certificate is not read; set it as `tls` of the system",
        "key": "the client certificate is not read; set it as `tls` of the system",
        "cacert": "the CA is not read; set it as `tls` of the system",
        "max-time": "the limit is not carried over; set `timeoutMs`",
        "connect-timeout": "the limit is not carried over; set `timeoutMs`",
        "upload-file": "the file is not read; write the body into the tool",
        "netrc": "the file is not read; set the credentials of the system",
    }.get(name)
    known = name in WITH_VALUE or name in SHORT.values()
    shown = name[:40] if name.replace("-", "").replace(".", "").isalnum() else "?"
    reason = reason or ("it is not carried over" if known else "this option is not known")
    notes.add(f"{place}, --{shown}", reason)


def _request(options: _Options, url: str, place: str) -> SeenRequest:
    media_type = next(
        (value for name, value in options.headers if name.lower() == "content-type"), None
    )
    query: list[tuple[str, str]] = []
    for one in options.query:
        query.extend(parse_qsl(one, keep_blank_values=True))
    body: SeenBody | None = None
    if options.fields:
        body = SeenBody(_MULTIPART, fields=tuple(options.fields), parts=options.parts)
    elif options.as_query:
        query.extend(parse_qsl("&".join(options.data), keep_blank_values=True))
    elif options.data:
        separator = "" if options.is_json else "&"
        kind = media_type or ("application/json" if options.is_json else _FORM)
        body = SeenBody(kind, separator.join(options.data))
    headers = list(options.headers)
    if options.is_json and not any(name.lower() == "accept" for name, _ in headers):
        headers.append(("Accept", "application/json"))
    method = options.method or ("HEAD" if options.is_head else "POST" if body else "GET")
    return SeenRequest(place, method, url, query, headers, body, _auth(options))


def _auth(options: _Options) -> SeenAuth | None:
    if options.auth is not None or options.user is None:
        return options.auth
    user, _, password = options.user.partition(":")
    if options.aws is not None:
        parts = options.aws.split(":")
        region = parts[2] if len(parts) > 2 else "us-east-1"
        service = parts[3] if len(parts) > 3 else "execute-api"
        values = {"access_key_id": user, "secret_access_key": password}
        return SeenAuth("aws_sigv4", values, {"region": region, "service": service})
    kind = "digest" if options.is_digest else "basic"
    return SeenAuth(kind, {"username": user, "password": password})
