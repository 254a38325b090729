import json
import shlex
import stat
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner, Result

from server.commands.hosts import (
    HOSTS,
    Host,
    Machine,
    UnreadableError,
    chosen_paths,
    configuration_path,
    entry_for,
    find_command,
    install,
    parse_configuration,
    uninstall,
    with_entry,
    without_entry,
)
from server.settings import Settings

ENTRY: dict[str, Any] = {"command": "/opt/callslip", "args": ["serve"]}
POSIX_ONLY = pytest.mark.skipif(sys.platform == "win32", reason="starts a shell script")


def invoke(*arguments: str) -> Result:
    app = typer.Typer()
    app.command()(install)
    app.command()(uninstall)
    return CliRunner().invoke(app, arguments)


def written(path: Path) -> Any:
    return json.loads(path.read_text("utf-8"))


@pytest.mark.parametrize(
    ("host", "platform", "environment", "expected"),
    [
        (
            Host.CLAUDE_DESKTOP,
            "darwin",
            {},
            "Library/Application Support/Claude/claude_desktop_config.json",
        ),
        (
            Host.CLAUDE_DESKTOP,
            "win32",
            {},
            "AppData/Roaming/Claude/claude_desktop_config.json",
        ),
        (Host.CLAUDE_DESKTOP, "linux", {}, ".config/Claude/claude_desktop_config.json"),
        (Host.CURSOR, "darwin", {}, ".cursor/mcp.json"),
        (Host.CURSOR, "win32", {}, ".cursor/mcp.json"),
        (Host.CURSOR, "linux", {}, ".cursor/mcp.json"),
        (Host.VSCODE, "darwin", {}, "Library/Application Support/Code/User/mcp.json"),
        (Host.VSCODE, "win32", {}, "AppData/Roaming/Code/User/mcp.json"),
        (Host.VSCODE, "linux", {}, ".config/Code/User/mcp.json"),
        (Host.VSCODE, "linux", {"XDG_CONFIG_HOME": "/xdg"}, "/xdg/Code/User/mcp.json"),
        (Host.VSCODE, "win32", {"APPDATA": "/roaming"}, "/roaming/Code/User/mcp.json"),
        (Host.CLAUDE_CODE, "linux", {}, ".claude.json"),
        (Host.CLAUDE_CODE, "linux", {"CLAUDE_CONFIG_DIR": "/cc"}, "/cc/.claude.json"),
    ],
)
def test_each_host_has_its_file_on_each_platform(
    host: Host, platform: str, environment: Mapping[str, str], expected: str
) -> None:
    machine = Machine(platform, Path("/home/ada"), environment)
    assert configuration_path(host, machine) == Path("/home/ada") / expected


def test_the_packaged_claude_desktop_of_windows_reads_a_file_of_its_own(tmp_path: Path) -> None:
    roaming = tmp_path / "AppData/Local/Packages/Claude_pzs8sxrjxfjjc/LocalCache/Roaming"
    roaming.mkdir(parents=True)
    path = configuration_path(Host.CLAUDE_DESKTOP, Machine("win32", tmp_path, {}))
    assert path == roaming / "Claude/claude_desktop_config.json"


def test_the_command_is_the_link_the_program_was_started_by(tmp_path: Path) -> None:
    for folder in ("links", "scripts"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "callslip").touch()
    started_as = str(tmp_path / "links/callslip")
    assert find_command(started_as, tmp_path / "scripts", "linux") == tmp_path / "links/callslip"


def test_the_command_is_found_beside_python_when_started_another_way(tmp_path: Path) -> None:
    (tmp_path / "callslip.exe").touch()
    assert find_command("pytest", tmp_path, "win32") == tmp_path / "callslip.exe"


def test_an_entry_names_a_home_only_when_the_user_chose_one() -> None:
    assert entry_for(Host.CURSOR, Path("/opt/callslip"), {}) == ENTRY
    entry = entry_for(Host.VSCODE, Path("/opt/callslip"), {"CALLSLIP_HOME": "/data"})
    assert entry == {"type": "stdio", **ENTRY, "env": {"CALLSLIP_HOME": "/data"}}


def test_an_entry_takes_over_each_path_that_was_given_and_no_secret(tmp_path: Path) -> None:
    assert chosen_paths(Settings.read({})) == {}
    given = {
        "CALLSLIP_HOME": str(tmp_path / "home"),
        "CALLSLIP_CONFIG_DIRECTORY": str(tmp_path / "config"),
        "CALLSLIP_MASTER_KEY": "c2VjcmV0",
        "CALLSLIP_API_KEY": "secret",
        "CALLSLIP_ASYNC_RUNS": "3",
    }
    assert chosen_paths(Settings.read(given)) == {
        "CALLSLIP_HOME": str(tmp_path / "home"),
        "CALLSLIP_CONFIG_DIRECTORY": str(tmp_path / "config"),
    }
    assert chosen_paths(Settings.read({"CALLSLIP_HOME": "here"})) == {
        "CALLSLIP_HOME": str(Path.cwd() / "here")
    }


