"""The shared connection: whose reply is whose, and what leaves when.

See test_redis_link_ends and test_redis_link_life for the rest.
"""

from __future__ import annotations

import asyncio
import importlib.util
import random
import subprocess
import sys
import textwrap
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hot_kit import ECHO, breaker_of, clients, greeted, link_of, opened, play, shared_of, until
from hypothesis import given, settings
from hypothesis import strategies as st
from puppet import pack, puppet
from redis_kit import load, new

import zoo
from gatehound._sync import run_sync
from gatehound.errors import StoreCorrupt, StoreUnavailable
from gatehound.stores.answer import Standing
from gatehound.stores.redis import RedisStore, hot
from gatehound.stores.redis import delivery as delivery_module
from gatehound.stores.redis.link import Link
from gatehound.stores.redis.node import Way
from gatehound.stores.redis.pooled import Pooled
from gatehound.stores.redis.wire import ScriptMissing, SlotMoving, Wire
from parts import missing


def echo(n: int) -> tuple[Any, ...]:
    return ("EVAL", ECHO, 0, n)


# --- one connection for all ---


def test_calls_in_flight_share_a_connection_and_a_write(url: str, admin: Any) -> None:
    async def body() -> None:
        async with opened(url) as wire:
            assert await wire.call("GET", "k") is None
            before = admin.info("stats")
            replies = await asyncio.gather(*(wire.call(*echo(n)) for n in range(50)))
            assert replies == [b"%d" % n for n in range(50)]
            after = admin.info("stats")
            assert len(clients(admin)) == 1
            # The first leaves at once, the others together; one more is INFO itself.
            reads = after["total_reads_processed"] - before["total_reads_processed"]
            assert reads <= 4
            assert after["total_commands_processed"] - before["total_commands_processed"] >= 50

    play(body)


def test_the_first_calls_of_a_loop_open_one_connection(url: str, admin: Any) -> None:
    async def body() -> None:
        async with opened(url) as wire:
            before = admin.info("stats")["total_connections_received"]
            replies = await asyncio.gather(*(wire.call(*echo(n)) for n in range(50)))
            assert replies == [b"%d" % n for n in range(50)]
            assert admin.info("stats")["total_connections_received"] == before + 1

    play(body)


def test_a_command_that_is_alone_leaves_at_once() -> None:
    arrived = threading.Event()

    def say(words: list[bytes]) -> bytes:
        if words[1] == b"alone":
            arrived.set()
        return pack(words[1])

    with puppet(greeted(say)) as server:

        async def body() -> None:
            async with opened(f"redis://{server.place}") as wire:
                for key in ("first", "second"):
                    await wire.call("GET", key)
                await asyncio.gather(wire.call("GET", "a"), wire.call("GET", "b"))
                await wire.call("GET", "third")
                asked = link_of(wire).ask([("GET", "alone")])
                assert arrived.wait(5)  # while the loop stands still
                assert await asked == [b"alone"]

        play(body)


@pytest.mark.slow
def test_replies_of_batches_and_singles_are_never_mixed(url: str, admin: Any) -> None:
    chance = random.Random(3)

    async def body() -> None:
        async with opened(url) as wire:

            async def ask(n: int) -> None:
                size = chance.choice([1, 1, 2, 5])
                for _ in range(chance.randrange(3)):
                    await asyncio.sleep(0)
                mine = [n * 10 + k for k in range(size)]
                if size == 1:
                    assert await wire.call(*echo(mine[0])) == b"%d" % mine[0]
                    return
                commands = [echo(k) for k in mine]
                commands.insert(1, ("TIME",))
                replies = await wire.batch(commands)
                seconds, _ = replies.pop(1)
                assert abs(seconds - time.time()) < 60
                assert replies == [b"%d" % k for k in mine]

            for turn in range(10):
                await asyncio.gather(*(ask(turn * 40 + n) for n in range(40)))
            assert len(clients(admin)) == 1

    play(body)


def test_large_questions_and_replies_pass(url: str, admin: Any) -> None:
    sizes = [10_000_000, 1, 300_000, 0, 70_000]

    async def body() -> None:
        async with opened(url, deadline=5.0) as wire:
            await wire.call("TIME")
            texts = [b"%d" % n * size for n, size in enumerate(sizes, start=1)]
            asked = (wire.call("EVAL", ECHO, 0, text) for text in texts)
            assert await asyncio.gather(*asked) == texts
            assert len(clients(admin)) == 1

    play(body)


