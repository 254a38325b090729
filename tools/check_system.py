"""Everything about a system definition that can be known before it is used."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import cast, get_args
from urllib.parse import urlsplit

from pydantic import BaseModel, ValidationError

from tools.auth.missing import set_credential_command
from tools.json_text import Json, JsonObject, is_unicode
from tools.problems import Problem
from tools.redaction import MINIMUM_SECRET_LENGTH
from tools.shapes import shape_problems, unknown_keys
from tools.suggestions import did_you_mean
from tools.system import Auth, CredentialSource, OAuth2Auth, System, auth_credential_names
from tools.urls import origin_of

__all__ = ["CheckedSystem", "check_credential", "check_system"]

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,127}")
_NAME = re.compile(r"[A-Za-z_$][\w$.-]{0,127}")
#: Sign-ins by their `type`.
_AUTH_MODELS: dict[str, type[BaseModel]] = {
    get_args(model.model_fields["type"].annotation)[0]: model
    for model in get_args(get_args(Auth)[0])
}


@dataclass(frozen=True)
class CheckedSystem:
    """The outcome: the definition without credentials, and the credentials, unless refused."""

    id: str | None
    definition: JsonObject | None
    credentials: dict[str, str | JsonObject]
    problems: tuple[Problem, ...]


def check_system(definition: Json) -> CheckedSystem:
    """Check a system as it was read from JSON; every problem has its path."""
    if not isinstance(definition, dict):
        problem = Problem("", "a system is a JSON object", valid='{"id": …, "url": …}')
        return CheckedSystem(None, None, {}, (problem,))
    fields = dict(cast("JsonObject", definition))
    given = fields.pop("credentials", {})
    problems = [*unknown_keys(fields, System, ""), *_unknown_auth_keys(fields.get("auth"))]
    credentials: dict[str, str | JsonObject] = {}
    if isinstance(given, dict):
        for name, value in cast("JsonObject", given).items():
            problems.extend(check_credential(name, value, f"credentials.{name}"))
            credentials[name] = value
    else:
        problems.append(Problem("credentials", "this is no object", valid='{"token": …}'))
    system_id = fields.get("id")
    try:
        system = System.model_validate(fields)
    except ValidationError as error:
        problems.extend(map(_without_secret, shape_problems(error, fields)))
        named = system_id if isinstance(system_id, str) else None
        return CheckedSystem(named, None, {}, tuple(problems))
    problems.extend(_content_problems(system, set(credentials)))
    if any(problem.severity == "error" for problem in problems):
        return CheckedSystem(system.id, None, {}, tuple(problems))
    return CheckedSystem(system.id, fields, credentials, tuple(problems))


def _unknown_auth_keys(auth: Json) -> Iterator[Problem]:
    """Keys that a sign-in does not know are refused, `x-` too: what they hold is shown to all."""
    if not isinstance(auth, dict):
        return
    fields = cast("JsonObject", auth)
    kind = fields.get("type")
    model = _AUTH_MODELS.get(kind) if isinstance(kind, str) else None
    if model is None:
        return
    known = [field.alias or name for name, field in model.model_fields.items()]
    for key in fields:
        if key not in known:
            near = did_you_mean(key, known)
            yield Problem(
                f"auth.{key}",
                "there is no such field in a sign-in of this type",
                valid=", ".join(known),
                hint=f"did you mean `{near}`?"
                if near
                else "auth names credentials, and their values stand in `credentials`",
            )


def check_credential(name: str, value: Json, path: str) -> Iterator[Problem]:
    """What is wrong with one credential. The value itself is never shown."""
    if not _NAME.fullmatch(name):
        yield Problem(path, "this cannot be the name of a credential", valid="token, api_key, …")
    if isinstance(value, str):
        if not value:
            yield Problem(path, "the value is empty")
        elif not is_unicode(value):
            yield Problem(path, "the value is no Unicode text")
        elif len(value) < MINIMUM_SECRET_LENGTH:
            yield Problem(
                path,
                f"values of fewer than {MINIMUM_SECRET_LENGTH} characters are not searched for in "
                "results and logs; the audit lists it as not scanned",
                severity="warning",
            )
        return
    try:
        source = CredentialSource.model_validate(value)
    except ValidationError:
        source = None
    if source is None or len(source.model_fields_set) != 1:
        yield Problem(
            path,
            "this is neither a value nor one source",
            valid='a text, {"fromEnv": "NAME"}, {"fromCommand": ["program", …]} or '
            '{"fromFile": "path"}',
        )


#: Fields that are one of a few words.
_CHOICES = frozenset({"type", "grant", "in", "clientAuth", "environment"})


def _without_secret(problem: Problem) -> Problem:
    """What stands in `auth` may be a secret in the place of its name, unless it is a choice."""
    is_choice = problem.path.rpartition(".")[2] in _CHOICES
    return problem if is_choice else replace(problem, seen=None)


def _content_problems(system: System, given: set[str]) -> Iterator[Problem]:
    if not _ID.fullmatch(system.id):
        yield Problem(
            "id",
            "this cannot be an id",
            valid="1 to 128 of A-Z a-z 0-9 _ . - with a letter or digit first",
        )
    if system.url and origin_of(system.url) is None:
        yield Problem("url", "this is not an http url", seen=system.url[:120])
    elif "@" in urlsplit(system.url).netloc:
        # Not shown: what stands there may be a password.
        yield Problem(
            "url",
            "the url holds a user or a password, which would be stored readable",
            hint='take them out, and use auth {"type": "basic", …} with two credentials',
        )
    for index, origin in enumerate(system.allowed_origins):
        if origin_of(origin) is None:
            yield Problem(
                f"allowedOrigins[{index}]", "this is no origin", valid="https://api.example.com"
            )
    if system.tls is not None and (system.tls.cert is None) != (system.tls.key is None):
        yield Problem("tls", "a client certificate needs its key", valid='{"cert": …, "key": …}')
    if isinstance(system.auth, OAuth2Auth):
        yield from _oauth_problems(system.auth)
    for name in auth_credential_names(system.auth, optional=True):
        if not _NAME.fullmatch(name):
            # Not shown: it may be a secret in the place of its name.
            yield Problem(
                "auth",
                "this cannot be the name of a credential; auth names credentials, and their "
                "values stand in `credentials`",
                valid='{"auth": {"type": "bearer", "credential": "token"}, '
                '"credentials": {"token": …}}',
            )
    for name in auth_credential_names(system.auth):
        if name not in given and _NAME.fullmatch(name):
            yield Problem(
                f"credentials.{name}",
                "auth names this credential, and it is not here",
                hint=f"set it with: {set_credential_command(system, name)}",
                severity="warning",
            )


def _oauth_problems(auth: OAuth2Auth) -> Iterator[Problem]:
    if origin_of(auth.token_url) is None:
        yield Problem("auth.tokenUrl", "this is not an http url", seen=auth.token_url[:120])
    if auth.grant == "authorization_code" and not origin_of(auth.authorization_url or ""):
        yield Problem(
            "auth.authorizationUrl", "the authorization_code grant needs it", valid="an http url"
        )
    if auth.grant == "refresh_token" and auth.refresh_token is None:
        yield Problem("auth.refreshToken", "the refresh_token grant needs it", valid="a name")
