"""How parameters are written into a request (RFC 6570 as OpenAPI uses it), as templates.

A plain name suffices for most. Lists and objects in a style of their own are written by a function
at the end of the url, because its result is taken as it is.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

from tools.importers.openapi.parameters import Parameter

__all__ = [
    "BoundParameter",
    "cookie_template",
    "form_text_template",
    "header_template",
    "inserted_names",
    "literal",
    "query_is_plain",
    "url_template",
    "value_of",
]

#: Percent-encodes all but unreserved characters; `\x27` is a quote, which the template would read.
_ENCODE = (
    'const e = (v) => encodeURIComponent(v !== null && typeof v === "object" ? JSON.stringify(v) '
    ': v).replace(/[!\\x27()*]/g, (c) => "%" + c.charCodeAt(0).toString(16).toUpperCase());'
)
_JOIN = (
    "const j = (v, d, p, f = e) => Array.isArray(v) ? v.map((x) => f(x)).join(d) : "
    'v !== null && typeof v === "object" ? '
    "Object.entries(v).map(([k, x]) => f(k) + p + f(x)).join(d) : f(v);"
)
_QUERY = (
    'const q = (n, v) => v === undefined || v === null || v === "" ? [] : Array.isArray(v) ? '
    'v.map((x) => n + "=" + e(x)) : typeof v === "object" ? '
    "Object.entries(v).flatMap(([k, x]) => x === null ? [] : "
    '[].concat(x).map((y) => e(k) + "=" + e(y))) : [n + "=" + e(v)];'
)
_DEEP = (
    "const d = (n, v, a = n) => v === undefined || v === null ? [] : Array.isArray(v) ? "
    'v.flatMap((x, i) => x !== null && typeof x === "object" ? d(n + "%5B" + i + "%5D", x) : '
    '[a + "=" + e(x)]) : typeof v === "object" ? '
    'Object.entries(v).flatMap(([k, x]) => d(n + "%5B" + e(k) + "%5D", x)) : [n + "=" + e(v)];'
)
_DELIMITED = (
    'const l = (n, v, s) => v === undefined || v === null || v === "" || '
    '(Array.isArray(v) && !v.length) ? [] : [n + "=" + j(v, s, s)];'
)
_RESERVED = (
    'const r = (n, v) => v === undefined || v === null || v === "" ? [] : '
    '[].concat(v).map((x) => n + "=" + encodeURI(x).replace(/[#&+]/g, encodeURIComponent));'
)
#: Cookies are not percent-encoded.
_COOKIE = (
    'const c = (n, v, x) => v === undefined || v === null ? [] : typeof v !== "object" ? '
    '[n + "=" + v] : !x ? [n + "=" + (Array.isArray(v) ? v : Object.entries(v).flat()).join(",")] '
    ': Array.isArray(v) ? v.map((y) => n + "=" + y) : '
    'Object.entries(v).map(([k, y]) => k + "=" + y);'
)
_HELPERS = {
    "e(": _ENCODE,
    "j(": _JOIN,
    "q(": _QUERY,
    "d(": _DEEP,
    "l(": _DELIMITED,
    "r(": _RESERVED,
    "c(": _COOKIE,
}
_INSERTED = re.compile(r"\{([^{}]+)\}")
#: What a helper calls.
_NEEDS = {"j(": ("e(",), "q(": ("e(",), "d(": ("e(",), "l(": ("j(", "e(")}
_DELIMITERS = {"form": ",", "space": "%20", "pipe": "%7C", "tab": "%09"}


@dataclass(frozen=True)
class BoundParameter:
    """A parameter with the input, or page variable, that gives its value."""

    parameter: Parameter
    input: str
    #: Whether its value is surely neither list nor object.
    is_scalar: bool


def literal(text: str) -> str:
    """A text as JavaScript."""
    return json.dumps(text)


def value_of(name: str) -> str:
    """The value of an input in a function of the scope."""
    return f"s[{literal(name)}]"


def query_is_plain(bound: BoundParameter) -> bool:
    """Whether a query parameter is written by its name alone."""
    is_marked = any(mark in bound.parameter.name for mark in ("<<", "{{"))
    if bound.parameter.allow_reserved or is_marked:
        return False
    if bound.parameter.style == "whole":
        return False
    return bound.is_scalar or bound.parameter.style in {"json", "text"}


def url_template(base: str, path: str, parameters: Sequence[BoundParameter]) -> str:
    """The url below `base` with its path parameters, and the query parameters that are not plain.

    `base` is empty where the url continues the system's.
    """
    in_path = {one.parameter.name: one for one in parameters if one.parameter.location == "path"}
    styled = [
        one for one in parameters if one.parameter.location == "query" and not query_is_plain(one)
    ]
    path, _, written_query = path.partition("#")[0].partition("?")
    segments = [_segment_parts(segment, in_path) for segment in path.split("/")]
    query = _query_parts(written_query, in_path, parameters)
    if not styled:
        texts = ["".join(_as_template(part) for part in parts) for parts in segments]
        return base + "/".join(texts) + "".join(map(_as_template, query))
    # The function stands for the last segment too: one that gives nothing would be an error.
    kept = len(segments) - 1
    while kept > 1 and not segments[kept]:
        kept -= 1
    before = "/".join("".join(map(_as_template, parts)) for parts in segments[:kept])
    tail = ' + "/" + '.join(" + ".join(map(_as_code, parts)) or '""' for parts in segments[kept:])
    pieces = ", ".join(f"...{_query_code(one)}" for one in styled)
    begin = "&" if query else "?"
    code = f'const p = [{pieces}].join("&"); return {tail}'
    if query:
        code += "".join(f" + {_as_code(part)}" for part in query)
    code += f" + (p && {literal(begin)} + p)"
    if tail == '""' and not query:
        code = f'const p = [{pieces}].join("&"); return "?" + p'
    return f"{base}{before}/<<{_function(code)}>>"


def form_text_template(parameters: Sequence[BoundParameter]) -> str:
    """A body of form fields as text, for styles that repeat neither names nor JSON."""
    pieces = ", ".join(f"...{_query_code(one)}" for one in parameters)
    code = f'return [{pieces}].join("&")'
    return f"<<{_function(code)}>>"


def header_template(bound: BoundParameter) -> str:
    """A header's value; it is left out when there is none."""
    parameter, value = bound.parameter, value_of(bound.input)
    if bound.is_scalar or parameter.style in {"json", "text"}:
        return f"<<{bound.input}>>"
    pair = literal("=" if parameter.explode else ",")
    # Headers are not percent-encoded.
    text = '(v) => typeof v === "object" ? JSON.stringify(v) : String(v)'
    is_absent = f"{value} === undefined || {value} === null"
    code = f'return {is_absent} ? null : j({value}, ",", {pair}, {text})'
    return f"<<{_function(code)}>>"


