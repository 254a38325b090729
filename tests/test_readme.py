"""Every command of the README does what a newcomer expects."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")
COMMANDS = [
    line
    for block in re.findall(r"^```sh\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    for line in block.splitlines()
]
#: Run by tests of their own below, or by a script that CI runs.
ELSEWHERE = {
    "scripts/demo": "test_the_demo_runs_to_its_end",
    "python3 -m venv ~/.callslip": "scripts/check_wheel.py installs the wheel like this",
    "~/.callslip/bin/pip install .": "scripts/check_wheel.py installs the wheel like this",
    'export PATH="$HOME/.callslip/bin:$PATH"': "the tests have the command on their path",
}
#: Commands that reach the internet end like this where there is none.
NEEDS_INTERNET = 'callslip run repository --inputs \'{"owner": "simonw", "name": "datasette"}\''


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """A machine of its own: its home, its configurations, and no proxy to the world."""
    home = tmp_path_factory.mktemp("home")
    kept = {"PATH", "SYSTEMROOT", "LANG"}
    environment = {name: value for name, value in os.environ.items() if name in kept}
    # Only callslip, its Python and the system: a `claude` of this machine stays untouched.
    programs = home / "bin"
    programs.mkdir()
    command = shutil.which("callslip", path=str(Path(sys.executable).parent))
    assert command is not None
    (programs / "callslip").symlink_to(command)
    environment["PATH"] = f"{programs}{os.pathsep}/usr/bin{os.pathsep}/bin"
    return {
        **environment,
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / ".config"),
        "XDG_DATA_HOME": str(home / ".local/share"),
        "HTTPS_PROXY": "http://127.0.0.1:1",
        "CLAUDE_CONFIG_DIR": str(home),
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the README's first tool in it."""
    folder = tmp_path_factory.mktemp("work")
    block = re.search(r"^```json\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    assert block is not None
    (folder / "first.json").write_text(block[1], "utf-8")
    return folder


@pytest.mark.skipif(sys.platform == "win32", reason="the README's commands are for a POSIX shell")
@pytest.mark.parametrize("command", [line for line in COMMANDS if line not in ELSEWHERE])
def test_a_command_of_the_readme_works(
    command: str, environment: Mapping[str, str], folder: Path
) -> None:
    ended = subprocess.run(
        ["sh", "-c", command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if command == NEEDS_INTERNET:
        assert ended.returncode == 1
        assert "cannot connect to https://api.github.com" in ended.stderr
        return
    assert ended.returncode == 0, ended.stderr
    if "--dry-run" in command:
        assert json.loads(ended.stdout)[0]["url"] == "https://api.github.com/repos/simonw/datasette"


def test_every_command_of_the_readme_is_run_somewhere() -> None:
    assert set(ELSEWHERE) <= set(COMMANDS)
    assert NEEDS_INTERNET in COMMANDS
    assert len(COMMANDS) > 15


def test_the_demo_runs_to_its_end() -> None:
    ended = subprocess.run(
        [ROOT / "scripts" / "demo"], capture_output=True, text=True, timeout=420, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "Done in" in ended.stdout
    assert "callslip://runs ->" in ended.stdout
