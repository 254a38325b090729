"""Urls: values are encoded where they stand, and cannot change where the request goes."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import quote, unquote, urlsplit

from tools.errors import ErrorKind, RunError
from tools.templates.parse import Template, parse_template
from tools.templates.resolve import Resolved, Resolver
from tools.templates.text import require_value
from tools.urls import origin_of

__all__ = ["render_url"]

_SCHEME_AND_AUTHORITY = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^/?#]*")
_MAY_BE_DOTS = re.compile(r"[/\\](?:\.|%2e)", re.IGNORECASE)
_WHERE = "url"


@dataclass(frozen=True)
class _Piece:
    """A rendered part: its text, and whether the author or the system wrote it."""

    text: str
    trusted: bool


async def render_url(
    template: str, resolver: Resolver, *, system_url: str | None, allowed_origins: Iterable[str]
) -> str:
    """The absolute url of a request.

    A url that begins with `/` continues `system_url`. Scheme, host, port and user must be those
    that the template wrote, or the origin of `system_url` or one of `allowed_origins`; no `.` or
    `..` segment may come from a value. Raises `RunError` otherwise, before anything is sent.
    """
    parsed = parse_template(template.strip())
    pieces = await _render_pieces(parsed, resolver)
    allowed = set(allowed_origins)
    if system_url:
        allowed.add(origin_of(system_url) or "")
    url = "".join(piece.text for piece in pieces)
    if parsed.text.startswith("/"):
        if not system_url:
            raise RunError(
                ErrorKind.UNRESOLVED_VARIABLE,
                f"url: {parsed.text} has no host, and the step has no system to continue",
                hint="write the whole url, or set systemId to a stored system that has a url",
            )
        pieces = [_Piece(system_url.rstrip("/"), trusted=True), *pieces]
        url = pieces[0].text + url
    elif not _is_authority_written(parsed):
        _check_origin(url, pieces, allowed)
    _check_segments(url, pieces)
    _check_scheme(url)
    return url


async def _render_pieces(template: Template, resolver: Resolver) -> list[_Piece]:
    pieces: list[_Piece] = []
    resolutions: list[Resolved | None] = []
    for index, part in enumerate(template.parts):
        if isinstance(part, str):
            pieces.append(_Piece(part, trusted=True))
            resolutions.append(None)
            continue
        if resolver.is_raw(part):
            resolved = await resolver.resolve_raw(part, _WHERE)
            text = resolved.text()
        else:
            resolved = await resolver.resolve(part, _WHERE)
            if part.legacy and resolved.problem is not None:
                pieces.append(_Piece(part.written, trusted=True))
                resolutions.append(None)
                continue
            require_value(resolved, _WHERE)
            text = resolved.text()
            if index > 0 and not resolved.is_from_function:
                text = quote(text, safe="", errors="surrogatepass")
        trusted = index == 0 and resolved.is_credential
        pieces.append(_Piece(text, trusted))
        resolutions.append(resolved)
    return _without_empty_parameters(pieces, resolutions)


def _without_empty_parameters(
    pieces: list[_Piece], resolutions: list[Resolved | None]
) -> list[_Piece]:
    """Leave out `name=<<x>>` of the query where `x` is null or empty."""
    in_query = False
    kept = list(pieces)
    for index, piece in enumerate(pieces):
        resolved = resolutions[index]
        if resolved is None:
            in_query = in_query or "?" in piece.text
            continue
        before = kept[index - 1].text if index else ""
        after = pieces[index + 1].text if index + 1 < len(pieces) else ""
        name = re.search(r"[?&][^?&=#]*=$", before)
        if in_query and resolved.is_empty and name and after[:1] in {"", "&", "#"}:
            kept[index] = _Piece("", trusted=True)
            kept[index - 1] = _Piece(before[: name.start() + 1], trusted=True)
            if after.startswith("&"):
                kept[index + 1] = _Piece(after[1:], trusted=True)
            else:
                kept[index - 1] = _Piece(before[: name.start()], trusted=True)
    return kept


def _is_authority_written(template: Template) -> bool:
    """Whether scheme, user, host and port stand in the template's own text."""
    first = template.parts[0] if template.parts else ""
    if not isinstance(first, str):
        return False
    match = _SCHEME_AND_AUTHORITY.match(first)
    return match is not None and (len(template.parts) == 1 or match.end() < len(first))


def _check_origin(url: str, pieces: list[_Piece], allowed: set[str]) -> None:
    origin = origin_of(url)
    has_user = origin is not None and "@" in urlsplit(url).netloc
    trusted_start = pieces[0].text if pieces and pieces[0].trusted else ""
    written = _SCHEME_AND_AUTHORITY.match(trusted_start)
    if written is not None and not has_user:
        # A credential such as `acme_url` may say where its system is; what follows must not.
        rest = url[len(trusted_start) : len(trusted_start) + 1]
        if written.end() < len(trusted_start) or rest in {"", "/", "?", "#"}:
            allowed = allowed | {origin_of(trusted_start) or ""}
    if origin is not None and origin in allowed and not has_user:
        return
    raise RunError(
        ErrorKind.BLOCKED_ADDRESS,
        f"url: {url[:200]} goes to {origin or 'no http origin'}, which the tool does not name",
        hint="write scheme and host in the url, or give the step a system with that url: "
        "a value cannot choose where a request goes",
    )


def _check_segments(url: str, pieces: list[_Piece]) -> None:
    written = "".join(piece.text if piece.trusted else "x" for piece in pieces)
    if _dot_segments(url) > _dot_segments(written):
        raise RunError(
            ErrorKind.INVALID_INPUT,
            f"url: a value put a `.` or `..` segment into {urlsplit(url).path[:200]}",
            hint="the value stands for one path segment and cannot climb out of it",
        )


def _dot_segments(url: str) -> int:
    if _MAY_BE_DOTS.search(url) is None:
        return 0
    # Some servers read a backslash as a slash.
    path = re.split(r"[?#]", url, maxsplit=1)[0].replace("\\", "/")
    return sum(unquote(segment) in {".", ".."} for segment in path.split("/"))


def _check_scheme(url: str) -> None:
    if origin_of(url) is None:
        scheme = url.partition(":")[0]
        raise RunError(
            ErrorKind.CONNECTION,
            f"Unsupported URL protocol: {url[:200]}"
            if "://" in url
            else f"url: {url[:200]!r} is not a url",
            hint=f"{scheme} is not supported; valid: http, https" if "://" in url else None,
        )
