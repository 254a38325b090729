"""The workflow view of a run: the same record as a graph of nodes and what became of each.

Absent fields are omitted, never null.
"""

from collections.abc import Collection
from typing import Any, cast

from server.run_facts import is_dry, list_in, object_in, requests_of, step_of
from storage.run_record import StoredRun
from tools.json_text import Json, JsonObject
from tools.run import RunStatus, rfc3339

__all__ = ["workflow_envelope", "workflow_view"]

#: Runs of one home; nothing here is shared.
_ORGANIZATION = "local"
_STATUSES = {
    RunStatus.RUNNING: "running",
    RunStatus.SUCCESS: "success",
    RunStatus.FAILED: "failure",
    RunStatus.ABORTED: "cancelled",
}
_NODE_STATUSES = {"aborted": "failure"}


def workflow_view(
    run: StoredRun, *, summary: bool = False, node_ids: Collection[str] | None = None
) -> JsonObject:
    """A run as a workflow.

    `summary` leaves out `executionState` and `workflowDefinition`; `node_ids` keeps these nodes of
    `executionState`, and names that are no node are just absent.
    """
    is_replay = run.source_kind == "replay"
    view: JsonObject = {
        "id": run.run_id,
        "workflowId": run.tool_id,
        "workflowVersion": run.version_number,
        "status": "waiting" if run.waits else _STATUSES[run.status],
        "startedAt": rfc3339(run.started_at),
        "finishedAt": None if run.completed_at is None else rfc3339(run.completed_at),
        "triggerSource": run.request_source,
        "triggeredBy": run.user_id,
        "organizationId": _ORGANIZATION,
        "propValues": run.inputs,
        "isSimulation": is_replay or is_dry(run),
        "simulationMode": "replay" if is_replay else "dry" if is_dry(run) else None,
        "simulationForks": [],
        "isDustTest": (run.options or {}).get("execution") == "limited",
        "sourceRunId": run.source_run_id,
        "totalCu": (run.cost or {}).get("units", 0),
    }
    view = {name: value for name, value in view.items() if value is not None}
    if not summary:
        nodes = _nodes(run)
        view["workflowDefinition"] = {
            "nodes": {node_id: node.definition for node_id, node in nodes.items()},
            "inputSchema": _input_schema(run.tool or {}),
            "blockExpansions": run.sub_tools or {},
        }
        view["executionState"] = {
            node_id: _state(run, node)
            for node_id, node in nodes.items()
            if node_ids is None or node_id in node_ids
        }
    return view


def workflow_envelope(code: int, data: Json, message: str, request_id: str) -> JsonObject:
    """`{code, data, message, requestId}`; without `data` where there is none."""
    envelope: JsonObject = {"code": code, "message": message, "requestId": request_id}
    return envelope if data is None else {**envelope, "data": data}


class _Node:
    """A node of the graph; `step_id` is None for the root."""

    def __init__(self, step_id: str | None, definition: JsonObject) -> None:
        self.step_id = step_id
        self.definition = definition


def _nodes(run: StoredRun) -> dict[str, _Node]:
    """The root and the steps, each with the one that follows, in order."""
    steps = _steps(run)
    names = ["root"]
    for step in steps:
        name = str(step.get("id"))
        # The root has its name in every graph; a step of that name gives way.
        while name in names:
            name += "_"
        names.append(name)
    children = [[name] for name in names[1:]] + [[]]
    nodes = {"root": _Node(None, {"type": "manual", "children": children[0]})}
    for name, step, following in zip(names[1:], steps, children[1:], strict=True):
        fields = {key: value for key, value in step.items() if key != "id"}
        definition = {**fields, "type": _kind(step), "children": following}
        nodes[name] = _Node(str(step.get("id")), definition)
    return nodes


def _steps(run: StoredRun) -> list[JsonObject]:
    """The steps of the definition; of a damaged one, those that the record shows."""
    if run.tool is None:
        return [{"id": step.get("stepId")} for step in run.steps]
    return list_in(run.tool, "steps")


def _kind(step: JsonObject) -> str:
    return str(object_in(step, "config").get("type", "request"))


def _input_schema(tool: JsonObject) -> list[JsonObject]:
    """The top-level inputs as `{key, type, required, description}`."""
    schema = object_in(tool, "inputSchema")
    properties, required = object_in(schema, "properties"), list_in(schema, "required")
    described: list[JsonObject] = []
    for name in properties:
        fields = object_in(properties, name)
        entry: JsonObject = {"key": name, "type": _type(fields), "required": name in required}
        if isinstance(fields.get("description"), str):
            entry["description"] = fields["description"]
        described.append(entry)
    return described


def _type(schema: JsonObject) -> str:
    """One of the five types of the view; a value that may be anything is an object."""
    kinds = list_in(schema, "type") or [schema.get("type")]
    kind = next((kind for kind in kinds if kind not in (None, "null")), None)
    if kind is None:
        choices = list_in(schema, "enum")
        is_text = bool(choices) and all(isinstance(one, str) for one in choices)
        return "string" if is_text else "object"
    return "number" if kind == "integer" else str(kind)


def _state(run: StoredRun, node: _Node) -> JsonObject:
    state = _root_state(run) if node.step_id is None else _step_state(run, node.step_id)
    state["type"] = node.definition["type"]
    return {name: value for name, value in state.items() if value is not None}


def _root_state(run: StoredRun) -> JsonObject:
    """The root is done as soon as its inputs are accepted."""
    is_refused = (run.error_detail or {}).get("kind") == "invalid_input" and not run.steps
    started = rfc3339(run.started_at)
    return {
        "status": "failure" if is_refused else "success",
        "input": run.inputs,
        "result": None if is_refused else run.inputs,
        "error": run.error if is_refused else None,
        "startedAt": started,
        "finishedAt": started,
    }


def _step_state(run: StoredRun, step_id: str) -> JsonObject:
    step = step_of(run, step_id)
    if step is None and (run.error_detail or {}).get("kind") == "interrupted":
        return {"status": "pending", "error": "not known: its process stopped, and recorded none"}
    if step is None:
        # Of a run of another process that nobody watches, no step is known before its end.
        return {"status": "pending" if run.status is RunStatus.RUNNING else "skipped"}
    status = str(step.get("status", "failure"))
    state: JsonObject = {
        "status": _NODE_STATUSES.get(status, status),
        "input": _input(step) or None,
        "error": step.get("error"),
        "startedAt": step.get("startedAt"),
        "finishedAt": step.get("completedAt"),
    }
    if "data" in step:
        state["result"] = _result(step["data"])
    return state


def _input(step: JsonObject) -> JsonObject:
    """What the step worked on: its item or items, its first request as sent, its child run."""
    found: JsonObject = {}
    data = step.get("data")
    if isinstance(data, list):
        found["items"] = [envelope.get("currentItem") for envelope in cast("list[Any]", data)]
    elif isinstance(data, dict) and (item := cast("JsonObject", data).get("currentItem")):
        found["currentItem"] = item
    for request in requests_of(step)[:1]:
        body = object_in(request, "exchange").get("requestBody")
        found["request"] = {
            "method": request.get("method"),
            "url": request.get("url"),
            **({} if body is None else {"body": body}),
        }
    if "childRunId" in step:
        found["childRunId"] = step["childRunId"]
    return found


def _result(data: Json) -> Json:
    """The data of the envelope, or of each envelope of a loop."""
    if isinstance(data, list):
        return [envelope.get("data") for envelope in cast("list[Any]", data)]
    return cast("JsonObject", data).get("data")
