"""The demo: real data behind a real API, stored tools over it, called by a real MCP client.

`scripts/demo` prepares the environments and starts this: `demo.py DATASETTE_VENV_BIN`.
"""

import io
import itertools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn, cast

import anyio
from mcp import Client, StdioServerParameters
from mcp.types import CallToolResult, Implementation, TextContent, TextResourceContents

ROOT = Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "examples" / "datasette"
PORT = 8001
READY_SECONDS = 60.0
WIDTH = 118
MODERN = "2026-07-28"

_numbers = itertools.count(1)


class DemoError(Exception):
    """The demo cannot go on; the message says why and what to do."""


def heading(text: str) -> None:
    """A numbered part of the story."""
    print(f"\n{next(_numbers)}. {text}")


def say(text: str) -> None:
    """A line of the story, cut where it would be too wide."""
    line = f"   {text}"
    print(line if len(line) <= WIDTH else f"{line[: WIDTH - 1]}…")


def compact(value: Any) -> str:
    """A value as JSON on one line."""
    return json.dumps(value, ensure_ascii=False)


def free_port() -> int:
    """8001, which the examples name, or another one when it is taken."""
    for port in (PORT, 0):
        with socket.socket() as probe:
            if sys.platform != "win32":
                # Connections of an earlier demo may still be closing.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return probe.getsockname()[1]
    raise DemoError("no port of 127.0.0.1 is free")


