"""One session judged by two at the same moment: neither a flag nor a transition is lost.

Plain: each order in which a rival may come between the reads and the write of a request, on a fake
clock, and two threads. Long: two processes with a Guard each over one Redis or one SQLite file.
This file is also the program of those processes (see `serve`).

Oracles, after each moment: what is stored as a flag, what the events in the store say (flagged and
cleared take turns, and the last one is how it stands), and the evidence agree. Not checked: which
of the two comes first.
"""

from __future__ import annotations

import json
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any
from wsgiref.util import setup_testing_defaults

import pytest

from gatehound import Guard
from gatehound._sync import run_sync
from gatehound.detection.evidence import read
from gatehound.errors import GatehoundError
from gatehound.stores.answer import Memory, Remembered
from gatehound.stores.base import Store
from gatehound.stores.memory import MemoryStore
from gatehound.stores.record import FLAGGED
from gatehound.testing import FakeClock
from gatehound.wsgi import GatehoundMiddleware

CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/126.0.0.0 Safari/537.36"
)
SCRIPT = "python-requests/2.32"  # 5.3 points from a new network: a flag, and no more
HOME, LEAVE = "203.0.113.7", 2.25  # points below which a flag is left
ROUNDS = 100  # of each kind

Cookies = dict[str, str]
Ask = tuple[str, Cookies, str, str]  # job, cookies, agent, address


def now() -> int:
    return time.time_ns() // 1_000_000


@dataclass
class App:
    """A guarded app, in this process or another one."""

    store: Store | None = None
    url: str = ""
    clock: Callable[[], int] = now

    def __post_init__(self) -> None:
        settings: dict[str, Any] = {
            "secret_keys": ["s" * 40],
            "identity_key": "i" * 40,
            "session": {"max_per_user": None, "known_devices": False},
        }
        if self.url:
            settings["store"] = self.url
        self.guard = Guard(settings, store=self.store, sinks=[])
        self.app = GatehoundMiddleware(self._handle, self.guard)

    def _handle(self, environ: dict[str, Any], start_response: Any) -> list[bytes]:
        visit, job = environ["gatehound"], environ["PATH_INFO"].strip("/")
        if job == "login":
            visit.login("alice")
        elif job == "confirm":
            with suppress(GatehoundError):
                visit.confirm()
        start_response("200 OK", [])
        return [f"{visit.action.name} {visit.user_id}".encode()]

    def ask(self, job: str, cookies: Cookies, agent: str = CHROME, address: str = HOME) -> str:
        """Send a request, keep its cookies, and return what the app says."""
        environ: dict[str, Any] = {
            "PATH_INFO": f"/{job}",
            "REQUEST_METHOD": "GET",
            "REMOTE_ADDR": address,
            "HTTP_USER_AGENT": agent,
            "HTTP_COOKIE": "; ".join(f"{name}={value}" for name, value in cookies.items()),
            "HTTP_SEC_FETCH_MODE": "navigate",
            "wsgi.url_scheme": "https",
            "wsgi.input": BytesIO(),
        }
        setup_testing_defaults(environ)

        def start_response(status: str, headers: list[tuple[str, str]], exc: Any = None) -> Any:
            for name, value in headers:
                if name.lower() == "set-cookie":
                    key, _, rest = value.partition("=")
                    cookies[key] = rest.partition(";")[0]
            return lambda data: None

        return b"".join(self.app(environ, start_response)).decode()

    def sign_in(self) -> Theft:
        cookies: Cookies = {}
        before = {one.public_id for one in self.guard.sync.sessions_of("alice")}
        self.ask("login", cookies)
        (new,) = {one.public_id for one in self.guard.sync.sessions_of("alice")} - before
        return Theft(self, cookies, new)


@dataclass
class Theft:
    """A session of which two have the cookie, and how it stands."""

    app: App
    cookies: Cookies
    public_id: str

    def thief(self, number: int = 66) -> Ask:
        """A request of a script on some network that is new to the session."""
        return "look", dict(self.cookies), SCRIPT, f"192.0.{number}.66"

    def owner(self, number: int) -> Ask:
        """A request of its own browser, on another network that is new to the session."""
        return "look", dict(self.cookies), CHROME, f"198.51.{number}.7"

    def at_home(self, job: str = "look") -> Ask:
        return job, dict(self.cookies), CHROME, HOME

    @property
    def transitions(self) -> list[str]:
        """The events of the session that are written, oldest first."""
        names = {"session_flagged", "session_cleared"}
        page = self.app.guard.sync.events(public_id=self.public_id, names=names, limit=1000)
        return [event.name.removeprefix("session_") for event in reversed(page.events)]

    @property
    def is_flagged(self) -> bool:
        guard = self.app.guard.blocking()
        alias = guard.alias("alice")

        async def stands() -> tuple[bool, float]:
            listed = await guard.store.sessions(alias)
            (record,) = (one for one in listed.records if one.public_id == self.public_id)
            memory, _ = await guard.store.recall(alias, record.sid)
            signals = read(memory.data)[0].signals.values()
            at = self.app.clock() / 1000
            points = sum(one.now(at, guard.settings.detection.half_life) for one in signals)
            return bool(record.security.flags & FLAGGED), points

        flagged, points = run_sync(stands())
        assert flagged is (points >= LEAVE), f"flagged: {flagged}, and the evidence is {points}"
        return flagged

    def check(self) -> bool:
        """Say whether it is flagged; AssertionError where flag, events and evidence differ."""
        told, flagged = self.transitions, self.is_flagged
        assert told == (["flagged", "cleared"] * len(told))[: len(told)]
        assert flagged is (len(told) % 2 == 1)
        return flagged


