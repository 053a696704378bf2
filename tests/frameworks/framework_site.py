"""Each framework as one site to talk to, whatever it speaks underneath."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from wsgiref.validate import validator

import apps_asgi
import apps_django
import apps_flask
import httpx

from gatehound import Guard
from gatehound.asgi import GatehoundMiddleware as ASGIMiddleware
from gatehound.wsgi import GatehoundMiddleware as WSGIMiddleware
from passthrough_kit import Outage, checked_inside, make_guard


def around_asgi(app: Any, guard: Guard) -> Any:
    return ASGIMiddleware(app, guard)


def around_wsgi(app: Any, guard: Guard) -> Any:
    return WSGIMiddleware(checked_inside(app), guard)


def added(app: Any, guard: Guard) -> Any:
    """Inside the framework's own error page, where most people put middleware."""
    app.add_middleware(ASGIMiddleware, guard=guard)
    return app


def assigned(app: Any, guard: Guard) -> Any:
    """As Flask's documentation says."""
    app.wsgi_app = WSGIMiddleware(app.wsgi_app, guard)
    return app


# name: (makes the app, puts our middleware around it, prefix of its paths)
SITES: dict[str, tuple[Callable[[], Any], Callable[[Any, Guard], Any], str]] = {
    "starlette": (apps_asgi.starlette, around_asgi, "/"),
    "starlette-def": (apps_asgi.starlette_def, around_asgi, "/"),
    "starlette-added": (apps_asgi.starlette, added, "/"),
    "starlette-dispatch": (apps_asgi.starlette_dispatch, around_asgi, "/"),
    "fastapi": (apps_asgi.fastapi, around_asgi, "/"),
    "fastapi-def": (apps_asgi.fastapi_def, around_asgi, "/"),
    "fastapi-def-added": (apps_asgi.fastapi_def, added, "/"),
    "flask": (apps_flask.flask, around_wsgi, "/"),
    "flask-assigned": (apps_flask.flask, assigned, "/"),
    "django-asgi": (apps_django.django_asgi, around_asgi, "/async/"),
    "django-asgi-def": (apps_django.django_asgi, around_asgi, "/plain/"),
    "django-wsgi": (apps_django.django_wsgi, around_wsgi, "/plain/"),
    "django-wsgi-async": (apps_django.django_wsgi, around_wsgi, "/async/"),
}
ON_A_LOOP = ("starlette", "fastapi", "django-asgi")


@dataclass
class Site:
    """A framework's app behind our middleware; cookies are given by hand."""

    name: str
    prefix: str
    store: Outage
    guard: Guard
    app: Any
    is_asgi: bool
    headers: dict[str, str] = field(default_factory=dict)

    def ask(self, method: str, deed: str, cookie: str = "") -> httpx.Response:
        headers = self.headers | ({"Cookie": cookie} if cookie else {})
        request = httpx.Request(method, f"https://localhost{self.prefix}{deed}", headers=headers)
        if self.is_asgi:
            return asyncio.run(self._over_asgi(request))
        transport = httpx.WSGITransport(app=self.app, remote_addr="192.0.2.7")
        with httpx.Client(transport=transport) as client:
            return client.send(request)

    async def _over_asgi(self, request: httpx.Request) -> httpx.Response:
        transport = httpx.ASGITransport(
            app=self.app, raise_app_exceptions=False, client=("192.0.2.7", 4711)
        )
        async with httpx.AsyncClient(transport=transport) as client:
            return await client.send(request)

    def sign_in(self) -> str:
        return cookie_of(self.ask("POST", "login"))

    def living(self) -> list[str]:
        return [session.public_id for session in self.guard.sync.sessions_of("ann")]


def cookie_of(answer: httpx.Response) -> str:
    """The Cookie line that a browser would send after this response."""
    lines = answer.headers.get_list("set-cookie")
    (line,) = [line for line in lines if "-device-" not in line]
    return str(line).partition(";")[0]


def make_site(name: str, **changes: Any) -> Site:
    make_app, wrap, prefix = SITES[name]
    store = Outage()
    guard = make_guard(store, **changes)
    app, is_asgi = wrap(make_app(), guard), wrap in (around_asgi, added)
    return Site(name, prefix, store, guard, app if is_asgi else validator(app), is_asgi)
