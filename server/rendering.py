"""A run as the answer of an MCP `tools/call`: result, preview, handle or error."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from server.preview import preview_of
from tools.errors import ErrorDetail
from tools.json_text import Json, JsonObject, encode_unicode, nests_deeply
from tools.run import RunOutcome, RunStatus

__all__ = ["AnswerContext", "render_error", "render_handle", "render_result"]


@dataclass(frozen=True)
class AnswerContext:
    """What an answer needs to know beside the run."""

    run_id: str
    uri: str
    title: str
    inline_limit_characters: int
    #: Whether the host knows `resource_link`.
    resource_links: bool
    wraps_result: bool
    #: Whether a value is valid as `structuredContent` of this tool.
    conforms: Callable[[JsonObject], bool]


def render_result(outcome: RunOutcome, answer: AnswerContext) -> JsonObject:
    """The answer of a run that succeeded: the result, or a preview when it is large."""
    size = outcome.data_bytes or 0
    limit = answer.inline_limit_characters
    if _is_longer(outcome, limit) or nests_deeply(outcome.data, outcome.data_json):
        preview = preview_of(outcome.data, size)
        following = (
            f"the whole result has {size:,} bytes; read parts of it with read_result "
            f'(runId "{answer.run_id}", path as JSONPath, fields, offset, limit), '
            f"or the resource {answer.uri}/results"
        )
        return render_handle(RunStatus.SUCCESS, following, answer, preview=preview)
    data, text = encode_unicode(outcome.data, outcome.data_json)
    if answer.wraps_result or not isinstance(data, dict):
        structured: JsonObject = {"result": data}
    else:
        structured = cast("JsonObject", data)
    if not answer.conforms(structured):
        following = (
            "a response filter changed the result, so it no longer fits the declared output; "
            f'read it with read_result (runId "{answer.run_id}")'
        )
        return render_handle(RunStatus.SUCCESS, following, answer, preview=preview_of(data, size))
    return {
        "content": [_text(text), *_run_content(answer)],
        "structuredContent": structured,
        "isError": False,
        "_meta": {"callslip/runId": answer.run_id},
    }


def _is_longer(outcome: RunOutcome, characters: int) -> bool:
    """Whether the text of the result is; far from the limit its bytes tell that."""
    size = outcome.data_bytes or 0
    if size <= characters:
        return False
    return size > 4 * characters or len(outcome.text().decode("utf-8", "replace")) > characters


def render_handle(
    status: RunStatus, following: str, answer: AnswerContext, *, preview: JsonObject | None = None
) -> JsonObject:
    """A handle in place of the result; `following` says how to go on."""
    handle: JsonObject = {"runId": answer.run_id, "status": status, "uri": answer.uri}
    if preview is not None:
        handle["preview"] = preview
    handle["next"] = following
    structured, text = encode_unicode({"callslip": handle})
    return {
        "content": [_text(text), *_run_content(answer)],
        "structuredContent": structured,
        "isError": False,
        "_meta": {"callslip/runId": answer.run_id},
    }


def render_error(
    message: str, detail: ErrorDetail | None, answer: AnswerContext | None
) -> JsonObject:
    """An error the model can act on. `answer` is None where there is no run."""
    lines = [message]
    meta: JsonObject = {}
    if detail is not None:
        if detail.hint:
            lines.append(f"what to do: {detail.hint}")
        if detail.retryable:
            lines.append("the same call may succeed later")
        meta["callslip/error"] = detail.wire()
    content: list[Json] = [_text("\n".join(lines))]
    if answer is not None:
        content.extend(_run_content(answer))
        meta["callslip/runId"] = answer.run_id
    return encode_unicode({"content": content, "isError": True, "_meta": meta})[0]


def _run_content(answer: AnswerContext) -> list[Json]:
    content: list[Json] = [_text(f"run: {answer.uri}")]
    if answer.resource_links:
        content.append(
            {
                "type": "resource_link",
                "uri": answer.uri,
                "name": f"run {answer.run_id}",
                "title": f"Run of {answer.title}",
                "mimeType": "application/json",
            }
        )
    return content


def _text(text: str) -> JsonObject:
    return {"type": "text", "text": text}
