"""A server that is down, stopped, full, or refuses; a damaged session."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from redis_kit import CHANCE, Body, load, new

from gatehound._sync import run_sync
from gatehound.errors import StoreCorrupt, StoreError, StoreUnavailable
from gatehound.model import EndReason, Event
from gatehound.stores.answer import (
    Created,
    EventQuery,
    Memory,
    Meta,
    Query,
    Refused,
    Standing,
)
from gatehound.stores.redis import RedisStore
from gatehound.stores.redis.wire import Wire


def no_server() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"redis://:s3cret@127.0.0.1:{probe.getsockname()[1]}/0"


@pytest.mark.parametrize("suspends", [False, True])
@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("", r"refused the connection \(.*\): check that it runs, and host and port"),
        ("unix:///no/such.sock", "has no such socket .*and the path"),
        ("redis://no.such.host.invalid/0", "cannot be reached, or broke the connection off"),
    ],
)
def test_why_no_answer_came_is_said(url: str, says: str, suspends: bool) -> None:
    async def whole() -> None:
        store = RedisStore(url or no_server(), namespace="n", suspends=suspends)
        with pytest.raises(StoreUnavailable, match=says) as caught:
            await store.ping()
        assert "in time" not in str(caught.value)
        assert "s3cret" not in str(caught.value)
        await store.close()

    if suspends:
        asyncio.run(whole())
    else:
        run_sync(whole())


@pytest.mark.parametrize("suspends", [False, True])
def test_a_server_that_is_down_is_named_at_once(suspends: bool) -> None:
    async def whole() -> None:
        store = RedisStore(no_server(), namespace="n", suspends=suspends)
        session = new()
        for call in (
            store.ping,
            lambda: store.create(session),
            lambda: load(store, session),
            lambda: load(store, session, 0),
            lambda: store.search(Query()),
            lambda: store.events(EventQuery()),
            lambda: store.tail(""),
            lambda: store.tail("", since=0),
            lambda: store.shelf("work"),
            lambda: store.put("work", Memory(b"x")),
            store.living,
            lambda: store.agents([b"agent1"]),
            lambda: store.prepare(Meta(b"f" * 16, "n")),
        ):
            start = time.monotonic()
            with pytest.raises(StoreUnavailable, match=r"127\.0\.0\.1.* check that it") as caught:
                await call()
            assert time.monotonic() - start < 1.0
            assert "s3cret" not in str(caught.value)
        await store.close()

    asyncio.run(whole()) if suspends else run_sync(whole())


class Cutter:
    """A proxy that passes everything on, and cuts the line before the reply to a word."""

    def __init__(self, port: int, word: bytes) -> None:
        self._port, self._word = port, word
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"redis://127.0.0.1:{self._listener.getsockname()[1]}"
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)  # wakes the accept that waits
        self._listener.close()
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:  # the test is over
                return
            self._threads.append(threading.Thread(target=self._serve, args=(client,)))
            self._threads[-1].start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.create_connection(("127.0.0.1", self._port)) as server:
            while data := client.recv(65536):
                server.sendall(data)
                reply = server.recv(65536)
                if self._word in data:
                    # With no time to linger, closing resets the connection.
                    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    return
                client.sendall(reply)


@pytest.mark.parametrize("suspends", [False, True])
@pytest.mark.parametrize("count", [1, 2])
def test_what_may_have_been_done_is_not_sent_again(
    suspends: bool, count: int, url: str, admin: Any
) -> None:
    proxy = Cutter(admin.connection_pool.connection_kwargs["port"], b"INCR")

    async def whole() -> None:
        wire = Wire(proxy.url, suspends=suspends)
        await wire.call("SET", b"k", 0)
        replies = await wire.batch([("INCR", b"k")] * count)
        assert all(isinstance(reply, StoreUnavailable) for reply in replies)
        assert await wire.call("GET", b"k") == b"%d" % count
        await wire.close()

    asyncio.run(whole()) if suspends else run_sync(whole())
    proxy.close()


@pytest.mark.slow
def test_a_stopped_server_is_given_up_on(play: Callable[[Body], None], admin: Any) -> None:
    pid = admin.info("server")["process_id"]

    async def body(store: RedisStore) -> None:
        session = new()
        await store.create(session)
        await load(store, session)
        os.kill(pid, signal.SIGSTOP)
        try:
            # Once on a connection that is there, once on one that still shakes hands.
            for call, deadline in ((load(store, session), 0.25), (store.create(new()), 1.0)):
                start = time.monotonic()
                with pytest.raises(StoreUnavailable, match="no answer in time"):
                    await call
                assert deadline * 0.9 < time.monotonic() - start < deadline * 2 + 0.5
        finally:
            os.kill(pid, signal.SIGCONT)
        assert (await load(store, session)).standing is Standing.LIVE

    play(body)


@contextmanager
def full(admin: Any) -> Iterator[None]:
    admin.config_set("maxmemory-policy", "noeviction")
    admin.config_set("maxmemory", 1_000_000)
    admin.config_set("maxmemory", 100_000)
    try:
        yield
    finally:
        admin.config_set("maxmemory", 0)


def test_a_full_server_refuses_logins_and_ends_sessions(
    play: Callable[[Body], None], admin: Any
) -> None:
    async def body(store: RedisStore) -> None:
        meta = Meta(b"f" * 16, "own")
        await store.prepare(meta)
        first, second, third, fourth = (new() for _ in range(4))
        for session in (first, second, third, fourth):
            await store.create(session)
        with full(admin):
            await store.prepare(meta)
            with pytest.raises(StoreUnavailable, match="maxmemory"):
                await store.create(new())
            with pytest.raises(StoreUnavailable, match="maxmemory"):
                await store.data_incr(first.alias, first.sid, "a")
            assert (await load(store, first, 0)).standing is Standing.LIVE
            event = Event("session_terminated", reason="admin")
            assert (await store.revoke(first.alias, reason=EndReason.ADMIN, event=event)).finished
            assert (await store.disable(second.alias)).finished
            stranger = CHANCE.randbytes(12)
            assert not (await store.disable(stranger)).finished
            hashes = (third.alias, third.sid, third.secret_hash)
            assert (await store.rotate(*hashes, b"n" * 16)).standing is Standing.LIVE
            assert await store.revoke_everyone() == 2
        assert (await load(store, first)).ended.reason is EndReason.ADMIN
        assert (await load(store, second)).ended.reason is EndReason.DISABLED
        assert (await load(store, fourth)).ended.reason is EndReason.EVERYONE
        for alias in (second.alias, stranger):
            refused = await store.create(new(alias))
            assert isinstance(refused, Refused)
            assert refused.reason == "disabled"

    play(body)


def test_other_refusals_keep_their_words(play: Callable[[Body], None], admin: Any) -> None:
    async def body(store: RedisStore) -> None:
        session = new()
        await store.create(session)
        admin.set(store._keys.data(session.alias, session.sid), "no hash")
        with pytest.raises(StoreCorrupt, match="WRONGTYPE"):
            await store.data_set(session.alias, session.sid, {"a": b"1"})
        admin.config_set("min-replicas-to-write", 1)
        try:
            with pytest.raises(StoreUnavailable, match=r"(?i)replicas"):
                await store.create(new())
        finally:
            admin.config_set("min-replicas-to-write", 0)
        admin.acl_setuser("reader", enabled=True, nopass=True, keys=["*"], commands=["-@all"])
        try:
            other = RedisStore(
                f"redis://reader:x@{store._wire.place}", namespace="own", suspends=store.suspends
            )
            with pytest.raises(StoreUnavailable, match="permission"):
                await other.epoch(session.alias)
            await other.close()
        finally:
            admin.acl_deluser("reader")

    play(body)


def test_a_damaged_session_stops_nothing_but_itself(
    play: Callable[[Body], None], admin: Any
) -> None:
    async def body(store: RedisStore) -> None:
        alias = CHANCE.randbytes(12)
        damaged, fine, far = new(alias), new(alias), new()
        for session in (damaged, fine, far):
            await store.create(session)
        key = store._keys.user(alias)
        newer = b"\x02" + admin.hget(key, damaged.sid)[1:]
        admin.hset(key, damaged.sid, newer)
        for touch in (None, 0):
            with pytest.raises(StoreCorrupt):
                await load(store, damaged, touch)
        assert (await load(store, fine)).standing is Standing.LIVE
        again = new(alias)  # nobody is kept from signing in by a session that cannot be read
        assert isinstance(await store.create(again), Created)
        await store.revoke(alias, only=again.sid, reason=EndReason.USER)
        assert admin.hget(key, damaged.sid) == newer
        assert await store.sweep() == ()
        assert {r.sid for r in (await store.search(Query())).records} == {fine.sid, far.sid}
        revoked = await store.revoke(alias, keep=fine.sid, reason=EndReason.USER)
        assert revoked.finished == ()
        assert [r.sid for r in (await store.sessions(alias)).records] == [fine.sid]
        admin.hset(key, fine.sid, b"\x02")
        assert await store.forget(alias, "anna") == 0
        assert (await load(store, fine)).standing is Standing.UNKNOWN

    play(body)


def test_what_may_not_be_read_is_an_error_and_not_empty(
    play: Callable[[Body], None], admin: Any
) -> None:
    async def body(store: RedisStore) -> None:
        await store.create(new())
        allowed = ["+ping", "+hget", "+time", "+zrevrangebyscore"]
        admin.acl_setuser("blind", enabled=True, nopass=True, keys=["*"], commands=allowed)
        try:
            other = RedisStore(
                f"redis://blind:x@{store._wire.place}", namespace="own", suspends=store.suspends
            )
            for call in (
                lambda: other.agents([b"agent1"]),
                lambda: other.events(EventQuery()),
                lambda: other.search(Query()),
                lambda: load(other, new()),
                lambda: other.prepare(Meta(b"f" * 16, "own")),
            ):
                with pytest.raises(StoreUnavailable, match="permission"):
                    await call()
            admin.acl_setuser("blind", commands=["-zrevrangebyscore", "+hmget"])
            for call in (
                lambda: other.search(Query()),
                lambda: other.prepare(Meta(b"f" * 16, "own")),
            ):
                with pytest.raises(StoreUnavailable, match="permission"):
                    await call()
            await other.close()
        finally:
            admin.acl_deluser("blind")

    play(body)


def test_stored_nonsense_is_corrupt_and_no_answer(store: RedisStore, admin: Any) -> None:
    session = new()
    run_sync(store.create(session))
    run_sync(load(store, session))
    memory = store._keys.memory(session.alias, session.sid)
    for stored in (b"\x02" + session.sid[:4] + bytes(4), b"\x01else" + bytes(4)):
        admin.set(memory, stored)
        with pytest.raises(StoreCorrupt, match="another owner or release"):
            run_sync(store.recall(session.alias, session.sid))
    admin.hset(store._keys.user(session.alias), "@r", "[not json")
    for touch in (None, 0):
        with pytest.raises(StoreCorrupt, match="JSON"):
            run_sync(load(store, session, touch))
    admin.hset(store._keys.user(session.alias), session.sid, b"\x01" * 3)
    with pytest.raises(StoreCorrupt):
        run_sync(load(store, session, 0))


@pytest.mark.parametrize("suspends", [False, True])
def test_a_server_of_another_kind_is_noticed(suspends: bool) -> None:
    listener = socket.create_server(("127.0.0.1", 0))

    def answer() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:  # the test is over
                return
            with connection, contextlib.suppress(OSError):
                connection.recv(4096)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()

    async def body() -> None:
        url = f"redis://127.0.0.1:{listener.getsockname()[1]}"
        store = RedisStore(url, namespace="n", suspends=suspends)
        with pytest.raises(StoreError):
            await store.ping()
        await store.close()

    asyncio.run(body()) if suspends else run_sync(body())
    listener.shutdown(socket.SHUT_RDWR)  # wakes the accept that waits
    listener.close()
    thread.join()