def test_the_printed_entry_finds_the_credentials_of_this_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    variables = {
        "CALLSLIP_HOME": str(tmp_path / "home"),
        "CALLSLIP_CONFIG_DIRECTORY": str(tmp_path / "config"),
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    result = invoke("install", "vscode", "--print")
    assert json.loads(result.stdout)["servers"]["callslip"]["env"] == variables


def test_a_master_key_is_named_and_not_written_into_a_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    monkeypatch.setenv("CALLSLIP_MASTER_KEY", "c2VjcmV0LW9mLXRoaXM=")
    result = invoke("install", "cursor")
    assert "CALLSLIP_MASTER_KEY is a secret" in result.stderr
    assert "c2VjcmV0" not in result.stderr + (tmp_path / ".cursor/mcp.json").read_text()


def test_everything_else_in_the_configuration_stays() -> None:
    text = '{"theme": "dark", "mcpServers": {"other": {"command": "x"}}, "zoom": 1.5}'
    change = with_entry(text, "mcpServers", ENTRY)
    assert change.outcome == "added"
    assert json.loads(change.text) == {
        "theme": "dark",
        "mcpServers": {"other": {"command": "x"}, "callslip": ENTRY},
        "zoom": 1.5,
    }
    back = without_entry(change.text, "mcpServers")
    assert back.outcome == "removed"
    assert json.loads(back.text) == json.loads(text)


def test_a_second_time_nothing_changes() -> None:
    once = with_entry(None, "servers", ENTRY)
    assert with_entry(once.text, "servers", ENTRY).outcome == "unchanged"
    assert without_entry("{}", "servers").outcome == "absent"


def test_own_arguments_and_variables_in_the_entry_survive_an_update() -> None:
    own = {"command": "/old", "args": ["serve", "--read-only"], "env": {"A": "1"}, "disabled": True}
    text = json.dumps({"mcpServers": {"callslip": own}})
    entry = {**ENTRY, "env": {"CALLSLIP_HOME": "/data"}}
    change = with_entry(text, "mcpServers", entry)
    assert change.outcome == "updated"
    assert json.loads(change.text)["mcpServers"]["callslip"] == {
        "command": "/opt/callslip",
        "args": ["serve", "--read-only"],
        "env": {"A": "1", "CALLSLIP_HOME": "/data"},
        "disabled": True,
    }


@pytest.mark.parametrize("indent", ["\t", "    ", "  "])
def test_indentation_and_line_ends_stay_as_they_were(indent: str) -> None:
    text = f'{{\r\n{indent}"é": 1\r\n}}\r\n'
    changed = with_entry(text, "servers", ENTRY).text
    assert changed.startswith(f'{{\r\n{indent}"é": 1,\r\n{indent}"servers": {{\r\n{indent * 2}"')
    assert "\n" not in changed.replace("\r\n", "")


@pytest.mark.parametrize("text", ["", " \n", "\ufeff", "\ufeff{}"])
def test_an_empty_file_is_an_empty_configuration(text: str) -> None:
    assert parse_configuration(text) == {}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{\n  // mine\n  "a": 1\n}', "line 2, column 3"),
        ('{"a": 1,}', "line 1"),
        ("[]", "no JSON object"),
        ('{"mcpServers": []}', "no object of servers"),
        ('{"a": 1, "a": 2}', "'a' stands twice"),
        ('{"a": NaN}', "NaN is not JSON"),
    ],
)
def test_a_configuration_that_would_lose_something_is_refused(text: str, said: str) -> None:
    with pytest.raises(UnreadableError, match=said):
        with_entry(text, "mcpServers", ENTRY)


@pytest.mark.parametrize("host", list(Host))
def test_install_writes_the_file_and_uninstall_takes_the_entry_out(host: Host, home: Path) -> None:
    path = configuration_path(host, Machine(sys.platform, home, {}))
    assert "was added" in invoke("install", host).stdout
    entry = written(path)[HOSTS[host].key]["callslip"]
    assert Path(entry["command"]).is_absolute()
    assert entry["args"] == ["serve"]
    assert "env" not in entry

    again = invoke("install", host)
    assert again.exit_code == 0
    assert "already" in again.stdout

    assert "was removed" in invoke("uninstall", host).stdout
    assert written(path) == {HOSTS[host].key: {}}
    assert "has no callslip" in invoke("uninstall", host).stdout


