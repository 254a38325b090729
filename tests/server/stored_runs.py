"""Records of runs as the store gives them back, made by hand for the views of them."""

from typing import Any

from storage.blobs import StoredText
from storage.run_record import StoredRun
from tools.json_text import encode_json
from tools.run import RunStatus, rfc3339

START = 1_700_000_000_000


def stored_run(run_id: str = "r", **fields: Any) -> StoredRun:
    """A run of the tool `t`, version 1, that succeeded after a second; `data` is its result."""
    data = fields.pop("data", None)
    status = RunStatus(fields.pop("status", "success"))
    given: dict[str, Any] = {
        "seq": 1,
        "snapshot_id": 1,
        "tool_id": "t",
        "version_number": 1,
        "request_source": "mcp",
        "started_at": START,
        "completed_at": None if status is RunStatus.RUNNING else START + 1000,
        "execution_mode": "prod",
        "owner": None,
        "trace_id": None,
        "user_id": None,
        "client_name": None,
        "client_version": None,
        "parent_run_id": None,
        "source_run_id": None,
        "source_kind": None,
        "idempotency_key": None,
        "error": None,
        "tool": {"id": "t", "steps": [{"id": "s", "config": {"url": "https://a.example"}}]},
        "inputs": {},
        "options": {},
        "result": encode_json(data) if status is RunStatus.SUCCESS else None,
        **fields,
    }
    if (text := given["result"]) is not None:
        given["result"] = StoredText(text, len(text))
    return StoredRun(run_id=run_id, status=status, **given)


def step(step_id: str = "s", *requests: dict[str, Any], ms: int = 10, **fields: Any) -> Any:
    """A step that succeeded; its data is the envelope around `data`."""
    record: dict[str, Any] = {
        "stepId": step_id,
        "success": True,
        "status": "success",
        "startedAt": rfc3339(START),
        "completedAt": rfc3339(START + ms),
        "attempts": len(requests),
        **fields,
    }
    if "data" in fields:
        record["data"] = {"currentItem": {}, "data": fields["data"], "success": True}
    record["requests"] = list(requests)
    return record


def failed_step(step_id: str = "s", *requests: dict[str, Any], error: str = "HTTP 404") -> Any:
    return step(step_id, *requests, success=False, status="failure", error=error)


def request(url: str = "https://a.example/x", status: int | None = 200, **fields: Any) -> Any:
    record: dict[str, Any] = {"method": "GET", "url": url, "ms": 5, "bytes": 2, "attempt": 1}
    if status is not None:
        record["status"] = status
    return {**record, **fields}


def failed_run(run_id: str = "f", **fields: Any) -> StoredRun:
    """A run that ended at step `s` with HTTP 404, unless told otherwise."""
    detail = {"kind": "http_status", "stepId": "s", "http": {"status": 404}, "retryable": False}
    given: dict[str, Any] = {
        "status": "failed",
        "error": "Step s failed: HTTP 404",
        "error_detail": detail,
        "steps": [failed_step("s", request(status=404))],
        **fields,
    }
    return stored_run(run_id, **given)
