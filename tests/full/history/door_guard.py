"""The way through a guarded app: real adapters, called as a server calls them.

The app is written once; under WSGI what it awaits are plain values.
"""

from __future__ import annotations

import inspect
import io
import json
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Protocol

from gatehound import Guard, LoginRefused
from gatehound._sync import run_sync
from gatehound.asgi import GatehoundMiddleware as AsgiMiddleware
from gatehound.errors import FreshLoginRequired, StoreUnavailable
from gatehound.wsgi import GatehoundMiddleware as WsgiMiddleware
from history.checker import mark_of
from history.record import name_of
from history.workload import Asked, Refusal, Token, mode_of

AGENT = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/126.0.0.0 Safari/537.36"
)
HEADERS = {
    "host": "shop.example",
    "user-agent": AGENT,
    "accept": "text/html",
    "sec-fetch-mode": "navigate",
    "sec-fetch-dest": "document",
}


class Serve(Protocol):
    """Serve one request; return status, headers by name, and the body."""

    async def __call__(self, path: str, cookie: str) -> tuple[int, dict[str, str], bytes]: ...


def guard_settings(url: str, namespace: str, limit: int) -> dict[str, Any]:
    """Settings of the app: as an app would have them, with a touch every second."""
    return {
        "store": url,
        "namespace": namespace,
        "secret_keys": ["s" * 40],
        "identity_key": "i" * 40,
        "check_store_at_start": False,
        "session": {"max_per_user": limit, "touch_interval": 1},
        "roles": {"denied": {"on_limit": "deny"}},
    }


async def act(visit: Any, path: str) -> dict[str, Any]:
    """Do what a path says, in either world."""
    _, what, argument = path.split("/", 2)
    if what == "login":
        roles = ("denied",) if mode_of(argument) == "deny" else ()
        attempt = await _value(visit.begin_login(argument))
        await _value(visit.login(argument, attempt=attempt, roles=roles))
    session = visit.session
    told: dict[str, Any] = {"user": None, "ended": visit.ended.reason if visit.ended else None}
    if session is None:
        return told
    told |= {"user": visit.user_id, "sid": session.public_id}
    if what == "logout":
        await _value(visit.logout())
    elif what == "others":
        await _value(visit.terminate_others())
    elif what == "all":
        await _value(visit.terminate_all())
    elif what == "list":
        told["living"] = [one.public_id for one in await _value(visit.sessions())]
    elif what == "count":
        told["total"] = await _value(visit.data.incr("n"))
    elif what == "mark":
        await _value(visit.data.set("whose", mark_of(visit.user_id, session.public_id)))
    elif what == "read":
        told["data"] = await _value(visit.data.all())
    return told


