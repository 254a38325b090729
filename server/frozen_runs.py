"""A recorded run as a folder of readable files, and the test that it is.

A frozen run holds all that its replay needs: the tool and the tools it calls, the inputs, the
systems without secrets, each request with its answer, and how it ended. Running it needs no home,
sends nothing and records nothing.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import anyio
from pydantic import ValidationError

from server.credentials import redactor_for, system_ids_of
from server.reading import ReadingError, without
from server.reruns import (
    marked_places,
    recorded_exchange,
    recorded_request_documents,
    run_time_marks,
)
from server.run_facts import object_in
from server.service import Service
from storage.run_record import StoredRun
from tools.carriers import Carriers
from tools.check import CheckedTool, check_definition
from tools.context import ChildRun, Engines, RunContext, RunEvent
from tools.errors import ErrorKind, RunError
from tools.execution import Execution
from tools.json_diff import Change, Difference, json_diff
from tools.json_text import Json, JsonObject, decode_json
from tools.prepared import PreparedTool
from tools.redaction import Redactor
from tools.replay import (
    RecordedExchange,
    Recording,
    ReplayClient,
    credential_mark,
    marked_system,
)
from tools.run import RunOptions, RunOutcome, RunStatus
from tools.system import System

__all__ = ["FreezeError", "FrozenResult", "FrozenRun", "find_frozen_runs", "freeze_run"]

_FORMAT = 1
_MARKER = "frozen-run.json"
_TOOL = "tool.json"
_SUB_TOOLS = "sub-tools.json"
_SYSTEMS = "systems.json"
_INPUTS = "inputs.json"
_EXCHANGES = "exchanges.json"
_EXPECTED = "expected.json"
#: The id of every called tool's run, none of which is recorded.
_CHILD_RUN = "frozen"


class FreezeError(Exception):
    """The run cannot be frozen, or the folder is no frozen run; the message says why."""


async def freeze_run(service: Service, run_id: str, directory: Path) -> JsonObject:
    """Write a run into a folder: `{runId, directory, files, exchanges}`.

    Raises `FreezeError`, `server.reruns.RerunError`, `UnknownRunError`, `StorageError`.
    """
    run = await service.get_run(run_id, with_large=True)
    if run.status is RunStatus.RUNNING:
        raise FreezeError(f"run {run_id} is still running")
    if run.tool is None or run.inputs is None or run.damage is not None:
        raise FreezeError(f"the record of run {run_id} is damaged: {run.damage}")
    if run.status is RunStatus.ABORTED:
        raise FreezeError(f"run {run_id} was aborted; freeze one that came to its end")
    if places := list(marked_places(run.inputs)):
        raise FreezeError(f"the inputs of run {run_id} held a secret: {', '.join(places)}")
    children = {child.run_id: child for child in await service.recorded_runs(run)}
    exchanges = list(recorded_request_documents(run, children))
    _refuse_incomplete(run, exchanges)
    files: dict[str, Json] = {
        _MARKER: {
            "format": _FORMAT,
            "runId": run.run_id,
            "toolId": run.tool_id,
            "options": run.options or {},
        },
        _TOOL: run.tool,
        _INPUTS: run.inputs,
        _EXCHANGES: [_readable(request) for request in exchanges],
        _EXPECTED: _expected_of(run),
    }
    if run.sub_tools:
        files[_SUB_TOOLS] = run.sub_tools
    if systems := await _systems_of(service, run):
        files[_SYSTEMS] = systems
    await anyio.to_thread.run_sync(_write, directory, files)
    return {
        "runId": run_id,
        "directory": str(directory),
        "files": sorted(files),
        "exchanges": len(exchanges),
    }


def _refuse_incomplete(run: StoredRun, exchanges: list[JsonObject]) -> None:
    if (run.options or {}).get("execution") == "dry":
        raise FreezeError(f"run {run.run_id} was dry: it sent nothing, so there is no answer")
    if taken := [step for step in run.steps if "takenFrom" in step]:
        raise FreezeError(
            f"run {run.run_id} took step {taken[0]['stepId']} from run {taken[0]['takenFrom']}; "
            "freeze a run that executed all of its steps"
        )
    for request in exchanges:
        recorded = recorded_exchange(request)
        problem = recorded.problem
        if problem is None and recorded.altered:
            problem = (
                "the response filters of the tool changed its answer in the record, "
                "and the steps had the whole of it"
            )
        if problem is not None:
            raise FreezeError(
                f"run {run.run_id} cannot be replayed: "
                f"{request.get('method')} {request.get('url')}: {problem}"
            )


def _readable(request: JsonObject) -> JsonObject:
    """A request without what differs from run to run."""
    kept = ("method", "url", "status", "error", "errorDetail", "exchange")
    return {name: request[name] for name in kept if name in request}


def _expected_of(run: StoredRun) -> JsonObject:
    expected: JsonObject = {"status": str(run.status)}
    if run.status is RunStatus.SUCCESS:
        expected["data"] = run.data
    else:
        expected["error"] = run.error
        expected["errorKind"] = (run.error_detail or {}).get("kind")
    expected["ignore"] = []
    return expected


async def _systems_of(service: Service, run: StoredRun) -> list[JsonObject]:
    options = _options_of(run.options or {})
    systems: dict[str, System] = {}
    for definition in (run.tool, *(run.sub_tools or {}).values()):
        tool = PreparedTool.of(cast("JsonObject", definition)).tool
        loaded = await service.connections.load_for(tool, options.mode, {}, marks_only=True)
        lacking = [one for one in system_ids_of(tool) if one not in loaded.systems]
        if lacking:
            raise FreezeError(
                f"system {lacking[0]} of tool {tool.id} is not stored any more; "
                "a replay needs its address and its names"
            )
        systems |= loaded.systems
    return [_system_wire(system) for system in systems.values()]


def _system_wire(system: System) -> JsonObject:
    # TLS files are paths of this machine, and nothing is connected to.
    wire = system.model_dump(
        mode="json", by_alias=True, exclude_none=True, exclude={"credentials", "tls", "rate_limit"}
    )
    return {**wire, "credentialNames": sorted(system.credentials)}


def _write(directory: Path, files: Mapping[str, Json]) -> None:
    import json

    try:
        directory.mkdir(parents=True, exist_ok=True)
        if any(directory.iterdir()):
            raise FreezeError(f"{directory} is not empty; name a folder that is not there yet")
        for name, value in files.items():
            text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
            (directory / name).write_bytes(text.encode("utf-8", "surrogatepass"))
    except OSError as error:
        raise FreezeError(f"{directory} cannot be written: {error.strerror}") from None


def find_frozen_runs(directory: Path) -> list[Path]:
    """The folder itself when it is a frozen run, else all below it. Raises `FreezeError`."""
    if (directory / _MARKER).is_file():
        return [directory]
    found = sorted(marker.parent for marker in directory.rglob(_MARKER))
    if not found:
        raise FreezeError(
            f"{directory} holds no frozen run (no {_MARKER}); "
            "callslip runs freeze RUN DIR makes one"
        )
    return found


@dataclass(frozen=True)
class FrozenResult:
    """How a frozen run came out; `problems` say what is not as expected."""

    problems: tuple[str, ...]
    #: What differs in the data.
    difference: Difference | None = None
    #: Whether a definition is none that can be stored: nothing was run.
    is_refused: bool = False

    @property
    def has_passed(self) -> bool:
        return not self.problems

    def changes(self) -> tuple[Change, ...]:
        return () if self.difference is None else self.difference.changes


class FrozenRun:
    """A frozen run, read from its folder."""

    def __init__(self, directory: Path) -> None:
        """Raises `FreezeError` when a file is not there, or not what it has to be."""
        self.directory = directory
        marker = _read_object(directory, _MARKER)
        if marker.get("format") != _FORMAT:
            raise FreezeError(
                f"{directory / _MARKER}: format is {marker.get('format')!r}; "
                f"this version reads {_FORMAT}"
            )
        try:
            options = object_in(marker, "options")
            self._options = _options_of(options)
            self._credentials = run_time_marks(options)
            self._definition = _read_object(directory, _TOOL)
            self._sub_definitions = _read_object(directory, _SUB_TOOLS, optional=True)
            self._systems = [
                marked_system(
                    {name: value for name, value in one.items() if name != "credentialNames"},
                    one.get("credentialNames", ()),
                )
                for one in _read_list(directory, _SYSTEMS, optional=True)
            ]
            self._inputs = _read_object(directory, _INPUTS)
            self._exchanges = [
                RecordedExchange.of(one) for one in _read_list(directory, _EXCHANGES)
            ]
            self._expected = _read_object(directory, _EXPECTED)
            self._ignored = [str(path) for path in self._expected.get("ignore") or ()]
        except (ValidationError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise FreezeError(f"{directory} is no frozen run: {error}") from None

    @property
    def tool_id(self) -> str:
        tool_id = self._definition.get("id")
        return tool_id if isinstance(tool_id, str) else "(no id)"

    async def test(self, engines: Engines) -> FrozenResult:
        """Run it and compare, unless a definition is refused as it is when it is stored.

        Raises `FreezeError` when what is ignored is no path.
        """
        tool = await self._checked(self._definition, engines)
        sub_tools = {
            tool_id: await self._checked(definition, engines)
            for tool_id, definition in self._sub_definitions.items()
        }
        problems = [f"{_TOOL}: {one}" for one in tool.errors]
        for tool_id, checked in sub_tools.items():
            problems.extend(f"{_SUB_TOOLS}: {tool_id}: {one}" for one in checked.errors)
        if problems:
            return FrozenResult(tuple(problems), is_refused=True)
        prepared = {tool_id: _prepared(one) for tool_id, one in sub_tools.items()}
        ports = _FrozenPorts(prepared, self._systems, Recording(self._exchanges), engines)
        outcome = await ports.run(_prepared(tool), self._inputs, self._options, self._credentials)
        try:
            return await anyio.to_thread.run_sync(self._compare, outcome)
        except ReadingError as error:
            raise FreezeError(f"{self.directory / _EXPECTED}: ignore: {error}") from None

    async def _checked(self, definition: Json, engines: Engines) -> CheckedTool:
        return await check_definition(
            definition,
            engines.scripts,
            known_tool_ids=self._sub_definitions.keys(),
            known_system_ids=[one.id for one in self._systems],
        )

    def _compare(self, outcome: RunOutcome) -> FrozenResult:
        expected, problems = self._expected, list[str]()
        if outcome.status != expected.get("status"):
            said = f" ({outcome.error})" if outcome.error is not None else ""
            problems.append(
                f"status: expected {expected.get('status')}, it is {outcome.status}{said}"
            )
            return FrozenResult(tuple(problems))
        if "error" in expected and expected["error"] != outcome.error:
            problems.append(f"error: expected {expected['error']!r}, it is {outcome.error!r}")
        kind = outcome.error_detail.kind if outcome.error_detail is not None else None
        if "errorKind" in expected and expected["errorKind"] != kind:
            problems.append(f"errorKind: expected {expected['errorKind']}, it is {kind}")
        difference: Difference | None = None
        if "data" in expected:
            seen: Json = decode_json(outcome.text())
            difference = json_diff(
                without(expected["data"], self._ignored), without(seen, self._ignored)
            )
            if difference:
                total = difference.total
                problems.append(f"data: {total} {'difference' if total == 1 else 'differences'}")
        return FrozenResult(tuple(problems), difference or None)


class _FrozenPorts:
    """What a frozen run needs from above: the tools it calls are in its folder."""

    def __init__(
        self,
        sub_tools: Mapping[str, PreparedTool],
        systems: list[System],
        recording: Recording,
        engines: Engines,
    ) -> None:
        self._sub_tools = sub_tools
        self._systems = {system.id: system for system in systems}
        self._recording = recording
        self._engines = engines

    async def run(
        self,
        prepared: PreparedTool,
        inputs: JsonObject,
        options: RunOptions,
        credentials: Mapping[str, str],
        above: RunContext | None = None,
    ) -> RunOutcome:
        """A run to its end, `above` being the one that starts it."""
        systems = {
            system_id: self._systems[system_id]
            for system_id in system_ids_of(prepared.tool)
            if system_id in self._systems
        }
        guarded = {one.id: one for one in above.guarded_systems} if above is not None else {}
        guarded |= systems
        redactor: Redactor = redactor_for(
            guarded.values(), credentials, above.redactor if above is not None else None
        )
        for system_id in systems:
            token = f"{system_id}.accessToken"
            redactor.add(token, credential_mark(token))
        context = RunContext(
            prepared.tool,
            options,
            self._engines,
            self,
            systems=systems,
            run_time_credentials=credentials,
            redactor=redactor,
            guarded_systems=tuple(guarded.values()),
            ancestors=(*above.ancestors, above.tool.id) if above is not None else (),
            replay=ReplayClient(self._recording, redactor, self._engines.max_recorded_body_bytes),
        )
        return await Execution(prepared, inputs, context).run()

    def emit(self, event: RunEvent) -> None:
        """Nobody watches."""

    async def access_token(self, system: System, rejected: str | None) -> str:
        return credential_mark(f"{system.id}.accessToken")

    async def start_child(
        self,
        tool_id: str,
        inputs: JsonObject,
        context: RunContext,
        carriers: Carriers,
        began: Callable[[str, JsonObject], None],
    ) -> ChildRun:
        # Credentials are marks here, and those are not short.
        prepared = self._sub_tools.get(tool_id)
        if prepared is None:
            raise RunError(ErrorKind.SUB_TOOL, f"tool {tool_id} not found")
        began(_CHILD_RUN, prepared.definition)
        outcome = await self.run(
            prepared, inputs, context.options, context.run_time_credentials, context
        )
        return ChildRun(_CHILD_RUN, outcome)


def _prepared(checked: CheckedTool) -> PreparedTool:
    if checked.definition is None:
        raise AssertionError("a definition without errors is there")
    return PreparedTool.of(checked.definition)


def _options_of(options: JsonObject) -> RunOptions:
    return RunOptions.model_validate(
        {name: value for name, value in options.items() if name != "traceId"}
    )


def _read(directory: Path, name: str, optional: bool) -> Json:
    path = directory / name
    try:
        return decode_json(path.read_bytes())
    except FileNotFoundError:
        if optional:
            return None
        raise FreezeError(f"{directory} is no frozen run: it has no {name}") from None
    except OSError as error:
        raise FreezeError(f"{path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise FreezeError(f"{path} is not JSON: {error}") from None


def _read_object(directory: Path, name: str, *, optional: bool = False) -> JsonObject:
    value = _read(directory, name, optional)
    if value is None and optional:
        return {}
    if not isinstance(value, dict):
        raise FreezeError(f"{directory / name}: valid is a JSON object")
    return cast("JsonObject", value)


def _read_list(directory: Path, name: str, *, optional: bool = False) -> list[JsonObject]:
    value = _read(directory, name, optional)
    if value is None and optional:
        return []
    if not isinstance(value, list) or not all(
        isinstance(one, dict) for one in cast("list[Any]", value)
    ):
        raise FreezeError(f"{directory / name}: valid is a list of JSON objects")
    return cast("list[JsonObject]", value)
