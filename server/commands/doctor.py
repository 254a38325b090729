"""`callslip doctor`: what is well, what is not, and what to do."""

import os
import platform
import shutil
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, cast

import typer

from server.commands.output import HOME, note, print_json, print_table
from server.settings import Settings, SettingsError

__all__ = ["Check", "doctor", "examine"]

_INTEGRITY_SECONDS = 5.0
_LOW_DISK_BYTES = 500 * 1024 * 1024
_MAX_NAMED = 5


@dataclass(frozen=True)
class Check:
    """One finding. `advice` says what to do where something is not well."""

    name: str
    status: Literal["ok", "warning", "problem"]
    found: str
    advice: str = ""


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")] = False,
) -> None:
    """Check the home, its database, the JavaScript engine and the hosts; exit 4 on a problem."""
    checks = list(examine())
    problems = [check for check in checks if check.status == "problem"]
    if as_json:
        print_json({"ok": not problems, "checks": [asdict(check) for check in checks]})
    else:
        print_table(
            ("", "what", "found"), [(check.status, check.name, check.found) for check in checks]
        )
        for check in checks:
            if check.advice:
                note(f"{check.status}: {check.name}: {check.advice}")
    if problems:
        raise typer.Exit(HOME)


def examine() -> Iterator[Check]:
    """Every check, whatever the others find; none of them writes into the home to stay."""
    yield from _guarded("version", _check_program)
    settings = Settings()
    try:
        settings = Settings.read()
    except SettingsError as error:
        yield Check(
            "settings",
            "problem",
            str(error),
            "correct or unset the variable; the home was looked for without it",
        )
        settings = _settings_of_home()
    yield from _guarded("home", lambda: _check_home(settings))
    yield from _guarded("database", lambda: _check_database(settings))
    yield from _guarded("javascript", _check_javascript)
    yield from _guarded("http", lambda: _check_http(settings))
    yield from _guarded("hosts", lambda: _check_hosts(settings))


def _guarded(name: str, check: Callable[[], Iterator[Check]]) -> Iterator[Check]:
    """A check that fails is a finding itself: this runs when things are broken."""
    try:
        yield from check()
    except Exception as error:
        text = str(error) or "no further words"
        yield Check(
            name,
            "problem",
            f"the check itself failed: {type(error).__name__}: {text}",
            "this is a fault of callslip or of its installation; report it with this text",
        )


def _settings_of_home() -> Settings:
    """The settings with nothing but the home of the user; another variable is wrong."""
    try:
        return Settings.read({"CALLSLIP_HOME": os.environ.get("CALLSLIP_HOME", "")})
    except SettingsError:
        return Settings()


def _check_program() -> Iterator[Check]:
    from server.version import VERSION

    yield Check("version", "ok", f"callslip {VERSION}")
    yield Check("python", "ok", f"{platform.python_version()} ({sys.executable})")


def _check_home(settings: Settings) -> Iterator[Check]:
    from storage.read_only import can_only_be_read

    home = settings.home
    advice = "set CALLSLIP_HOME to a directory you can write, or correct its permissions"
    if can_only_be_read(settings.database_path):
        found = f"{home} can only be read: its history is shown, and nothing can be run or changed"
        yield Check("home", "problem", found, advice)
        return
    if home.is_dir():
        if (why := _why_not_writable(home)) is not None:
            yield Check("home", "problem", f"{home} cannot be written: {why}", advice)
            return
        yield Check("home", "ok", f"{home}, {_size_of(home)}")
    elif os.path.lexists(home):
        yield Check("home", "problem", f"{home} is there and is no directory", advice)
        return
    else:
        parent = next(folder for folder in home.absolute().parents if os.path.lexists(folder))
        why = _why_not_writable(parent) if parent.is_dir() else "it is no directory"
        if why is not None:
            yield Check("home", "problem", f"{home} cannot be made in {parent}: {why}", advice)
            return
        yield Check("home", "ok", f"{home} is not there yet; it is made when something is stored")
        home = parent
    free = shutil.disk_usage(home).free
    if free < _LOW_DISK_BYTES:
        yield Check(
            "disk",
            "warning",
            f"{_megabytes(free)} are free",
            "free some space: a run that cannot be recorded is not executed",
        )


