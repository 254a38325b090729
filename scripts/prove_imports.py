"""Calls every tool of imported documents against a prism mock of the same document.

Prism validates each request against the document and answers with an example. A call counts as
right when prism took the request; what it refuses is printed with the reason it gave.
"""

import argparse
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import anyio
from hypothesis.errors import HypothesisException, NonInteractiveExampleWarning
from hypothesis.strategies import from_regex

sys.path.insert(0, str(Path(__file__).parent.parent))
# A test may import what it wants of the checkout; this is a script beside it.
from server.active_run import ActiveRun, RunRequest
from server.app import open_service
from server.importing import store_import
from server.service import Service
from server.settings import Settings
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
PRISM_SECONDS = 180.0


@dataclass
class Row:
    """What became of the calls of one document."""

    name: str
    operations: int = 0
    tools: int = 0
    calls: int = 0
    taken: int = 0
    not_carried_over: int = 0
    #: Prism wants another way to sign in than the one that most operations name.
    signed_in_otherwise: int = 0
    #: Calls at which prism itself ended.
    crashes: int = 0
    refused: list[str] = field(default_factory=list[str])


def main() -> int:
    """Prove the documents given, or all of them; 1 when prism refused a request."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("documents", nargs="*", type=Path)
    parser.add_argument("--most", type=int, default=2_000, help="Tools called of each document.")
    parser.add_argument("--folder", type=Path, help="Where the npm packages are, or go.")
    parser.add_argument("--reasons", type=int, default=10, help="Refusals shown of each document.")
    given = parser.parse_args()
    with working_folder(given.folder) as folder:
        install(folder)
        own = sorted((ROOT / "tests" / "openapi").glob("*.*"))
        documents = given.documents or [*(folder / one for one in DOCUMENTS), *own]
        rows = [anyio.run(prove, one.resolve(), folder, given.most) for one in documents]
    heads = ("operations", "tools", "calls", "taken", "other auth", "crashed", "refused", "notes")
    print(f"{'document':38}" + "".join(f"{head:>12}" for head in heads))
    for row in rows:
        numbers = (
            row.operations,
            row.tools,
            row.calls,
            row.taken,
            row.signed_in_otherwise,
            row.crashes,
            len(row.refused),
            row.not_carried_over,
        )
        print(f"{row.name:38}" + "".join(f"{number:>12,}" for number in numbers))
    for row in rows:
        for reason, count in Counter(row.refused).most_common(given.reasons):
            print(f"{row.name}: {count} x {reason}")
    return 1 if any(row.refused for row in rows) else 0


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
    options = OpenApiOptions("upstream")
    content = await anyio.Path(document).read_bytes()
    result = import_openapi(content, options, reader_of_folder(document.parent))
    row.operations, row.tools = len(result.all_keys), len(result.tools)
    row.not_carried_over = len(result.notes.notes)
    with tempfile.TemporaryDirectory() as home:
        settings = Settings(
            home=Path(home) / "home",
            config_directory=Path(home) / "config",
            proxies={},
            record_exchanges=False,
        )
        async with mock_server(document, folder) as mock, open_service(settings) as service:
            await service.connections.put(system_at(mock.url, result.system.definition, result))
            await store_import(service, result, str(document), dry_run=False)
            await call_all(service, row, [tool.definition for tool in result.tools[:most]], mock)
    return row


def system_at(url: str, definition: dict[str, Any], result: Any) -> dict[str, Any]:
    """The system of the document with the mock's url, and credentials that are made up."""
    auth = definition.get("auth")
    credentials = dict.fromkeys((*result.system.credentials, "token"), "made-up-credential")
    if auth is not None and auth["type"] in {"oauth2", "digest"}:
        # The mock has no token endpoint and asks nobody for a digest.
        auth = {"type": "bearer", "credential": "token"}
    system = {**definition, "url": url, "credentials": credentials, "allowPrivate": True}
    return {**system, "auth": auth} if auth is not None else system


@asynccontextmanager
async def mock_server(document: Path, folder: Path) -> AsyncGenerator["Mock"]:
    """Prism with a document, up while the block runs."""
    mock = Mock(document, folder)
    try:
        await anyio.to_thread.run_sync(mock.start)
        yield mock
    finally:
        mock.stop()


