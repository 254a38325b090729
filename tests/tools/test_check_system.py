"""What is said of a system definition, and that no value in it is shown."""

from typing import Any

import pytest

from tools.check_system import check_system

SECRET = "correct horse battery"
ACME: dict[str, Any] = {"id": "acme", "url": "https://acme.test"}
OAUTH: dict[str, Any] = {
    "type": "oauth2",
    "grant": "client_credentials",
    "tokenUrl": "https://acme.test/token",
    "clientId": "id",
}


def errors(**fields: Any) -> list[str]:
    checked = check_system({**ACME, **fields})
    assert all(SECRET not in str(problem) for problem in checked.problems)
    found = [problem.path for problem in checked.problems if problem.severity == "error"]
    assert (checked.definition is None) == bool(found)
    return found


def test_a_good_system_gives_its_credentials_apart() -> None:
    checked = check_system({**ACME, "credentials": {"token": SECRET, "env": {"fromEnv": "A"}}})
    assert checked.problems == ()
    assert checked.definition == ACME
    assert checked.credentials == {"token": SECRET, "env": {"fromEnv": "A"}}


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"id": "a/b"}, "id"),
        ({"id": ""}, "id"),
        ({"url": "ftp://acme.test"}, "url"),
        ({"url": f"https://ann:{SECRET}@acme.test"}, "url"),
        ({"allowedOrigins": ["acme.test"]}, "allowedOrigins[0]"),
        ({"auth": {"type": "bearer", "credential": SECRET}}, "auth"),
        ({"auth": {**OAUTH, "clientSecret": SECRET}}, "auth"),
        ({"auth": {**OAUTH, "tokenUrl": "/token"}}, "auth.tokenUrl"),
        ({"auth": {**OAUTH, "grant": "refresh_token"}}, "auth.refreshToken"),
        ({"auth": {**OAUTH, "grant": "authorization_code"}}, "auth.authorizationUrl"),
        ({"environment": "staging"}, "environment"),
        ({"rateLimit": {"perSecond": 0}}, "rateLimit.perSecond"),
        ({"rateLimits": {}}, "rateLimits"),
        ({"credentials": None}, "credentials"),
        ({"credentials": {"a b": SECRET}}, "credentials.a b"),
        ({"credentials": {"token": ""}}, "credentials.token"),
        ({"credentials": {"token": {"fromCommand": []}}}, "credentials.token"),
        ({"credentials": {"token": {"fromEnv": "A", "fromFile": SECRET}}}, "credentials.token"),
    ],
)
def test_a_problem_is_named_by_its_path(fields: dict[str, Any], path: str) -> None:
    assert path in errors(**fields)


@pytest.mark.parametrize(
    ("auth", "words"),
    [
        ({"type": "oauth"}, 'auth.type: there is no such type; seen: "oauth"; valid: bearer,'),
        ({"type": "oauth"}, "did you mean `oauth2`?"),
        ({"type": ["oauth2"]}, 'auth.type: there is no such type; seen: ["oauth2"]'),
        ({}, "auth.type: this field is required; seen: nothing; valid: bearer, basic"),
        ({**OAUTH, "grant": "password"}, "auth.grant: input should be 'client_credentials'"),
        ({**OAUTH, "grant": "password"}, 'seen: "password"'),
        ([], "auth: input should be an object"),
        (SECRET, "auth: input should be an object"),
        ({"type": "bearer", "credential": [SECRET]}, "auth.credential: input should be a"),
    ],
)
def test_a_wrong_sign_in_is_named_by_the_paths_of_the_document(auth: Any, words: str) -> None:
    problems = check_system({**ACME, "auth": auth}).problems
    assert words in "\n".join(map(str, problems))
    assert SECRET not in str(problems)


def test_a_credential_that_auth_names_and_nobody_set_is_a_warning_with_the_command() -> None:
    checked = check_system({**ACME, "auth": {"type": "bearer", "credential": "token"}})
    (problem,) = checked.problems
    assert problem.severity == "warning"
    assert "callslip systems set-credential acme token" in str(problem)


@pytest.mark.parametrize("definition", [None, [], "acme", 7])
def test_what_is_no_object_is_refused(definition: Any) -> None:
    assert check_system(definition).definition is None


def test_a_sign_in_with_a_field_that_it_does_not_know_is_refused_unseen() -> None:
    for key in ("apiToken", "x-token", "client_secret"):
        checked = check_system({**ACME, "auth": {**OAUTH, key: SECRET}})
        assert checked.definition is None
        problem = next(one for one in checked.problems if one.path == f"auth.{key}")
        assert "there is no such field" in problem.message
        assert SECRET not in str(checked.problems)


def test_a_credential_that_is_no_unicode_text_is_refused_unseen() -> None:
    checked = check_system({**ACME, "credentials": {"token": f"{SECRET}\ud800"}})
    assert "credentials.token: the value is no Unicode text" in "\n".join(
        map(str, checked.problems)
    )
    assert SECRET not in str(checked.problems)
