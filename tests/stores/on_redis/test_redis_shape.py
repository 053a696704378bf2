"""A reply that cannot be the answer: no connection is used any more, and nothing else leaves."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest
import redis
from puppet import MASTER, pack, puppet
from redis_kit import HOUR, new

from gatehound._sync import run_sync
from gatehound.errors import StoreCorrupt, StoreError, StoreUnavailable
from gatehound.stores.redis import RedisStore
from gatehound.stores.redis import wire as wire_module
from gatehound.stores.redis.node import Way
from gatehound.stores.redis.shape import _SHAPES, fits
from gatehound.stores.redis.wire import Wire

# What each question may be answered with; everything else in the table belongs to another.
ANSWERS: list[tuple[tuple[Any, ...], list[Any]]] = [
    (("HMGET", "k", "a", "b"), [[None, b"1"], [None, None], [b"1", b"2"]]),
    (("MGET", "a", "b", "c"), [[None, b"1", b"2"]]),
    (("GET", "k"), [None, b"1"]),
    (("HGET", "k", "a"), [None, b"1"]),
    (("EXISTS", "k"), [0, 1]),
    (("DEL", "k"), [0, 2]),
    (("XDEL", "k", "1-1"), [1]),
    (("WAIT", 1, 10), [0]),
    (("ZRANGE", "k", 0, 1), [[], [b"a"]]),
    (("ZREVRANGE", "k", 0, 1), [[], [b"a"]]),
    (("ZRANGEBYSCORE", "k", 0, 1), [[], [b"a"]]),
    (("ZREVRANGEBYSCORE", "k", 1, 0, "WITHSCORES"), [[], [b"a", b"1"], [b"a", b"inf"]]),
    (("XRANGE", "k", "-", "+"), [[], [(b"1-1", {b"a": b"1"})]]),
    (("XREVRANGE", "k", "+", "-"), [[], [(b"1-1", {})]]),
    (("HGETALL", "k"), [{}, {b"a": b"1"}]),
    (("TIME",), [(1, 2)]),
]
STRANGERS: list[Any] = [
    *("text", True, 1.5, [1], [b"a", 1], [None], [b"a", b"1", b"x"], {b"a": 1}, {"a": b"1"}),
    *((1,), (1, b"2"), [(b"1-1",)], [(b"1", {})], [(b"x-1", {})], [(1, {})], [(b"1-1", None)]),
    *([[b"1-1", [b"a", b"1"]]], [None, None, None, None], [b"a", b"b", b"c", 4]),
]


@pytest.mark.parametrize(("command", "answers"), ANSWERS, ids=lambda value: str(value)[:20])
def test_what_may_be_an_answer(command: tuple[Any, ...], answers: list[Any]) -> None:
    for answer in answers:
        assert fits(command, answer), answer
    for stranger in STRANGERS:
        if stranger not in answers:
            assert not fits(command, stranger) or _is_alike(command, stranger), stranger
    assert fits(command, StoreUnavailable("silent"))


def _is_alike(command: tuple[Any, ...], stranger: Any) -> bool:
    """True where the value could be an answer, too, though none of the table."""
    lists = {"ZRANGE", "ZREVRANGE", "ZRANGEBYSCORE", "MGET"}
    return command[0] in lists and stranger == [b"a", b"1", b"x"]


def test_members_with_scores_come_in_pairs() -> None:
    command = ("ZREVRANGEBYSCORE", b"k", 1, 0, "WITHSCORES", "LIMIT", 0, 2)
    assert not fits(command, [b"a", b"1", b"b"])
    assert not fits(command, [b"a", b"b"])


def test_other_commands_are_not_judged() -> None:
    assert fits(("EVALSHA", "x", 0), object())
    assert {command[0] for command, _ in ANSWERS} == set(_SHAPES)


def test_real_answers_fit(url: str, admin: Any) -> None:
    admin.hset("h", mapping={"a": "1", "b": "2"})
    admin.set("s", "x")
    admin.zadd("z", {"m": 1.5, "n": 2})
    for number in range(2):
        admin.xadd("x", {"a": number})
    asked: list[tuple[Any, ...]] = [
        ("HMGET", "h", "a", "none"),
        ("HMGET", "none", "a"),
        ("MGET", "s", "h", "none"),
        *(("GET", "s"), ("GET", "none"), ("HGET", "h", "a"), ("HGET", "h", "none")),
        *(("EXISTS", "s", "h"), ("DEL", "none"), ("XDEL", "x", "1-1"), ("WAIT", 0, 1)),
        *(("HGETALL", "h"), ("HGETALL", "none"), ("TIME",)),
        *(("XRANGE", "x", "-", "+"), ("XREVRANGE", "x", "+", "-"), ("XRANGE", "none", "-", "+")),
        *(("ZRANGE", "z", 0, -1), ("ZREVRANGE", "z", 0, -1), ("ZRANGEBYSCORE", "z", 0, 9)),
        ("ZREVRANGEBYSCORE", "z", "+inf", "-inf", "WITHSCORES", "LIMIT", 0, 5),
    ]
    assert {command[0] for command in asked} == set(_SHAPES)
    wire = Wire(url, suspends=False)
    replies = run_sync(wire.batch(asked))
    assert not any(isinstance(reply, StoreError) for reply in replies)
    for command, reply in zip(asked, replies, strict=True):
        assert run_sync(wire.call(*command)) == reply or command[0] == "TIME"
    run_sync(wire.close())


# --- what a wire does about it ---


@pytest.fixture(params=[False, True], ids=["sync", "loop"])
def play(request: pytest.FixtureRequest) -> Callable[..., None]:
    def played(url: str, body: Callable[[Wire], Awaitable[None]]) -> None:
        async def whole() -> None:
            wire = Wire(url, suspends=request.param, deadline=5.0)  # also on a busy machine
            try:
                await body(wire)
            finally:
                await wire.close()

        asyncio.run(whole()) if request.param else run_sync(whole())

    return played


STRANGE: list[Any] = [
    None,
    7,
    b"PONG",
    [],
    [b"a"],
    [1, 2, 3],
    [None],
    [[b"1-1", [b"a", b"1"]]],
    [[[]]],
]
QUESTIONS: list[tuple[Any, ...]] = [
    *(("HMGET", "k", "a", "b"), ("TIME",), ("INFO", "memory"), ("HGETALL", "k")),
    *(("XRANGE", "k", "-", "+"), ("EXISTS", "k"), ("GET", "k"), ("SCAN", 0), ("ROLE",)),
]


@pytest.mark.slow
@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: str(question[0]))
def test_a_strange_reply_is_corrupt_or_an_answer(
    play: Callable[..., None], question: tuple[Any, ...]
) -> None:
    """The oracle: nothing but a StoreError leaves, and after StoreCorrupt no connection is used."""
    told: list[bytes] = []

    def say(words: list[bytes]) -> bytes:
        return MASTER if not told or words != asked else told[0]

    asked = [str(word).encode() for word in question]
    with puppet(say) as server:

        async def body(wire: Wire) -> None:
            refused = 0
            for strange in STRANGE:
                told[:] = [pack(strange)]
                for send in (
                    lambda: wire.call(*question),
                    lambda: wire.batch([("PING",), question]),
                ):
                    before = wire.nodes.client(wire.target.seeds[0], Way.PROMPT)
                    try:
                        await send()
                    except StoreCorrupt:
                        refused += 1
                        assert wire.nodes.client(wire.target.seeds[0], Way.PROMPT) is not before
                told.clear()
            assert refused or question[0] in ("ROLE", "SCAN")

        play(f"redis://{server.place}", body)


@pytest.mark.parametrize("strange", [*STRANGE, [b"\xdez", b"x"], [None, b"1"], [b"1"]])
def test_what_is_no_time_over_an_open_connection(play: Callable[..., None], strange: Any) -> None:
    """Found by a proxy that drops bytes: the reply of a script stood in the place of TIME's."""

    def say(words: list[bytes]) -> bytes:
        if words[0] == b"ROLE":
            return MASTER
        return pack(strange) if words[0] == b"TIME" else b"$-1\r\n"

    with puppet(say) as server:

        async def body(wire: Wire) -> None:
            for send in (lambda: wire.call("TIME"), lambda: wire.batch([("GET", "k"), ("TIME",)])):
                await wire.call("GET", "k")  # so that a connection is open
                with pytest.raises(StoreCorrupt):
                    await send()

        play(f"redis://{server.place}", body)


