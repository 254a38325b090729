"""How a tool runs: inputs, steps, transform, schema, filters, redaction, in this order.

One `Execution` is one run. `run` gives the outcome whatever happens inside it; when it is cancelled
from outside, `cut_off` gives the outcome with all that was done so far.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, cast

import anyio

from tools.carriers import NOTHING_CARRIED, TakenCredential, shown_in
from tools.context import RunContext
from tools.errors import LACKING_KINDS, ErrorDetail, ErrorKind, LackingDetail, RunError
from tools.faults import trace_of
from tools.filtered_answers import drop_answers, filter_answers
from tools.filtered_problems import filtered_problems
from tools.json_pieces import weighs_much
from tools.json_text import Json, JsonObject
from tools.looping import DEFAULT_READING_CONCURRENCY, run_items
from tools.model import RequestConfig, Step
from tools.prepared import PreparedTool
from tools.problems import render_problems
from tools.replay import UnansweredDetail
from tools.response_filters import apply_response_filters
from tools.run import RunOutcome, RunStatus, StepRecord, may_be_large, now_ms
from tools.scope import Scope, short_credentials, visible_credentials
from tools.scripts import Script, ScriptForm, ScriptSession, ScriptValue, js_text
from tools.steps import run_item
from tools.threads import run_in_thread
from tools.touches import is_reading

__all__ = ["Execution", "TakenSteps"]

_log = logging.getLogger(__name__)

STEP_TIMEOUT_SECONDS = 30 * 60.0
RUN_TIMEOUT_SECONDS = 60 * 60.0
MAX_ITEMS = 10_000

_NEEDS_DATA = "it needs what a dry run does not ask for"


@dataclass(frozen=True)
class TakenSteps:
    """What steps of an earlier run left in the state: they are not executed again."""

    run_id: str
    #: Envelopes by step id.
    data: Mapping[str, Json]
    #: The tools that those steps called, and the ones that these called, by id.
    sub_tools: Mapping[str, JsonObject] = field(default_factory=dict[str, JsonObject])


class Execution:
    """One run of a tool. The inputs are completed and validated on construction."""

    def __init__(
        self,
        prepared: PreparedTool,
        inputs: JsonObject,
        context: RunContext,
        *,
        refused: RunError | None = None,
        taken: TakenSteps | None = None,
    ) -> None:
        """`refused` is why the run cannot begin, such as a credential that cannot be read."""
        self._prepared = prepared
        self._tool = prepared.tool
        self._context = context
        self.inputs = inputs
        self._refused = refused
        self._taken = taken or TakenSteps("", {})
        context.sub_tools.update(self._taken.sub_tools)
        self._steps: list[StepRecord] = []
        self._state: JsonObject = {}
        self._result: Json = None
        #: The result before and after the response filters.
        self._filtered: tuple[Json, Json] = (None, None)
        #: The short credentials that `_result` holds.
        self._carried = NOTHING_CARRIED
        self._validate_inputs()

    async def run(self) -> RunOutcome:
        """Run to the end. Only cancellation from outside is raised."""
        context = self._context
        attributes = {"callslip.tool.id": self._tool.id, "callslip.tool.version": self._version()}
        with context.spans.span(f"run {self._tool.id}", context.traceparent, attributes) as span:
            context.traceparent = span.traceparent
            outcome = await self._run_to_end()
            span.set("callslip.run.status", outcome.status)
            if outcome.error is not None:
                span.fail(outcome.error)
            return outcome

    def _version(self) -> str:
        return str(self._prepared.definition.get("version", ""))

    async def _run_to_end(self) -> RunOutcome:
        options = self._context.options
        seconds = (
            RUN_TIMEOUT_SECONDS if options.run_timeout_ms is None else options.run_timeout_ms / 1000
        )
        try:
            with anyio.fail_after(seconds):
                data = await self._run()
        except TimeoutError:
            error = RunError(
                ErrorKind.TIMEOUT,
                f"The run took longer than {seconds:g} s",
                hint="ask for less, or give the run more time with runTimeoutMs",
            )
            self._end_open_steps("failure", error.message)
            return await self._outcome(RunStatus.FAILED, error=error)
        except RunError as error:
            return await self._outcome(RunStatus.FAILED, error=error)
        except Exception as fault:
            trace = trace_of(fault)
            _log.error("a fault of callslip ended the run of %s\n%s", self._tool.id, trace)
            error = RunError(
                ErrorKind.INTERNAL,
                f"callslip itself failed: {type(fault).__name__}",
                hint="the log of the server has the trace; please report it",
            )
            self._end_open_steps("failure", error.message)
            return await self._outcome(RunStatus.FAILED, error=error)
        return await self._outcome(RunStatus.SUCCESS, data=data)

    def steps_so_far(self) -> list[JsonObject]:
        """What the steps of a run under way have done, without their data."""
        return [record.wire() for record in self._steps]

    @property
    def has_large_data(self) -> bool:
        """Whether a step has left large data."""
        return any(self._is_large(record.data) for record in self._steps)

    def cut_off(self, kind: ErrorKind, message: str) -> RunOutcome:
        """The outcome of a run that was ended from outside."""
        self._end_open_steps("aborted", message)
        redactor = self._context.redactor
        is_filtered = any(one.enabled for one in self._tool.response_filters)
        for record in self._steps:
            # Filters need the script engine, which a cancelled run no longer waits for.
            if is_filtered:
                drop_answers(record)
                _drop_data(record)
            data = redactor.json(record.data)
            record.altered |= data is not record.data
            record.data = data
        outcome = self._bare_outcome(RunStatus.ABORTED)
        outcome.error = redactor.text(message)
        outcome.error_detail = ErrorDetail(kind=kind)
        return outcome

    def _validate_inputs(self) -> None:
        schema = self._prepared.input_schema
        if schema is None:
            return
        self.inputs = self._prepared.with_defaults(self.inputs)
        problems = schema.problems(self.inputs)
        if problems:
            lines = render_problems(problems)
            self._refused = RunError(
                ErrorKind.INVALID_INPUT,
                f"Input validation failed: {lines}",
                hint="call again with inputs that match the tool's inputSchema",
                path=problems[0].path or None,
            )

    async def _run(self) -> Json:
        if self._refused is not None:
            raise self._refused
        self._state = dict(self.inputs)
        for step in self._tool.steps:
            if step.id in self._taken.data:
                self._take_step(step)
            else:
                await self._run_step_in_span(step)
            self._context.steps_done += 1
        if self._context.options.execution == "dry":
            # There is no data to transform; what would have been sent is the result.
            return self._unsent_requests()
        data = await self._transform_output()
        await self._check_output(data)
        filters = self._tool.response_filters
        if filters:
            matcher = self._context.engines.scripts
            filtered = (await apply_response_filters(data, filters, matcher)).value
            self._filtered = data, filtered
            return filtered
        return data

    def _take_step(self, step: Step) -> None:
        record = StepRecord(step.id, now_ms(), taken_from=self._taken.run_id)
        self._steps.append(record)
        self._context.progress(step.id, f"{step.id}: taken from run {self._taken.run_id}")
        data = self._taken.data[step.id]
        # Of what it was made is not recorded. What an upstream answered is not made of credentials.
        if not isinstance(step.config, RequestConfig) or step.data_selector is not None:
            systems = {**self._context.systems_below, **self._context.systems}
            short = short_credentials(systems, self._context.run_time_credentials)
            self._context.carry(step.id, shown_in(js_text(data), short) if short else short)
        self._succeed(step, record, data)

    async def _run_step_in_span(self, step: Step) -> None:
        context = self._context
        above = context.traceparent
        with context.spans.span(f"step {step.id}", above, {"callslip.step.id": step.id}) as span:
            # Steps run one after the other; the requests of a step are below it.
            context.traceparent = span.traceparent
            try:
                await self._run_step(step)
            finally:
                context.traceparent = above
                error = self._steps[-1].error if self._steps else None
                if error is not None:
                    span.fail(error)

    async def _run_step(self, step: Step) -> None:
        context = self._context
        record = StepRecord(step.id, now_ms())
        self._steps.append(record)
        context.progress(step.id, f"{step.id}: started")
        async with context.script_session(step.id) as session:
            try:
                with anyio.fail_after(STEP_TIMEOUT_SECONDS):
                    data = await self._run_step_once_or_looping(step, record, session)
            except TimeoutError:
                error = RunError(
                    ErrorKind.TIMEOUT, f"the step took longer than {STEP_TIMEOUT_SECONDS:g} s"
                )
                self._fail_step(step, record, error)
                return
            except RunError as error:
                self._fail_step(step, record, error)
                return
            finally:
                context.cost.script_ms += session.script_ms
        self._succeed(step, record, data)

    def _succeed(self, step: Step, record: StepRecord, data: Json) -> None:
        record.data, record.has_data = data, True
        record.success, record.status = True, "success"
        record.completed_at = now_ms()
        self._state[step.id] = data
        self._result = cast("dict[str, Any]", data)["data"] if isinstance(data, dict) else data
        self._carried = self._context.carriers.get(step.id, NOTHING_CARRIED)

    async def _run_step_once_or_looping(
        self, step: Step, record: StepRecord, session: ScriptSession
    ) -> Json:
        context = self._context
        system_id = step.config.system_id if isinstance(step.config, RequestConfig) else None
        credentials = visible_credentials(context.systems, context.run_time_credentials, system_id)
        if step.data_selector is None:
            scope = Scope(self._state, credentials, state_carriers=context.carriers)
            data = await run_item(step, scope, session, context, record, None)
            return {"currentItem": {}, "data": data, "success": True}
        chosen = await self._select(step.data_selector, session)
        selected, carried = chosen.value, self._carried_by(chosen)
        context.carry(step.id, carried)
        carriers = {**context.carriers, "currentItem": carried} if carried else context.carriers
        if not isinstance(selected, list):
            state = {**self._state, "currentItem": selected}
            scope = Scope(state, credentials, state_carriers=carriers)
            data = await run_item(step, scope, session, context, record, None)
            return {"currentItem": selected, "data": data, "success": True}
        items = cast("list[Any]", selected)
        if len(items) > MAX_ITEMS:
            raise RunError(
                ErrorKind.SIZE_LIMIT,
                f"Data selector gave {len(items):,} items; at most {MAX_ITEMS:,} are allowed",
                hint="select fewer items, or split the work over several calls",
            )
        if context.options.execution == "limited":
            items = items[:1]

        async def run_one(index: int, item: Json) -> Json:
            state = {**self._state, "currentItem": item}
            scope = Scope(state, credentials, state_carriers=carriers)
            return await run_item(step, scope, session, context, record, index)

        return await run_items(
            items,
            run_one,
            concurrency=self._concurrency(step),
            keep_going=step.failure_behavior == "continue",
            partial=self._partial_items(record),
            on_done=lambda done: context.progress(
                step.id, f"{step.id}: item {done} of {len(items)}", done / len(items)
            ),
        )

    @staticmethod
    def _partial_items(record: StepRecord) -> list[Json]:
        """The envelopes done so far, kept in the record even when the loop does not end."""
        record.data, record.has_data = [], True
        return record.data

    def _concurrency(self, step: Step) -> int:
        given = self._context.options.concurrency or step.concurrency or self._tool.concurrency
        return given or (DEFAULT_READING_CONCURRENCY if is_reading(step) else 1)

    async def _select(self, selector: str, session: ScriptSession) -> ScriptValue:
        script = Script(selector, ScriptForm.TRANSFORM)
        try:
            return await session.evaluate(script, self._state, watched=self._context.carriers)
        except RunError as error:
            raise self._explained(error, "Data selector failed: ") from None

    def _carried_by(self, value: ScriptValue) -> frozenset[TakenCredential]:
        """The short credentials in what a script made of the state."""
        return Scope(self._state, state_carriers=self._context.carriers).carried_by(value)

    def _explained(self, error: RunError, prefix: str) -> RunError:
        """The error of a script over the state, with what the state holds."""
        if error.kind is ErrorKind.SCRIPT_ERROR and error.detail.hint is None:
            names = ", ".join(sorted(self._state)) or "nothing"
            error.detail.hint = f"the state holds: {names}"
        return error.prefixed(prefix)

    def _fail_step(self, step: Step, record: StepRecord, error: RunError) -> None:
        message = self._context.redactor.text(error.message)
        record.completed_at = now_ms()
        if self._lacks_data_of_a_dry_run(error):
            record.status = "skipped"
            record.warnings.append(f"{_NEEDS_DATA}: {message}")
            return
        record.success, record.status, record.error = False, "failure", message
        # What a replay has no answer to did not fail upstream, so there is nothing to pass over.
        if step.failure_behavior == "continue" and not isinstance(error.detail, UnansweredDetail):
            return
        error.detail.step_id = step.id
        raise error.prefixed(f"Step {step.id} failed: ")

    def _lacks_data_of_a_dry_run(self, error: RunError) -> bool:
        return (
            self._context.options.execution == "dry"
            and (error.kind in LACKING_KINDS or isinstance(error.detail, LackingDetail))
            and any(record.requests or record.unsent for record in self._steps)
        )

    def _unsent_requests(self) -> list[Json]:
        unsent: list[Json] = []
        for record in self._steps:
            unsent += [{"stepId": record.step_id, **one.unsent()} for one in record.requests]
            unsent += record.unsent
            if record.status == "skipped":
                unsent.append({"stepId": record.step_id, "skipped": _NEEDS_DATA})
        return unsent

    async def _transform_output(self) -> Json:
        code = self._tool.output_transform
        if code is None:
            return self._result
        async with self._context.script_session(None) as session:
            try:
                script = Script(code, ScriptForm.TRANSFORM)
                value = await session.evaluate(script, self._state, watched=self._context.carriers)
            except RunError as error:
                raise self._explained(error, "Output transform failed: ") from None
            finally:
                self._context.cost.script_ms += session.script_ms
        self._carried = self._carried_by(value)
        return value.value

    async def _check_output(self, data: Json) -> None:
        schema = self._prepared.output_schema
        if schema is None:
            return
        if self._is_large(data):
            problems = await run_in_thread(partial(schema.problems, data))
        else:
            problems = schema.problems(data)
        filters = self._tool.response_filters
        if problems and any(one.enabled for one in filters):
            matcher = self._context.engines.scripts
            problems = await filtered_problems(problems, data, filters, matcher)
        if problems:
            lines = render_problems(problems)
            raise RunError(
                ErrorKind.OUTPUT_SCHEMA,
                f"Output schema validation failed: {lines}",
                hint="the tool's outputTransform and outputSchema do not agree",
                path=problems[0].path or None,
            )

    def _end_open_steps(self, status: Any, message: str) -> None:
        for record in self._steps:
            if record.status == "running":
                record.status, record.error = status, message
                record.completed_at = now_ms()

    def _bare_outcome(self, status: RunStatus) -> RunOutcome:
        context = self._context
        return RunOutcome(
            status,
            context.redactor.json(self.inputs),
            steps=self._steps,
            logs=context.logs,
            cost=context.cost,
            sub_tools=context.sub_tools,
            carried=self._carried,
        )

    async def _outcome(
        self, status: RunStatus, *, data: Json = None, error: RunError | None = None
    ) -> RunOutcome:
        await self._filter_steps(self._steps)
        redactor = self._context.redactor
        outcome = self._bare_outcome(status)
        if error is None:
            try:
                await self._set_data(outcome, await self._without_secrets(data))
            except (RecursionError, TypeError, ValueError):
                outcome.status = RunStatus.FAILED
                error = RunError(
                    ErrorKind.SIZE_LIMIT,
                    "The result is nested too deeply to be written as JSON",
                    hint="flatten it in an outputTransform",
                )
        if error is not None:
            outcome.error = redactor.text(error.message)
            outcome.error_detail = error.detail
        return outcome

    async def _filter_steps(self, steps: Sequence[StepRecord]) -> None:
        """Filter and redact what is stored of the steps; FAIL masks here."""
        for record in steps:
            try:
                await self._filter_step(record)
            except Exception as fault:
                # What could not be filtered is not stored; that it was done is.
                _log.error("a step of %s cannot be filtered\n%s", self._tool.id, trace_of(fault))
                record.warnings.append(f"its data is not kept: {type(fault).__name__} of callslip")
                drop_answers(record)
                _drop_data(record)

    async def _filter_step(self, record: StepRecord) -> None:
        filters = self._tool.response_filters
        if filters:
            await filter_answers(record, filters, self._context.engines.scripts)
        if not record.has_data:
            return
        data = record.data
        if filters:
            try:
                data = await self._filtered_data(data)
            except RunError as error:
                record.warnings.append(f"the data is not kept: {error.message}")
                _drop_data(record)
                return
            if data is not record.data:
                _drop_files(record)
        data = await self._without_secrets(data)
        # A replay is given answers that were filtered before.
        answers = (request.exchange for request in record.requests)
        was_filtered = any(answer is not None and answer.altered for answer in answers)
        record.altered = was_filtered or data is not record.data
        record.data = data

    async def _filtered_data(self, data: Json) -> Json:
        """The data of a step after the response filters; the result in it is filtered once."""
        filters = self._tool.response_filters
        matcher = self._context.engines.scripts
        whole, filtered = self._filtered
        if data is whole and whole is not None:
            return filtered
        if isinstance(data, dict) and whole is not None:
            envelope = cast("JsonObject", data)
            if envelope.get("data") is whole:
                around = await apply_response_filters(
                    {**envelope, "data": None}, filters, matcher, fail_as_mask=True
                )
                # Unless a filter is about its name, or puts a text in the place of all of it.
                kept = cast("JsonObject | str", around.value)
                if isinstance(kept, dict) and kept.get("data", whole) is None:
                    is_same = filtered is whole and not around.changed
                    return envelope if is_same else {**kept, "data": filtered}
        return (await apply_response_filters(data, filters, matcher, fail_as_mask=True)).value

    async def _without_secrets(self, data: Json) -> Json:
        redactor = self._context.redactor
        if redactor and self._is_large(data):
            # Other runs go on between its pieces.
            return await run_in_thread(partial(redactor.json, data))
        return redactor.json(data)

    async def _set_data(self, outcome: RunOutcome, data: Json) -> None:
        is_large = self._is_large(data)
        set_data = partial(outcome.set_data, data, is_large=is_large)
        if is_large:
            await run_in_thread(set_data)
        else:
            set_data()

    def _is_large(self, data: Json) -> bool:
        context = self._context
        return may_be_large(self._steps, context.cost, context.sub_tools) and weighs_much(data)


def _drop_data(record: StepRecord) -> None:
    """Keep nothing of what a step received: a rerun executes it again."""
    if record.has_data:
        record.data, record.has_data, record.altered = None, False, True
    _drop_files(record)


def _drop_files(record: StepRecord) -> None:
    """Keep no file: what the response filters take out of what was read of it is in it, too."""
    if record.files:
        record.files.clear()
        record.warnings.append("its files are not kept: a response filter changes what is read")