class Mock:
    """Prism on a free port of loopback."""

    def __init__(self, document: Path, folder: Path) -> None:
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            self._port = one.getsockname()[1]
        self.url = f"http://127.0.0.1:{self._port}"
        self._command = [str(folder / "node_modules" / ".bin" / "prism"), "mock", "--errors"]
        self._command += ["-h", "127.0.0.1", "-p", str(self._port), str(document)]
        self._process: subprocess.Popen[bytes] | None = None
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `stop`

    def start(self) -> None:
        """Start it and wait until anything answers at the port."""
        self._process = subprocess.Popen(
            self._command,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            env={**os.environ, "NODE_OPTIONS": "--max-old-space-size=1024"},
        )
        ends = time.monotonic() + PRISM_SECONDS
        while time.monotonic() < ends and self._process.poll() is None:
            try:
                with urlopen(self.url, timeout=2):  # noqa: S310 - an address of loopback
                    return
            except OSError as error:
                if hasattr(error, "code"):
                    return
                time.sleep(0.2)
        self._log.seek(0)
        raise SystemExit(f"prism does not answer: {self._log.read()[-2000:]!r}")

    def is_gone(self) -> bool:
        """Whether the process has ended; one that ends gets a moment."""
        if self._process is not None:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=1)
        return self._process is None or self._process.returncode is not None

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
        self._log.close()


async def call_all(
    service: Service, row: Row, definitions: list[dict[str, Any]], mock: Mock
) -> None:
    """Call each tool with its required inputs, and with all of them."""

    async def call(definition: dict[str, Any], with_optional: bool) -> None:
        schema = definition["inputSchema"]
        try:
            inputs = Sampler(schema, with_optional).inputs()
        except Unsampled as error:
            row.refused.append(f"no inputs could be made up: {error}")
            return
        options = RunOptions.model_validate({"timeoutMs": 30_000, "retries": 0})
        run = await service.start(RunRequest(definition["id"], inputs, RequestSource.API, options))
        assert isinstance(run, ActiveRun)
        outcome = await run.wait()
        if outcome.error is not None and "connect" in outcome.error and mock.is_gone():
            # It fell over the document, not over the request: a request by hand does the same.
            row.crashes += 1
            await anyio.to_thread.run_sync(mock.start)
            return
        row.calls += 1
        error = outcome.error or ""
        if is_taken(error):
            row.taken += 1
        elif "errors#UNAUTHORIZED" in error:
            row.signed_in_otherwise += 1
        else:
            row.refused.append(f"{definition['id']}: {shortened(error)}")

    for definition in definitions:
        config = definition["steps"][0]["config"]
        if config["url"].startswith("/"):
            for with_optional in (False, True):
                await call(definition, with_optional)


def is_taken(error: str) -> bool:
    """Whether prism took the request, whatever it answered.

    Examples of a document may break its own schemas, be missing, or link to the real API.
    """
    if "stoplight.io/prism/errors#" not in error:
        return error == "" or "HTTP " in error or "the next page is at" in error
    places = re.findall(r'"location":\["(\w+)"', error)
    only_answer = bool(places) and set(places) == {"response"}
    return "NO_RESPONSE" in error or "NO_COMPLEX_OBJECT" in error or only_answer


def shortened(error: str) -> str:
    """The reasons in prism's answer."""
    reasons = re.findall(r'"(?:message|location)":\s*(".*?"|\[.*?\])', error)
    return f"{error[:110]} {' '.join(reasons)}"[:300]


class Unsampled(Exception):  # noqa: N818 - it says what a sample is missing for
    """No value could be made up for a schema."""


