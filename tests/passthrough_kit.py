"""Drive both adapters by hand, with no framework and no server between."""

from __future__ import annotations

import asyncio
import inspect
import io
from collections.abc import Awaitable, Callable, Iterable, MutableMapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import gatehound
from gatehound import Guard
from gatehound.asgi import GatehoundMiddleware as ASGIMiddleware
from gatehound.errors import StoreUnavailable
from gatehound.stores.memory import MemoryStore
from gatehound.wsgi import GatehoundMiddleware as WSGIMiddleware

Headers = Sequence[tuple[str, str]]
Message = MutableMapping[str, Any]
Verb = str | Callable[[], None]
COOKIE = "__Host-gatehound"
PLAIN: Headers = (("Content-Type", "text/plain"),)


class Boom(Exception):
    """What an app raises that has nothing to do with us."""


class Outage(MemoryStore):
    """A memory store that can be cut off."""

    down = False

    def cut(self) -> None:
        self.down = True

    def _step(self) -> Any:
        if self.down:
            raise StoreUnavailable("the store was cut off by the test")
        return super()._step()


def make_guard(store: MemoryStore | None = None, /, **changes: Any) -> Guard:
    """Build a guard over a store, or over what the settings name."""
    settings = {
        "secret_keys": ["s" * 40],
        "identity_key": "i" * 40,
        "store": "memory://",
        "detection": {"mode": "off"},
        **changes,
    }
    return Guard(settings, sinks=(), store=store)


@dataclass
class Exchange:
    """One response: what came back, and what came out as an exception."""

    status: int = 0
    headers: list[tuple[str, str]] = field(default_factory=list)
    chunks: list[bytes] = field(default_factory=list)
    sent: list[Message] = field(default_factory=list)
    error: BaseException | None = None

    @property
    def body(self) -> bytes:
        return b"".join(self.chunks)

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def one(self, name: str) -> str:
        (value,) = self.all(name)
        return value

    @property
    def cookie(self) -> str:
        """The value of our cookie; "" where it was removed, AssertionError where not set."""
        (line,) = self.set_cookies
        name, _, value = line.partition(";")[0].partition("=")
        assert name == COOKIE
        return value

    @property
    def set_cookies(self) -> list[str]:
        """The Set-Cookie lines, but for those of known devices."""
        return [line for line in self.all("set-cookie") if f"{COOKIE}-device-" not in line]


def step(visit: Any, verb: Verb) -> Any:
    """Do one thing with a visit of either face; the result may be awaitable."""
    if callable(verb):
        return verb()
    if verb == "read":
        return visit.user_id
    if verb == "login":
        return visit.login("ann")
    if verb == "fresh":
        return visit.require_fresh(0)
    if verb == "stale":
        return visit.require_fresh(-1)  # no sign-in is that fresh
    if verb == "boom":
        raise Boom
    return getattr(visit, verb)()


def http_scope(method: str = "GET", path: str = "/", headers: Headers = ()) -> Message:
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "https",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(k.lower().encode(), v.encode()) for k, v in (("Host", "localhost"), *headers)],
        "client": ("192.0.2.1", 4711),
        "server": ("localhost", 443),
    }


async def talk(app: Any, scope: Message, incoming: Iterable[Message] = ()) -> Exchange:
    """Run one scope to its end; exceptions are kept in the exchange."""
    exchange, waiting = Exchange(), iter(incoming)

    async def receive() -> Message:
        return next(waiting)

    async def send(message: Message) -> None:
        exchange.sent.append(message)

    try:
        await app(scope, receive, send)
    except Exception as error:
        exchange.error = error
    for message in exchange.sent:
        if message["type"] in ("http.response.start", "websocket.accept"):
            exchange.status = message.get("status", 101)
            exchange.headers = [(k.decode(), v.decode()) for k, v in message.get("headers", ())]
        elif message["type"] == "http.response.body":
            exchange.chunks.append(message.get("body", b""))
    return exchange


def make_environ(method: str = "GET", path: str = "/", headers: Headers = ()) -> dict[str, Any]:
    environ: dict[str, Any] = {
        "REQUEST_METHOD": method,
        "PATH_INFO": path,
        "SCRIPT_NAME": "",
        "QUERY_STRING": "",
        "REMOTE_ADDR": "192.0.2.1",
        "HTTP_HOST": "localhost",
        "wsgi.url_scheme": "https",
        "wsgi.input": io.BytesIO(),
    }
    environ.update({"HTTP_" + k.upper().replace("-", "_"): v for k, v in headers})
    setup_testing_defaults(environ)
    return environ