def test_install_keeps_what_was_there_beside_the_file(home: Path) -> None:
    path = home / ".cursor" / "mcp.json"
    path.parent.mkdir()
    path.write_text('{"mcpServers": {"other": {"command": "x"}}}')
    path.chmod(0o640)
    before = path.read_bytes()

    result = invoke("install", "cursor")

    assert path.with_name("mcp.json.bak").read_bytes() == before
    assert "mcp.json.bak" in result.stderr
    assert "restart" in result.stderr
    assert list(written(path)["mcpServers"]) == ["other", "callslip"]
    assert sorted(file.name for file in path.parent.iterdir()) == ["mcp.json", "mcp.json.bak"]
    if sys.platform != "win32":
        assert stat.S_IMODE(path.stat().st_mode) == 0o640


@POSIX_ONLY
def test_a_configuration_that_is_a_link_stays_one(home: Path) -> None:
    target = home / "dotfiles.json"
    target.write_text("{}")
    path = home / ".cursor" / "mcp.json"
    path.parent.mkdir()
    path.symlink_to(target)
    assert invoke("install", "cursor").exit_code == 0
    assert path.is_symlink()
    assert "callslip" in written(target)["mcpServers"]


def test_a_file_with_comments_is_left_alone_and_the_entry_is_printed(home: Path) -> None:
    path = home / ".cursor" / "mcp.json"
    path.parent.mkdir()
    path.write_text('{ // mine\n "mcpServers": {} }')

    result = invoke("install", "cursor")

    assert result.exit_code == 2
    assert json.loads(result.stdout)["mcpServers"]["callslip"]["args"] == ["serve"]
    assert "mcp.json" in result.stderr
    assert "line 1" in result.stderr
    assert "nothing was changed" in result.stderr
    assert path.read_text() == '{ // mine\n "mcpServers": {} }'
    assert invoke("uninstall", "cursor").exit_code == 2


def test_print_shows_the_entry_and_changes_nothing(home: Path) -> None:
    result = invoke("install", "vscode", "--print")
    assert json.loads(result.stdout)["servers"]["callslip"]["type"] == "stdio"
    assert "Code" in result.stderr
    assert list(home.iterdir()) == []


def test_json_says_what_was_done(home: Path) -> None:
    report = json.loads(invoke("install", "cursor", "--json").stdout)
    path = str(home / ".cursor" / "mcp.json")
    assert report == {"host": "cursor", "outcome": "added", "path": path}
    again = json.loads(invoke("install", "cursor", "--json").stdout)
    assert again == {"host": "cursor", "outcome": "unchanged", "path": path}


def test_the_home_the_user_chose_goes_into_the_entry(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CALLSLIP_HOME", str(home / "mine"))
    entry = json.loads(invoke("install", "cursor", "--print").stdout)["mcpServers"]["callslip"]
    assert entry["env"] == {"CALLSLIP_HOME": str(home / "mine")}


FAKE_CLAUDE = """
import json, sys
with open({log!r}, "a") as log:
    log.write(json.dumps(sys.argv[1:]) + "\\n")
{then}
"""


def put_claude(home: Path, then: str = "") -> Path:
    """A `claude` program that writes down how it was called."""
    log = home / "calls"
    program = home / "programs" / "claude"
    program.parent.mkdir()
    script = program.with_suffix(".py")
    script.write_text(FAKE_CLAUDE.format(log=str(log), then=then))
    # Not in the first line: the path of Python may have a space.
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {script} "$@"\n')
    program.chmod(0o755)
    return log


@POSIX_ONLY
def test_claude_code_is_asked_to_write_its_own_file(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = put_claude(home)
    monkeypatch.setenv("CALLSLIP_HOME", "/data")
    assert invoke("install", "claude-code").exit_code == 0
    call = json.loads(log.read_text())
    command = call[-2]
    assert call == [
        *("mcp", "add", "--env", "CALLSLIP_HOME=/data", "--transport", "stdio"),
        *("--scope", "user", "callslip", "--", command, "serve"),
    ]
    assert Path(command).is_absolute()
    assert not (home / ".claude.json").exists()


@POSIX_ONLY
def test_an_old_entry_of_claude_code_is_removed_before_the_new_one_is_added(home: Path) -> None:
    log = put_claude(home)
    (home / ".claude.json").write_text('{"mcpServers": {"callslip": {"command": "/old"}}}')
    assert invoke("install", "claude-code").exit_code == 0
    assert [json.loads(line)[1] for line in log.read_text().splitlines()] == ["remove", "add"]
    assert invoke("uninstall", "claude-code").exit_code == 0
    last = json.loads(log.read_text().splitlines()[-1])
    assert last == ["mcp", "remove", "--scope", "user", "callslip"]


@POSIX_ONLY
def test_what_claude_code_complains_about_is_passed_on(home: Path) -> None:
    put_claude(home, "sys.exit('this version is too old')")
    result = invoke("install", "claude-code")
    assert result.exit_code == 2
    assert "this version is too old" in result.stderr
    assert "mcp add" in result.stderr