def cookie_template(parameters: Sequence[BoundParameter], keys: Sequence[tuple[str, str]]) -> str:
    """The `Cookie` header of parameters and of keys (cookie, name of the credential)."""
    pieces = [f"...{_query_code(one)}" for one in parameters]
    pieces += [f'{literal(name)} + "=" + {value_of(credential)}' for name, credential in keys]
    code = f'return [{", ".join(pieces)}].join("; ") || null'
    return f"<<{_function(code)}>>"


def _query_code(bound: BoundParameter) -> str:
    """A list of `name=value` texts."""
    parameter = bound.parameter
    name, value = literal(quote(parameter.name, safe="")), value_of(bound.input)
    if parameter.allow_reserved:
        return f"r({name}, {value})"
    if parameter.style == "whole":
        return f'({value} === undefined || {value} === "" ? [] : [e({value})])'
    if parameter.style == "cookie":
        exploded = "true" if parameter.explode else "false"
        return f"c({literal(parameter.name)}, {value}, {exploded})"
    if parameter.style == "deep":
        # Of a list the specification says nothing; servers that read this style read `name[]`.
        plain = parameter.name.removesuffix("[]")
        return f"d({name}, {value}, {literal(quote(f'{plain}[]', safe=''))})"
    if parameter.style in {"json", "text"}:
        # A form field that is a list is repeated.
        unless = f" && !Array.isArray({value})" if parameter.location == "form" else ""
        is_object = f'typeof {value} === "object"{unless}'
        return f"q({name}, {is_object} ? JSON.stringify({value}) : {value})"
    if parameter.style == "form" and parameter.explode:
        return f"q({name}, {value})"
    delimiter = _DELIMITERS.get(parameter.style, ",")
    if parameter.location == "form":
        # Forms are encoded whole, the delimiter too.
        delimiter = quote(delimiter, safe="%")
    return f"l({name}, {value}, {literal(delimiter)})"