@pytest.mark.parametrize("suspends", [False, True])
def test_nothing_asked_is_nothing_sent(suspends: bool, url: str, admin: Any) -> None:
    async def body() -> None:
        wire = Wire(url, suspends=suspends, deadline=5.0)
        await wire.call("TIME")
        began = time.monotonic()
        assert await wire.batch([]) == []
        assert await wire.call("GET", "k") is None
        assert time.monotonic() - began < 1
        await wire.close()

    play(body) if suspends else run_sync(body())


# --- callers that leave ---


def cancelled(url: str, rounds: int) -> None:
    chance = random.Random(5)

    async def body() -> None:
        async with opened(url, deadline=5.0) as wire:
            await wire.call("TIME")
            link = link_of(wire)
            numbers = iter(range(10**9))

            async def ask(n: int) -> None:
                if n % 3:
                    assert await wire.call(*echo(n)) == b"%d" % n
                else:
                    assert await wire.batch([echo(n), echo(-n)]) == [b"%d" % n, b"%d" % -n]

            owed = 0
            for _ in range(rounds):
                tasks = [asyncio.create_task(ask(next(numbers))) for _ in range(12)]
                await asyncio.sleep(0)  # all have asked
                leaving = chance.sample(range(12), 10)
                for place in leaving:
                    if chance.random() < 0.1:
                        await asyncio.sleep(0)
                    tasks[place].cancel()
                owed += sum(future.cancelled() for future, _, _ in link._waiting)
                results = await asyncio.gather(*tasks, return_exceptions=True)
                for place, result in enumerate(results):
                    left = place in leaving and isinstance(result, asyncio.CancelledError)
                    assert result is None or left, result
            assert owed > rounds * 5
            assert link_of(wire) is link
            await until(lambda: not link._waiting)

    play(body)


@pytest.mark.slow
def test_the_place_of_a_cancelled_caller_swallows_its_reply(url: str, admin: Any) -> None:
    cancelled(url, 30)
    assert clients(admin) == []


@pytest.mark.full
@pytest.mark.ci
def test_ten_thousand_callers_that_leave_mix_nothing_up(url: str, admin: Any) -> None:
    cancelled(url, 1000)


def test_a_reply_in_pieces_reaches_who_asked(url: str) -> None:
    """Cut at every byte; the oracle is what the parts say whole."""
    replies = [b"one", [b"a", None, 7], b"", None, [[b"x"], []]]
    stream = b"".join(map(pack, replies))

    def asked(link: Any) -> list[asyncio.Future[Any]]:
        return [link.ask([("GET", "a")]), link.ask([("GET", "b")] * 3), link.ask([("GET", "c")])]

    with puppet(greeted(lambda words: pack(b"1") if words[1] == b"k" else None)) as server:

        async def body() -> None:
            async with opened(f"redis://{server.place}", deadline=5.0) as wire:
                await wire.call("GET", "k")
                link = link_of(wire)
                for cut in range(len(stream)):
                    futures = asked(link)
                    link.data_received(stream[:cut])
                    link.data_received(stream[cut:])
                    answers = [future.result() for future in futures]
                    assert answers == [replies[:1], replies[1:4], replies[4:]]
                futures = asked(link)
                for place in range(len(stream)):
                    assert not futures[2].done()
                    link.data_received(stream[place : place + 1])
                assert [future.result() for future in futures] == answers
                assert link.is_open

        play(body)


VALUES = st.recursive(
    st.none() | st.integers(-(2**40), 2**40) | st.binary(max_size=40),
    lambda inner: st.lists(inner, max_size=4),
    max_leaves=8,
)


