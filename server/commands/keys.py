"""`callslip keys …`: the keys of `serve --http`."""

from collections.abc import Collection
from typing import Annotated

import typer

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
from server.service import Service
from storage.api_keys import ApiKey, ApiKeyExistsError, Scope
from tools.json_text import JsonObject
from tools.run import rfc3339
from tools.suggestions import did_you_mean

app = typer.Typer(no_args_is_help=True, help="Keys for serve --http: create, list, revoke.")

Name = Annotated[
    str, typer.Argument(metavar="NAME", help="The name of the key; its runs carry it.")
]


@app.command()
def create(
    name: Name,
    scope: Annotated[
        list[Scope] | None,
        typer.Option(help="What it may do; repeatable. read and run when absent."),
    ] = None,
    tool: Annotated[
        list[str] | None,
        typer.Option(metavar="ID", help="Only this tool and its runs; repeatable."),
    ] = None,
    folder: Annotated[
        list[str] | None,
        typer.Option(metavar="PATH", help="Only tools in this folder; repeatable."),
    ] = None,
    as_json: JsonFlag = False,
) -> None:
    """Make a key; it is shown this once."""
    if not name.strip() or not name.isprintable() or len(name) > 100:
        fail("a name has 1 to 100 printable characters", USAGE)
    scopes = scope or [Scope.READ, Scope.RUN]
    if Scope.ADMIN in scopes and (tool or folder):
        fail("an admin key may do everything; leave out --tool and --folder", USAGE)

    async def work(service: Service) -> tuple[str, list[str]]:
        key = await service.api_keys.create(name, scopes, tool or (), folder or ())
        stored = {one.id for one in await service.tools.all()}
        return key, [_not_stored(one, stored) for one in tool or () if one not in stored]

    try:
        key, warnings = run_with_service(work)
    except ApiKeyExistsError as error:
        fail(str(error), USAGE)
    if as_json:
        facts: JsonObject = {"name": name, "scopes": sorted(scopes), "key": key}
        print_json({**facts, "warnings": warnings} if warnings else facts)
        return
    typer.echo(key)
    for warning in warnings:
        note(f"warning: {warning}")
    note("keep it: it is not stored and not shown again")


@app.command("list")
def list_(as_json: JsonFlag = False) -> None:
    """List the keys, without what they are."""

    async def work(service: Service) -> list[ApiKey]:
        return await service.api_keys.list()

    keys = [_wire(key) for key in run_with_service(work)]
    if as_json:
        print_json(keys)
        return
    if not keys:
        note("there are no keys; `callslip keys create NAME` makes one")
        return
    print_table(
        ("name", "scopes", "only", "created", "last used", "state"),
        [
            (
                key["name"],
                " ".join(key["scopes"]),
                " ".join([*key["toolIds"], *(f"{folder}/" for folder in key["folders"])]),
                key["createdAt"],
                key.get("lastUsedAt", ""),
                "revoked" if "revokedAt" in key else "valid",
            )
            for key in keys
        ],
    )


@app.command()
def revoke(name: Name, as_json: JsonFlag = False) -> None:
    """Make a key useless at once."""

    async def work(service: Service) -> bool:
        return await service.api_keys.revoke(name)

    if not run_with_service(work):
        fail(f"no valid key is named {name}; `callslip keys list` shows them", NOT_FOUND)
    say_done(f"revoked {name}", {"name": name, "outcome": "revoked"}, as_json)


def _not_stored(tool_id: str, stored: Collection[str]) -> str:
    near = did_you_mean(tool_id, stored)
    return f"tool {tool_id} is not stored; the key will reach it once it is" + (
        f". Did you mean {near}?" if near else ""
    )


def _wire(key: ApiKey) -> JsonObject:
    moments = {
        "createdAt": key.created_at,
        "lastUsedAt": key.last_used_at,
        "revokedAt": key.revoked_at,
    }
    return {
        "name": key.name,
        "scopes": sorted(key.scopes),
        "toolIds": list(key.tool_ids),
        "folders": list(key.folders),
        **{name: rfc3339(moment) for name, moment in moments.items() if moment is not None},
    }
