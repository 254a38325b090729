"""How an API is signed in to: a system for each requirement that its operations need.

The requirement that most operations name is that of the system itself. Operations that need another
one, or none, have a system of their own, whose id says which.
"""

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal
from urllib.parse import urljoin

from tools.importers import NoteList
from tools.importers.openapi.masking import NAME_LEFT_OUT, is_key
from tools.importers.openapi.parameters import HEADER_NAME
from tools.importers.openapi.references import Document, Place, ReferenceProblem
from tools.importers.openapi.servers import without_user
from tools.importers.openapi.words import list_of, object_of, text_of
from tools.json_text import Json, JsonObject
from tools.urls import origin_of

__all__ = ["NO_SIGN_IN", "Key", "SignIn", "SignIns", "choose_sign_ins"]


@dataclass(frozen=True)
class Key:
    """A key that steps send themselves, because a system has one way to sign in."""

    place: Literal["header", "query", "cookie"]
    name: str
    credential: str


@dataclass(frozen=True)
class SignIn:
    """The auth of the system, keys beside it, and all credentials that are to be set."""

    auth: JsonObject | None = None
    keys: tuple[Key, ...] = ()
    credentials: tuple[str, ...] = field(default=())
    #: (location, name) of parameters that are credentials and no inputs.
    parameters: frozenset[tuple[str, str]] = frozenset()
    #: The scheme of each credential, and where a key goes.
    purposes: Mapping[str, str] = field(default_factory=dict[str, str])


NO_SIGN_IN = SignIn()
#: What the id of the system ends with whose operations need no sign-in.
_PUBLIC = "public"
_LONGEST_SUFFIX = 30
_LONGEST_NAME = 60
#: Systems beside the one of most operations; operations that need yet another sign-in have its.
_MOST_FURTHER = 20

#: The names of schemes that are needed together.
_Names = tuple[str, ...]
_Scheme = tuple[JsonObject, Place]


@dataclass(frozen=True)
class SignIns:
    """The sign-ins of a document, by what the ids of their systems end with; most have ""."""

    by_suffix: dict[str, SignIn]
    suffixes: dict[_Names, str]
    known: dict[str, _Scheme]
    #: Operations where signing in is optional go without; else none would sign in.
    skips_optional: bool = True

    def suffix(self, security: Json) -> str:
        """The sign-in for the `security` of an operation."""
        # Where others say what they need, who says nothing needs nothing.
        if self.suffixes and security in (None, []):
            return _PUBLIC
        if not self.suffixes or not isinstance(security, list):
            return ""
        if self.skips_optional and _is_optional(list_of(security)):
            return _PUBLIC
        main = next(iter(self.suffixes))
        alternatives = [one for one in _alternatives(security, self.known) if one]
        if not alternatives and any(object_of(one) for one in list_of(security)):
            # It names only what is not defined: no other credential is meant.
            return _PUBLIC
        if not alternatives or any(set(one) <= set(main) for one in alternatives):
            return ""
        known = [one for one in alternatives if one in self.suffixes] or [main]
        return self.suffixes[min(known, key=lambda names: _rank(names, self.known))]


