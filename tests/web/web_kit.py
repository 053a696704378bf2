"""A guarded site with the pages below /sessions, and people who ask it, in both worlds."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any
from wsgiref.validate import validator

import httpx
import pytest

from gatehound import Event, Guard
from gatehound.asgi import GatehoundMiddleware as AsgiMiddleware
from gatehound.stores.base import Store
from gatehound.stores.memory import MemoryStore
from gatehound.testing import FakeClock
from gatehound.wsgi import GatehoundMiddleware as WsgiMiddleware

CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/126.0.0.0 Safari/537.36"
)
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0"
ORIGIN = "https://shop.example"
# What only one of the worlds has: in place of the fixture `world`.
only_asgi = pytest.mark.parametrize("world", ["asgi"])
only_wsgi = pytest.mark.parametrize("world", ["wsgi"])
TOKEN = re.compile(r'name="token" value="([^"]+)"')
SESSION = re.compile(r'name="session" value="([^"]+)"')


class Place:
    """The site: /login?user=NAME&role=ROLE signs in, everything else of the app says "app"."""

    def __init__(self, world: str, guard: Guard, events: list[Event]) -> None:
        self.world = world
        self.guard = guard
        self.events = events
        self.calls: list[str] = []  # paths that reached the app
        self.job: Callable[[Any], Any] = lambda visit: "app"
        wrap: Any = AsgiMiddleware if world == "asgi" else WsgiMiddleware
        self.app: Any = wrap(self._asgi if world == "asgi" else self._wsgi, guard)

    def person(self, agent: str = CHROME, address: str = "203.0.113.7") -> Person:
        return Person(self, agent, address)

    async def _asgi(self, scope: Any, receive: Any, send: Any) -> None:
        visit, query = scope["gatehound"], httpx.QueryParams(scope["query_string"].decode())
        self.calls.append(scope["path"])
        if scope["path"] == "/login":
            await visit.login(query["user"], roles=tuple(query.get_list("role")))
        answer = self.job(visit)
        answer = await answer if asyncio.iscoroutine(answer) else answer
        headers = [(b"content-type", b"text/html; charset=utf-8")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": str(answer).encode()})

    def _wsgi(self, environ: Any, start_response: Any) -> list[bytes]:
        visit, query = environ["gatehound"], httpx.QueryParams(environ["QUERY_STRING"])
        self.calls.append(environ["PATH_INFO"])
        if environ["PATH_INFO"] == "/login":
            visit.login(query["user"], roles=tuple(query.get_list("role")))
        answer = str(self.job(visit)).encode()
        start_response("200 OK", [("Content-Type", "text/html; charset=utf-8")])
        return [answer]


class Person:
    """A browser at an address, with its cookies."""

    def __init__(self, place: Place, agent: str, address: str) -> None:
        self.place = place
        self.headers = {"user-agent": agent, "accept": "text/html", "sec-fetch-mode": "navigate"}
        self.address = address
        self.cookies = httpx.Cookies()

    def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Send one request, and follow nothing."""
        headers = {**self.headers, **options.pop("headers", {})}
        options |= {"headers": headers}
        response = (
            asyncio.run(self._ask_asgi(method, path, options))
            if self.place.world == "asgi"
            else self._ask_wsgi(method, path, options)
        )
        self.cookies.update(response.cookies)
        for line in response.headers.get_list("set-cookie"):
            if "Max-Age=0" in line:
                self.cookies.delete(line.partition("=")[0], domain="shop.example")
        return response

    async def _ask_asgi(self, method: str, path: str, options: Any) -> httpx.Response:
        transport = httpx.ASGITransport(self.place.app, client=(self.address, 50_000))
        async with httpx.AsyncClient(
            transport=transport, base_url=ORIGIN, cookies=self.cookies
        ) as client:
            response = await client.request(method, path, **options)
            await response.aread()
            self.cookies = client.cookies
            return response

    def _ask_wsgi(self, method: str, path: str, options: Any) -> httpx.Response:
        app: Any = validator(self.place.app)

        def sent(environ: Any, start_response: Any) -> Any:
            environ["REQUEST_URI"] = path  # as servers say it, which decode the rest
            return app(environ, start_response)

        transport = httpx.WSGITransport(sent, remote_addr=self.address)
        with httpx.Client(transport=transport, base_url=ORIGIN, cookies=self.cookies) as client:
            response = client.request(method, path, **options)
            self.cookies = client.cookies
            return response

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.ask("GET", path, **options)

    def login(self, user: str = "ann", *roles: str) -> Person:
        query = httpx.QueryParams([("user", user), *(("role", one) for one in roles)])
        assert self.get(f"/login?{query}").status_code == 200
        return self

    def token(self) -> str:
        """The token of the forms on the page of sessions."""
        found = TOKEN.search(self.get("/sessions/").text)
        assert found is not None
        return found[1]

    def submit(self, name: str, *, headers: dict[str, str] | None = None, **fields: str) -> Any:
        """Send a form of the pages as a browser does, with the token unless one is given."""
        fields = {"token": self.token(), **fields} if "token" not in fields else fields
        sent = {"origin": ORIGIN, "sec-fetch-site": "same-origin", **(headers or {})}
        return self.ask("POST", f"/sessions/{name}", data=fields, headers=sent)

    def call(
        self,
        method: str,
        path: str,
        *,
        token: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> httpx.Response:
        """Ask the JSON API as a script of the site does; `token` None is the one it gives."""
        sent = {
            "accept": "application/json",
            "origin": ORIGIN,
            "sec-fetch-mode": "cors",
            "sec-fetch-site": "same-origin",
        }
        if method not in ("GET", "HEAD"):
            sent["x-csrf-token"] = self.api_token() if token is None else token
        return self.ask(method, f"/sessions/api/{path}", headers={**sent, **(headers or {})})

    def api_token(self) -> str:
        """The token of the JSON API; "" for nobody."""
        return str(self.call("GET", "token").json().get("token", ""))


@pytest.fixture(params=["asgi", "wsgi"])
def world(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def make_place(world: str, clock: FakeClock) -> Callable[..., Place]:
    def make(store: Store | None = None, guard: Any = None, **settings: Any) -> Place:
        events: list[Event] = []
        web = {"path": "/sessions", "sign_in_url": "/login", **settings.pop("web", {})}
        given = {"secret_keys": ["s" * 40], "identity_key": "i" * 40, "web": web, **settings}
        made = Guard(
            given, store=store or MemoryStore(clock=clock), sinks=[events.append], **(guard or {})
        )
        return Place(world, made, events)

    return make


@pytest.fixture
def place(make_place: Callable[..., Place]) -> Place:
    return make_place()
