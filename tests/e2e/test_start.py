"""Building a guard reaches its store once and lets go of it: nothing may cross a fork."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from servers import KEYS, redis

import gatehound
from gatehound import Guard, SettingsError, StoreUnavailable
from gatehound._sync import run_sync
from gatehound.asgi import GatehoundMiddleware as ASGIMiddleware
from gatehound.wsgi import GatehoundMiddleware as WSGIMiddleware
from serving import Servers, servers

STORES = ("redis", "sqlite")


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    with servers(tmp_path_factory.mktemp("start")) as running:
        yield running


@pytest.fixture(params=STORES)
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Any]:
    if request.param == "redis":
        url = redis(request.getfixturevalue("started"))
    else:
        url = f"sqlite:///{tmp_path}/sessions.db"
    return {
        "secret_keys": [KEYS["GATEHOUND_SECRET_KEYS"]],
        "identity_key": KEYS["GATEHOUND_IDENTITY_KEY"],
        "store": url,
    }


def open_files() -> dict[str, str]:
    """What this process holds open: number to target."""
    found = {}
    for entry in Path("/proc/self/fd").iterdir():
        try:
            target = str(entry.readlink())
        except FileNotFoundError:
            continue  # the handle of this very listing
        if not target.startswith("/proc/"):
            found[entry.name] = target
    return found


def plain(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    visit = gatehound.current(environ)
    if environ["PATH_INFO"] == "/login":
        visit.login("ann")
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(visit.user_id).encode()]


async def awaited(scope: Any, receive: Any, send: Any) -> None:
    visit = gatehound.current(scope)
    if scope["path"] == "/login":
        await visit.login("ann")
    body = str(visit.user_id).encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


@pytest.mark.slow
def test_building_leaves_nothing_open(settings: dict[str, Any]) -> None:
    files, threads = open_files(), threading.active_count()
    guard = Guard(settings, sinks=())
    WSGIMiddleware(plain, guard)
    ASGIMiddleware(awaited, guard)
    assert open_files() == files
    assert threading.active_count() == threads
    assert guard.sync.sessions_of("ann") == []  # and it works: the first use connects
    assert open_files() != files
    run_sync(guard.blocking().store.close())
    assert open_files() == files


@pytest.mark.slow
def test_a_session_is_the_same_through_both_adapters_of_one_guard(
    settings: dict[str, Any],
) -> None:
    guard = Guard(settings, sinks=())
    wsgi, asgi = WSGIMiddleware(plain, guard), ASGIMiddleware(awaited, guard)
    with httpx.Client(transport=httpx.WSGITransport(app=wsgi)) as client:
        cookie = client.get("https://localhost/login").headers["set-cookie"].partition(";")[0]

    async def ask() -> list[str]:
        transport = httpx.ASGITransport(app=asgi)
        headers = {"Cookie": cookie}
        async with httpx.AsyncClient(transport=transport, headers=headers) as client:
            answers = [client.get("https://localhost/") for _ in range(3)]
            said = [answer.text for answer in await asyncio.gather(*answers)]
        await guard.store.close()
        return said

    assert asyncio.run(ask()) == ["ann"] * 3
    assert asyncio.run(ask()) == ["ann"] * 3  # a second loop, after the first one closed
    assert len(guard.sync.sessions_of("ann")) == 1
    run_sync(guard.blocking().store.close())


@pytest.mark.parametrize("check", [True, False])
def test_a_store_that_does_not_answer_is_found_when_the_settings_say(check: bool) -> None:
    settings = {
        "secret_keys": [KEYS["GATEHOUND_SECRET_KEYS"]],
        "identity_key": KEYS["GATEHOUND_IDENTITY_KEY"],
        "store": "redis://127.0.0.1:9/0",  # the discard port: nobody serves Redis there
        "check_store_at_start": check,
    }
    if check:
        with pytest.raises(SettingsError, match="check_store_at_start"):
            Guard(settings, sinks=())
    else:
        with pytest.raises(StoreUnavailable):
            Guard(settings, sinks=()).sync.sessions_of("ann")
