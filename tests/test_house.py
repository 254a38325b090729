"""The house rules that no other tool checks."""

import ast
import importlib
import pkgutil
import re
from pathlib import Path
from typing import get_args

import pytest

import server
import storage
import tools
from storage.schema import SCHEMA_VERSION
from tools.model import Pagination, RequestConfig, SubToolConfig, TransformConfig
from tools.paginators import build_paginator

ROOT = Path(__file__).parent.parent
PACKAGES = [tools, storage, server]
MODULES = sorted(
    module.name
    for package in PACKAGES
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    # The worker is a program of its own, started with the engine's path.
    if module.name != "tools.scripts.worker"
)


@pytest.mark.parametrize("name", MODULES)
def test_what_a_module_offers_can_be_imported(name: str) -> None:
    module = importlib.import_module(name)
    for offered in getattr(module, "__all__", ()):
        assert hasattr(module, offered), offered


def test_the_newest_migration_is_the_schema_version() -> None:
    migrations = sorted((ROOT / "storage" / "migrations").glob("*.sql"))
    numbers = [int(path.name[:4]) for path in migrations]
    assert numbers == list(range(1, SCHEMA_VERSION + 1))


def test_every_pagination_type_builds_its_paginator() -> None:
    kinds = get_args(Pagination.model_fields["type"].annotation)
    assert len(kinds) > 1
    for kind in kinds:
        pagination = Pagination.model_validate({"type": kind})
        assert (build_paginator(pagination, 10) is None) == (kind == "disabled")


def test_every_paginator_file_is_reached() -> None:
    source = (ROOT / "tools" / "paginators" / "__init__.py").read_text("utf-8")
    files = {path.stem for path in (ROOT / "tools" / "paginators").glob("*.py")} - {"__init__"}
    assert all(f"tools.paginators.{name} " in source for name in files)


def test_every_step_kind_is_run_and_touched() -> None:
    for source in ("tools/steps/__init__.py", "tools/touches.py"):
        text = (ROOT / source).read_text("utf-8")
        for kind in (RequestConfig, TransformConfig, SubToolConfig):
            assert f"case {kind.__name__}" in text, source


def test_only_settings_reads_the_environment() -> None:
    readers = [
        path.relative_to(ROOT).as_posix()
        for package in ("tools", "storage", "server")
        for path in (ROOT / package).rglob("*.py")
        if re.search(r"os\.environ|os\.getenv|getproxies", path.read_text("utf-8"))
    ]
    # The worker's process gets an environment that leaves out what scripts must not see, and a
    # credential may live in a variable that its system names.
    allowed = {
        "server/settings.py",
        "server/credentials.py",
        "tools/scripts/process.py",
        "tools/scripts/worker.py",
    }
    assert set(readers) - allowed <= {"server/commands/hosts.py", "server/commands/doctor.py"}


def test_no_test_sleeps_for_a_guess() -> None:
    sleepers = [
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "tests").rglob("test_*.py")
        if path.name != Path(__file__).name
        and any(map(_sleeps, ast.walk(ast.parse(path.read_text("utf-8")))))
    ]
    assert not sleepers


def _sleeps(node: ast.AST) -> bool:
    """Whether a call sleeps for a time; `sleep(0)` only lets others run."""
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
        return False
    is_yield = [ast.unparse(argument) for argument in node.args] == ["0"]
    return node.func.attr == "sleep" and not is_yield
