"""The site: a small ASGI app behind the real middleware, asked in-process with real scopes.

Nothing of the guard is copied or reached into: settings go in, requests go through
`GatehoundMiddleware`, and what comes out is what an app reads of its Visit. Time is the store's,
and is moved from request to request.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, Final

from clients import Client
from databases import ANONYMOUS, ASN, CITY, CONNECTION, RACKS, RELAY
from people import Device

from gatehound import Action, Event, Guard
from gatehound.asgi import GatehoundMiddleware
from gatehound.model import Signal
from gatehound.stores.memory import MemoryStore
from gatehound.testing.clock import START, FakeClock

RELOAD: Final = 0.2  # seconds of real time between looks at the databases
_START: Final = {"type": "http.response.start", "status": 200, "headers": []}
_REFUSED: Final = {"type": "http.response.start", "status": 401, "headers": []}
_BODY: Final = {"type": "http.response.body", "body": b"ok"}
_COOKIE: Final = b"cookie"


def detection(folder: Path | None) -> dict[str, Any]:
    """Return the settings of detection with the databases of a folder; None is without any."""
    if folder is None:
        return {}
    return {
        "city_database": str(folder / CITY),
        "asn_database": str(folder / ASN),
        "anonymous_database": str(folder / ANONYMOUS),
        "connection_database": str(folder / CONNECTION),
        "network_lists": {"relay": [str(folder / RELAY)], "hosting": [str(folder / RACKS)]},
        "reload_every": RELOAD,
    }


class Site:
    """The guarded app; `ask` and `login` are what a browser does.

    After either, `action`, `signals` and `user` are what the app has read, and `reply` is the
    start of the response. `events` counts what the guard told.
    """

    def __init__(self, folder: Path | None, *, users: int) -> None:
        self.clock = FakeClock()
        self.events: Counter[str] = Counter()
        self.requests = 0
        self.action = Action.ALLOW
        self.is_flagged = False
        self.signals: tuple[Signal, ...] = ()
        self.user: str | None = None
        self.reply: Any = _START
        self.guard = Guard(
            {
                "secret_keys": ["a key of the simulation and of nothing else"],
                "identity_key": "an identity of the simulation and of nothing else",
                "detection": detection(folder),
            },
            store=MemoryStore(clock=self.clock, max_users=users + 1000),
            sinks=[self._hear],
        )
        self._serve = GatehoundMiddleware(self._app, self.guard)

    def _hear(self, event: Event) -> None:
        self.events[event.name] += 1

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:
        visit = scope["gatehound"]
        if scope["path"] == "/login":
            user, _, remember = scope["query_string"].decode().partition("&")
            await visit.login(user, remember=bool(remember))
        self.user = visit.user_id
        self.action = action = visit.action
        if action >= Action.FLAG:
            self.signals = visit.signals
            session = visit.session
            self.is_flagged = session is not None and session.flagged
        await send(_START if self.user is not None else _REFUSED)
        await send(_BODY)

    async def _receive(self) -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def _send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.reply = message

    def go_to(self, ms: int) -> None:
        """Move the clock to so many milliseconds after the start; never back."""
        ahead = START + ms - self.clock()
        if ahead > 0:
            self.clock.advance(ms=ahead)

    async def ask(
        self, client: Client, kind: str, address: str, cookie: bytes, forwarded: bytes = b""
    ) -> None:
        """Send one request."""
        await self._request(client, kind, address, cookie, b"", forwarded)

    async def login(self, device: Device, client: Client, address: str, forwarded: bytes) -> None:
        """Sign the device's user in, and keep the cookie."""
        query = b"user-%d&%s" % (device.person.number, b"remember" if device.remember else b"")
        await self._request(client, "login", address, device.cookie, query, forwarded)
        self.keep(device)

    def keep(self, device: Device) -> None:
        """Put what the response set into the device's cookie jar."""
        has_changed = False
        for name, value in self.reply["headers"]:
            if name == b"set-cookie":
                key, _, rest = value.partition(b"=")
                device.jar[key] = rest.partition(b";")[0]
                has_changed = True
        if has_changed:
            pairs = [b"%s=%s" % pair for pair in device.jar.items() if pair[1]]
            device.cookie = b"; ".join(pairs)

    async def _request(
        self,
        client: Client,
        kind: str,
        address: str,
        cookie: bytes,
        query: bytes,
        forwarded: bytes,
    ) -> None:
        method, path, headers = client.requests[kind]
        lines = [*headers, (_COOKIE, cookie)] if cookie else list(headers)
        if forwarded:
            lines.append((b"x-forwarded-for", forwarded))
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "2",
            "method": method,
            "scheme": "https",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query,
            "root_path": "",
            "headers": lines,
            "client": (address, 50_000),
            "server": ("app.example", 443),
        }
        self.requests += 1
        await self._serve(scope, self._receive, self._send)

    def notice_upgrade(self) -> None:
        """Let the guard see that files were replaced, now and not at some later request."""
        self.guard.refresh()
