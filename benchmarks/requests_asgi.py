"""The ASGI apps of requests.py: each signs one user in, and answers whose session a request has.

`POST /sign-in` starts a session of USER; `GET /` answers the user id that the session holds as
plain text, and 401 where there is none. The bare apps answer USER without looking. Each maker
imports what it needs itself, so that nobody's process holds what another one uses.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import requests_floor
from requests_participants import USER
from requests_settings import SECRET, Stores, gatehound_settings

App = Callable[..., Any]
LIFE: Final = 3600
"""Seconds that a session of a peer lives; what is set does not change what a request costs."""


async def answer(send: Any, user: str | None) -> None:
    """Send the user id, or 401."""
    body = (user or "").encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", length(body))]
    status = 200 if user else 401
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def length(body: bytes) -> bytes:
    """Return the value of Content-Length."""
    return b"%d" % len(body)


def plain() -> App:
    """Make an app that answers without looking."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await answer(send, USER)

    return app


def guard(app: App, store: str) -> App:
    """Wrap an app in gatehound's middleware, with every detector that is on by default."""
    from gatehound.asgi import GatehoundMiddleware

    return GatehoundMiddleware(app, settings=gatehound_settings(store))


def plain_gatehound(store: str) -> App:
    """Make an app that reads the visit."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        visit = scope["gatehound"]
        if scope["path"] == "/sign-in":
            await visit.login(USER)
        await answer(send, visit.user_id)

    return guard(app, store)


def plain_cookie() -> App:
    """Make an app with Starlette's signed cookie: nothing on the server, so nothing to revoke."""
    from starlette.middleware.sessions import SessionMiddleware

    async def app(scope: Any, receive: Any, send: Any) -> None:
        session = scope["session"]
        if scope["path"] == "/sign-in":
            session["user"] = USER
        await answer(send, session.get("user"))

    return SessionMiddleware(app, SECRET, max_age=LIFE)


def starsessions_options(url: str) -> dict[str, Any]:
    """Return what each starsessions middleware is given: rolling, as gatehound's sessions are."""
    from redis.asyncio import Redis
    from starsessions.stores.redis import RedisStore

    store = RedisStore(connection=Redis.from_url(url))
    return {"store": store, "lifetime": LIFE, "rolling": True, "cookie_https_only": False}


def plain_starsessions(url: str) -> App:
    """Make an app with starsessions; the session is loaded by the handler that needs it."""
    from starlette.requests import HTTPConnection
    from starsessions import SessionMiddleware, load_session

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await load_session(HTTPConnection(scope))
        if scope["path"] == "/sign-in":
            scope["session"]["user"] = USER
        await answer(send, scope["session"].get("user"))

    middleware: App = SessionMiddleware(app, **starsessions_options(url))
    return middleware


def starlette(stars: str | None = None) -> App:
    """Make a Starlette app, bare or with starsessions over this Redis."""
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.requests import Request
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route

    async def home(request: Request) -> PlainTextResponse:
        user = await read_stars(request) if stars else USER
        return PlainTextResponse(user, 200 if user else 401)

    async def sign_in(request: Request) -> PlainTextResponse:
        await write_stars(request)
        return PlainTextResponse(USER)

    routes = [Route("/", home), Route("/sign-in", sign_in, methods=["POST"])]
    return Starlette(routes=routes, middleware=stars_middleware(Middleware, stars))


def stars_middleware(make: Any, url: str | None) -> list[Any]:
    """Return what Starlette and FastAPI take as `middleware`."""
    if url is None:
        return []
    from starsessions import SessionMiddleware

    return [make(SessionMiddleware, **starsessions_options(url))]


async def read_stars(request: Any) -> str:
    """Load the session and return its user."""
    from starsessions import load_session

    await load_session(request)
    user: str = request.session.get("user", "")
    return user


async def write_stars(request: Any) -> None:
    """Put the user into a session."""
    from starsessions import load_session

    await load_session(request)
    request.session["user"] = USER


def fastapi(stars: str | None = None, guarded: str | None = None) -> App:
    """Make a FastAPI app: bare, with starsessions, or guarded."""
    import fastapi
    from fastapi.responses import PlainTextResponse
    from starlette.middleware import Middleware

    async def home(request: fastapi.Request) -> PlainTextResponse:
        user = USER
        if stars:
            user = await read_stars(request)
        elif guarded:
            user = request.scope["gatehound"].user_id or ""
        return PlainTextResponse(user, 200 if user else 401)

    async def sign_in(request: fastapi.Request) -> PlainTextResponse:
        await (write_stars(request) if stars else request.scope["gatehound"].login(USER))
        return PlainTextResponse(USER)

    # Annotations are looked up among the globals of the module, and Request is none of them.
    for handler in (home, sign_in):
        handler.__annotations__ = {"request": fastapi.Request}
    app = fastapi.FastAPI(middleware=stars_middleware(Middleware, stars))
    app.get("/")(home)
    app.post("/sign-in")(sign_in)
    return guard(app, guarded) if guarded else app


def litestar(url: str | None = None) -> App:
    """Make a Litestar app: bare, or with its sessions in Redis, renewed at each access."""
    import litestar
    from litestar.middleware.session.server_side import ServerSideSessionConfig
    from litestar.stores.redis import RedisStore

    def respond(user: str) -> litestar.Response[str]:
        return litestar.Response(user, media_type="text/plain", status_code=200 if user else 401)

    async def home(request: Any) -> Any:
        return respond(request.session.get("user", "") if url else USER)

    async def sign_in(request: Any) -> Any:
        request.set_session({"user": USER})
        return respond(USER)

    for handler in (home, sign_in):
        handler.__annotations__ = {"request": litestar.Request, "return": litestar.Response}
    handlers: list[Any] = [litestar.get("/")(home), litestar.post("/sign-in")(sign_in)]
    if url is None:
        return litestar.Litestar(handlers, openapi_config=None)
    config = ServerSideSessionConfig(max_age=LIFE, renew_on_access=True)
    return litestar.Litestar(
        handlers,
        middleware=[config.middleware],
        stores={"sessions": RedisStore.with_client(url)},
        openapi_config=None,
    )


MAKERS: Final[dict[str, Callable[[Stores], App]]] = {
    "ASGI": lambda _: plain(),
    "ASGI + one trip by hand": lambda stores: requests_floor.asgi(stores.redis, answer),
    "ASGI + gatehound, Redis": lambda stores: plain_gatehound(stores.redis),
    "ASGI + gatehound, SQLite": lambda stores: plain_gatehound(stores.sqlite),
    "ASGI + Starlette's cookie": lambda _: plain_cookie(),
    "ASGI + starsessions": lambda stores: plain_starsessions(stores.redis),
    "Starlette": lambda _: starlette(),
    "Starlette + starsessions": lambda stores: starlette(stores.redis),
    "FastAPI": lambda _: fastapi(),
    "FastAPI + gatehound": lambda stores: fastapi(guarded=stores.redis),
    "FastAPI + starsessions": lambda stores: fastapi(stores.redis),
    "Litestar": lambda _: litestar(),
    "Litestar + its sessions": lambda stores: litestar(stores.redis),
}
