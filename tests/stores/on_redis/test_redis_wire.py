"""URLs, forks, loops, threads, and replies that belong to somebody else."""

from __future__ import annotations

import asyncio
import gc
import os
import queue
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from redis_kit import CHANCE, Body, load, new

from gatehound._sync import run_sync
from gatehound.errors import SettingsError, StoreCorrupt, StoreMismatch, StoreUnavailable
from gatehound.stores.answer import (
    Meta,
    NewSession,
    Standing,
)
from gatehound.stores.redis import RedisStore
from gatehound.stores.redis.pooled import Pooled

# --- settings ---


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("redis+cluster://:s3cret@a:1/1", "a cluster has only 0"),
        ("redis+cluster://:s3cret@a:1,b:port", r"redis\+cluster:// URL that cannot be read"),
        ("redis+cluster://:s3cret@a:1,b:2?socket_timeout=9", "sets socket_timeout"),
        ("redis+sentinel://:s3cret@a:1", "names no service"),
        ("redis+sentinel://:s3cret@a:1/main/x", "database 'x'"),
        ("redis+sentinel://:s3cret@a:1/main/1/2", "database '1/2'"),
        ("redis+elsewhere://:s3cret@a:1", "use redis://"),
        ("redis://:s3cret@a?sentinel_password=x", "sets sentinel_password"),
        ("redis://:s3cret@a?ssl_ca_certs=/x", "sets ssl_ca_certs"),
        ("rediss://:s3cret@a?ssl_nothing=1", "sets ssl_nothing"),
        ("rediss://:s3cret@a?ssl_ca_certs=/nowhere/ca.pem", "ssl_ca_certs=/nowhere/ca.pem: there"),
        ("http://:s3cret@a", "use redis://"),
        ("s3cret", "use redis://"),
        ("redis://:s3cret@a:port", "cannot be read"),
        ("redis://:s3cret@a/zero", "database 'zero'"),
        ("redis://:s3cret@a?socket_timeout=9", "sets socket_timeout"),
        ("redis://:s3cret@a?decode_responses=1", "sets decode_responses"),
        ("redis://:s3cret@a?db=x", "cannot be read"),
        ("unix://:s3cret@", "names no socket"),
    ],
)
@pytest.mark.parametrize("suspends", [False, True])
def test_bad_url_is_refused_without_showing_it(url: str, words: str, suspends: bool) -> None:
    with pytest.raises(SettingsError, match=words) as caught:
        RedisStore(url, namespace="n", suspends=suspends)
    assert "s3cret" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("redis://user:s3cret@db.example:7000/2", "db.example:7000"),
        ("rediss://:s3cret@db.example?ssl_cert_reqs=required", "db.example:6379"),
        ("redis://", "localhost:6379"),
        ("unix://user:s3cret@/run/redis.sock?db=1", "unix:///run/redis.sock"),
        ("redis+cluster://user:s3cret@a:1,b", "a:1,b:6379"),
        ("rediss+cluster://:s3cret@[2001:db8::1]:7000,b:2", "[2001:db8::1]:7000,b:2"),
        ("redis+sentinel://:s3cret@a,b:1/main?sentinel_password=s3cret", "a:26379,b:1/main"),
    ],
)
def test_nothing_shows_the_password(url: str, place: str) -> None:
    shown = repr(RedisStore(url, namespace="n", suspends=False))
    assert shown == f"RedisStore({place}, namespace='n')"


def test_missing_redis_py_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "redis.asyncio.retry", None)
    with pytest.raises(SettingsError, match=r'pip install "gatehound\[redis\]"'):
        RedisStore("redis://localhost", namespace="n", suspends=False)


def test_a_refused_password_is_not_shown(url: str, admin: Any) -> None:
    wrong = RedisStore(url.replace("//", "//nobody:s3cret@"), namespace="n", suspends=False)
    with pytest.raises(StoreUnavailable, match="refused") as caught:
        run_sync(wrong.ping())
    run_sync(wrong.close())
    assert "s3cret" not in str(caught.value)


def test_another_key_or_bucket_count_is_a_mismatch(store: RedisStore, admin: Any) -> None:
    meta = Meta(fingerprint=b"f" * 16, namespace="own")
    run_sync(store.prepare(meta))
    run_sync(store.prepare(meta))
    admin.hset("gh:own:meta", "buckets", 128)
    with pytest.raises(StoreMismatch, match=r"buckets is '256'.* first used with '128'"):
        run_sync(store.prepare(meta))


