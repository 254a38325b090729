"""`callslip systems …`: upstreams and their credentials. No command prints a credential."""

import sys
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, TypeVar, cast

import typer

from server.automation import Automation
from server.commands.output import (
    FAILED,
    NOT_FOUND,
    USAGE,
    JsonFlag,
    fail,
    note,
    print_json,
    print_table,
    say_done,
)
from server.commands.runner import run_with_service
from server.commands.sources import read_json_document, read_stdin
from server.connections import UnknownSystemError
from server.service import Service
from tools.check_system import check_credential
from tools.errors import RunError
from tools.json_text import JsonObject
from tools.problems import Problem
from tools.system import Environment

app = typer.Typer(
    no_args_is_help=True,
    help="Systems and their credentials: add, list, show, set-credential, login, test, rotate-key.",
)

SystemId = Annotated[str, typer.Argument(metavar="SYSTEM", help="The id of a system.")]
CredentialName = Annotated[
    str, typer.Argument(metavar="CREDENTIAL", help="The name that auth and templates use.")
]
EnvironmentOption = Annotated[str, typer.Option(metavar="NAME", help="prod or dev.")]


@app.command()
def add(
    source: Annotated[str, typer.Argument(metavar="FILE|-", help="A system, or a list.")],
    as_json: JsonFlag = False,
) -> None:
    """Store systems; credentials in them are sealed. What is refused gives exit code 2."""
    document = read_json_document(source)
    listed = cast("list[Any]", document) if isinstance(document, list) else [document]

    async def work(service: Service) -> list[JsonObject]:
        return [await service.connections.put(definition) for definition in listed]

    reports = run_with_service(work)
    if as_json:
        print_json({"systems": reports})
    for report in [] if as_json else reports:
        typer.echo(f"{report['outcome']}: {report.get('id', source)}")
        for problem in report["problems"]:
            severity = "warning: " if problem.get("severity") == "warning" else ""
            note(f"  {severity}{Problem(**problem)}")
    if any(report["outcome"] == "refused" for report in reports):
        raise typer.Exit(USAGE)


@app.command("list")
def list_(as_json: JsonFlag = False) -> None:
    """List the stored systems."""

    async def work(service: Service) -> list[JsonObject]:
        return [stored.wire() for stored in await service.connections.store.list()]

    systems = run_with_service(work)
    if as_json:
        print_json(systems)
        return
    if not systems:
        note("no systems are stored; `callslip systems add FILE` stores one")
        return
    print_table(
        ("id", "environment", "url", "sign-in", "credentials"),
        [
            (
                system["id"],
                system.get("environment", "prod"),
                system.get("url", ""),
                system.get("auth", {}).get("type", ""),
                ", ".join(system["credentials"]),
            )
            for system in systems
        ],
    )


@app.command()
def show(
    system_id: SystemId, environment: EnvironmentOption = "prod", as_json: JsonFlag = False
) -> None:
    """Show a system as JSON, with the flag or without; of its credentials that they are set."""

    async def work(service: Service) -> JsonObject:
        return (await service.connections.get(system_id, _environment(environment))).wire()

    print_json(_run(work))


@app.command()
def remove(
    system_id: SystemId, environment: EnvironmentOption = "prod", as_json: JsonFlag = False
) -> None:
    """Remove a system with its credentials."""

    async def work(service: Service) -> list[str]:
        place = _environment(environment)
        await service.connections.get(system_id, place)
        await service.connections.store.delete(system_id, place)
        return await Automation(service).warnings_without(system_id, place)

    warnings = _run(work)
    facts: JsonObject = {"id": system_id, "environment": environment, "outcome": "removed"}
    facts |= {"warnings": warnings} if warnings else {}
    say_done(f"removed {system_id} ({environment}) with its credentials", facts, as_json)
    for warning in () if as_json else warnings:
        note(f"warning: {warning}")


