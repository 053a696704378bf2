"""The participants of client_ip.py, each in the same shape, and how a batch of calls runs.

What belongs here: how each one is set up to do the work of a cell, and what it leaves out of
that work. What must not: how often it is called, and what becomes of the figures.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from client_ip_requests import Cell, Request, make_environ, make_scope
from hypercorn.middleware.proxy_fix import ProxyFixMiddleware
from python_ipware import IpWare
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware
from werkzeug.middleware.proxy_fix import ProxyFix

from gatehound.clientip import ClientIPResolver

Target = Callable[..., Any]
Make = Callable[[Any, Cell], Target]
See = Callable[[Any], None] | None

clock: Final = time.process_time_ns


class AsgiFloor:
    """The shape of each ASGI participant: an object that awaits the app."""

    def __init__(self, app: Target) -> None:
        self.app = app

    async def __call__(self, scope: dict[str, Any], receive: Target, send: Target) -> Any:
        return await self.app(scope, receive, send)


class Gatehound(AsgiFloor):
    """The address as text, where uvicorn puts it."""

    def __init__(self, app: Target, resolver: ClientIPResolver) -> None:
        self.app = app
        self.resolver = resolver

    async def __call__(self, scope: dict[str, Any], receive: Target, send: Target) -> Any:
        scope["client"] = (self.resolver.from_scope(scope).text, 0)
        return await self.app(scope, receive, send)


class GatehoundObject(Gatehound):
    """The address as an ipaddress object, and its text from that."""

    async def __call__(self, scope: dict[str, Any], receive: Target, send: Target) -> Any:
        scope["client"] = (str(self.resolver.from_scope(scope).address), 0)
        return await self.app(scope, receive, send)


class WsgiFloor:
    """The shape of each WSGI participant."""

    def __init__(self, app: Target) -> None:
        self.app = app

    def __call__(self, environ: dict[str, Any], start: Target) -> Any:
        return self.app(environ, start)


class GatehoundWsgi(WsgiFloor):
    """The address as text, where werkzeug puts it."""

    def __init__(self, app: Target, resolver: ClientIPResolver) -> None:
        self.app = app
        self.resolver = resolver

    def __call__(self, environ: dict[str, Any], start: Target) -> Any:
        environ["REMOTE_ADDR"] = self.resolver.from_environ(environ).text
        return self.app(environ, start)


class Ipware(WsgiFloor):
    """python-ipware has no middleware: its call, in the shape of the others.

    It never looks at REMOTE_ADDR, so it believes a header from anyone. Its `proxy_list` is no
    set of trusted networks but one network for each place in the chain, from the right: where
    22 networks may stand at every place it cannot say so. `list` gives it the network of
    everyone at each place (a match costs the same with any network), `count` the length of the
    chain alone, which is cheaper. Neither finds out whether a hop is trusted. `precedence`
    spares it the 32 other names that it would look for.
    """

    def __init__(self, app: Target, **options: Any) -> None:
        self.app = app
        self.ware = IpWare(precedence=("HTTP_X_FORWARDED_FOR",), **options)

    def __call__(self, environ: dict[str, Any], start: Target) -> Any:
        address, _ = self.ware.get_client_ip(environ)
        environ["REMOTE_ADDR"] = str(address)
        return self.app(environ, start)


def resolver(cell: Cell) -> ClientIPResolver:
    """Make gatehound's resolver, which checks the peer and each hop."""
    return ClientIPResolver(mode="x-forwarded-for", trusted_proxies=cell.trusted)


def call_alone(see: See, cell: Cell) -> Target:
    """Gatehound without a middleware around it: one call, as a view would make it."""
    ask = resolver(cell).from_scope
    if see is None:
        return lambda scope: ask(scope).text
    return lambda scope: see(ask(scope).text)


def asgi_app(see: See) -> Target:
    """Make the app behind an ASGI participant; it returns at once, or shows the client."""

    async def app(scope: Any, _receive: Any, _send: Any) -> None:
        if see is not None:
            see(scope["client"])

    return app


def wsgi_app(see: See) -> Target:
    """Make the app behind a WSGI participant."""

    def app(environ: Any, _start: Any) -> tuple[()]:
        if see is not None:
            see(environ["REMOTE_ADDR"])
        return ()

    return app


def run_asgi(target: Target, batch: Sequence[dict[str, Any]]) -> int:
    """Drive the coroutines by hand: an event loop would cost more than what is measured."""
    before = clock()
    for scope in batch:
        try:  # noqa: SIM105 - contextlib.suppress costs more than the floor
            target(scope, None, None).send(None)
        except StopIteration:
            pass
    return clock() - before


def run_wsgi(target: Target, batch: Sequence[dict[str, Any]]) -> int:
    """Call a WSGI app with each request."""
    before = clock()
    for environ in batch:
        target(environ, None)
    return clock() - before


def run_calls(target: Target, batch: Sequence[dict[str, Any]]) -> int:
    """Call what takes a scope and is no app."""
    before = clock()
    for scope in batch:
        target(scope)
    return clock() - before


class Side(NamedTuple):
    """Participants that take the same request in the same way."""

    make_request: Callable[[Request], dict[str, Any]]
    run: Callable[[Target, Sequence[dict[str, Any]]], int]
    app: Callable[[See], Any]
    base: str
    makers: dict[str, Make]


# hypercorn and werkzeug count, and check neither the peer nor a hop. hypercorn copies the whole
# scope and looks for two more headers, which cannot be turned off; werkzeug's second can, and is.
SIDES: Final = (
    Side(
        make_scope,
        run_asgi,
        asgi_app,
        "gatehound",
        {
            "floor": lambda app, cell: AsgiFloor(app),
            "gatehound": lambda app, cell: Gatehound(app, resolver(cell)),
            "gatehound, str(.address)": lambda app, cell: GatehoundObject(app, resolver(cell)),
            "uvicorn": lambda app, cell: ProxyHeadersMiddleware(app, trusted_hosts=cell.trusted),
            "hypercorn": lambda app, cell: ProxyFixMiddleware(app, "legacy", cell.hops),
        },
    ),
    Side(
        make_scope, run_calls, lambda see: see, "gatehound", {"gatehound, call alone": call_alone}
    ),
    Side(
        make_environ,
        run_wsgi,
        wsgi_app,
        "gatehound (WSGI)",
        {
            "floor (WSGI)": lambda app, cell: WsgiFloor(app),
            "gatehound (WSGI)": lambda app, cell: GatehoundWsgi(app, resolver(cell)),
            "werkzeug": lambda app, cell: ProxyFix(app, x_for=cell.hops, x_proto=0),
            "python-ipware, count": lambda app, cell: Ipware(app, proxy_count=cell.hops - 1),
            "python-ipware, list": lambda app, cell: Ipware(
                app, proxy_list=[cell.everyone] * (cell.hops - 1)
            ),
        },
    ),
)