async def _value(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value


async def answer(visit: Any, path: str) -> tuple[int, bytes]:
    """Answer for the app; what it does not know is for the middleware."""
    try:
        return 200, json.dumps(await act(visit, path)).encode()
    except LoginRefused as refused:
        return 409, refused.reason.encode()
    except FreshLoginRequired:
        return 410, b"the session ended meanwhile"


def asgi_serve(guard: Guard) -> Serve:
    """Return what serves through the ASGI adapter."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        status, body = await answer(scope["gatehound"], scope["path"])
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": body})

    wrapped = AsgiMiddleware(app, guard)

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b""}

    async def serve(path: str, cookie: str) -> tuple[int, dict[str, str], bytes]:
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        headers = [(k.encode(), v.encode()) for k, v in {**HEADERS, "cookie": cookie}.items() if v]
        scope = {
            "type": "http", "http_version": "1.1", "method": "POST", "path": path,
            "raw_path": path.encode(), "query_string": b"", "scheme": "https",
            "headers": headers, "client": ("203.0.113.7", 40000), "server": ("shop.example", 443),
        }  # fmt: skip
        await wrapped(scope, receive, send)
        lines = _first_lines((k.decode(), v.decode()) for k, v in sent[0]["headers"])
        return sent[0]["status"], lines, b"".join(m.get("body", b"") for m in sent[1:])

    return serve


def wsgi_serve(guard: Guard) -> Serve:
    """Return what serves through the WSGI adapter; it never suspends."""

    def app(environ: Any, start_response: Any) -> list[bytes]:
        status, body = run_sync(answer(environ["gatehound"], environ["PATH_INFO"]))
        start_response(f"{status} Status", [("Content-Length", str(len(body)))])
        return [body]

    wrapped = WsgiMiddleware(app, guard)

    async def serve(path: str, cookie: str) -> tuple[int, dict[str, str], bytes]:
        headers = {**HEADERS, "cookie": cookie}
        environ: dict[str, Any] = {
            "REQUEST_METHOD": "POST", "SCRIPT_NAME": "", "PATH_INFO": path, "QUERY_STRING": "",
            "SERVER_NAME": "shop.example", "SERVER_PORT": "443", "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": "203.0.113.7", "wsgi.version": (1, 0), "wsgi.url_scheme": "https",
            "wsgi.input": io.BytesIO(), "wsgi.errors": io.StringIO(), "wsgi.multithread": True,
            "wsgi.multiprocess": True, "wsgi.run_once": False,
            **{f"HTTP_{k.upper().replace('-', '_')}": v for k, v in headers.items() if v},
        }  # fmt: skip
        begun: list[Any] = []

        def start_response(status: str, lines: Any, exc_info: Any = None) -> Any:
            begun[:] = [int(status.split()[0]), _first_lines(lines)]
            return lambda data: None

        body = b"".join(wrapped(environ, start_response))
        return begun[0], begun[1], body

    return serve


def _first_lines(lines: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The first line of each name: of cookies that is the session's, and behind it the device's."""
    found: dict[str, str] = {}
    for name, value in lines:
        found.setdefault(name.lower(), value)
    return found


class GuardDoor:
    """Does what a browser would do with its cookie."""

    def __init__(self, serve: Serve) -> None:
        self._serve = serve

    async def login(
        self, asked: Asked, user: str, wait: Callable[[], Awaitable[None]] | None
    ) -> Token:
        """Sign in; what made room is not told to a browser."""
        asked.facts["told"] = False
        status, headers, body = await asked.timed(self._serve(f"/login/{user}", ""))
        told = _told(status, body)
        if told["user"] is None:
            asked.calls = 2  # it was made, and another login took its place before the answer
            raise Refusal("ended meanwhile")
        cookie = headers["set-cookie"].partition(";")[0]
        asked.facts |= {"sid": told["sid"], "secret": name_of(cookie)}
        asked.facts["owners"] = ((told["user"], told["sid"]),)
        return Token(user, told["sid"], cookie)

    async def look(self, asked: Asked, token: Token) -> None:
        """Ask who one is."""
        await self._ask(asked, token, "look")

    async def end(self, asked: Asked, token: Token, mode: str) -> None:
        """Sign out here, everywhere else, or everywhere."""
        which = {"only": "logout", "keep": "others", "all": "all"}[mode]
        told = await self._ask(asked, token, which)
        if told["user"] is None:
            raise Refusal("nobody is signed in")

    async def renew(self, asked: Asked, token: Token) -> Token:
        """Not done here: a cookie that others hold too would be an alarm."""
        raise Refusal("not done")

    async def list(self, asked: Asked, token: Token) -> None:
        """List the sessions of the user who is signed in."""
        told = await self._ask(asked, token, "list")
        if told["user"] is None:
            raise Refusal("nobody is signed in")
        asked.facts["living"] = tuple(told["living"])

    async def count(self, asked: Asked, token: Token) -> None:
        """Add one to the counter of the session."""
        asked.facts["total"] = (await self._ask(asked, token, "count")).get("total")
        if asked.facts["total"] is None:
            raise Refusal("dead")

    async def mark(self, asked: Asked, token: Token) -> None:
        """Write into the app data whose it is."""
        await self._ask(asked, token, "mark")

    async def read(self, asked: Asked, token: Token) -> None:
        """Read the app data."""
        told = await self._ask(asked, token, "read")
        data = told.get("data", {})
        asked.facts["mark"] = data.get("whose", "")
        asked.facts["total"] = data.get("n", 0) if told["user"] else None

    async def search(self, asked: Asked) -> None:
        """Not done here: browsers cannot."""
        raise Refusal("not done")

    async def _ask(self, asked: Asked, token: Token, what: str) -> dict[str, Any]:
        status, _, body = await asked.timed(self._serve(f"/{what}/", token.secret))
        told = _told(status, body)
        if told["user"] is not None:
            asked.facts["owners"] = ((told["user"], told["sid"]),)
        live = told["user"] is not None
        asked.facts["standing"] = "live" if live else "ended" if told["ended"] else "unknown"
        return told


def _told(status: int, body: bytes) -> dict[str, Any]:
    if status == 503:
        raise StoreUnavailable(body.decode())
    if status in (401, 409, 410):
        raise Refusal(body.decode())
    if status != 200:
        raise AssertionError(f"the app answered {status}: {body!r}")
    told: dict[str, Any] = json.loads(body)
    return told
