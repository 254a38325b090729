"""Homes that can only be read, also for root."""

import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

#: What lets root write where nobody may: CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH.
_OVERRIDING = (1, 2)
_PR_CAPBSET_DROP = 24
_BIND = f"""
import ctypes, os, sys

if hasattr(os, "geteuid") and os.geteuid() == 0:
    for capability in {_OVERRIDING}:
        ctypes.CDLL(None).prctl({_PR_CAPBSET_DROP}, capability, 0, 0, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""


def bound(*command: str) -> tuple[str, ...]:
    """A command as one that file permissions bind; skips the test where nothing can make them."""
    if not _can_bind():
        pytest.skip("file permissions bind no process here")
    return _bound(*command)


@contextmanager
def only_readable(home: Path) -> Generator[None]:
    """Nobody may write in the home, below it, or into its files."""
    modes = {path: path.stat().st_mode for path in (home, *home.rglob("*"))}
    for path, mode in modes.items():
        path.chmod(mode & ~0o222)
    try:
        yield
    finally:
        for path, mode in modes.items():
            if path.exists():
                path.chmod(mode)


def content_of(home: Path) -> dict[str, tuple[int, bytes]]:
    """Every file of a home, with the time of its last change."""
    return {
        str(path.relative_to(home)): (path.stat().st_mtime_ns, path.read_bytes())
        for path in home.rglob("*")
        if path.is_file()
    }


def _bound(*command: str) -> tuple[str, ...]:
    return (sys.executable, "-c", _BIND, *command)


@cache
def _can_bind() -> bool:
    if sys.platform == "win32":
        return False
    look = "import os, sys; sys.exit(os.access(sys.argv[1], os.W_OK))"
    with TemporaryDirectory() as name:
        folder = Path(name) / "folder"
        folder.mkdir()
        with only_readable(folder):
            command = _bound(sys.executable, "-c", look, str(folder))
            return subprocess.run(command, check=False).returncode == 0
