"""`callslip tools versions` and `tools restore`."""

import getpass
import json
from pathlib import Path

from tests.server.helpers import script_tool
from tests.server.raw_client import run_command, store_tools


async def test_each_change_says_who_made_it_and_a_removal_is_one(tmp_path: Path) -> None:
    home = tmp_path / "home"
    await store_tools(home, [script_tool("t", "1")])
    await run_command(home, "tools", "remove", "t")
    await store_tools(home, [script_tool("t", "2")])
    _, output, _ = await run_command(home, "tools", "versions", "t", "--json")
    newest, removal, first = json.loads(output)
    assert (newest["version"], first["version"]) == ("1.0.1", "1.0.0")
    assert removal.keys() == {"removedAt", "changedBy"}
    assert newest["changedBy"] == removal["changedBy"] == first["changedBy"] == getpass.getuser()
    _, output, _ = await run_command(home, "tools", "versions", "t")
    assert "removed" in output
    assert getpass.getuser() in output


async def test_an_earlier_version_is_found_and_restored(tmp_path: Path) -> None:
    home = tmp_path / "home"
    await store_tools(home, [script_tool("t", "1")])
    await store_tools(home, [script_tool("t", "2")])
    code, output, _ = await run_command(home, "tools", "versions", "t", "--json")
    assert code == 0
    versions = json.loads(output)
    assert [(one["versionNumber"], one["version"]) for one in versions] == [
        (2, "1.0.1"),
        (1, "1.0.0"),
    ]
    await run_command(home, "tools", "remove", "t")
    code, _, errors = await run_command(home, "tools", "restore", "t", "1")
    assert code == 0
    assert "as in version 1 again" in errors
    code, output, _ = await run_command(home, "tools", "show", "t", "--json")
    assert json.loads(output)["outputTransform"] == "1"
    code, output, _ = await run_command(home, "tools", "versions", "t")
    assert (code, len(output.splitlines())) == (0, 6)
    code, _, errors = await run_command(home, "tools", "restore", "t", "9")
    assert code == 3
    assert "there are 1 to 3" in errors
    assert (await run_command(home, "tools", "versions", "nothing"))[0] == 3
