"""What the servers of these tests serve: a guarded app, and its figures beside it, for both worlds.

The figures are outside of the guard, so that a scrape is no request that is counted.
"""

from __future__ import annotations

import os
from typing import Any

from prometheus_client import (
    REGISTRY,
    CollectorRegistry,
    make_asgi_app,
    make_wsgi_app,
    multiprocess,
)

from gatehound import Guard
from gatehound.asgi import GatehoundMiddleware as AsgiMiddleware
from gatehound.wsgi import GatehoundMiddleware as WsgiMiddleware

guard = Guard()


def registry() -> CollectorRegistry:
    """All processes' figures where there are several, else this one's."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return REGISTRY
    summed = CollectorRegistry()
    multiprocess.MultiProcessCollector(summed)  # type: ignore[no-untyped-call]  # it has no types
    return summed


def _wsgi_app(environ: Any, start_response: Any) -> list[bytes]:
    visit = environ["gatehound"]
    if environ["PATH_INFO"] == "/sign-in":
        visit.login("ada")
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(os.getpid()).encode()]


async def _asgi_app(scope: Any, receive: Any, send: Any) -> None:
    visit = scope["gatehound"]
    if scope["path"] == "/sign-in":
        await visit.login("ada")
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": (visit.user_id or "nobody").encode()})


_wsgi_guarded = WsgiMiddleware(_wsgi_app, guard)
_asgi_guarded = AsgiMiddleware(_asgi_app, guard)
_asgi_metrics = make_asgi_app(registry())


def wsgi(environ: Any, start_response: Any) -> Any:
    """Serve the figures, or the guarded app."""
    if environ["PATH_INFO"] == "/metrics":
        return make_wsgi_app(registry())(environ, start_response)
    return _wsgi_guarded(environ, start_response)


async def asgi(scope: Any, receive: Any, send: Any) -> None:
    """Serve the figures, or the guarded app."""
    if scope["type"] == "http" and scope["path"] == "/metrics":
        await _asgi_metrics(scope, receive, send)
    elif scope["type"] == "http":
        await _asgi_guarded(scope, receive, send)
