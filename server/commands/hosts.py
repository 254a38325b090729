"""`callslip install` and `callslip uninstall`: our entry in the configuration of a host."""

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn, cast

import typer

from server.commands.output import (
    USAGE,
    JsonFlag,
    fail,
    note,
    print_json,
)
from server.commands.runner import read_settings
from server.settings import PREFIX, Settings
from tools.json_text import Json, JsonObject

__all__ = [
    "HOSTS",
    "Change",
    "Host",
    "Machine",
    "UnreadableError",
    "chosen_paths",
    "configuration_path",
    "entry_for",
    "find_command",
    "install",
    "parse_configuration",
    "this_machine",
    "uninstall",
    "with_entry",
    "without_entry",
]

#: The name of our entry in every host.
ENTRY = "callslip"
_HOST_PROGRAM_SECONDS = 60


class Host(StrEnum):
    """Programs that can be connected."""

    #: One file for the user; read at start.
    CLAUDE_DESKTOP = "claude-desktop"
    #: `mcp.json` of the user; projects may have their own.
    CURSOR = "cursor"
    #: `mcp.json` of the default profile.
    VSCODE = "vscode"
    #: User scope, through its own program where that is there.
    CLAUDE_CODE = "claude-code"


@dataclass(frozen=True)
class HostFacts:
    """What tells hosts apart."""

    title: str
    #: The member of the file that holds the servers by name.
    key: str
    #: Whether an entry says `"type": "stdio"`.
    is_typed: bool
    afterwards: str


HOSTS = {
    Host.CLAUDE_DESKTOP: HostFacts(
        "Claude Desktop",
        "mcpServers",
        is_typed=False,
        afterwards="quit Claude Desktop completely (not only its window) and start it again",
    ),
    Host.CURSOR: HostFacts(
        "Cursor",
        "mcpServers",
        is_typed=False,
        afterwards="look for callslip in Cursor's settings under MCP; restart Cursor if it is not "
        "there",
    ),
    Host.VSCODE: HostFacts(
        "VS Code",
        "servers",
        is_typed=True,
        afterwards="run `MCP: List Servers` in the command palette and start callslip, "
        "or restart VS Code",
    ),
    Host.CLAUDE_CODE: HostFacts(
        "Claude Code",
        "mcpServers",
        is_typed=True,
        afterwards="start a new session of Claude Code; `/mcp` shows callslip",
    ),
}


@dataclass(frozen=True)
class Machine:
    """Where hosts keep their files: the platform (`sys.platform`), the user's home, variables."""

    platform: str
    home: Path
    environment: Mapping[str, str]

    def folder(self, variable: str, *default: str) -> Path:
        """The folder that a variable names, else one below the home."""
        named = self.environment.get(variable)
        return Path(named) if named else self.home.joinpath(*default)


def this_machine() -> Machine:
    """The machine this runs on; the variables are those that hosts read, not settings of ours."""
    return Machine(sys.platform, Path.home(), dict(os.environ))


def configuration_path(host: Host, machine: Machine) -> Path:
    """The file in which a host looks for servers; it need not be there."""
    match host:
        case Host.CLAUDE_DESKTOP:
            return _claude_desktop_folder(machine) / "claude_desktop_config.json"
        case Host.CURSOR:
            return machine.home / ".cursor" / "mcp.json"
        case Host.VSCODE:
            return _application_data(machine) / "Code" / "User" / "mcp.json"
        case Host.CLAUDE_CODE:
            return machine.folder("CLAUDE_CONFIG_DIR") / ".claude.json"


def _application_data(machine: Machine) -> Path:
    if machine.platform == "darwin":
        return machine.home / "Library" / "Application Support"
    if machine.platform == "win32":
        return machine.folder("APPDATA", "AppData", "Roaming")
    return machine.folder("XDG_CONFIG_HOME", ".config")


