"""The options of one curl command, as requests."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from tools.importers import NoteList
from tools.importers.curl.options import QUIET, SHORT, WITH_VALUE
from tools.importers.curl.words import HERE
from tools.importers.requests import SeenAuth, SeenBody, SeenPart, SeenRequest
from tools.importers.requests.operations import operation_of
from tools.importers.text import (
    bare_reference,
    changed_reference,
    json_with_references,
    only_reference,
    readable,
    reference,
    references,
    split_change,
)
from tools.json_text import JsonObject

__all__ = ["OTHER_SCHEME", "read_command"]

#: Begins the note of a url that no tool can ask for.
OTHER_SCHEME = "a url is left out, because tools make http and https requests only, not "

_PART_SETTING = re.compile(r';\s*(type|filename|headers|encoder)=("[^"]*"|[^;"]*)')
_QUOTED_PART = re.compile(r'"((?:\\.|[^"\\])*)"', re.DOTALL)
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]{0,20})://")
_GLOB = re.compile(r"\[(?:\d+-\d+|[A-Za-z]-[A-Za-z])(?::\d+)?\]|\{[^{},]*,[^{}]*\}")
_ESCAPED_QUOTE = re.compile(r'(\\+)"')
_FILE = re.compile(r"body\d*")
_SECONDS = re.compile(r"\d{1,9}(?:\.\d{1,9})?")
_MOST_RETRIES = 100
_FORM = "application/x-www-form-urlencoded"
_MULTIPART = "multipart/form-data"


@dataclass
class _Options:
    """The options of one request."""

    urls: list[str] = field(default_factory=list[str])
    method: str | None = None
    headers: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    cookies: list[str] = field(default_factory=list[str])
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
    has_globs: bool = True
    #: The file of `-T`, which is the body.
    upload: str | None = None
    #: The inputs that are the texts of files, each with the last number behind its name.
    files: dict[str, int] = field(default_factory=dict[str, int])
    limits: JsonObject = field(default_factory=dict[str, Any])


def read_command(words: Sequence[str], place: str, notes: NoteList) -> Iterator[SeenRequest]:
    """The requests of a command, `--next` between them. Nothing secret is shown in a note."""
    for index, options in enumerate(_groups(words, place, notes)):
        at = f"{place}, request {index + 1}"
        for url in options.urls:
            if options.has_globs and _GLOB.search(url):
                notes.add(
                    at, "a pattern in the url is not carried over: it is one request as it is"
                )
            yield _request(options, url, at, notes)


def _groups(words: Sequence[str], place: str, notes: NoteList) -> Iterator[_Options]:
    options = _Options()
    pending = list(reversed(words))
    has_more = True
    while pending:
        word = pending.pop()
        if not has_more or not word.startswith("-") or word == "-":
            _take_url(options, word, place, notes)
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


def _take_url(options: _Options, word: str, place: str, notes: NoteList) -> None:
    scheme = _SCHEME.match(word)
    if scheme is not None and scheme[1].lower() not in {"http", "https"}:
        notes.add(place, f"{OTHER_SCHEME}{scheme[1].lower()}")
    elif _is_url(word):
        options.urls.append(word)
    else:
        notes.add(place, "a word that is no url is left out")


def _take(options: _Options, name: str, value: str, place: str, notes: NoteList) -> None:
    match name:
        case "url":
            _take_url(options, value, place, notes)
        case "request":
            options.method = value
        case "header":
            _take_header(options, value, place, notes)
        case "data" | "data-ascii" | "data-binary" | "json" | "expand-data" | "data-raw":
            options.is_json = options.is_json or name == "json"
            if options.data and name != "json":
                options.data.append("&")
            if value.startswith(HERE) and name != "data-raw":
                text = value.removeprefix(HERE)
                is_whole = name in {"data-binary", "json"}
                options.data.append(text if is_whole else re.sub(r"[\r\n]", "", text))
            elif value.startswith("@") and name != "data-raw":
                file = _file(options, f"{place}, --{name}", notes)
                is_whole = name in {"data-binary", "json"}
                options.data.append(reference(file) if is_whole else _one_line(file))
            else:
                options.data.append(_without_escapes(value))
        case "data-urlencode":
            if options.data:
                options.data.append("&")
            options.data.append(_encoded(options, value, f"{place}, --{name}", notes))
        case "url-query":
            options.query.append(
                value[1:]
                if value.startswith("+")
                else _encoded(options, value, f"{place}, --{name}", notes)
            )
        case "upload-file":
            options.upload = value
            options.data.append(reference(_file(options, f"{place}, --{name}", notes)))
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
                options.cookies.append(value)
            else:
                notes.add(f"{place}, --cookie", "cookies in a file are not carried over")
        case "user-agent":
            options.headers.append(("User-Agent", value))
        case "referer":
            options.headers.append(("Referer", value.partition(";")[0]))
        case "globoff":
            options.has_globs = False
        case "max-time" | "retry" | "retry-delay":
            _take_limit(options, name, value, place, notes)
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
    elif not colon and name.endswith(";"):
        options.headers.append((name.removesuffix(";").strip(), ""))
    elif not colon:
        notes.add(f"{place}, --header", "a header without a colon is left out")


def _take_limit(options: _Options, name: str, value: str, place: str, notes: NoteList) -> None:
    if _SECONDS.fullmatch(value) is None:
        notes.add(f"{place}, --{name}", "it is no number and not carried over")
    elif name == "retry":
        options.limits["retries"] = min(int(float(value)), _MOST_RETRIES)
    elif float(value) > 0:
        # For curl, 0 is no limit, and no delay of its own choice.
        key = "timeoutMs" if name == "max-time" else "retryDelayMs"
        options.limits[key] = max(1, round(float(value) * 1000))


def _file(options: _Options, place: str, notes: NoteList, wanted: str = "body") -> str:
    """The name of the input that the text of a file is."""
    name, number = wanted, options.files.get(wanted, 1)
    while name in options.files:
        number += 1
        name = f"{wanted}{number}"
    options.files[wanted] = number
    options.files.setdefault(name, 1)
    notes.add(place, f"the file is not read; its text is the input {name}")
    return name


def _one_line(file: str) -> str:
    return changed_reference("one line", file)


def _encoded(options: _Options, value: str, place: str, notes: NoteList) -> str:
    name, equals, content = value.partition("=")
    if equals:
        return f"{name}={_form_quoted(content)}" if name else _form_quoted(content)
    name, at, _ = value.partition("@")
    if not at:
        return _form_quoted(value)
    if HERE in value:
        text = _form_quoted(value.partition(HERE)[2])
        return f"{name}={text}" if name else text
    file = changed_reference("encoded", _file(options, place, notes, name or "body"))
    return f"{name}={file}" if name else file


def _form_quoted(text: str) -> str:
    """Encoded as curl does it for forms; references stay whole."""
    return _quoted(text).replace("%20", "+")


def _quoted(text: str) -> str:
    return quote(text, safe="\ue000\ue001")


def _without_escapes(text: str) -> str:
    """A JSON body as the program gets it, of which PowerShell wants quotes to be escaped."""
    if text.lstrip()[:1] not in {"{", "["} or '\\"' not in text or _is_json(text):
        return text
    plain = _ESCAPED_QUOTE.sub(lambda match: match[1][: len(match[1]) // 2] + '"', text)
    return plain if _is_json(plain) else text


def _is_json(text: str) -> bool:
    try:
        json_with_references(text)
    except ValueError:
        return False
    return True


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
        "connect-timeout": "the limit is not carried over; set `timeoutMs`",
        "netrc": "the file is not read; set the credentials of the system",
    }.get(name)
    known = name in WITH_VALUE or name in SHORT.values()
    shown = name[:40] if name.replace("-", "").replace(".", "").isalnum() else "?"
    reason = reason or ("it is not carried over" if known else "this option is not known")
    notes.add(f"{place}, --{shown}", reason)


def _request(options: _Options, url: str, place: str, notes: NoteList) -> SeenRequest:
    media_type = next(
        (value for name, value in options.headers if name.lower() == "content-type"), None
    )
    query = list(options.query)
    body: SeenBody | None = None
    if options.fields:
        body = SeenBody(_MULTIPART, fields=tuple(options.fields), parts=options.parts)
    elif options.as_query:
        query.append("".join(options.data))
    elif options.upload is not None:
        url = _upload_url(url, options.upload)
        body = SeenBody(media_type, "".join(options.data))
    elif options.data:
        kind = media_type or ("application/json" if options.is_json else _FORM)
        text = "".join(options.data)
        if "json" in kind.lower():
            text = _with_values(text, place, notes)
        body = SeenBody(kind, text)
    headers = list(options.headers)
    if options.is_json and not any(name.lower() == "accept" for name, _ in headers):
        headers.append(("Accept", "application/json"))
    if options.cookies and not any(name.lower() == "cookie" for name, _ in headers):
        headers.append(("Cookie", "; ".join(options.cookies)))
    sending = "PUT" if options.upload is not None else "POST"
    method = options.method or ("HEAD" if options.is_head else sending if body else "GET")
    for one in query:
        head, hash_mark, fragment = url.partition("#")
        url = f"{head}{'&' if '?' in head else '?'}{one}{hash_mark}{fragment}"
    request = SeenRequest(
        place,
        method,
        url,
        headers=headers,
        body=body,
        auth=_auth(options),
        limits=dict(options.limits),
    )
    request.operation = operation_of(request)
    request.name = None if request.operation is None else request.operation.name
    return request


def _with_values(text: str, place: str, notes: NoteList) -> str:
    """A JSON body with files in it: each is the text of a file, or the value that it holds."""
    bare = readable(text, lambda name: _bare(split_change(name)[1]))
    if not _is_json(bare):
        return text
    if only_reference(bare) is None and any(_FILE.fullmatch(name) for name in references(text)):
        notes.add(place, "in a JSON body, the input of a file is the value that the file holds")
    return bare


def _bare(name: str) -> str:
    return bare_reference(name) if _FILE.fullmatch(name) else reference(name)


def _upload_url(url: str, file: str) -> str:
    """The url that a file is sent to; where it ends as a folder does, the file's name is added."""
    head, mark, query = url.partition("?")
    name = _base_name(file)
    is_folder = head.endswith("/") or "/" not in head.partition("://")[2]
    if not is_folder or name in {None, "."}:
        return url
    return f"{head.removesuffix('/')}/{_quoted(str(name))}{mark}{query}"


def _auth(options: _Options) -> SeenAuth | None:
    if options.auth is not None or options.user is None:
        return options.auth
    user, colon, password = options.user.partition(":")
    if options.aws is not None:
        parts = options.aws.split(":")
        region = parts[2] if len(parts) > 2 else "us-east-1"
        service = parts[3] if len(parts) > 3 else "execute-api"
        values = {"access_key_id": user, "secret_access_key": password}
        return SeenAuth("aws_sigv4", values, {"region": region, "service": service})
    if colon and not options.is_digest:
        return SeenAuth.basic(user, password)
    # Without a colon, curl asks for the password.
    kind = "digest" if options.is_digest else "basic"
    return SeenAuth(kind, {"username": user, "password": password})
