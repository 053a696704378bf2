"""Connections of the Redis store under what mixes replies up elsewhere.

Cancelled callers, several loops, many threads, forks. The oracle: every answer names the user
and the session that were asked about, by all that it says. Not checked: speed.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import random
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from history import planted
from history.questions import ask, ask_some, sign_in

from gatehound._sync import run_sync
from gatehound.errors import StoreError
from gatehound.stores.answer import NewSession
from gatehound.stores.redis import RedisStore
from serving import Servers, servers

pytestmark = [pytest.mark.full, pytest.mark.ci]

FOLDER = Path(__file__).parent
CANCELLATIONS = 10_000
DEADLINE = 5.0  # this is about whose answers they are, also on a machine that is busy elsewhere


@pytest.fixture(params=["redis", "cluster"])
def url(request: pytest.FixtureRequest, server: Callable[[str], str]) -> str:
    return server(request.param)


def opened(url: str, name: str, *, suspends: bool) -> RedisStore:
    return RedisStore(url, namespace=name, suspends=suspends, deadline=DEADLINE)


# --- these questions can find something ---


def test_a_connection_that_all_share_is_found(server: Callable[[str], str]) -> None:
    store = planted.plant("shared", opened(server("redis"), "shared", suspends=False))
    people = run_sync(sign_in(store, 20))
    with ThreadPoolExecutor(8) as pool:
        wrong = pool.map(lambda n: run_sync(ask_some(store, people, 50, n)), range(8))
        assert sum(wrong)
    run_sync(store.close())


# --- callers that go away ---


async def cancel_some(store: RedisStore, people: list[NewSession], count: int, seed: int) -> int:
    """Ask, and cancel after a moment, until `count` were; return how many answers were wrong."""
    chance = random.Random(seed)
    wrong = 0
    while count:
        task = asyncio.create_task(ask(store, chance.choice(people), chance.randrange(4)))
        await asyncio.sleep(chance.choice((0, 0, 0.0002, 0.0005, 0.001)))
        task.cancel()
        try:
            wrong += not await task
        except asyncio.CancelledError:
            count -= 1
    return wrong


def test_ten_thousand_cancelled_callers_leave_no_reply_behind(url: str) -> None:
    callers = 16
    share = CANCELLATIONS // callers // (4 if "cluster" in url else 1)  # a connection is dearer

    async def whole() -> list[int]:
        store = opened(url, "cancelled", suspends=True)
        people = await sign_in(store, 20)
        cancelled = (cancel_some(store, people, share, n) for n in range(callers))
        # Others share the pool, and are never cancelled.
        asked = (ask_some(store, people, 100, n) for n in range(4))
        wrong = await asyncio.gather(*cancelled, *asked)
        # No place in the pool was lost: as many as it has can ask at once.
        wrong += await asyncio.gather(*(ask_some(store, people, 2, n) for n in range(100)))
        await store.close()
        return wrong

    assert sum(asyncio.run(whole())) == 0


# --- loops ---


def test_two_loops_take_turns_on_one_store(url: str) -> None:
    store = opened(url, "turns", suspends=True)
    loops = [asyncio.new_event_loop() for _ in range(2)]
    people = loops[0].run_until_complete(sign_in(store, 10))
    wrong = 0
    for turn in range(50):
        wrong += loops[turn % 2].run_until_complete(ask_some(store, people, 10, turn))
    for loop in loops:
        loop.run_until_complete(store.close())
        loop.close()
    assert wrong == 0


def test_two_loops_share_one_store_at_the_same_time(url: str) -> None:
    store = opened(url, "loops", suspends=True)

    async def many(people: list[NewSession], seed: int) -> int:
        wrong = await asyncio.gather(*(ask_some(store, people, 50, seed + n) for n in range(4)))
        await store.close()
        return sum(wrong)

    async def first() -> list[NewSession]:
        people = await sign_in(store, 10)
        await store.close()
        return people

    people = asyncio.run(first())
    with ThreadPoolExecutor(2) as pool:
        wrong = pool.map(lambda seed: asyncio.run(many(people, seed)), (0, 100))
        assert sum(wrong) == 0


# --- threads ---


def test_32_threads_share_a_blocking_store(url: str) -> None:
    store = opened(url, "threads", suspends=False)
    people = run_sync(sign_in(store, 20))
    with ThreadPoolExecutor(32) as pool:
        wrong = pool.map(lambda n: run_sync(ask_some(store, people, 100, n)), range(32))
        assert sum(wrong) == 0
    run_sync(store.close())


def test_connections_that_are_closed_meanwhile_mix_nothing_up(url: str) -> None:
    """`mixed_up` closes all; a descriptor may then be used again while others read from it."""
    store = opened(url, "closed", suspends=False)
    people = run_sync(sign_in(store, 20))
    done = threading.Event()
    wrong: Counter[str] = Counter()

    def many(seed: int) -> None:
        chance = random.Random(seed)
        while not done.is_set():
            try:
                right = run_sync(ask(store, chance.choice(people), chance.randrange(4)))
                wrong["right" if right else "wrong"] += 1
            except StoreError as error:  # a connection may go; an answer may not be another's
                wrong[type(error).__name__] += 1

    threads = [threading.Thread(target=many, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for _ in range(200):
        run_sync(store.close())
    done.set()
    for thread in threads:
        thread.join()
    run_sync(store.close())
    assert wrong["wrong"] == 0
    assert wrong["right"]
    assert not wrong["StoreCorrupt"]


# --- forks ---


@pytest.mark.parametrize("flavour", ["threads", "loop"])
def test_forks_in_the_middle_of_load(url: str, flavour: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "history.forks", url, flavour],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=FOLDER,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(FOLDER), *sys.path])},
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "0\n", "")


# --- gunicorn ---


def site() -> Any:
    """The servers of the end-to-end tests."""
    path = FOLDER.parent / "e2e" / "servers.py"
    spec = importlib.util.spec_from_file_location("e2e_servers", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Servers]:
    with servers(tmp_path) as running:
        yield running


def visit(port: int, user: str, rounds: int) -> Counter[str]:
    """Sign in, and ask again and again who one is; return what was said how often."""
    said: Counter[str] = Counter()
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    connection.request("POST", "/login", f"user={user}", form)
    answer = connection.getresponse()
    answer.read()
    cookie = str(answer.headers["Set-Cookie"]).partition(";")[0]
    for number in range(rounds):
        if number % 20 == 19:  # another connection reaches another worker
            connection.close()
        connection.request("GET", "/me", headers={"Cookie": cookie})
        answer = connection.getresponse()
        body = answer.read()
        said[str(json.loads(body)["user"]) if answer.status == 200 else str(answer.status)] += 1
    connection.close()
    return said


@pytest.mark.parametrize(("workers", "threads"), [(1, 32), (4, 8)])
@pytest.mark.parametrize("kind", ["redis", "cluster"])
def test_gunicorn_gives_nobody_anothers_answer(
    kind: str, workers: int, threads: int, server: Callable[[str], str], started: Servers
) -> None:
    """--preload: the guard is built, and here even used, before the workers are forked."""
    e2e = site()
    name = f"gunicorn-{workers}"
    environ = {
        **e2e.KEYS,
        "GATEHOUND_STORE": server(kind),
        "GATEHOUND_NAMESPACE": name,
        "SHOP_TOUCHES_STORE": "1",
    }
    port = e2e.gunicorn(started, "shop:wsgi", environ, workers=workers, threads=threads)
    with ThreadPoolExecutor(32) as pool:
        said = list(pool.map(lambda n: visit(port, f"user{n}", 60), range(32)))
    # A busy machine may cost a deadline: 503. No other name may ever be said.
    assert [set(one) - {f"user{n}", "503"} for n, one in enumerate(said)] == [set()] * 32
    assert sum(one[f"user{n}"] for n, one in enumerate(said)) > 32 * 60 * 0.9