def serve(app: Any, environ: dict[str, Any], *, checked: bool = True) -> Exchange:
    """Do what a WSGI server does with one request.

    Headers go out with the first body byte (PEP 3333, "Buffering and Streaming"); a later
    start_response with exc_info then re-raises. An exception before that is a bare 500.
    """
    exchange, sent = Exchange(), False

    def write(data: bytes) -> None:
        nonlocal sent
        sent = sent or bool(data)
        exchange.chunks.append(data)

    def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
        if exc_info is not None and sent:
            raise exc_info[1].with_traceback(exc_info[2])
        assert exchange.status == 0 or exc_info is not None
        exchange.status, exchange.headers = int(status[:3]), list(headers)
        return write

    app = validator(app) if checked else app
    try:
        body = app(environ, start)
        try:
            for chunk in body:
                write(chunk)
        finally:
            if hasattr(body, "close"):
                body.close()
    except AssertionError:
        raise  # a finding of the validator, not of the app
    except Exception as error:
        exchange.error = error
        if not sent:
            exchange.status, exchange.headers = 500, []
    return exchange


@dataclass(frozen=True)
class World:
    """One adapter, around an app that does the given verbs and then answers."""

    name: str
    guard: Guard

    def ask(
        self,
        *verbs: Verb,
        cookie: str = "",
        status: int = 200,
        headers: Headers = PLAIN,
        method: str = "GET",
        path: str = "/",
        host: str = "localhost",
        accept: str = "",
        wraps: int = 1,
        peer: str = "192.0.2.1",
    ) -> Exchange:
        sends: list[tuple[str, str]] = [("Cookie", f"{COOKIE}={cookie}")] if cookie else []
        if accept:
            sends.append(("Accept", accept))
        answer = (verbs, status, headers)
        if self.name == "asgi":
            app: Any = asgi_app(*answer)
            for _ in range(wraps):
                app = ASGIMiddleware(app, self.guard)
            scope = http_scope(method, path, sends)
            scope["headers"][0] = (b"host", host.encode())
            scope["client"] = (peer, 4711)
            return asyncio.run(talk(app, scope))
        app = checked_inside(wsgi_app(*answer))
        for _ in range(wraps):
            app = WSGIMiddleware(app, self.guard)
        environ = make_environ(method, path, sends)
        environ["HTTP_HOST"], environ["REMOTE_ADDR"] = host, peer
        return serve(app, environ)

    def sign_in(self) -> str:
        return self.ask("login").cookie

    def living(self) -> list[str]:
        return [s.public_id for s in self.guard.sync.sessions_of("ann")]


def asgi_app(verbs: Sequence[Verb], status: int, headers: Headers) -> Any:
    async def app(scope: Message, receive: Any, send: Callable[[Message], Awaitable[None]]) -> None:
        visit = gatehound.current(scope)
        for verb in verbs:
            result = step(visit, verb)
            if inspect.isawaitable(result):
                await result
        encoded = [(k.lower().encode(), v.encode()) for k, v in headers]
        await send({"type": "http.response.start", "status": status, "headers": encoded})
        await send({"type": "http.response.body", "body": body_for(status)})

    return app


def wsgi_app(verbs: Sequence[Verb], status: int, headers: Headers) -> Any:
    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        visit = gatehound.current(environ)
        for verb in verbs:
            step(visit, verb)
        start_response(f"{status} Because", list(headers))
        return [body_for(status)]

    return app


def body_for(status: int) -> bytes:
    return b"" if status in (204, 304) else b"app"


def checked_inside(app: Any) -> Any:
    """Put wsgiref.validate between middleware and app.

    It takes every environ key without a dot for a CGI variable, which has to be text, so the
    visit is laid aside while it looks.
    """

    def outer(environ: dict[str, Any], start_response: Any) -> Any:
        visit = environ.pop("gatehound", None)

        def inner(environ: dict[str, Any], start_response: Any) -> Any:
            environ["gatehound"] = visit
            return app(environ, start_response)

        return validator(inner)(environ, start_response)

    return outer
