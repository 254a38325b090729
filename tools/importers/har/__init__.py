"""HTTP archives (HAR 1.2), as browsers save them: the calls of an API become tools."""

import base64
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from email import message_from_string
from email.message import Message
from fnmatch import fnmatchcase
from typing import cast
from urllib.parse import parse_qsl, unquote, urlsplit

from tools.importers import DocumentError, ImportResult, NoteList
from tools.importers.openapi.words import list_of, object_of, text_of
from tools.importers.requests import (
    BuildOptions,
    SeenBody,
    SeenPart,
    SeenRequest,
    build_result,
)
from tools.importers.requests.document import read_json_object
from tools.importers.requests.draft import VARYING
from tools.importers.requests.operations import members_of, operations_of
from tools.importers.secrets import looks_secret, replace_in_urls
from tools.importers.text import reference, without_marks
from tools.json_text import Json, JsonObject

__all__ = ["HarOptions", "import_har"]

_DATA = re.compile(
    r"(?:application|text)/(?:[\w.+-]*\+)?(?:json|xml|csv|x-ndjson|ndjson|yaml|protobuf)\b", re.I
)
_ASSET = re.compile(
    r"\.(?:js|mjs|css|map|png|jpe?g|gif|svg|webp|avif|ico|woff2?|ttf|otf|eot|mp[34]|webm|wasm|html?)$",
    re.IGNORECASE,
)
_TRACKING = re.compile(
    r"(?:^|\.)(?:google-analytics|googletagmanager|doubleclick|googlesyndication|googleadservices|"
    r"facebook|hotjar|segment|mixpanel|amplitude|sentry|bugsnag|datadoghq|newrelic|nr-data|"
    r"fullstory|intercom|clarity|optimizely|cloudflareinsights|matomo|plausible|snowplow)\."
    r"(?:com|io|net|ms|org)$",
    re.IGNORECASE,
)
_BROWSER_HEADERS = re.compile(
    r"(?:sec-.*|cookie2?|user-agent|origin|referer|dnt|priority|pragma|cache-control|"
    r"accept-language|if-(?:none-match|modified-since)|x-client-data|purpose|save-data)",
    re.IGNORECASE,
)

_NOT_CHOSEN = "not among --include"
_FAILED = "calls that failed"
_TRACKED = "tracking"
_FILES = "pages, scripts, images and other files"
_NO_CALLS = (_FAILED, _TRACKED, _FILES)
_LONGEST_PATH_SHOWN = 200


@dataclass(frozen=True)
class HarOptions:
    """Which of the recorded calls, and what to make of them."""

    #: Patterns (`*`, `?`) for urls, paths or `METHOD /path`; none: all API calls. What is named in
    #: full is taken even where it is no call of an API.
    include: Sequence[str] = ()
    limit: int = 200
    system_id: str | None = None
    folder: str | None = None
    literal: bool = False


def import_har(content: bytes, options: HarOptions) -> ImportResult:
    """The tools and systems of an archive. Raises `DocumentError`."""
    root = read_json_object(content, 'an HTTP archive: {"log": {"entries": […]}}')
    entries = object_of(root.get("log")).get("entries")
    if not isinstance(entries, list):
        raise DocumentError("this is no HTTP archive: it has no list of entries", place="#/log")
    notes = NoteList()
    left_out: Counter[str] = Counter()
    not_chosen: list[SeenRequest] = []
    calls: dict[tuple[str, str], list[SeenRequest]] = {}
    for index, entry in enumerate(list_of(entries)):
        fields = object_of(entry)
        place = f"#/log/entries/{index}/request"
        request = _request(object_of(fields.get("request")), place)
        reason = "no http url" if request is None else _left_out(fields, request, options.include)
        if request is None or reason is not None:
            left_out[str(reason)] += 1
            if request is not None and reason == _NOT_CHOSEN and _no_call(fields, request) is None:
                not_chosen.append(request)
        else:
            calls.setdefault((request.method, _template(request.url)), []).append(request)
    for reason, count in left_out.items():
        notes.add("#/log/entries", f"{count} left out: {reason}")
    if not calls:
        if options.include:
            raise _nothing_chosen(not_chosen, left_out)
        raise DocumentError("none of its entries is a call of an API", place="#/log/entries")
    merged: dict[tuple[str, str, str], list[SeenRequest]] = {}
    for (method, template), same in calls.items():
        for request, operation in zip(same, operations_of(same), strict=True):
            identity = ""
            if operation is not None:
                identity = operation.identity
                request.operation, request.name = operation, operation.name
            merged.setdefault((method, template, identity), []).append(request)
    requests = [_merged(same, key, notes) for key, same in merged.items()]
    if (repeated := sum(map(len, merged.values())) - len(requests)) > 0:
        notes.add("#/log/entries", f"{repeated} calls are repetitions of others with other values")
    if len(requests) > options.limit:
        notes.add(
            "#/log/entries",
            f"{len(requests) - options.limit} calls are beyond --limit {options.limit}",
        )
    if any("cookie" in one.lower() for one in _header_names(entries)):
        notes.add("#/log/entries", "cookies are not carried over: sign in to the system otherwise")
    return build_result(
        requests[: options.limit],
        BuildOptions(
            "har", "HTTP archive", options.system_id, options.folder, options.literal,
            is_whole=False,
            is_one_session=True,
        ),
        notes,
    )  # fmt: skip


