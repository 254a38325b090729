"""How an API is signed in to: the requirement that most operations name becomes the system's."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urljoin

from tools.importers import NoteList
from tools.importers.openapi.references import Document, Place, ReferenceProblem
from tools.importers.openapi.words import list_of, object_of, text_of
from tools.json_text import Json, JsonObject
from tools.urls import origin_of

__all__ = ["NO_SIGN_IN", "Key", "SignIn", "choose_sign_in"]


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


NO_SIGN_IN = SignIn()


def choose_sign_in(
    document: Document,
    schemes: Json,
    schemes_place: Place,
    requirements: Iterable[Json],
    base_url: str | None,
    notes: NoteList,
) -> SignIn:
    """The sign-in for the `security` of each operation; the others are noted."""
    known: dict[str, tuple[JsonObject, Place]] = {}
    for name, scheme in object_of(schemes).items():
        try:
            value, place = document.follow(scheme, schemes_place / name)
        except ReferenceProblem as problem:
            notes.add(schemes_place / name, f"the scheme is left out: {problem}")
            continue
        known[name] = (object_of(value), place)
    count: Counter[tuple[str, ...]] = Counter()
    scopes: dict[str, set[str]] = {}
    for security in requirements:
        for alternative in list_of(security):
            names = tuple(sorted(name for name in object_of(alternative) if name in known))
            if names:
                count[names] += 1
            for name in names:
                asked = list_of(object_of(alternative)[name])
                scopes.setdefault(name, set()).update(one for one in asked if isinstance(one, str))
    if not count:
        return NO_SIGN_IN
    # One scheme before several, and those that need no person before those that do.
    chosen = min(
        count,
        key=lambda names: (-count[names], len(names), [_effort(known[n][0]) for n in names], names),
    )
    builder = _Builder(base_url, notes)
    for name in sorted(chosen, key=lambda one: (_effort(known[one][0]), one)):
        builder.add(name, *known[name], sorted(scopes.get(name, ())))
    for name in sorted({name for names in count for name in names} - set(chosen)):
        used = sum(number for names, number in count.items() if name in names)
        notes.add(
            known[name][1],
            f"the system signs in with {' and '.join(chosen)}; {name}, which {used} operations "
            "name, is not used",
        )
    return builder.result()


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

    def result(self) -> SignIn:
        return SignIn(
            self._auth,
            tuple(self._keys),
            tuple(dict.fromkeys(self._credentials)),
            frozenset(self._parameters),
        )

    def add(self, name: str, scheme: JsonObject, place: Place, scopes: list[str]) -> None:
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
            if asked := [one for one in scopes if one in known]:
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
        return url if origin_of(url) is not None else None
