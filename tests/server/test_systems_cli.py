"""`callslip systems …` and `callslip audit`: exit codes, streams, and no secret in any of them."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keyring
import pytest
import typer
from typer.testing import CliRunner, Result

from server.commands.audit import audit
from server.commands.systems import app as systems_app
from tests.keyring_backends import FileKeyring, RefusingKeyring

ROOT = Path(__file__).parent.parent.parent
SECRET = "correct-horse-battery"
ACME: dict[str, Any] = {
    "id": "acme",
    "url": "http://127.0.0.1:9",
    "auth": {"type": "apiKey", "in": "query", "name": "key", "credential": "token"},
    "credentials": {"token": SECRET},
}

Callslip = Callable[..., Result]


@pytest.fixture
def callslip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callslip:
    """The command on a home of its own; every output is checked for the secret."""
    monkeypatch.setenv("CALLSLIP_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CALLSLIP_CONFIG_DIRECTORY", str(tmp_path / "config"))
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.delenv("CALLSLIP_MASTER_KEY", raising=False)
    app = typer.Typer()
    app.add_typer(systems_app, name="systems")
    app.command()(audit)

    def call(*arguments: str, code: int = 0, stdin: str = "") -> Result:
        result = CliRunner().invoke(app, arguments, input=stdin)
        assert result.exit_code == code, (result.output, result.exception)
        assert result.exception is None or isinstance(result.exception, SystemExit)
        assert SECRET not in result.output
        return result

    return call


@pytest.fixture
def stored(callslip: Callslip) -> Callslip:
    callslip("systems", "add", "-", stdin=json.dumps(ACME))
    return callslip


def test_a_system_is_added_listed_shown_and_removed(callslip: Callslip) -> None:
    result = callslip("systems", "add", "-", "--json", stdin=json.dumps([ACME]))
    assert json.loads(result.stdout)["systems"][0]["outcome"] == "added"
    assert "updated: acme" in callslip("systems", "add", "-", stdin=json.dumps(ACME)).stdout
    (listed,) = json.loads(callslip("systems", "list", "--json").stdout)
    assert listed["credentials"]["token"]["set"] is True
    assert "acme" in callslip("systems", "list").stdout
    assert json.loads(callslip("systems", "show", "acme").stdout) == listed
    callslip("systems", "remove", "acme")
    callslip("systems", "show", "acme", code=3)
    callslip("systems", "remove", "acme", code=3)


@pytest.mark.parametrize(
    "change",
    [
        {"auth": {"type": "bearer", "credential": f"Bearer {SECRET}"}},
        {"url": f"https://ann:{SECRET}@acme.test"},
        {"credentials": SECRET},
        {"credentials": {"token": [SECRET]}},
        {"credentials": {"token": {"fromEnv": "A", "value": SECRET}}},
    ],
)
def test_a_refused_system_does_not_show_what_was_in_the_wrong_place(
    change: dict[str, Any], callslip: Callslip
) -> None:
    callslip("systems", "add", "-", code=2, stdin=json.dumps({**ACME, **change}))
    callslip("systems", "show", "acme", code=3)


def test_a_credential_is_set_from_stdin_and_forgotten(stored: Callslip) -> None:
    set_it = ("systems", "set-credential", "acme", "other")
    assert "acme.other is set" in stored(*set_it, stdin=f"{SECRET}\n").output
    assert "fewer than 8" in stored(*set_it, stdin="short").output
    stored(*set_it, code=2, stdin="\n")
    stored(*set_it, "--from-env", "A", "--from-file", "b", code=2)
    stored("systems", "set-credential", "acme", "no name", code=2, stdin=SECRET)
    stored("systems", "set-credential", "none", "token", code=3, stdin=SECRET)
    stored(*set_it, "--environment", "staging", code=2, stdin=SECRET)
    stored(*set_it, "--environment", "dev", code=3, stdin=SECRET)
    stored(*set_it, "--from-env", "ACME_OTHER")
    shown = json.loads(stored("systems", "show", "acme").stdout)
    assert shown["credentials"]["other"]["source"] == "fromEnv"
    stored("systems", "unset-credential", "acme", "other")
    stored("systems", "unset-credential", "acme", "other", code=3)


def test_a_test_that_fails_shows_no_key(stored: Callslip) -> None:
    assert "cannot connect" in stored("systems", "test", "acme", code=1).output
    stored("systems", "unset-credential", "acme", "token")
    assert "set-credential acme token" in stored("systems", "test", "acme", code=1).output
    stored("systems", "test", "none", code=3)


def test_a_rotation_keeps_the_credentials(stored: Callslip) -> None:
    assert "new key: 1" in stored("systems", "rotate-key").output
    stored("systems", "test", "acme", code=1)


def test_the_key_moves_to_the_keyring_and_everything_goes_on(
    stored: Callslip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CALLSLIP_TEST_KEYRING", str(tmp_path / "keyring.json"))
    before = keyring.get_keyring()
    keyring.set_keyring(FileKeyring())
    try:
        assert "in the OS keyring" in stored("systems", "use-keyring").output
        assert not (tmp_path / "config" / "master.key").exists()
        assert json.loads(stored("audit", "--json").stdout)["secrets"] == 1
        stored("systems", "rotate-key")
        keyring.set_keyring(RefusingKeyring())
        assert "the OS keyring refuses" in stored("audit", code=4).output
    finally:
        keyring.set_keyring(before)


def test_a_command_ends_though_the_keyring_never_answers(stored: Callslip, tmp_path: Path) -> None:
    key = (tmp_path / "config" / "master.key").read_bytes()
    (tmp_path / "config" / "master.key.keyring").write_text("0" * 16)
    backend = "tests.keyring_backends.HangingKeyring"
    ended = subprocess.run(
        [sys.executable, "-m", "server", "audit"],
        env={**os.environ, "PYTHON_KEYRING_BACKEND": backend, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 4, ended.stderr
    assert "the OS keyring did not answer within 3 s" in ended.stderr
    assert key.decode().strip() not in ended.stderr


@pytest.mark.parametrize("problem", ["missing", "wrong", "malformed"])
def test_a_key_problem_is_exit_code_4_and_names_its_place(
    problem: str, stored: Callslip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = "the key file"
    if problem == "missing":
        (tmp_path / "config" / "master.key").unlink()
    else:
        place = "CALLSLIP_MASTER_KEY"
        monkeypatch.setenv(place, "A" * (43 if problem == "wrong" else 20) + "=")
    for arguments in (
        ("audit",),
        ("systems", "test", "acme"),
        ("systems", "set-credential", "acme", "token"),
        ("systems", "rotate-key"),
    ):
        assert place in stored(*arguments, code=4, stdin=SECRET).output
    stored("systems", "list")


def test_the_audit_finds_nothing_until_something_is_planted(
    stored: Callslip, tmp_path: Path
) -> None:
    report = json.loads(stored("audit", "--json").stdout)
    assert (report["secrets"], report["hits"]) == (1, 0)
    (tmp_path / "home" / "server.log").write_text(f"oh: {SECRET}")
    result = stored("audit", code=1)
    assert "acme.prod.token: server.log" in result.output
    assert json.loads(stored("audit", "--json", code=1).stdout)["hits"] == 1


def test_the_audit_searches_logs_outside_the_home_that_it_is_told(
    stored: Callslip, tmp_path: Path
) -> None:
    log = tmp_path / "server.log"
    log.write_text(f"oh: {SECRET}")
    assert json.loads(stored("audit", "--json").stdout)["hits"] == 0
    result = stored("audit", "--log-file", str(log), code=1)
    assert f"acme.prod.token: {log}" in result.output
    assert (
        "cannot be searched" in stored("audit", "--log-file", str(tmp_path / "no"), code=4).output
    )


def test_the_audit_takes_more_secrets_from_stdin_alone(stored: Callslip, tmp_path: Path) -> None:
    (tmp_path / "home" / "server.log").write_text("found-in-the-log")
    result = stored("audit", "--secrets", "-", code=1, stdin="not-there-at-all\n\nfound-in-the-log")
    assert "given 2: server.log" in result.output
    assert "found-in-the-log" not in result.output
    stored("audit", "--secrets", SECRET[:5], code=2)


def test_the_audit_names_what_it_could_not_search_for(
    stored: Callslip, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NOT_THERE", raising=False)
    stored("systems", "set-credential", "acme", "gone", "--from-env", "NOT_THERE")
    stored("systems", "set-credential", "acme", "pin", stdin="1234")
    report = json.loads(stored("audit", "--json").stdout)
    assert sorted(report["notScanned"]) == ["acme.prod.gone", "acme.prod.pin"]
