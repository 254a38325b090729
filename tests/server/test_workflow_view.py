"""The workflow view: every field of its source, of every kind of run."""

from typing import Any

import pytest

from server.views import tool_view
from server.workflow_view import workflow_envelope, workflow_view
from tests.server.stored_runs import START, failed_run, failed_step, request, step, stored_run
from tools.run import rfc3339

TOOL: dict[str, Any] = {
    "id": "t",
    "inputSchema": {
        "type": "object",
        "properties": {
            "n": {"type": "integer", "description": "How many."},
            "who": {"type": ["string", "null"]},
            "how": {"enum": ["a", "b"]},
            "any": True,
            "list": {"type": "array"},
        },
        "required": ["n"],
    },
    "steps": [
        {"id": "get", "instruction": "Gets.", "config": {"url": "https://a.example/<<n>>"}},
        {"id": "root", "config": {"type": "transform", "transformCode": "$"}},
        {"id": "call", "config": {"type": "tool", "toolId": "u"}},
    ],
}
STEPS = [
    step("get", request(exchange={"requestBody": "q"}), data={"rows": [1]}),
    step("root", data=5),
    step("call", childRunId="child", data={"ok": True}),
]


def test_a_run_is_a_graph_with_the_state_of_each_node() -> None:
    run = stored_run(
        "r",
        tool=TOOL,
        steps=STEPS,
        inputs={"n": 1},
        user_id="ann",
        version_number=3,
        source_run_id="old",
        cost={"units": 2.0},
        sub_tools={"u": {"id": "u"}},
    )
    view = workflow_view(run)
    definition, states = view.pop("workflowDefinition"), view.pop("executionState")
    assert view == {
        "id": "r",
        "workflowId": "t",
        "workflowVersion": 3,
        "status": "success",
        "startedAt": rfc3339(START),
        "finishedAt": rfc3339(START + 1000),
        "triggerSource": "mcp",
        "triggeredBy": "ann",
        "organizationId": "local",
        "propValues": {"n": 1},
        "isSimulation": False,
        "simulationForks": [],
        "isDustTest": False,
        "sourceRunId": "old",
        "totalCu": 2.0,
    }
    assert definition["blockExpansions"] == {"u": {"id": "u"}}
    assert definition["inputSchema"] == [
        {"key": "n", "type": "number", "required": True, "description": "How many."},
        {"key": "who", "type": "string", "required": False},
        {"key": "how", "type": "string", "required": False},
        {"key": "any", "type": "object", "required": False},
        {"key": "list", "type": "array", "required": False},
    ]
    assert definition["nodes"] == {
        "root": {"type": "manual", "children": ["get"]},
        "get": {
            "type": "request",
            "instruction": "Gets.",
            "config": {"url": "https://a.example/<<n>>"},
            "children": ["root_"],
        },
        # A step cannot take the name of the root.
        "root_": {
            "type": "transform",
            "config": {"type": "transform", "transformCode": "$"},
            "children": ["call"],
        },
        "call": {"type": "tool", "config": {"type": "tool", "toolId": "u"}, "children": []},
    }
    assert list(states) == ["root", "get", "root_", "call"]
    assert states["root"]["type"] == "manual"
    assert states["root"]["input"] == states["root"]["result"] == {"n": 1}
    assert states["get"] == {
        "type": "request",
        "status": "success",
        "input": {"request": {"method": "GET", "url": "https://a.example/x", "body": "q"}},
        "result": {"rows": [1]},
        "startedAt": rfc3339(START),
        "finishedAt": rfc3339(START + 10),
    }
    assert states["root_"]["result"] == 5
    assert states["call"]["input"] == {"childRunId": "child"}


def test_a_failure_leaves_later_nodes_skipped() -> None:
    steps: list[Any] = [{"id": "s", "config": {}}, {"id": "after", "config": {}}]
    tool: dict[str, Any] = {"id": "t", "steps": steps}
    view = workflow_view(failed_run(tool=tool, steps=[failed_step("s", request(status=404))]))
    assert view["status"] == "failure"
    states = view["executionState"]
    assert (states["s"]["status"], states["s"]["error"]) == ("failure", "HTTP 404")
    assert "result" not in states["s"]
    assert states["after"] == {"type": "request", "status": "skipped"}