def _why_not_writable(folder: Path) -> str | None:
    try:
        with tempfile.TemporaryFile(dir=folder):
            return None
    except OSError as error:
        return error.strerror or str(error)


def _size_of(folder: Path) -> str:
    total = count = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                total += (Path(parent) / name).lstat().st_size
            except OSError:  # removed meanwhile
                continue
            count += 1
    return f"{_megabytes(total)} in {count} {'file' if count == 1 else 'files'}"


def _megabytes(size: int) -> str:
    return f"{size / 1_000_000:,.1f} MB"


def _check_database(settings: Settings) -> Iterator[Check]:
    from storage.read_only import Sight, connect_to_read
    from storage.schema import SCHEMA_VERSION

    path = settings.database_path
    try:
        if not path.exists():
            yield Check("database", "ok", "not there yet; it is made when something is stored")
            return
        # Files that it left behind could belong to another user.
        with closing(connect_to_read(path, Sight.of(path))) as connection:
            schema = connection.execute("PRAGMA user_version").fetchone()[0]
            if schema > SCHEMA_VERSION:
                yield Check(
                    "database",
                    "problem",
                    f"{path} has schema {schema}, written by a newer callslip; "
                    f"this one knows {SCHEMA_VERSION}",
                    "upgrade callslip, or set CALLSLIP_HOME to another directory",
                )
                return
            if schema == 0:
                yield _check_without_schema(connection, path)
                return
            yield Check("database", "ok", _describe(connection, schema, SCHEMA_VERSION))
            yield from _check_integrity(connection, path)
            yield from _check_definitions(connection)
            yield from _check_systems(connection, settings)
    except (sqlite3.Error, OSError) as error:
        yield Check("database", "problem", f"{path}: {error}", _advice_for(error))


def _advice_for(error: Exception) -> str:
    code = getattr(error, "sqlite_errorname", None) or ""
    if code.startswith("SQLITE_BUSY"):
        return "another program keeps it locked; close programs that have it open"
    if code.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        return (
            "it is damaged or not a database: restore a backup made by `callslip backup`, "
            "or move the file away to start anew"
        )
    return "check the permissions of the file and its directory, or set CALLSLIP_HOME to another"


def _check_without_schema(connection: sqlite3.Connection, path: Path) -> Check:
    tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    if tables == 0:
        return Check("database", "ok", "empty; it is filled when something is stored")
    return Check(
        "database",
        "problem",
        f"{path} is a database of another program",
        "set CALLSLIP_HOME to a directory of its own",
    )


def _describe(connection: sqlite3.Connection, schema: int, newest: int) -> str:
    tools = connection.execute("SELECT count(*) FROM tools").fetchone()[0]
    runs = connection.execute("SELECT coalesce(sum(runs), 0) FROM run_counts").fetchone()[0]
    age = "" if schema == newest else f" (brought to {newest} when it is next opened)"
    return f"schema {schema}{age}, tools: {tools:,}, runs: {runs:,}"


def _check_integrity(connection: sqlite3.Connection, path: Path) -> Iterator[Check]:
    give_up_at = time.monotonic() + _INTEGRITY_SECONDS
    connection.set_progress_handler(lambda: time.monotonic() > give_up_at, 10_000)
    try:
        rows = connection.execute("PRAGMA quick_check(3)").fetchall()
    except sqlite3.OperationalError as error:
        if "interrupted" not in str(error):
            raise
        yield Check(
            "integrity",
            "ok",
            f"nothing wrong in the part that could be read within {_INTEGRITY_SECONDS:g} s",
        )
        return
    finally:
        connection.set_progress_handler(None, 0)
    found = [str(row[0]) for row in rows]
    if found == ["ok"]:
        yield Check("integrity", "ok", "the structure of the database is sound")
        return
    yield Check(
        "integrity",
        "problem",
        f"{path}: {'; '.join(found)}",
        "stop all servers and restore a backup made by `callslip backup`",
    )


