"""The how-to documents: systems are valid, tools can be stored, commands exist."""

import json
import re
import shlex
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter
from typer.main import get_command

from server import cli
from server.service import Service
from tools.check_system import check_system
from tools.system import Auth, OAuth2Auth, System

DOCUMENTS = sorted((Path(__file__).parent.parent / "docs" / "how-to").glob("*.md"))


def blocks(language: str) -> list[str]:
    pattern = re.compile(rf"^```{language}\n(.*?)^```", re.MULTILINE | re.DOTALL)
    return [block for path in DOCUMENTS for block in pattern.findall(path.read_text("utf-8"))]


JSON_BLOCKS: list[dict[str, Any]] = [json.loads(text) for text in blocks("json")]
SYSTEMS = [block for block in JSON_BLOCKS if "steps" not in block]
TOOLS = [block for block in JSON_BLOCKS if "steps" in block]
COMMANDS = [line for block in blocks("sh") for line in block.splitlines()]


def kind_of(auth: Any) -> str:
    return f"oauth2 {auth.grant}" if isinstance(auth, OAuth2Auth) else auth.type


@pytest.mark.parametrize(
    "system", SYSTEMS, ids=lambda system: f"{system['id']} {system.get('environment', 'prod')}"
)
def test_a_system_of_the_documents_is_valid(system: dict[str, Any]) -> None:
    checked = check_system(system)
    assert checked.definition is not None, [str(problem) for problem in checked.problems]
    # What is left is told by a warning and set by the commands below the block.
    assert {problem.severity for problem in checked.problems} <= {"warning"}


def test_every_way_to_sign_in_has_its_example() -> None:
    systems = [System.model_validate({**one, "credentials": {}}) for one in SYSTEMS]
    shown = {kind_of(system.auth) for system in systems if system.auth is not None}
    definitions: dict[str, Any] = TypeAdapter(Auth).json_schema()["$defs"]
    kinds: set[str] = set()
    for definition in definitions.values():
        fields = definition["properties"]
        grants = fields["grant"]["enum"] if "grant" in fields else [""]
        kinds |= {f"{fields['type']['const']} {grant}".strip() for grant in grants}
    assert shown == kinds


async def test_a_tool_of_the_documents_can_be_stored(service: Service) -> None:
    for system in SYSTEMS:
        await service.connections.put(system)
    for tool in TOOLS:
        checked, outcome = await service.tools.put(tool)
        assert outcome is not None, [str(problem) for problem in checked.problems]
        assert not checked.problems


@cache
def the_command() -> Any:
    """The whole program; made once, because each time adds every command again."""
    vars(cli)["_add_commands"]()
    return get_command(cli.app)


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_of_the_documents_exists(line: str) -> None:
    words = shlex.split(line)
    assert words[0] == "callslip"
    arguments = words[1 : words.index("<") if "<" in words else None]
    command = the_command()
    path = ["callslip"]
    while hasattr(command, "commands"):
        path.append(arguments.pop(0))
        assert path[-1] in command.commands
        command = command.commands[path[-1]]
    # Reads the options and arguments and fails for those that are not there; runs nothing.
    with command.make_context(" ".join(path), arguments):
        pass


def test_the_commands_set_every_credential_that_auth_names() -> None:
    """A reader who follows a section has a system that can sign in."""
    set_by_hand = {
        tuple(words[3:5])
        for words in map(shlex.split, COMMANDS)
        if words[1:3] == ["systems", "set-credential"]
    }
    for system in SYSTEMS:
        for problem in check_system(system).problems:
            name = problem.path.removeprefix("credentials.")
            if system["id"] != "shop":
                assert (system["id"], name) in set_by_hand