# --- replies that belong to somebody else ---


def client_of(store: RedisStore) -> Any:
    """Return what loads go through."""
    wire = store._wire
    return wire.nodes.client(wire.target.seeds[0], wire.nodes.way([("GET",)], patient=False))


@contextmanager
def replies(store: RedisStore, reply: Any) -> Iterator[None]:
    """Let the next command be answered with what is another's."""
    client = client_of(store)
    if isinstance(client, Pooled):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Pooled, "ask", _answering(reply, Pooled.ask, patch))
            yield
        return
    trip = client.trip() if store.suspends else client
    ask = trip.ask_packed

    def wrong(data: bytes, count: int = 1) -> Any:
        trip.ask_packed = ask
        answered = ask(data, count)
        if not store.suspends:
            return [reply, *answered[1:]]

        async def waited() -> Any:
            return [reply, *(await answered)[1:]]

        return waited()

    trip.ask_packed = wrong
    yield
    trip.ask_packed = ask


def _answering(reply: Any, ask: Any, patch: pytest.MonkeyPatch) -> Any:
    async def wrong(client: Pooled, commands: Any) -> Any:
        patch.undo()
        return [reply, *(await ask(client, commands))[1:]]

    return wrong


@pytest.mark.parametrize("touch", [None, 0])
@pytest.mark.parametrize("reply", [b"PONG", [], [b"tag?", 1, b"unknown"], "theirs"])
def test_a_mixed_up_reply_is_refused(
    play: Callable[[Body], None], admin: Any, reply: Any, touch: int | None
) -> None:
    async def body(store: RedisStore) -> None:
        ours, theirs = new(), new()
        for session in (ours, theirs):
            await store.create(session)
        await load(store, ours, 0)  # so that the server has the script
        wrong = reply
        if reply == "theirs":
            key = store._keys.user(theirs.alias)
            sid = theirs.sid
            wrong = admin.hmget(key, sid, sid + b"t", sid + b"p", "@u", "@r")
        before = client_of(store)
        with replies(store, wrong), pytest.raises(StoreCorrupt, match="another question"):
            await load(store, ours, touch)
        assert client_of(store) is not before
        assert (await load(store, ours)).record.sid == ours.sid

    play(body)


def test_a_long_text_of_another_user_is_refused(store: RedisStore, admin: Any) -> None:
    session = new(user_id="u" * 100)
    run_sync(store.create(session))
    admin.hset(store._keys.texts(session.alias), "u", b"some" + b"b" * 100)
    with pytest.raises(StoreCorrupt, match="another question"):
        run_sync(load(store, session))


@pytest.mark.slow
def test_cancelled_calls_leave_no_reply_behind(url: str, admin: Any) -> None:
    async def body() -> None:
        store = RedisStore(url, namespace="own", suspends=True)
        sessions = [new(user_id=f"user-{n}") for n in range(8)]
        for session in sessions:
            await store.create(session)

        async def ask(session: NewSession) -> None:
            answer = await load(store, session, CHANCE.choice([None, 0]))
            assert answer.record.user_id == session.user_id

        for n in range(100):
            tasks = [asyncio.create_task(ask(session)) for session in sessions]
            for _ in range(n % 7):
                await asyncio.sleep(0)
            tasks[n % 8].cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            others = [r for place, r in enumerate(results) if place != n % 8]
            assert others == [None] * 7
        await store.close()

    asyncio.run(body())


# --- processes, threads, loops ---


def test_a_child_opens_its_own_connections(store: RedisStore, admin: Any) -> None:
    session = new()
    run_sync(store.create(session))
    mine = client_of(store)
    read, write = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # 3.12: a fork beside threads
        child = os.fork()
    if child == 0:
        verdict = b"no"
        try:
            fresh = not store._wire.nodes._blocking
            answers = [run_sync(load(store, session)).standing for _ in range(50)]
            if fresh and set(answers) == {Standing.LIVE} and client_of(store) is not mine:
                verdict = b"ok"
        finally:
            os.write(write, verdict)
            os._exit(0)
    for _ in range(50):
        assert run_sync(load(store, session)).standing is Standing.LIVE
    os.waitpid(child, 0)
    assert os.read(read, 2) == b"ok"
    os.close(read)
    os.close(write)
    assert client_of(store) is mine