def _claude_desktop_folder(machine: Machine) -> Path:
    usual = _application_data(machine) / "Claude"
    if machine.platform != "win32":
        return usual
    # The packaged app (MSIX, also from claude.ai) sees a folder of its own in place of the usual.
    packages = machine.folder("LOCALAPPDATA", "AppData", "Local") / "Packages"
    packaged = sorted(packages.glob("Claude_*/LocalCache/Roaming"))
    return packaged[0] / "Claude" if packaged else usual


def find_command(started_as: str, scripts: Path, platform: str) -> Path | None:
    """The absolute path of the installed `callslip`: hosts start it with a short PATH.

    The path it was started with comes first, because a link such as ~/.local/bin/callslip stays
    when the environment behind it is renewed.
    """
    name = "callslip.exe" if platform == "win32" else "callslip"
    candidates = [scripts / name]
    if Path(started_as).stem == "callslip" and Path(started_as).is_absolute():
        candidates.insert(0, Path(started_as).with_name(name))
    if found := shutil.which("callslip"):
        candidates.append(Path(found).absolute())
    return next((path for path in candidates if path.is_file()), None)


def entry_for(host: Host, command: Path, variables: Mapping[str, str]) -> JsonObject:
    """Our entry; the variables are those that a user chose."""
    entry: JsonObject = {"type": "stdio"} if HOSTS[host].is_typed else {}
    entry |= {"command": str(command), "args": ["serve"]}
    if variables:
        entry["env"] = dict(variables)
    return entry


def chosen_paths(settings: Settings) -> dict[str, str]:
    """The variables of the paths that were given: a host hands on nothing of this environment.

    Secrets stay out of configurations.
    """
    given = {name: getattr(settings, name) for name in Settings.model_fields}
    return {
        f"{PREFIX}{name.upper()}": str(value.absolute())
        for name, value in given.items()
        if isinstance(value, Path) and name in settings.model_fields_set
    }


class UnreadableError(Exception):
    """A configuration that cannot be changed safely; the message says where it stops being JSON."""


@dataclass(frozen=True)
class Change:
    """The new text of a configuration, and what becomes of our entry."""

    text: str
    outcome: Literal["added", "updated", "unchanged", "removed", "absent"]

    @property
    def changes(self) -> bool:
        return self.outcome not in {"unchanged", "absent"}


def parse_configuration(text: str) -> JsonObject:
    """The object of a configuration; an empty file is an empty object. Raises `UnreadableError`."""
    text = text.removeprefix("\ufeff")
    if not text.strip():
        return {}
    try:
        value: Json = json.loads(
            text, object_pairs_hook=_unique_members, parse_constant=_refuse_constant
        )
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise UnreadableError(f"{place}: {error.msg} (comments, commas too many?)") from None
    except (ValueError, RecursionError) as error:
        raise UnreadableError(str(error)) from None
    if not isinstance(value, dict):
        raise UnreadableError("it holds no JSON object")
    return cast("JsonObject", value)


def with_entry(text: str | None, key: str, entry: JsonObject) -> Change:
    """The configuration with our entry; what else the user wrote into it stays.

    `text` is None where there is no file. Raises `UnreadableError`.
    """
    configuration = parse_configuration(text or "")
    servers = _servers_of(configuration, key)
    before = servers.get(ENTRY)
    after = _merged(before, entry)
    if before == after:
        return Change(text or "", "unchanged")
    configuration[key] = {**servers, ENTRY: after}
    return Change(_rendered(configuration, text), "added" if before is None else "updated")


def without_entry(text: str | None, key: str) -> Change:
    """The configuration without our entry. Raises `UnreadableError`."""
    configuration = parse_configuration(text or "")
    servers = _servers_of(configuration, key)
    if ENTRY not in servers:
        return Change(text or "", "absent")
    configuration[key] = {name: one for name, one in servers.items() if name != ENTRY}
    return Change(_rendered(configuration, text), "removed")


def _unique_members(members: list[tuple[str, Json]]) -> JsonObject:
    unique = dict(members)
    if len(unique) < len(members):
        names = [name for name, _ in members]
        twice = next(name for name in names if names.count(name) > 1)
        # Writing the file again would keep one of the two.
        raise ValueError(f"the member {twice!r} stands twice in one object")
    return unique


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _servers_of(configuration: JsonObject, key: str) -> JsonObject:
    servers = configuration.get(key, {})
    if not isinstance(servers, dict):
        raise UnreadableError(f"{key!r} holds no object of servers by name")
    return cast("JsonObject", servers)


