"""`callslip hooks …`: who outside may start tools, and what was sent when runs ended."""

from collections.abc import Sequence
from typing import Annotated

import typer

from server.automation import Automation, UnknownHookError
from server.commands.output import (
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
from server.connections import UnknownSystemError
from server.hooks import DEFAULT_HEADERS
from server.service import Service
from server.views import delivery_view
from storage.hooks import Hook, Scheme
from storage.outbox import Delivery
from tools.errors import RunError
from tools.problems import Problem

app = typer.Typer(no_args_is_help=True, help="Webhooks in and out, for serve --http.")

ToolId = Annotated[str, typer.Argument(metavar="TOOL", help="The id of a stored tool.")]


@app.command()
def create(
    tool_id: ToolId,
    secret: Annotated[
        str, typer.Option(metavar="SYSTEM.NAME", help="The credential that senders know.")
    ],
    scheme: Annotated[
        str,
        typer.Option(
            metavar="SCHEME", help="secret, hmac (GitHub's form) or timestamped (ours, Stripe's)."
        ),
    ] = "secret",
    header: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The header with the secret or the signature."),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Let senders that know a secret start a tool: POST /v1/hooks/TOOL."""
    if scheme not in DEFAULT_HEADERS:
        fail(f"--scheme {scheme}; valid: {', '.join(DEFAULT_HEADERS)}", USAGE)
    system_id, _, credential = secret.rpartition(".")
    if not system_id or not credential:
        fail(f"--secret {secret}; valid is SYSTEM.NAME, such as github.webhook", USAGE)
    chosen: Scheme = next(one for one in DEFAULT_HEADERS if one == scheme)

    async def work(service: Service) -> tuple[Hook, list[Problem]]:
        return await Automation(service).put_hook(tool_id, system_id, credential, chosen, header)

    try:
        hook, problems = run_with_service(work)
    except UnknownSystemError as error:
        fail(str(error), NOT_FOUND)
    except RunError as error:
        fail(f"{error.message}; set it with `{error.detail.hint}`", USAGE)
    text = f"POST /v1/hooks/{tool_id} starts it; the {scheme} stands in {hook.header}"
    say_done(text, {**_wire(hook)}, as_json)
    for problem in problems:
        note(f"warning: {problem}")


@app.command("list")
def list_(as_json: JsonFlag = False) -> None:
    """List the hooks, by tool."""

    async def work(service: Service) -> list[Hook]:
        return await Automation(service).hooks()

    found = run_with_service(work)
    if as_json:
        print_json({"data": [_wire(hook) for hook in found]})
        return
    if not found:
        note("no tool has a hook; `callslip hooks create TOOL --secret SYSTEM.NAME` makes one")
        return
    rows = [
        (one.tool_id, one.scheme, one.header, f"{one.system_id}.{one.credential}") for one in found
    ]
    print_table(("tool", "scheme", "header", "secret"), rows)


@app.command()
def remove(tool_id: ToolId, as_json: JsonFlag = False) -> None:
    """Take a tool's hook away."""

    async def work(service: Service) -> None:
        await Automation(service).remove_hook(tool_id)

    try:
        run_with_service(work)
    except UnknownHookError as error:
        fail(str(error), NOT_FOUND)
    facts = {"toolId": tool_id, "outcome": "removed"}
    say_done(f"tool {tool_id} has no hook any more", facts, as_json)


@app.command()
def deliveries(
    dead: Annotated[bool, typer.Option("--dead", help="Only those that were given up.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most this many.")] = 50,
    as_json: JsonFlag = False,
) -> None:
    """List what was sent, or is to be sent, when runs ended; the newest first."""

    async def work(service: Service) -> Sequence[Delivery]:
        return await Automation(service).deliveries("dead" if dead else None, limit)

    found = run_with_service(work)
    if as_json:
        print_json({"data": [delivery_view(one) for one in found]})
        return
    if not found:
        note("there are none")
        return
    print_table(
        ("delivery", "run", "status", "attempts", "target", "error"),
        [
            (
                str(one.delivery_id),
                one.run_id,
                one.status,
                str(one.attempts),
                one.target.partition("?")[0],
                one.error or "",
            )
            for one in found
        ],
    )


@app.command()
def redeliver(
    delivery_id: Annotated[int, typer.Argument(metavar="DELIVERY", help="Its number.")],
    as_json: JsonFlag = False,
) -> None:
    """Try a delivery again that was given up; a server makes it."""

    async def work(service: Service) -> bool:
        return await Automation(service).redeliver(delivery_id)

    if not run_with_service(work):
        fail(
            f"no delivery {delivery_id} was given up; see `callslip hooks deliveries --dead`",
            NOT_FOUND,
        )
    facts = {"deliveryId": delivery_id, "outcome": "due"}
    say_done(f"delivery {delivery_id} is due", facts, as_json)


def _wire(hook: Hook) -> dict[str, str]:
    return {
        "toolId": hook.tool_id,
        "scheme": hook.scheme,
        "header": hook.header,
        "secret": f"{hook.system_id}.{hook.credential}",
    }
