"""A request taken apart: its sign-in, the secrets in it, and what can be an input of a tool."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import cast
from urllib.parse import parse_qsl, unquote

from tools.importers import NoteList
from tools.importers.files import file_schema
from tools.importers.requests.operations import graphql_text
from tools.importers.requests.seen import SeenAuth, SeenPart, SeenRequest
from tools.importers.secrets import (
    MOST_SECRETS,
    basic_pair,
    is_blank,
    is_secret_name,
    looks_secret,
    mask_in_text,
    replace_in_literals,
    replace_in_urls,
    says_no_key,
    too_many_secrets,
    variables_of_secrets,
)
from tools.importers.text import (
    bare_reference,
    filled,
    json_with_references,
    number_reference,
    only_reference,
    readable,
    reference,
    references,
    split_change,
    without_encoding,
)
from tools.json_text import Json, JsonObject, nests_deeply
from tools.methods import METHODS_WITH_BODY
from tools.redaction import MINIMUM_SECRET_LENGTH
from tools.urls import origin_of

__all__ = [
    "VARYING",
    "Draft",
    "Input",
    "Secret",
    "Variable",
    "credential_name",
    "take_apart",
    "typed",
]

_FORM_TYPES = ("application/x-www-form-urlencoded", "multipart/form-data")
_MOST_INPUT_TEXT = 2_000
#: What the client of every request writes itself.
_OWN_HEADERS = frozenset(
    [
        "host",
        "content-length",
        "connection",
        "accept-encoding",
        "transfer-encoding",
        "te",
        "upgrade",
        "expect",
        "keep-alive",
        "proxy-connection",
    ]
)
_SCHEME = re.compile(r"\s*(bearer|basic|digest|aws4-hmac-sha256)(?:\s+|$)(.*)", re.I | re.S)
_ANY_SCHEME = re.compile(r"^[A-Za-z][\w-]*\s+")
_AWS = re.compile(r"Credential=([^/,\s]+)/[^/,]+/([^/,]+)/([^/,]+)/aws4_request")
#: A path segment that names one of many things.
VARYING = re.compile(
    r"\d+|[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}|(?=\w*\d)[0-9a-f]{24}"
)
#: Names with values, as a form is written; other texts go out as they are.
_PAIR = r"[^\s<>{}\"'=&]+=[^&]*+"
_PAIRS = re.compile(rf"\s*&*{_PAIR}(?:&+{_PAIR})*&*\s*")
#: Some servers read pairs behind a semicolon, too.
_OTHER_PAIR = re.compile(r";[\w.\[\]-]{1,80}=")
#: How the members of a pair are called that is written as an object.
_NAME_NAMES = ("name", "key", "field")
_VALUE_NAMES = frozenset(["value", "val", "text"])
_SHORTEST_SOUGHT = 6
_LONGEST_SECRET = 8_192


@dataclass(frozen=True)
class Variable:
    """A variable of the document; its value is None where the document has none."""

    value: str | None = field(default=None, repr=False)
    is_secret: bool = False


@dataclass(frozen=True)
class Secret:
    """A secret of a request: the name it should have, and its value where that is known."""

    wanted: str
    value: str | None = field(repr=False)


@dataclass(frozen=True)
class Input:
    """A value that becomes an input: where it stands, its name, and what was seen there."""

    location: str
    name: str
    schema: JsonObject


@dataclass
class Draft:
    """A request whose texts refer to `secrets` and `inputs` by name."""

    request: SeenRequest
    origin: str
    path: str
    query: list[tuple[str, str]]
    headers: list[tuple[str, str]]
    #: What stands in the query without a `=`, or is no text.
    bare_query: list[str] = field(default_factory=list[str])
    #: The body: a JSON value, the fields of a form, or text.
    json: Json = None
    form: list[tuple[str, str]] | None = None
    #: The fields of the form, by their position, that are more than a text.
    parts: Mapping[int, SeenPart] = field(default_factory=dict[int, SeenPart])
    text: str | None = None
    auth: SeenAuth | None = None
    secrets: dict[str, Secret] = field(default_factory=dict[str, Secret])
    inputs: dict[str, Input] = field(default_factory=dict[str, Input])

    def secret(self, wanted: str, value: str | None) -> str:
        """A reference to a secret. Raises `DocumentError` when there are too many."""
        one = Secret(wanted, value)
        name = next((key for key, known in self.secrets.items() if known == one), None)
        if name is None and len(self.secrets) == MOST_SECRETS:
            raise too_many_secrets(self.request.place)
        name = name or f"secret {len(self.secrets)}"
        self.secrets[name] = one
        return reference(name)

    def input(self, one: Input, *, bare: bool = False) -> str:
        """A reference to an input."""
        name = f"input {len(self.inputs)}"
        self.inputs[name] = one
        return (bare_reference if bare else reference)(name)

    def known_secrets(self) -> dict[str, str]:
        """The secrets whose values are known, by value; user names are none."""
        found = {one.value: one.wanted for one in self.secrets.values() if one.value}
        if self.auth is not None:
            for name, value in self.auth.values.items():
                if value and name not in {"username", "client_id"}:
                    found.setdefault(value, name)
        for value, name in list(found.items()):
            for part in _parts_of(value):
                found.setdefault(part, f"{name}_part")
        return found

    def replace_secrets(self, known: Mapping[str, str]) -> None:
        """Put references wherever one of the secrets stands, not only where it was found."""
        values = sorted((one for one in known if len(one) >= _SHORTEST_SOUGHT), key=len)
        if not values:
            return
        pattern = re.compile("|".join(re.escape(one) for one in reversed(values)))

        def clean(text: str) -> str:
            return pattern.sub(lambda match: self.secret(known[match[0]], match[0]), text)

        self.path = "/".join(
            clean(unquote(one)) if pattern.search(unquote(one)) else one
            for one in self.path.split("/")
        )
        self.query = [(clean(name), clean(value)) for name, value in self.query]
        self.bare_query = list(map(clean, self.bare_query))
        self.headers = [(clean(name), clean(value)) for name, value in self.headers]
        if self.form is not None:
            self.form = [(clean(name), clean(value)) for name, value in self.form]
        if self.text is not None:
            self.text = clean(self.text)
        self.json = _mapped(self.json, clean)


def _parts_of(value: str) -> list[str]:
    """What is secret by itself inside of a header: the values of cookies, what a scheme begins."""
    parts = [one.partition("=")[2].strip() for one in value.split(";")]
    parts.append(_ANY_SCHEME.sub("", value))
    return [one for one in parts if len(one) >= MINIMUM_SECRET_LENGTH and one != value]


def _mapped(value: Json, clean: Callable[[str], str]) -> Json:
    if isinstance(value, dict):
        members = cast("JsonObject", value).items()
        return {clean(name): _mapped(one, clean) for name, one in members}
    if isinstance(value, list):
        return [_mapped(one, clean) for one in cast("list[Json]", value)]
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        cleaned = clean(str(value))
        return value if cleaned == str(value) else number_reference(cleaned)
    return value


def take_apart(
    request: SeenRequest, variables: Mapping[str, Variable], notes: NoteList
) -> Draft | None:
    """The draft of a request; None for a url that no request can go to, which is noted."""
    return _Reader(request, variables, notes).read()


class _Reader:
    """Makes one draft."""

    def __init__(
        self, request: SeenRequest, variables: Mapping[str, Variable], notes: NoteList
    ) -> None:
        self._request = request
        self._variables = variables
        self._notes = notes
        self._user: tuple[str, str] | None = None
        #: The user and password of a sign-in with one of them alone.
        self._half: Mapping[str, str] = {}
        self._bound: dict[str, str] = {}
        #: Fields that are secret for what the body does with them.
        self._handed_on = frozenset[str]()

    def read(self) -> Draft | None:
        target = self._target()
        if target is None:
            return None
        origin, path, query = target
        pairs: list[tuple[str, str]] = []
        bare: list[str] = []
        for one in query.split("&"):
            is_secret = is_secret_name(one.partition("=")[0])
            pair = _pairs_of(one, is_exact=not is_secret) if "=" in one else None
            pairs.extend(pair or ())
            bare.extend([one] if one and pair is None else ())
        draft = self._draft = Draft(self._request, origin, path, [*pairs, *self._request.query], [])
        draft.bare_query = bare
        draft.headers = [
            (name.strip(), value)
            for name, value in self._request.headers
            if name.strip().lower() not in _OWN_HEADERS and not name.startswith(":")
        ]
        self._read_body()
        self._take_sign_in()
        self._take_keys()
        whole = replace_in_urls(f"{origin}{draft.path}", self._literal)
        draft.path = "/".join(map(self._segment, whole.removeprefix(origin).split("/")))
        draft.query = [(self._bind(name), self._value(name, one)) for name, one in draft.query]
        draft.bare_query = list(map(self._segment, draft.bare_query))
        draft.headers = [(self._bind(name), self._value(name, one)) for name, one in draft.headers]
        if draft.form is not None:
            draft.form = [
                (self._bind(name), self._form_value(index, name, one))
                for index, (name, one) in enumerate(draft.form)
            ]
        if draft.text is not None:
            draft.text = self._bind(self._without_secrets(draft.text))
        body: Json = draft.json
        if isinstance(body, dict):
            program = graphql_text(cast("JsonObject", body))
            self._handed_on = variables_of_secrets(program or "")
        draft.json = self._json("", body)
        if self._half:
            # Systems need both.
            pair = ":".join(
                draft.secret(name, self._secret_value(value) or None) if value else ""
                for name, value in self._half.items()
            )
            draft.headers.append(("Authorization", f"Basic {pair}"))
        return draft

    # Where it goes

    def _target(self) -> tuple[str, str, str] | None:
        url = self._request.url.strip().partition("#")[0]
        if not url:
            self._notes.add(self._request.place, "left out: it has no url")
            return None
        base, _, query = url.partition("?")
        scheme, separator, rest = base.partition("://")
        if not separator:
            base = self._fill_start(base)
            scheme, separator, rest = base.partition("://")
            if not separator:
                scheme, rest = "http", base
        authority, slash, path = rest.partition("/")
        authority = self._fill(authority) or ""
        if "/" in authority:
            authority, _, before = authority.partition("/")
            path, slash = f"{before.rstrip('/')}{slash}{path}", "/"
        if "@" in authority:
            user, _, authority = authority.rpartition("@")
            name, _, password = user.partition(":")
            self._user = (unquote(name), unquote(password))
        path = slash + path
        if not authority or any(references(base.partition("/")[0])):
            self._notes.add(self._request.place, "its host is not known; set the url of the system")
            return "", path if path.startswith("/") else f"/{path}", query
        origin = origin_of(f"{scheme.lower()}://{authority}")
        if origin is None or re.search(r"[\s<>\"{}|\\^`]", authority):
            self._notes.add(self._request.place, "left out: this is no http url")
            return None
        return origin, path, query

    def _fill_start(self, base: str) -> str:
        """A url that begins with a variable, with the variable's value."""
        head, slash, rest = base.partition("/")
        filled = self._fill(head)
        if filled is None:
            return f"{slash}{rest}" if any(references(head)) else base
        return f"{filled.rstrip('/')}{slash}{rest}"

    def _fill(self, text: str) -> str | None:
        """A text with the values of its variables; None when one has no value."""
        known = True

        def value(name: str) -> str:
            nonlocal known
            variable = self._variables.get(name)
            if variable is None or variable.value is None:
                known = False
                return ""
            return variable.value

        # A variable may refer to another one.
        for _ in range(5):
            text = filled(text, value, self._request.place)
            if not known or not any(references(text)):
                return text if known else None
        return None

    # What is secret

    def _take_sign_in(self) -> None:
        draft = self._draft
        given = self._request.auth
        kept: list[tuple[str, str]] = []
        for name, value in draft.headers:
            if name.lower() == "authorization" and given is None:
                given = self._authorization(value)
            elif name.lower() != "authorization":
                kept.append((name, value))
        draft.headers = kept
        if given is None and self._user is not None:
            given = SeenAuth.basic(*self._user)
        if given is None:
            return
        if given.is_half:
            self._half = given.values
        else:
            values = {name: self._secret_value(one) for name, one in given.values.items()}
            draft.auth = SeenAuth(given.kind, values, given.settings)

    def _authorization(self, value: str) -> SeenAuth:
        match = _SCHEME.match(value)
        kind, rest = (match[1].lower(), match[2].strip()) if match else ("", value)
        if kind == "bearer":
            return SeenAuth("bearer", {"token": rest})
        if kind == "basic":
            pair = None if is_blank(rest) else basic_pair(rest)
            user, password = pair or ("", "")
            return SeenAuth.basic(user, password)
        if kind == "digest":
            return SeenAuth("digest", {"username": "", "password": ""})
        if kind.startswith("aws4") and (scope := _AWS.search(rest)):
            self._notes.add(
                self._request.place, "a signature is for one request; set secret_access_key"
            )
            values = {"access_key_id": scope[1], "secret_access_key": ""}
            return SeenAuth("aws_sigv4", values, {"region": scope[2], "service": scope[3]})
        return SeenAuth(
            "apiKey", {"authorization": value}, {"in": "header", "name": "Authorization"}
        )

    def _take_keys(self) -> None:
        """The one key in a header or the query is the sign-in when there is no other."""
        draft = self._draft
        if draft.auth is not None or self._half:
            return
        places = (("header", draft.headers), ("query", draft.query))
        found = [
            (place, name, value)
            for place, pairs in places
            for name, value in pairs
            if name.lower() != "cookie" and not any(references(name)) and self._is_key(name, value)
        ]
        if len(found) != 1:
            return
        place, name, value = found[0]
        draft.headers = [one for one in draft.headers if place != "header" or one[0] != name]
        draft.query = [one for one in draft.query if place != "query" or one[0] != name]
        draft.auth = SeenAuth(
            "apiKey",
            {credential_name(name): self._secret_value(value)},
            {"in": place, "name": name},
        )

    def _is_key(self, name: str, value: str) -> bool:
        variable = self._variables.get(only_reference(value) or "")
        if variable is not None and variable.is_secret:
            return True
        if not value.strip():
            return False
        looks_so = looks_secret(value) and not says_no_key(name) and not _is_program(name, value)
        return is_secret_name(name) or name in self._handed_on or looks_so

    def _secret_value(self, value: str) -> str:
        """The value of a secret; empty where the document has none."""
        filled = self._fill(value)
        if filled is not None and len(filled) > _LONGEST_SECRET:
            self._notes.add(self._request.place, "a very long secret is left out; set it yourself")
            return ""
        return "" if filled is None or is_blank(filled) else filled

    # What may be an input

    def _value(self, name: str, value: str) -> str:
        if self._is_key(name, value):
            return self._draft.secret(credential_name(name), self._secret_value(value) or None)
        value = replace_in_urls(value, self._literal)
        if _is_program(name, value) or _json_of(value) is not None:
            value = replace_in_literals(value, self._literal)
        return self._bind(value)

    def _literal(self, name: str, value: str) -> str:
        return self._draft.secret(credential_name(name), self._secret_value(value) or None)

    def _without_secrets(self, text: str) -> str:
        """A text that is neither JSON nor a form."""
        text = replace_in_urls(text, self._literal)
        body = self._request.body
        if body is not None and (body.media_type or "").lower().startswith("application/graphql"):
            return replace_in_literals(text, self._literal)
        for one in mask_in_text(text):
            text = text.replace(one, self._draft.secret("secret", self._secret_value(one) or None))
        return text

    def _form_value(self, index: int, name: str, value: str) -> str:
        part = self._draft.parts.get(index)
        if part is None or not part.is_file:
            return self._value(name, value)
        described = file_schema(part.file_name or readable(name, str), part.content_type)
        return self._draft.input(Input("body", readable(name, str), described), bare=True)

    def _segment(self, segment: str) -> str:
        if looks_secret(unquote(segment)):
            return self._draft.secret("path_secret", unquote(segment))
        return self._bind(segment)

    def _json(self, name: str, value: Json) -> Json:
        if isinstance(value, dict):
            fields = cast("JsonObject", value)
            about = _secret_of_value(name, fields)
            return {
                self._bind(key): self._json(about if about and key in _VALUE_NAMES else key, one)
                for key, one in fields.items()
            }
        if isinstance(value, list):
            return [self._json(name, one) for one in cast("list[Json]", value)]
        if isinstance(value, str):
            return self._value(name, value)
        if isinstance(value, int | float) and not isinstance(value, bool):
            is_key = self._is_key(name, str(value))
            return number_reference(self._value(name, str(value))) if is_key else value
        return value

    def _bind(self, text: str) -> str:
        """A text whose references are to the draft's inputs and secrets."""
        return readable(text, self._variable)

    def _variable(self, name: str) -> str:
        change, name = split_change(name)
        if change:
            return reference(change + (only_reference(self._variable(name)) or ""))
        if name in self._draft.inputs or name in self._draft.secrets:
            return reference(name)
        bare = name.startswith("=")
        name = name.removeprefix("=")
        if name.startswith("(s) =>"):
            return reference(f"={name}" if bare else name)
        if name not in self._bound:
            variable = self._variables.get(name, Variable())
            value = self._fill(variable.value or "") or ""
            if variable.is_secret or is_secret_name(name) or (value and looks_secret(value)):
                return self._draft.secret(credential_name(name), value or None)
            schema: JsonObject = {"type": "string"} if not bare else {}
            if value and len(value) <= _MOST_INPUT_TEXT:
                schema["default"] = typed(value) if bare else value
            self._bound[name] = (
                only_reference(self._draft.input(Input("variable", name, schema))) or ""
            )
        return (bare_reference if bare else reference)(self._bound[name])

    # The body

    def _read_body(self) -> None:
        body, draft = self._request.body, self._draft
        if body is None:
            return
        if self._request.method not in METHODS_WITH_BODY:
            self._notes.add(
                self._request.place, f"no tool sends a body with {self._request.method}: left out"
            )
            return
        kind = (body.media_type or "").partition(";")[0].strip().lower()
        if body.fields is not None:
            draft.form = list(body.fields)
            draft.parts = body.parts
        elif body.text.strip():
            draft.json = _json_of(body.text)
            is_form = kind == _FORM_TYPES[0] and not _OTHER_PAIR.search(body.text)
            if draft.json is None and is_form and _PAIRS.fullmatch(body.text):
                draft.form = _pairs_of(body.text)
            if draft.json is None and draft.form is None:
                draft.text = body.text
        draft.headers = [one for one in draft.headers if one[0].lower() != "content-type"]
        if draft.json is not None:
            if kind in _FORM_TYPES:
                self._notes.add(
                    self._request.place, f"the body is JSON and sent as such, not as {kind}"
                )
            elif kind not in {"", "application/json"}:
                draft.headers.append(("Content-Type", body.media_type or ""))
        elif draft.form is not None:
            draft.headers.append(("Content-Type", kind if kind in _FORM_TYPES else _FORM_TYPES[0]))
        elif body.media_type:
            draft.headers.append(("Content-Type", body.media_type))


