"""`callslip test`: frozen runs, offline; one line each, and what differs."""

import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated
from xml.etree import ElementTree

import anyio
import typer

from server.commands.output import FAILED, USAGE, fail, note, print_json
from server.commands.runner import read_settings, unwrapped
from server.frozen_runs import FreezeError, FrozenResult, FrozenRun, find_frozen_runs
from server.settings import Settings
from tools.abridging import abridged
from tools.context import Engines
from tools.http import HttpClient
from tools.json_diff import MISSING, Change
from tools.json_text import JsonObject, encode_json_text
from tools.scripts import ScriptEngine

_AT_ONCE = 4
_SHOWN_VALUE_CHARACTERS = 160
#: What XML 1.0 cannot hold, even escaped.
_NOT_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True)
class _Tested:
    name: str
    run: FrozenRun
    result: FrozenResult
    seconds: float

    def wire(self) -> JsonObject:
        difference = self.result.difference
        view: JsonObject = {
            "name": self.name,
            "toolId": self.run.tool_id,
            "passed": self.result.has_passed,
            "problems": list(self.result.problems),
        }
        if self.result.is_refused:
            view["refused"] = True
        if difference is not None:
            view["difference"] = difference.wire()
        return view

    @property
    def word(self) -> str:
        if self.result.is_refused:
            return "ERROR"
        return "ok" if self.result.has_passed else "FAILED"

    def lines(self) -> list[str]:
        """What is not as expected, for people."""
        return [*self.result.problems, *map(_change_line, self.result.changes())]


def run_frozen(
    directory: Annotated[
        Path, typer.Argument(metavar="DIR", help="A frozen run, or a folder that holds some.")
    ],
    junit: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a JUnit report for a CI system.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on stdout.")] = False,
) -> None:
    """Run frozen runs without network or home; exit 1 when one comes out differently.

    A definition that could not be stored is not run: exit 2.
    """
    try:
        runs = [FrozenRun(found) for found in find_frozen_runs(directory)]
        settings = read_settings()
        tested = unwrapped(lambda: anyio.run(_test_all, runs, directory, settings))
    except FreezeError as error:
        fail(str(error), USAGE)
    if junit is not None:
        _write_junit(junit, tested)
    failed = [one for one in tested if not one.result.has_passed]
    if as_json:
        print_json({"runs": [one.wire() for one in tested], "failed": len(failed)})
    else:
        for one in tested:
            typer.echo(f"{one.word:6} {one.name}")
            for line in one.lines():
                typer.echo(f"       {line}")
    note(f"{len(tested) - len(failed)} of {len(tested)} frozen runs came out as expected")
    if any(one.result.is_refused for one in failed):
        raise typer.Exit(USAGE)
    if failed:
        raise typer.Exit(FAILED)


async def _test_all(runs: list[FrozenRun], root: Path, settings: Settings) -> list[_Tested]:
    tested: dict[int, _Tested] = {}
    places = anyio.CapacityLimiter(_AT_ONCE)
    async with (
        # An owner of no connection: a replay never sends.
        HttpClient(user_agent="callslip") as http,
        ScriptEngine(workers=settings.script_workers) as scripts,
    ):
        engines = Engines(http, scripts, record_exchanges=False)

        async def test_one(position: int, run: FrozenRun) -> None:
            async with places:
                started = time.perf_counter()
                result = await run.test(engines)
                seconds = time.perf_counter() - started
            tested[position] = _Tested(_name_of(run, root), run, result, seconds)

        async with anyio.create_task_group() as group:
            for position, run in enumerate(runs):
                group.start_soon(test_one, position, run)
    return [tested[position] for position in range(len(runs))]


def _name_of(run: FrozenRun, root: Path) -> str:
    relative = run.directory.relative_to(root)
    return relative.as_posix() if relative.parts else run.directory.resolve().name


def _change_line(change: Change) -> str:
    sides: list[str] = []
    for word, value in (("expected", change.before), ("it is", change.after)):
        if value is not MISSING:
            sides.append(f"{word} {encode_json_text(abridged(value, _SHOWN_VALUE_CHARACTERS))}")
    return f"{change.path} {change.kind}: {', '.join(sides)}"


def _write_junit(file: Path, tested: list[_Tested]) -> None:
    errors = sum(one.result.is_refused for one in tested)
    failures = sum(not one.result.has_passed for one in tested) - errors
    counts = {
        "name": "callslip",
        "tests": str(len(tested)),
        "failures": str(failures),
        "errors": str(errors),
        "time": f"{sum(one.seconds for one in tested):.3f}",
    }
    root = ElementTree.Element("testsuites", counts)
    suite = ElementTree.SubElement(root, "testsuite", {**counts, "skipped": "0"})
    for one in tested:
        case = ElementTree.SubElement(
            suite,
            "testcase",
            {
                "classname": _NOT_XML.sub("?", one.run.tool_id),
                "name": _NOT_XML.sub("?", one.name),
                "time": f"{one.seconds:.3f}",
            },
        )
        if not one.result.has_passed:
            message = _NOT_XML.sub("?", one.result.problems[0])
            kind = "definition" if one.result.is_refused else "difference"
            failure = ElementTree.SubElement(
                case,
                "error" if one.result.is_refused else "failure",
                {"message": message, "type": kind},
            )
            failure.text = _NOT_XML.sub("?", "\n".join(one.lines()))
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        ElementTree.ElementTree(root).write(file, encoding="utf-8", xml_declaration=True)
    except OSError as error:
        fail(f"{file} cannot be written: {error.strerror}", USAGE)