def choose_sign_ins(
    document: Document,
    schemes: Json,
    schemes_place: Place,
    requirements: Sequence[Json],
    base_url: str | None,
    notes: NoteList,
) -> SignIns:
    """The sign-ins for the `security` of each operation."""
    known: dict[str, _Scheme] = {}
    for name, scheme in object_of(schemes).items():
        try:
            value, place = document.follow(scheme, schemes_place / name)
        except ReferenceProblem as problem:
            notes.add(schemes_place / name, f"the scheme is left out: {problem}")
            continue
        fields = object_of(value)
        if is_key(name) or is_key(text_of(fields.get("name"))):
            notes.add(schemes_place / name, NAME_LEFT_OUT)
            continue
        known[name] = (fields, place)
    _note_undefined(known.keys(), schemes_place, requirements, notes)
    count: Counter[_Names] = Counter()
    scopes: dict[str, set[str]] = {}
    for security in requirements:
        count.update(one for one in _alternatives(security, known) if one)
        for alternative in map(object_of, list_of(security)):
            for name in alternative.keys() & known.keys():
                asked = list_of(alternative[name])
                scopes.setdefault(name, set()).update(one for one in asked if isinstance(one, str))
    if not count:
        return SignIns({"": NO_SIGN_IN}, {}, known)
    # One scheme before several, and those that need no person before those that do.
    main = min(count, key=lambda names: (-count[names], *_rank(names, known)))
    suffixes = {main: ""}
    others = sorted(count.keys() - {main}, key=lambda names: (-count[names], names))
    for names in others[:_MOST_FURTHER]:
        suffixes[names] = _free(_slug(names), {*suffixes.values(), _PUBLIC})
    listed = [list_of(security) for security in requirements]
    skips_optional = not all(_is_optional(one) for one in listed if any(one))
    if not skips_optional:
        notes.add(
            schemes_place,
            "signing in is optional everywhere; take `auth` out of the system to go without",
        )
    chosen = SignIns({}, suffixes, known, skips_optional)
    used = {chosen.suffix(security) for security in requirements}
    by_suffix = {_PUBLIC: NO_SIGN_IN}
    for names, suffix in suffixes.items():
        if suffix in used or not suffix:
            builder = _Builder(base_url, notes)
            for name in sorted(names, key=lambda one: (_effort(known[one][0]), one)):
                builder.add(name, *known[name], sorted(scopes.get(name, ())))
            by_suffix[suffix] = builder.result()
    in_use = {name for names, suffix in suffixes.items() if suffix in by_suffix for name in names}
    for name in sorted({name for names in count for name in names} - in_use):
        number = sum(times for names, times in count.items() if name in names)
        notes.add(
            known[name][1],
            f"{name}, which {number} operations name beside {' and '.join(main)}, is not used",
        )
    return replace(chosen, by_suffix=by_suffix)


def _note_undefined(
    known: Collection[str], place: Place, requirements: Sequence[Json], notes: NoteList
) -> None:
    count: Counter[str] = Counter()
    for security in requirements:
        named = {name for one in list_of(security) for name in object_of(one)}
        count.update(named.difference(known))
    for name, number in sorted(count.items()):
        notes.add(
            place / name,
            f"{number} operations name this scheme, which is not defined; nothing is sent for it",
        )


def _alternatives(security: Json, known: Mapping[str, _Scheme]) -> list[_Names]:
    return [
        tuple(sorted(name for name in object_of(one) if name in known)) for one in list_of(security)
    ]


def _rank(names: _Names, known: Mapping[str, _Scheme]) -> tuple[int, list[int], _Names]:
    return len(names), [_effort(known[one][0]) for one in names], names


def _is_optional(security: list[Json]) -> bool:
    return {} in security


def _slug(names: _Names) -> str:
    plain = re.sub(r"[^a-z0-9]+", "-", "-".join(names).lower()).strip("-")
    return plain[:_LONGEST_SUFFIX].strip("-") or "other"


def _free(wanted: str, taken: set[str]) -> str:
    name, number = wanted, 2
    while name in taken:
        name, number = f"{wanted}-{number}", number + 1
    return name


def _effort(scheme: JsonObject) -> int:
    """The lower, the less a person has to do for a credential."""
    kind = text_of(scheme.get("type"))
    if kind == "http":
        return {"bearer": 0, "basic": 1, "digest": 1}.get(text_of(scheme.get("scheme")).lower(), 9)
    return {"basic": 1, "apiKey": 0, "oauth2": 2, "openIdConnect": 3}.get(kind, 9)


