"""The guard and ClientIPMiddleware around the same app agree on one answer."""

from __future__ import annotations

import asyncio
from typing import Any
from wsgiref.util import setup_testing_defaults

import pytest

from gatehound import Guard, current
from gatehound import asgi as guard_asgi
from gatehound import wsgi as guard_wsgi
from gatehound.clientip import ClientIPResolver, rate_limit_key
from gatehound.clientip import asgi as own_asgi
from gatehound.clientip import wsgi as own_wsgi

CLIENT, PROXY = "203.0.113.7", "10.0.0.1"
OPTIONS: dict[str, Any] = {"mode": "x-forwarded-for", "trusted_proxies": [PROXY]}
SETTINGS = {
    "secret_keys": ["s" * 40],
    "identity_key": "i" * 40,
    "store": "memory://",
    "client_ip": OPTIONS,
}

Seen = list[tuple[str, str, str]]


def ask_asgi(guard: Guard, seen: Seen, outer: dict[str, bool] | None) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        answer = current(scope).client_ip
        seen.append((answer.text, answer.reason, rate_limit_key(scope)))
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    async def send(message: Any) -> None:
        pass

    wrapped: Any = guard_asgi.GatehoundMiddleware(app, guard)
    if outer is not None:
        wrapped = own_asgi.ClientIPMiddleware(wrapped, ClientIPResolver(**OPTIONS), **outer)
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/",
        "scheme": "http",
        "query_string": b"",
        "client": (PROXY, 4711),
        "headers": [(b"host", b"example.org"), (b"x-forwarded-for", CLIENT.encode())],
    }

    asyncio.run(wrapped(scope, None, send))


def ask_wsgi(guard: Guard, seen: Seen, outer: dict[str, bool] | None) -> None:
    def app(environ: Any, start: Any) -> list[bytes]:
        answer = current(environ).client_ip
        seen.append((answer.text, answer.reason, rate_limit_key(environ)))
        start("204 No Content", [])
        return []

    wrapped: Any = guard_wsgi.GatehoundMiddleware(app, guard)
    if outer is not None:
        wrapped = own_wsgi.ClientIPMiddleware(wrapped, ClientIPResolver(**OPTIONS), **outer)
    environ: dict[str, Any] = {"REMOTE_ADDR": PROXY, "HTTP_X_FORWARDED_FOR": CLIENT}
    setup_testing_defaults(environ)
    body = wrapped(environ, lambda *_: None)
    list(body)
    getattr(body, "close", lambda: None)()


@pytest.mark.parametrize(
    "outer", [None, {}, {"apply": True}, {"strip": True}, {"apply": True, "strip": True}], ids=str
)
@pytest.mark.parametrize("ask", [ask_asgi, ask_wsgi])
def test_one_answer(ask: Any, outer: dict[str, bool] | None) -> None:
    """`apply` rewrites the peer: a guard that resolved again would take it for a stranger."""
    seen: Seen = []
    ask(Guard(SETTINGS), seen, outer)
    assert seen == [(CLIENT, "client", f"{CLIENT}/32")]
