"""A bare Starlette app that makes one request for each call, and records nothing."""

import socket
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route


def main() -> None:
    upstream = sys.argv[1]
    clients: list[httpx.AsyncClient] = []

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncGenerator[None]:
        async with httpx.AsyncClient() as client:
            clients.append(client)
            yield

    async def run(request: Request) -> JSONResponse:
        await request.body()
        answer = await clients[0].get(upstream)
        return JSONResponse({"status": "success", "data": answer.json()})

    app = Starlette(routes=[Route("/run", run, methods=["POST"])], lifespan=lifespan)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(f"http://127.0.0.1:{listener.getsockname()[1]}", file=sys.stderr, flush=True)
        uvicorn.Server(uvicorn.Config(app, log_level="error")).run([listener])


if __name__ == "__main__":
    main()
