"""Calls every tool of imported documents against a prism mock of the same document.

Each call counts as one of: *taken*, prism found the request valid; *read back*, prism refused it
or ended over it, and a second reader, which knows the document and nothing of the importer, read
exactly the inputs out of it; *no value*, no value fits a required input; *failed*, all else.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import yaml

sys.path.insert(0, str(Path(__file__).parent.parent))
# A test may import what it wants of the checkout; this is a script beside it.
from scripts.prove_imports_mock import Prism, Tap
from scripts.prove_imports_reader import NotRead, read_back
from scripts.prove_imports_values import Sampler, Unsampled, accepts_nothing
from server.active_run import ActiveRun, RunRequest
from server.app import open_service
from server.importing import store_import
from server.service import Service
from server.settings import Settings
from tools.importers import ImportedSystem, ImportedTool
from tools.importers.openapi import (
    OpenApiOptions,
    import_openapi,
    reader_of_folder,
)
from tools.run import RequestSource, RunOptions

ROOT = Path(__file__).parent.parent
PACKAGES = ("@stoplight/prism-cli@5", "@octokit/openapi", "@readme/oas-examples")
EXAMPLES = "node_modules/@readme/oas-examples"
DOCUMENTS = (
    f"{EXAMPLES}/2.0/json/petstore.json",
    f"{EXAMPLES}/2.0/yaml/petstore-expanded.yaml",
    f"{EXAMPLES}/3.0/json/parameters-style.json",
    f"{EXAMPLES}/3.0/yaml/parameters-cookies.yaml",
    f"{EXAMPLES}/3.0/json/parameters-common.json",
    f"{EXAMPLES}/3.0/json/schema-encoding-style.json",
    f"{EXAMPLES}/3.0/json/file-uploads.json",
    f"{EXAMPLES}/3.0/json/complex-nesting.json",
    f"{EXAMPLES}/3.1/json/parameters-style.json",
    f"{EXAMPLES}/3.0/json/form-data.json",
    f"{EXAMPLES}/3.0/json/polymorphism.json",
    f"{EXAMPLES}/3.0/json/security.json",
    f"{EXAMPLES}/3.0/json/star-trek.json",
    f"{EXAMPLES}/3.0/json/uspto.json",
    f"{EXAMPLES}/3.1/yaml/train-travel.yaml",
    f"{EXAMPLES}/3.1/json/readme.json",
    f"{EXAMPLES}/3.1/json/schema-types.json",
    "node_modules/@octokit/openapi/generated/api.github.com.json",
)


@dataclass
class Row:
    """What became of the calls of one document."""

    name: str
    operations: int = 0
    tools: int = 0
    calls: int = 0
    taken: int = 0
    no_value: int = 0
    not_carried_over: int = 0
    #: Tools of another server than the document's, which the mock is not.
    elsewhere: int = 0
    #: What prism objected to where the second reader read the inputs.
    read_back: list[str] = field(default_factory=list[str])
    failed: list[str] = field(default_factory=list[str])


def main() -> int:
    """Prove the documents given, or all of them; 1 when a call failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("documents", nargs="*", type=Path)
    parser.add_argument("--most", type=int, default=2_000, help="Tools called of each document.")
    parser.add_argument("--folder", type=Path, help="Where the npm packages are, or go.")
    parser.add_argument("--results", type=Path, help="A file for the results, in Markdown.")
    given = parser.parse_args()
    with working_folder(given.folder) as folder:
        install(folder)
        own = sorted((ROOT / "tests" / "openapi").glob("*.*"))
        documents = given.documents or [*(folder / one for one in DOCUMENTS), *own]
        rows: list[Row] = []
        for one in documents:
            rows.append(anyio.run(prove, one.resolve(), folder, given.most))
            print(f"{rows[-1].name}: {len(rows[-1].failed)} of {rows[-1].calls} failed", flush=True)
    text = results_of(rows)
    print(text)
    if given.results is not None:
        given.results.write_text(text, "utf-8")
    return 1 if any(row.failed for row in rows) else 0


def results_of(rows: list[Row]) -> str:
    """The table, and below it what prism objected to and what failed."""
    lines = [
        "# What `scripts/prove_imports` found",
        "",
        *(line.rstrip() for line in (__doc__ or "").splitlines()[2:]),
        "",
        "Each tool is called with its required and with all of its inputs, made up from its input",
        "schema. This file is what `scripts/prove_imports --most 250 --results FILE` wrote. The",
        "reader is `uritemplate` (the specification defines its styles by RFC 6570) and, for what",
        "RFC 6570 has not, `openapi-core`; that no value fits is the finding of `jsonschema-rs`.",
        "",
    ]
    heads = ["operations", "tools", "calls", "taken", "read back", "no value", "failed"]
    heads += ["elsewhere", "notes"]
    lines.append(f"| document | {' | '.join(heads)} |")
    lines.append(f"|---|{'---|' * len(heads)}")
    for row in rows:
        numbers = (
            row.operations,
            row.tools,
            row.calls,
            row.taken,
            len(row.read_back),
            row.no_value,
            len(row.failed),
            row.elsewhere,
            row.not_carried_over,
        )
        lines.append(f"| {row.name} | {' | '.join(f'{number:,}' for number in numbers)} |")
    for title, name in (
        ("What prism objected to in calls that were read back", "read_back"),
        ("What failed", "failed"),
    ):
        reasons = Counter((row.name, one) for row in rows for one in getattr(row, name))
        if reasons:
            lines += ["", f"{title}:", ""]
        for (document, reason), count in sorted(reasons.items()):
            lines.append(f"- {document}: {count} x {reason}")
    return "\n".join(lines) + "\n"


