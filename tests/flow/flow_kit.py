"""One flow, two worlds: every test here runs through the ASGI and the WSGI adapter."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from importlib import resources
from typing import Any
from wsgiref.validate import validator

import pytest

from gatehound import Event, Guard, Visit
from gatehound.asgi import GatehoundMiddleware as AsgiMiddleware
from gatehound.stores.base import Store
from gatehound.stores.memory import MemoryStore
from gatehound.testing import FakeClock
from gatehound.wsgi import GatehoundMiddleware as WsgiMiddleware

SECRET, OTHER_SECRET, IDENTITY = "s" * 40, "o" * 40, "i" * 40
CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/126.0.0.0 Safari/537.36"
)
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:127.0) Gecko/20100101 Firefox/127.0"
NAVIGATE = {"sec-fetch-mode": "navigate", "sec-fetch-dest": "document", "accept": "text/html"}
POLL = {"sec-fetch-mode": "cors", "sec-fetch-dest": "empty", "accept": "*/*"}
DEVICE = "gatehound-device-"
Job = Callable[[Any], Any]


@dataclass
class Result:
    """What came back: the response, and what the app's job returned or raised."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    value: Any = None
    error: BaseException | None = None

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name]

    def header(self, name: str) -> str:
        found = self.all(name)
        assert len(found) <= 1, found
        return found[0] if found else ""

    @property
    def set_cookies(self) -> list[str]:
        """The Set-Cookie lines, but for those of known devices (see test_flow_devices)."""
        return [line for line in self.all("set-cookie") if DEVICE not in line]


@dataclass
class Seen:
    """What a visit shows, copied out of the request."""

    user_id: Any
    session: Any
    ended: Any
    action: Any
    signals: Any
    activity: Any
    address: str


def look(visit: Any) -> Seen:
    return Seen(
        visit.user_id,
        visit.session,
        visit.ended,
        visit.action,
        visit.signals,
        visit.activity,
        str(visit.client_ip.address),
    )


def each(*calls: Job) -> Job:
    """Make a job that does several things in one request, and returns what each returned."""

    def job(visit: Any) -> Any:
        async def later() -> list[Any]:
            return [await _awaited(call(visit)) for call in calls]

        return later() if isinstance(visit, Visit) else [call(visit) for call in calls]

    return job


async def _awaited(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value


class Site:
    """A guarded app whose one handler runs the job that the test sends with the request."""

    def __init__(self, world: str, guard: Guard) -> None:
        self.world = world
        self.guard = guard
        self.job: Job = lambda visit: None
        self.catch = True
        self.status = 200
        self.scheme = "https"
        self.joins_by = ","  # what a WSGI server puts between header lines, "\n" in these tests
        self.app: Any = (
            AsgiMiddleware(self._asgi, guard)
            if world == "asgi"
            else WsgiMiddleware(self._wsgi, guard)
        )

    def browser(self, agent: str = CHROME, address: str = "203.0.113.7") -> Browser:
        return Browser(self, agent, address)

    async def _asgi(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            self.result.value = self.job(scope["gatehound"])
            if inspect.isawaitable(self.result.value):
                self.result.value = await self.result.value
        except Exception as error:
            self.result.error = error
            if not self.catch:
                raise
        await send({"type": "http.response.start", "status": self.status, "headers": []})
        await send({"type": "http.response.body", "body": b"app"})

    def _wsgi(self, environ: Any, start_response: Any) -> list[bytes]:
        try:
            self.result.value = self.job(environ["gatehound"])
        except Exception as error:
            self.result.error = error
            if not self.catch:
                raise
        empty = self.status == 304
        start_response(f"{self.status} Status", [] if empty else [("Content-Type", "text/plain")])
        return [b"" if empty else b"app"]

    def serve(self, method: str, path: str, headers: dict[str, str], address: str) -> Result:
        self.result = Result(0, [], b"")
        if self.world == "asgi":
            asyncio.run(self._serve_asgi(method, path, headers, address))
        else:
            self._serve_wsgi(method, path, headers, address)
        return self.result

    async def _serve_asgi(
        self, method: str, path: str, headers: dict[str, str], address: str
    ) -> None:
        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b""}

        async def send(message: Any) -> None:
            if message["type"] == "http.response.start":
                self.result.status = message["status"]
                self.result.headers = [
                    (k.decode("latin-1"), v.decode("latin-1")) for k, v in message["headers"]
                ]
            else:
                self.result.body += message["body"]

        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": method,
            "scheme": self.scheme,
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "client": (address, 50000),
            "server": ("localhost", 443),
            "headers": [
                (k.encode("latin-1"), line.encode("latin-1"))
                for k, v in headers.items()
                for line in v.split("\n")
            ],
        }
        await self.app(scope, receive, send)

    def _serve_wsgi(self, method: str, path: str, headers: dict[str, str], address: str) -> None:
        import io

        environ: dict[str, Any] = {
            "REQUEST_METHOD": method,
            "SCRIPT_NAME": "",
            "PATH_INFO": path.encode().decode("latin-1"),
            "QUERY_STRING": "",
            "SERVER_NAME": "localhost",
            "SERVER_PORT": "443",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": address,
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": self.scheme,
            "wsgi.input": io.BytesIO(),
            "wsgi.errors": io.StringIO(),
            "wsgi.multithread": False,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
        }
        for key, value in headers.items():
            environ[f"HTTP_{key.upper().replace('-', '_')}"] = value.replace("\n", self.joins_by)

        def start_response(status: str, headers: Any, exc_info: Any = None) -> Any:
            self.result.status = int(status[:3])
            self.result.headers = list(headers)
            return lambda data: None

        body = validator(self.app)(environ, start_response)
        try:
            self.result.body = b"".join(body)
        finally:
            body.close()  # type: ignore[attr-defined]  # the validator's iterable has it