class _Builder:
    """Collects the parts of one sign-in."""

    def __init__(self, base_url: str | None, notes: NoteList) -> None:
        self._base_url = base_url
        self._notes = notes
        self._auth: JsonObject | None = None
        self._keys: list[Key] = []
        self._credentials: list[str] = []
        self._parameters: set[tuple[str, str]] = set()
        self._purposes: dict[str, str] = {}

    def result(self) -> SignIn:
        return SignIn(
            self._auth,
            tuple(self._keys),
            tuple(dict.fromkeys(self._credentials)),
            frozenset(self._parameters),
            self._purposes,
        )

    def add(self, name: str, scheme: JsonObject, place: Place, scopes: list[str]) -> None:
        """Add a scheme of the document, whose credentials are known by its name."""
        self._add(name, scheme, place, scopes)
        shown = name[:_LONGEST_NAME]
        if text_of(scheme.get("type")) == "apiKey":
            shown += f" ({scheme.get('in')} {text_of(scheme.get('name'))[:_LONGEST_NAME]})"
        for credential in self._credentials:
            self._purposes.setdefault(credential, shown)

    def _add(self, name: str, scheme: JsonObject, place: Place, scopes: list[str]) -> None:
        kind = text_of(scheme.get("type"))
        if kind == "apiKey":
            self._add_key(name, scheme, place)
            return
        if self._auth is not None:
            self._notes.add(place, f"a system has one way to sign in; {name} is not used beside it")
            return
        match kind:
            case "http":
                self._add_http(name, scheme, place)
            case "basic":
                self._set_auth({"type": "basic", "username": "username", "password": "password"})
            case "oauth2":
                self._add_oauth(scheme, place, scopes)
            case "openIdConnect":
                self._notes.add(place, "OpenID Connect is not carried over: set a token yourself")
                self._set_auth({"type": "bearer", "credential": "token"})
            case "mutualTLS":
                self._notes.add(place, "set the client certificate as `tls` of the system")
            case _:
                self._notes.add(place, f"the kind {kind[:40]!r} is not known")

    def _set_auth(self, auth: JsonObject) -> None:
        self._auth = auth
        named = ("credential", "username", "password", "clientId", "clientSecret")
        self._credentials.extend(auth[key] for key in named if key in auth)

    def _add_http(self, name: str, scheme: JsonObject, place: Place) -> None:
        match text_of(scheme.get("scheme")).lower():
            case "bearer":
                self._set_auth({"type": "bearer", "credential": "token"})
            case "basic" | "digest" as kind:
                self._set_auth({"type": kind, "username": "username", "password": "password"})
            case other:
                self._notes.add(place, f"{name}: the HTTP scheme {other[:40]!r} is not supported")

    def _add_key(self, name: str, scheme: JsonObject, place: Place) -> None:
        where, key = text_of(scheme.get("in")), text_of(scheme.get("name"))
        if not key or where not in {"header", "query", "cookie"}:
            self._notes.add(place, f"{name}: an API key needs `name` and a known `in`")
            return
        if where == "header" and not HEADER_NAME.fullmatch(key):
            self._notes.add(place / "name", f"{name}: no header has such a name; it is left out")
            return
        number = len(self._keys) + (self._auth is not None and self._auth["type"] == "apiKey")
        credential = "api_key" if number == 0 else f"api_key_{number + 1}"
        self._parameters.add((where, key.lower() if where == "header" else key))
        if self._auth is None and where != "cookie":
            self._set_auth({"type": "apiKey", "in": where, "name": key, "credential": credential})
            return
        self._credentials.append(credential)
        match where:
            case "header":
                self._keys.append(Key("header", key, credential))
            case "query":
                self._keys.append(Key("query", key, credential))
            case _:
                self._keys.append(Key("cookie", key, credential))

    def _add_oauth(self, scheme: JsonObject, place: Place, scopes: list[str]) -> None:
        flows = object_of(scheme.get("flows"))
        if "flow" in scheme:
            old = {"application": "clientCredentials", "accessCode": "authorizationCode"}
            flow = text_of(scheme["flow"])
            flows = {old.get(flow, flow): scheme}
        for flow, grant in (
            ("clientCredentials", "client_credentials"),
            ("authorizationCode", "authorization_code"),
        ):
            fields = object_of(flows.get(flow))
            token_url = self._url(fields.get("tokenUrl"))
            authorization_url = self._url(fields.get("authorizationUrl"))
            if token_url is None or (grant == "authorization_code" and authorization_url is None):
                continue
            for other in sorted(flows.keys() - {flow}):
                self._notes.add(place / "flows" / other, f"the grant {grant} is used instead")
            auth: JsonObject = {
                "type": "oauth2",
                "grant": grant,
                "tokenUrl": token_url,
                "clientId": "client_id",
            }
            if grant == "client_credentials":
                auth["clientSecret"] = "client_secret"
            else:
                auth["authorizationUrl"] = authorization_url
            known = object_of(fields.get("scopes"))
            if asked := [one for one in scopes if one in known and not is_key(one)]:
                auth["scopes"] = asked
            self._set_auth(auth)
            return
        self._notes.add(
            place,
            f"the grant {', '.join(sorted(flows))[:80] or 'of this scheme'} is not supported: "
            "get a token yourself and set it",
        )
        self._set_auth({"type": "bearer", "credential": "token"})

    def _url(self, value: Json) -> str | None:
        if not text_of(value):
            return None
        try:
            url = urljoin(self._base_url or "", text_of(value))
        except ValueError:
            return None
        return without_user(url) if origin_of(url) is not None and not is_key(url) else None