def test_refused_inputs_fail_the_root() -> None:
    detail = {"kind": "invalid_input"}
    view = workflow_view(failed_run(steps=[], error="n is missing", error_detail=detail))
    root = view["executionState"]["root"]
    assert (root["status"], root["error"]) == ("failure", "n is missing")
    assert "result" not in root


def test_a_running_run_has_pending_nodes_and_no_end() -> None:
    view = workflow_view(stored_run(status="running"))
    assert view["status"] == "running"
    assert "finishedAt" not in view
    assert view["executionState"]["s"]["status"] == "pending"


def test_a_loop_shows_its_items_and_their_results() -> None:
    looped = step("s")
    looped["data"] = [{"currentItem": n, "data": n * 2, "success": True} for n in (1, 2)]
    state = workflow_view(stored_run(steps=[looped]))["executionState"]["s"]
    assert (state["input"], state["result"]) == ({"items": [1, 2]}, [2, 4])


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"options": {"execution": "dry"}}, (True, "dry", False)),
        ({"options": {"execution": "limited"}}, (False, None, True)),
        ({"source_kind": "replay"}, (True, "replay", False)),
        ({"source_kind": "rerun"}, (False, None, False)),
    ],
)
def test_kinds_of_runs_are_told_apart(fields: Any, expected: Any) -> None:
    view = workflow_view(stored_run(**fields))
    assert (view["isSimulation"], view.get("simulationMode"), view["isDustTest"]) == expected


def test_a_cancelled_run_is_cancelled() -> None:
    cut = step("s", status="aborted", success=False, error="cancelled")
    view = workflow_view(stored_run(status="aborted", steps=[cut]))
    assert view["status"] == "cancelled"
    assert view["executionState"]["s"]["status"] == "failure"


def test_a_summary_and_chosen_nodes_are_less_of_the_same() -> None:
    run = stored_run(tool=TOOL, steps=STEPS)
    whole = workflow_view(run)
    summary = workflow_view(run, summary=True)
    assert whole.keys() - summary.keys() == {"executionState", "workflowDefinition"}
    chosen = workflow_view(run, node_ids=["get", "nowhere"])
    assert chosen["executionState"] == {"get": whole["executionState"]["get"]}
    assert chosen["workflowDefinition"] == whole["workflowDefinition"]
    assert workflow_view(run, node_ids=[])["executionState"] == {}


def test_a_damaged_record_is_shown_as_far_as_it_goes() -> None:
    odd = {"inputSchema": {"properties": {"a": 5}, "required": "a"}, "steps": [{"id": "s"}]}
    assert workflow_view(stored_run(tool=odd))["executionState"]["s"]["status"] == "skipped"
    bare = stored_run(tool=None, inputs=None, options=None, steps=[step("s", data=1)])
    view = workflow_view(bare)
    assert list(view["workflowDefinition"]["nodes"]) == ["root", "s"]
    assert "propValues" not in view
    assert view["executionState"]["s"]["result"] == 1


def test_the_envelope_names_the_answer() -> None:
    assert workflow_envelope(200, {"id": "r"}, "success", "trace") == {
        "code": 200,
        "data": {"id": "r"},
        "message": "success",
        "requestId": "trace",
    }
    assert workflow_envelope(404, None, "run x not found", "trace") == {
        "code": 404,
        "message": "run x not found",
        "requestId": "trace",
    }


def test_a_summary_of_the_tool_view_leaves_out_what_grows_with_the_data() -> None:
    run = stored_run(
        tool=TOOL,
        steps=STEPS,
        data=[1],
        inputs={"n": 1},
        logs=[{"message": "hi"}],
        sub_tools={"u": {}},
    )
    whole, summary = tool_view(run), tool_view(run, summary=True)
    assert whole.keys() - summary.keys() == {"tool", "subTools", "stepResults", "logs", "data"}
    assert summary == {key: whole[key] for key in summary}