def _header_names(entries: Json) -> set[str]:
    return {
        text_of(object_of(header).get("name"))
        for entry in list_of(entries)
        for header in list_of(object_of(object_of(entry).get("request")).get("headers"))
    }


def _nothing_chosen(not_chosen: Sequence[SeenRequest], left_out: Counter[str]) -> DocumentError:
    """Says why no tool comes of an archive, with an entry that could be chosen."""
    hints: list[str] = []
    if not_chosen:
        hints.append(f"Of {len(not_chosen)} other calls of an API, one is {_label(not_chosen[0])}.")
    if others := [f"{left_out[one]} left out: {one}" for one in _NO_CALLS if left_out[one]]:
        hints.append(f"{'; '.join(others)}. Name one in full to take it all the same.")
    return DocumentError(
        "none of its entries was chosen with --include",
        place="#/log/entries",
        hint=" ".join(hints) or None,
    )


def _label(request: SeenRequest) -> str:
    """`METHOD /path` without what looks like a key in it."""
    url = replace_in_urls(request.url, lambda _name, _value: "*")
    segments = urlsplit(url).path.split("/")
    path = "/".join("*" if looks_secret(unquote(one)) else one for one in segments)
    return f"{request.method} {path[:_LONGEST_PATH_SHOWN]}"


def _left_out(entry: JsonObject, request: SeenRequest, include: Sequence[str]) -> str | None:
    """Why an entry makes no tool; None when it makes one."""
    if not include:
        return _never(entry, request) or _no_call(entry, request)
    parts = urlsplit(request.url)
    bare = f"{parts.scheme}://{parts.netloc}{parts.path}"
    names = (request.url, bare, parts.path, f"{request.method} {parts.path}")
    if not any(fnmatchcase(name, one) or name == one for one in include for name in names):
        return _never(entry, request) or _NOT_CHOSEN
    is_named = any(name in include for name in names)
    return _never(entry, request) or (None if is_named else _no_call(entry, request))


def _never(entry: JsonObject, request: SeenRequest) -> str | None:
    """Why an entry is nothing that a person asked for; None when it may be."""
    status = object_of(entry.get("response")).get("status")
    if request.method in {"OPTIONS", "CONNECT", "TRACE"}:
        return "questions of the browser (OPTIONS)"
    if isinstance(status, int) and 300 <= status < 400:
        return "redirects"
    return None


def _no_call(entry: JsonObject, request: SeenRequest) -> str | None:
    """Why an entry is no call of an API; None when it is one."""
    parts = urlsplit(request.url)
    response = object_of(entry.get("response"))
    status = response.get("status")
    if isinstance(status, int) and (status >= 400 or status == 0):
        return _FAILED
    if _TRACKING.search(parts.hostname or ""):
        return _TRACKED
    kind = text_of(object_of(response.get("content")).get("mimeType"))
    if _DATA.match(kind):
        return None
    is_call = text_of(entry.get("_resourceType")) in {"xhr", "fetch"} or request.method != "GET"
    if is_call and not _ASSET.search(parts.path) and not kind.startswith(("image/", "font/")):
        return None
    return _FILES


