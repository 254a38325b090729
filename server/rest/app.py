"""The REST application over a service."""

from functools import cache
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from starlette.responses import HTMLResponse

from server.rest.answers import ERROR_HANDLERS, JsonAnswer
from server.rest.docs_page import docs_page
from server.rest.hooks import hooks
from server.rest.metrics import metrics
from server.rest.runs import runs
from server.rest.schedules import schedules
from server.rest.shapes import ErrorBody, Health
from server.rest.systems import systems
from server.rest.tools import tools
from server.service import Service
from server.version import VERSION
from tools.json_text import JsonObject

__all__ = ["OPEN_PATHS", "rest_app"]

#: What is served without a key: it says nothing of the home.
OPEN_PATHS = frozenset({"/health", "/openapi.json", "/docs"})

_ERRORS = {
    400: "What is wrong with the request, and what is valid.",
    401: "The key is missing or wrong.",
    403: "The key may not do this.",
    404: "It is not there; the message contains `not found`.",
    409: "It is there already, or was changed meanwhile.",
    413: "The body is too large.",
    503: "The home cannot be used now.",
}

_root = APIRouter(tags=["server"])


@_root.get("/health", response_model=Health)
async def health() -> JsonAnswer:
    """Whether the server serves, and its version."""
    return JsonAnswer({"status": "ok", "version": VERSION})


def rest_app(service: Service) -> FastAPI:
    """The application; a gate in front of it sets `state.caller` and `state.trace_id`."""
    responses: dict[int | str, dict[str, Any]] = {
        status: {"model": ErrorBody, "description": text} for status, text in _ERRORS.items()
    }
    app = FastAPI(
        title="callslip",
        version=VERSION,
        # Its pages load scripts from elsewhere; ours works without a network.
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        generate_unique_id_function=_operation_id,
        exception_handlers=ERROR_HANDLERS,
    )
    app.state.service = service
    app.include_router(_root)
    for router in (tools, runs, systems, hooks, schedules, metrics):
        app.include_router(router, responses=responses)

    @cache
    def document() -> JsonObject:
        # A tenth of a second, which nobody waits for who does not read it.
        return _openapi(app)

    @app.get("/openapi.json", include_in_schema=False)
    async def openapi() -> JsonAnswer:  # pyright: ignore[reportUnusedFunction]: FastAPI calls it
        return JsonAnswer(document())

    @app.get("/docs", include_in_schema=False)
    async def docs() -> HTMLResponse:  # pyright: ignore[reportUnusedFunction]: FastAPI calls it
        return HTMLResponse(docs_page(document()))

    return app


def _operation_id(route: APIRoute) -> str:
    """The function's name, which who imports the document has as the name of a tool."""
    return route.name


def _openapi(app: FastAPI) -> JsonObject:
    document = get_openapi(
        title="callslip",
        version=VERSION,
        summary="Stored tools and their runs over REST.",
        routes=app.routes,
    )
    schemes = document.setdefault("components", {}).setdefault("securitySchemes", {})
    schemes["key"] = {"type": "http", "scheme": "bearer"}
    for path, operations in document["paths"].items():
        for operation in operations.values():
            # A wrong shape is a 400 here.
            operation["responses"].pop("422", None)
            for status, response in operation["responses"].items():
                if status >= "400" and (content := response.get("content")):
                    # Also where the answer itself is text.
                    response["content"] = {"application/json": next(iter(content.values()))}
            if path not in OPEN_PATHS:
                operation["security"] = [{"key": []}]
    for unused in ("HTTPValidationError", "ValidationError"):
        document["components"]["schemas"].pop(unused, None)
    return document
