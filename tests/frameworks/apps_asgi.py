"""The app of these tests in ASGI frameworks."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from deeds import GETS, OUTCOMES, POSTS, deed, plain_deed, refused_sync
from fastapi import FastAPI
from fastapi import Request as FastAPIRequest
from fastapi.responses import JSONResponse as FastAPIResponse
from starlette.applications import Starlette
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

import gatehound


def starlette() -> Any:
    """Coroutine endpoints of Starlette."""

    def endpoint(name: str) -> Callable[[Request], Awaitable[JSONResponse]]:
        async def answer(request: Request) -> JSONResponse:
            result = await deed(name, gatehound.current(request))
            return JSONResponse(result, OUTCOMES.get(name, 200))

        return answer

    async def loop(request: Request) -> JSONResponse:
        return JSONResponse(refused_sync(gatehound.current(request)))

    routes = [Route(f"/{name}", endpoint(name)) for name in GETS]
    routes += [Route(f"/{name}", endpoint(name), methods=["POST"]) for name in POSTS]
    return Starlette(routes=[*routes, Route("/loop", loop)])


def starlette_def() -> Any:
    """Plain endpoints of Starlette, which run in a thread."""

    def endpoint(name: str) -> Callable[[Request], JSONResponse]:
        def answer(request: Request) -> JSONResponse:
            result = plain_deed(name, gatehound.current(request).sync)
            return JSONResponse(result, OUTCOMES.get(name, 200))

        return answer

    routes = [Route(f"/{name}", endpoint(name)) for name in GETS]
    routes += [Route(f"/{name}", endpoint(name), methods=["POST"]) for name in POSTS]
    return Starlette(routes=routes)


def starlette_dispatch() -> Any:
    """The same with a BaseHTTPMiddleware, which runs the app in a task of its own."""

    async def dispatch(request: Request, call_next: RequestResponseEndpoint) -> Response:
        return await call_next(request)

    app = starlette()
    app.add_middleware(BaseHTTPMiddleware, dispatch=dispatch)
    return app


def fastapi() -> Any:
    """`async def` endpoints of FastAPI."""
    app = FastAPI()

    @app.api_route("/loop", methods=["GET"])
    async def loop(request: FastAPIRequest) -> dict[str, Any]:
        return refused_sync(gatehound.current(request))

    @app.api_route("/{name}", methods=["GET", "POST"])
    async def answer(name: str, request: FastAPIRequest) -> FastAPIResponse:
        result = await deed(name, gatehound.current(request))
        return FastAPIResponse(result, OUTCOMES.get(name, 200))

    return app


def fastapi_def() -> Any:
    """`def` endpoints of FastAPI, which run in a thread."""
    app = FastAPI()

    @app.api_route("/{name}", methods=["GET", "POST"])
    def answer(name: str, request: FastAPIRequest) -> FastAPIResponse:
        result = plain_deed(name, gatehound.current(request).sync)
        return FastAPIResponse(result, OUTCOMES.get(name, 200))

    return app