class Sampler:
    """Makes up inputs that a schema accepts."""

    def __init__(self, schema: dict[str, Any], with_optional: bool) -> None:
        self._definitions = schema.get("$defs", {})
        self._schema = schema
        self._with_optional = with_optional

    def inputs(self) -> dict[str, Any]:
        """Values of the inputs."""
        return self._object(self._schema, 0)

    def _value(self, schema: Any, depth: int) -> Any:
        if not isinstance(schema, dict):
            return "text"
        if depth > 12:
            raise Unsampled("too deep")
        if "$ref" in schema:
            target = self._definitions[schema["$ref"].removeprefix("#/$defs/")]
            return self._value(target, depth + 1)
        for key in ("examples", "enum"):
            if schema.get(key) and not (key == "examples" and "pattern" in schema):
                return next((one for one in schema[key] if one is not None), None)
        for key in ("const", "default"):
            if key in schema:
                return schema[key]
        if "allOf" in schema:
            return self._merged(schema, depth)
        if "anyOf" in schema and not schema.get("properties"):
            rest = {key: value for key, value in schema.items() if key != "anyOf"}
            parts = [one for one in schema["anyOf"] if one != {"type": "null"}]
            return self._value({**rest, **self._resolved(parts[0])}, depth + 1)
        kinds = schema.get("type", "object" if "properties" in schema else "string")
        kind = (
            next((one for one in kinds if one != "null"), "null")
            if isinstance(kinds, list)
            else kinds
        )
        match kind:
            case "object":
                return self._object(schema, depth)
            case "array":
                return self._array(schema, depth)
            case "integer" | "number":
                return self._number(schema)
            case "boolean":
                return True
            case "null":
                return None
            case _:
                return self._text(schema)

    def _resolved(self, schema: Any) -> dict[str, Any]:
        while isinstance(schema, dict) and "$ref" in schema:
            schema = self._definitions[schema["$ref"].removeprefix("#/$defs/")]
        return schema if isinstance(schema, dict) else {}

    def _merged(self, schema: dict[str, Any], depth: int) -> Any:
        merged: dict[str, Any] = {key: one for key, one in schema.items() if key != "allOf"}
        for part in map(self._resolved, schema["allOf"]):
            for key, one in part.items():
                if key in {"properties", "required", "allOf"} and key in merged:
                    merged[key] = (
                        {**merged[key], **one} if isinstance(one, dict) else [*merged[key], *one]
                    )
                else:
                    merged.setdefault(key, one)
        return self._value(merged, depth + 1)

    def _object(self, schema: dict[str, Any], depth: int) -> dict[str, Any]:
        required = set(schema.get("required", ()))
        properties = schema.get("properties", {})
        value: dict[str, Any] = {}
        for name, one in properties.items():
            is_only_one = not value and not required and depth > 0
            if name in required or is_only_one or (self._with_optional and depth < 3):
                try:
                    value[name] = self._value(one, depth + 1)
                except Unsampled:
                    if name in required:
                        raise
        additional = schema.get("additionalProperties")
        if not value and isinstance(additional, dict):
            value["key"] = self._value(additional, depth + 1)
        return value

    def _array(self, schema: dict[str, Any], depth: int) -> list[Any]:
        one = self._value(schema.get("items", {"type": "string"}), depth + 1)
        # Two, where two are allowed: many parsers take one for no list at all.
        count = 1 if schema.get("uniqueItems") else 2
        return [one] * min(max(count, schema.get("minItems", 1)), schema.get("maxItems", 1_000))

    def _number(self, schema: dict[str, Any]) -> Any:
        if "multipleOf" in schema:
            return schema["multipleOf"]
        if "minimum" in schema:
            return schema["minimum"]
        if "exclusiveMinimum" in schema:
            return schema["exclusiveMinimum"] + 1
        return min(1, schema.get("maximum", 1))

    def _text(self, schema: dict[str, Any]) -> str:
        if pattern := schema.get("pattern"):
            return self._matching(pattern, schema)
        known = {
            "date": "2026-01-31",
            "date-time": "2026-01-31T12:00:00Z",
            "time": "12:00:00Z",
            "uuid": "123e4567-e89b-42d3-a456-426614174000",
            "uri": "https://example.com/a",
            "uri-reference": "/a",
            "email": "a@example.com",
            "ipv4": "192.0.2.1",
            "ipv6": "2001:db8::1",
            "hostname": "example.com",
            "duration": "P1D",
            "byte": "dGV4dA==",
        }
        text = known.get(schema.get("format", ""), "text")
        if len(text) < schema.get("minLength", 0):
            text = text.ljust(schema["minLength"], "x")
        return text[: schema.get("maxLength", len(text))]

    def _matching(self, pattern: str, schema: dict[str, Any]) -> str:
        return matching(pattern, schema.get("minLength", 0), schema.get("maxLength", 1_000))


@cache
def matching(pattern: str, shortest: int, longest: int) -> str:
    """A text that a pattern matches, and that can stand in a path."""
    import warnings

    def is_usable(text: str) -> bool:
        fits = shortest <= len(text) <= longest and text.isprintable()
        return fits and text == text.strip() and text not in {"", ".", ".."}

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NonInteractiveExampleWarning)
            return from_regex(re.compile(pattern, re.ASCII)).filter(is_usable).example()
    except (HypothesisException, re.error) as error:
        raise Unsampled(f"pattern {pattern}: {error}") from None


if __name__ == "__main__":
    sys.exit(main())