def test_any_replies_cut_anyhow_reach_who_asked() -> None:
    """The oracle: each future has its own part. What a server would never say is not tried."""

    @settings(max_examples=40, deadline=None, database=None, derandomize=True)
    @given(
        batches=st.lists(st.lists(VALUES, min_size=1, max_size=4), min_size=1, max_size=5),
        leaving=st.sets(st.integers(0, 4)),
        cuts=st.lists(st.integers(1, 30), min_size=1, max_size=20),
    )
    def check(link: Link, batches: list[list[Any]], leaving: set[int], cuts: list[int]) -> None:
        stream = b"".join(pack(value) for batch in batches for value in batch)
        futures = [link.ask([("GET", "x")] * len(batch)) for batch in batches]
        for place in leaving.intersection(range(len(batches))):
            futures[place].cancel()
        place = 0
        while place < len(stream):
            size = cuts[place % len(cuts)]
            link.data_received(stream[place : place + size])
            place += size
        for future, batch in zip(futures, batches, strict=True):
            assert future.cancelled() or future.result() == batch
        assert link.is_open
        assert not link._waiting

    async def body() -> None:
        async with opened(f"redis://{server.place}", deadline=5.0) as wire:
            await wire.call("GET", "k")
            check(link_of(wire))

    with puppet(greeted(lambda words: pack(b"1") if words[1] == b"k" else None)) as server:
        play(body)


def test_a_server_that_says_a_byte_at_a_time(url: str) -> None:
    def say(words: list[bytes]) -> None:
        for byte in pack(words[1]):
            server.tell(bytes([byte]))

    with puppet(greeted(say)) as server:

        async def body() -> None:
            async with opened(f"redis://{server.place}", deadline=5.0) as wire:
                asked = (wire.call("GET", f"key-{n}") for n in range(10))
                assert await asyncio.gather(*asked) == [b"key-%d" % n for n in range(10)]

        play(body)


# --- refusals in the middle ---

REFUSALS = [
    (b"NOSCRIPT No matching script.", ScriptMissing, "does not hold the script"),
    (b"LOADING Redis is loading the dataset in memory", StoreUnavailable, "reading its data set"),
    (b"NOAUTH Authentication required.", StoreUnavailable, "refused: .*[Aa]uthentication"),
    (b"WRONGPASS invalid username-password pair", StoreUnavailable, "refused: .*invalid username"),
    (b"NOPERM this user has no permissions", StoreUnavailable, "refused: .*permission"),
    (b"WRONGTYPE Operation against a key", StoreCorrupt, "WRONGTYPE"),
    (b"MOVED 1 127.0.0.1:1", StoreUnavailable, "part of a cluster"),
    (b"ASK 1 127.0.0.1:1", SlotMoving, "moving the keys"),
    (b"TRYAGAIN Multiple keys request", SlotMoving, "moving the keys"),
]


@pytest.mark.parametrize(
    ("words", "kind", "match"),
    REFUSALS,
    ids=[words.split()[0].decode() for words, _, _ in REFUSALS],
)
def test_a_refusal_among_others_is_its_callers_alone(
    words: bytes, kind: type[Exception], match: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery_module, "_PERSIST", 0.03)

    def say(command: list[bytes]) -> bytes:
        return b"-%s\r\n" % words if command[1] == b"bad" else pack(command[1])

    with puppet(greeted(say)) as server:

        async def body() -> None:
            async with opened(f"redis://{server.place}", deadline=5.0) as wire:
                first = await wire.call("GET", "first")
                link = link_of(wire)
                one, refused, batch, two = await asyncio.gather(
                    wire.call("GET", "one"),
                    wire.call("GET", "bad"),
                    wire.batch([("GET", "a"), ("GET", "bad"), ("GET", "b")]),
                    wire.call("GET", "two"),
                    return_exceptions=True,
                )
                assert (first, one, two) == (b"first", b"one", b"two")
                assert [batch[0], batch[2]] == [b"a", b"b"]
                for error in (refused, batch[1]):
                    with pytest.raises(kind, match=match):
                        raise error
                assert breaker_of(wire).silences == 0
                assert isinstance(refused, StoreCorrupt) or link_of(wire) is link

        play(body)


def test_a_password_that_is_refused_while_opening_is_no_silence(url: str, admin: Any) -> None:
    async def body() -> None:
        async with opened(url.replace("//", "//nobody:wrong@")) as wire:
            asked = (wire.call("GET", "k") for _ in range(5))
            errors = await asyncio.gather(*asked, return_exceptions=True)
            assert all(isinstance(error, StoreUnavailable) for error in errors)
            assert all("refused" in str(error) for error in errors)
            assert breaker_of(wire).silences == 0

    play(body)


