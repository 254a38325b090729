"""`/v1/hooks`: senders outside start a tool, with a key or with the proof its hook asks for."""

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Request
from fastapi.params import Depends
from starlette.responses import PlainTextResponse, Response

from server.automation import Automation
from server.callers import Caller, NotAllowedError
from server.hooks import challenge_of, inputs_of
from server.rest.answers import BadRequestError, JsonAnswer, error_answer
from server.rest.asking import Asked
from server.rest.shapes import Accepted, ErrorBody
from storage.api_keys import Scope
from tools.json_text import JsonObject

__all__ = ["hooks"]

hooks = APIRouter(prefix="/v1/hooks", tags=["hooks"])


async def _automation(asked: Asked) -> Automation:
    return Automation(asked)


Asking = Annotated[Automation, Depends(_automation)]


@hooks.get(
    "/{tool_id}",
    response_class=PlainTextResponse,
    responses={405: {"model": ErrorBody, "description": "There is nothing to say back."}},
)
async def answer_challenge(request: Request, automation: Asking, tool_id: str) -> Response:
    """Say back what a sender asks, to prove that the address is ours."""
    caller: Caller = request.state.caller
    if not caller.may(Scope.RUN) and await automation.hook(tool_id) is None:
        raise NotAllowedError("this tool has no hook: call with a key, or make one")
    challenge = challenge_of(request.query_params)
    if challenge is None:
        return error_answer(405, "send the event with POST", "method_not_allowed")
    # As text: what is echoed must not run in a browser.
    return PlainTextResponse(challenge, headers={"x-content-type-options": "nosniff"})


@hooks.post(
    "/{tool_id}",
    response_model=Accepted,
    status_code=202,
    openapi_extra={"requestBody": {"content": {"application/json": {"schema": {}}}}},
)
async def start_from_hook(request: Request, automation: Asking, tool_id: str) -> JsonAnswer:
    """Accept an event: its body becomes the inputs of a run that is executed in the background."""
    body = await request.body()
    caller: Caller = request.state.caller
    if not caller.may(Scope.RUN) and not await automation.admits(
        tool_id, request.headers, request.query_params, body
    ):
        failed: Callable[[], None] | None = getattr(request.state, "proof_failed", None)
        if failed is not None:
            failed()
        raise NotAllowedError(
            "the request does not prove that it may start this tool: it needs a key with the "
            "scope run, or the secret or signature that the tool's hook asks for"
        )
    try:
        inputs = inputs_of(body, request.headers.get("content-type", ""))
    except ValueError as error:
        raise BadRequestError(f"the body is neither JSON nor a form: {error}") from None
    if (challenge := _challenge_in(inputs)) is not None:
        return JsonAnswer({"challenge": challenge})
    run = await automation.start_from_hook(tool_id, inputs)
    return JsonAnswer({"runId": run.run_id, "status": "accepted", "toolId": tool_id}, 202)


def _challenge_in(inputs: JsonObject) -> str | None:
    """Slack asks in the body of a POST."""
    challenge = inputs.get("challenge")
    is_asked = inputs.get("type") == "url_verification"
    return challenge if is_asked and isinstance(challenge, str) else None