@pytest.mark.parametrize("strange", [*STRANGE, [7, 0], [b"witch"]])
def test_a_greeting_that_is_no_role_is_corrupt(play: Callable[..., None], strange: Any) -> None:
    with puppet(lambda words: pack(strange) if words[0] == b"ROLE" else b"+PONG\r\n") as server:

        async def body(wire: Wire) -> None:
            for _ in range(2):
                with pytest.raises(StoreCorrupt, match="not the Redis protocol"):
                    await wire.call("PING")
            with pytest.raises(StoreCorrupt):
                await wire.ask_at(wire.target.seeds[0], [("PING",)])

        play(f"redis://{server.place}", body)


@pytest.mark.parametrize("words", [b"MOVED", b"MOVED x", b"MOVED 1", b"ASK 1 host", b"ASK 1 h:x"])
def test_a_place_that_cannot_be_read_is_an_error_of_ours(
    play: Callable[..., None], words: bytes
) -> None:
    slots = pack([[0, 16383, [b"", 0]]])

    def say(command: list[bytes]) -> bytes:
        return slots if command[0] == b"CLUSTER" else b"-" + words + b"\r\n"

    with puppet(say) as server:
        slots = pack([[0, 16383, [b"127.0.0.1", server.port]]])

        async def body(wire: Wire) -> None:
            with pytest.raises(StoreError):
                await wire.call("GET", "k")

        play(f"redis+cluster://{server.place}", body)