# --- other ways to a server ---


@pytest.mark.slow
@pytest.mark.parametrize("suspends", [False, True])
def test_over_tls_and_over_a_unix_socket(suspends: bool, tmp_path: Path) -> None:
    large = b"x" * 300_000
    path = tmp_path / "socket"
    made = zoo.certificates(tmp_path)

    async def scene(url: str, server: zoo.Server) -> None:
        wire = Wire(url, suspends=suspends, deadline=5.0)
        if suspends:
            asked = (wire.call(*echo(n)) for n in range(50))
            assert await asyncio.gather(*asked) == [b"%d" % n for n in range(50)]
        assert await wire.batch([echo(1), ("EVAL", ECHO, 0, large)]) == [b"1", large]
        with server.client() as admin:
            for client in admin.client_list():
                if int(client["id"]) != admin.client_id():
                    admin.client_kill_filter(_id=client["id"])
        if suspends:
            shared = shared_of(wire)
            await until(lambda: shared.trip() is None)
        assert await wire.call(*echo(2)) == b"2"
        await wire.close()

    with (
        zoo.tls(tmp_path, made) as secure,
        zoo.server(zoo.SYSTEM, tmp_path, "--unixsocket", str(path)) as local,
    ):
        for url, server in (
            (f"rediss://{secure.place}?ssl_ca_certs={made.authority}", secure),
            (f"unix://{path}", local),
        ):
            if suspends:
                play(partial(scene, url, server))
            else:
                run_sync(scene(url, server))


@pytest.mark.parametrize("suspends", [False, True])
@pytest.mark.parametrize("without", ["hiredis", "multiplex"])
def test_without_it_all_goes_through_redis_py(
    suspends: bool, without: str, url: str, admin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    if without == "hiredis":
        monkeypatch.setattr(hot, "find_spec", lambda name: None)
    store = RedisStore(
        url, namespace="own", suspends=suspends, multiplex=without != "multiplex", deadline=5.0
    )

    async def body() -> None:
        session = new()
        await store.create(session)
        for touch in (None, 0):
            assert (await load(store, session, touch)).standing is Standing.LIVE
        if suspends:
            asked = (load(store, session) for _ in range(10))
            assert len(await asyncio.gather(*asked)) == 10
        kinds = {way: type(client) for (_, way), client in store._wire.nodes._clients().items()}
        assert Way.HOT not in kinds
        assert set(kinds.values()) == {Pooled}
        await store.close()

    play(body) if suspends else run_sync(body())


UVLOOP = """
    import asyncio, sys, time
    import uvloop
    from gatehound.stores.redis.node import Way
    from gatehound.stores.redis.wire import Wire

    async def body():
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: told.append(context))
        wire = Wire(sys.argv[1], suspends=True, deadline=0.1)
        echo = "return ARGV[1]"
        assert await wire.call("EVAL", echo, 0, "0") == b"0"
        link = wire.nodes.client(wire.target.seeds[0], Way.HOT).trip()
        for n in range(4):
            asked = [asyncio.create_task(wire.call("EVAL", echo, 0, n * 9 + k)) for k in range(9)]
            await asyncio.sleep(0)  # they have asked; the answers come while the loop is busy
            time.sleep(0.15)
            assert await asyncio.gather(*asked) == [b"%d" % (n * 9 + k) for k in range(9)]
        for n in range(200):
            asked = [asyncio.create_task(wire.call("EVAL", echo, 0, k)) for k in range(5)]
            for _ in range(n % 4):
                await asyncio.sleep(0)
            asked[n % 5].cancel()
            for k, reply in enumerate(await asyncio.gather(*asked, return_exceptions=True)):
                assert reply == b"%d" % k or k == n % 5, reply
        assert wire.nodes.client(wire.target.seeds[0], Way.HOT).trip() is link
        await wire.close()

    told = []
    uvloop.run(body())
    assert not told, told
"""


@pytest.mark.slow
def test_on_uvloop_answers_that_are_there_are_not_late(url: str, admin: Any) -> None:
    """It may look at timers before it reads."""
    if importlib.util.find_spec("uvloop") is None:
        missing("uvloop")
    code = textwrap.dedent(UVLOOP)
    command = [sys.executable, "-W", "error", "-c", code, url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stderr) == (0, "")