def _merged(before: Json, entry: JsonObject) -> JsonObject:
    """Our entry over the one that is there: arguments of `serve` and own variables stay."""
    if not isinstance(before, dict):
        return entry
    kept = cast("dict[str, Any]", before)
    merged = {**kept, **entry}
    if isinstance(kept.get("args"), list) and kept["args"][:1] == ["serve"]:
        merged["args"] = kept["args"]
    if isinstance(kept.get("env"), dict):
        merged["env"] = {**kept["env"], **entry.get("env", {})}
    return merged


def _rendered(configuration: JsonObject, previous: str | None) -> str:
    """JSON text indented as it was, and with the line ends it had."""
    indent: str | int = 2
    if found := re.search(r"^([ \t]+)\S", previous or "", re.MULTILINE):
        indent = found[1]
    text = json.dumps(configuration, indent=indent, ensure_ascii=False) + "\n"
    return text.replace("\n", "\r\n") if "\r\n" in (previous or "") else text


HostArgument = Annotated[Host, typer.Argument(metavar="|".join(Host), help="The host to connect.")]


def install(
    host: HostArgument,
    print_only: Annotated[
        bool, typer.Option("--print", help="Print the entry; change nothing.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Connect a host: put callslip into its configuration, keeping everything else."""
    facts = HOSTS[host]
    settings = read_settings()
    command = find_command(sys.argv[0], Path(sysconfig.get_path("scripts")), sys.platform)
    if command is None:
        fail(
            "the installed `callslip` program was not found beside this Python nor on PATH; "
            "install callslip with `uv tool install` or `pipx install` and try again",
            USAGE,
        )
    entry = entry_for(host, command, chosen_paths(settings))
    machine = this_machine()
    path = configuration_path(host, machine)
    if print_only:
        print_json(_snippet(facts, entry))
        note(f"this belongs into {path}")
        return
    _warn_of_short_lived(command)
    if settings.master_key is not None:
        note(
            f"warning: {PREFIX}MASTER_KEY is a secret and is not written into the configuration; "
            f"{facts.title} must hand it to callslip, or stored credentials cannot be read there"
        )
    program = shutil.which("claude") if host is Host.CLAUDE_CODE else None
    previous = _read(path, facts, entry)
    change = _changed(lambda: with_entry(previous, facts.key, entry), path, facts, entry)
    backup = None
    if change.changes and program is not None:
        servers = parse_configuration(change.text)[facts.key]
        _add_through(program, servers[ENTRY], replaces=change.outcome == "updated")
    elif change.changes:
        backup = _write(path, previous, change.text, facts, entry)
    if as_json:
        print_json(_report(host, change, path, backup))
        return
    if not change.changes:
        typer.echo(f"{facts.title} has callslip already: {path}")
        return
    verb = "added to" if change.outcome == "added" else "updated in"
    _say_change(f"callslip was {verb} {facts.title}", path, backup, facts)
    note(f"  it starts {' '.join([entry['command'], *entry['args']])}")


def uninstall(host: HostArgument, as_json: JsonFlag = False) -> None:
    """Disconnect a host: take callslip out of its configuration, and nothing else."""
    facts = HOSTS[host]
    path = configuration_path(host, this_machine())
    program = shutil.which("claude") if host is Host.CLAUDE_CODE else None
    previous = _read(path, facts, None)
    change = _changed(lambda: without_entry(previous, facts.key), path, facts, None)
    backup = None
    if change.changes and program is not None:
        _run_host_program([program, "mcp", "remove", "--scope", "user", ENTRY])
    elif change.changes:
        backup = _write(path, previous, change.text, facts, None)
    if as_json:
        print_json(_report(host, change, path, backup))
    elif change.changes:
        _say_change(f"callslip was removed from {facts.title}", path, backup, facts)
        note("  stored tools and runs are still there")
    else:
        typer.echo(f"{facts.title} has no callslip: {path}")


def _snippet(facts: HostFacts, entry: JsonObject) -> JsonObject:
    return {facts.key: {ENTRY: entry}}


def _say_change(what: str, path: Path, backup: Path | None, facts: HostFacts) -> None:
    typer.echo(f"{what}: {path}")
    if backup is not None:
        note(f"  what was there before: {backup}")
    note(f"  next: {facts.afterwards}")


def _report(host: Host, change: Change, path: Path, backup: Path | None) -> JsonObject:
    report: JsonObject = {"host": host, "outcome": change.outcome, "path": str(path)}
    if backup is not None:
        report["backup"] = str(backup)
    return report


def _warn_of_short_lived(command: Path) -> None:
    # uvx keeps what it runs in a cache that `uv cache clean` empties.
    if {"archive-v0", "environments-v2"} & set(command.resolve().parts):
        note(
            f"warning: {command} lies in a cache and may vanish; install callslip for good with "
            "`uv tool install callslip` or `pipx install callslip`, then install again"
        )


def _read(path: Path, facts: HostFacts, entry: JsonObject | None) -> str | None:
    """The text of a configuration, None where there is none."""
    try:
        return path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        return None
    except OSError as error:
        _refuse(path, f"cannot be read: {error.strerror}", facts, entry)
    except UnicodeDecodeError:
        _refuse(path, "is not UTF-8 text", facts, entry)


def _changed(
    change: Callable[[], Change], path: Path, facts: HostFacts, entry: JsonObject | None
) -> Change:
    try:
        return change()
    except UnreadableError as error:
        _refuse(path, f"cannot be changed safely: {error}", facts, entry)


def _refuse(path: Path, why: str, facts: HostFacts, entry: JsonObject | None) -> NoReturn:
    """Exit 2 with the entry on stdout, so that it can be put there by hand."""
    if entry is None:
        fail(f"{path} {why}; nothing was changed: take {ENTRY!r} out of {facts.key!r} there", USAGE)
    print_json(_snippet(facts, entry))
    fail(f"{path} {why}; nothing was changed: put what is printed above there by hand", USAGE)


def _write(
    path: Path, previous: str | None, text: str, facts: HostFacts, entry: JsonObject | None
) -> Path | None:
    """Replace the file in one step; the backup of what was there."""
    # A configuration may be a link into a folder of dotfiles: the link stays.
    target = path.resolve()
    backup = target.with_name(target.name + ".bak") if previous is not None else None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if backup is not None:
            shutil.copy2(target, backup)
        handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                # A half of a pair of surrogates is JSON, but not UTF-8.
                file.write(text.encode("utf-8", "backslashreplace"))
                file.flush()
                os.fsync(file.fileno())
            if previous is not None:
                shutil.copymode(target, name)
            Path(name).replace(target)
        except BaseException:
            with suppress(OSError):
                Path(name).unlink()
            raise
    except OSError as error:
        _refuse(path, f"cannot be written: {error.strerror}", facts, entry)
    return backup


def _add_through(program: str, entry: JsonObject, *, replaces: bool) -> None:
    """Let Claude Code write its own file: running sessions rewrite it all the time."""
    if replaces:
        _run_host_program([program, "mcp", "remove", "--scope", "user", ENTRY])
    command = [program, "mcp", "add"]
    for name, value in cast("dict[str, str]", entry.get("env", {})).items():
        command += ["--env", f"{name}={value}"]
    # `--env` takes all that follows up to the next option, so the name must not come next.
    command += ["--transport", "stdio", "--scope", "user", ENTRY, "--"]
    _run_host_program([*command, entry["command"], *entry["args"]])


def _run_host_program(command: Sequence[str]) -> None:
    shown = " ".join(command)
    try:
        done = subprocess.run(  # noqa: S603 (the user's own program, our arguments)
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_HOST_PROGRAM_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        fail(f"`{shown}` could not be run: {error}; run it yourself", USAGE)
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip()
        fail(f"`{shown}` ended with {done.returncode}: {said}; nothing else was tried", USAGE)
