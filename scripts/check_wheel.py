"""Build the wheel, look at what is in it, install it elsewhere and start it from there."""

import os
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("server", "tools", "storage")
#: Files beside Python that the program reads.
DATA_SUFFIXES = (".sql", ".js", ".md")


def run(*command: str | Path, cwd: Path | None = None) -> str:
    """What a command prints; ends this program when it fails."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))} failed:\n{done.stdout}{done.stderr}")
    return done.stdout.strip()


def expected_files() -> set[str]:
    """Every file of the packages that belongs into the wheel."""
    return {
        file.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for file in (ROOT / package).rglob("*")
        if file.is_file() and file.suffix in {".py", *DATA_SUFFIXES}
    }


def problems_of(wheel: Path) -> Iterator[str]:
    """What is missing from the wheel, and what should not be there."""
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if not name.endswith("/")}
    content = {name for name in names if not re.match(r"callslip-[^/]+\.dist-info/", name)}
    expected = expected_files()
    for package, suffix in (("storage", ".sql"), ("tools", ".js"), ("server", ".py")):
        if not any(name.startswith(f"{package}/") and name.endswith(suffix) for name in content):
            yield f"no {suffix} file of {package}/ is inside"
    for name in sorted(expected - content):
        yield f"{name} is missing"
    for name in sorted(content - expected):
        yield f"{name} should not be inside"


def main() -> None:
    """Exit code 1 with every problem, one a line."""
    with tempfile.TemporaryDirectory(prefix="callslip-wheel-") as folder:
        elsewhere = Path(folder)
        run(sys.executable, "-m", "build", "--wheel", "--outdir", elsewhere / "dist", ROOT)
        wheel = next((elsewhere / "dist").glob("*.whl"))
        if problems := list(problems_of(wheel)):
            sys.exit(f"{wheel.name}:\n  " + "\n  ".join(problems))
        run(sys.executable, "-m", "venv", elsewhere / "venv")
        programs = elsewhere / "venv" / ("Scripts" if sys.platform == "win32" else "bin")
        run(programs / "python", "-m", "pip", "install", "--quiet", wheel)
        # A folder named like one of the packages must not matter to the command.
        (elsewhere / "work" / "tools").mkdir(parents=True)
        version = run(programs / "callslip", "--version", cwd=elsewhere / "work")
        print(f"{wheel.name}: {len(expected_files())} files; installed elsewhere: {version}")


if __name__ == "__main__":
    main()
