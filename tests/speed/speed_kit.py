"""What a guarded app asks of a real Redis server, as that server counts it.

Trips are `total_reads_processed` of INFO stats: how often the server found something to read on
a connection. A request that is written at once, and is no longer than 16 kB, is one of them
whatever number of commands is in it. Commands are the calls of INFO commandstats, which counts
those that a script runs beside those that a client sends.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import redis

import zoo
from gatehound import Guard
from gatehound._sync import run_sync
from gatehound.asgi import GatehoundMiddleware as AsgiMiddleware
from gatehound.stores.redis import RedisStore
from gatehound.wsgi import GatehoundMiddleware as WsgiMiddleware

REQUESTS = 200
V4, V6 = "203.0.113.7", "2001:db8:7::42"
COOKIE = "__Host-gatehound"
LENIENT = 5.0  # seconds: trips are counted here, on a machine that may be busy elsewhere
NAVIGATE = {
    "host": "localhost",
    "user-agent": "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0",
    "accept": "text/html",
    "sec-fetch-mode": "navigate",
    "sec-fetch-dest": "document",
}


@dataclass
class Counts:
    """What a server was asked meanwhile; filled when the counting is over."""

    trips: int = 0
    commands: Counter[str] = field(default_factory=Counter)
    writes: set[str] = field(default_factory=set)

    def __bool__(self) -> bool:
        return bool(self.trips or self.commands)


@contextlib.contextmanager
def counted(admin: redis.Redis) -> Iterator[Counts]:
    """Count until the block ends; nobody else may use the server."""
    counts = Counts()
    before_reads, before = _told(admin)
    yield counts
    reads, now = _told(admin)
    counts.trips = reads - before_reads - 1  # the second look is one itself
    counts.commands = now - before
    counts.commands["info"] -= 1
    counts.commands = +counts.commands
    counts.writes = set(counts.commands) & _writing(admin)


def _told(admin: redis.Redis) -> tuple[int, Counter[str]]:
    told: dict[str, Any] = admin.info("all")
    calls = {
        name.removeprefix("cmdstat_"): stats["calls"]
        for name, stats in told.items()
        if name.startswith("cmdstat_")
    }
    return told["total_reads_processed"], Counter(calls)


def _writing(admin: redis.Redis) -> set[str]:
    """Return the names of the commands that the server itself calls writing."""
    described: dict[str, Any] = admin.command()
    return {name.lower() for name, one in described.items() if "write" in one["flags"]}


class Door:
    """A guarded app over one store; its app looks at the visit where `looks` is true."""

    def __init__(self, world: str, store: RedisStore) -> None:
        self.store = store
        self.looks = True
        self.jar = ""
        guard = Guard(
            {"secret_keys": ["s" * 40], "identity_key": "i" * 40, "check_store_at_start": False},
            store=store,
            sinks=[lambda event: None],
        )
        self._asgi = AsgiMiddleware(self._asgi_app, guard) if world == "asgi" else None
        self._wsgi = WsgiMiddleware(self._wsgi_app, guard) if world == "wsgi" else None

    async def ask(self, address: str = V4, *, cookie: str | None = None, path: str = "/") -> str:
        """Send a request, with the cookie of the jar or another, and return the answer."""
        headers = NAVIGATE | {"cookie": self.jar if cookie is None else cookie}
        if not headers["cookie"]:
            del headers["cookie"]
        ask = self._ask_asgi if self._asgi else self._ask_wsgi
        body, given = await ask(address, headers, path)
        for name, value in given:
            if name.lower() == "set-cookie" and value.startswith(f"{COOKIE}="):
                self.jar = value.partition(";")[0]
        return body

    async def sign_in(self) -> None:
        """Sign in, and use the session, so that all is as it is with a signed-in user."""
        await self.ask(path="/sign-in")
        assert self.jar.startswith(f"{COOKIE}=")
        assert [await self.ask(address) for address in (V4, V6, V4, V6)] == ["ada"] * 4

    async def _asgi_app(self, scope: Any, receive: Any, send: Any) -> None:
        visit = scope["gatehound"]
        if scope["path"] == "/sign-in":
            await visit.login("ada")
        body = (visit.user_id or "nobody") if self.looks else "not looked"
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body.encode()})

    def _wsgi_app(self, environ: Any, start_response: Any) -> list[bytes]:
        visit = environ["gatehound"]
        if environ["PATH_INFO"] == "/sign-in":
            visit.login("ada")
        body = (visit.user_id or "nobody") if self.looks else "not looked"
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [body.encode()]

    async def _ask_asgi(
        self, address: str, headers: dict[str, str], path: str
    ) -> tuple[str, list[tuple[str, str]]]:
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {
            "type": "http",
            "method": "GET",
            "scheme": "https",
            "path": path,
            "query_string": b"",
            "client": (address, 50000),
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        }
        assert self._asgi is not None
        await self._asgi(scope, receive, send)
        given = [(name.decode(), value.decode()) for name, value in sent[0]["headers"]]
        return sent[1]["body"].decode(), given

    async def _ask_wsgi(
        self, address: str, headers: dict[str, str], path: str
    ) -> tuple[str, list[tuple[str, str]]]:
        given: list[tuple[str, str]] = []

        def start_response(status: str, lines: Any, exc_info: Any = None) -> Any:
            given.extend(lines)

        environ = {
            "REQUEST_METHOD": "GET",
            "SCRIPT_NAME": "",
            "PATH_INFO": path,
            "QUERY_STRING": "",
            "SERVER_NAME": "localhost",
            "SERVER_PORT": "443",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": address,
            "wsgi.url_scheme": "https",
            "wsgi.input": io.BytesIO(),
            **{f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers.items()},
        }
        assert self._wsgi is not None
        return b"".join(self._wsgi(environ, start_response)).decode(), given


Scene = Callable[[Door], Awaitable[None]]


def play(
    world: str, server: zoo.Server, scene: Scene, clock: Callable[[], int] | None = None
) -> None:
    """Play a scene over an empty server, with an event loop for ASGI and with none for WSGI."""
    server.ask("FLUSHALL")

    async def whole() -> None:
        suspends = world == "asgi"
        store = RedisStore(
            server.url, namespace="speed", suspends=suspends, clock=clock, deadline=LENIENT
        )
        try:
            await scene(Door(world, store))
        finally:
            await store.close()

    if world == "asgi":
        asyncio.run(whole())
    else:
        run_sync(whole())


@pytest.fixture(params=["asgi", "wsgi"])
def world(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[zoo.Server]:
    """A server for these tests alone."""
    with zoo.server(zoo.SYSTEM, tmp_path_factory.mktemp("redis")) as started:
        yield started