@pytest.mark.parametrize("kind", ["cluster", "sentinel"])
@pytest.mark.parametrize(
    "strange", [None, 7, b"PONG", [], [b"a"], [1, 2], [[1]], [[0, 16383]], [b"\xff", b"1"]]
)
def test_a_topology_that_cannot_be_read_is_no_topology(
    play: Callable[..., None], kind: str, strange: Any
) -> None:
    with puppet(lambda words: pack(strange)) as server:

        async def body(wire: Wire) -> None:
            with pytest.raises(StoreUnavailable, match="no master was found"):
                await wire.call("GET", "k")

        play(f"redis+{kind}://{server.place}{'/main' if kind == 'sentinel' else ''}", body)


# --- closing beside others ---


@pytest.mark.slow
def test_a_close_beside_other_tasks_fails_them_by_our_errors(url: str, admin: Any) -> None:
    async def whole() -> None:
        wire = Wire(url, suspends=True)

        async def ask() -> None:
            for _ in range(15):
                with suppress(StoreUnavailable):
                    await wire.batch([("GET", "k"), ("PING",)])
                    await wire.call("GET", "k", patient=True)

        async def close() -> None:
            turns = itertools.cycle([wire.close, wire.mixed_up, _drop(wire), _keep(wire)])
            while not asking.done():
                await next(turns)()
                for _ in range(3):  # a few steps of the others
                    await asyncio.sleep(0)

        asking = asyncio.gather(*(ask() for _ in range(8)))
        await asyncio.gather(close(), close())
        await asking
        assert all(wire.nodes.breaker(one).silences == 0 for one in wire.target.seeds)
        assert await wire.call("GET", "k") is None
        await wire.close()
        assert not wire.nodes._of_loop

    asyncio.run(whole())
    gone = redis.Redis.from_url(url)
    assert len(gone.client_list()) <= 2
    gone.close()


def test_a_question_whose_connection_is_closed_ends_at_once() -> None:
    loops: list[asyncio.AbstractEventLoop] = []
    asked = asyncio.Event()

    def say(words: list[bytes]) -> bytes | None:
        if words[0] == b"ROLE":
            return MASTER
        loops[0].call_soon_threadsafe(asked.set)
        return None

    async def whole(place: str) -> None:
        loops.append(asyncio.get_running_loop())
        for end in ("close", "mixed_up"):
            wire = Wire(f"redis://{place}", suspends=True, deadline=20)
            asked.clear()
            asking = asyncio.create_task(wire.call("GET", "k"))
            await asked.wait()
            await getattr(wire, end)()
            with pytest.raises(StoreUnavailable, match="was closed"):
                await asking
            assert wire.nodes.breaker(wire.target.seeds[0]).silences == 0
            await wire.close()

    with puppet(say) as server:
        asyncio.run(whole(server.place))


@pytest.mark.slow
def test_a_close_beside_other_threads_fails_them_by_our_errors(url: str, admin: Any) -> None:
    wire = Wire(url, suspends=False)
    wrong: list[BaseException] = []

    def guarded(work: Callable[[], None]) -> Callable[[], None]:
        def run() -> None:
            for _ in range(20):
                try:
                    work()
                except StoreUnavailable:
                    pass
                except BaseException as error:  # what a test of errors is about
                    wrong.append(error)

        return run

    def close() -> None:
        ends: list[Callable[[], Any]] = [wire.close, wire.mixed_up, _drop(wire), _keep(wire)]
        for end in ends:
            run_sync(end())

    works = [lambda: run_sync(wire.call("GET", "k")) for _ in range(6)]
    threads = [threading.Thread(target=guarded(work)) for work in (*works, close, close)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert run_sync(wire.call("GET", "k")) is None
    run_sync(wire.close())


def _drop(wire: Wire) -> Callable[[], Awaitable[Any]]:
    return lambda: wire.nodes.drop(wire.target.seeds[0])


def _keep(wire: Wire) -> Callable[[], Awaitable[Any]]:
    return lambda: wire.nodes.keep(())


def test_the_clock_goes_on_while_a_machine_is_suspended() -> None:
    assert wire_module._steady() > 0


def test_a_number_that_is_none_is_corrupt(store: RedisStore, admin: Any) -> None:
    session = new()
    run_sync(store.create(session))
    admin.hset(store._keys.user(session.alias), "@e", "master")
    with pytest.raises(StoreCorrupt):
        run_sync(store.epoch(session.alias))
    now = run_sync(store.ping())
    admin.hset(store._keys.counters("logins", HOUR, now // HOUR), "anna", "many")
    with pytest.raises(StoreCorrupt):
        run_sync(store.counts("logins", window=HOUR))