@contextmanager
def datasette(program: Path, database: Path, port: int) -> Generator[str]:
    """A Datasette server over `database`, ready to answer; its version."""
    log = database.with_suffix(".log")
    with log.open("wb") as output:
        server = subprocess.Popen(
            [program, "serve", "--immutable", database, "--host", "127.0.0.1", "--port", str(port)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        yield wait_until_ready(server, f"http://127.0.0.1:{port}/-/versions.json", log)
    finally:
        server.terminate()
        try:
            server.wait(timeout=5)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def wait_until_ready(server: subprocess.Popen[bytes], url: str, log: Path) -> str:
    """Ask until the server answers; what version it says it is."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    give_up_at = time.monotonic() + READY_SECONDS
    while time.monotonic() < give_up_at:
        if server.poll() is not None:
            raise DemoError(f"Datasette ended: {log.read_text('utf-8', 'replace').strip()}")
        try:
            with opener.open(url, timeout=5) as answer:
                return json.load(answer)["datasette"]["version"]
        except (urllib.error.URLError, OSError):
            time.sleep(0.05)
    raise DemoError(f"Datasette did not answer at {url} within {READY_SECONDS:g} s")


def environment_with(home: Path) -> dict[str, str]:
    """The environment of callslip in the demo: a home of its own, no settings of the user."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("CALLSLIP_")}
    exempt = ",".join(filter(None, (own.get("NO_PROXY", own.get("no_proxy", "")), "127.0.0.1")))
    return {**own, "CALLSLIP_HOME": str(home), "NO_PROXY": exempt, "no_proxy": exempt}


def callslip_program() -> str:
    """The `callslip` command beside the Python that runs this."""
    found = shutil.which("callslip", path=str(Path(sys.executable).parent))
    if found is None:
        raise DemoError(f"callslip is not installed for {sys.executable}; run scripts/demo")
    return found


def copy_examples(folder: Path, port: int) -> Path:
    """The example tools, for the port that Datasette has."""
    folder.mkdir()
    for file in sorted(EXAMPLES.glob("*.json")):
        text = file.read_text("utf-8").replace(f"127.0.0.1:{PORT}", f"127.0.0.1:{port}")
        (folder / file.name).write_text(text, "utf-8")
    return folder


def store_tools(folder: Path, environment: dict[str, str]) -> None:
    """Hand the examples to `callslip tools add`."""
    done = subprocess.run(
        [callslip_program(), "tools", "add", str(folder)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise DemoError(f"`callslip tools add` ended with {done.returncode}:\n{done.stderr}")
    for line in done.stdout.splitlines():
        say(line)


def connect(mode: str, environment: dict[str, str]) -> Client:
    """The SDK's client over stdio: it spawns `callslip serve` as a host does."""
    server = StdioServerParameters(command=callslip_program(), args=["serve"], env=environment)
    return Client(server, mode=mode, client_info=Implementation(name="demo", version="1"))


async def call(client: Client, name: str, arguments: dict[str, Any]) -> CallToolResult:
    """Call a tool and print what it was asked; progress is counted."""
    messages: list[str] = []

    async def progressed(progress: float, total: float | None, message: str | None) -> None:
        messages.append(message or "")

    started = time.monotonic()
    result = await client.call_tool(name, arguments, progress_callback=progressed)
    took = (time.monotonic() - started) * 1000
    notes = f", progress notes: {len(messages)}" if messages else ""
    say(f"{name} {compact(arguments)}  ({took:.0f} ms{notes})")
    return result


def text_of(result: CallToolResult) -> str:
    """The first text of an answer."""
    return next((one.text for one in result.content if isinstance(one, TextContent)), "")


def structured_of(result: CallToolResult) -> dict[str, Any]:
    """The structured content of an answer."""
    return result.structured_content or {}


def rows_of(result: CallToolResult) -> list[Any]:
    """The rows of an answer that is a list."""
    return structured_of(result).get("result", [])


def show_answer(result: CallToolResult, *, lines: int = 1) -> None:
    """What came back: rows, an object, or an error."""
    if result.is_error:
        for line in text_of(result).splitlines():
            say(f"  !! {line}")
        return
    rows = rows_of(result)
    if not rows:
        say(f"  -> {text_of(result)}")
        return
    for row in rows[:lines]:
        say(f"  -> {compact(row)}")
    if len(rows) > lines:
        say(f"     … {len(rows)} rows in all")


async def read(client: Client, uri: str) -> Any:
    """Read a resource as JSON."""
    contents = (await client.read_resource(uri)).contents[0]
    if not isinstance(contents, TextResourceContents):
        raise DemoError(f"{uri} gave no text")
    return json.loads(contents.text)


async def in_the_handshake_era(environment: dict[str, str]) -> str:
    """Call tools as today's hosts do; the id of the run whose result was large."""
    async with connect("legacy", environment) as client:
        heading(
            f"An MCP client connects over stdio (handshake, protocol {client.protocol_version})"
        )
        listed = (await client.list_tools()).tools
        stored = [tool for tool in listed if (tool.meta or {}).get("callslip/toolId")]
        say(f"{len(stored)} stored tools, and {len(listed) - len(stored)} of callslip's own:")
        for tool in stored:
            read_only = tool.annotations is not None and tool.annotations.read_only_hint
            say(
                f"  {tool.name}({', '.join(tool.input_schema.get('properties', {}))})"
                f"{'  read-only' if read_only else ''}"
            )

        heading("It calls them: page by cursor, loop over rows, reshape, keep to an outputSchema")
        show_answer(await call(client, "airports_in_state", {"state": "TX"}), lines=2)
        show_answer(await call(client, "states_with_most_airports", {"count": 3}), lines=3)
        show_answer(await call(client, "seattle_weather_by_month", {"year": 2014}))

        heading("A large result comes back as a preview, and is read in parts")
        large = await call(client, "airports_in_state", {})
        handle = structured_of(large)["callslip"]
        preview = handle["preview"]
        say(
            f"  -> {preview['bytes']:,} bytes, counts {compact(preview['counts'])}, "
            f"shape {compact(preview['shape'])}"
        )
        run_id = handle["runId"]
        reading = {"path": "$[?@.city == 'Seattle'].name"}
        part = await call(client, "read_result", {"runId": run_id, **reading})
        say(f"  -> {compact(structured_of(part)['value'])}")

        heading("Calls that cannot work say what to do")
        show_answer(await call(client, "airport", {"code": "ZZZ"}))
        show_answer(await call(client, "airport", {"code": "Seattle"}))
    return run_id


async def in_the_stateless_era(environment: dict[str, str], large_run_id: str) -> None:
    """Call once more and read the history as resources, in a new process."""
    async with connect(MODERN, environment) as client:
        heading(f"Another client, protocol {client.protocol_version}: a tool that calls a tool")
        result = await call(client, "airport_distance", {"from": "SEA", "to": "JFK"})
        show_answer(result)
        run_id = (result.meta or {})["callslip/runId"]

        heading("The history, read as MCP resources: also the runs of the first client")
        page = await read(client, "callslip://runs?limit=100")
        say(f"callslip://runs -> {page['total']} runs")
        for run in page["data"]:
            failed = f"  {run['error'].splitlines()[0]}" if "error" in run else ""
            say(
                f"  {run['status']:8}{run['toolId']:27}{run['requestSource']:11}"
                f"{run['metadata'].get('durationMs', 0):>5} ms{failed}"
            )
        run = await read(client, f"callslip://runs/{run_id}")
        say(f"callslip://runs/{run_id}")
        say(
            f"  inputs {compact(run['toolPayload'])}, tool version {run['tool']['version']}, "
            f"client {run['clientInfo']['name']}, steps "
            f"{', '.join(step['stepId'] for step in run['stepResults'])}"
        )
        run = await read(client, f"callslip://runs/{large_run_id}")
        requests = run["stepResults"][0]["requests"]
        say(f"callslip://runs/{large_run_id}: {len(requests)} requests were sent, the last one")
        say(f"  {requests[-1]['method']} {requests[-1]['url']} -> {requests[-1]['status']}")
        rows = await read(client, f"callslip://runs/{large_run_id}/results?offset=3375&limit=1")
        say(f"callslip://runs/…/results?offset=3375&limit=1 -> {compact(rows)}")


def tell(folder: Path, programs: Path) -> None:
    """The whole story; everything it makes lies in `folder`."""
    started = time.monotonic()
    port = free_port()
    database = folder / "vega.db"
    heading("A real API over real data")
    made = subprocess.run(
        [programs / "python", str(ROOT / "scripts" / "demo_data.py"), str(database)],
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode != 0:
        raise DemoError(f"the data could not be written:\n{made.stderr}")
    say(f"SQLite file from vega_datasets: {made.stdout.strip()}")
    with datasette(programs / "datasette", database, port) as version:
        say(f"Datasette {version} serves it at http://127.0.0.1:{port}")
        if port != PORT:
            say(f"(port {PORT}, which the examples name, is taken: their copies get {port})")
        environment = environment_with(folder / "home")
        heading(f"callslip tools add {EXAMPLES.relative_to(ROOT)}")
        store_tools(copy_examples(folder / "tools", port), environment)
        large_run_id = anyio.run(in_the_handshake_era, environment)
        anyio.run(in_the_stateless_era, environment, large_run_id)
    print(
        f"\nDone in {time.monotonic() - started:.0f} s. Servers are stopped; the demo's home is "
        "removed.\nNext: callslip install claude-desktop | cursor | vscode | claude-code"
    )


def stop(_number: int, _frame: FrameType | None) -> NoReturn:
    """End by signal as by an exception, so that everything is cleaned up."""
    raise SystemExit(130)


def main() -> None:
    """Run the demo; exit code 1 when it cannot go on."""
    signal.signal(signal.SIGTERM, stop)
    # A pipe or a console may have a narrow encoding; a place name must not end the demo.
    cast("io.TextIOWrapper", sys.stdout).reconfigure(errors="replace", line_buffering=True)
    try:
        with tempfile.TemporaryDirectory(prefix="callslip-demo-") as folder:
            tell(Path(folder), Path(sys.argv[1]))
    except DemoError as error:
        sys.exit(f"demo: {error}")
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
