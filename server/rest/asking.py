"""What comes in: who asks, with which right, and JSON bodies read by our own decoder."""

from collections.abc import Callable, Collection, Coroutine
from typing import Annotated, Any

from fastapi import Depends, Query, Request
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.responses import Response

from server.callers import Caller, CallersService, NotAllowedError
from server.rest.answers import BadRequestError
from server.run_queries import refuse_unknown
from storage.api_keys import Scope
from tools.json_text import MOST_LEVELS, Json, decode_json, nests_deeply

__all__ = ["Asked", "JsonRoute", "Page", "needs", "trace_id_of"]


class _JsonRequest(Request):
    async def json(self) -> Json:
        try:
            value = decode_json(await self.body())
        except ValueError as error:
            message = f"the body is not JSON: {error}; valid is a JSON object"
            raise BadRequestError(message, [{"path": "body", "message": str(error)}]) from None
        if nests_deeply(value):
            raise BadRequestError(
                f"the body nests too deeply; valid are up to {MOST_LEVELS} levels"
            )
        return value


class JsonRoute(APIRoute):
    """A route whose bodies are exact: long integers stay, NaN and deep nesting are refused."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def decoded(request: Request) -> Response:
            try:
                return await handle(_JsonRequest(request.scope, request.receive))
            except HTTPException as error:
                # FastAPI puts words of its own in place of what reading the body raised.
                if isinstance(error.__cause__, BadRequestError):
                    raise error.__cause__ from None
                raise

        return decoded


def _asked(request: Request) -> CallersService:
    return CallersService(request.app.state.service, request.state.caller)


#: The service as the caller sees it.
Asked = Annotated[CallersService, Depends(_asked)]


def needs(scope: Scope, *, whole: bool = False, parameters: Collection[str] | None = None) -> Any:
    """A dependency: the caller's key has this scope, and with `whole` is not narrowed to tools.

    With `parameters` every other parameter of the query is refused.
    """

    def check(request: Request) -> None:
        caller: Caller = request.state.caller
        if not caller.may(scope):
            has = ", ".join(sorted(caller.scopes)) or "none"
            raise NotAllowedError(f"this needs a key with the scope {scope}; this one has: {has}")
        if whole and caller.is_narrowed:
            raise NotAllowedError("this needs a key that is not narrowed to some tools")
        if parameters is not None:
            # A key that only reads may stand there.
            given = [name for name in request.query_params if name != "token"]
            refuse_unknown(given, parameters, "this address")

    return Depends(check)


def trace_id_of(request: Request) -> str:
    """What the answer's X-Trace-Id will say."""
    return request.state.trace_id


class Page:
    """Query parameters of a list; a `limit` above the most is served as the most."""

    def __init__(self, page: int, limit: int) -> None:
        self.page = page
        self.limit = limit
        self.offset = (page - 1) * limit

    @classmethod
    def of(cls, default: int, most: int) -> Any:
        """The dependency for a list."""

        def read(
            page: Annotated[int, Query(ge=1, le=2**31, description="From 1.")] = 1,
            limit: Annotated[
                int, Query(ge=1, description=f"Above {most} it is served as {most}.")
            ] = default,
        ) -> Page:
            return cls(page, min(limit, most))

        return Depends(read)
