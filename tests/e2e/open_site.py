"""What stays open, in a plain ASGI app, in Starlette and in FastAPI: websockets and streams.

`/login` signs in; below `/plain`, `/starlette` and `/fastapi` are `ws` (says who is there and
then echoes), `fresh` (asks for a fresh sign-in before it accepts), `events` and `download`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from fastapi import FastAPI, WebSocketDisconnect
from fastapi import WebSocket as FastAPIWebSocket
from fastapi.responses import StreamingResponse as FastAPIStream
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.websockets import WebSocket

from gatehound import Guard, current
from gatehound.asgi import GatehoundMiddleware

TICK = 0.02  # seconds between two pieces of a stream


async def pieces(first: str) -> AsyncIterator[str]:
    """Stream until somebody stops it."""
    yield first
    while True:
        await asyncio.sleep(TICK)
        yield "data: tick\n\n"


async def login(request: Request) -> PlainTextResponse:
    await current(request).login(request.query_params["user"])
    return PlainTextResponse("in")


async def logout(request: Request) -> PlainTextResponse:
    await current(request).logout()
    return PlainTextResponse("out")


# --- no framework ---


async def plain(scope: Any, receive: Any, send: Any) -> None:
    name = scope["path"].rpartition("/")[2]
    if scope["type"] == "websocket":
        await plain_socket(name, scope, receive, send)
        return
    kind = b"text/event-stream" if name == "events" else b"application/octet-stream"
    first = f"data: {current(scope).user_id}\n\n"
    start = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind)]}
    await send(start)
    async for piece in pieces(first):
        await send({"type": "http.response.body", "body": piece.encode(), "more_body": True})


async def plain_socket(name: str, scope: Any, receive: Any, send: Any) -> None:
    await receive()
    visit = current(scope)
    if name == "fresh":
        await visit.require_fresh()
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.send", "text": str(visit.user_id)})
    while (message := await receive())["type"] != "websocket.disconnect":
        await send({"type": "websocket.send", "text": message["text"]})


# --- Starlette ---


async def starlette_ws(websocket: WebSocket) -> None:
    user = current(websocket).user_id
    await websocket.accept()
    await websocket.send_text(str(user))
    async for text in websocket.iter_text():
        await websocket.send_text(text)


async def starlette_fresh(websocket: WebSocket) -> None:
    await current(websocket).require_fresh()
    await websocket.accept()


async def starlette_events(request: Request) -> StreamingResponse:
    user = current(request).user_id
    return StreamingResponse(pieces(f"data: {user}\n\n"), media_type="text/event-stream")


async def starlette_download(request: Request) -> StreamingResponse:
    user = current(request).user_id
    return StreamingResponse(pieces(f"data: {user}\n\n"), media_type="application/zip")


# --- FastAPI ---

api = FastAPI()


@api.websocket("/ws")
async def fastapi_ws(websocket: FastAPIWebSocket) -> None:
    user = current(websocket).user_id
    await websocket.accept()
    await websocket.send_text(str(user))
    try:
        while True:  # pushes, and never receives
            await websocket.send_text("tick")
            await asyncio.sleep(TICK)
    except WebSocketDisconnect:
        return


@api.websocket("/fresh")
async def fastapi_fresh(websocket: FastAPIWebSocket) -> None:
    await current(websocket).require_fresh()
    await websocket.accept()


@api.get("/events")
async def fastapi_events(request: Request) -> FastAPIStream:
    user = current(request).user_id
    return FastAPIStream(pieces(f"data: {user}\n\n"), media_type="text/event-stream")


@api.get("/download")
def fastapi_download(request: Request) -> FastAPIStream:
    user = current(request).sync.user_id
    return FastAPIStream(pieces(f"data: {user}\n\n"), media_type="application/zip")


site = Starlette(
    routes=[
        Route("/login", login, methods=["POST"]),
        Route("/logout", logout, methods=["POST"]),
        Mount("/plain", plain),
        Mount(
            "/starlette",
            routes=[
                WebSocketRoute("/ws", starlette_ws),
                WebSocketRoute("/fresh", starlette_fresh),
                Route("/events", starlette_events),
                Route("/download", starlette_download),
            ],
        ),
        Mount("/fastapi", api),
    ]
)
app = GatehoundMiddleware(site, Guard())