# --- plain: every order ---


class Between(MemoryStore):
    """A store in which somebody else comes at one point of a request."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock=clock)
        self.point = ""
        self.rival: Callable[[], object] = lambda: None

    def _pass(self, point: str) -> None:
        if self.point == point:
            self.point = ""
            self.rival()

    async def recall(self, alias: bytes, sid: bytes) -> tuple[Memory, Memory]:
        self._pass("before the evidence is read")
        found = await super().recall(alias, sid)
        self._pass("after the evidence was read")
        return found

    async def remember(
        self, alias: bytes, sid: bytes, secret_hash: bytes, **change: Any
    ) -> Remembered:
        self._pass("before it is written")
        return await super().remember(alias, sid, secret_hash, **change)


POINTS = ["before the evidence is read", "after the evidence was read", "before it is written"]


def moment(theft: Theft, name: str) -> Ask:
    if name == "thief":
        return theft.thief()
    if name == "owner elsewhere":
        return theft.owner(7)
    return theft.at_home("confirm" if name == "owner confirms" else "look")


@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize(
    ("before", "one", "other"),
    [
        ("calm", "thief", "owner elsewhere"),
        ("calm", "owner elsewhere", "thief"),
        ("flagged", "thief", "owner confirms"),
        ("flagged", "owner confirms", "thief"),
        ("flagged", "owner elsewhere", "owner confirms"),
        ("faded", "thief", "owner"),
        ("faded", "owner", "thief"),
        ("faded", "owner", "owner confirms"),
        ("faded", "owner", "owner elsewhere"),
    ],
)
def test_each_order_of_two_requests(before: str, one: str, other: str, point: str) -> None:
    clock = FakeClock()
    store = Between(clock)
    app = App(store, clock=clock)
    theft = app.sign_in()
    if before != "calm":
        app.ask(*theft.thief(11))
        assert theft.check()
        clock.advance(60)
    if before == "faded":
        clock.advance(3300)  # 5.3 is 1.5 by now: the next look at it ends the flag
    store.rival = lambda: app.ask(*moment(theft, other))
    store.point = point
    app.ask(*moment(theft, one))
    assert store.point == "", "the rival came"
    flagged = theft.check()
    if "thief" in (one, other) and "owner confirms" not in (one, other):
        assert flagged, "evidence stands against it, whoever was first"


def test_two_threads() -> None:
    """Two guards over one memory store, with a thread switch at every chance."""
    store = MemoryStore()
    app, other = App(store), App(store)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for number in range(20):
            theft = app.sign_in()
            at_once(
                partial(app.ask, *theft.thief(number)), partial(other.ask, *theft.owner(number))
            )
            assert theft.check()
            at_once(
                partial(app.ask, *theft.thief(number + 100)),
                partial(other.ask, *theft.at_home("confirm")),
            )
            theft.check()
    finally:
        sys.setswitchinterval(interval)


def at_once(*works: Callable[[], object]) -> None:
    barrier = threading.Barrier(len(works))

    def run(work: Callable[[], object]) -> None:
        barrier.wait()
        work()

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


# --- long: two processes ---


def serve(url: str) -> None:
    """Answer the requests on standard input, each at its moment: a line of JSON for a line."""
    logging.disable(logging.WARNING)
    app = App(url=url)
    answer("ready")
    for line in sys.stdin:
        asked = json.loads(line)
        while time.monotonic() < asked["at"]:
            pass  # the clock is one for all processes; a sleep would wake too late
        answer(app.ask(*asked["request"]))


def answer(text: str) -> None:
    sys.stdout.write(f"{json.dumps(text)}\n")
    sys.stdout.flush()


class Other:
    """The process of `serve`."""

    def __init__(self, url: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, __file__, url], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self.answer() == "ready"

    def send(self, request: Ask, at: float) -> None:
        assert self.process.stdin is not None
        line = json.dumps({"at": at, "request": request})
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def answer(self) -> str:
        assert self.process.stdout is not None
        return str(json.loads(self.process.stdout.readline()))

    def end(self) -> None:
        with self.process:  # closes both pipes: it ends with its standard input
            pass
        assert self.process.returncode == 0


@contextmanager
def others(url: str) -> Iterator[tuple[Other, Other]]:
    pair = Other(url), Other(url)
    try:
        yield pair
    finally:
        for one in pair:
            one.end()


@pytest.fixture(params=["redis", "sqlite"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'sessions.db'}"
    server: Callable[[str], str] = request.getfixturevalue("server")
    return server("redis")


def both(pair: tuple[Other, Other], *requests: Ask) -> list[str]:
    at = time.monotonic() + 0.004
    for one, request in zip(pair, requests, strict=True):
        one.send(request, at)
    return [one.answer() for one in pair]


@pytest.mark.full
@pytest.mark.ci
def test_two_processes(url: str) -> None:
    app, cleared = App(url=url), 0
    with others(url) as pair:
        for number in range(ROUNDS):
            theft = app.sign_in()
            said = both(pair, theft.thief(number), theft.owner(number))
            assert said[0] == "FLAG alice"
            assert theft.check(), "nobody cleared it"
            both(pair, theft.thief(number + ROUNDS), theft.at_home("confirm"))
            cleared += not theft.check()
            app.guard.sync.terminate("alice", theft.public_id)
    assert 0 < cleared <= ROUNDS


if __name__ == "__main__":
    serve(sys.argv[1])
