"""`callslip schedules`, `keys` and `systems` where they meet: what is refused, and what is said."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from server.commands.hooks import app as hooks_app
from server.commands.keys import app as keys_app
from server.commands.schedules import app as schedules_app
from server.commands.systems import app as systems_app
from server.commands.tools import app as tools_app
from tests.server.helpers import script_tool

SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
ORDERS = script_tool("orders", "(s) => s", inputSchema=SCHEMA)

Callslip = Callable[..., Result]


@pytest.fixture
def callslip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callslip:
    """The command on a home with one tool."""
    monkeypatch.setenv("CALLSLIP_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CALLSLIP_CONFIG_DIRECTORY", str(tmp_path / "config"))
    monkeypatch.delenv("CALLSLIP_MASTER_KEY", raising=False)
    app = typer.Typer()
    for name, group in (
        ("hooks", hooks_app),
        ("keys", keys_app),
        ("schedules", schedules_app),
        ("systems", systems_app),
        ("tools", tools_app),
    ):
        app.add_typer(group, name=name)

    def call(*arguments: str, code: int = 0, stdin: str = "") -> Result:
        result = CliRunner().invoke(app, arguments, input=stdin)
        assert result.exit_code == code, (result.output, result.exception)
        return result

    call("tools", "add", "-", stdin=json.dumps(ORDERS))
    return call


def create(callslip: Callslip, *more: str, inputs: Any = None, code: int = 0) -> Result:
    """Make the schedule `mornings`."""
    given = json.dumps({"n": 1} if inputs is None else inputs)
    cron = () if "--cron" in more else ("--cron", "0 8 * * *")
    options = ("--id", "mornings", "--inputs", given, *cron, *more)
    return callslip("schedules", "create", "orders", *options, code=code)


def test_a_cron_expression_with_seconds_is_refused(callslip: Callslip) -> None:
    refused = create(callslip, "--cron", "*/5 * * * * *", code=2)
    assert "valid are five fields" in refused.stderr


def test_inputs_with_which_every_scheduled_run_would_fail_are_refused(callslip: Callslip) -> None:
    refused = create(callslip, inputs={"n": "x"}, code=2)
    assert 'inputs/n: must be integer, is the string "x"' in refused.stderr
    assert json.loads(callslip("schedules", "list", "--json").stdout) == {"data": []}


def test_a_schedule_that_can_run_no_more_is_not_switched_on(callslip: Callslip) -> None:
    create(callslip)
    changed = {**ORDERS, "inputSchema": {**SCHEMA, "required": ["k"]}}
    callslip("tools", "add", "-", stdin=json.dumps(changed))
    callslip("schedules", "disable", "mornings")
    assert "`k`" in callslip("schedules", "enable", "mornings", code=2).stderr


def test_replacing_a_schedule_is_said(callslip: Callslip) -> None:
    assert create(callslip).stdout.startswith("added: mornings, orders next at ")
    assert create(callslip).stdout.startswith("replaced: mornings, orders next at ")
    replaced = json.loads(create(callslip, "--json").stdout)
    assert (replaced["outcome"], replaced["id"]) == ("replaced", "mornings")
    options = ("--cron", "0 8 * * *", "--inputs", '{"n": 1}', "--json")
    added = json.loads(callslip("schedules", "create", "orders", *options).stdout)
    assert added["outcome"] == "added"


def test_a_key_for_a_tool_that_is_not_stored_is_made_with_a_warning(callslip: Callslip) -> None:
    made = callslip("keys", "create", "k", "--tool", "order", "--tool", "orders")
    assert "tool order is not stored" in made.stderr
    assert "Did you mean orders?" in made.stderr
    assert "tool orders is not" not in made.stderr
    facts = json.loads(callslip("keys", "create", "k2", "--tool", "later", "--json").stdout)
    assert [one.split(";")[0] for one in facts["warnings"]] == ["tool later is not stored"]
    facts = json.loads(callslip("keys", "create", "k3", "--tool", "orders", "--json").stdout)
    assert "warnings" not in facts


def test_removing_a_system_names_the_hooks_that_lose_their_secret(callslip: Callslip) -> None:
    system = {
        "id": "acme",
        "url": "https://acme.example",
        "credentials": {"token": "correct-horse-battery"},
    }
    callslip("systems", "add", "-", stdin=json.dumps(system))
    callslip("hooks", "create", "orders", "--secret", "acme.token")
    removed = callslip("systems", "remove", "acme")
    assert "the hook of tool orders asks for acme.token" in removed.stderr
    assert "until the credential is stored again" in removed.stderr
    callslip("systems", "add", "-", stdin=json.dumps(system))
    facts = json.loads(callslip("systems", "remove", "acme", "--json").stdout)
    assert len(facts["warnings"]) == 1