@dataclass
class Browser:
    """A cookie jar with an address and a User-Agent."""

    site: Site
    agent: str
    address: str
    cookies: dict[str, str] = field(default_factory=dict)

    @property
    def names(self) -> set[str]:
        """The names of its cookies, but for those of known devices."""
        return {name for name in self.cookies if DEVICE not in name}

    def do(
        self,
        job: Job = lambda visit: None,
        *,
        path: str = "/",
        method: str = "GET",
        headers: dict[str, str] | None = None,
        catch: bool = True,
        status: int = 200,
    ) -> Result:
        """Send a request whose handler runs `job(visit)`."""
        sent = {"host": "localhost", "user-agent": self.agent, **(headers or NAVIGATE)}
        if self.cookies and "cookie" not in sent:
            sent["cookie"] = "; ".join(f"{k}={v}" for k, v in self.cookies.items())
        self.site.job, self.site.catch, self.site.status = job, catch, status
        result = self.site.serve(method, path, sent, self.address)
        for line in result.all("set-cookie"):
            pair, *attributes = line.split("; ")
            name, _, value = pair.partition("=")
            if "Max-Age=0" in attributes:
                self.cookies.pop(name, None)
            else:
                self.cookies[name] = value
        return result

    def login(self, user: str = "alice", **options: Any) -> Any:
        result = self.do(lambda visit: visit.login(user, **options), method="POST")
        assert result.error is None, result.error
        return result.value

    def see(self, **options: Any) -> Seen:
        result = self.do(look, **options)
        assert result.error is None, result.error
        seen: Seen = result.value
        return seen

    def call(self, name: str, *args: Any, **options: Any) -> Any:
        """Call a method of the visit and return what it returned; raise what it raised."""
        result = self.do(lambda visit: getattr(visit, name)(*args, **options), method="POST")
        if result.error is not None:
            raise result.error
        return result.value


def run(value: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine of the guard's asynchronous admin face."""
    return asyncio.run(value)


@pytest.fixture(params=["asgi", "wsgi"])
def world(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def events() -> list[Event]:
    return []


@pytest.fixture
def store(clock: FakeClock) -> Store:
    return MemoryStore(clock=clock)


@pytest.fixture
def make_guard(store: Store, events: list[Event]) -> Callable[..., Guard]:
    def make(
        *, over: Store | None = None, guard: dict[str, Any] | None = None, **more: Any
    ) -> Guard:
        settings = {"secret_keys": [SECRET], "identity_key": IDENTITY, **more}
        options: dict[str, Any] = {"sinks": [events.append], "store": over or store}
        return Guard(settings, **{**options, **(guard or {})})

    return make


@pytest.fixture
def make_site(world: str, make_guard: Callable[..., Guard]) -> Callable[..., Site]:
    return lambda **more: Site(world, make_guard(**more))


@pytest.fixture
def site(make_site: Callable[..., Site]) -> Site:
    return make_site()


@pytest.fixture
def demo_databases() -> dict[str, str]:
    """The detection settings that name the databases of the demo: documentation ranges only."""
    folder = resources.files("gatehound.cli.demo")
    return {
        "city_database": str(folder / "demo-city.mmdb"),
        "asn_database": str(folder / "demo-asn.mmdb"),
    }