def test_a_child_leaves_the_loop_of_its_parent_alone(url: str, admin: Any) -> None:
    async def body() -> None:
        store = RedisStore(url, namespace="own", suspends=True)
        session = new()
        await store.create(session)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # 3.12: a fork beside threads
            child = os.fork()
        if child == 0:
            gc.collect()
            os._exit(0 if not list(store._wire.nodes._of_loop) else 1)
        status = os.waitpid(child, 0)[1]  # noqa: ASYNC222 - the child ends at once
        assert status == 0
        assert (await load(store, session)).standing is Standing.LIVE
        await store.close()

    asyncio.run(body())


def test_two_loops_in_turn_share_a_store(url: str, admin: Any) -> None:
    store = RedisStore(url, namespace="own", suspends=True)
    session = new()

    async def first() -> None:
        await store.create(session)
        await store.close()

    async def second() -> None:
        assert (await load(store, session, 0)).standing is Standing.LIVE
        assert len(store._wire.nodes._of_loop) == 1
        await store.close()
        await store.close()

    asyncio.run(first())
    asyncio.run(second())


# The first loop's connections complain when they are collected, as they should.
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_loop_that_closed_nothing_is_forgotten(url: str, admin: Any) -> None:
    store = RedisStore(url, namespace="own", suspends=True)

    async def ping() -> None:
        await store.ping()

    async def again() -> None:
        await store.ping()
        assert len(store._wire.nodes._of_loop) == 1
        await store.close()

    asyncio.run(ping())
    asyncio.run(again())
    gc.collect()


def test_a_closed_store_opens_again(play: Callable[[Body], None]) -> None:
    async def body(store: RedisStore) -> None:
        await store.close()
        first = await store.ping()
        await store.close()
        assert await store.ping() >= first

    play(body)


def test_threads_share_a_store(store: RedisStore) -> None:
    sessions = [new(user_id=f"user-{n}") for n in range(8)]
    wrong: list[str] = []

    def ask(session: NewSession) -> None:
        run_sync(store.create(session))
        for _ in range(20):
            record = run_sync(load(store, session, 0)).record
            if record.user_id != session.user_id:
                wrong.append(record.user_id)

    threads = [threading.Thread(target=ask, args=(session,)) for session in sessions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_an_older_pool_is_closed_but_for_what_is_in_use() -> None:
    """redis-py before 7 closes all connections of a pool, or none."""
    closed: list[str] = []

    class Connection:
        def __init__(self, name: str) -> None:
            self.disconnect = lambda: closed.append(name)

    class Pool:
        def __init__(self) -> None:
            self.pool: queue.LifoQueue[Any] = queue.LifoQueue()

        def disconnect(self) -> None:
            raise AssertionError("this closes what other threads read from")

    pool = Pool()
    idle = [None, Connection("first"), Connection("second")]
    for connection in idle:
        pool.pool.put_nowait(connection)
    client = Pooled(SimpleNamespace(connection_pool=pool), suspends=False)
    run_sync(client.close(inuse=False))
    assert sorted(closed) == ["first", "second"]
    assert pool.pool.queue == idle


@pytest.mark.parametrize("suspends", [False, True])
@pytest.mark.parametrize(
    "url",
    [
        "redis://:65/s3cret@127.0.0.1:6379/0",
        "redis://bob:12345#s3cret@127.0.0.1/0",
        "redis://bob:12345?s3cret@127.0.0.1/0",
        "redis+cluster://bob:a@s3cret#x@127.0.0.1:7000",
        "redis+sentinel://:s3/cret@a:1,b:2/main",
    ],
)
def test_a_password_that_is_not_encoded_is_refused_and_not_shown(url: str, suspends: bool) -> None:
    with pytest.raises(SettingsError, match=r"percent-encoded, %23") as caught:
        RedisStore(url, namespace="n", suspends=suspends)
    assert "s3" not in str(caught.value)


def test_options_of_sentinels_are_named_where_one_is_misspelt() -> None:
    url = "redis+sentinel://a:1,b:2/main?sentinel_passwort=x"
    with pytest.raises(SettingsError, match="with \\+sentinel sentinel_password and"):
        RedisStore(url, namespace="n", suspends=False)
