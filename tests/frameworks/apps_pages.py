"""Apps with the pages of gatehound: served by the middleware, or mounted by the framework.

Each has /login, which signs ann in, and /account/security, a page of its own with a fragment in it.
`?at=` says there where the pages are, for what an app knows and the middleware cannot.
"""

from __future__ import annotations

import os
import warnings
from typing import Any

import flask
import jinja2
from fastapi import FastAPI
from fastapi.responses import HTMLResponse as FastAPIResponse
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import Mount, Route
from werkzeug.middleware.dispatcher import DispatcherMiddleware

from gatehound import Guard, current
from gatehound.asgi import GatehoundMiddleware as ASGIMiddleware
from gatehound.web import Pages, render_sessions
from gatehound.wsgi import GatehoundMiddleware as WSGIMiddleware

PAGES = "/account/sessions"
TEXT = "<h1>Account</h1>{{ render_sessions(visit, style='compact', at=at) }}"
AWAITED = jinja2.Environment(autoescape=True, enable_async=True)
PLAIN = jinja2.Environment(autoescape=True)
for environment in (AWAITED, PLAIN):
    environment.globals["render_sessions"] = render_sessions


async def login(request: Request) -> HTMLResponse:
    """Sign ann in."""
    await current(request).login("ann")
    return HTMLResponse("signed in")


async def account(request: Request) -> HTMLResponse:
    """Show a page with a fragment in it."""
    at = request.query_params.get("at")
    page = await AWAITED.from_string(TEXT).render_async(visit=current(request), at=at)
    return HTMLResponse(page)


def starlette(mounts: bool) -> Any:
    """Coroutine endpoints of Starlette."""
    routes: list[Any] = [Route("/login", login), Route("/account/security", account)]
    if mounts:
        routes.append(Mount(PAGES, Pages().asgi))
    return Starlette(routes=routes)


def fastapi(mounts: bool) -> Any:
    """`def` endpoints of FastAPI, which use the plain face."""
    app = FastAPI()

    @app.get("/login")
    def sign_in(request: Request) -> str:
        current(request).sync.login("ann")
        return "signed in"

    @app.get("/account/security")
    def security(request: Request, at: str | None = None) -> FastAPIResponse:
        text = PLAIN.from_string(TEXT).render(visit=current(request).sync, at=at)
        return FastAPIResponse(text)

    if mounts:
        app.mount(PAGES, Pages().asgi)
    return app


def with_flask(mounts: bool) -> Any:
    """Views of Flask, and werkzeug's dispatcher for the mount."""
    app = flask.Flask("gatehound-pages")
    app.jinja_env.globals["render_sessions"] = render_sessions

    @app.get("/login")
    def sign_in() -> str:
        current(flask.request).login("ann")
        return "signed in"

    @app.get("/account/security")
    def security() -> str:
        visit, at = current(flask.request), flask.request.args.get("at")
        return flask.render_template_string(TEXT, visit=visit, at=at)

    if mounts:
        app.wsgi_app = DispatcherMiddleware(app.wsgi_app, {PAGES: Pages().wsgi})  # type: ignore[method-assign] # as its documentation says
    return app


def pyramid(mounts: bool) -> Any:
    """Views of Pyramid, and its own way to mount a WSGI app."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of cgi, and on newer Pythons of pkg_resources
        from pyramid.config import Configurator
        from pyramid.response import Response
        from pyramid.wsgi import wsgiapp2

    def sign_in(request: Any) -> Any:
        current(request).login("ann")
        return Response("signed in")

    def security(request: Any) -> Any:
        visit, at = current(request), request.GET.get("at")
        return Response(PLAIN.from_string(TEXT).render(visit=visit, at=at))

    with Configurator() as config:
        for name, path, view in (
            ("login", "/login", sign_in),
            ("security", "/account/security", security),
        ):
            config.add_route(name, path)
            config.add_view(view, route_name=name)
        if mounts:
            config.add_route("sessions", f"{PAGES}/*subpath")
            config.add_view(wsgiapp2(Pages().wsgi), route_name="sessions")
        return config.make_wsgi_app()


def _guard() -> Guard:
    return Guard({"development": True, "store": os.environ["STORE"], "web": {"path": PAGES}})


def live_asgi() -> Any:
    """Return a whole site, for a server."""
    return ASGIMiddleware(starlette(mounts=False), _guard())


def live_wsgi() -> Any:
    """Return a whole site, for a server."""
    return WSGIMiddleware(with_flask(mounts=False), _guard())
