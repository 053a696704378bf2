"""A shard that is silent takes no answer from the others; the servers are played."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
import redis.crc
from puppet import Puppet, pack, puppet

from gatehound._sync import run_sync
from gatehound.errors import StoreUnavailable
from gatehound.stores.redis import delivery as delivery_module
from gatehound.stores.redis import wire as wire_module
from gatehound.stores.redis.wire import SlotMoving, Wire

KEYS = (b"{1bz}a", b"{kin}a", b"{45c}a")
BOUNDS = ((0, 5460), (5461, 10921), (10922, 16383))


class Shards:
    """Three masters; those in `silent` give no answer, not even to a greeting."""

    def __init__(self, stack: ExitStack) -> None:
        self.silent: set[int] = set()
        self.refusal: Callable[[int], bytes | None] = lambda number: None
        self.servers = [stack.enter_context(puppet(self._say(n))) for n in range(3)]

    @property
    def url(self) -> str:
        return "redis+cluster://" + ",".join(one.place for one in self.servers)

    def names(self) -> list[bytes]:
        """One key of each server, in their order."""
        slots = {redis.crc.key_slot(key): key for key in KEYS}
        return [slots[slot] for slot in sorted(slots)]

    def _say(self, number: int) -> Callable[[list[bytes]], bytes | None]:
        def say(words: list[bytes]) -> bytes | None:
            if number in self.silent:
                return None
            if words[0] == b"CLUSTER":
                return pack([[*b, [b"127.0.0.1", one.port]] for b, one in self._shards()])
            if words[0] in (b"PING", b"ASKING"):
                return b"+OK\r\n"
            return self.refusal(number) or pack(b"%d" % number)

        return say

    def _shards(self) -> Iterator[tuple[tuple[int, int], Puppet]]:
        return zip(BOUNDS, self.servers, strict=True)


@pytest.fixture
def shards() -> Iterator[Shards]:
    with ExitStack() as stack:
        yield Shards(stack)


Play = Callable[[Callable[[Wire], Awaitable[None]]], None]


@pytest.fixture(params=[False, True], ids=["sync", "loop"])
def play(request: pytest.FixtureRequest, shards: Shards, monkeypatch: pytest.MonkeyPatch) -> Play:
    monkeypatch.setattr(wire_module, "CONNECT", 0.1)

    def played(body: Callable[[Wire], Awaitable[None]]) -> None:
        async def whole() -> None:
            wire = Wire(shards.url, suspends=request.param, deadline=0.25)
            try:
                await body(wire)
            finally:
                await wire.close()

        asyncio.run(whole()) if request.param else run_sync(whole())

    return played


def gets(shards: Shards) -> list[tuple[str, bytes]]:
    return [("GET", key) for key in shards.names()]


@pytest.mark.slow
@pytest.mark.parametrize("silent", range(3))
@pytest.mark.parametrize("opened", [False, True], ids=["not opened", "opened"])
def test_one_silent_shard_takes_no_answer_from_the_others(
    play: Play, shards: Shards, silent: int, opened: bool
) -> None:
    async def body(wire: Wire) -> None:
        await wire.batch(gets(shards) if opened else [gets(shards)[(silent + 1) % 3]])
        shards.silent = {silent}
        for _ in range(4):  # and the breaker opens
            start = time.monotonic()
            replies = await wire.batch(gets(shards))
            assert time.monotonic() - start < 1
            for number, reply in enumerate(replies):
                if number == silent:
                    assert isinstance(reply, StoreUnavailable)
                else:
                    assert reply == b"%d" % number

    play(body)


@pytest.mark.slow
def test_a_batch_beside_a_silent_shard_tells_its_replicas(play: Play, shards: Shards) -> None:
    async def body(wire: Wire) -> None:
        shards.silent = {0}
        get, *others = gets(shards)
        replies = await wire.batch([get, *others], wait=1)
        assert replies[1:3] == [b"1", b"2"]
        assert all(isinstance(reply, StoreUnavailable) for reply in (replies[0], replies[3]))

    play(body)


def test_of_two_silent_shards_the_second_is_not_waited_for(shards: Shards) -> None:
    """Blocking: they are asked one after another, those that answered last time first."""
    seconds = [100.0]
    wire = Wire(shards.url, suspends=False, deadline=0.25, clock=lambda: seconds[0])
    run_sync(wire.batch(gets(shards)))
    ask = wire.nodes.ask

    async def slow(address: Any, commands: Any, *, patient: bool = False) -> Any:
        seconds[0] += 1.5
        return await ask(address, commands, patient=patient)

    vars(wire.nodes)["ask"] = slow
    assert run_sync(wire.batch(gets(shards))) == [b"0", b"1", b"2"]  # slow, and none is silent
    shards.silent = {0, 1, 2}
    replies = run_sync(wire.batch(gets(shards)))
    assert ["was not asked" in str(reply) for reply in replies] == [False, False, True]
    run_sync(wire.close())


# --- slots that move ---


def test_ask_and_try_again_in_turns_end_as_a_slot_that_moves(
    play: Play, shards: Shards, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All keys have moved, and the slot has not: the source says ASK, the target TRYAGAIN."""
    monkeypatch.setattr(delivery_module, "_PERSIST", 0.15)
    key = shards.names()[0]
    slot = redis.crc.key_slot(key)
    target = b"-ASK %d %s\r\n" % (slot, shards.servers[1].place.encode())
    shards.refusal = {0: target, 1: b"-TRYAGAIN later\r\n"}.get

    async def body(wire: Wire) -> None:
        for send in (lambda: wire.call("MGET", key, key), lambda: wire.batch([("GET", key)])):
            before = len(shards.servers[1].asked)
            try:
                [reply] = await send()
            except SlotMoving as moving:
                reply = moving
            assert isinstance(reply, SlotMoving)
            assert 4 < len(shards.servers[1].asked) - before < 20  # with ASKING; it rests between

    play(body)


def test_ask_and_ask_again_is_a_slot_that_moves_too(play: Play, shards: Shards) -> None:
    key = shards.names()[0]
    slot = redis.crc.key_slot(key)
    places = [server.place.encode() for server in shards.servers]
    shards.refusal = lambda number: b"-ASK %d %s\r\n" % (slot, places[1 - number])

    async def body(wire: Wire) -> None:
        with pytest.raises(SlotMoving):
            await wire.call("GET", key)

    play(body)


# --- masters that may have slept ---


def test_who_was_not_heard_of_for_a_second_is_woken_first(shards: Shards) -> None:
    seconds = [100.0]
    wire = Wire(shards.url, suspends=False, clock=lambda: seconds[0])
    key = shards.names()[1]
    asked = shards.servers[1].asked
    run_sync(wire.call("GET", key))
    for pause, expected in ((0.5, [b"GET"]), (1.0, [b"PING", b"GET"]), (0.9, [b"GET"])):
        asked.clear()
        seconds[0] += pause
        assert run_sync(wire.call("GET", key)) == b"1"
        assert [words[0] for words in asked] == expected
    asked.clear()
    seconds[0] += 1
    shards.silent = {1}
    with pytest.raises(StoreUnavailable):
        run_sync(wire.call("INCR", key))
    assert [words[0] for words in asked] == [b"PING"]  # so the INCR was certainly not done
    run_sync(wire.close())