@contextmanager
def working_folder(given: Path | None) -> Iterator[Path]:
    """The folder given, or one that is removed at the end."""
    if given is not None:
        given.mkdir(parents=True, exist_ok=True)
        yield given.resolve()
        return
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def install(folder: Path) -> None:
    """Install prism and the documents, unless they are there."""
    if not (folder / "node_modules" / ".bin" / "prism").exists():
        npm = shutil.which("npm") or "npm"
        subprocess.run(
            [npm, "install", "--silent", "--no-audit", "--no-fund", *PACKAGES],
            cwd=folder,
            check=True,
        )


async def prove(document: Path, folder: Path, most: int) -> Row:
    """Import one document and call its tools."""
    row = Row(f"{document.parent.parent.name}/{document.name}"[-37:])
    content = await anyio.Path(document).read_bytes()
    result = import_openapi(content, OpenApiOptions("upstream"), reader_of_folder(document.parent))
    row.operations, row.tools = len(result.all_keys), len(result.tools)
    row.not_carried_over = len(result.notes.notes)
    is_json = content.lstrip().startswith(b"{")
    parsed = json.loads(content) if is_json else yaml.load(content, _Loader)  # noqa: S506 - a safe loader
    with tempfile.TemporaryDirectory() as home:
        settings = Settings(
            home=Path(home) / "home",
            config_directory=Path(home) / "config",
            proxies={},
            record_exchanges=False,
        )
        async with mock_server(document, folder) as mock, open_service(settings) as service:
            for system in (result.system, *result.further_systems):
                await service.connections.put(system_at(mock.tap.url, system))
            await store_import(service, result, str(document), dry_run=False)
            caller = Caller(service, mock, parsed, row)
            for tool in result.tools[:most]:
                await caller.call_twice(tool)
    return row


class _Loader(yaml.SafeLoader):
    """YAML as JSON has it: a date is a text."""


_Loader.yaml_implicit_resolvers = {
    first: [one for one in resolvers if one[0] != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def system_at(url: str, imported: ImportedSystem) -> dict[str, Any]:
    """A system of the document with the mock's url, and credentials that are made up."""
    definition = imported.definition
    auth = definition.get("auth")
    credentials = dict.fromkeys((*imported.credentials, "token"), "made-up-credential")
    if auth is not None and auth["type"] == "oauth2":
        # The mock has no token endpoint.
        auth = {"type": "bearer", "credential": "token"}
    system = {**definition, "url": url, "credentials": credentials, "allowPrivate": True}
    return {**system, "auth": auth} if auth is not None else system


@dataclass
class Mock:
    """Prism, and the tap that the tools call."""

    prism: Prism
    tap: Tap


@asynccontextmanager
async def mock_server(document: Path, folder: Path) -> AsyncGenerator[Mock]:
    """Prism with a document, up while the block runs."""
    prism = Prism(document, folder)
    tap = Tap(prism)
    try:
        await anyio.to_thread.run_sync(prism.start)
        yield Mock(prism, tap)
    finally:
        tap.stop()
        prism.stop()


@dataclass
class Caller:
    """Calls the tools of one document."""

    service: Service
    mock: Mock
    document: dict[str, Any]
    row: Row

    async def call_twice(self, tool: ImportedTool) -> None:
        """Call a tool with its required inputs, and with all of them."""
        if not tool.definition["steps"][0]["config"]["url"].startswith("/"):
            self.row.elsewhere += 1
            return
        for with_optional in (False, True):
            self.row.calls += 1
            problem = await self._call(tool, with_optional)
            if problem is not None:
                self.row.failed.append(f"{tool.definition['id']}: {problem}")

    async def _call(self, tool: ImportedTool, with_optional: bool) -> str | None:
        """Why a call counts as failed."""
        schema = tool.definition["inputSchema"]
        try:
            inputs = Sampler(schema, with_optional).inputs()
        except Unsampled as error:
            if not accepts_nothing(schema):
                return f"no inputs could be made up: {error}"
            self.row.no_value += 1
            return None
        exchanges = self.mock.tap.exchanges
        exchanges.clear()
        options = RunOptions.model_validate({"timeoutMs": 60_000, "retries": 0})
        request = RunRequest(tool.definition["id"], inputs, RequestSource.API, options)
        run = await self.service.start(request)
        assert isinstance(run, ActiveRun)
        error = (await run.wait()).error or ""
        if any(one.status is None for one in exchanges):
            await anyio.to_thread.run_sync(self.mock.prism.restart_if_gone)
        if not exchanges:
            return error[:300]
        refused = next((one for one in exchanges if not one.is_taken), None)
        if refused is None:
            # What prism makes up may not be what the tool's pages or filters expect.
            if error and "HTTP " not in error and "the next page is at" not in error:
                return f"prism took it, then: {error[:300]}"
            self.row.taken += 1
            return None
        try:
            read_back(self.document, tool, inputs, refused)
        except NotRead as reason:
            return f"prism: {refused.objection}; read back: {reason}"
        self.row.read_back.append(refused.objection)
        return None


if __name__ == "__main__":
    sys.exit(main())
