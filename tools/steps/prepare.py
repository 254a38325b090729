"""A request rendered: templates in, one `OutgoingRequest` out. Nothing is sent here."""

import base64
import binascii
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast
from urllib.parse import quote_plus, unquote_plus

from tools.carriers import NOTHING_CARRIED, TakenCredential
from tools.context import RunContext
from tools.errors import ErrorKind, RunError
from tools.http import OutgoingRequest
from tools.json_text import Json
from tools.methods import METHODS_WITH_BODY
from tools.model import RequestConfig
from tools.redaction import Redactor, secret_forms
from tools.steps.form_parts import encode_multipart, encode_urlencoded
from tools.system import System
from tools.templates import Resolver, render_body, render_fields, render_url
from tools.urls import origin_of

__all__ = ["prepare_request"]

_FORM_TYPE = "application/x-www-form-urlencoded"
_MULTIPART_TYPE = "multipart/form-data"
_DOUBLED_BEARER = re.compile(r"^(?:bearer\s+){2,}", re.IGNORECASE)
_BASIC = re.compile(r"^basic\s+(.*)$", re.IGNORECASE | re.DOTALL)


async def prepare_request(
    config: RequestConfig,
    resolver: Resolver,
    context: RunContext,
    system: System | None,
    next_url: str | None,
) -> OutgoingRequest:
    """Render a request; `next_url` takes the place of url and query where the upstream named it.

    Raises `RunError` when a value is missing or would lead elsewhere.
    """
    headers = await render_fields(config.headers, resolver, "headers")
    headers = [(name, _header_value(name, value)) for name, value in headers]
    is_signed = True
    if next_url is not None:
        own_url = await _render_url(config, resolver, context, system)
        is_signed = origin_of(next_url) == origin_of(own_url)
        url, headers = _follow(own_url, next_url, headers, system, context, resolver)
    else:
        url = await _render_url(config, resolver, context, system)
        parameters = await render_fields(config.query_params, resolver, "queryParams")
        url = _with_parameters(url, parameters)
    body, content_type = await _render_request_body(config, headers, resolver)
    if content_type is not None:
        headers = [(name, value) for name, value in headers if name.lower() != "content-type"]
        headers.append(("Content-Type", content_type))
    redactor = context.redactor
    places = {
        place: taken
        for place, taken in resolver.taken.items()
        # What follows a link is the upstream's url, not the one that was rendered.
        if next_url is None or not place.startswith(("url", "queryParams"))
    }
    taken = NOTHING_CARRIED.union(*places.values())
    _check_destination(url, headers, body, taken, context, system)
    return OutgoingRequest(
        config.method,
        url,
        headers,
        body,
        credential_headers=frozenset(
            name.lower()
            for name, value in headers
            if _took_credential(name, resolver) or redactor.text(value) != value
        ),
        body_holds_credentials=body is not None
        and ("body" in places or redactor.data(body) != body),
        holds_credential=_finder(redactor, taken),
        is_signed=is_signed,
    )


def _took_credential(header: str, resolver: Resolver) -> bool:
    """Whether the template of a header, or the one that makes all of them, took a credential."""
    return "headers" in resolver.taken or f"headers.{header}" in resolver.taken


def _finder(redactor: Redactor, taken: Iterable[TakenCredential]) -> Callable[[str], bool]:
    """Finds credentials in a text: long ones anywhere, short ones of this request as words."""
    short = {one.value for one in taken if one.is_short}
    if not short:
        return redactor.finds
    forms = sorted({re.escape(form) for value in short for form in secret_forms(value)})
    words = re.compile(rf"(?<![A-Za-z0-9])(?:{'|'.join(forms)})(?![A-Za-z0-9])")
    return lambda text: redactor.finds(text) or words.search(text) is not None


def _check_destination(
    url: str,
    headers: Sequence[tuple[str, str]],
    body: bytes | None,
    taken: frozenset[TakenCredential],
    context: RunContext,
    system: System | None,
) -> None:
    """Refuse to take a credential to an origin that is not its system's, before anything is sent.

    Credentials of a run go to the step's system, else to the origin that the tool wrote.
    """
    origin = origin_of(url)
    guarded = {one.id: one for one in context.guarded_systems or context.systems.values()}
    # What a child run gave back may be of a system that this run does not know.
    owners = {one.owner.id: one.owner for one in taken if one.owner is not None}
    secrets = [
        (one, f"{one.id}.{name}", value)
        for one in {**owners, **guarded}.values()
        if not one.may_receive_credentials(origin)
        for name, value in one.credentials.items()
    ]
    if system is not None and system.url and not system.may_receive_credentials(origin):
        run_time = context.run_time_credentials.items()
        secrets.extend((system, f"run.{name}", value) for name, value in run_time)
    if not secrets:
        return
    sent = "\n".join([url, unquote_plus(url), *(value for _, value in headers)])
    sent += "\n" + (body or b"").decode("utf-8", "replace")
    labels = {one.label for one in taken}
    for owner, name, value in secrets:
        # In every form: `Basic` encodes it, forms and JSON bodies escape it.
        if name in labels or Redactor({name: value}).finds(sent):
            raise RunError(
                ErrorKind.CREDENTIAL,
                f"the credential {name} belongs to {origin_of(owner.url) or owner.id} "
                f"and does not go to {origin}",
                hint=f"add the origin to allowedOrigins of system {owner.id}, if that is meant",
            )