def typed(text: str) -> Json:
    """A number or truth value as what it is, when it is written as JSON writes it."""
    if text in {"true", "false"}:
        return text == "true"
    if re.fullmatch(r"0|-?[1-9]\d{0,14}", text):
        return int(text)
    return text


def _secret_of_value(name: str, fields: JsonObject) -> str | None:
    """What an object with a value says that the value is, where that is a secret."""
    names = (name, *(one for key in _NAME_NAMES if isinstance(one := fields.get(key), str)))
    return next((one for one in names if is_secret_name(one)), None)


def _is_program(name: str, text: str) -> bool:
    """Whether a text is a program of GraphQL, which is no key, though it may hold one."""
    return graphql_text({name: text}) is not None


def _pairs_of(text: str, *, is_exact: bool = True) -> list[tuple[str, str]] | None:
    """The names and values of a form; None where they are no text, but other octets."""
    try:
        how = "strict" if is_exact else "replace"
        pairs = parse_qsl(text, keep_blank_values=True, errors=how)
    except UnicodeDecodeError:
        return None
    return [(name, without_encoding(value)) for name, value in pairs]


def _json_of(text: str) -> Json:
    """The object or list of a body, unless it is none."""
    if text.lstrip()[:1] not in {"{", "["}:
        return None
    try:
        value = json_with_references(text)
    except ValueError:
        return None
    return None if nests_deeply(value) else value


def credential_name(name: str) -> str:
    """The name of a credential from that of a header, parameter, field or variable."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", readable(name, str))
    plain = re.sub(r"[^a-z0-9]+", "_", spaced.lower()).strip("_").removeprefix("x_")[:60]
    return plain if plain[:1].isalpha() else f"key_{plain}".rstrip("_")
