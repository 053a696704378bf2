"""How long a thousand websockets live on after their sessions: p50 and p99, on Redis and SQLite.

One real uvicorn holds them all; this process is every client, and the other process that ends
the sessions. Time counts from before the call that ends one until its client has the close frame.
Not checked: what a slow network adds, and servers with more of them (one loop does the same work).
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

import zoo
from gatehound import Guard
from gatehound.asgi import GatehoundMiddleware
from passthrough_kit import COOKIE, http_scope, talk
from serving import free_port, servers

pytestmark = [pytest.mark.full, pytest.mark.ci]

MANY = 1000
EACH = 4  # websockets of one session
BOUND = 1.0  # seconds, p99
PACE = 0.01  # seconds between two ends: what is measured is the way, not how fast ends are made
SITE = Path(__file__).parents[1] / "e2e"
KEYS = {"GATEHOUND_SECRET_KEYS": "s" * 40, "GATEHOUND_IDENTITY_KEY": "i" * 40}


@pytest.fixture(params=["redis", "sqlite"])
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/sessions.db"
        return
    with zoo.server(zoo.SYSTEM, tmp_path) as server:
        yield server.url


@pytest.fixture
def port(store_url: str, tmp_path: Path) -> Iterator[int]:
    with servers(tmp_path) as started:
        port = free_port()
        command = [sys.executable, "-m", "uvicorn", "open_site:app", "--port", str(port)]
        command += ["--app-dir", str(SITE), "--log-level", "warning", "--ws-ping-interval", "300"]
        started.start("uvicorn", command, port, {**KEYS, "GATEHOUND_STORE": store_url})
        yield port


def make_guard(url: str) -> Guard:
    keys = {"secret_keys": [KEYS["GATEHOUND_SECRET_KEYS"]]}
    return Guard({**keys, "identity_key": KEYS["GATEHOUND_IDENTITY_KEY"], "store": url}, sinks=())


async def sign_in(guard: Guard) -> list[str]:
    async def login(scope: Any, receive: Any, send: Any) -> None:
        await scope["gatehound"].login(scope["path"])
        await send({"type": "http.response.start", "status": 200, "headers": []})

    app = GatehoundMiddleware(login, guard)
    users = [await talk(app, http_scope("POST", f"u{number}")) for number in range(MANY // EACH)]
    return [f"{COOKIE}={user.cookie}" for user in users]


async def closed_at(websocket: ClientConnection) -> float:
    """Wait for the close frame; return when it came."""
    with pytest.raises(ConnectionClosed) as closed:
        await websocket.recv()
    now = time.monotonic()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4001
    return now


async def open_all(
    port: int, cookies: list[str], stack: contextlib.AsyncExitStack
) -> list[ClientConnection]:
    async def one(cookie: str) -> ClientConnection:
        url = f"ws://127.0.0.1:{port}/plain/ws"
        headers = {"Cookie": cookie}
        opening = connect(
            url, additional_headers=headers, ping_interval=None, compression=None, proxy=None
        )
        websocket = await stack.enter_async_context(opening)
        await websocket.recv()
        return websocket

    found: list[ClientConnection] = []
    for first in range(0, MANY, 50):
        found += await asyncio.gather(*(one(cookie) for cookie in cookies[first : first + 50]))
    return found


async def end_one_by_one(guard: Guard, port: int) -> list[float]:
    async with contextlib.AsyncExitStack() as stack:
        cookies = [cookie for cookie in await sign_in(guard) for _ in range(EACH)]
        websockets = await open_all(port, cookies, stack)
        ends = [asyncio.create_task(closed_at(websocket)) for websocket in websockets]
        await asyncio.sleep(1)  # what a server does with a thousand new ones is over
        begun: list[float] = []
        for number in range(MANY // EACH):
            begun += [time.monotonic()] * EACH
            assert await guard.terminate_user(f"u{number}") == 1
            await asyncio.sleep(PACE)
        latest = await asyncio.gather(*ends)
        await guard.close()
    return sorted(end - start for start, end in zip(begun, latest, strict=True))


def test_a_thousand_websockets_end_in_time(
    store_url: str, port: int, capsys: pytest.CaptureFixture[str]
) -> None:
    delays = asyncio.run(end_one_by_one(make_guard(store_url), port))
    p50, p99 = delays[MANY // 2], delays[MANY * 99 // 100]
    with capsys.disabled():
        kind = store_url.partition(":")[0]
        figures = f"p50 {p50:.3f} s, p99 {p99:.3f} s, most {delays[-1]:.3f} s"
        sys.stdout.write(f"\n{MANY} websockets on {kind}: {figures}\n")
    assert p99 <= BOUND