async def _render_url(
    config: RequestConfig, resolver: Resolver, context: RunContext, system: System | None
) -> str:
    visible = [system] if system is not None else context.systems.values()
    return await render_url(
        config.url,
        resolver,
        system_url=system.url if system is not None else None,
        allowed_origins=[
            origin
            for one in visible
            for origin in (origin_of(one.url), *map(origin_of, one.allowed_origins))
            if origin is not None
        ],
    )


def _follow(
    own_url: str,
    next_url: str,
    headers: list[tuple[str, str]],
    system: System | None,
    context: RunContext,
    resolver: Resolver,
) -> tuple[str, list[tuple[str, str]]]:
    """The url of a next page; another origin must be the system's choice and gets no credential."""
    target = origin_of(next_url)
    if target == origin_of(own_url):
        return next_url, headers
    allowed = () if system is None else tuple(map(origin_of, system.allowed_origins))
    if target is None or target not in allowed:
        raise RunError(
            ErrorKind.CREDENTIAL,
            f"the next page is at {target or next_url[:200]}, "
            f"the first one was at {origin_of(own_url)}",
            hint="if that is right, add the origin to allowedOrigins of the step's system",
        )
    secret = {"authorization", "cookie", "proxy-authorization"}
    kept = [
        (name, value)
        for name, value in headers
        if name.lower() not in secret
        and not _took_credential(name, resolver)
        and context.redactor.text(value) == value
    ]
    return next_url, kept


def _header_value(name: str, value: str) -> str:
    if re.search(r"[\r\n\0]", value):
        raise RunError(
            ErrorKind.INVALID_INPUT,
            f"headers.{name}: the value holds a line break, which no header may",
        )
    value = value.strip()
    if name.lower() != "authorization":
        return value
    value = _DOUBLED_BEARER.sub("Bearer ", value)
    basic = _BASIC.match(value)
    if basic is None or ":" not in basic[1] or _is_encoded(basic[1]):
        return value
    return "Basic " + base64.b64encode(basic[1].encode()).decode()


def _is_encoded(text: str) -> bool:
    try:
        return b":" in base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return False


def _with_parameters(url: str, parameters: Sequence[tuple[str, str]]) -> str:
    """Add form-encoded parameters; one of the same name in the url is replaced."""
    if not parameters:
        return url
    url, _, fragment = url.partition("#")
    base, _, query = url.partition("?")
    names = {name for name, _ in parameters}
    kept = [
        pair
        for pair in query.split("&")
        if pair and unquote_plus(pair.partition("=")[0]) not in names
    ]
    added = [
        f"{quote_plus(name, errors='surrogatepass')}={quote_plus(value, errors='surrogatepass')}"
        for name, value in parameters
    ]
    return f"{base}?{'&'.join((*kept, *added))}" + (f"#{fragment}" if fragment else "")


async def _render_request_body(
    config: RequestConfig, headers: Sequence[tuple[str, str]], resolver: Resolver
) -> tuple[bytes | None, str | None]:
    """Body and content type; the type is None where the author's own header stands."""
    if config.method not in METHODS_WITH_BODY or not config.body:
        return None, None
    given = next((value for name, value in headers if name.lower() == "content-type"), None)
    kind = (given or "").partition(";")[0].strip().lower()
    if kind in {_FORM_TYPE, _MULTIPART_TYPE}:
        fields = await _render_form_fields(config.body, resolver)
        if fields is not None:
            return _encode_form(fields, kind, given)
    rendered = await render_body(config.body, given, resolver)
    data = rendered.text.encode("utf-8", "surrogatepass")
    if given is not None:
        return data, None
    if not data:
        # A body that the inputs leave empty is none, and has no type.
        return None, None
    return data, "application/json" if rendered.is_json else "text/plain; charset=utf-8"


async def _render_form_fields(body: str, resolver: Resolver) -> dict[str, Json] | None:
    """The fields of a form written as a JSON object, or None when the body is text."""
    rendered = await render_body(body, None, resolver)
    value: Any = rendered.value
    return cast("dict[str, Any]", value) if rendered.is_json and isinstance(value, dict) else None


def _encode_form(fields: dict[str, Json], kind: str, given: str | None) -> tuple[bytes, str | None]:
    return (encode_urlencoded(fields), given) if kind == _FORM_TYPE else encode_multipart(fields)