def _check_definitions(connection: sqlite3.Connection) -> Iterator[Check]:
    from storage.snapshots import load_snapshot
    from tools.model import Tool

    rows = connection.execute("SELECT tool_id, snapshot_id FROM tools ORDER BY tool_id").fetchall()
    unreadable: list[str] = []
    for tool_id, snapshot_id in rows:
        try:
            Tool.model_validate(load_snapshot(connection, snapshot_id))
        except (sqlite3.Error, ValueError, AttributeError, TypeError) as error:
            first = (str(error) or type(error).__name__).splitlines()[0]
            unreadable.append(f"{tool_id} ({first})")
    if not unreadable:
        yield Check("definitions", "ok", f"every stored tool can be read ({len(rows):,})")
        return
    yield Check(
        "definitions",
        "problem",
        f"cannot be read and are not published: {_some(unreadable)}",
        "store them again with `callslip tools add FILE`, or remove them with "
        "`callslip tools remove ID`",
    )


def _check_systems(connection: sqlite3.Connection, settings: Settings) -> Iterator[Check]:
    import anyio

    from storage.errors import HomeError
    from storage.keys import KeyKeeper, KeyPlaces
    from storage.systems import key_fingerprint, opened_secrets, stored_systems
    from tools.redaction import MINIMUM_SECRET_LENGTH
    from tools.system import System, auth_credential_names

    systems = stored_systems(connection)
    credentials = sum(len(one.credentials) for one in systems)
    yield Check("systems", "ok", f"systems: {len(systems):,}, credentials: {credentials:,}")
    missing = [
        f"{one.id}.{name} ({one.environment})"
        for one in systems
        for name in auth_credential_names(System.model_validate(one.definition).auth)
        if name not in {credential.name for credential in one.credentials}
    ]
    if missing:
        yield Check(
            "credentials",
            "warning",
            f"not set: {_some(missing)}",
            "set them with `callslip systems set-credential SYSTEM NAME`, or hand them to each run",
        )
    keys = KeyKeeper(KeyPlaces(settings.master_key, settings.key_file))
    fingerprint = key_fingerprint(connection)
    if fingerprint is None:
        yield Check("key", "ok", f"nothing is sealed yet; a key belongs in {keys.where()}")
        return
    try:
        box = anyio.run(keys.box, fingerprint)
        short = [
            f"{one.id}.{name} ({one.environment})"
            for one in systems
            for name, secret in opened_secrets(connection, one, box).items()
            if isinstance(secret, str) and len(secret) < MINIMUM_SECRET_LENGTH
        ]
    except HomeError as error:
        yield Check(
            "key",
            "problem",
            str(error),
            "docs/security.md, Credentials at rest, says where the key may be",
        )
        return
    yield Check("key", "ok", f"opens every credential; it is in {keys.where()}")
    if short:
        yield Check(
            "credentials",
            "warning",
            f"shorter than {MINIMUM_SECRET_LENGTH} characters: {_some(short)}",
            "they are not searched for in results and logs; use longer ones where you can",
        )


def _some(names: list[str]) -> str:
    more = len(names) - _MAX_NAMED
    return ", ".join(names[:_MAX_NAMED]) + (f", and {more} more" if more > 0 else "")


