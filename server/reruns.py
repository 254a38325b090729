"""A recorded run made again: what is kept of it, what is changed, and what cannot be."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, cast

from pydantic import ValidationError

from server.active_run import ActiveRun, Derivation, JoinedRun, Replay, RunRequest
from server.catalog import CatalogEntry
from server.run_facts import definition_of, ending_step, list_in
from storage.run_record import StoredRun
from storage.tools import StoredTool
from tools.execution import TakenSteps
from tools.json_text import Json, JsonObject, encode_json_text
from tools.model import Step, SubToolConfig, Tool
from tools.redaction import is_marked
from tools.replay import RecordedExchange, Recording, credential_mark
from tools.run import RequestSource, RunOptions, RunStatus, SourceKind
from tools.touches import is_reading, touches

__all__ = [
    "Rerun",
    "RerunError",
    "RerunMode",
    "RerunPlan",
    "RerunRequest",
    "RerunVersion",
    "StepRunAgain",
    "child_run_ids",
    "marked_places",
    "plan_rerun",
    "recorded_exchange",
    "recorded_request_documents",
    "run_time_marks",
]

RerunMode = Literal["live", "replay", "lenient", "dry", "limited"]
RerunVersion = Literal["snapshot", "latest"]

#: Of definitions that are executed from a record, not from the tools that are stored.
_NO_SNAPSHOT = 0
_SHOWN_PLACES = 5


class RerunError(Exception):
    """The run cannot be made again like this; the message says why and what can be done."""


@dataclass(frozen=True)
class RerunRequest:
    """A wish to make a recorded run again; what is absent is as it was."""

    run_id: str
    source: RequestSource
    #: Put over the recorded inputs, by top-level key; null is a value.
    inputs: JsonObject = field(default_factory=dict[str, Json])
    from_failed_step: bool = False
    version: RerunVersion = "snapshot"
    mode: RerunMode | None = None
    #: Run-time credentials, which no record has.
    credentials: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    #: Those that are set are put over the recorded ones.
    options: RunOptions = field(default_factory=lambda: RunOptions())
    #: As in `RunRequest`; no record is asked for these.
    is_async: bool = False
    webhook_target: str | None = None
    client_name: str | None = None
    client_version: str | None = None
    traceparent: str | None = None

    @property
    def is_replay(self) -> bool:
        return self.mode in ("replay", "lenient")


@dataclass(frozen=True)
class StepRunAgain:
    """A step that had finished and is executed again all the same, and why."""

    step_id: str
    reason: str


@dataclass(frozen=True)
class RerunPlan:
    """The run to start, and what became of the steps that had finished."""

    request: RunRequest
    derivation: Derivation
    entry: CatalogEntry
    taken: tuple[str, ...] = ()
    run_again: tuple[StepRunAgain, ...] = ()

    @property
    def sends(self) -> bool:
        """Whether a request that writes may go out."""
        replay = self.derivation.replay
        if replay is not None and not replay.is_lenient:
            return False
        return self.request.options.execution == "live"

    def notes(self) -> list[str]:
        """What a person should know, in sentences."""
        source = self.derivation.source_run_id
        notes: list[str] = []
        if self.taken:
            notes.append(f"taken from run {source}: {', '.join(self.taken)}")
        notes += [f"step {one.step_id} is run again: {one.reason}" for one in self.run_again]
        return notes

    def wire(self) -> JsonObject:
        """`{sourceRunId, sourceKind, takenSteps, stepsRunAgain}`."""
        return {
            "sourceRunId": self.derivation.source_run_id,
            "sourceKind": self.derivation.kind,
            "takenSteps": list(self.taken),
            "stepsRunAgain": [
                {"stepId": one.step_id, "reason": one.reason} for one in self.run_again
            ],
        }


@dataclass(frozen=True)
class Rerun:
    """A rerun that was started."""

    run: ActiveRun | JoinedRun
    plan: RerunPlan


def child_run_ids(run: StoredRun) -> list[str]:
    """The runs that the steps of a run started, in order."""
    return [child_run_id for step in run.steps for child_run_id in _child_run_ids_of(step)]


def _child_run_ids_of(step: JsonObject) -> list[str]:
    ids = list_in(step, "childRunIds") or [step.get("childRunId")]
    return [one for one in ids if isinstance(one, str)]


def recorded_request_documents(
    run: StoredRun, children: Mapping[str, StoredRun]
) -> Iterator[JsonObject]:
    """The requests of a run as its record has them, in order, with those of its child runs."""
    for step in run.steps:
        for request in list_in(step, "requests"):
            if isinstance(request, dict):
                yield cast("JsonObject", request)
        for child_run_id in _child_run_ids_of(step):
            if child_run_id in children:
                yield from recorded_request_documents(children[child_run_id], children)


def plan_rerun(
    run: StoredRun,
    wanted: RerunRequest,
    latest: CatalogEntry | None,
    children: Sequence[StoredRun],
) -> RerunPlan:
    """How to make a run again; `children` are its child runs and theirs, of a replay.

    `latest` is the stored tool, when that is to be run. Raises `RerunError`.
    """
    if run.status is RunStatus.RUNNING:
        raise RerunError(f"run {run.run_id} is still running; wait for its end, or cancel it")
    if run.tool is None or run.inputs is None:
        raise RerunError(f"the record of run {run.run_id} is damaged: {run.damage}")
    entry = latest or recorded_entry(run.tool, run.snapshot_id, run.version_number or 0)
    recorded_tools: dict[str, CatalogEntry] = {}
    if latest is None:
        recorded_tools = {
            tool_id: recorded_entry(definition)
            for tool_id, definition in (run.sub_tools or {}).items()
        }
        recorded_tools[run.tool_id] = entry
    try:
        _ = entry.prepared
    except ValueError:
        raise RerunError(
            f"run {run.run_id} executed a definition that cannot be read any more; "
            "ask for version latest"
        ) from None
    inputs = {**run.inputs, **wanted.inputs}
    _refuse_marks(run.run_id, inputs)
    taken: dict[str, Json] = {}
    run_again: list[StepRunAgain] = []
    options = _options(run, wanted)
    if wanted.from_failed_step:
        if (recorded := (run.options or {}).get("execution", "live")) != options.execution:
            raise RerunError(
                f"run {run.run_id} was {recorded}: its steps have not read all that a run that is "
                f"{options.execution} reads; leave from_failed_step out"
            )
        taken, run_again = _finished_steps(run, entry)
    elif wanted.is_replay:
        taken = _taken_before(run)
        if wanted.mode == "lenient":
            _refuse_altered(run, taken)
    replay = _replay_of(run, children, wanted.mode == "lenient") if wanted.is_replay else None
    derivation = Derivation(
        run.run_id,
        _kind(run, wanted, inputs, options, entry),
        recorded_tools,
        TakenSteps(run.run_id, taken, run.sub_tools or {}) if taken else None,
        replay,
    )
    request = RunRequest(
        run.tool_id,
        inputs,
        wanted.source,
        options,
        _credentials(run, wanted),
        client_name=wanted.client_name,
        client_version=wanted.client_version,
        traceparent=wanted.traceparent,
        webhook_target=wanted.webhook_target,
        is_async=wanted.is_async,
        derivation=derivation,
    )
    return RerunPlan(request, derivation, entry, tuple(taken), tuple(run_again))


def recorded_entry(
    definition: JsonObject, snapshot_id: int = _NO_SNAPSHOT, version_number: int = 0
) -> CatalogEntry:
    """A definition of a record as the catalog would have it."""
    return CatalogEntry(StoredTool(definition["id"], version_number, snapshot_id, definition))


def run_time_marks(options: JsonObject | None) -> dict[str, str]:
    """The run-time credentials that a run had, each as its mark."""
    names = list_in(options, "credentialNames")
    return {str(name): credential_mark(f"run.{name}") for name in names}


def marked_places(value: Json, place: str = "$") -> Iterator[str]:
    """The places of a value that hold the mark of something redacted, as JSONPath."""
    if isinstance(value, str):
        if is_marked(value):
            yield place
    elif not is_marked(encode_json_text(value)):
        # Nothing to look for, however deep it is.
        return
    elif isinstance(value, dict):
        for key, entry in cast("JsonObject", value).items():
            if is_marked(key):
                yield f"{place}.{key}"
            yield from marked_places(entry, f"{place}.{key}")
    elif isinstance(value, list):
        for position, element in enumerate(cast("list[Json]", value)):
            yield from marked_places(element, f"{place}[{position}]")


def recorded_exchange(request: JsonObject) -> RecordedExchange:
    """A request of a record, with a problem where it cannot be answered again."""
    try:
        return RecordedExchange.of(request)
    except (ValueError, TypeError, KeyError, AttributeError):
        method, url = str(request.get("method")), str(request.get("url"))
        return RecordedExchange(method, url, None, None, problem="its record is damaged")


def _refuse_marks(run_id: str, inputs: JsonObject) -> None:
    places = list(marked_places(inputs))
    if places:
        raise RerunError(
            f"the inputs of run {run_id} held a secret, which no record keeps; "
            f"give these anew in inputs: {', '.join(places[:_SHOWN_PLACES])}"
        )


def _finished_steps(
    run: StoredRun, entry: CatalogEntry
) -> tuple[dict[str, Json], list[StepRunAgain]]:
    """The data of the steps before the one that ended the run, and those of them to be run again.

    What follows a step that is run again has seen other data, and is run again, too. Only a write
    is not done twice where the step before it does the same as it did.
    """
    taken: dict[str, Json] = {}
    again: list[StepRunAgain] = []
    recorded = {step.get("stepId"): step for step in run.steps}
    ended_by = (ending_step(run) or {}).get("stepId")
    old = _steps_of(run.tool)
    old_ids = [step.get("id") for step in old]
    new = _steps_of(entry.stored.definition)
    new_ids = [step.get("id") for step in new]
    # The first step that does something else than it did, and the first that does the same again.
    other: str | None = None
    same: str | None = None
    for position, step in enumerate(entry.prepared.tool.steps):
        record = recorded.get(step.id)
        if record is None or not _has_finished(record, ended_by):
            other = other or step.id
            continue
        was = old_ids.index(step.id) if step.id in old_ids else None
        reason = None
        if was is None or old[was] != new[position]:
            reason = "its definition has changed"
        elif other is not None:
            reason = f"step {other} before it is new or not what it was"
        elif old_ids[:was] != new_ids[:position]:
            reason = "the steps before it have changed"
        if reason is not None:
            other = other or step.id
        else:
            reason = _why_not_taken(record)
            if reason is None and same is not None and not _has_written(step, record, run):
                reason = f"step {same} before it is run again"
            if reason is not None:
                same = same or step.id
        if reason is None:
            taken[step.id] = record["data"]
        else:
            again.append(StepRunAgain(step.id, reason))
    return taken, again


def _has_written(step: Step, record: JsonObject, run: StoredRun) -> bool:
    """Whether a finished step may have changed something upstream, itself or by a tool it calls."""
    if is_reading(step) or not (record.get("requests") or record.get("childRunId")):
        return False
    if not isinstance(step.config, SubToolConfig):
        return True

    def load(tool_id: str) -> Tool | None:
        definition = (run.sub_tools or {}).get(tool_id)
        try:
            return None if definition is None else Tool.model_validate(definition)
        except ValueError:
            return None

    called = load(step.config.tool_id)
    return called is None or any(touch.writes for touch in touches(called, load))


def _has_finished(record: JsonObject, ended_by: Json) -> bool:
    """Whether the run went on after a step, also where that had failed and was passed over."""
    status = record.get("status")
    return status == "success" or (status == "failure" and record.get("stepId") != ended_by)


def _why_not_taken(record: JsonObject) -> str | None:
    """Why the data of a finished step cannot be taken from the record."""
    if record.get("status") == "failure":
        return "it had failed and was passed over"
    if record.get("altered"):
        return "its recorded data was filtered or redacted"
    if "dataUri" in record:
        return f"its data lies at {record['dataUri']} and cannot be read"
    return None if "data" in record else "its data is not in the record"


def _taken_before(run: StoredRun) -> dict[str, Json]:
    """The data of steps that the run itself did not execute, so that there is nothing to replay."""
    return {
        step["stepId"]: step["data"] for step in run.steps if "takenFrom" in step and "data" in step
    }


def _refuse_altered(run: StoredRun, taken: Mapping[str, Json]) -> None:
    altered = [one["stepId"] for one in run.steps if one["stepId"] in taken and one.get("altered")]
    if altered:
        raise RerunError(
            f"run {run.run_id} took step {altered[0]} from another run, and its recorded data was "
            "filtered or redacted, so that a lenient replay could send that on; ask for replay, "
            "which sends nothing, or rerun it live"
        )


def _steps_of(definition: JsonObject | None) -> list[JsonObject]:
    return [cast("JsonObject", step) for step in list_in(definition, "steps")]


def _replay_of(run: StoredRun, children: Sequence[StoredRun], is_lenient: bool) -> Replay:
    ids: dict[str, list[str]] = {}
    for child in children:
        ids.setdefault(child.tool_id, []).append(child.run_id)
    by_id = {child.run_id: child for child in children}
    exchanges = map(recorded_exchange, recorded_request_documents(run, by_id))
    return Replay(Recording(exchanges), is_lenient, ids)


def _kind(
    run: StoredRun,
    wanted: RerunRequest,
    inputs: JsonObject,
    options: RunOptions,
    entry: CatalogEntry,
) -> SourceKind:
    if wanted.is_replay:
        return SourceKind.REPLAY
    has_failed = run.status in (RunStatus.FAILED, RunStatus.ABORTED)
    executed = definition_of(run)
    is_same = (
        inputs == run.inputs
        and not wanted.from_failed_step
        and _but_trace(options) == _but_trace(RunOptions.model_validate(run.options or {}))
        and executed == definition_of(replace(run, tool=entry.stored.definition))
    )
    return SourceKind.RETRY if has_failed and is_same else SourceKind.RERUN


def _but_trace(options: RunOptions) -> JsonObject:
    return options.model_dump(exclude={"trace_id"})


def _options(run: StoredRun, wanted: RerunRequest) -> RunOptions:
    mode = wanted.mode
    given = {name: value for name, value in (run.options or {}).items() if name != "traceId"}
    given |= wanted.options.wire()
    if mode in ("live", "dry", "limited"):
        given["execution"] = mode
    elif mode is not None and given.get("execution") == "dry":
        raise RerunError(f"run {run.run_id} was dry: it sent nothing, so there is no answer")
    try:
        return RunOptions.model_validate(given)
    except ValidationError:
        raise RerunError(f"the recorded options of run {run.run_id} cannot be read") from None


def _credentials(run: StoredRun, wanted: RerunRequest) -> Mapping[str, str]:
    if wanted.mode != "replay":
        return wanted.credentials
    return run_time_marks(run.options)