@app.command("set-credential")
def set_credential(
    system_id: SystemId,
    name: CredentialName,
    environment: EnvironmentOption = "prod",
    from_env: Annotated[
        str | None,
        typer.Option(
            metavar="VARIABLE", help="Read it from this variable at run time; store nothing."
        ),
    ] = None,
    from_file: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Read it from this file at run time; store nothing."),
    ] = None,
    from_command: Annotated[
        list[str] | None,
        typer.Option(
            metavar="WORD",
            help="Read it from this program's output at run time; once for each word.",
        ),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Set a credential: asked for without echo, or read from stdin."""
    sources: JsonObject = {
        key: value
        for key, value in (
            ("fromEnv", from_env),
            ("fromFile", from_file),
            ("fromCommand", from_command),
        )
        if value
    }
    value = sources or _ask(f"{system_id} {name}: ")
    for problem in check_credential(name, value, name):
        if problem.severity == "error":
            fail(str(problem), USAGE)
        note(f"warning: {problem}")

    async def work(service: Service) -> None:
        await service.connections.get(system_id, _environment(environment))
        await service.connections.store.set_credential(system_id, environment, name, value)

    _run(work)
    facts: JsonObject = {"id": system_id, "environment": environment, "credential": name}
    say_done(f"{system_id}.{name} is set", facts | {"outcome": "set"}, as_json)


@app.command("unset-credential")
def unset_credential(
    system_id: SystemId,
    name: str,
    environment: EnvironmentOption = "prod",
    as_json: JsonFlag = False,
) -> None:
    """Forget a credential."""

    async def work(service: Service) -> bool:
        await service.connections.get(system_id, _environment(environment))
        return await service.connections.store.unset_credential(system_id, environment, name)

    if not _run(work):
        fail(f"{system_id} has no credential {name}", NOT_FOUND)
    facts: JsonObject = {"id": system_id, "environment": environment, "credential": name}
    say_done(f"{system_id}.{name} is forgotten", facts | {"outcome": "forgotten"}, as_json)


@app.command()
def login(
    system_id: SystemId,
    environment: EnvironmentOption = "prod",
    no_browser: Annotated[
        bool, typer.Option("--no-browser", help="Print the address instead of opening it.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Sign in to a system with OAuth 2 (authorization code with PKCE)."""

    def show_address(url: str) -> None:
        note(f"sign in at:\n  {url}")
        if not no_browser:
            typer.launch(url)

    async def work(service: Service) -> None:
        system = await service.connections.load(system_id, _environment(environment))
        await service.connections.sign_in(system, show_address)

    _run(work)
    facts: JsonObject = {"id": system_id, "environment": environment, "outcome": "signed in"}
    say_done(f"signed in to {system_id}; its tokens are stored sealed", facts, as_json)


@app.command("test")
def ask(
    system_id: SystemId, environment: EnvironmentOption = "prod", as_json: JsonFlag = False
) -> None:
    """Ask the system's own url with its credentials, and say what it answers."""

    async def work(service: Service) -> tuple[int, str]:
        system = await service.connections.load(system_id, _environment(environment))
        return await service.connections.test(system)

    status, url = _run(work)
    if as_json:
        print_json({"id": system_id, "url": url, "status": status})
    else:
        typer.echo(f"{url} answered {status}")
    if status in {401, 403}:
        fail("the system did not take the credentials", FAILED)


@app.command("rotate-key")
def rotate_key(as_json: JsonFlag = False) -> None:
    """Seal every credential with a new key."""

    async def work(service: Service) -> int:
        return await service.connections.store.rotate_key()

    sealed = run_with_service(work)
    say_done(f"sealed with a new key: {sealed}", {"sealed": sealed}, as_json)


@app.command("use-keyring")
def use_keyring(as_json: JsonFlag = False) -> None:
    """Move the key from its file to the keyring of the operating system."""

    async def work(service: Service) -> None:
        await service.connections.store.use_keyring()

    run_with_service(work)
    text = "the key is in the OS keyring; the key file is removed"
    say_done(text, {"key": "keyring"}, as_json)


T = TypeVar("T")


def _run(work: Callable[[Service], Awaitable[T]]) -> T:
    try:
        return run_with_service(work)
    except UnknownSystemError as error:
        fail(str(error), NOT_FOUND)
    except RunError as error:
        hint = f"\nwhat to do: {error.detail.hint}" if error.detail.hint else ""
        fail(f"{error.message}{hint}", FAILED)


def _environment(text: str) -> Environment:
    if text == "prod":
        return "prod"
    if text == "dev":
        return "dev"
    fail(f"--environment {text}; valid: prod, dev", USAGE)


def _ask(prompt: str) -> str:
    if sys.stdin.isatty():
        return typer.prompt(prompt, hide_input=True, err=True, prompt_suffix="")
    return read_stdin("the value").rstrip("\r\n")
