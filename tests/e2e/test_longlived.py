"""Websockets and streams of real servers end when another process ends their session."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from servers import FOLDER, KEYS, redis
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from gatehound import Guard
from serving import Servers, free_port, servers

pytestmark = pytest.mark.slow
BOUND = 1.0  # seconds, as the documentation says; hundreds of them are timed in tests/full
FRAMEWORKS = ("plain", "starlette", "fastapi")
# "auto" is what uvicorn's users get.
PLACES = {"uvicorn-auto": "redis", "uvicorn-wsproto": "sqlite", "hypercorn": "redis"}


@dataclass(frozen=True)
class Place:
    """A served site, and a guard over the same store in this process."""

    port: int
    guard: Guard
    logs: Path

    def sign_in(self, user: str) -> str:
        url = f"http://127.0.0.1:{self.port}/login?user={user}"
        return httpx.post(url, timeout=20).headers["set-cookie"].partition(";")[0]

    def websocket(self, path: str, cookie: str = "") -> ClientConnection:
        headers = {"Cookie": cookie} if cookie else {}
        url = f"ws://127.0.0.1:{self.port}{path}"
        return connect(url, additional_headers=headers, open_timeout=20, proxy=None)

    def end(self, user: str) -> float:
        """End all sessions of a user from this process; return when."""
        assert self.guard.sync.terminate_user(user) == 1
        return time.monotonic()


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    with servers(tmp_path_factory.mktemp("open")) as running:
        yield running


@pytest.fixture(scope="module", params=PLACES)
def place(request: pytest.FixtureRequest, started: Servers) -> Place:
    name = str(request.param)
    file = started.folder / f"{name}.db"
    url = redis(started) if PLACES[name] == "redis" else f"sqlite:///{file}"
    program, _, protocol = name.partition("-")
    port = free_port()
    if program == "uvicorn":
        options = ["open_site:app", "--port", str(port), "--ws", protocol, "--app-dir", str(FOLDER)]
    else:
        options = ["open_site:app", "--bind", f"127.0.0.1:{port}"]
    environ = {**KEYS, "GATEHOUND_STORE": url, "PYTHONPATH": str(FOLDER)}
    started.start(name, [sys.executable, "-m", program, *options], port, environ)
    settings = {
        "secret_keys": [KEYS["GATEHOUND_SECRET_KEYS"]],
        "identity_key": KEYS["GATEHOUND_IDENTITY_KEY"],
        "store": url,
    }
    return Place(port, Guard(settings, sinks=()), started.folder / f"{name}.log")


def drain(websocket: ClientConnection) -> ConnectionClosed:
    """Read until the server closes."""
    while True:
        try:
            websocket.recv(timeout=10)
        except ConnectionClosed as closed:
            return closed


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_websocket_is_closed_with_4001(place: Place, framework: str) -> None:
    user = f"ws-{framework}"
    with place.websocket(f"/{framework}/ws", place.sign_in(user)) as websocket:
        assert websocket.recv(timeout=10) == user
        ended = place.end(user)
        closed = drain(websocket)
        assert closed.rcvd is not None
        assert (closed.rcvd.code, closed.rcvd.reason) == (4001, "session ended")
        assert time.monotonic() - ended < BOUND


def test_a_sign_out_in_another_tab_closes_it_and_nobody_elses(place: Place) -> None:
    cookie = place.sign_in("tab")
    with (
        place.websocket("/plain/ws", cookie) as own,
        place.websocket("/plain/ws", place.sign_in("other")) as other,
    ):
        assert (own.recv(timeout=10), other.recv(timeout=10)) == ("tab", "other")
        url = f"http://127.0.0.1:{place.port}/logout"
        assert httpx.post(url, headers={"Cookie": cookie}, timeout=20).text == "out"
        closed = drain(own)
        assert closed.rcvd is not None
        assert closed.rcvd.code == 4001
        other.send("still here")
        assert other.recv(timeout=10) == "still here"


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_an_error_before_the_handshake_is_a_response(place: Place, framework: str) -> None:
    with pytest.raises(InvalidStatus) as refused:
        place.websocket(f"/{framework}/fresh")
    response: Any = refused.value.response
    assert response.status_code == 401
    assert response.headers["content-type"] == "application/problem+json"
    assert b"fresh-login-required" in response.body


@dataclass
class Stream:
    """One stream that is read line by line."""

    user: str
    lines: Iterator[str]

    @classmethod
    def of(cls, place: Place, framework: str, kind: str, stack: contextlib.ExitStack) -> Stream:
        user = f"{kind}-{framework}"
        url = f"http://127.0.0.1:{place.port}/{framework}/{kind}"
        headers = {"Cookie": place.sign_in(user)}
        response = stack.enter_context(httpx.stream("GET", url, headers=headers, timeout=10))
        stream = cls(user, response.iter_lines())
        assert next(stream.lines) == f"data: {user}"
        return stream


def test_a_stream_of_events_ends_and_a_download_breaks_off(place: Place) -> None:
    with contextlib.ExitStack() as stack:
        events = [Stream.of(place, name, "events", stack) for name in FRAMEWORKS]
        downloads = [Stream.of(place, name, "download", stack) for name in FRAMEWORKS]
        until = time.monotonic() + 0.7  # past the half second that makes them streams
        while time.monotonic() < until:
            for stream in (*events, *downloads):
                next(stream.lines)
        for stream in events:
            ended = place.end(stream.user)
            assert set(stream.lines) <= {"", "data: tick"}
            assert time.monotonic() - ended < BOUND
        for stream in downloads:
            ended = place.end(stream.user)
            with pytest.raises(httpx.RemoteProtocolError):
                list(stream.lines)
            assert time.monotonic() - ended < BOUND


def test_no_server_has_logged_an_error_of_ours(place: Place) -> None:
    """A download that is cut is logged by some servers, as one that nobody finished."""
    log = place.logs.read_text()
    assert "Traceback" not in log
    assert "Task was destroyed" not in log