_SAFE = "/%:@!$&'()*+,;=~-._"


def _query_parts(
    written: str, in_path: dict[str, BoundParameter], parameters: Sequence[BoundParameter]
) -> list[str | BoundParameter]:
    """The query that a path has, without the values that query parameters are inserted for."""
    in_query = {one.parameter.name for one in parameters if one.parameter.location == "query"}
    parts: list[str | BoundParameter] = []
    for pair in filter(None, written.split("&")):
        name, _, value = pair.partition("=")
        inserted = inserted_names(value)
        if inserted and not in_query.isdisjoint((name, *inserted)):
            continue
        parts.append("&" if parts else "?")
        parts += _segment_parts(pair, in_path)
    return parts


def inserted_names(path: str) -> list[str]:
    """The names in braces of a path, or of a part of one, each once."""
    return list(dict.fromkeys(_INSERTED.findall(path)))


def _segment_parts(segment: str, in_path: dict[str, BoundParameter]) -> list[str | BoundParameter]:
    parts: list[str | BoundParameter] = []
    rest = segment
    while rest:
        before, opening, after = rest.partition("{")
        name, closing, following = after.partition("}")
        if not opening or not closing or name not in in_path:
            if opening and closing:
                parts.append(quote(f"{before}{{{name}}}", safe=_SAFE))
                rest = following
                continue
            parts.append(quote(rest, safe=_SAFE))
            break
        if before:
            parts.append(quote(before, safe=_SAFE))
        parts.append(in_path[name])
        rest = following
    return parts


def _as_template(part: str | BoundParameter) -> str:
    if isinstance(part, str):
        return part
    parameter = part.parameter
    if part.is_scalar and parameter.allow_reserved and parameter.style == "simple":
        # A segment ends with what begins the query or the fragment, whoever reserves it.
        kept = f"encodeURI({value_of(part.input)}).replace(/[?#]/g, encodeURIComponent)"
        return f"<<{_function(f'return {kept}')}>>"
    if part.is_scalar or parameter.style in {"json", "text"}:
        name = quote(parameter.name, safe="")
        prefix = {"label": ".", "matrix": f";{name}="}
        return f"{prefix.get(parameter.style, '')}<<{part.input}>>"
    return f"<<{_function(f'return {_path_code(part)}')}>>"


def _as_code(part: str | BoundParameter) -> str:
    return literal(part) if isinstance(part, str) else f"({_path_code(part)})"


def _path_code(bound: BoundParameter) -> str:
    parameter, value = bound.parameter, value_of(bound.input)
    name, explode = quote(parameter.name, safe=""), parameter.explode
    pair = literal("=" if explode else ",")
    match parameter.style:
        case "label":
            delimiter = literal("." if explode else ",")
            return f'"." + j({value}, {delimiter}, {pair})'
        case "matrix" if explode:
            repeated = literal(f";{name}=")
            return (
                f'Array.isArray({value}) ? {value}.map((x) => {repeated} + e(x)).join("") : '
                f'typeof {value} === "object" ? ";" + j({value}, ";", "=") : '
                f"{repeated} + e({value})"
            )
        case "matrix":
            return f'{literal(f";{name}=")} + j({value}, ",", ",")'
        case "space" | "pipe" | "tab":
            return f'j({value}, {literal(_DELIMITERS[parameter.style])}, "=")'
        case _:
            return f'j({value}, ",", {pair})'


def _function(code: str) -> str:
    """A function of the scope with the helpers that it calls."""
    used = {name for name in _HELPERS if name in code}
    for name in tuple(used):
        used.update(_NEEDS.get(name, ()))
    helpers = " ".join(text for name, text in _HELPERS.items() if name in used)
    return f"(s) => {{ {helpers} {code}; }}" if helpers else f"(s) => {{ {code}; }}"