def _request(fields: JsonObject, place: str) -> SeenRequest | None:
    url = without_marks(text_of(fields.get("url")))
    try:
        is_http = urlsplit(url).scheme in {"http", "https"}
    except ValueError:
        is_http = False
    if not is_http:
        return None
    headers = [
        (name, without_marks(text_of(one.get("value"))))
        for one in map(object_of, list_of(fields.get("headers")))
        if (name := without_marks(text_of(one.get("name"))))
        and not _BROWSER_HEADERS.fullmatch(name)
    ]
    method = text_of(fields.get("method")) or "GET"
    return SeenRequest(place, method.upper(), url, [], headers, _body(fields.get("postData")))


def _body(given: Json) -> SeenBody | None:
    fields = object_of(given)
    if not fields:
        return None
    media_type = text_of(fields.get("mimeType")) or None
    text = without_marks(text_of(fields.get("text")))
    if fields.get("encoding") == "base64":
        text = _decoded(text)
    listed = [object_of(one) for one in list_of(fields.get("params"))]
    if not listed and (media_type or "").startswith("multipart/form-data"):
        listed = _parts_of(media_type or "", text)
    params: list[tuple[str, str]] = []
    parts: dict[int, SeenPart] = {}
    for one in listed:
        file_name = without_marks(text_of(one.get("fileName"))) or None
        content_type = without_marks(text_of(one.get("contentType"))) or None
        if file_name or content_type:
            parts[len(params)] = SeenPart(file_name is not None, file_name, content_type)
        value = without_marks(text_of(one.get("value")))
        params.append((without_marks(text_of(one.get("name"))), value))
    is_form = (media_type or "").startswith(("application/x-www-form", "multipart/"))
    if is_form and params and not (text and "urlencoded" in (media_type or "")):
        return SeenBody(media_type, fields=tuple(params), parts=parts)
    return SeenBody(media_type, text)


def _decoded(text: str) -> str:
    """A body that was recorded as base64; one of other octets than text is an input."""
    try:
        return without_marks(base64.b64decode(text, validate=True).decode())
    except ValueError:
        return reference("body")


def _parts_of(media_type: str, text: str) -> list[JsonObject]:
    """The parts of a multipart text, which some browsers keep instead of `params`."""
    if "multipart/" in text:
        # Forms inside of forms could nest without end.
        return []
    message = message_from_string(f"Content-Type: {media_type.splitlines()[0]}\n\n{text}")
    if not message.is_multipart():
        return []
    return [
        {
            "name": part.get_param("name", header="content-disposition"),
            "fileName": part.get_filename(),
            "contentType": part.get("content-type"),
            "value": part.get_payload(),
        }
        for part in cast("list[Message]", message.get_payload())
        if part.get_param("name", header="content-disposition")
    ]


def _template(url: str) -> str:
    """The same for urls that differ in ids and query alone."""
    parts = urlsplit(url)
    path = "/".join("*" if VARYING.fullmatch(one) else one for one in parts.path.split("/"))
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{path}"


def _merged(same: Sequence[SeenRequest], known_by: Sequence[str], notes: NoteList) -> SeenRequest:
    """The call with most fields, and with every query parameter that one of them had."""
    fields = [_fields_of(one) for one in same]
    most = max(range(len(same)), key=lambda index: len(fields[index]))
    first = same[most]
    if lost := {name for one in fields for name in one} - set(_fields_of(first)):
        shown = ", ".join(sorted(lost)[:10])
        notes.add(first.place, f"fields that other calls of its kind had are left out: {shown}")
    queries = [dict(parse_qsl(urlsplit(one.url).query, keep_blank_values=True)) for one in same]
    counts = Counter(name for query in queries for name in query)
    first.optional = frozenset(name for name, count in counts.items() if count < len(same))
    # The value that the first of them had.
    seen = {name: value for query in reversed(queries) for name, value in query.items()}
    first.query = [(one, seen[one]) for one in counts if one not in queries[most]]
    first.key = " ".join(one for one in known_by if one)
    return first


def _fields_of(request: SeenRequest) -> list[str]:
    """The names of the fields of a body."""
    members = members_of(request.body) if request.body is not None else None
    return list(cast("JsonObject", members)) if isinstance(members, dict) else []
