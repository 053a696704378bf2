"""Ask an app behind either adapter what it finds, with no framework and no server between."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

from gatehound.clientip import ClientIP, ClientIPResolver
from gatehound.clientip import asgi as asgi_adapter
from gatehound.clientip import wsgi as wsgi_adapter
from gatehound.clientip.current import KEY

Lines = Sequence[tuple[str, str]]
Wrap = Callable[[Any], Any]

RESOLVER = ClientIPResolver(mode="x-forwarded-for", trusted_proxies=["10.0.0.0/8", "unix"])


@dataclass(frozen=True)
class Found:
    """What the app found. `headers` are in the order of their arrival, names dashed."""

    answer: ClientIP
    peer: object
    headers: dict[str, str]
    scheme: str
    kept: dict[str, object]
    raw: dict[str, Any]


class Asgi:
    """Requests through the ASGI adapter."""

    name = "asgi"
    Middleware: Any = asgi_adapter.ClientIPMiddleware
    no_peer = None

    def wrap(self, resolver: ClientIPResolver = RESOLVER, **options: bool) -> Wrap:
        return lambda app: self.Middleware(app, resolver, **options)

    def request(self, peer: str | None, lines: Lines, kind: str = "http") -> dict[str, Any]:
        return {
            "type": kind,
            "asgi": {"version": "3.0"},
            "scheme": {"http": "http", "websocket": "ws"}[kind],
            "path": "/",
            "headers": [(b"host", b"inner.test"), *((n.encode(), v.encode()) for n, v in lines)],
            "client": None if peer is None else (peer, 4711),
            "server": ("127.0.0.1", 8000) if peer is not None else ("/run/app.sock", None),
            "state": {},
        }

    def ask(self, *wraps: Wrap, peer: str | None, lines: Lines = (), kind: str = "http") -> Found:
        return self.run(self.request(peer, lines, kind), *wraps)

    def run(self, scope: dict[str, Any], *wraps: Wrap) -> Found:
        """Send a scope through; the first of `wraps` is the outermost."""
        found: list[Found] = []

        async def app(scope: Any, receive: Any, send: Any) -> None:
            found.append(self.look(scope))

        asyncio.run(wrapped(app, wraps)(scope, None, None))
        return found[0]

    def look(self, scope: dict[str, Any]) -> Found:
        assert all(type(n) is bytes and type(v) is bytes for n, v in scope["headers"])
        client = scope["client"]
        headers: dict[str, str] = {}
        for raw, value in scope["headers"]:
            name = raw.decode().replace("_", "-")
            headers[name] = ", ".join(filter(None, [headers.get(name), value.decode("latin-1")]))
        return Found(
            answer=scope[KEY],
            peer=client and client[0],
            headers=headers,
            scheme=scope["scheme"],
            kept={k: v for k, v in scope.items() if k.startswith("gatehound.") and k != KEY},
            raw=scope,
        )


class Wsgi:
    """Requests through the WSGI adapter, with wsgiref.validate on both sides of it."""

    name = "wsgi"
    Middleware: Any = wsgi_adapter.ClientIPMiddleware
    no_peer = ""

    def wrap(self, resolver: ClientIPResolver = RESOLVER, **options: bool) -> Wrap:
        return lambda app: self.Middleware(app, resolver, **options)

    def request(self, peer: str | None, lines: Lines, kind: str = "http") -> dict[str, Any]:
        """Build an environ as wsgiref does: repeated lines, and both spellings, are joined."""
        environ: dict[str, Any] = {
            "HTTP_HOST": "inner.test",
            "QUERY_STRING": "",
            "REMOTE_PORT": "4711",
            "REMOTE_HOST": "proxy.test",
            "wsgi.input": io.BytesIO(),
        }
        if peer is not None:
            environ["REMOTE_ADDR"] = peer
        for name, value in lines:
            key = "HTTP_" + name.upper().replace("-", "_")
            environ[key] = f"{environ[key]},{value}" if key in environ else value
        setup_testing_defaults(environ)
        return environ

    def ask(self, *wraps: Wrap, peer: str | None, lines: Lines = (), kind: str = "http") -> Found:
        return self.run(self.request(peer, lines, kind), *wraps)

    def run(self, environ: dict[str, Any], *wraps: Wrap) -> Found:
        """Send an environ through; the first of `wraps` is the outermost."""
        found: list[Found] = []

        def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
            found.append(self.look(environ))
            start_response("200 OK", [("Content-Type", "text/plain")])
            return [b"ok"]

        body: Any = validator(wrapped(validator(app), wraps))(
            environ, lambda *args: lambda data: None
        )
        assert b"".join(body) == b"ok"
        body.close()
        return found[0]

    def look(self, environ: dict[str, Any]) -> Found:
        return Found(
            answer=environ[KEY],
            peer=environ.get("REMOTE_ADDR"),
            headers={
                key[5:].replace("_", "-").lower(): value
                for key, value in environ.items()
                if key.startswith("HTTP_")
            },
            scheme=environ["wsgi.url_scheme"],
            kept={k: v for k, v in environ.items() if k.startswith("gatehound.") and k != KEY},
            raw=environ,
        )


World = Asgi | Wsgi
WORLDS: tuple[World, ...] = (Asgi(), Wsgi())


def wrapped(app: Any, wraps: Sequence[Wrap]) -> Any:
    for wrap in reversed(wraps):
        app = wrap(app)
    return app