def _check_javascript() -> Iterator[Check]:
    import anyio

    from tools.scripts import Script, ScriptEngine, ScriptForm

    async def evaluate() -> Any:
        async with ScriptEngine(workers=1) as engine, engine.session() as session:
            script = Script("(s) => s.numbers.map(n => n * 2)", ScriptForm.FUNCTION)
            with anyio.fail_after(30):
                return (await session.evaluate(script, {"numbers": [1, 2]})).value

    started = time.monotonic()
    advice = "install callslip again, in an environment of its own, with all its dependencies"
    try:
        value = anyio.run(evaluate)
    except TimeoutError:
        yield Check("javascript", "problem", "no answer within 30 s", advice)
        return
    except Exception as error:
        yield Check("javascript", "problem", str(error), advice)
        return
    if value != [2, 4]:
        yield Check("javascript", "problem", f"[1, 2] doubled gave {value!r}", advice)
        return
    took = (time.monotonic() - started) * 1000
    yield Check("javascript", "ok", f"evaluates; first answer after {took:.0f} ms")


def _check_http(settings: Settings) -> Iterator[Check]:
    import anyio

    from server.version import VERSION
    from tools.http import HttpClient

    async def construct() -> None:
        async with HttpClient(
            user_agent=f"callslip/{VERSION}",
            proxies=settings.proxies,
            max_response_bytes=settings.max_response_bytes,
        ):
            pass

    try:
        anyio.run(construct)
    except Exception as error:
        yield Check(
            "http",
            "problem",
            f"the client cannot be made: {type(error).__name__}: {error}",
            "check HTTP_PROXY, HTTPS_PROXY and NO_PROXY; else install callslip again",
        )
        return
    schemes = sorted(set(settings.proxies) - {"no"})
    yield Check("http", "ok", f"through a proxy: {', '.join(schemes)}" if schemes else "direct")


def _check_hosts(settings: Settings) -> Iterator[Check]:
    from server.commands.hosts import HOSTS, UnreadableError, parse_configuration, this_machine
    from server.commands.hosts import configuration_path as path_of

    machine = this_machine()
    for host, facts in HOSTS.items():
        name = f"host {host}"
        path = path_of(host, machine)
        try:
            servers: Any = parse_configuration(path.read_text("utf-8")).get(facts.key)
        except FileNotFoundError:
            yield Check(name, "ok", "not connected")
            continue
        except (OSError, UnicodeDecodeError, UnreadableError) as error:
            yield Check(
                name,
                "warning",
                f"{path} cannot be read: {error}",
                f"look for callslip in it yourself; `callslip install {host} --print` shows "
                "what belongs there",
            )
            continue
        entry: Any = (
            cast("dict[str, Any]", servers).get("callslip") if _is_object(servers) else None
        )
        if entry is None:
            yield Check(name, "ok", "not connected")
        else:
            yield _check_entry(name, f"callslip install {host}", path, entry, settings)


def _check_entry(name: str, command: str, path: Path, entry: Any, settings: Settings) -> Check:
    advice = f"`{command}` writes it anew"
    program = cast("dict[str, Any]", entry).get("command") if _is_object(entry) else None
    if not isinstance(program, str):
        return Check(name, "problem", f"its entry in {path} names no command", advice)
    found = shutil.which(program)
    if found is None:
        return Check(
            name, "problem", f"it starts {program}, which is not there (in {path})", advice
        )
    if not Path(program).is_absolute():
        return Check(
            name,
            "warning",
            f"it starts {program!r}, found here as {found}; hosts often have another PATH",
            advice,
        )
    variables: Any = entry.get("env")
    home = cast("dict[str, Any]", variables).get("CALLSLIP_HOME") if _is_object(variables) else None
    if home is None and "home" in settings.model_fields_set:
        return Check(
            name,
            "warning",
            f"connected with the default home, while this command looks at {settings.home}",
            f"unset CALLSLIP_HOME to see its runs; {advice} for the home of this command",
        )
    if home is not None and Path(str(home)) != settings.home.absolute():
        return Check(
            name,
            "warning",
            f"connected with the home {home}, while this command looks at {settings.home}",
            f"set CALLSLIP_HOME to {home} to see its runs",
        )
    return Check(name, "ok", f"connected: {program}")


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)
